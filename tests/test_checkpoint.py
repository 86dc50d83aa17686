from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from fast_style import checkpoint
from fast_style.checkpoint import (
    ModelFileError,
    find_style_model,
    load_style_model,
    save_style_model,
)
from fast_style.network import build_network
from fast_style.resources import shipped_styles

NETWORK: dict[str, Any] = {"name": "johnson", "channels": [4, 4, 8], "residual_blocks": 1}
DESCRIPTION: dict[str, Any] = {
    "network": NETWORK,
    "style": {"name": "mine", "size": 384},
    "loss": {"style_weight": 5.0, "style_layers": {"relu1_2": 1.0}},
    "licence": None,
    "steps": 600,
}


def rewrite(path: Path, target: Path, header: object = None, **tensors: Tensor | None) -> Path:
    """Write a style model's file again, with another header or other tensors (None: removed)."""
    state = {**load_file(path), **tensors}
    kept = {key: value for key, value in state.items() if value is not None}
    text = json.dumps(header) if not isinstance(header, str) else header
    save_file(kept, target, {"fast_style": text})
    return target


def test_round_trip(tmp_path: Path) -> None:
    network = build_network(NETWORK)
    path = tmp_path / "mine.safetensors"
    save_style_model(path, network, DESCRIPTION)
    model = load_style_model(path)
    assert model.description == {"format_version": 1, **DESCRIPTION}
    assert model.name == "mine"
    assert not model.network.training
    assert not any(p.requires_grad for p in model.network.parameters())
    assert all(p.dtype == torch.float32 for p in model.network.parameters())
    image = torch.rand(1, 3, 40, 40)
    torch.testing.assert_close(model.network(image), network(image), atol=2e-3, rtol=0)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.safetensors"]


def test_a_lightning_checkpoint(tmp_path: Path) -> None:
    network = build_network(NETWORK)
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": state, "fast_style": DESCRIPTION, "optimizer_states": []}, path)
    model = load_style_model(path)
    assert model.name == "mine"
    image = torch.rand(1, 3, 40, 40)
    assert torch.equal(model.network(image), network(image))


def test_saving_over_a_model_is_whole_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.safetensors"
    save_style_model(path, build_network(NETWORK), DESCRIPTION)
    before = path.read_bytes()

    def full_disk(state: object, target: Path, metadata: object) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_style_model(path, build_network(NETWORK), DESCRIPTION)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_weights_that_diverged_are_not_saved(tmp_path: Path) -> None:
    network = build_network(NETWORK)
    with torch.no_grad():
        next(iter(network.parameters())).fill_(torch.inf)
    with pytest.raises(ModelFileError, match="not finite float16 numbers"):
        save_style_model(tmp_path / "mine.safetensors", network, DESCRIPTION)
    assert list(tmp_path.iterdir()) == []


def test_released_styles_are_found_by_name() -> None:
    assert "starry" in shipped_styles()
    for name, path in shipped_styles().items():
        assert find_style_model(name) == path
        model = load_style_model(name)
        assert model.name == name.removesuffix("-slim")
        assert path.stat().st_size <= 3_500_000


def test_an_unknown_name() -> None:
    with pytest.raises(ModelFileError, match=r"no style model monet: .* released style \(.*starry"):
        find_style_model("monet")


def test_headers_that_are_wrong(tmp_path: Path, tiny_model: Path) -> None:
    good = load_style_model(tiny_model).description
    target = tmp_path / "bad.safetensors"
    cases: list[tuple[object, str]] = [
        ("{", "its header is not valid JSON"),
        ("[" * 100_000, "its header is not valid JSON"),
        ([], "its header is not a JSON object"),
        ({}, "no format version"),
        (good | {"format_version": "1"}, "no format version"),
        (good | {"format_version": 2}, "format version 2, this program reads up to 1: update"),
        (good | {"style": "tiny"}, "its header names no style"),
        (good | {"style": {"name": 7}}, "its header names no style"),
        (good | {"network": None}, "describes no known network"),
        (good | {"network": NETWORK | {"name": "evil"}}, "network.name must be johnson"),
        (good | {"network": NETWORK | {"residual_blocks": 10**9}}, "residual_blocks must be 0 to"),
        (good | {"network": NETWORK | {"residual_blocks": 2}}, "lacks the network's residual.1"),
        (good | {"network": NETWORK | {"residual_blocks": 0}}, "holds residual.0"),
        (good | {"network": NETWORK | {"channels": [4096] * 3}}, "its network needs"),
    ]
    for header, message in cases:
        rewrite(tiny_model, target, header)
        with pytest.raises(ModelFileError, match=message):
            load_style_model(target)


def test_tensors_that_are_wrong(tmp_path: Path, tiny_model: Path) -> None:
    header = load_style_model(tiny_model).description
    target = tmp_path / "bad.safetensors"
    key = "output.1.bias"
    cases: list[tuple[Tensor | None, str]] = [
        (None, f"lacks the network's {key}"),
        (torch.zeros(4), r"has shape \(4,\), its network needs \(3,\)"),
        (torch.zeros(3, dtype=torch.int32), "is not a floating-point tensor"),
        (torch.full((3,), torch.nan), "not finite numbers"),
    ]
    for value, message in cases:
        rewrite(tiny_model, target, header, **{key: value})
        with pytest.raises(ModelFileError, match=message):
            load_style_model(target)


def test_files_of_something_else(tmp_path: Path, tiny_model: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(1)}, other)
    with pytest.raises(ModelFileError, match="a safetensors file, but not a style model"):
        load_style_model(other)
    for name, data in (
        ("empty.safetensors", b""),
        ("cut.safetensors", tiny_model.read_bytes()[:-100]),
        ("noise.safetensors", bytes(range(256)) * 10),
        ("huge.safetensors", (2**63 - 1).to_bytes(8, "little") + b"{}"),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(ModelFileError, match=f"{name} is not a readable style model"):
            load_style_model(path)
    with pytest.raises(ModelFileError, match="neither a file nor a released style"):
        load_style_model(tmp_path / "missing.safetensors")
    with pytest.raises(ModelFileError, match="neither a file nor a released style"):
        load_style_model(tmp_path)


def test_checkpoints_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    for content, message in (
        ([1, 2], "not a checkpoint of fast_style"),
        ({"state_dict": {}}, "not a checkpoint of fast_style"),
        ({"state_dict": {}, "fast_style": DESCRIPTION}, "lacks the network's"),
        ({"state_dict": 3, "fast_style": DESCRIPTION}, "not a checkpoint of fast_style"),
    ):
        torch.save(content, path)
        with pytest.raises(ModelFileError, match=message):
            load_style_model(path)
    path.write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(ModelFileError, match="not a readable checkpoint|is damaged"):
        load_style_model(path)


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.target,))


@pytest.mark.parametrize("legacy", [False, True])
def test_loading_executes_nothing(tmp_path: Path, legacy: bool) -> None:
    path, trace = tmp_path / "evil.ckpt", tmp_path / "executed"
    if legacy:
        path.write_bytes(pickle.dumps({"state_dict": {}, "fast_style": Evil(trace)}))
    else:
        torch.save({"state_dict": {}, "fast_style": Evil(trace)}, path)
    with pytest.raises(ModelFileError, match=r"evil.ckpt"):
        load_style_model(path)
    assert not trace.exists()
    pickle.loads(pickle.dumps(Evil(trace)))  # the trap itself works
    assert trace.exists()

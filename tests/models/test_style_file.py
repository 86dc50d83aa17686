from __future__ import annotations

import json
import pickle
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support import TINY_NETWORK
from torch import Tensor, nn

from fast_style.models.network import build_network
from fast_style.models.style_file import (
    ModelFileError,
    find_style_model,
    load_style_model,
    save_style_model,
)
from fast_style.system.resources import shipped_styles

DESCRIPTION: dict[str, Any] = {
    "network": TINY_NETWORK,
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
    network = build_network(TINY_NETWORK)
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
    network = build_network(TINY_NETWORK)
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
    save_style_model(path, build_network(TINY_NETWORK), DESCRIPTION)
    before = path.read_bytes()

    def full_disk(self: Path, data: bytes) -> None:
        with self.open("wb") as file:
            file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match=re.escape(f"'{path}'")):
        save_style_model(path, build_network(TINY_NETWORK), DESCRIPTION)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_weights_that_diverged_are_not_saved(tmp_path: Path) -> None:
    network = build_network(TINY_NETWORK)
    with torch.no_grad():
        next(iter(network.parameters())).fill_(torch.inf)
    with pytest.raises(ModelFileError, match="not finite"):
        save_style_model(tmp_path / "mine.safetensors", network, DESCRIPTION)
    assert list(tmp_path.iterdir()) == []


def test_released_styles_are_found_by_name() -> None:
    assert "starry" in shipped_styles()
    for name, path in shipped_styles().items():
        assert find_style_model(name) == path
        model = load_style_model(name)
        assert model.name == name  # results of two are told apart by it
        largest = {"johnson": 3_500_000, "slim": 500_000}[model.description["network"]["name"]]
        assert path.stat().st_size <= largest


def test_an_unknown_name() -> None:
    with pytest.raises(ModelFileError, match=r"monet: .*starry"):
        find_style_model("monet")


def test_headers_that_are_wrong(tmp_path: Path, tiny_model: Path) -> None:
    good = load_style_model(tiny_model).description
    target = tmp_path / "bad.safetensors"
    cases: list[tuple[object, str]] = [
        ("{", "header .*JSON"),
        ("[" * 100_000, "header .*JSON"),
        ([], "header .*JSON object"),
        ({}, "no format version"),
        (good | {"format_version": "1"}, "no format version"),
        (good | {"format_version": 2}, "format version 2, .* 1: update"),
        (good | {"style": "tiny"}, "names no style"),
        (good | {"style": {"name": 7}}, "names no style"),
        (good | {"style": {"name": "../up"}}, "names no style"),
        (good | {"style": {"name": "a\nb"}}, "names no style"),
        (good | {"style": {"name": "a" * 1000}}, "names no style"),
        (good | {"style": {"name": "mine", "size": "384"}}, "style.size "),
        (good | {"format_version": True}, "no format version"),
        (good | {"trainer": [1]}, "trainer .*section"),
        (good | {"loss": "johnson"}, "loss .*section"),
        (good | {"steps": "many"}, "steps .*number"),
        (good | {"steps": -1}, "steps .*number"),
        (good | {"seed": 10**30}, "a number without sense"),
        (good | {"seed": [torch.inf]}, "Infinity"),
        (good | {"palette": {"matrix": 3, "offset": [torch.nan]}}, "NaN"),
        (good | {"palette": {"matrix": 3, "offset": []}}, "palette .*matrix"),
        ('{"format_version": 1, "seed": %s}' % ("9" * 5000), "header .*JSON"),
        ('{"format_version": 1, "seed": 1, "seed": 2}', "a key is there twice"),
        (good | {"averaged": [[]] * 20_000}, "too many values"),
        (good | {"averaged": json.loads("[" * 50 + "]" * 50)}, "too many values"),
        (good | {"network": TINY_NETWORK | {"channels": "x" * 10**5}}, r"x\.\.\.$"),
        (good | {"network": None}, "describes no known network"),
        (good | {"network": TINY_NETWORK | {"name": "evil"}}, "network.name .*'evil'"),
        (
            good | {"network": TINY_NETWORK | {"residual_blocks": 10**9}},
            "residual_blocks .* 1000000000",
        ),
        (
            good | {"network": TINY_NETWORK | {"residual_blocks": 2}},
            "lacks .*residual.1",
        ),
        (good | {"network": TINY_NETWORK | {"residual_blocks": 0}}, "holds 'residual.0"),
        (good | {"network": TINY_NETWORK | {"channels": [4096] * 3}}, "its network needs"),
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
        (None, f"lacks .*{key}"),
        (torch.zeros(4), rf"{key}.*\(4,\).* \(3,\)"),
        (torch.zeros(3, dtype=torch.bool), f"{key}.*floating-point"),
        (torch.zeros(3, dtype=torch.int32), f"{key}.*floating-point"),
        (torch.full((3,), torch.nan), "not finite numbers"),
    ]
    for value, message in cases:
        rewrite(tiny_model, target, header, **{key: value})
        with pytest.raises(ModelFileError, match=message):
            load_style_model(target)


def test_files_of_something_else(tmp_path: Path, tiny_model: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(1)}, other)
    with pytest.raises(ModelFileError, match="other.safetensors .*not a style model"):
        load_style_model(other)
    for name, data in (
        ("empty.safetensors", b""),
        ("cut.safetensors", tiny_model.read_bytes()[:-100]),
        ("noise.safetensors", bytes(range(256)) * 10),
        ("huge.safetensors", (2**63 - 1).to_bytes(8, "little") + b"{}"),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(ModelFileError, match=f"{name} is damaged"):
            load_style_model(path)
    for path in (tmp_path / "missing.safetensors", tmp_path):
        with pytest.raises(ModelFileError, match=f"no style model {re.escape(str(path))}"):
            load_style_model(path)


def test_checkpoints_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    for content, message in (
        ([1, 2], "last.ckpt .*not a checkpoint"),
        ({"state_dict": {}}, "last.ckpt .*not a checkpoint"),
        ({"state_dict": {}, "fast_style": DESCRIPTION}, "lacks .*decoder"),
        ({"state_dict": 3, "fast_style": DESCRIPTION}, "last.ckpt .*not a checkpoint"),
        ({"state_dict": {}, "fast_style": [DESCRIPTION]}, "last.ckpt .*not a checkpoint"),
        ({"state_dict": {3: 4}, "fast_style": DESCRIPTION}, "lacks .*decoder"),
        ({"state_dict": {}, "fast_style": {3: 4}}, "not plain data"),
        ({"state_dict": {}, "fast_style": {"seed": torch.zeros(1)}}, "not plain data"),
        ({"state_dict": {}, "fast_style": DESCRIPTION | {"seed": torch.nan}}, "without sense"),
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


# The networks of pytorch/examples


class ExamplesConv(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(inputs, outputs, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        half = self.conv2d.kernel_size[0] // 2
        y: Tensor = self.conv2d(nn.functional.pad(x, (half,) * 4, mode="reflect"))
        return y


class ExamplesNetwork(nn.Module):
    """What pytorch/examples' fast_neural_style trains, written anew from its description."""

    def __init__(self) -> None:
        super().__init__()
        conv = ExamplesConv
        self.conv1, self.conv2 = conv(3, 32, 9), conv(32, 64, 3, 2)
        self.conv3 = conv(64, 128, 3, 2)
        for number in range(1, 6):
            block = nn.Module()
            block.conv1, block.conv2 = conv(128, 128, 3), conv(128, 128, 3)
            block.in1 = nn.InstanceNorm2d(128, affine=True)
            block.in2 = nn.InstanceNorm2d(128, affine=True)
            setattr(self, f"res{number}", block)
        self.deconv1, self.deconv2, self.deconv3 = conv(128, 64, 3), conv(64, 32, 3), conv(32, 3, 9)
        for number, width in enumerate((32, 64, 128, 64, 32), 1):
            setattr(self, f"in{number}", nn.InstanceNorm2d(width, affine=True))

    def forward(self, image: Tensor) -> Tensor:
        """Take and give 0-255."""
        part, y = self.get_submodule, image
        for number in (1, 2, 3):
            y = torch.relu(part(f"in{number}")(part(f"conv{number}")(y)))
        for number in range(1, 6):
            block = part(f"res{number}").get_submodule
            y = y + block("in2")(block("conv2")(torch.relu(block("in1")(block("conv1")(y)))))
        for number in (1, 2):
            y = nn.functional.interpolate(y, scale_factor=2, mode="nearest")
            y = torch.relu(part(f"in{number + 3}")(part(f"deconv{number}")(y)))
        result: Tensor = self.deconv3(y)
        return result


@pytest.mark.parametrize("suffix", [".pth", ".model"])
def test_a_network_of_pytorch_examples_paints_as_it_did(tmp_path: Path, suffix: str) -> None:
    torch.manual_seed(0)
    theirs = ExamplesNetwork()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if ".conv2d" not in name:  # as training leaves the norms
                parameter.add_(torch.randn_like(parameter) * 0.2)
        theirs.deconv3.conv2d.weight.mul_(100)
        theirs.get_parameter("deconv3.conv2d.bias").add_(120)
    state = theirs.state_dict()
    state["in1.running_mean"] = torch.zeros(32)  # as files of older PyTorch have
    path = tmp_path / f"my mosaic{suffix}"
    torch.save(state, path)
    model = load_style_model(path)
    assert model.name == "my_mosaic"
    image = torch.rand(1, 3, 64, 48)
    with torch.no_grad():
        expected, found = theirs(image * 255) / 255, model.network(image)
    assert float(expected.std()) > 0.1
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    # It can be kept as a model of ours.
    kept = tmp_path / "mosaic.safetensors"
    save_style_model(kept, model.network, model.description)
    assert load_style_model(kept).name == "my_mosaic"


def test_a_pth_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(ModelFileError, match="other.pth .*pytorch/examples"):
        load_style_model(path)
    state = ExamplesNetwork().state_dict()
    del state["in5.bias"]
    torch.save(state, path)
    with pytest.raises(ModelFileError, match="lacks .*decoder.1.1.bias"):
        load_style_model(path)


def test_a_runs_folder_is_told_its_model(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"a folder; .*\.safetensors"):
        load_style_model(tmp_path)
    run = tmp_path / "2026-01-31"
    run.mkdir()
    (run / "mine.safetensors").touch()
    with suppress(OSError, NotImplementedError):  # Windows asks for a right
        (run / "broken.safetensors").symlink_to(run / "nowhere")
    for folder in (tmp_path, run):
        with pytest.raises(ModelFileError, match=r"did you mean .*2026-01-31.mine\.safetensors"):
            load_style_model(folder)

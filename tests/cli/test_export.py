"""Exported models: their own runtime's results against ours, any size, metadata, refusals."""

from __future__ import annotations

import json
import re
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fast_style import export
from fast_style.export import CHECKED_SIZES
from fast_style.painting.style import load

onnxruntime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.filterwarnings("ignore")  # the exporters' own


def run_onnx(path: Path) -> Callable[[Any], Any]:
    session = onnxruntime.InferenceSession(path)
    return lambda image: session.run(None, {"image": image})[0]


def run_openvino(path: Path) -> Callable[[Any], Any]:
    compiled = pytest.importorskip("openvino").Core().compile_model(path, "CPU")
    return lambda image: compiled(image)[0]


def run_torchscript(path: Path) -> Callable[[Any], Any]:
    module = torch.jit.load(path)
    return lambda image: module(torch.from_numpy(image)).detach().numpy()


def run_pt2(path: Path) -> Callable[[Any], Any]:
    module = torch.export.load(path).module()
    return lambda image: module(torch.from_numpy(image)).detach().numpy()


RUNNERS = {".onnx": run_onnx, ".xml": run_openvino, ".pt": run_torchscript, ".pt2": run_pt2}


def paths_in(file: Path) -> list[str]:
    """Return the folders of this machine that a file names, packed or not."""
    data = [file.read_bytes()]
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            data += [archive.read(name) for name in archive.namelist()]
    folders = [Path(export.__file__).parent, Path(torch.__file__).parent, Path.cwd(), Path.home()]
    names = [str(folder) for folder in (*folders, file.parent, Path(tempfile.gettempdir()))]
    return [name for name in names if any(name.encode() in part for part in data)]


def exported(model: Path, output: Path, value_range: int, *more: str) -> Callable[[Any], Any]:
    """Export a model by the command, and return what runs the file in its own runtime.

    Whatever the format, no path of the maker's machine is in the file.
    """
    if output.suffix == ".xml":
        pytest.importorskip("openvino")
    assert export.main([str(model), str(output), "--range", str(value_range), *more]) == 0
    for file in output.parent.glob(f"{output.stem}.*"):
        assert paths_in(file) == [], file
    return RUNNERS[output.suffix](output)


def stylized(model: Path, image: Any, palette: float = 0.0) -> Any:
    """Return what stylize makes of pictures, without its grain."""
    style = load(model, "cpu", "float32", "torch")
    return style(torch.from_numpy(image), grain=0, palette=palette).numpy()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "value_range"),
    [(".onnx", 255), (".xml", 1), (".pt", 1), (".pt", 255), (".pt2", 255)],
)
def test_results_are_those_of_stylize_at_any_size(
    suffix: str, value_range: int, tiny_model: Path, tmp_path: Path
) -> None:
    runner = exported(tiny_model, tmp_path / f"model{suffix}", value_range)
    for shape in ((1, 3, 32, 32), (3, 3, 33, 70), (1, 3, 101, 66)):
        assert (shape[0], *shape[2:]) not in CHECKED_SIZES
        image = np.random.default_rng(0).random(shape, dtype=np.float32)
        expected = stylized(tiny_model, image)
        found = runner(image * value_range) / value_range
        assert found.shape == expected.shape
        assert np.abs(found - expected).mean() < 0.5 / 255
        assert np.abs(found - expected).max() < 2 / 255  # at the border too


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "value_range"), [(".onnx", 255), (".xml", 1), (".pt", 255), (".pt2", 1)]
)
def test_the_paintings_colours_are_part_of_the_file(
    suffix: str, value_range: int, warmer: Path, tmp_path: Path
) -> None:
    runner = exported(warmer, tmp_path / f"model{suffix}", value_range, "--palette", "0.7")
    for shape in ((1, 3, 32, 32), (3, 3, 33, 70), (1, 3, 272, 66)):
        image = np.random.default_rng(0).random(shape, dtype=np.float32)
        expected = stylized(warmer, image, palette=0.7)
        found = runner(image * value_range) / value_range
        assert np.abs(found - expected).max() < 1 / 255
        assert np.abs(stylized(warmer, image) - expected).mean() > 5 / 255


def test_a_palette_out_of_range(
    warmer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export.main([str(warmer), str(tmp_path / "m.pt"), "--palette", "2"]) == 2
    assert re.search(r"palette .*0 to 1.* 2\.0$", capsys.readouterr().err)


def test_a_traced_model_is_bound_to_no_device(warmer: Path, tmp_path: Path) -> None:
    output = tmp_path / "model.pt"
    assert export.main([str(warmer), str(output)]) == 0
    graph = str(torch.jit.load(output).inlined_graph)
    assert "aten::_convolution" in graph
    assert "Device =" not in graph


def test_neither_of_two_files_is_replaced(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "m.bin"
    other.write_bytes(b"another's")
    assert export.main([str(tiny_model), str(tmp_path / "m.xml")]) == 2
    assert f"{other} exists; --overwrite replaces it" in capsys.readouterr().err
    assert other.read_bytes() == b"another's"
    assert export.main([str(tiny_model), str(tmp_path / "m.pt")]) == 0  # has no second file


def test_half_the_size(tiny_model: Path, tmp_path: Path) -> None:
    output = tmp_path / "half.onnx"
    assert export.main([str(tiny_model), str(output), "--half"]) == 0
    image = np.random.default_rng(0).random((1, 3, 64, 64), dtype=np.float32)
    found = run_onnx(output)(image)
    assert found.dtype == np.float32
    assert np.abs(found - stylized(tiny_model, image)).mean() < 1 / 255
    onnx = pytest.importorskip("onnx")
    onnx.checker.check_model(output, full_check=True)
    tensors = onnx.load(output).graph.initializer
    weights = [tensor for tensor in tensors if len(tensor.dims) == 4]
    assert weights
    assert all(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in weights)


def test_the_model_says_what_it_takes(tiny_model: Path, tmp_path: Path) -> None:
    output = tmp_path / "model.onnx"
    assert export.main([str(tiny_model), str(output), "--range", "255"]) == 0
    session = onnxruntime.InferenceSession(output)
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata["range"] == "0-255"
    assert metadata["name"] == "tiny"
    assert json.loads(metadata["fast_style"])["network"]["name"] == "johnson"
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    assert (given.name, made.name) == ("image", "stylized")
    assert [size for size in given.shape if isinstance(size, int)] == [3]


def test_a_file_that_disagrees_is_not_kept(
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Were the exporter wrong about the network, nothing would be written."""
    write = export._write_onnx

    def wrong(portable: export.Portable, *rest: Any) -> Any:
        runner = write(portable, *rest)
        return lambda image: runner(image) + 0.1

    monkeypatch.setattr(export, "_write_onnx", wrong)
    output = tmp_path / "out" / "model.onnx"
    assert export.main([str(tiny_model), str(output)]) == 2
    assert "PyTorch by 25.50 levels" in capsys.readouterr().err
    assert not output.parent.exists()


def test_a_file_that_its_runtime_refuses_is_not_kept(
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from onnxruntime.transformers.onnx_model import OnnxModel

    monkeypatch.setattr(OnnxModel, "graph_topological_sort", lambda graph: None)
    output = tmp_path / "half.onnx"
    assert export.main([str(tiny_model), str(output), "--half"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{output} is not kept" in line
    assert "sorted" in line
    assert not output.exists()


@pytest.mark.parametrize("suffix", [".onnx", ".xml", ".pt"])  # .pt2's takes long: others make it
def test_no_path_of_the_makers_machine_is_in_the_file(
    suffix: str, tiny_model: Path, tmp_path: Path
) -> None:
    exported(tiny_model, tmp_path / f"model{suffix}", 1)


def test_a_failing_export_leaves_the_old_pair(
    tiny_model: Path,
    warmer: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "model.xml"
    exported(tiny_model, output, 1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    replace = Path.replace

    def fails(path: Path, target: Path) -> Path:
        if target == output and path.name.startswith(".part-"):
            raise OSError(28, "No space left on device")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", fails)
    assert export.main([str(warmer), str(output), "--range", "255", "--overwrite"]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    run_openvino(output)


@pytest.mark.parametrize("name", ["model.xml", "model.bin"])
def test_a_file_that_appears_meanwhile_is_kept(
    name: str,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("openvino")
    check = export._check

    def slow(*arguments: Any) -> None:
        check(*arguments)
        (tmp_path / name).write_text("precious")

    monkeypatch.setattr(export, "_check", slow)
    assert export.main([str(tiny_model), str(tmp_path / "model.xml")]) == 2
    assert f"{name} exists; --overwrite replaces it" in capsys.readouterr().err
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{model}", "model.onx"], "model.onx must end in .onnx, .xml, .pt, .pt2"),
        (["{model}", "model.pt", "--half"], "--half is for .onnx and .xml"),
        (["nowhere", "model.onnx"], "no style model nowhere"),
    ],
)
def test_wrong_use(
    arguments: list[str], message: str, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export.main([text.replace("{model}", str(tiny_model)) for text in arguments]) == 2
    assert message in capsys.readouterr().err


def test_an_existing_file_is_kept(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "model.pt"
    output.write_text("precious")
    assert export.main([str(tiny_model), str(output)]) == 2
    assert "--overwrite replaces it" in capsys.readouterr().err
    assert output.read_text() == "precious"


def test_a_missing_package_is_named(
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    assert export.main([str(tiny_model), str(tmp_path / "model.onnx")]) == 2
    assert "[onnx]'" in capsys.readouterr().err

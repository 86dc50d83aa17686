"""Backends: the same pictures from each, the fastest by itself, and refusals."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fast_style import stylize
from fast_style.images.reading import read_picture
from fast_style.models.onnx_graph import _Graph
from fast_style.painting import backends
from fast_style.painting.backends import resolve_backend
from fast_style.painting.style import Style, load
from fast_style.system.devices import cpu_has_bfloat16
from fast_style.system.resources import asset, shipped_styles

CPU = torch.device("cpu")
OTHERS = ("onnxruntime", "openvino")
LEVEL = 1 / 255


def available(backend: str) -> str:
    for package in backends.NEEDS.get(backend, ()):
        pytest.importorskip(package)
    return backend


def sky() -> Tensor:
    """Return a plain gradient: next to nothing for instance normalisation to hold on to."""
    ends = torch.tensor([[0.3, 0.6], [0.5, 0.7], [0.8, 0.9]]).view(1, 3, 2, 1)
    return F.interpolate(ends, (200, 160), mode="bilinear", align_corners=True)


@pytest.mark.parametrize("name", ["starry", "starry-slim"])
@pytest.mark.parametrize("backend", ["torch", *OTHERS])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_all_backends_paint_the_same_picture(name: str, backend: str, precision: str) -> None:
    photograph = read_picture(asset("photos/val/kingfisher.jpg")).rgb[..., :192, :192]
    assert name in shipped_styles()
    expected = load(name, "cpu", "float32", backend="torch")(photograph)
    found = load(name, "cpu", precision, backend=available(backend))(photograph)
    assert found.shape == expected.shape
    assert (found - expected).abs().mean() < (1.2 if precision == "bfloat16" else 0.1) * LEVEL


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_bfloat16_leaves_a_plain_sky_alone(backend: str) -> None:
    """With the encoder in bfloat16 the mean difference is 10 levels and more."""
    if not cpu_has_bfloat16():
        pytest.skip("this CPU does not compute in bfloat16")
    expected = load("starry", "cpu", "float32", backend="torch")(sky())
    found = load("starry", "cpu", "bfloat16", backend=available(backend))(sky())
    assert (found - expected).abs().mean() < 4 * LEVEL


@pytest.mark.parametrize("backend", OTHERS)
@pytest.mark.parametrize("size", [(32, 32), (33, 50), (47, 35)])
def test_any_size(backend: str, size: tuple[int, int], tiny_model: Path) -> None:
    picture = torch.rand(2, 3, *size)
    expected = load(tiny_model, "cpu", "float32", backend="torch")(picture)
    found = load(tiny_model, "cpu", "float32", backend=available(backend))(picture)
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)


@pytest.mark.parametrize("backend", ["torch", *OTHERS])
def test_several_threads(backend: str, tiny_model: Path) -> None:
    style = load(tiny_model, "cpu", backend=available(backend))
    pictures = [torch.rand(1, 3, 40 + 4 * n, 60 - 4 * n) for n in range(6)]
    expected = [style(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(style, pictures))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("installed", "dtype", "expected"),
    [
        ({"onnx", "openvino", "onnxruntime"}, torch.float32, "openvino"),
        ({"onnx", "onnxruntime"}, torch.float32, "onnxruntime"),
        ({"onnx", "onnxruntime"}, torch.bfloat16, "torch"),
        ({"openvino", "onnxruntime"}, torch.float32, "torch"),  # both need onnx
        (set(), torch.float32, "torch"),
    ],
)
def test_auto_is_the_fastest_that_is_installed(
    installed: set[str], dtype: torch.dtype, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "find_spec", lambda name: name if name in installed else None)
    assert resolve_backend("auto", CPU, dtype) == expected
    assert resolve_backend("auto", torch.device("cuda"), dtype) == "torch"


def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(backends, "find_spec", lambda name: None)
    arguments = [str(tiny_model), "photo.jpg", "--backend", "openvino"]
    assert stylize.main(arguments) == 2
    assert "[openvino]'" in capsys.readouterr().err


def test_a_backend_that_does_not_start(
    monkeypatch: pytest.MonkeyPatch, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("openvino")

    def broken() -> None:
        raise RuntimeError("no plug-in")

    monkeypatch.setattr(backends, "openvino_core", broken)
    assert stylize.main([str(tiny_model), "photo.jpg", "--backend", "openvino"]) == 2
    message = capsys.readouterr().err
    assert "backend openvino " in message
    assert "(no plug-in)" in message
    assert "--backend torch" in message


@pytest.mark.parametrize(
    "error", [RuntimeError("no\nplug-in"), ImportError("libtbb.so"), AttributeError("no Core")]
)
@pytest.mark.parametrize("backend", OTHERS)
def test_what_auto_has_chosen_and_does_not_start_is_left(
    backend: str,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    tiny_model: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    others = [one for one in OTHERS if one != available(backend)]

    def broken(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(backends, f"_{backend}", broken)
    monkeypatch.setattr(
        backends, "_missing_packages", lambda name: others if name in others else []
    )
    backends.warn_once.cache_clear()
    picture = torch.rand(1, 3, 40, 40)
    for _ in range(2):
        style = load(tiny_model, "cpu", "float32")
        assert style.backend == backend
        expected = load(tiny_model, "cpu", "float32", "torch").paint(picture)
        torch.testing.assert_close(style.paint(picture), expected)
        assert style.backend == "torch"
    (line,) = caplog.messages  # once for the process
    assert f"backend {backend} " in line
    assert "torch paints" in line
    assert "\n" not in line
    with pytest.raises(ValueError, match=f"backend {backend} "):
        load(tiny_model, "cpu", "float32", backend)
    backends.warn_once.cache_clear()


def test_signals_after_a_style_was_dropped_in_another_thread(tiny_model: Path) -> None:
    pytest.importorskip("openvino")
    program = f"""
import os, signal, threading
import torch
from fast_style import load
signal.signal(signal.SIGINT, signal.default_int_handler)
styles = [load({str(tiny_model)!r}, backend="openvino")]
styles[0].paint(torch.rand(1, 3, 64, 64))
thread = threading.Thread(target=styles.clear)
thread.start()
thread.join()
try:
    os.kill(os.getpid(), signal.SIGINT)
    signal.pause()
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "interrupted\n")


@pytest.mark.parametrize(
    ("name", "device", "message"),
    [
        ("tensorrt", CPU, "auto, torch, onnxruntime, openvino"),
        ("openvino", torch.device("cuda"), "openvino .*'cuda'"),
    ],
)
def test_wrong_use(name: str, device: torch.device, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve_backend(name, device, torch.float32)


def test_a_style_says_its_backend(tiny_model: Path) -> None:
    style: Style = load(tiny_model, "cpu", backend="torch")
    assert style.backend == "torch"


def test_a_layer_that_has_no_graph_is_named() -> None:
    with pytest.raises(ValueError, match="ONNX.* Tanh"):
        _Graph()._layer(nn.Tanh(), "x", "image")


def test_openvino_does_not_tell_that_it_is_used() -> None:
    """It would over the internet, from a process that it starts when it is imported."""
    pytest.importorskip("openvino")
    pytest.importorskip("openvino_telemetry")
    program = """
import sys
from fast_style.painting.backends import openvino_core
openvino_core()
print(any(name.startswith("openvino_telemetry") for name in sys.modules))
import openvino_telemetry  # other programs still can
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False"]
    assert done.stderr == ""

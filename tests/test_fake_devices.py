"""Everything that computes, on a GPU that is not there: ``cuda`` and ``mps`` are pretended.

All runs as it is, forward and backward, with real values (see pretended.py), and must give what it
gives on the CPU. What stands in for something: the GPU's free memory, and ``synchronize``.

They cannot see: what a device has no kernel for (but for float64, which MPS has not at all), or
computes otherwise; where autograd puts gradients; streams and synchronisation; memory; autocast,
which is the CPU's; what OpenVINO and onnxruntime do. A film's frames are on the CPU, and only
painted elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from functools import cache, partial
from typing import Any

import pytest
import torch
from pretended import Pretended
from support import TINY_NETWORK

from fast_style.cli.loss_options import load_preset
from fast_style.images.color import match_color
from fast_style.images.picture import Picture
from fast_style.models import loss_sums, vgg
from fast_style.models.losses import PerceptualLoss
from fast_style.models.network import build_network, network_names
from fast_style.models.palette import Palette, measure_palette
from fast_style.models.style_file import StyleModel
from fast_style.optimizing import comparison
from fast_style.optimizing.comparison import measure_network, measure_optimizer
from fast_style.optimizing.descent import optimize_pixels
from fast_style.optimizing.start_picture import start_picture
from fast_style.painting import strips
from fast_style.painting.controls import Controls, PaintJob
from fast_style.painting.painter import BLEND, Painter
from fast_style.painting.steadiness import Movement, Steady, flicker
from fast_style.painting.style import Style
from fast_style.reconstruct import reconstruction_loss
from fast_style.system import memory
from fast_style.training.module import OPTIMIZERS, StyleModule, take_into_mean

MATRIX = [[1.2, 0.1, 0.0], [0.1, 1.3, -0.1], [0.0, -0.1, 1.5]]
HEIGHT, WIDTH = 40, 56
WEIGHTS = cache(vgg.load_weights)


@pytest.fixture(params=["cuda", "mps"])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Pretend that there is this device."""
    for module in (strips, memory):
        monkeypatch.setattr(module, "free_memory", lambda device: 10**12)
    monkeypatch.setattr(comparison, "_wait", lambda result: None)
    autocast, is_enabled = torch.autocast, torch.is_autocast_enabled
    monkeypatch.setattr(torch, "autocast", lambda device, *a, **k: autocast("cpu", *a, **k))
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: is_enabled("cpu"))
    monkeypatch.setattr(vgg, "load_weights", WEIGHTS)
    loss_sums._multiplies_to_float32.cache_clear()
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    with Pretended():
        yield request.param
    torch.__future__.set_overwrite_module_params_on_conversion(before)
    loss_sums._multiplies_to_float32.cache_clear()


def a_style(device: str, design: str = "johnson", precision: str = "float32") -> Style:
    description = {
        "network": {**TINY_NETWORK, "name": design},
        "style": {"name": "tiny"},
        "palette": {"matrix": MATRIX, "offset": [0.1, 0.0, -0.1]},
    }
    torch.manual_seed(0)
    network = build_network(description["network"]).eval().requires_grad_(False)
    return Style(StyleModel(network, description), device, precision, backend="torch")


CONTROLS: list[dict[str, Any]] = [
    {"grain": 0, "palette": 0},
    {},
    {"size": 48},
    {"stroke": 1.2},
    {"strength": 0.5},
    {"preserve_color": "luminance"},
    {"preserve_color": "match"},
    {"size": 60, "stroke": 0.8, "strength": 0.3, "preserve_color": "match", "palette": 0.5},
]


@pytest.mark.slow
@pytest.mark.parametrize("design", network_names())
@pytest.mark.parametrize(("precision", "tile"), [("float32", "off"), ("bfloat16", 24)])
def test_all_controls(device: str, design: str, precision: str, tile: str | int) -> None:
    painter, expected = (a_style(place, design, precision) for place in (device, "cpu"))
    given = torch.rand(2, 3, HEIGHT, WIDTH)
    for controls in CONTROLS:
        wanted = expected(given, **controls, tile=tile)
        for place in ("cpu", device):
            painted = painter(given.to(place), **controls, tile=tile)
            assert painted.device.type == place
            assert (painted.cpu() - wanted).abs().mean() < 0.5 / 255
    assert painter(given[0].to(device), tile=tile).device.type == device


@pytest.mark.slow
@pytest.mark.parametrize("tile", ["off", 24])
def test_files_blends_and_films(device: str, tile: str | int) -> None:
    """As ``stylize`` paints them: bytes, on the CPU; with and without transparency."""
    styles = {"one": a_style(device), "two": a_style(device, "slim")}
    levels = torch.zeros(1, 3, HEIGHT, WIDTH, dtype=torch.uint8)
    alpha = torch.rand(1, 1, HEIGHT, WIDTH)
    for controls in CONTROLS:
        job = PaintJob(Controls(**controls), tile)
        painter = Painter(styles, {"one": 0.7, "two": 0.3}, job)
        for picture in (Picture(levels, None), Picture(levels, alpha)):
            painted = painter.painted(BLEND, picture)
            assert painted.levels.device.type == "cpu"
            assert painted.levels.dtype == torch.uint8
        film = Steady(partial(painter.with_size(None).painted, BLEND), 0.7)
        frames = [film(Picture(levels, None)).rgb for _ in range(3)]
        assert {frame.device.type for frame in frames} == {"cpu"}


def test_films_are_steadied_and_measured_where_they_are(device: str) -> None:
    still = torch.randint(0, 256, (1, 3, 64, 80), dtype=torch.uint8).to(device)
    seen: list[Movement] = []

    def paint(frame: Picture, moved: Movement) -> Picture:
        seen.append(moved)
        return frame

    steady = Steady(paint, 0.7)
    frames = [steady(Picture(still.roll(n, -1), None)).rgb for n in range(3)]
    assert seen[-1] == (0, 2)
    assert flicker(frames, frames) >= 0
    assert frames[-1].device.type == device


@pytest.mark.parametrize("preset", ["crisp", "gatys"])
def test_a_network_and_the_optimiser_are_measured(device: str, preset: str) -> None:
    loss = PerceptualLoss(torch.rand(1, 3, 40, 40), **load_preset(preset)).to(device)
    content = torch.rand(1, 3, HEIGHT, WIDTH).to(device)
    found = measure_network(a_style(device), loss, content)
    start = start_picture("noise", content, [], 0)
    run = measure_optimizer(loss, content, start, 3, 0.0, lambda now: None)
    assert len(run["best_loss"]) == 3
    assert found["scalars"].keys() == run["at"][1].keys() if 1 in run["at"] else found["scalars"]


@pytest.mark.parametrize(("algorithm", "init"), [("lbfgs", "noise"), ("adam", "style")])
def test_pixels_are_optimised(device: str, algorithm: str, init: str) -> None:
    content = torch.rand(1, 3, HEIGHT, WIDTH).to(device)
    paintings = [match_color(torch.rand(1, 3, side, side).to(device), content) for side in (48, 64)]
    loss = PerceptualLoss(
        [one.cpu() for one in paintings], **load_preset("crisp"), style_shares=[1.0, 2.0]
    ).to(device)
    targets = loss.content_targets(content)
    start = start_picture(init, content, paintings, 0)
    best = optimize_pixels(lambda x: loss.compare(x, targets), start, 3, algorithm)
    assert (best.device.type, best.shape) == (device, content.shape)


@pytest.mark.parametrize(("kind", "normalization"), [("content", "relative"), ("style", "mean")])
def test_layers_are_reconstructed(device: str, kind: str, normalization: str) -> None:
    image = torch.rand(1, 3, HEIGHT, WIDTH)
    loss = reconstruction_loss(kind, image, ["relu1_1", "relu3_1"], normalization, 1e-6).to(device)
    targets = loss.content_targets(image.to(device))
    start = start_picture("noise", image.to(device), [], 0)
    best = optimize_pixels(lambda x: loss.compare(x, targets), start, 2)
    assert best.device.type == device


@pytest.mark.parametrize(
    ("preset", "dtype", "method"),
    [
        ("crisp", torch.bfloat16, "muon"),
        ("balanced", torch.float32, "muon"),
        ("gatys", torch.bfloat16, "adam"),
        ("johnson", torch.float32, "adam"),
    ],
)
def test_a_training_step(
    device: str,
    preset: str,
    dtype: torch.dtype,
    method: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Forward, backward, the optimiser, the mean of the weights, and the palette at the end."""
    monkeypatch.setattr(StyleModule, "_is_written", False)
    network = build_network(TINY_NETWORK)
    loss = PerceptualLoss(torch.rand(1, 3, 40, 40), **load_preset(preset), dtype=dtype)
    description: dict[str, Any] = {"network": TINY_NETWORK, "style": {"name": "tiny"}}
    options: dict[str, Any] = {"method": method, "learning_rate": 1e-3, "warmup": 0.1}
    module = StyleModule(
        network, loss, **options, objective="mean_log", schedule="averaged", description=description
    ).to(device)
    content = torch.rand(2, 3, 40, 40).to(device)
    is_mixed = dtype == torch.bfloat16
    optimizer = OPTIMIZERS[method](module.network, 1e-3)
    with torch.autocast(device, dtype) if is_mixed else nullcontext():
        total = module.training_step(content, 0)
    total.backward()
    gradients = [p.grad for p in module.network.parameters() if p.grad is not None]
    assert len(gradients) == len(list(module.network.parameters()))
    torch.nn.utils.get_total_norm(gradients)
    optimizer.step()
    assert module.average is not None
    take_into_mean(module.average, module.network, 1)
    palette = measure_palette(module.trained, torch.rand(2, 3, 40, 40), torch.rand(1, 3, 40, 40))
    assert isinstance(palette, Palette)

"""Paintings that are enlarged and painted over."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fast_style.images.picture import Picture, as_bytes, as_float, resize
from fast_style.painting import enlarging
from fast_style.painting.any_style import paint_job
from fast_style.painting.enlarging import enlarge, step_sizes
from fast_style.painting.style import Style, load


def painting(height: int, width: int) -> Tensor:
    """Return a picture with forms of all sizes, ``(1, 3, H, W)``, uint8."""
    torch.manual_seed(0)
    coarse = torch.rand(1, 3, 6, 6)
    large = F.interpolate(coarse, (height, width), mode="bicubic")
    return as_bytes(large * 0.6 + 0.2 + 0.1 * torch.randn(1, 3, height, width))


def noisy(shown: Tensor) -> Tensor:
    """Return a stand-in for what a network makes of a picture: all is darker, with much detail."""
    generator = torch.Generator().manual_seed(1)
    noise = 60 * torch.randn(shown.shape, generator=generator)
    return (shown.float() * 0.5 + noise).clamp(0, 255).round().to(torch.uint8)


def finest(levels: Tensor) -> float:
    """Return the energy of what is finer than squares of 2 px."""
    image = as_float(levels)
    means = F.avg_pool2d(image, 2)
    return float((image - F.interpolate(means, scale_factor=2)).square().mean())


@pytest.mark.parametrize(
    ("small", "large", "sizes"),
    [
        ((768, 1024), (1536, 2048), [(1536, 2048)]),
        ((683, 1024), (1600, 2400), [(1600, 2400)]),
        ((768, 1024), (3025, 4033), [(1513, 2017), (3025, 4033)]),
        ((683, 1024), (8000, 12000), [(1000, 1500), (2000, 3000), (4000, 6000), (8000, 12000)]),
    ],
)
def test_each_step_but_the_first_doubles(
    small: tuple[int, int], large: tuple[int, int], sizes: list[tuple[int, int]]
) -> None:
    assert step_sizes(small, large) == sizes


@pytest.mark.parametrize("sides", [(128, 192), (127, 191), (150, 225)])
def test_seen_small_the_result_is_the_painting(sides: tuple[int, int]) -> None:
    before = as_float(painting(64, 96))
    after = enlarge(before, *sides, noisy)
    assert after.shape == (1, 3, *sides)
    filled = F.pad(after, (0, sides[1] % 2, 0, sides[0] % 2), mode="replicate")
    seen, noise = (
        resize(one, 64, 96) for one in (filled, as_float(noisy(torch.full(after.shape, 255))))
    )
    assert (seen - before).abs().mean() < 0.5 * (noise - 0.5).abs().mean()


def test_the_added_detail_is_as_strong_as_the_paintings_own() -> None:
    before = as_float(painting(128, 128))
    after = enlarge(before, 256, 256, noisy)
    assert finest(after) == pytest.approx(finest(before), rel=0.25)
    plain = torch.full_like(before, 0.5)
    assert finest(enlarge(plain, 256, 256, noisy)) < 1e-4  # of the noise alone: 0.05


def test_bytes_are_the_rounded_floats() -> None:
    before = as_float(painting(75, 60))
    floats = enlarge(before, 149, 119, noisy)
    rounded = enlarge(before, 149, 119, noisy, torch.uint8)
    assert (floats.dtype, rounded.dtype) == (torch.float32, torch.uint8)
    assert (floats * 255 - rounded).abs().max() < 1.5


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_bands_are_not_to_be_seen(kind: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    before = as_float(painting(75, 60))
    whole = enlarge(before, 149, 119, noisy, kind)
    monkeypatch.setattr(enlarging, "BAND", 32)
    banded = enlarge(before, 149, 119, noisy, kind)
    difference = (as_float(whole) - as_float(banded)).abs()
    assert difference.max() <= (1.01 / 255 if kind == torch.uint8 else 1e-3)


def test_strokes_grow_with_the_picture_and_stay_crisp() -> None:
    style = load("starry-slim", "cpu", "float32", "torch")
    photograph = painting(640, 1600)
    fitting, own = (
        style.stylize(Picture(photograph, None), paint_job({"stroke": stroke})).levels
        for stroke in ("auto", 1.0)
    )
    small = as_bytes(F.interpolate(photograph / 255, (512, 1280), mode="bicubic", antialias=True))
    wanted = style.stylize(Picture(small, None), paint_job({"stroke": 1.0})).levels.float()
    seen = [
        F.interpolate(one.float(), (512, 1280), mode="bilinear", antialias=True)
        for one in (fitting, own)
    ]
    errors = [float((one - wanted).abs().mean()) for one in seen]
    assert errors[0] < 0.5 * errors[1]
    assert finest(fitting) > 0.8 * finest(own)


def test_strips_make_the_same_picture() -> None:
    style = load("starry-slim", "cpu", "float32", "torch")
    photograph = Picture(painting(300, 2000), None)
    whole, strips = (
        style.stylize(photograph, paint_job({"stroke": 2.0, "tile": tile})).levels
        for tile in ("off", 64)
    )
    difference = (whole.float() - strips.float()).abs()
    assert difference.mean() < 0.5  # levels: rounding, that the second painting amplifies
    assert difference.max() < 16


def test_if_the_last_step_is_in_strips_all_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a step before it, painted at once, would take more memory than the last one."""
    style = load("starry-slim", "cpu", "float32", "torch")
    strips: list[int | None] = []
    attempt = Style._attempt

    def attempted(self: Style, *arguments: Any) -> None:
        strips.append(arguments[2])
        attempt(self, *arguments)

    monkeypatch.setattr(Style, "_attempt", attempted)
    small, large = (style._pixel_bytes * side**2 for side in (350, 450))
    for free in (small, large):  # the last step has 432 px, with its margin; that before it 232
        strips.clear()
        monkeypatch.setattr("fast_style.painting.strips.MOST_OF_MEMORY", 1.0)
        monkeypatch.setattr("fast_style.painting.strips.free_memory", lambda _, free=free: free)
        style.stylize(Picture(painting(400, 400), None), paint_job({"stroke": 4.0}))
        assert len(strips) == 3
        assert all(one is None for one in strips) == (free == large)
        assert any(one is None for one in strips) == (free == large)


def test_early_steps_fall_back_to_smaller_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    style = load("starry-slim", "cpu", "float32", "torch")
    attempt = Style._attempt
    refused: list[torch.Size] = []

    def attempted(self: Style, levels: torch.Tensor, *others: Any) -> None:
        if levels.shape not in refused:
            refused.append(levels.shape)
            raise MemoryError
        attempt(self, levels, *others)

    monkeypatch.setattr(Style, "_attempt", attempted)
    monkeypatch.setattr("fast_style.painting.strips.MOST_OF_MEMORY", 0.0)
    result = style.stylize(Picture(painting(400, 400), None), paint_job({"stroke": 4.0}))
    assert result.levels.shape == (1, 3, 400, 400)
    assert len(refused) == 3  # once in each step

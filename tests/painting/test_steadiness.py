"""Flicker of painted films, and what keeps a painting still."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from stand_in import painted_by
from torch import Tensor

from fast_style.images.picture import Picture
from fast_style.painting.controls import Controls
from fast_style.painting.steadiness import STILL, Movement, Steady, change, flicker, movement

SIZE = (96, 144)


def noisy(count: int, levels: float, seed: int = 0) -> list[Tensor]:
    """Return frames of a grey film with a camera's noise."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(count, 1, 3, *SIZE, generator=generator) * levels / 255
    return list(0.5 + noise)


def scene(seed: int = 0) -> Tensor:
    """Return a picture, ``(1, 3, 4 H, 4 W)``, of smooth shapes."""
    coarse = torch.rand(1, 3, 24, 36, generator=torch.Generator().manual_seed(seed))
    size = (4 * SIZE[0], 4 * SIZE[1])
    return F.interpolate(coarse, size, mode="bicubic").clamp(0, 1)


def seen(picture: Tensor, down: int, right: int) -> Tensor:
    """Return a frame of a picture whose content stands so many quarters of a pixel lower."""
    height, width = picture.shape[-2:]
    rolled = picture.roll((down, right), (-2, -1))
    cut = rolled[..., 40 : height - 40, 40 : width - 40]
    return F.avg_pool2d(cut, 4)


def run(steady: float, film: list[Tensor], painted: list[Tensor]) -> list[Tensor]:
    """Return what is made of frames that are painted as given."""
    queue = iter(painted)

    def paint(frame: Picture, moved: Movement) -> Picture:
        return frame._replace(levels=next(queue))

    steadied = Steady(paint, steady)
    return [steadied(Picture(frame, None)).levels for frame in film]


def test_change_is_that_of_the_neighbourhood() -> None:
    before = torch.full((1, 3, 48, 80), 0.5)
    now = before.clone()
    now[..., 40:] += 0.1
    found = change(before, now)
    assert found.shape == (1, 1, 48, 80)
    assert float(found[..., :20].max()) == pytest.approx(0, abs=1e-6)
    assert float(found[..., 60:].min()) == pytest.approx(0.1, abs=1e-6)


def test_noise_is_a_small_change() -> None:
    first, second = noisy(2, 2)
    assert float(change(first, second).max()) * 255 < STILL / 2


def test_flicker_is_the_change_of_still_pixels() -> None:
    film = [torch.full((1, 3, 64, 96), 0.5) for _ in range(3)]
    painted = [torch.full((1, 3, 64, 96), value) for value in (0.2, 0.24, 0.22)]
    assert flicker(film, painted) == pytest.approx(255 * 0.03, rel=1e-4)
    film[1][..., 48:] = 0.9  # moves, and counts no more
    painted[1][..., 64:] = 0.9
    assert flicker(film, painted) == pytest.approx(255 * 0.03, rel=1e-4)
    assert math.isnan(flicker([torch.zeros(1, 3, 64, 96), torch.ones(1, 3, 64, 96)], film[:2]))


def test_what_moves_with_the_view_does_not_flicker() -> None:
    film = [seen(scene(), 0, 4 * n) for n in range(3)]
    strokes = torch.rand(film[0].shape, generator=torch.Generator().manual_seed(9))
    assert flicker(film, [strokes.roll(n, -1) for n in range(3)]) == 0
    assert flicker(film, [strokes] * 3) > 50


@pytest.mark.parametrize(
    ("down", "right"), [(0, 0), (4, 0), (0, -12), (-20, 28), (1, 0), (2, -3), (-7, 5)]
)
def test_the_movement_of_a_camera(down: int, right: int) -> None:
    """In quarters of a pixel, beneath a camera's noise."""
    picture = scene()
    noise = [one - 0.5 for one in noisy(2, 2)]
    frames = [
        seen(picture, *way) + F.interpolate(one, (76, 124))
        for way, one in zip([(0, 0), (down, right)], noise, strict=True)
    ]
    found = movement(*frames)
    assert found == pytest.approx((down / 4, right / 4), abs=0.15)


def test_a_large_picture_is_looked_at_smaller() -> None:
    picture = F.interpolate(scene(), (1152, 1728), mode="bicubic")
    found = movement(picture, picture.roll((8, -12), (-2, -1)))
    assert found == pytest.approx((8, -12), abs=1)


def test_a_still_film_is_painted_still() -> None:
    film, painted = noisy(12, 2), noisy(12, 20, seed=1)
    results = run(0.8, film, painted)
    assert flicker(film, results) < 0.35 * flicker(film, painted)
    torch.testing.assert_close(results[0], painted[0])
    # The colours stay on the whole: it is a mean over time.
    assert float((results[-1] - painted[-1]).mean()) == pytest.approx(0, abs=0.01)


def test_what_moves_is_painted_anew() -> None:
    film = [torch.full((1, 3, 64, 128), 0.2) for _ in range(2)]
    film[1][..., 64:] = 0.8
    assert movement(*film) == (0, 0)
    painted = [torch.zeros(1, 3, 64, 128), torch.ones(1, 3, 64, 128)]
    result = run(0.75, film, painted)[1]
    assert float(result[..., 88:].min()) == pytest.approx(1, abs=1e-6)
    assert float(result[..., :40].max()) == pytest.approx(0.25, abs=1e-6)


@pytest.mark.parametrize(("down", "right"), [(0, 3), (-2, 0), (4, -5), (-3, -1)])
def test_the_painting_moves_with_the_view(down: int, right: int) -> None:
    picture = scene()
    ways = [(4 * down * n, 4 * right * n) for n in range(4)]
    film = [seen(picture, *way) for way in ways]
    strokes = torch.rand(film[0].shape, generator=torch.Generator().manual_seed(9))
    asked: list[Movement] = []

    def paint(frame: Picture, moved: Movement) -> Picture:
        asked.append(moved)
        return frame._replace(levels=strokes.roll(moved, (-2, -1)))

    steady = Steady(paint, 0.8)
    results = [steady(Picture(frame, None)).levels for frame in film]
    assert asked == [(n * down, n * right) for n in range(4)]
    # What is painted moves with the view, so nothing is mixed and nothing gets softer.
    torch.testing.assert_close(results[-1], strokes.roll(asked[-1], (-2, -1)))


def test_what_comes_into_view_is_painted_anew() -> None:
    picture = scene()
    film = [seen(picture, 0, 0), seen(picture, 0, 16)]
    painted = [torch.zeros_like(film[0]), torch.ones_like(film[0])]
    result = run(0.75, film, painted)[1]
    assert float(result[..., :4].min()) == 1
    assert float(result[..., 24:].max()) < 0.3


def test_a_movement_of_parts_of_a_pixel_adds_up() -> None:
    picture = scene()
    film = [seen(picture, 0, -n) for n in range(9)]
    asked: list[Movement] = []

    def paint(frame: Picture, moved: Movement) -> Picture:
        asked.append(moved)
        return frame

    steady = Steady(paint, 0.5)
    for frame in film:
        steady(Picture(frame, None))
    assert asked[-1] == (0, -2)


def test_a_cut_moves_nothing() -> None:
    film = [seen(scene(0), 0, 0), seen(scene(1), 0, 0)]
    painted = [torch.zeros_like(film[0]), torch.ones_like(film[0])]
    assert float(run(0.9, film, painted)[1].mean()) > 0.95


def test_the_grain_moves() -> None:
    shown: list[Tensor] = []

    def keep(picture: Picture) -> Picture:
        shown.append(picture.levels)
        return picture

    picture = Picture(torch.full((1, 3, 90, 130), 100, dtype=torch.uint8), None)
    for moved in ((0, 0), (3, -7)):
        painted_by(keep, picture, Controls(grain=5), moved)
    painted_by(keep, picture, Controls(grain=5, stroke=0.5), (3, -7))
    painted_by(keep, picture, Controls(grain=5, stroke=0.5))
    assert torch.equal(shown[1], shown[0].roll((3, -7), (-2, -1)))
    assert torch.equal(shown[2], shown[3].roll((6, -14), (-2, -1)))


def test_levels_stay_what_they_are() -> None:
    film = [torch.full((1, 3, 40, 50), 90, dtype=torch.uint8)] * 2
    painted = [torch.full((1, 3, 40, 50), value, dtype=torch.uint8) for value in (0, 200)]
    result = run(0.5, film, painted)[1]
    assert result.dtype == torch.uint8
    assert result.unique().tolist() == [100]
    assert painted[1].unique().tolist() == [200]  # not changed in place


def test_nothing_is_kept_by_a_share_of_0() -> None:
    painted = noisy(2, 20)
    assert run(0, noisy(2, 0), painted)[1] is painted[1]


@pytest.mark.parametrize("share", [-0.1, 1.0, math.nan])
def test_another_share_is_refused(share: float) -> None:
    paint: Any = None
    with pytest.raises(ValueError, match=f"steady .* {share}"):
        Steady(paint, share)

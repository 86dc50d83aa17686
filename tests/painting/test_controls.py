from __future__ import annotations

import math
import re
from inspect import signature
from typing import Any

import pytest
import torch
from PIL import Image
from stand_in import painted_by
from support import ROOT

from fast_style.images.color import luminance
from fast_style.images.picture import Picture
from fast_style.painting.any_style import AnyStyle, Look
from fast_style.painting.controls import Controls, mean_picture
from fast_style.painting.options import CONTROLS, GRAIN


def photograph(dtype: torch.dtype = torch.uint8) -> Picture:
    rgb = torch.rand(1, 3, 40, 60, generator=torch.Generator().manual_seed(0))
    return Picture((rgb * 255).to(torch.uint8) if dtype == torch.uint8 else rgb, None)


def invert(picture: Picture) -> Picture:
    """Stand for a network: what was painted can be told."""
    top = 255 if picture.levels.dtype == torch.uint8 else 1
    return Picture(top - picture.levels, picture.alpha)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_without_controls_it_is_what_the_network_paints(dtype: torch.dtype) -> None:
    picture = photograph(dtype)
    painted = painted_by(invert, picture)
    assert painted.levels.dtype == dtype
    assert torch.equal(painted.levels, invert(picture).levels)


def test_size_is_that_of_the_longer_side() -> None:
    alpha = torch.ones(1, 1, 40, 60)
    painted = painted_by(invert, Picture(photograph().levels, alpha), Controls(size=33))
    assert painted.levels.shape == (1, 3, 22, 33)
    assert painted.alpha is not None
    assert painted.alpha.shape == (1, 1, 22, 33)


@pytest.mark.parametrize(
    ("stroke", "sizes"),
    [
        (2.0, [(20, 30), (40, 60)]),
        (0.5, [(80, 120)]),
        (1.7, [(24, 35), (40, 60)]),
        (4.0, [(10, 15), (20, 30), (40, 60)]),
    ],
)
def test_strokes_change_the_size_of_painting_not_of_the_result(
    stroke: float, sizes: list[tuple[int, int]]
) -> None:
    seen: list[torch.Size] = []

    def paint(picture: Picture) -> Picture:
        seen.append(picture.levels.shape[-2:])
        return invert(picture)

    painted = painted_by(paint, photograph(), Controls(stroke=stroke))
    assert seen == [torch.Size(size) for size in sizes]
    assert painted.levels.shape == (1, 3, 40, 60)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_the_network_is_shown_grain(dtype: torch.dtype) -> None:
    """As much as is asked for, grey, the same each time, over more rows than are made at a time."""
    shown: list[Picture] = []

    def paint(picture: Picture) -> Picture:
        shown.append(picture)
        return picture

    plain = Picture(torch.full((1, 3, 600, 80), 128 if dtype == torch.uint8 else 128 / 255), None)
    plain = plain._replace(levels=plain.levels.to(dtype))
    before = plain.levels.clone()
    for _ in range(2):
        painted_by(paint, plain, Controls(grain=3))
    assert torch.equal(plain.levels, before)
    assert torch.equal(shown[0].levels, shown[1].levels)
    assert shown[0].levels.dtype == dtype
    noise = (shown[0].rgb - plain.rgb) * 255
    assert torch.equal(noise[:, 0], noise[:, 1])
    assert float(noise.std()) == pytest.approx(3, rel=0.03)
    assert abs(float(noise.mean())) < 0.1
    top, below = noise[..., :256, :].flatten(), noise[..., 256:512, :].flatten()
    assert abs(float(torch.corrcoef(torch.stack((top, below)))[0, 1])) < 0.05


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_grain_is_for_the_network_only(dtype: torch.dtype) -> None:
    """Where the photograph shows through, in colour or strength, it has none."""
    alpha = torch.rand(1, 1, 40, 60).clamp_min(0.1)
    picture = Picture(photograph(dtype).levels, alpha)
    untouched = painted_by(invert, picture, Controls(grain=9, strength=0))
    assert torch.equal(untouched.levels, picture.levels)
    assert untouched.alpha is not None
    assert torch.equal(untouched.alpha, alpha)
    grey = Picture(torch.full_like(picture.levels, 128 if dtype == torch.uint8 else 0.5), None)
    kept = painted_by(lambda one: grey, picture, Controls(grain=9, preserve_color="luminance"))
    pure = painted_by(lambda one: grey, picture, Controls(preserve_color="luminance"))
    assert torch.equal(kept.levels, pure.levels)


def test_grain_stays_within_the_range() -> None:
    shown: list[Picture] = []
    ends = torch.cat((torch.zeros(1, 3, 40, 30), torch.ones(1, 3, 40, 30)), dim=-1)

    def paint(one: Picture) -> Picture:
        shown.append(one)
        return one

    painted_by(paint, Picture(ends, None), Controls(grain=20))
    assert (float(shown[0].levels.min()), float(shown[0].levels.max())) == (0, 1)
    with pytest.raises(ValueError, match=r"\[0, 1\], .* 0 to 255"):
        painted_by(invert, Picture(ends * 255, None), Controls(grain=2))


def test_strength_goes_from_the_photograph_to_the_painting() -> None:
    picture = photograph(torch.float32)
    for strength in (0.0, 0.3, 1.0):
        painted = painted_by(invert, picture, Controls(strength=strength))
        expected = (1 - strength) * picture.rgb + strength * (1 - picture.rgb)
        torch.testing.assert_close(painted.rgb, expected)


def test_colours_can_be_kept() -> None:
    picture = Picture(photograph(torch.float32).rgb * 0.2 + 0.4, None)
    kept = painted_by(invert, picture, Controls(preserve_color="luminance"))
    torch.testing.assert_close(luminance(kept.rgb), luminance(1 - picture.rgb))
    chroma = picture.rgb - luminance(picture.rgb)
    torch.testing.assert_close(kept.rgb - luminance(kept.rgb), chroma)
    matched = painted_by(invert, picture, Controls(preserve_color="match"))
    for statistic in (lambda x: x.mean(1), torch.cov):
        found, expected = (statistic(p.rgb[0].flatten(1)) for p in (matched, picture))
        torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


def test_a_blend_is_the_mean() -> None:
    first, second = photograph(torch.float32), invert(photograph(torch.float32))
    mixed = mean_picture([(first, 3.0), (second, 1.0)])
    torch.testing.assert_close(mixed.rgb, 0.75 * first.rgb + 0.25 * second.rgb)
    assert torch.equal(mean_picture([(photograph(), 2.0)]).levels, photograph().levels)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 31}, "size .*32 px.* 31$"),
        ({"size": "64"}, "size .*32 px.* '64'$"),
        ({"stroke": 0.01}, "stroke .*0.1 to 10.* 0.01$"),
        ({"stroke": float("nan")}, "stroke .*nan"),
        ({"grain": 65}, "grain .*0 to 64.* 65$"),
        ({"grain": math.nan}, "grain .*0 to 64.* nan$"),
        ({"strength": 1.5}, "strength .*0 to 1.* 1.5$"),
        ({"preserve_color": "hue"}, "preserve_color .*luminance.*match.* 'hue'"),
    ],
)
def test_values_out_of_range(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        painted_by(invert, photograph(), Controls(**values))


def test_each_control_is_described_and_has_a_keyword() -> None:
    names = [control.name for control in CONTROLS]
    keywords = signature(AnyStyle.__call__).parameters
    assert names == list(Controls._fields)
    assert [*names, "tile"] == list(Look.__annotations__)
    defaults = {control.name: control.default for control in CONTROLS}
    assert {name: keywords[name].default for name in names} == defaults


@pytest.mark.parametrize("controls", [Controls(), Controls(size=50), Controls(stroke=1.2)])
def test_floats_of_another_range(controls: Controls) -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\], .* 0 to 200"):
        painted_by(invert, Picture(torch.rand(1, 3, 40, 60).round() * 200, None), controls)


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        (Controls(size=99_999_999), r"size 99999999 .*6\.667e\+09 megapixels"),
        (Controls(stroke=0.1), "stroke 0.1 .*0.24 megapixels.* 0.2 "),
    ],
)
def test_sizes_beyond_what_is_allowed(
    controls: Controls, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)  # Pillow refuses twice as many
    with pytest.raises(ValueError, match=message):
        painted_by(invert, photograph(), controls)
    assert painted_by(invert, photograph(), Controls(stroke=0.2)).levels.shape == (1, 3, 40, 60)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)  # smaller than before is no enlargement
    assert painted_by(invert, photograph(), Controls(size=50)).levels.shape == (1, 3, 33, 50)


@pytest.mark.parametrize(
    "weights", [(0.0, 0.0), (-1.0, 2.0), (math.inf, 1.0), (math.nan, 1.0), (1.0, math.nan)]
)
def test_weights_of_a_blend(weights: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="0 or more.*not all 0"):
        mean_picture([(photograph(), weight) for weight in weights])


def test_the_web_page_has_the_same_grain() -> None:
    """It paints in the browser as the command does, and cannot import the number."""
    page = (ROOT / "docs" / "web" / "index.html").read_text(encoding="utf-8")
    (found,) = re.findall(r"const GRAIN = ([\d.]+);", page)
    assert float(found) == GRAIN

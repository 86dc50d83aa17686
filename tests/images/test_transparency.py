"""Transparent parts: what lies under them does not reach the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from fast_style.images.picture import Picture
from fast_style.images.reading import read_picture
from fast_style.images.transparency import fill_transparent
from fast_style.images.writing import write_picture
from fast_style.painting.style import load


def holed(under: tuple[float, float, float]) -> Picture:
    """Return smooth colours with a transparent disc that hides others."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 70), torch.linspace(0, 1, 90), indexing="ij")
    rgb = torch.stack([0.3 + 0.4 * x, 0.2 + 0.5 * y, 0.8 - 0.5 * x])[None]
    outside = ((x - 0.5) ** 2 + (y - 0.5) ** 2 > 0.06).float()[None, None]
    hidden = torch.tensor(under).view(1, 3, 1, 1)
    levels = ((rgb * outside + hidden * (1 - outside)) * 255).round().to(torch.uint8)
    return Picture(levels, outside)


def test_the_hole_has_the_colours_around_it() -> None:
    picture = holed((0, 0, 0))
    filled = fill_transparent(picture)
    assert picture.alpha is not None
    assert filled.alpha is picture.alpha
    seen = picture.alpha.expand_as(picture.levels) > 0
    assert torch.equal(filled.rgb[seen], picture.rgb[seen])
    smooth = holed((0.5, 0.45, 0.55)).rgb  # about what is around it
    assert (filled.rgb - smooth).abs().max() < 0.25
    assert (filled.rgb - smooth)[~seen].abs().mean() < 0.1


def test_what_lies_under_it_does_not_matter() -> None:
    colours = [(0.0, 0.0, 0.0), (1.0, 0.0, 1.0), (1.0, 1.0, 1.0)]
    filled = [fill_transparent(holed(colour)).levels for colour in colours]
    assert torch.equal(filled[0], filled[1])
    assert torch.equal(filled[0], filled[2])


@pytest.mark.parametrize("control", [{}, {"stroke": 2.0}, {"preserve_color": "match"}])
def test_a_stylised_picture_is_the_same_whatever_lies_under(
    control: dict[str, object], tiny_model: Path
) -> None:
    style = load(tiny_model, "cpu")

    def painted(under: tuple[float, float, float]) -> Tensor:
        picture = holed(under)
        assert picture.alpha is not None
        planes = torch.cat((picture.levels, (picture.alpha * 255).to(torch.uint8)), dim=1)
        image = Image.fromarray(planes[0].permute(1, 2, 0).numpy())
        return torch.from_numpy(np.array(style(image, **control)))  # type: ignore[arg-type]

    assert torch.equal(painted((0, 0, 0)), painted((1, 0, 1)))


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_nothing_to_fill(level: float) -> None:
    picture = Picture(torch.rand(1, 3, 8, 8), torch.full((1, 1, 8, 8), level))
    assert fill_transparent(picture) is picture


def test_a_gif_is_transparent_where_the_picture_is_by_half(tmp_path: Path) -> None:
    rgb = torch.rand(1, 3, 32, 48)
    alpha = torch.linspace(0, 1, 48).expand(1, 1, 32, 48)
    write_picture(tmp_path / "a.gif", rgb, alpha)
    found = read_picture(tmp_path / "a.gif").alpha
    assert found is not None
    assert torch.equal(found, (alpha >= 0.5).float())

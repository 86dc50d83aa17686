"""The painting's light and dark: what is measured, and that strokes stay as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fast_style.images.picture import Picture
from fast_style.models.palette import (
    CELL,
    LEAST_GAIN,
    MOST_GAIN,
    Palette,
    measure_palette,
    palette_between,
    palette_from_header,
)
from fast_style.models.style_file import ModelFileError, load_style_model, save_style_model
from fast_style.painting.controls import Controls, PaintJob
from fast_style.painting.style import load

WARMER = Palette([[1.3, 0.1, 0.0], [0.0, 1.2, 0.1], [-0.1, 0.0, 1.4]], [-0.1, -0.05, -0.15])


def clouds(seed: int, count: int = 1, height: int = 160, width: int = 192) -> Tensor:
    """Return pictures that differ on the large scale, none of it black or white."""
    generator = torch.Generator().manual_seed(seed)
    coarse = 0.35 + 0.3 * torch.rand(count, 3, 8, 8, generator=generator)
    return F.interpolate(coarse, (height, width), mode="bicubic").clamp(0.2, 0.8)


def test_the_map_gives_the_paintings_mean_and_covariance() -> None:
    painted, painting = 0.5 + 0.5 * (clouds(0, 3) - 0.5), clouds(1) * 0.9
    found = palette_between(painted, painting)
    matrix = torch.tensor(found.matrix, dtype=torch.float64)
    offset = torch.tensor(found.offset, dtype=torch.float64)[:, None]

    def cells(images: Tensor) -> Tensor:
        return F.avg_pool2d(images.double(), CELL).movedim(1, 0).flatten(1)

    moved, wanted = matrix @ cells(painted) + offset, cells(painting)
    torch.testing.assert_close(moved.mean(1), wanted.mean(1))
    torch.testing.assert_close(moved.cov(correction=0), wanted.cov(correction=0))


def test_an_untrained_networks_grey_is_not_torn_apart() -> None:
    grey = torch.full((2, 3, 64, 64), 0.5) + 1e-4 * torch.rand(2, 3, 64, 64)
    matrix = torch.tensor(palette_between(grey, clouds(0)).matrix)
    assert float(torch.linalg.svdvals(matrix)[0]) == pytest.approx(MOST_GAIN, rel=1e-4)


def test_a_painting_of_one_texture_leaves_light_and_dark() -> None:
    texture = 0.5 + 0.3 * (
        torch.rand(1, 3, 160, 160, generator=torch.Generator().manual_seed(0)) - 0.5
    )
    matrix = torch.tensor(palette_between(clouds(0, 2), texture).matrix)
    torch.testing.assert_close(matrix, LEAST_GAIN * torch.eye(3), atol=1e-4, rtol=0)


def test_nothing_is_drawn_from_the_programs_generator() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    WARMER.shift(1.0)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 47), (16, 200), (600, 40), (512, 48)])
def test_it_is_the_map_of_smoothed_cells(height: int, width: int) -> None:
    """Rows are done in parts; here the whole at once, by the definition."""
    image = clouds(2, 1, height, width).double()
    matrix = torch.tensor(WARMER.matrix, dtype=torch.float64)
    offset = torch.tensor(WARMER.offset, dtype=torch.float64)
    whole = F.pad(image, (0, -width % CELL, 0, -height % CELL), mode="replicate")
    means = F.avg_pool2d(whole, CELL)
    shift = (matrix @ means[0].flatten(1) + offset[:, None]).view_as(means) - means
    smooth = F.interpolate(shift, scale_factor=CELL, mode="bilinear")[..., :height, :width]
    expected = (image + 0.7 * smooth).clamp(0, 1)
    found = WARMER.shifted(image.float(), 0.7)
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=0)


def test_a_plain_colour_is_mapped_and_details_stay() -> None:
    plain = torch.full((1, 3, 50, 70), 0.5)
    expected = torch.tensor([0.6, 0.6, 0.5]).view(1, 3, 1, 1).expand_as(plain)
    torch.testing.assert_close(WARMER.shifted(plain, 1.0), expected)
    checks = torch.tensor([[0.4, 0.6], [0.6, 0.4]]).repeat(32, 32)[None, None].repeat(1, 3, 1, 1)
    found = WARMER.shifted(checks, 1.0)
    torch.testing.assert_close(found[..., 1:] - found[..., :-1], checks[..., 1:] - checks[..., :-1])


def test_bytes_stay_bytes_and_the_picture_is_left_alone() -> None:
    levels = (clouds(3) * 255).round().to(torch.uint8)
    before = levels.clone()
    found = WARMER.shifted(levels, 1.0)
    expected = WARMER.shifted(levels.float() / 255, 1.0) * 255
    assert found.dtype == torch.uint8
    assert (found.float() - expected).abs().max() <= 0.5 + 1e-3
    assert torch.equal(levels, before)
    assert torch.equal(WARMER.shifted(levels, 0.0), before)


def test_a_network_is_measured_by_what_it_paints() -> None:
    class Duller(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.share = nn.Parameter(torch.tensor(0.5))

        def forward(self, image: Tensor) -> Tensor:
            return 0.5 + self.share * (image - 0.5)

    photographs = clouds(4, 5)
    found = measure_palette(Duller(), photographs, photographs[:1])
    expected = palette_between(0.5 + 0.5 * (photographs - 0.5), photographs[:1])
    assert found == expected
    again = measure_palette(Duller(), photographs[:1], photographs[:1])
    torch.testing.assert_close(torch.tensor(again.matrix), 2 * torch.eye(3), atol=1e-4, rtol=0)


def test_header() -> None:
    again = palette_from_header(WARMER.header())
    assert again == WARMER


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (None, "no matrix and offset"),
        ({"matrix": 1, "offset": [0, 0, 0]}, "no matrix and offset"),
        ({"matrix": [[1, 0, 0]] * 3}, "no matrix and offset"),
        ({"matrix": [[1, 0]] * 3, "offset": [0, 0, 0]}, "no 3 x 3 matrix"),
        ({"matrix": [[1, 0, 0]] * 2, "offset": [0, 0, 0]}, "no 3 x 3 matrix"),
        ({"matrix": [[1, 0, 0]] * 3, "offset": [0, 0, "nan"]}, "no 3 x 3 matrix"),
        ({"matrix": [[1, 0, 0]] * 3, "offset": [0, 0, 10**400]}, "no matrix and offset"),
        ({"matrix": [[1, 0, 99]] * 3, "offset": [0, 0, 0]}, "of small numbers"),
    ],
)
def test_a_header_that_is_none(header: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        palette_from_header(header)


def test_a_style_moves_what_its_network_paints(warmer: Path, tiny_model: Path) -> None:
    style, plain = load(warmer, "cpu"), load(tiny_model, "cpu")
    image = clouds(5, 1, 40, 64)
    alone = plain(image, grain=0)
    assert torch.equal(style.paint(image), plain.paint(image))
    assert torch.equal(style(image, grain=0, palette=0), alone)
    assert style.palette is not None
    assert torch.equal(style(image, grain=0), style.palette.shifted(alone, 1.0))
    assert torch.equal(style(image, grain=0, palette=0.4), style.palette.shifted(alone, 0.4))
    assert (style(image, grain=0) - alone).abs().mean() > 0.01
    assert torch.equal(plain(image), plain(image, palette=0))  # it knows no painting's colours
    with pytest.raises(ValueError, match="palette .*0 to 1.* 1.5$"):
        style(image, palette=1.5)
    with pytest.raises(ValueError, match="palette .*0 to 1.* 2$"):
        style.paint_picture(Picture(image, None), PaintJob(Controls(palette=2)))


def test_a_model_with_a_palette_that_is_none(warmer: Path, tmp_path: Path) -> None:
    network, description = load_style_model(warmer)
    path = tmp_path / "bad.safetensors"
    save_style_model(path, network, description | {"palette": {"matrix": []}})
    with pytest.raises(ModelFileError, match="bad.safetensors.* palette "):
        load_style_model(path)

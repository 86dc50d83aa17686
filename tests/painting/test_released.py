"""The released styles: no grid, no frame, no collapse, and each with its recipe."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir
from torch import Tensor

from fast_style.images.reading import read_picture
from fast_style.models.style_file import load_style_model
from fast_style.painting.style import Style, load
from fast_style.system.resources import asset, config_folder, shipped_styles
from fast_style.training.config import CONFIG_NAME, plain
from fast_style.training.run import EARLIER

SIDE = 256
HIGHEST_PEAK = 2.0  # of the spectrum at a period of 2 or 4, over what is around it
STYLES = sorted(shipped_styles())
LARGEST = {"johnson": 3_500_000, "slim": 500_000}  # bytes


@pytest.fixture(scope="module", params=STYLES)
def style(request: pytest.FixtureRequest) -> Style:
    return load(request.param, "cpu", "float32", backend="torch")


def inputs() -> list[Tensor]:
    """Return a smooth picture, one of texture, and photographs, ``(1, 3, SIDE, SIDE)``."""
    torch.manual_seed(0)
    smooth = F.interpolate(torch.rand(1, 3, 6, 6), (SIDE, SIDE), mode="bicubic").clamp(0, 1)
    texture = (smooth + 0.15 * torch.randn(1, 3, SIDE, SIDE)).clamp(0, 1)
    names = ("kingfisher", "castle_neuschwanstein", "forest_brook")
    photos = [read_picture(asset(f"photos/val/{name}.jpg")).rgb for name in names]
    return [smooth, texture, *(photo[..., 40 : 40 + SIDE, 40 : 40 + SIDE] for photo in photos)]


def peaks(pictures: list[Tensor]) -> dict[str, float]:
    """Return how far the mean spectrum stands out at periods of 2 and 4 px, across and down."""
    window = torch.hann_window(SIDE)
    found = {}
    for name, axis in (("across", -1), ("down", -2)):
        power = torch.zeros(SIDE // 2 + 1)
        for picture in pictures:
            lines = picture.mean(1)[0].movedim(axis, -1)  # each row is a line along the axis
            lines = (lines - lines.mean(-1, keepdim=True)) * window
            power += torch.fft.rfft(lines).abs().square().mean(0)
        for period in (2, 4):
            k = SIDE // period
            around = [*range(k - 12, k - 3), *range(k + 4, min(k + 13, SIDE // 2 + 1))]
            found[f"{name}, period {period}"] = float(power[k] / power[around].median())
    return found


@pytest.fixture(scope="module")
def painted(style: Style) -> list[Tensor]:
    """Return what the network paints; the palette only spreads its light and dark further."""
    return [style(picture, palette=0) for picture in inputs()]


def test_there_is_no_grid(painted: list[Tensor]) -> None:
    found = peaks(painted)
    assert max(found.values()) < HIGHEST_PEAK, found


def test_a_grid_would_be_found() -> None:
    """One of 4 levels of 255, weaker than what networks trained without the grid term show."""
    style = load("starry", "cpu", "float32", backend="torch")
    pictures = [style(picture) for picture in inputs()]
    for period in (2, 4):
        grid = (torch.arange(SIDE) % period == 0).float() * 8 / 255
        found = peaks([picture + grid for picture in pictures])
        assert found[f"across, period {period}"] > HIGHEST_PEAK


def test_there_is_no_frame(painted: list[Tensor]) -> None:
    """The border is about as bright as what lies inside of it."""
    pictures = torch.cat(painted).mean(1)
    for side in (pictures, pictures.flip(-1), pictures.mT, pictures.flip(-2).mT):
        border, inside = side[..., :4].mean(), side[..., 8:40].mean()
        assert abs(float(border - inside)) < 0.08


def test_there_is_no_line_at_the_border(painted: list[Tensor]) -> None:
    """Networks draw some: the last row of cafe's differs twice as much as rows inside."""
    pictures = torch.cat(painted)
    for side in (pictures, pictures.flip(-1), pictures.mT, pictures.flip(-2).mT):
        steps = side.diff(dim=-1).abs().mean((1, 2))
        assert (steps[:, 0] / steps.mean(1)).mean() < 1.5


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_plain_picture_does_not_collapse(style: Style, level: float) -> None:
    """Nothing to paint is painted with the painting's colours, not with noise."""
    painted = style(torch.full((1, 3, SIDE, SIDE), level))
    assert torch.isfinite(painted).all()
    saturated = ((painted == 0) | (painted == 1)).all(1).float().mean()
    assert saturated < 0.5


def test_size_of_the_file(style: Style) -> None:
    path = shipped_styles()[style.name]
    assert path.stat().st_size <= LARGEST[style.description["network"]["name"]]


@pytest.mark.parametrize("name", STYLES)
def test_each_has_a_recipe_a_painting_and_a_card(name: str) -> None:
    assert (config_folder() / "experiment" / f"{name}.yaml").is_file()
    description = load_style_model(name).description
    assert description["style"]["name"] == name
    assert description["style"]["credit"]
    assert asset(f"styles/{Path(description['style']['image']).name}").is_file()
    # The values of the recipe's file are those of the last part of the training.
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        recipe = plain(compose(CONFIG_NAME, overrides=[f"experiment={name}", "data.root=given"]))
    assert description["network"] == recipe["network"]
    assert {"terms": {}} | description["loss"] == recipe["loss"]
    assert EARLIER["optimizer"] | description["optimizer"] == recipe["optimizer"]
    data = EARLIER["data"] | description["data"]
    for key in ("image_size", "other_sizes", "batch_size", "smallest_crop"):
        assert data[key] == recipe["data"][key], key
    assert description["steps"] == recipe["trainer"]["max_steps"]
    assert description["licence"] == recipe["licence"]
    assert description["style"]["size"] == recipe["style"]["size"]
    card = (shipped_styles()[name].parent / "README.md").read_text(encoding="utf-8")
    assert sha256(shipped_styles()[name].read_bytes()).hexdigest() in card

"""Paintings as a training reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import colours, exif, levels, waves
from PIL import Image

from fast_style.images.reading import (
    read_style,
)


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((40, 60), 32, (32, 48)),
        ((60, 40), 32, (48, 32)),
        ((10, 20), 32, (32, 64)),
        ((33, 47), 64, (64, 91)),
        ((50, 50), 50, (50, 50)),
    ],
)
def test_a_paintings_shorter_side_is_scaled(
    tmp_path: Path, shape: tuple[int, int], size: int, expected: tuple[int, int]
) -> None:
    Image.fromarray(waves(*shape)).save(tmp_path / "a.png")
    style = read_style(tmp_path / "a.png", size)
    assert style.shape == (1, 3, *expected)
    assert style.dtype == torch.float32
    assert style.min() >= 0
    assert style.max() <= 1
    mean = waves(*shape).mean((0, 1)) / 255
    np.testing.assert_allclose(style.mean((0, 2, 3)).numpy(), mean, atol=0.01)


def test_a_painting_is_averaged_when_it_is_reduced(tmp_path: Path) -> None:
    y, x = np.mgrid[0:64, 0:64]
    board = np.where((x + y) % 2, 255, 0).astype(np.uint8)
    Image.fromarray(board).save(tmp_path / "a.png")
    inner = read_style(tmp_path / "a.png", 32)[..., 4:-4, 4:-4]
    torch.testing.assert_close(inner, torch.full_like(inner, 0.5), atol=0.01, rtol=0)


def test_a_painting_of_the_size_asked_for_is_unchanged(tmp_path: Path) -> None:
    array = colours(33, 47)
    Image.fromarray(array).save(tmp_path / "a.png")
    assert np.array_equal(levels(read_style(tmp_path / "a.png", 33)), array)


def test_a_turned_painting_is_upright(tmp_path: Path) -> None:
    array = colours(33, 47)
    Image.fromarray(array).save(tmp_path / "a.png", exif=exif(6))
    style = read_style(tmp_path / "a.png", 33)
    assert np.array_equal(levels(style), np.rot90(array, -1))


@pytest.mark.parametrize("size", [31, 0, -5])
def test_a_paintings_size_has_a_lower_bound(tmp_path: Path, size: int) -> None:
    Image.fromarray(colours()).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=f"style size .*32 px.* {size}$"):
        read_style(tmp_path / "a.png", size)

"""Pictures stored turned are read upright."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from pictures import ORIENTATION, UPRIGHT, colours, exif, levels, waves, whole
from PIL import Image

from fast_style.images.orientation import stored_view, upright_size
from fast_style.images.reading import (
    from_pil,
    picture_size,
    read_crop,
    read_picture,
    read_style,
)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_read_upright(tmp_path: Path, orientation: int) -> None:
    stored = np.concatenate([colours(), colours()[..., 2:]], -1)
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif(orientation))
    picture = read_picture(tmp_path / "a.png")
    expected = UPRIGHT[orientation](stored)
    assert np.array_equal(levels(picture.rgb), expected[..., :3])
    assert picture.alpha is not None
    assert np.array_equal(levels(picture.alpha)[..., 0], expected[..., 3])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_jpeg_is_read_upright(tmp_path: Path, orientation: int) -> None:
    Image.fromarray(waves(20, 30)).save(tmp_path / "a.jpg", exif=exif(orientation))
    with Image.open(tmp_path / "a.jpg") as image:
        stored = np.asarray(image)
    expected = UPRIGHT[orientation](stored)
    assert np.array_equal(levels(read_picture(tmp_path / "a.jpg").rgb), expected)
    with Image.open(tmp_path / "a.jpg") as image:
        assert np.array_equal(levels(from_pil(image).rgb), expected)


@pytest.mark.parametrize("orientation", [0, *range(1, 9), 9])
def test_rows_written_into_the_view_stand_upright(orientation: int) -> None:
    stored = colours()
    expected = UPRIGHT.get(orientation, UPRIGHT[1])(stored)
    height, width = upright_size(stored.shape[:2], orientation)
    upright = np.zeros((height, width, 3), np.uint8)
    stored_view(orientation)(upright)[:] = stored
    assert np.array_equal(upright, expected)


@pytest.mark.parametrize("orientation", [0, 9, 200])
def test_an_unknown_orientation_is_upright(tmp_path: Path, orientation: int) -> None:
    Image.fromarray(colours()).save(tmp_path / "a.png", exif=exif(orientation))
    assert np.array_equal(levels(read_picture(tmp_path / "a.png").rgb), colours())
    crop = read_crop(tmp_path / "a.png", 6, lambda width, height: (0, 0, 6, 6))
    assert np.array_equal(levels(crop), colours()[:6, :6])


BROKEN_EXIF = {
    "not EXIF": b"Exif\0\0garbage garbage",
    "an orientation that is text": b"Exif\0\0MM\0*\0\0\0\x08\0\x01"
    + struct.pack(">HHI4s", ORIENTATION, 2, 2, b"6\0\0\0")
    + bytes(4),
}


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("broken", BROKEN_EXIF)
def test_broken_exif_does_not_lose_the_picture(tmp_path: Path, broken: str, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(waves(16, 24)).save(path, quality=95, dpi=(72, 72), exif=BROKEN_EXIF[broken])
    with Image.open(path) as image:
        assert from_pil(image).rgb.shape == (1, 3, 16, 24)
    assert read_picture(path).rgb.shape == (1, 3, 16, 24)
    assert read_style(path, 32).shape == (1, 3, 32, 48)
    assert read_crop(path, 16, whole).shape == (3, 16, 16)


def test_picture_size_is_what_is_stored(tmp_path: Path) -> None:
    Image.fromarray(colours()).save(tmp_path / "a.jpg", exif=exif(6))
    assert picture_size(tmp_path / "a.jpg") == (9, 6)

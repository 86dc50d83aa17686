"""Pictures of 16 bits: read, painted and written as such, with profile, EXIF and transparency."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import pyvips
import torch
from PIL import Image, ImageCms
from PIL.ExifTags import IFD, Base

from fast_style import stylize
from fast_style.images.metadata import srgb_profile
from fast_style.images.picture import Clip, Picture, PictureError
from fast_style.images.reading import read_clip, read_picture
from fast_style.images.writing import encode_clip, write_clip
from fast_style.painting.style import load

Levels = npt.NDArray[np.uint16]


def ramp(height: int = 40, width: int = 48, bands: int = 3) -> Levels:
    """Return levels that 8 bits can't tell apart: steps of 5 of 65535."""
    values = 20_000 + 5 * np.arange(height * width * bands)
    return (values % 65_536).reshape(height, width, bands).astype(np.uint16)


def save(path: Path, levels: Levels, **fields: Any) -> Path:
    """Write a file of 16 bits with libvips, by itself."""
    height, width, bands = levels.shape
    image = pyvips.Image.new_from_memory(levels.tobytes(), width, height, bands, "ushort")
    image = image.copy(interpretation="rgb16" if bands > 2 else "grey16")
    for name, value in fields.items():
        kind = pyvips.GValue.blob_type if isinstance(value, bytes) else pyvips.GValue.gint_type
        image.set_type(kind, name.replace("_", "-"), value)
    image.write_to_file(str(path))
    return path


def stored(path: Path) -> Levels:
    array: Levels = pyvips.Image.new_from_file(str(path)).numpy()
    assert array.dtype == np.uint16
    return array


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff"])
@pytest.mark.parametrize("bands", [3, 4])
def test_no_level_is_lost_on_the_way_in_and_out(suffix: str, bands: int, tmp_path: Path) -> None:
    levels = ramp(bands=bands)
    clip = read_clip(save(tmp_path / f"in{suffix}", levels))
    picture = clip.frames[0]
    assert picture.bits == 16
    assert (picture.alpha is not None) == (bands == 4)
    write_clip(tmp_path / f"out{suffix}", clip)
    assert np.array_equal(stored(tmp_path / f"out{suffix}"), levels)


def test_grey_with_alpha(tmp_path: Path) -> None:
    levels = ramp(bands=2)
    picture = read_picture(save(tmp_path / "in.png", levels))
    assert picture.alpha is not None
    expected = levels.astype(np.float32) / 65_535
    torch.testing.assert_close(picture.rgb[0, 1], torch.from_numpy(expected[..., 0]))
    torch.testing.assert_close(picture.alpha[0, 0], torch.from_numpy(expected[..., 1]))


def without_exif(png: Path) -> Path:
    """Return a PNG file rewritten without its eXIf chunk, as most programs write them."""
    data = png.read_bytes()
    at = data.index(b"eXIf") - 4
    length = int.from_bytes(data[at : at + 4], "big")
    png.write_bytes(data[:at] + data[at + 12 + length :])
    return png


def test_a_png_without_exif(tmp_path: Path) -> None:
    """To look for EXIF Pillow decodes such a file, after which it seems to have 8 bits."""
    levels = ramp()
    picture = read_picture(without_exif(save(tmp_path / "a.png", levels)))
    assert picture.bits == 16
    expected = torch.from_numpy(levels.astype(np.float32) / 65_535).permute(2, 0, 1)[None]
    torch.testing.assert_close(picture.rgb, expected)


def test_a_fourth_band_need_not_be_transparency(tmp_path: Path) -> None:
    levels = ramp(bands=4)
    path = save(tmp_path / "a.tif", levels)
    data = path.read_bytes()
    tag = struct.pack("<HHLHH", 338, 3, 1, 2, 0)  # ExtraSamples: transparency
    assert data.count(tag) == 1
    path.write_bytes(data.replace(tag, struct.pack("<HHLHH", 338, 3, 1, 0, 0)))
    assert read_picture(path).alpha is None


def test_bfloat16_gives_more_than_eight_bits() -> None:
    picture = torch.rand(1, 3, 64, 64)
    painted = load("starry-slim", "cpu", "bfloat16", backend="torch")(picture)
    assert len(torch.unique(painted)) > 1000


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_stylised_picture_has_as_many_bits_as_its_photograph(
    suffix: str, tiny_model: Path, tmp_path: Path
) -> None:
    source = save(tmp_path / f"in{suffix}", ramp())
    assert stylize.main([str(tiny_model), str(source), "--strength", "0.5"]) == 0
    painted = stored(tmp_path / f"in_tiny{suffix}")
    assert painted.shape == (40, 48, 3)
    assert len(np.unique(painted % 257)) > 100  # 8 bits, widened, are multiples of 257
    assert stylize.main([str(tiny_model), str(source), "-o", str(tmp_path / "a.jpg")]) == 0
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.size == (48, 40)


def test_orientation_is_applied(tmp_path: Path) -> None:
    levels = ramp()
    picture = read_picture(save(tmp_path / "turned.tif", levels, orientation=6))
    expected = np.rot90(levels, -1).astype(np.float32) / 65_535
    found = picture.rgb[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_profile_is_converted_to_srgb_in_sixteen_bits(suffix: str, tmp_path: Path) -> None:
    """By sRGB's profile with red and green exchanged, what is stored red is shown green."""
    swapped = srgb_profile().replace(b"rXYZ", b"....").replace(b"gXYZ", b"rXYZ")
    swapped = swapped.replace(b"....", b"gXYZ")
    levels = ramp()
    path = save(tmp_path / f"a{suffix}", levels, icc_profile_data=swapped)
    found = read_picture(path).rgb[0]
    expected = torch.from_numpy(levels.astype(np.float32) / 65_535).permute(2, 0, 1)
    assert (found - expected[[1, 0, 2]]).abs().max() < 1 / 1024
    assert len(torch.unique(found)) > 2000  # of 8 bits there are 256


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_exif_and_profile_are_written(suffix: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[Base.Artist] = "Ann"
    exif.get_ifd(IFD.Exif)[Base.DateTimeOriginal] = "2020:02:03 04:05:06"
    exif.get_ifd(IFD.GPSInfo)[1] = "N"
    for ifd in (IFD.Exif, IFD.GPSInfo):
        exif[ifd] = exif.get_ifd(ifd)
    picture = Picture(torch.rand(1, 3, 40, 50), None, exif.tobytes())
    path = tmp_path / f"a{suffix}"
    write_clip(path, Clip([picture]))
    assert stored(path).shape == (40, 50, 3)
    with Image.open(path) as image:
        found = image.getexif()
        assert found[Base.Artist] == "Ann"
        assert found.get_ifd(IFD.Exif)[Base.DateTimeOriginal] == "2020:02:03 04:05:06"
        assert found.get_ifd(IFD.GPSInfo)[1] == "N"
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileDescription(profile)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_damaged_file_is_named(suffix: str, tmp_path: Path) -> None:
    path = save(tmp_path / f"cut{suffix}", ramp(200, 200))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200] = bytes(200)
    path.write_bytes(data[: middle + 300])
    with pytest.raises(PictureError, match=rf"cannot read .*cut{suffix}: "):
        read_picture(path)


def test_values_that_are_no_numbers_are_not_written() -> None:
    with pytest.raises(PictureError, match="not finite"):
        encode_clip(Clip([Picture(torch.full((1, 3, 8, 8), float("nan")), None)]))

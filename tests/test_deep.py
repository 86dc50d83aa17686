"""Pictures of 16 bits: read, painted and written as such, with profile, EXIF and transparency."""

from __future__ import annotations

import io
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
from fast_style.image import read_clip, read_picture
from fast_style.picture import Clip, Picture, PictureError
from fast_style.writing import encode_clip, write_clip

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
    array = pyvips.Image.new_from_file(str(path)).numpy()
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


def test_a_profile_is_converted_to_srgb_in_sixteen_bits(tmp_path: Path) -> None:
    """Linear levels, as a raw converter may write them, come out by sRGB's own curve."""
    white = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    linear = pyvips.Image.black(1, 1, bands=3).copy(interpretation="scrgb")
    assert white is not None
    assert linear.bands == 3
    levels = ramp()
    same = read_picture(save(tmp_path / "srgb.png", levels, icc_profile_data=white.tobytes())).rgb[
        0
    ]
    expected = torch.from_numpy(levels.astype(np.float32) / 65_535).permute(2, 0, 1)
    assert (same - expected).abs().max() < 1 / 4096
    assert len(torch.unique(same)) > 2000


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

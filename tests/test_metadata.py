"""EXIF, colour profiles and types of files: what a stylised picture keeps of its photograph."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageCms, features
from PIL.ExifTags import IFD, Base

from fast_style import image, stylize
from fast_style.image import read_picture
from fast_style.metadata import kept_dpi, kept_exif, srgb_profile
from fast_style.picture import Clip, Picture, PictureError
from fast_style.writing import write_clip, write_picture

TAKEN = "2020:02:03 04:05:06"


def exif_of(path: Path | io.BytesIO) -> tuple[dict[int, Any], dict[int, Any], dict[int, Any]]:
    with Image.open(path) as opened:
        found = opened.getexif()
        return dict(found), found.get_ifd(IFD.Exif), found.get_ifd(IFD.GPSInfo)


def photograph(path: Path, **options: Any) -> Path:
    """Write a photograph of 48 x 40 px stored lying, with a camera's EXIF."""
    exif = Image.Exif()
    exif[Base.Make] = "Maker"
    exif[Base.Artist] = "Ann"
    exif[Base.Orientation] = 6
    exif[Base.ImageWidth] = 48
    exif.get_ifd(IFD.Exif).update({Base.DateTimeOriginal: TAKEN, Base.ExifImageWidth: 48})
    exif.get_ifd(IFD.GPSInfo).update({1: "N", 2: (52.0, 30.0, 0.0)})
    for ifd in (IFD.Exif, IFD.GPSInfo):
        exif[ifd] = exif.get_ifd(ifd)
    Image.new("RGB", (48, 40), (200, 100, 50)).save(path, exif=exif.tobytes(), **options)
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif"])
def test_what_describes_the_photograph_stays(
    suffix: str, tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if suffix == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    source, result = photograph(tmp_path / "in.jpg"), tmp_path / f"out{suffix}"
    assert stylize.main([str(tiny_model), str(source), "-o", str(result)]) == 0
    main, camera, place = exif_of(result)
    assert (main[Base.Make], main[Base.Artist]) == ("Maker", "Ann")
    assert camera[Base.DateTimeOriginal] == TAKEN
    assert place[1] == "N"
    # What would be wrong for another file is gone: the result is upright and has its own size.
    assert main.get(Base.Orientation, 1) == 1
    assert Base.ExifImageWidth not in camera
    with Image.open(result) as opened:
        assert opened.size == (40, 48)
        profile = ImageCms.ImageCmsProfile(io.BytesIO(opened.info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileDescription(profile)


def test_strip_leaves_it_behind(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, result = photograph(tmp_path / "in.jpg"), tmp_path / "out.jpg"
    assert stylize.main([str(tiny_model), str(source), "-o", str(result), "--strip"]) == 0
    assert exif_of(result) == ({}, {}, {})


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize("deep", [False, True])
def test_the_size_in_print_stays(
    suffix: str, deep: bool, tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, result = tmp_path / "in.png", tmp_path / f"out{suffix}"
    photograph(tmp_path / "in.jpg", dpi=(300, 300))
    if deep:
        levels = torch.full((1, 3, 40, 48), 0.5)
        write_clip(source, Clip([Picture(levels, None, dpi=300)]))
    else:
        source = tmp_path / "in.jpg"
    assert stylize.main([str(tiny_model), str(source), "-o", str(result)]) == 0
    with Image.open(result) as opened:
        assert opened.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_a_tiff_that_says_nothing_of_its_size_in_print(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "a.tif")
    assert read_picture(tmp_path / "a.tif").dpi is None


@pytest.mark.parametrize("dpi", [(300, 150), (0, 0), (1e9, 1e9), (float("nan"),) * 2, "many"])
def test_a_size_in_print_that_is_none(dpi: Any) -> None:
    image = Image.new("RGB", (8, 8))
    assert kept_dpi(image) is None
    image.info["dpi"] = dpi
    assert kept_dpi(image) is None


def test_a_tiff_keeps_no_layout_of_the_old_file(tmp_path: Path) -> None:
    source = tmp_path / "in.tif"
    Image.new("RGB", (48, 40)).save(source, compression="tiff_lzw", artist="Ann")
    read = read_picture(source)
    write_picture(tmp_path / "out.tif", read.levels[..., :20, :20], exif=read.exif)
    again = read_picture(tmp_path / "out.tif")
    assert again.levels.shape == (1, 3, 20, 20)
    assert exif_of(tmp_path / "out.tif")[0][Base.Artist] == "Ann"


@pytest.mark.parametrize("damage", [b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0nonsense", b""])
def test_damaged_exif_loses_no_picture(damage: bytes, tmp_path: Path) -> None:
    path = tmp_path / "in.jpg"
    Image.new("RGB", (48, 40)).save(path, exif=damage)
    read = read_picture(path)
    write_picture(tmp_path / "out.jpg", read.levels, exif=read.exif)
    assert read_picture(tmp_path / "out.jpg").levels.shape == (1, 3, 40, 48)


def test_more_exif_than_a_jpeg_holds_is_left_out() -> None:
    picture = Image.new("RGB", (8, 8))
    picture.getexif()[Base.ImageDescription] = "x" * 70_000
    assert kept_exif(picture) is None


def test_the_profile_is_the_same_at_any_time() -> None:
    assert srgb_profile() == srgb_profile()
    assert srgb_profile()[24:36] == bytes((7, 208, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0))


@pytest.mark.parametrize("suffix", [".tif", ".tiff"])
def test_tiff_is_exact(suffix: str, tmp_path: Path) -> None:
    levels = torch.randint(0, 256, (1, 3, 9, 7), generator=torch.Generator().manual_seed(0))
    alpha = torch.rand(1, 1, 9, 7, generator=torch.Generator().manual_seed(1))
    write_picture(tmp_path / f"a{suffix}", levels.to(torch.uint8), alpha)
    again = read_picture(tmp_path / f"a{suffix}")
    assert torch.equal(again.levels, levels.to(torch.uint8))
    assert again.alpha is not None
    torch.testing.assert_close(again.alpha, alpha, rtol=0, atol=0.5 / 255 + 1e-6)


def test_a_limit_of_megapixels(
    tmp_path: Path,
    tiny_model: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    source = photograph(tmp_path / "in.jpg")  # 0.00192 megapixels
    options = [str(tiny_model), str(source), "--max-megapixels"]
    assert stylize.main([*options, "0.0019"]) == 1
    assert "; stylize's --max-megapixels allows more" in capsys.readouterr().err
    assert stylize.main([*options, "0.002"]) == 0
    assert stylize.main([*options, "0"]) == 2
    assert stylize.main([*options, "nan"]) == 2
    image.allow_megapixels(1)
    with pytest.raises(PictureError, match="cannot write"):
        write_picture(tmp_path / "x.bmp", torch.zeros(1, 3, 4, 4))

"""EXIF, colour profiles and types of files: what a stylised picture keeps of its photograph."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms, features
from PIL.ExifTags import IFD, Base
from PIL.PngImagePlugin import PngInfo

from fast_style import stylize
from fast_style.images import heif
from fast_style.images.exif import (
    MOST,
    PREFIX,
    Exif,
    Order,
    Tag,
    directory,
    read_block,
    read_directory,
)
from fast_style.images.formats import WRITABLE
from fast_style.images.limits import allow_megapixels
from fast_style.images.metadata import kept_dpi, srgb_profile
from fast_style.images.picture import Clip, Picture, PictureError
from fast_style.images.reading import read_picture
from fast_style.images.tiff import write_tiff
from fast_style.images.writing import write_clip, write_picture

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


def foreign_exif(order: Order) -> Exif:
    """Return tags of all kinds that stay; Pillow's own way would lose or change most of them."""

    def pack(form: str, *values: int) -> bytes:
        return struct.pack(f"{order}{len(values)}{form}", *values)

    main = {
        Base.ImageDescription: Tag(2, "KEPT, 東京\0".encode()),
        Base.Artist: Tag(2, "Zoë Müller\0".encode()),
        Base.Rating: Tag(3, pack("H", 4)),
        Base.Copyright: Tag(2, b"\xa9 2024\0"),  # Latin 1
        Base.XPTitle: Tag(1, "Zoë\0".encode("utf-16le")),
        Base.XPAuthor: Tag(1, "Zoë\0".encode("utf-16le")),
    }
    camera = {
        Base.FNumber: Tag(5, pack("L", 28, 10)),
        Base.DateTimeOriginal: Tag(2, TAKEN.encode() + b"\0"),
        Base.OffsetTimeOriginal: Tag(2, b"+01:00\0"),
        Base.ExposureBiasValue: Tag(10, pack("l", -2, 0)),
        Base.FocalLength: Tag(5, pack("L", 50, 0)),
        Base.UserComment: Tag(7, b"UNICODE\0" + "hé".encode("utf-16le")),
        Base.SubsecTimeOriginal: Tag(2, b"123\0"),
        Base.DigitalZoomRatio: Tag(5, pack("L", 0, 0)),
        Base.LensModel: Tag(2, b"no end"),
        42039: Tag(129, "Zoë, of EXIF 3\0".encode()),
    }
    place = {
        0: Tag(2, b"2.2.0.0\0"),  # four bytes, by EXIF
        1: Tag(2, b"N\0"),
        2: Tag(5, pack("L", 48, 1, 8, 1, 1234, 100)),
        6: Tag(5, pack("L", 5, 0)),
    }
    return Exif(order, *({int(k): v for k, v in d.items()} for d in (main, camera, place)))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("suffix", [one for one in WRITABLE if one != ".gif"])
def test_exif_stays_byte_for_byte(suffix: str, order: Order, tmp_path: Path) -> None:
    exif, path = foreign_exif(order), tmp_path / f"in{suffix}"
    rgb = torch.full((1, 3, 40, 48), 0.5)
    for levels in (rgb, (rgb * 255).to(torch.uint8)):
        write_clip(path, Clip([Picture(levels, None, exif.tobytes())]))
        read = read_picture(path).exif
        assert read is not None
        assert read_block(read) == exif


def test_exif_of_a_big_tiff(tmp_path: Path) -> None:
    path = tmp_path / "in.tif"
    tags = [(int(Base.Artist), 2, 0, "Zoë Müller".encode(), True)]
    tifffile.imwrite(path, np.zeros((40, 48, 3), np.uint8), bigtiff=True, extratags=tags)
    read = read_picture(path).exif
    assert read is not None
    assert read_block(read).main[Base.Artist] == Tag(2, "Zoë Müller\0".encode())


DAMAGES = {
    "a value outside the file": (8, b"\xf0\xff\xff\x7f"),
    "an unknown type": (2, b"\xee\xee"),
    "no type": (2, bytes(2)),
    "more values than there are": (4, b"\xff\xff\xff\x7f"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_a_damaged_tag_is_lost_alone(damage: str, suffix: str, tmp_path: Path) -> None:
    exif, path = foreign_exif("<"), tmp_path / f"in{suffix}"
    write_clip(path, Clip([Picture(torch.zeros(1, 3, 40, 48), None, exif.tobytes())]))
    data = bytearray(path.read_bytes())
    entry = data.index(struct.pack("<HHL", Base.Artist, 2, 13))
    at, value = DAMAGES[damage]
    data[entry + at : entry + at + len(value)] = value
    if suffix == ".png":
        start = data.index(b"eXIf") - 4
        end = start + 8 + int.from_bytes(data[start : start + 4], "big")
        data[end : end + 4] = zlib.crc32(data[start + 4 : end]).to_bytes(4, "big")
    path.write_bytes(data)
    read = read_picture(path).exif
    assert read is not None
    del exif.main[Base.Artist]
    assert read_block(read) == exif


def everything(turned: bool) -> bytes:
    """Return EXIF with all that stays, and with what must not: SECRET and a thumbnail."""
    exif = foreign_exif("<")
    hidden = Tag(7, b"SECRET of this file")
    if turned:
        exif.main[Base.Orientation] = Tag(3, b"\x06\0")
    # XMP, IPTC and Photoshop's block, as TIFF has them.
    exif.main.update(dict.fromkeys((269, 316, 700, 33723, 34377, 37724, 50898), hidden))
    unwanted = (Base.MakerNote, Base.ImageUniqueID, Base.ImageHistory, 0xEA1C, 33723)
    exif.camera.update({int(tag): hidden for tag in unwanted})
    block = bytearray(exif.tobytes())
    thumbnail = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(thumbnail, "JPEG", comment=b"SECRET thumbnail")
    at = len(block) - len(PREFIX)
    pointer = len(PREFIX) + 8 + 2 + 12 * (len(exif.main) + 2)
    block[pointer : pointer + 4] = struct.pack("<L", at)
    where = Tag(4, struct.pack("<L", at + 2 + 2 * 12 + 4))
    size = Tag(4, struct.pack("<L", len(thumbnail.getvalue())))
    return bytes(block) + directory({0x201: where, 0x202: size}, "<", at) + thumbnail.getvalue()


def full_files(folder: Path) -> list[Path]:
    """Write a file of each type that carries all that its type can, beside its pixels."""
    heif.register()
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">SECRET</x:xmpmeta>'
    options: dict[str, Any] = {"xmp": xmp, "comment": b"SECRET comment"}
    paths = []
    for suffix in WRITABLE:
        path = folder / f"{suffix[1:]}{suffix}"
        image = Image.new("RGB", (48, 40), (200, 100, 50))
        # Of a turned AVIF Pillow writes EXIF anew, and changes it.
        chosen = options | {"exif": everything(turned=suffix != ".avif")}
        if suffix == ".png":
            text = PngInfo()
            text.add_text("Author", "SECRET")
            text.add_text("Comment", "SECRET", zip=True)
            text.add_itxt("XML:com.adobe.xmp", xmp.decode())
            chosen["pnginfo"] = text
        if suffix in (".tif", ".tiff"):
            with path.open("wb") as file:
                write_tiff(file, np.asarray(image), chosen["exif"], None)
        else:
            image.save(path, **chosen)
        if suffix in (".jpg", ".jpeg"):
            iptc = b"Photoshop 3.0\0SECRET"
            data = path.read_bytes()
            app13 = b"\xff\xed" + struct.pack(">H", len(iptc) + 2) + iptc
            path.write_bytes(data[:2] + app13 + data[2:])
        assert b"SECRET" in path.read_bytes()
        paths.append(path)
    return paths


@pytest.mark.parametrize("strip", [False, True])
def test_what_is_promised_stays_and_nothing_else(
    strip: bool, tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    sources = full_files(tmp_path / "in")
    options = ["--strip"] if strip else []
    folder = tmp_path / "out"
    command = [str(tiny_model), *map(str, sources), "-o", f"{folder}/", *options]
    assert stylize.main(command) == 0, capsys.readouterr().err
    # Each type in TIFF too, and the JPEG, whose EXIF is whole, in each type.
    for source in sources:
        one = read_picture(source)
        shown = one._replace(exif=None if strip else one.exif)
        write_clip(folder / f"{source.stem}_in.tif", Clip([shown]))
        if source.suffix == ".jpg":
            for suffix in WRITABLE:
                write_clip(folder / f"jpg_in{suffix}", Clip([shown]))
            deep = shown._replace(levels=one.rgb)
            for suffix in (".png", ".tif"):
                write_clip(folder / f"jpg_deep{suffix}", Clip([deep]))
    results = sorted(folder.iterdir())
    assert len(results) > 3 * len(WRITABLE)
    for result in results:
        data = result.read_bytes()
        assert b"SECRET" not in data, result
        kept = not strip and result.suffix != ".gif" and not result.stem.startswith("gif")
        assert (b"KEPT" in data) == kept, result
        with Image.open(result) as image:
            assert getattr(image, "text", {}) == {}
            assert image.info.get("comment") is None
            assert image.info.get("xmp") is None
            assert image.getexif().get(Base.Orientation, 1) == 1
            assert dict(image.getexif().get_ifd(IFD.IFD1)) == {}


def test_of_more_exif_than_a_jpeg_holds_the_largest_is_left_out(tmp_path: Path) -> None:
    exif = foreign_exif("<")
    exif.camera[Base.UserComment] = Tag(7, bytes(40_000))
    exif.main[Base.ImageDescription] = Tag(2, b"x" * 39_999 + b"\0")
    one = Picture(torch.zeros(1, 3, 40, 48), None, exif.tobytes())
    for suffix in (".png", ".webp", ".tif"):
        write_clip(tmp_path / f"a{suffix}", Clip([one]))
        assert read_picture(tmp_path / f"a{suffix}").exif == one.exif
    write_clip(tmp_path / "a.jpg", Clip([one]))
    read = read_picture(tmp_path / "a.jpg").exif
    assert read is not None
    del exif.camera[Base.UserComment]
    assert read_block(read) == exif


@pytest.mark.parametrize("size", [65_000, 65_600])
def test_exif_that_just_fits_a_jpeg(size: int, tmp_path: Path) -> None:
    exif = Exif("<", {int(Base.ImageDescription): Tag(2, b"x" * size)}, {}, {})
    one = Picture(torch.zeros(1, 3, 40, 48), None, exif.tobytes())
    write_clip(tmp_path / "a.jpg", Clip([one]))
    assert read_picture(tmp_path / "a.jpg").exif == (exif.tobytes() if size < 65_500 else None)


def test_a_hostile_file_is_not_read_again_and_again() -> None:
    """Each of many tags says that it is the same large part of the file."""
    tags = {tag: Tag(7, bytes(2**20)) for tag in range(8)}
    data = directory(tags, "<", 0)
    found = read_directory(io.BytesIO(data), 0, "<")
    assert sum(len(tag.data) for tag in found.values()) <= MOST


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
    allow_megapixels(1)
    with pytest.raises(PictureError, match="cannot write"):
        write_picture(tmp_path / "x.bmp", torch.zeros(1, 3, 4, 4))

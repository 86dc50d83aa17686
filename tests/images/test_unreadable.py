"""Files that cannot be read are named, in one error of ours."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from pictures import READERS, Reader, colours, damaged, needs_avif, smooth
from PIL import Image

from fast_style.images.picture import PictureError
from fast_style.images.reading import (
    from_pil,
    picture_size,
    read_clip,
    read_picture,
    read_style,
)
from fast_style.images.writing import write_picture


@pytest.mark.parametrize("reader", [read_picture, lambda path: read_style(path, 32)])
def test_a_picture_that_holds_no_numbers_is_refused(tmp_path: Path, reader: Reader) -> None:
    grey = np.full((40, 40), 0.5, np.float32)
    grey[3, 5] = np.nan
    Image.fromarray(grey).save(tmp_path / "holes.tiff")
    with pytest.raises(PictureError, match="holes.tiff"):
        reader(tmp_path / "holes.tiff")


def test_picture_size_reads_only_the_header(tmp_path: Path) -> None:
    path = damaged(tmp_path, ".png")
    assert picture_size(path) == (64, 48)


DECODERS = {name: reader for name, reader in READERS.items() if name != "picture_size"}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_a_missing_file(tmp_path: Path, reader: Reader) -> None:
    with pytest.raises(PictureError, match="nowhere.png: .*no such file"):
        reader(tmp_path / "nowhere.png")


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_a_folder(tmp_path: Path, reader: Reader) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(PictureError, match="folder.png: .*folder"):
        reader(tmp_path / "folder.png")


@pytest.mark.parametrize("content", [b"", b"no picture, only words\n" * 9, bytes(2000)])
@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_a_file_that_is_no_picture(tmp_path: Path, reader: Reader, content: bytes) -> None:
    (tmp_path / "words.png").write_bytes(content)
    with pytest.raises(PictureError, match="words.png: .*known format"):
        reader(tmp_path / "words.png")


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_a_path_below_a_file(tmp_path: Path, reader: Reader) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(PictureError, match=r"file.picture\.png"):
        reader(tmp_path / "file" / "picture.png")


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_a_name_longer_than_the_file_system_allows(tmp_path: Path, reader: Reader) -> None:
    with pytest.raises(PictureError, match="x{300}.png"):
        reader(tmp_path / f"{'x' * 300}.png")


@pytest.mark.parametrize("extension", [".jpg", ".png", ".bmp", ".gif", ".tiff", ".webp", ".ppm"])
@pytest.mark.parametrize("reader", DECODERS.values(), ids=DECODERS)
def test_a_file_that_is_cut_off(tmp_path: Path, reader: Reader, extension: str) -> None:
    path = damaged(tmp_path, extension)
    with pytest.raises(PictureError, match=rf"half\{extension}"):
        reader(path)


@needs_avif
@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_a_damaged_avif(tmp_path: Path, reader: Reader) -> None:
    """Pillow raises RuntimeError for it."""
    path = tmp_path / "a.avif"
    Image.fromarray(colours()).save(path)
    path.write_bytes(path.read_bytes().replace(b"iloc", b"xxxx"))
    with pytest.raises(PictureError, match="a.avif"):
        reader(path)


def test_a_damaged_image_in_memory(tmp_path: Path) -> None:
    with (
        Image.open(damaged(tmp_path, ".jpg")) as image,
        pytest.raises(PictureError, match="the image"),
    ):
        from_pil(image)


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_a_decompression_bomb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: Reader
) -> None:
    Image.fromarray(colours(8, 8)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 31)
    with pytest.raises(PictureError, match="bomb.png: 6.4e-05 megapixels .*6.2e-05"):
        reader(tmp_path / "bomb.png")


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_a_large_picture_that_pillow_only_warns_of_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: Reader
) -> None:
    Image.fromarray(colours(40, 40)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 800)
    with warnings.catch_warnings(record=True) as told:
        assert reader(tmp_path / "large.png") is not None
    assert not told


@pytest.mark.parametrize(
    "error",
    [
        zlib.error("bad block"),
        AssertionError("bad block"),
        OverflowError("bad block"),
        KeyError("bad block"),
        AttributeError("bad block"),
        RecursionError("bad block"),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "bad block"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_decoders_error_of_any_kind_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    for name in ("a.png", "a.jpg"):
        write_picture(tmp_path / name, smooth())

    def failing(*arguments: object) -> NoReturn:
        raise error

    monkeypatch.setattr("fast_style.images.reading.picture_of", failing)
    monkeypatch.setattr("fast_style.images.reading.decoded", failing)
    for name in ("a.png", "a.jpg"):
        with pytest.raises(PictureError, match=rf"cannot read .*{name}: .*bad block"):
            read_picture(tmp_path / name)


def test_a_damaged_later_page_is_no_reason_to_lose_the_first(tmp_path: Path) -> None:
    page = Image.new("RGB", (40, 40), (200, 30, 30))
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page])
    data = bytearray((tmp_path / "a.tif").read_bytes())
    (first,) = struct.unpack_from("<I", data, 4)
    (tags,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * tags, len(data) - 1)  # where the next page is
    (tmp_path / "cut.tif").write_bytes(data)
    clip = read_clip(tmp_path / "cut.tif")
    assert clip.frames[0].levels[0, :, 0, 0].tolist() == [200, 30, 30]


def test_a_misspelt_picture_is_guessed(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(PictureError, match=r"foto\.jpg: .*did you mean photo\.jpg\?"):
        read_picture(tmp_path / "foto.jpg")

"""What is written is read back: pixels, transparency, EXIF and dpi, by programs that wrote nothing.

Pillow writes most files, libvips PNG of 16 bits, TIFF is put together here: none of them is asked
whether its own files are right.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import av
import numpy as np
import numpy.typing as npt
import pytest
import pyvips
import tifffile
import torch
from PIL import Image

from fast_style.images import heif, tiff, writing
from fast_style.images.exif import PREFIX, Exif, Order, Tag
from fast_style.images.formats import ANIMATED, LARGEST_SIDE, PRINTED, TIFF, WRITABLE
from fast_style.images.picture import Clip, Picture, PictureError
from fast_style.images.reading import read_picture
from fast_style.images.writing import encode_clip, write_clip, write_picture
from fast_style.system.atomic import write_atomically

HEIGHT, WIDTH = 40, 48
FORMATS = [one for one in WRITABLE if one not in (".jpeg", ".tiff", ".heif")]
EXACT = (".png", ".tif")
Y, X = np.mgrid[0:HEIGHT, 0:WIDTH]
RAMPS = np.stack([X / (WIDTH - 1), Y / (HEIGHT - 1), (X + Y) / (WIDTH + HEIGHT - 2)])
OPAQUE = X >= WIDTH // 3
ARTIST, COPYRIGHT, DESCRIPTION, TITLE, MAKE, RATING = 315, 33432, 270, 40091, 271, 18246
TAKEN, OFFSET, SUBSECOND, COMMENT, APERTURE, ZOOM = 36867, 36881, 37521, 37510, 33437, 41988


class Read(NamedTuple):
    """What a reader found."""

    levels: npt.NDArray[Any]  # (H, W, 3) or (H, W, 4), uint8 or uint16
    said: dict[str, str] = {}  # of EXIF, by FFmpeg's names
    block: bytes | None = None  # of EXIF, as it is stored
    dpi: float | None = None


def by_libvips(data: bytes) -> Read:
    image = pyvips.Image.new_from_buffer(data, "")
    block = image.get("exif-data") if image.get_typeof("exif-data") else None
    return Read(image.numpy(), {}, block, image.xres * 25.4)


def by_ffmpeg(data: bytes) -> Read:
    with av.open(io.BytesIO(data), "r") as file:
        frame = next(file.decode(video=0))
    name = frame.format.name
    if not name.startswith(("rgb48", "rgba64")):
        name = "rgba" if name in ("rgba", "bgra", "yuva420p", "yuva444p") else "rgb24"
    said = {key: " ".join(value.split()) for key, value in frame.metadata.items()}
    levels = frame.to_ndarray(format=name)[:HEIGHT, :WIDTH]  # HEIF is stored in blocks of 64
    return Read(levels, said)


def by_tifffile(data: bytes) -> Read:
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tags = file.pages.first.tags
        names = {"ExifTag": "ExifIFD/", "GPSTag": "GPSInfo/"}
        said = {tag.name: str(tag.value) for tag in tags if tag.name not in names}
        for name, prefix in names.items():
            found = tags[name].value if name in tags else {}
            said |= {prefix + key: str(value) for key, value in found.items()}
        dpi = tags["XResolution"].value[0] if "XResolution" in tags else None
        return Read(file.asarray(), said, None, dpi)


def by_pillow(data: bytes) -> Read:
    heif.register()
    with Image.open(io.BytesIO(data)) as image:
        dpi = image.info["dpi"][0] if "dpi" in image.info else None
        return Read(np.asarray(image), {}, image.info.get("exif"), dpi)


READERS: dict[str, list[Callable[[bytes], Read]]] = {
    **{suffix: [by_libvips, by_ffmpeg] for suffix in FORMATS},
    ".png": [by_libvips, by_ffmpeg, by_pillow],  # which takes the upper 8 of 16 bits
    ".tif": [by_libvips, by_ffmpeg, by_tifffile],
    ".heic": [by_ffmpeg, by_pillow],  # libvips's package reads none, for patents
}


def exif(
    main: dict[int, Tag],
    order: Order = "<",
    camera: dict[int, Tag] | None = None,
    place: dict[int, Tag] | None = None,
) -> bytes:
    return Exif(order, main, camera or {}, place or {}).tobytes()


def text(value: str) -> Tag:
    return Tag(2, value.encode() + b"\0")


def rational(order: Order, *values: int, kind: int = 5) -> Tag:
    return Tag(kind, struct.pack(f"{order}{len(values)}{'l' if kind == 10 else 'L'}", *values))


def foreign(order: Order) -> bytes:
    """Return what Pillow's way through Python's values would lose, in either order of bytes."""
    comment = "hé".encode("utf-16le" if order == "<" else "utf-16be")
    return exif(
        {
            ARTIST: text("Zoë Müller"),
            COPYRIGHT: text("© 2024"),
            DESCRIPTION: text("東京"),
            TITLE: Tag(1, "Zoë\0".encode("utf-16le")),
        },
        order,
        {
            TAKEN: text("2024:01:02 03:04:05"),
            OFFSET: text("+01:00"),
            SUBSECOND: text("123"),
            COMMENT: Tag(7, b"UNICODE\0" + comment),
            APERTURE: rational(order, 28, 10),
            ZOOM: rational(order, 0, 0),
        },
        {0: Tag(2, b"2.2.0.0\0"), 1: text("N"), 2: rational(order, 48, 1, 8, 1, 1234, 100)},
    )


NON_ASCII = {"Artist": "Zoë Müller", "ImageDescription": "東京", "Copyright": "© 2024"}
# Of each: the block, dpi, and what of it FFmpeg and tifffile should find.
SAID: dict[str, tuple[bytes | None, float | None, dict[str, str]]] = {
    "nothing": (None, None, {}),
    "plain": (exif({ARTIST: text("Ann")}), 300, {"Artist": "Ann"}),
    "not ASCII": (foreign("<"), None, NON_ASCII),
    "not ASCII, big endian": (foreign(">"), 72, NON_ASCII),
    "large": (exif({DESCRIPTION: text("x" * 60_001)}), 300, {"ImageDescription": "x" * 60_001}),
    "place": (
        exif({}, ">", {TAKEN: text("2024:01:02 03:04:05")}, {1: text("N")}),
        150,
        {"ExifIFD/DateTimeOriginal": "2024:01:02 03:04:05", "GPSInfo/GPSLatitudeRef": "N"},
    ),
}


def picture(bits: int, with_alpha: bool, said: str = "nothing") -> Picture:
    rgb = torch.from_numpy(RAMPS.astype(np.float32))[None]
    levels = rgb if bits == 16 else (rgb * 255).round().to(torch.uint8)
    alpha = torch.from_numpy(OPAQUE.astype(np.float32))[None, None] if with_alpha else None
    return Picture(levels, alpha, *SAID[said][:2])


def check_pixels(found: npt.NDArray[Any], suffix: str, is_deep: bool, with_alpha: bool) -> None:
    white = 65_535 if is_deep else 255
    assert found.shape[:2] == (HEIGHT, WIDTH)
    assert found.dtype == (np.uint16 if is_deep else np.uint8)
    expected = RAMPS.transpose(1, 2, 0)
    compared = OPAQUE if with_alpha else np.ones_like(OPAQUE)
    error = np.abs(found[..., :3] / white - expected)[compared].max()
    assert error <= (1.01 / white if suffix in EXACT else 0.1)
    if with_alpha and found.shape[2] == 4:
        np.testing.assert_allclose(found[..., 3] / white, OPAQUE, atol=0.02)


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("suffix", FORMATS)
def test_every_file_is_read_by_others(suffix: str, bits: int, said: str) -> None:
    block, dpi, expected = SAID[said]
    for with_alpha in (False, True):
        data = encode_clip(Clip([picture(bits, with_alpha, said)]), suffix)
        bands = set()
        for reader in READERS[suffix]:
            found = reader(data)
            is_deep = bits == 16 and suffix in EXACT and reader is not by_pillow
            check_pixels(found.levels, suffix, is_deep, with_alpha)
            if reader is not by_ffmpeg:  # which gives any GIF an alpha, and some none
                bands.add(found.levels.shape[2])
            if reader in (by_libvips, by_pillow) and suffix not in (".gif", ".tif"):
                assert (found.block or b"").removeprefix(PREFIX) == (block or PREFIX)[6:]
            if reader in (by_ffmpeg, by_tifffile) and suffix != ".gif":
                assert expected.items() <= found.said.items(), reader
            if dpi is not None and suffix in PRINTED and reader is not by_ffmpeg:
                assert found.dpi == pytest.approx(dpi, abs=0.1)
        assert (4 in bands) == (with_alpha and suffix != ".jpg")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_tiffs_tags_are_what_they_were(order: Order, bits: int) -> None:
    one = picture(bits, with_alpha=True)._replace(exif=foreign(order))
    data = encode_clip(Clip([one]), ".tif")
    comment = b"UNICODE\0" + "hé".encode("utf-16le" if order == "<" else "utf-16be")
    listed = ", ".join(map(str, comment))
    assert by_ffmpeg(data).said["ExifIFD/UserComment"] == listed
    said = by_tifffile(data).said
    assert NON_ASCII.items() <= said.items()
    assert said["XPTitle"] == str("Zoë\0".encode("utf-16le"))
    assert said["ExifIFD/OffsetTimeOriginal"] == "+01:00"
    assert said["ExifIFD/SubsecTimeOriginal"] == "123"
    assert said["ExifIFD/FNumber"] == "(28, 10)"
    assert said["ExifIFD/DigitalZoomRatio"] == "(0, 0)"
    assert said["GPSInfo/GPSVersionID"] == "2.2.0.0"
    assert said["GPSInfo/GPSLatitude"] == "(48, 1, 8, 1, 1234, 100)"


@pytest.mark.parametrize("order", ["<", ">"])
def test_tags_of_any_type_in_a_tiff(order: Order) -> None:
    rating = Tag(3, struct.pack(order + "H", 4))
    main = {ARTIST: Tag(129, "Zoë\0".encode()), COPYRIGHT: text(""), RATING: rating}
    main |= {DESCRIPTION: rational(order, 1, 2), TITLE: Tag(7, b"\0\xff"), MAKE: Tag(2, b"no end")}
    one = picture(8, with_alpha=False)._replace(exif=exif(main, order))
    data = encode_clip(Clip([one]), ".tif")
    said = by_tifffile(data).said
    assert (said["Artist"], said["Copyright"], said["Rating"]) == ("Zoë", "", "4")
    assert (said["Make"], said["XPTitle"]) == ("no end", str(b"\0\xff"))
    assert "ImageDescription" not in said  # which is no fraction
    for reader in READERS[".tif"]:
        check_pixels(reader(data).levels, ".tif", is_deep=False, with_alpha=False)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_of_many_strips(bits: int, order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    one = picture(bits, with_alpha=True)._replace(exif=foreign(order))
    for rows in range(1, 9):
        monkeypatch.setattr(tiff, "STRIP", rows * WIDTH * bits // 2)
        data = encode_clip(Clip([one]), ".tif")
        for reader in READERS[".tif"]:
            check_pixels(reader(data).levels, ".tif", bits == 16, with_alpha=True)
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages.first
            assert len(page.dataoffsets) == HEIGHT // rows + bool(HEIGHT % rows)
            begins = page.tags["ExifTag"].valueoffset
        assert begins % 2 == 0  # as TIFF demands of directories


def test_a_picture_too_large_for_tiff_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    one = picture(16, with_alpha=False, said="place")
    size = len(encode_clip(Clip([one]), ".tif"))
    monkeypatch.setattr(tiff, "LARGEST", size + 1)
    assert len(encode_clip(Clip([one]), ".tif")) == size
    monkeypatch.setattr(tiff, "LARGEST", size)
    with pytest.raises(PictureError, match="a stream: TIFF "):
        encode_clip(Clip([one]), ".tif")


@pytest.mark.parametrize("suffix", ANIMATED)
@pytest.mark.parametrize("with_alpha", [False, True])
def test_every_animation_is_read_by_others(suffix: str, with_alpha: bool) -> None:
    if suffix not in WRITABLE:
        pytest.skip(f"this Pillow has no {suffix}")
    frames = [picture(8, with_alpha, "plain") for _ in range(3)]
    frames = [f._replace(levels=f.levels.roll(n, 2)) for n, f in enumerate(frames)]
    data = encode_clip(Clip(frames, [100, 200, 300], 0), suffix)
    shown = {}
    if suffix in (".gif", ".webp"):  # of the others libvips reads one frame
        image = pyvips.Image.new_from_buffer(data, "", n=-1)
        shown["libvips"] = list(image.numpy().reshape(3, HEIGHT, WIDTH, -1))
    if suffix != ".webp":  # in which FFmpeg reads no animation
        with av.open(io.BytesIO(data), "r") as file:
            stream = max(file.streams.video, key=lambda one: one.frames)
            form = "rgba" if with_alpha and suffix != ".avif" else "rgb24"
            shown["FFmpeg"] = [frame.to_ndarray(format=form) for frame in file.decode(stream)]
    for found in shown.values():
        assert len(found) == 3
        for number, levels in enumerate(found):
            expected = np.roll(RAMPS, number, 1).transpose(1, 2, 0)
            # Edges are blurred, that of the transparent part and that which rolled in.
            sharp = (X >= WIDTH // 3 + 2 if with_alpha else X >= 0) & (Y > 5)
            assert np.abs(levels[..., :3] / 255 - expected)[sharp].max() <= 0.12


@pytest.mark.parametrize("extension", [one for one in WRITABLE if one not in (".png", *TIFF)])
def test_a_picture_larger_than_its_format_allows(tmp_path: Path, extension: str) -> None:
    most = LARGEST_SIDE.get(extension, 70_000 - 1)
    with pytest.raises(PictureError, match=rf"cannot write .*a\{extension}: "):
        write_picture(tmp_path / f"a{extension}", torch.zeros(1, 3, 1, most + 1))
    assert not list(tmp_path.iterdir())
    if extension in LARGEST_SIDE:
        write_picture(tmp_path / f"a{extension}", torch.zeros(1, 3, most, 1))
        assert read_picture(tmp_path / f"a{extension}").rgb.shape == (1, 3, most, 1)
        (tmp_path / f"a{extension}").unlink()
    assert not list(tmp_path.iterdir())


FAILURES: dict[str, Callable[[Path], Exception]] = {
    "a full disk": lambda path: OSError(28, "No space left on device"),
    "a full disk, with its file": lambda path: OSError(28, "No space left on device", str(path)),
    "a text that names the file": lambda path: OSError(f"No space left on device: {path}"),
    "another type": lambda path: RuntimeError(f"No space left on device, {path.name}"),
    "a number": lambda path: OverflowError("No space left on device"),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("extension", WRITABLE)
def test_a_file_that_cannot_be_written_is_named_as_the_user_knows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extension: str, failure: str
) -> None:
    path = tmp_path / f"a{extension}"
    path.write_bytes(b"the old file")

    def save(image: Image.Image, target: Path, **options: object) -> None:
        Path(target).write_bytes(b"half")
        raise FAILURES[failure](Path(target))

    def write_tiff(file: IO[bytes], *rest: object) -> None:
        file.write(b"half")
        raise FAILURES[failure](Path(file.name))

    monkeypatch.setattr(Image.Image, "save", save)
    monkeypatch.setattr(writing, "write_tiff", write_tiff)
    with pytest.raises(PictureError, match=rf"cannot write .*a\{extension}: No space left") as told:
        write_picture(path, torch.zeros(1, 3, 8, 8))
    assert ".part-" not in str(told.value)
    assert path.read_bytes() == b"the old file"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("extension", WRITABLE)
@pytest.mark.parametrize("bits", [8, 16])
def test_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extension: str, bits: int
) -> None:
    """What is written goes to a device that is full."""
    path = tmp_path / f"a{extension}"
    path.write_bytes(b"the old file")
    whole = write_atomically

    @contextmanager
    def full(path: Path, replace: bool) -> Iterator[Path]:
        with whole(path, replace) as temporary:
            temporary.unlink()
            temporary.symlink_to("/dev/full")
            yield temporary

    monkeypatch.setattr(writing, "write_atomically", full)
    levels = (
        torch.rand(1, 3, 99, 99) if bits == 16 else torch.zeros(1, 3, 99, 99, dtype=torch.uint8)
    )
    with pytest.raises(PictureError, match=rf"cannot write .*a\{extension}: ") as told:
        write_clip(path, Clip([Picture(levels, None)]))
    assert ".part-" not in str(told.value)
    assert path.read_bytes() == b"the old file"
    assert list(tmp_path.iterdir()) == [path]

"""What the numbers in a file mean, whoever reads it; and files that are hostile or no pictures."""

from __future__ import annotations

import io
import os
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torch import Tensor

from fast_style import stylize
from fast_style.images import header, heif
from fast_style.images import reading as image
from fast_style.images.picture import PictureError, long_side_size, resize
from fast_style.images.reading import picture_size, read_clip, read_crop, read_picture, read_style
from fast_style.system import memory

Array = npt.NDArray[Any]
WIDTH, HEIGHT = 64, 48
RAMP = np.tile(np.linspace(0, 1, WIDTH), (HEIGHT, 1))
HALF = np.full_like(RAMP, 0.5)
GREY = np.stack([RAMP, RAMP, RAMP], -1)
RGB = np.stack([RAMP, 1 - RAMP, HALF], -1)
CODES = {1: "B", 3: "H", 4: "L", 7: "B"}  # of TIFF's types
SRGB_LINEAR = np.where(RAMP <= 0.0031308, 12.92 * RAMP, 1.055 * RAMP ** (1 / 2.4) - 0.055)
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    b'syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
    b'tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)
NUMBERS: dict[str, tuple[str, int, int, float]] = {  # type, bits, TIFF's SampleFormat, white
    "uint8": ("u1", 8, 1, 255),
    "uint16": ("u2", 16, 1, 65535),
    "uint32": ("u4", 32, 1, 2**32 - 1),
    "int16": ("i2", 16, 2, 32767),
    "float16": ("f2", 16, 3, 1),
    "float32": ("f4", 32, 3, 1),
    "float32 of 255": ("f4", 32, 3, 255),
}


def tiff(path: Path, parts: list[bytes], tags: dict[int, tuple[int, list[int]]]) -> Path:
    """Write a TIFF of one strip, or one for each plane."""
    tags = {
        256: (4, [WIDTH]),
        257: (4, [HEIGHT]),
        259: (3, [1]),
        278: (4, [HEIGHT]),
        279: (4, [len(part) for part in parts]),
        273: (4, [0] * len(parts)),
        **tags,
    }
    at = 8 + 2 + 12 * len(tags) + 4
    raws = {}
    for tag, (kind, values) in tags.items():
        raws[tag] = struct.pack(f"<{len(values)}{CODES[kind]}", *values)
        at += len(raws[tag]) + 1 if len(raws[tag]) > 4 else 0
    starts = [at + sum(map(len, parts[:i])) for i in range(len(parts))]
    raws[273] = struct.pack(f"<{len(parts)}L", *starts)
    head, extra = b"II*\0" + struct.pack("<LH", 8, len(tags)), b""
    for tag in sorted(tags):
        raw = raws[tag]
        if len(raw) > 4:
            place = 8 + 2 + 12 * len(tags) + 4 + len(extra)
            extra, raw = extra + raw + bytes(len(raw) % 2), struct.pack("<L", place)
        head += struct.pack("<HHL", tag, tags[tag][0], len(tags[tag][1])) + raw.ljust(4, b"\0")
    path.write_bytes((head + bytes(4) + extra).ljust(at, b"\0") + b"".join(parts))
    return path


def stored(values: Array, name: str) -> Array:
    kind, _, _, white = NUMBERS[name]
    scaled = values * white
    return (scaled if kind[0] == "f" else scaled.round()).astype(f"<{kind}")


def numbers_tiff(
    path: Path, name: str, values: Array, photometric: int, planar: bool = False, **more: Any
) -> Path:
    """Write values in [0, 1], ``(H, W, B)``, as a TIFF holds them."""
    _, bits, kind, _ = NUMBERS[name]
    bands, levels = values.shape[-1], stored(values, name)
    planes = [levels[..., i].tobytes() for i in range(bands)]
    tags: dict[int, tuple[int, list[int]]] = {
        258: (3, [bits] * bands),
        262: (3, [photometric]),
        277: (3, [bands]),
        284: (3, [2 if planar else 1]),
        339: (3, [kind] * bands),
        **more.get("tags", {}),
    }
    if "extra" in more:
        tags[338] = (3, more["extra"])
    return tiff(path, planes if planar else [levels.tobytes()], tags)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data))


def png(path: Path, kind: int, levels: Array, *chunks: bytes, data: bytes | None = None) -> Path:
    """Write a PNG of the colour type ``kind``; of bytes or 16 bits."""
    depth = 8 * levels.itemsize
    rows = levels.astype(f">u{levels.itemsize}").reshape(len(levels), -1)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows)) if data is None else data
    size = struct.pack(">LLBBBBB", levels.shape[1], levels.shape[0], depth, kind, 0, 0, 0)
    idat = chunk(b"IDAT", body) if body else b""
    parts = [chunk(b"IHDR", size), *chunks, idat, chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def levels_of(values: Array, bits: int) -> Array:
    levels: Array = (values * (2**bits - 1)).round().astype(f"u{bits // 8}")
    return levels


def whole(width: int, height: int) -> tuple[float, float, float, float]:
    return 0, 0, width, height


def check_readers(path: Path, expected: Array, alpha: float | None = None, at: float = 2) -> None:
    """Check that all readers find the colours, within ``at`` levels of 255."""
    picture = read_picture(path)
    assert (picture.alpha is None) == (alpha is None)
    if alpha is not None and picture.alpha is not None:
        assert (picture.alpha - alpha).abs().max() < 0.01
    on_white = expected if alpha is None else expected * alpha + 1 - alpha
    side = min(expected.shape[:2])
    square = on_white[:side, :side]
    found = {
        "picture": (picture.rgb, expected),
        "style": (read_style(path, side), on_white),
        "crop": (read_crop(path, side, lambda w, h: (0, 0, side, side))[None], square),
    }
    for name, (rgb, wanted) in found.items():
        difference = rgb[0].permute(1, 2, 0).numpy() - wanted
        assert np.abs(difference).max() < at / 255, name


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("alpha", [None, 0.5])
def test_grey_tiffs(tmp_path: Path, name: str, photometric: int, alpha: float | None) -> None:
    values = (RAMP if photometric else 1 - RAMP)[..., None]
    more: dict[str, Any] = {} if alpha is None else {"extra": [2]}
    if alpha is not None:
        values = np.concatenate([values, HALF[..., None]], -1)
    check_readers(numbers_tiff(tmp_path / "a.tif", name, values, photometric, **more), GREY, alpha)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("extra", [[], [2], [0], [2, 0]])
def test_rgb_tiffs(tmp_path: Path, name: str, planar: bool, extra: list[int]) -> None:
    values = np.concatenate([RGB, *[HALF[..., None]] * len(extra)], -1)
    more: dict[str, Any] = {"extra": extra} if extra else {}
    path = numbers_tiff(tmp_path / "a.tif", name, values, 2, planar, **more)
    if planar and name == "float16":  # libvips mixes up their rows
        with pytest.raises(PictureError, match="floats of 16 bits"):
            read_picture(path)
    else:
        check_readers(path, RGB, 0.5 if 2 in extra else None)


@pytest.mark.parametrize("name", ["uint8", "uint16", "float32"])
def test_premultiplied_colours_are_divided(tmp_path: Path, name: str) -> None:
    values = np.concatenate([RGB / 2, HALF[..., None]], -1)
    check_readers(numbers_tiff(tmp_path / "a.tif", name, values, 2, extra=[1]), RGB, 0.5)


@pytest.mark.parametrize("name", ["uint8", "uint16"])
@pytest.mark.parametrize("extra", [[], [2]])
def test_cmyk_tiffs(tmp_path: Path, name: str, extra: list[int]) -> None:
    inks = np.concatenate([1 - RGB, 0 * HALF[..., None], *[HALF[..., None]] * len(extra)], -1)
    more: dict[str, Any] = {"extra": extra} if extra else {}
    path = numbers_tiff(tmp_path / "a.tif", name, inks, 5, **more)
    check_readers(path, RGB, 0.5 if extra else None)


def test_grey_of_twelve_bits(tmp_path: Path) -> None:
    rows = (RAMP * 4095).round().astype(int)
    pairs = [(a, b) for row in rows for a, b in zip(row[::2], row[1::2], strict=True)]
    data = b"".join(bytes((a >> 4, (a & 15) << 4 | b >> 8, b & 255)) for a, b in pairs)
    tags = {258: (3, [12]), 262: (3, [1]), 277: (3, [1])}
    check_readers(tiff(tmp_path / "a.tif", [data], tags), GREY)


def test_lab_of_sixteen_bits(tmp_path: Path) -> None:
    lightness = np.stack([RAMP, 0 * RAMP, 0 * RAMP], -1)
    path = numbers_tiff(tmp_path / "a.tif", "uint16", lightness, 8)
    light = np.where(RAMP > 0.08, ((100 * RAMP + 16) / 116) ** 3, 100 * RAMP / 903.3)
    level = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    check_readers(path, np.stack([level] * 3, -1), at=4)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("turned", ["EXIF", "XMP"])
def test_turned_tiffs(tmp_path: Path, bits: int, turned: str) -> None:
    tags = {274: (3, [6])} if turned == "EXIF" else {700: (1, list(XMP))}
    path = numbers_tiff(tmp_path / "a.tif", f"uint{bits}", RGB, 2, tags=tags)
    check_readers(path, np.rot90(RGB, -1))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("after", [False, True])
def test_turned_pngs(tmp_path: Path, bits: int, after: bool) -> None:
    note = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)
    path = png(tmp_path / "a.png", 2, levels_of(RGB, bits), *([] if after else [note]))
    if after:  # the pixels
        path.write_bytes(path.read_bytes()[:-12] + note + chunk(b"IEND", b""))
    check_readers(path, np.rot90(RGB, -1))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", [0, 2])
def test_a_transparent_level(tmp_path: Path, bits: int, kind: int) -> None:
    levels = levels_of(GREY if kind else RAMP, bits)
    key = struct.pack(">H", int(levels.reshape(-1, 3 if kind else 1)[5, 0])) * (3 if kind else 1)
    path = png(tmp_path / "a.png", kind, levels, chunk(b"tRNS", key))
    alpha = read_picture(path).alpha
    assert alpha is not None
    assert alpha[0, 0, 0].eq(0).nonzero().tolist() == [[5]]
    assert read_style(path, 48)[0, :, 0, 5].tolist() == [1, 1, 1]


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("said", ["gAMA", "cICP"])
@pytest.mark.parametrize("kind", [0, 2])
def test_light_that_is_stored_as_it_is(tmp_path: Path, bits: int, said: str, kind: int) -> None:
    said_by = {
        "gAMA": chunk(b"gAMA", struct.pack(">L", 100_000)),
        "cICP": chunk(b"cICP", bytes((1, 8, 0, 1))),
    }
    levels = levels_of(GREY if kind else RAMP, bits)
    path = png(tmp_path / "a.png", kind, levels, said_by[said])
    check_readers(path, np.stack([SRGB_LINEAR] * 3, -1), at=3)


def test_a_gamma_near_srgbs_changes_nothing(tmp_path: Path) -> None:
    levels = levels_of(RGB, 8)
    path = png(tmp_path / "a.png", 2, levels, chunk(b"gAMA", struct.pack(">L", 45_455)))
    assert torch.equal(read_picture(path).levels[0].permute(1, 2, 0), torch.from_numpy(levels))


def display_p3(values: Array) -> Array:
    """Return colours of Display P3 in sRGB, by the matrices of W3C's CSS Color 4."""
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    matrix = np.array([[1.2249, -0.2247, 0], [-0.0420, 1.0419, 0], [-0.0197, -0.0786, 1.0979]])
    light = (linear @ matrix.T).clip(0, 1)
    rgb: Array = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return rgb


@pytest.mark.parametrize("bits", [8, 16])
def test_display_p3_by_numbers_in_a_png(tmp_path: Path, bits: int) -> None:
    calm = 0.4 + 0.2 * RGB
    path = png(tmp_path / "a.png", 2, levels_of(calm, bits), chunk(b"cICP", bytes((12, 13, 0, 1))))
    check_readers(path, display_p3(calm), at=2.5)


def test_display_p3_by_numbers_in_an_avif(tmp_path: Path) -> None:
    if "AVIF" not in Image.SAVE:
        pytest.skip("this Pillow has no AVIF")
    calm = 0.4 + 0.2 * RGB
    Image.fromarray(levels_of(calm, 8)).save(tmp_path / "a.avif", quality=100, subsampling="4:4:4")
    data = (tmp_path / "a.avif").read_bytes()
    at = data.index(b"colrnclx") + 8
    p3 = struct.pack(">HH", 12, 13)
    (tmp_path / "a.avif").write_bytes(data[:at] + p3 + data[at + 4 :])
    check_readers(tmp_path / "a.avif", display_p3(calm), at=6)
    hdr = struct.pack(">HH", 9, 16)
    (tmp_path / "a.avif").write_bytes(data[:at] + hdr + data[at + 4 :])
    assert "HDR" in str(read_clip(tmp_path / "a.avif").remark)


def test_hdr_is_said(tmp_path: Path) -> None:
    path = png(tmp_path / "a.png", 2, levels_of(RGB, 16), chunk(b"cICP", bytes((9, 16, 0, 1))))
    assert "HDR" in str(read_clip(path).remark)
    check_readers(path, RGB)


# Raw photographs


@pytest.mark.parametrize("suffix", [".dng", ".nef", ".tif"])
@pytest.mark.parametrize(
    "tags",
    [{254: (4, [1]), 330: (4, [8])}, {50706: (1, [1, 4, 0, 0])}, {262: (3, [32803])}],
    ids=["a preview", "DNG", "of a sensor"],
)
def test_a_raw_photograph_is_refused_with_advice(
    tmp_path: Path, suffix: str, tags: dict[int, Any]
) -> None:
    path = numbers_tiff(tmp_path / f"a{suffix}", "uint8", RGB, 2, tags=tags)
    readers: list[Callable[[Path], object]] = [
        read_picture,
        read_clip,
        lambda path: read_style(path, 32),
        lambda path: read_crop(path, 32, whole),
    ]
    for reader in readers:
        with pytest.raises(PictureError, match=rf"a{suffix}: .*raw.*export a TIFF or JPEG"):
            reader(path)


# Hostile files


@pytest.mark.parametrize("kind", ["EPS", "PCX", "TGA", "ICO", "PDF"])
def test_no_other_format_is_read_whatever_the_name(tmp_path: Path, kind: str) -> None:
    Image.init()
    Image.new("RGB", (40, 40)).save(tmp_path / "a.jpg", kind)
    with pytest.raises(PictureError, match=r"a\.jpg: .*known format"):
        read_picture(tmp_path / "a.jpg")


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kept", [0.0, 0.5, None])
def test_a_png_whose_data_ends_early_is_refused(
    tmp_path: Path, bits: int, kept: float | None
) -> None:
    """Its data may be whole for zlib, and too little for the picture, or not be there at all."""
    levels = levels_of(RGB, bits)
    raw = b"".join(b"\0" + row.tobytes() for row in levels.reshape(HEIGHT, -1))
    data = b"" if kept is None else zlib.compress(raw[: int(len(raw) * kept)])
    png(tmp_path / "a.png", 2, levels, data=data)
    for reader in (read_picture, lambda path: read_crop(path, 32, whole)):
        with pytest.raises(PictureError, match=r"a\.png"):
            reader(tmp_path / "a.png")


def test_a_png_chunk_longer_than_its_file_is_not_made_room_for(tmp_path: Path) -> None:
    """Pillow, to which goes what libvips refuses, would ask for all of its 4 GB."""
    path = png(tmp_path / "a.png", 2, levels_of(RGB, 8))
    data = bytearray(path.read_bytes())
    at = data.index(b"IDAT") - 4
    data[at : at + 4] = b"\xfe\xff\xff\x00"
    path.write_bytes(data)
    with pytest.raises(PictureError, match="ends early"):
        read_picture(path)


def test_what_does_not_fit_in_memory_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda device: 10**9)
    levels = np.zeros((1, 1, 3), np.uint8)
    path = png(tmp_path / "a.png", 2, levels, data=b"x")
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">LL", 13_000, 13_000)
    data[29:33] = struct.pack(">L", zlib.crc32(data[12:29]))
    path.write_bytes(data)
    with pytest.raises(PictureError, match=r"a\.png: .*169 megapixels.* GB"):
        read_picture(path)
    with pytest.raises(PictureError, match="damaged"):  # reduced it would fit
        read_picture(path, longest=64)


def test_a_picture_that_is_too_thin_is_not_decoded(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = png(tmp_path / "a.png", 2, np.zeros((1, 500, 3), np.uint8), data=b"damaged")
    assert stylize.main([str(tiny_model), str(path)]) == 1
    assert "500 x 1 px" in capsys.readouterr().err


def test_many_pages_are_not_all_counted(tmp_path: Path) -> None:
    first = numbers_tiff(tmp_path / "a.tif", "uint16", RGB, 2).read_bytes()
    (count,) = struct.unpack_from("<H", first, 8)
    size = 2 + 12 * count + 4
    data = bytearray(first)
    for number in range(1500):
        link = 8 + size - 4 if not number else len(data) - 4
        struct.pack_into("<L", data, link, len(data))
        data += first[8 : 8 + size]
    (tmp_path / "a.tif").write_bytes(data)
    clip = read_clip(tmp_path / "a.tif")
    assert "more than 1000 pages" in str(clip.remark)
    assert read_clip(io.BytesIO(bytes(data))).remark == clip.remark
    check_readers(tmp_path / "a.tif", RGB)


def test_a_jpeg_of_many_scans_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(levels_of(RGB, 8)).save(path, progressive=True)
    data = path.read_bytes()
    with path.open("rb") as file:
        assert 5 < header.jpeg_scans(file) < 20
    last = data[data.rindex(b"\xff\xda") : -2]
    path.write_bytes(data[:-2] + last * 1000 + data[-2:])
    with pytest.raises(PictureError, match=r"a\.jpg: .* scans"):
        read_picture(path)


def test_an_animation_of_too_many_frames_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [Image.new("L", (40, 40), level) for level in (0, 100, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    monkeypatch.setattr(image, "MOST_FRAMES", 2)
    with pytest.raises(PictureError, match=r"a\.gif: .*3 frames .* 2;"):
        read_clip(tmp_path / "a.gif")
    assert read_clip(tmp_path / "a.gif", still=True).left_out == 2


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX's kinds of files")
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_only_regular_files_are_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.jpg"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(os.devnull)
    for reader in (read_picture, picture_size):
        with pytest.raises(PictureError, match=r"a\.jpg: .*standard input, as -"):
            reader(path)


# What else a file says


def test_a_turned_photograph_with_damaged_exif_is_turned(tmp_path: Path) -> None:
    text = struct.pack(">HHI4s", 0x0128, 2, 2, b"x\0\0\0")  # ResolutionUnit
    turned = struct.pack(">HHIHxx", 0x0112, 3, 1, 6)
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x02" + turned + text + bytes(4)
    Image.fromarray(levels_of(RGB, 8)).save(tmp_path / "a.jpg", exif=exif, quality=100)
    check_readers(tmp_path / "a.jpg", np.rot90(RGB, -1), at=12)


@pytest.mark.parametrize("name", ["a.heic", "a.jpg"])
def test_a_heif_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(heif, "is_available", lambda: False)
    (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99))
    with pytest.raises(heif.HeifNeededError) as raised:
        read_crop(tmp_path / name, 32, whole)
    assert heif.NEEDED in str(raised.value)


def test_a_file_is_named_as_it_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PictureError, match=r" \./no/\.\./a\.png: "):
        read_picture("./no/../a.png")


# Reduced while they are decoded


def smooth(height: int, width: int) -> Array:
    y, x = np.mgrid[0:height, 0:width]
    planes = [np.sin(x / 60), np.cos(y / 50), np.sin((x + y) / 70)]
    return 0.5 + 0.4 * np.stack(planes, -1)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("lies", [1, 6])
def test_a_reduced_picture_is_what_resizing_makes(
    tmp_path: Path, suffix: str, bits: int, lies: int
) -> None:
    if bits == 16 and suffix != ".tif":
        pytest.skip("of 8 bits")
    path, values = tmp_path / f"a{suffix}", smooth(397, 601)
    if bits == 16:
        tags = {256: (4, [601]), 257: (4, [397]), 278: (4, [397]), 274: (3, [lies])}
        numbers_tiff(path, "uint16", values, 2, tags=tags)
    else:
        exif = Image.Exif()
        exif[0x0112] = lies
        Image.fromarray(levels_of(values, 8)).save(path, exif=exif, quality=95)
    full, small = read_picture(path), read_picture(path, longest=64)
    height, width = long_side_size(full.levels, 64)
    assert small.levels.shape == (1, 3, height, width)
    assert small.levels.dtype == full.levels.dtype
    assert (small.rgb - resize(full.rgb, height, width)).abs().max() < 0.03
    assert read_picture(path, longest=400).levels.shape == full.levels.shape


def test_what_is_transparent_has_no_part_in_reduced_colours(tmp_path: Path) -> None:
    values = np.zeros((400, 400, 4))
    values[:] = (0, 0, 1, 0)
    values[:, 197:] = (1, 0, 0, 1)  # the rest is blue, and not to be seen
    Image.fromarray(levels_of(values, 8)).save(tmp_path / "a.png")
    small = read_picture(tmp_path / "a.png", longest=40)
    assert small.alpha is not None
    seen: Tensor = small.rgb[0, :, small.alpha[0, 0] > 0.1]
    assert (seen[0] > 0.95).all()
    assert (seen[2] < 0.05).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("name", ["uint8", "uint16"])
def test_a_process_that_forks_reads_on(tmp_path: Path, name: str) -> None:
    """As training does: libvips's threads are not there any more in the processes that read."""
    path = numbers_tiff(tmp_path / "a.tif", name, RGB, 2)
    before = read_crop(path, 32, whole)
    child = os.fork()
    if not child:
        import signal

        signal.alarm(20)
        same = torch.equal(read_crop(path, 32, whole), before)
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0

from __future__ import annotations

import io
import os
import stat
import struct
import sys
import threading
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image, ImageCms, JpegImagePlugin
from torch import Tensor

from fast_style.images.picture import PictureError, array_like, from_array, to_pil
from fast_style.images.reading import (
    READABLE,
    Box,
    from_pil,
    picture_size,
    read_clip,
    read_crop,
    read_picture,
    read_style,
)
from fast_style.images.writing import WRITABLE, write_picture
from fast_style.system.atomic import write_atomically

Bytes = npt.NDArray[np.uint8]
Reader = Callable[[Path], object]

ORIENTATION = 0x0112
RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)
Image.init()
needs_avif = pytest.mark.skipif("AVIF" not in Image.SAVE, reason="this Pillow has no AVIF")


def colours(height: int = 6, width: int = 9) -> Bytes:
    """Return a picture (H, W, 3) whose pixels all differ."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, (x * 31 + y * 17) % 256], -1).astype(
        np.uint8
    )


def waves(height: int, width: int) -> Bytes:
    """Return a smooth picture (H, W, 3), different everywhere."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [np.sin(x / 40), np.cos(y / 37), np.sin((x + y) / 60)]
    return (127 + 100 * np.stack(planes, -1)).astype(np.uint8)


def always(box: Box) -> Callable[[int, int], Box]:
    """Return what chooses this box of any picture."""
    return lambda width, height: box


def levels(image: Tensor) -> Bytes:
    """Return an image (1, C, H, W) or (C, H, W) in [0, 1] as (H, W, C) of 256 levels."""
    planes = image.reshape(image.shape[-3:]).permute(1, 2, 0)
    return (planes * 255).round().numpy().astype(np.uint8)


def whole(width: int, height: int) -> Box:
    return (0, 0, width, height)


def constant(colour: tuple[int, int, int], height: int = 4, width: int = 4) -> Tensor:
    return (torch.tensor(colour) / 255).view(1, 3, 1, 1).expand(1, 3, height, width)


def stored_mode(path: Path) -> str:
    with Image.open(path) as image:
        return image.mode


def exif(orientation: int) -> Image.Exif:
    result = Image.Exif()
    result[ORIENTATION] = orientation
    return result


# Modes


@pytest.mark.parametrize(
    "extension",
    [pytest.param(name, marks=needs_avif) if name == ".avif" else name for name in READABLE],
)
def test_every_readable_type_is_read(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"picture{extension}"
    array = np.tile(np.array([200, 100, 50], np.uint8), (12, 17, 1))
    Image.fromarray(array).save(path)
    picture = read_picture(path)
    assert picture.alpha is None
    assert picture.rgb.shape == (1, 3, 12, 17)
    assert picture.rgb.dtype == torch.float32
    assert np.abs(levels(picture.rgb).astype(int) - array).max() <= 6


def test_an_rgb_picture_is_exact_at_all_256_levels(tmp_path: Path) -> None:
    array = np.arange(768, dtype=np.int64).reshape(16, 16, 3) // 3
    array = np.stack([array[..., 0], array[::-1, :, 0], array[:, ::-1, 0]], -1).astype(np.uint8)
    Image.fromarray(array).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    expected = torch.from_numpy(array).permute(2, 0, 1)[None].float() / 255
    assert torch.equal(picture.rgb, expected)
    assert picture.rgb.is_contiguous()
    assert (float(picture.rgb.min()), float(picture.rgb.max())) == (0, 1)
    assert np.array_equal(np.asarray(to_pil(picture.rgb)), array)


def test_black_and_white(tmp_path: Path) -> None:
    bits = colours()[..., 2] > 100
    Image.fromarray(bits).save(tmp_path / "a.png")
    assert stored_mode(tmp_path / "a.png") == "1"
    picture = read_picture(tmp_path / "a.png")
    assert picture.alpha is None
    assert np.array_equal(levels(picture.rgb), np.repeat(bits[..., None], 3, axis=-1) * 255)


def test_grey(tmp_path: Path) -> None:
    grey = colours()[..., 2]
    Image.fromarray(grey).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    assert picture.alpha is None
    assert np.array_equal(levels(picture.rgb), np.repeat(grey[..., None], 3, axis=-1))


def test_grey_with_alpha(tmp_path: Path) -> None:
    grey, alpha = colours()[..., 2], colours()[..., 0]
    Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)]).save(tmp_path / "a.png")
    assert stored_mode(tmp_path / "a.png") == "LA"
    picture = read_picture(tmp_path / "a.png")
    assert picture.alpha is not None
    assert picture.alpha.shape == (1, 1, 6, 9)
    assert np.array_equal(levels(picture.rgb), np.repeat(grey[..., None], 3, axis=-1))
    assert np.array_equal(levels(picture.alpha)[..., 0], alpha)


def test_rgb_with_alpha(tmp_path: Path) -> None:
    rgba = np.concatenate([colours(), colours()[..., ::-1][..., :1]], -1)
    assert rgba[..., 3].min() == 0  # the colours under transparent parts count too
    Image.fromarray(rgba).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    assert picture.alpha is not None
    assert np.array_equal(levels(picture.rgb), rgba[..., :3])
    assert np.array_equal(levels(picture.alpha)[..., 0], rgba[..., 3])
    assert picture.alpha.dtype == torch.float32


def palette_picture() -> tuple[Image.Image, Bytes, Bytes]:
    """Return a palette picture, its indices and its colours (H, W, 3)."""
    indices = (np.arange(54, dtype=np.uint8) % 4).reshape(6, 9)
    palette = np.array([RED, (10, 20, 30), (0, 128, 255), WHITE], np.uint8)
    image = Image.fromarray(indices).convert("L")
    image.putpalette(palette.tobytes())
    assert image.mode == "P"
    return image, indices, palette[indices]


@pytest.mark.parametrize("extension", [".png", ".gif"])
def test_a_palette(tmp_path: Path, extension: str) -> None:
    image, _, rgb = palette_picture()
    image.save(tmp_path / f"a{extension}")
    assert stored_mode(tmp_path / f"a{extension}") == "P"
    picture = read_picture(tmp_path / f"a{extension}")
    assert picture.alpha is None
    assert np.array_equal(levels(picture.rgb), rgb)


@pytest.mark.parametrize(
    ("extension", "transparency", "alphas"),
    [
        (".png", 2, [255, 255, 0, 255]),
        (".gif", 2, [255, 255, 0, 255]),
        (".png", bytes([255, 128, 0, 7]), [255, 128, 0, 7]),
        (".png", bytes([9]), [9, 255, 255, 255]),
    ],
)
def test_a_palette_with_transparency(
    tmp_path: Path, extension: str, transparency: int | bytes, alphas: list[int]
) -> None:
    image, indices, rgb = palette_picture()
    image.save(tmp_path / f"a{extension}", transparency=transparency)
    picture = read_picture(tmp_path / f"a{extension}")
    assert picture.alpha is not None
    assert np.array_equal(levels(picture.alpha)[..., 0], np.array(alphas, np.uint8)[indices])
    assert np.array_equal(levels(picture.rgb), rgb)


@pytest.mark.parametrize(("mode", "key"), [("RGB", (10, 20, 30)), ("L", 77)])
def test_one_colour_declared_transparent(tmp_path: Path, mode: str, key: Any) -> None:
    image = Image.new(mode, (9, 6), "white")
    image.paste(key, (0, 0, 3, 6))
    image.save(tmp_path / "a.png", transparency=key)
    picture = read_picture(tmp_path / "a.png")
    assert picture.alpha is not None
    assert picture.alpha[0, 0, :, :3].eq(0).all()
    assert picture.alpha[0, 0, :, 3:].eq(1).all()


def test_a_cmyk_jpeg(tmp_path: Path) -> None:
    inks = np.zeros((16, 32, 4), np.uint8)
    inks[:, :16] = (255, 0, 0, 0)  # cyan
    inks[:, 16:] = (0, 200, 100, 51)
    Image.frombytes("CMYK", (32, 16), inks.tobytes()).save(tmp_path / "a.jpg", quality=100)
    assert stored_mode(tmp_path / "a.jpg") == "CMYK"
    picture = read_picture(tmp_path / "a.jpg")
    ink = inks / 255
    expected = (1 - ink[..., :3]) * (1 - ink[..., 3:])
    assert picture.alpha is None
    np.testing.assert_allclose(levels(picture.rgb) / 255, expected, atol=0.03)


@pytest.mark.parametrize("extension", [".png", ".tiff"])
def test_sixteen_bits(tmp_path: Path, extension: str) -> None:
    grey = np.array([[0, 1, 255, 256], [32768, 65534, 65535, 1000]], np.uint16)
    Image.fromarray(grey).save(tmp_path / f"a{extension}")
    assert stored_mode(tmp_path / f"a{extension}").startswith("I;16")
    picture = read_picture(tmp_path / f"a{extension}")
    assert picture.alpha is None
    assert picture.rgb.dtype == torch.float32
    expected = torch.from_numpy(grey.astype(np.float32) / 65535)
    torch.testing.assert_close(picture.rgb, expected.expand(1, 3, 2, 4), atol=1e-7, rtol=0)


def test_sixteen_bits_big_endian(tmp_path: Path) -> None:
    grey = np.array([[0, 258, 40000]], ">u2")
    Image.frombytes("I;16B", (3, 1), grey.tobytes()).save(tmp_path / "a.tif")
    assert stored_mode(tmp_path / "a.tif") == "I;16B"
    expected = torch.tensor([0, 258 / 65535, 40000 / 65535])
    torch.testing.assert_close(read_picture(tmp_path / "a.tif").rgb[0, 0, 0], expected)


def test_thirty_two_bit_integers_are_sixteen_bit_levels(tmp_path: Path) -> None:
    grey = np.array([[-5, 0, 13107, 65535, 70000]], np.int32)
    Image.fromarray(grey).save(tmp_path / "a.tiff")
    assert stored_mode(tmp_path / "a.tiff") == "I"
    picture = read_picture(tmp_path / "a.tiff")
    expected = torch.tensor([0, 0, 0.2, 1, 1])
    torch.testing.assert_close(picture.rgb, expected.expand(1, 3, 1, 5))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([-0.5, 0.0, 0.25, 1.0], [0.0, 0.0, 0.25, 1.0]),
        ([0.0, 13107.0, 65535.0, 1e6], [0.0, 0.2, 1.0, 1.0]),
    ],
)
def test_floating_point_grey(tmp_path: Path, found: list[float], expected: list[float]) -> None:
    Image.fromarray(np.array([found], np.float32)).save(tmp_path / "a.tiff")
    assert stored_mode(tmp_path / "a.tiff") == "F"
    picture = read_picture(tmp_path / "a.tiff")
    torch.testing.assert_close(picture.rgb, torch.tensor(expected).expand(1, 3, 1, 4))


@pytest.mark.parametrize("reader", [read_picture, lambda path: read_style(path, 32)])
def test_a_picture_that_holds_no_numbers_is_refused(tmp_path: Path, reader: Reader) -> None:
    grey = np.full((40, 40), 0.5, np.float32)
    grey[3, 5] = np.nan
    Image.fromarray(grey).save(tmp_path / "holes.tiff")
    with pytest.raises(PictureError, match="holes.tiff"):
        reader(tmp_path / "holes.tiff")


@pytest.mark.parametrize(
    ("mode", "via", "expected"),
    [
        ("RGB", "RGB", (200, 100, 50)),
        ("RGBX", "RGB", (200, 100, 50)),
        ("RGBA", "RGB", (200, 100, 50)),
        ("RGBa", "RGBA", (200, 100, 50)),
        ("CMYK", "RGB", (200, 100, 50)),
        ("YCbCr", "RGB", (200, 100, 50)),
        ("HSV", "RGB", (200, 100, 50)),
        ("P", "RGB", (200, 100, 50)),
        ("PA", "P", (200, 100, 50)),
        ("L", "RGB", (124, 124, 124)),
        ("LA", "RGB", (124, 124, 124)),
        ("La", "LA", (124, 124, 124)),
    ],
)
def test_any_pillow_mode(mode: str, via: str, expected: tuple[int, int, int]) -> None:
    image = Image.new("RGB", (5, 3), (200, 100, 50)).convert(via).convert(mode)
    assert image.mode == mode
    picture = from_pil(image)
    assert picture.rgb.shape == (1, 3, 3, 5)
    assert np.abs(levels(picture.rgb).astype(int) - np.array(expected)).max() <= 5
    assert (picture.alpha is not None) == (mode in ("RGBA", "RGBa", "PA", "LA", "La"))
    assert picture.alpha is None or picture.alpha.eq(1).all()


def test_lab() -> None:
    lab = ImageCms.profileToProfile(
        Image.new("RGB", (5, 3), (200, 100, 50)),
        ImageCms.createProfile("sRGB"),
        ImageCms.createProfile("LAB"),
        outputMode="LAB",
    )
    assert lab is not None
    assert lab.mode == "LAB"
    assert np.abs(levels(from_pil(lab).rgb).astype(int) - np.array((200, 100, 50))).max() <= 3


def test_from_pil_leaves_the_image_alone() -> None:
    image = Image.fromarray(colours())
    image.getexif()[ORIENTATION] = 6
    before = image.tobytes()
    picture = from_pil(image)
    picture.rgb.zero_()
    assert image.tobytes() == before
    assert image.size == (9, 6)
    assert image.getexif()[ORIENTATION] == 6


# EXIF: orientation o means that the stored picture, changed so, is upright.

UPRIGHT: dict[int, Callable[[Bytes], Bytes]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored),
}


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


# ICC


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped_profile() -> bytes:
    """Return sRGB's profile with red and green exchanged: what is stored red is shown green."""
    profile = srgb_profile().replace(b"rXYZ", b"....").replace(b"gXYZ", b"rXYZ")
    return profile.replace(b"....", b"gXYZ")


def linear_grey_profile() -> bytes:
    """Return a grey profile of gamma 1: level v is shown as sRGB shows the light v."""
    white = struct.pack(">3i", 63190, 65536, 54061)  # D50, in 1/65536
    tags = {
        b"wtpt": b"XYZ " + bytes(4) + white,
        b"kTRC": b"curv" + bytes(4) + struct.pack(">IH", 1, 256) + bytes(2),
    }
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    kinds = struct.pack(">4sI4s4s4s", bytes(4), 0x02100000, b"mntr", b"GRAY", b"XYZ ")
    date = struct.pack(">6H", 2020, 1, 1, 0, 0, 0)
    header = struct.pack(">I", start + len(body)) + kinds + date + b"acsp" + bytes(28) + white
    return header + bytes(48) + table + body


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_a_profile_is_converted_to_srgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (40, 40), RED).convert(mode).save(path, icc_profile=swapped_profile())
    green = constant(GREEN, 40, 40)
    torch.testing.assert_close(read_picture(path).rgb, green, atol=1.5 / 255, rtol=0)
    torch.testing.assert_close(read_style(path, 40), green, atol=1.5 / 255, rtol=0)
    torch.testing.assert_close(read_crop(path, 40, whole)[None], green, atol=1.5 / 255, rtol=0)


def test_a_jpegs_profile_is_converted_to_srgb(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("RGB", (256, 256), RED).save(path, icc_profile=swapped_profile())
    green = constant(GREEN, 16, 16)[0]
    torch.testing.assert_close(read_crop(path, 16, whole), green, atol=0.02, rtol=0)


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_a_grey_profile_is_converted_to_srgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.png"
    Image.new("L", (40, 40), 128).convert(mode).save(path, icc_profile=linear_grey_profile())
    light = 128 / 255
    level = 1.055 * light ** (1 / 2.4) - 0.055  # IEC 61966-2-1
    expected = torch.full((1, 3, 40, 40), level)
    torch.testing.assert_close(read_picture(path).rgb, expected, atol=1.5 / 255, rtol=0)


def test_a_profile_leaves_the_transparency(tmp_path: Path) -> None:
    rgba = np.concatenate([colours(), colours()[..., 2:]], -1)
    Image.fromarray(rgba).save(tmp_path / "a.png", icc_profile=swapped_profile())
    picture = read_picture(tmp_path / "a.png")
    assert picture.alpha is not None
    assert np.array_equal(levels(picture.alpha)[..., 0], rgba[..., 3])


def test_the_srgb_profile_changes_nothing(tmp_path: Path) -> None:
    Image.fromarray(colours()).save(tmp_path / "a.png", icc_profile=srgb_profile())
    found = levels(read_picture(tmp_path / "a.png").rgb).astype(int)
    assert np.abs(found - colours()).max() <= 1


def test_a_picture_in_srgb_is_not_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[tuple[int, int]] = []
    apply = ImageCms.applyTransform

    def counted(image: Image.Image, transform: Any) -> Any:
        sizes.append(image.size)
        return apply(image, transform)

    monkeypatch.setattr(ImageCms, "applyTransform", counted)
    for profile in (srgb_profile(), swapped_profile()):
        Image.new("RGB", (300, 200), RED).save(tmp_path / "a.png", icc_profile=profile)
        read_picture(tmp_path / "a.png")
    assert sizes == [(64, 64), (64, 64), (300, 200)]


@pytest.mark.parametrize(
    "profile",
    [b"garbage", srgb_profile()[:200], linear_grey_profile(), bytes(500)],
    ids=["garbage", "cut off", "of another colour space", "zeros"],
)
def test_a_broken_profile_does_not_lose_the_picture(tmp_path: Path, profile: bytes) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(colours()).save(path, icc_profile=profile)
    assert np.array_equal(levels(read_picture(path).rgb), colours())
    assert read_style(path, 32).shape == (1, 3, 32, 48)


# Crops for training


@pytest.mark.parametrize(
    ("box", "colour"),
    [
        ((0, 0, 32, 24), RED),
        ((32, 0, 64, 24), GREEN),
        ((0, 24, 32, 48), WHITE),
        ((40, 30, 60, 46), (10, 20, 30)),
    ],
)
def test_a_crop_is_what_its_box_says(
    tmp_path: Path, box: Box, colour: tuple[int, int, int]
) -> None:
    quarters = np.zeros((48, 64, 3), np.uint8)
    quarters[:24, :32], quarters[:24, 32:] = RED, GREEN
    quarters[24:, :32], quarters[24:, 32:] = WHITE, (10, 20, 30)
    Image.fromarray(quarters).save(tmp_path / "a.png")
    crop = read_crop(tmp_path / "a.png", 16, lambda width, height: box)
    inner = levels(crop)[2:-2, 2:-2]  # the filter reaches over the box's edge
    assert np.array_equal(inner, np.broadcast_to(colour, inner.shape))


def test_a_crops_box_may_lie_between_pixels(tmp_path: Path) -> None:
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None] * 4, 48, axis=0)
    Image.fromarray(np.repeat(ramp, 3, axis=-1)).save(tmp_path / "a.png")
    crop = read_crop(tmp_path / "a.png", 16, lambda width, height: (10.5, 3.25, 42.5, 35.25))
    middles = 10.5 + 2 * (torch.arange(16) + 0.5)  # in pixels, pixel i spanning i to i + 1
    expected = 4 * (middles - 0.5) / 255
    torch.testing.assert_close(crop, expected.expand(3, 16, 16), atol=1.01 / 255, rtol=0)


def test_the_box_is_chosen_by_the_upright_size(tmp_path: Path) -> None:
    for name, orientation in (("flat", 3), ("turned", 6)):
        Image.fromarray(colours()).save(tmp_path / f"{name}.png", exif=exif(orientation))
    asked: list[tuple[int, int]] = []

    def choose_box(width: int, height: int) -> Box:
        asked.append((width, height))
        return (0, 0, 5, 5)

    read_crop(tmp_path / "flat.png", 8, choose_box)
    read_crop(tmp_path / "turned.png", 8, choose_box)
    assert asked == [(9, 6), (6, 9)]


@pytest.mark.parametrize("shape", [(257, 257), (384, 512), (333, 401)])
def test_reduced_decoding_agrees_with_full_decoding(tmp_path: Path, shape: tuple[int, int]) -> None:
    height, width = shape
    Image.fromarray(waves(height, width)).save(tmp_path / "a.jpg", quality=95)
    with Image.open(tmp_path / "a.jpg") as image:
        image.save(tmp_path / "a.png")
    boxes: list[Box] = [
        (0, 0, 200, 200),
        (width - 200.5, height - 200.5, width, height),
        (31.3, 40.7, 251, 250),
    ]
    for box in boxes:
        for size in (8, 24, 48):
            reduced = read_crop(tmp_path / "a.jpg", size, always(box))
            full = read_crop(tmp_path / "a.png", size, always(box))
            torch.testing.assert_close(reduced, full, atol=0.025, rtol=0)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_is_decoded_reduced_but_never_below_the_crop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, orientation: int
) -> None:
    image = Image.fromarray(waves(320, 480)).convert(mode)
    image.save(tmp_path / "a.jpg", exif=exif(orientation))
    decoded: list[tuple[int, int]] = []
    load = JpegImagePlugin.JpegImageFile.load

    def spy(image: JpegImagePlugin.JpegImageFile) -> object:
        decoded.append(image.size)
        return load(image)

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load", spy)
    read_crop(tmp_path / "a.jpg", 64, whole)
    assert set(decoded) == {(120, 80)}
    decoded.clear()
    read_crop(tmp_path / "a.jpg", 64, lambda width, height: (0, 0, 64, 64))
    assert set(decoded) == {(480, 320)}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("extension", [".png", ".jpg"])
def test_a_crop_of_a_turned_photograph(tmp_path: Path, extension: str, orientation: int) -> None:
    stored = waves(256, 384)
    turned, upright = tmp_path / f"turned{extension}", tmp_path / "upright.png"
    Image.fromarray(stored).save(turned, quality=95, exif=exif(orientation))
    expected = np.ascontiguousarray(UPRIGHT[orientation](stored))
    Image.fromarray(expected).save(upright)
    height, width = expected.shape[:2]

    def choose_box(found_width: int, found_height: int) -> Box:
        assert (found_width, found_height) == (width, height)
        return (width * 0.3, height * 0.1, width * 0.9, height * 0.6)

    found, wanted = (read_crop(path, 32, choose_box) for path in (turned, upright))
    # PNG is exact but for the order of the two passes; JPEG has noise of its own.
    torch.testing.assert_close(found, wanted, atol=0.005 if extension == ".png" else 0.03, rtol=0)


@pytest.mark.parametrize("size", [(5, 3), (1, 1), (3, 70)])
@pytest.mark.parametrize("extension", [".png", ".jpg"])
def test_a_tiny_photograph_is_enlarged(
    tmp_path: Path, extension: str, size: tuple[int, int]
) -> None:
    Image.new("RGB", size, (200, 100, 50)).save(tmp_path / f"a{extension}")
    crop = read_crop(tmp_path / f"a{extension}", 48, whole)
    torch.testing.assert_close(crop, constant((200, 100, 50), 48, 48)[0], atol=0.02, rtol=0)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_a_crop_is_a_square_of_the_one_convention(tmp_path: Path, mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.arange(2000, dtype=np.uint16).reshape(40, 50) * 32)
    else:
        image = Image.fromarray(colours(40, 50)).convert(mode)
    image.save(tmp_path / "a.png")
    crop = read_crop(tmp_path / "a.png", 21, lambda width, height: (1, 2, 33, 18))
    assert crop.shape == (3, 21, 21)
    assert crop.dtype == torch.float32
    assert crop.is_contiguous()
    assert crop.min() >= 0
    assert crop.max() <= 1
    assert crop.std() > 0.05


def translucent(path: Path, mode: str) -> tuple[int, int, int]:
    """Write a picture of one colour, partly transparent; return what it is on white."""
    if mode == "RGBA":
        Image.new("RGBA", (40, 50), (255, 0, 0, 51)).save(path)
        return (255, 204, 204)
    if mode == "LA":
        Image.new("LA", (40, 50), (0, 51)).save(path)
        return (204, 204, 204)
    if mode == "P":
        Image.new("P", (40, 50), 0).save(path, transparency=0)
    else:
        black = (0, 0, 0) if mode == "RGB" else 0
        Image.new(mode, (40, 50), black).save(path, transparency=black)
    return WHITE


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB", "L"])
def test_transparent_parts_are_taken_as_white(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.png"
    colour = translucent(path, mode)
    style = read_style(path, 32)
    torch.testing.assert_close(style, constant(colour, 40, 32), atol=1.01 / 255, rtol=0)
    crop = read_crop(path, 16, whole)
    torch.testing.assert_close(crop, constant(colour, 16, 16)[0], atol=1.01 / 255, rtol=0)


def test_reading_in_threads_leaves_the_warning_filters_as_they_were(tmp_path: Path) -> None:
    """Two readers that overlap, the first to come the first to go."""
    Image.fromarray(colours()).save(tmp_path / "a.png")
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))

    def first(width: int, height: int) -> Box:
        first_is_in.set()
        assert second_is_in.wait(10)
        return (0, 0, width, height)

    def second(width: int, height: int) -> Box:
        second_is_in.set()
        assert first_is_out.wait(10)
        return (0, 0, width, height)

    def read_first() -> None:
        read_crop(tmp_path / "a.png", 8, first)
        first_is_out.set()

    def read_second() -> None:
        assert first_is_in.wait(10)
        read_crop(tmp_path / "a.png", 8, second)

    with warnings.catch_warnings():
        before = list(warnings.filters)
        threads = [threading.Thread(target=read_first), threading.Thread(target=read_second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        after = list(warnings.filters)
    assert after == before


# Paintings


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


# Sizes


def test_picture_size_is_what_is_stored(tmp_path: Path) -> None:
    Image.fromarray(colours()).save(tmp_path / "a.jpg", exif=exif(6))
    assert picture_size(tmp_path / "a.jpg") == (9, 6)


def test_picture_size_reads_only_the_header(tmp_path: Path) -> None:
    path = damaged(tmp_path, ".png")
    assert picture_size(path) == (64, 48)


# Files that can't be read

READERS: dict[str, Reader] = {
    "read_picture": read_picture,
    "read_style": lambda path: read_style(path, 32),
    "read_crop": lambda path: read_crop(path, 16, whole),
    "picture_size": picture_size,
}
DECODERS = {name: reader for name, reader in READERS.items() if name != "picture_size"}


def damaged(folder: Path, extension: str) -> Path:
    """Write a picture of 64 x 48 px that ends in the middle of its pixels."""
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    path = folder / f"half{extension}"
    Image.fromarray(noise).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


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


# Writing


def smooth(height: int = 33, width: int = 47) -> Tensor:
    return torch.from_numpy(waves(height, width)).permute(2, 0, 1)[None] / 255


def test_png_is_exact(tmp_path: Path) -> None:
    rgb = torch.from_numpy(colours(33, 47)).permute(2, 0, 1)[None] / 255
    write_picture(tmp_path / "a.png", rgb)
    picture = read_picture(tmp_path / "a.png")
    assert torch.equal(picture.rgb, rgb)
    assert picture.alpha is None


@pytest.mark.parametrize("extension", [".jpg", ".jpeg", ".webp"])
def test_jpeg_and_webp_are_close(tmp_path: Path, extension: str) -> None:
    write_picture(tmp_path / f"a{extension}", smooth())
    picture = read_picture(tmp_path / f"a{extension}")
    torch.testing.assert_close(picture.rgb, smooth(), atol=0.04, rtol=0)
    assert (picture.rgb - smooth()).abs().mean() < 0.01


def test_jpeg_keeps_the_resolution_of_colour(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.jpg", smooth())
    with Image.open(tmp_path / "a.jpg") as image:
        assert JpegImagePlugin.get_sampling(image) == 0  # 4:4:4


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.png", "PNG"),
        ("a.PNG", "PNG"),
        ("a.jpg", "JPEG"),
        ("a.JPEG", "JPEG"),
        ("a.webp", "WEBP"),
        ("a.b.Webp", "WEBP"),
    ],
)
def test_the_extension_says_the_format(tmp_path: Path, name: str, kind: str) -> None:
    write_picture(tmp_path / name, smooth())
    with Image.open(tmp_path / name) as image:
        assert image.format == kind
        assert image.size == (47, 33)


def test_colours_are_clamped_and_rounded_to_the_nearest_level(tmp_path: Path) -> None:
    row = torch.tensor([-1.0, 2.0, 100.4 / 255, 100.6 / 255])
    write_picture(tmp_path / "a.png", row.expand(1, 3, 1, 4))
    with Image.open(tmp_path / "a.png") as image:
        assert np.asarray(image)[0, :, 0].tolist() == [0, 255, 100, 101]


@pytest.mark.parametrize("extension", [".png", ".webp"])
def test_alpha_is_kept_exactly(tmp_path: Path, extension: str) -> None:
    alpha = torch.arange(1024).remainder(256).view(1, 1, 32, 32) / 255
    write_picture(tmp_path / f"a{extension}", smooth(32, 32), alpha)
    picture = read_picture(tmp_path / f"a{extension}")
    assert picture.alpha is not None
    assert torch.equal(picture.alpha, alpha)


@pytest.mark.parametrize("extension", [".jpg", ".jpeg", ".JPG"])
def test_jpeg_lays_alpha_on_white(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a{extension}"
    write_picture(path, constant((200, 0, 100), 16, 16), torch.full((1, 1, 16, 16), 0.2))
    expected = constant((244, 204, 224), 16, 16)
    torch.testing.assert_close(read_picture(path).rgb, expected, atol=0.02, rtol=0)
    write_picture(path, constant((200, 0, 100), 16, 16), torch.zeros(1, 1, 16, 16))
    white = constant(WHITE, 16, 16)
    torch.testing.assert_close(read_picture(path).rgb, white, atol=0.01, rtol=0)


@pytest.mark.parametrize(("level", "expected"), [(-1.0, 0.5), (0.0, 0.5), (3.0, 1.0)])
def test_colours_are_clamped_before_they_are_laid_on_white(
    tmp_path: Path, level: float, expected: float
) -> None:
    rgb, alpha = torch.full((1, 3, 16, 16), level), torch.full((1, 1, 16, 16), 0.5)
    write_picture(tmp_path / "a.jpg", rgb, alpha)
    found = read_picture(tmp_path / "a.jpg").rgb
    torch.testing.assert_close(found, torch.full_like(rgb, expected), atol=0.01, rtol=0)


@pytest.mark.parametrize("extension", WRITABLE)
def test_writing_leaves_the_tensors_alone(tmp_path: Path, extension: str) -> None:
    rgb, alpha = smooth() * 1.5 - 0.2, smooth()[:, :1].clone()
    before = rgb.clone(), alpha.clone()
    write_picture(tmp_path / f"a{extension}", rgb, alpha)
    assert torch.equal(rgb, before[0])
    assert torch.equal(alpha, before[1])


def test_folders_are_created(tmp_path: Path) -> None:
    write_picture(tmp_path / "new" / "folder" / "a.png", smooth())
    assert read_picture(tmp_path / "new" / "folder" / "a.png").rgb.shape == (1, 3, 33, 47)


def test_a_path_may_be_text(tmp_path: Path) -> None:
    write_picture(str(tmp_path / "a.png"), smooth())
    assert torch.equal(read_picture(str(tmp_path / "a.png")).rgb, smooth())


@pytest.mark.skipif(os.name != "posix", reason="Windows limits the whole path")
def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    path = tmp_path / f"{'x' * 251}.png"
    path.write_bytes(b"")  # 255 bytes are allowed
    write_picture(path, smooth())
    assert read_picture(path).rgb.shape == (1, 3, 33, 47)


@pytest.mark.parametrize("name", ["a.psd", "a.txt", "a", ".png", "a.png.bak", "a.bmp"])
def test_an_extension_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(PictureError, match=rf"{name}: .*\.png, \.jpg, \.jpeg, \.webp"):
        write_picture(tmp_path / name, smooth())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    rgb = smooth().clone()
    rgb[0, 1, 2, 3] = value
    with pytest.raises(PictureError, match="not finite"):
        to_pil(rgb)
    with pytest.raises(PictureError, match=r"a\.png.*not finite"):
        write_picture(tmp_path / "a.png", rgb)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"kept")
    with pytest.raises(PictureError, match=r"cannot write .*file.a\.png: "):
        write_picture(tmp_path / "file" / "a.png", smooth())
    assert (tmp_path / "file").read_bytes() == b"kept"


def test_a_folder_of_the_pictures_name(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(PictureError, match=r"cannot write .*a\.png: "):
        write_picture(tmp_path / "a.png", smooth())
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_disk_that_fails_at_the_last_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(handle: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(PictureError, match=r"a\.png: Input/output error"):
        write_picture(tmp_path / "a.png", smooth())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("old", [b"the old file", None])
def test_an_interrupted_write_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: bytes | None
) -> None:
    path = tmp_path / "a.png"
    if old is not None:
        path.write_bytes(old)

    def interrupted(image: Image.Image, target: Path, **options: object) -> None:
        Path(target).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_picture(path, smooth())
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == (
        {} if old is None else {"a.png": old}
    )


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_the_files_mode_follows_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_picture(tmp_path / "a.png", smooth())
    finally:
        after = os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o666 & ~umask
    assert after == umask


def test_a_file_is_renamed_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.txt"
    with write_atomically(path) as temporary:
        assert temporary.parent == path.parent.resolve()
        assert temporary.suffix == ".txt"
        assert not path.exists()
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_stays_if_its_writer_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write() -> None:
        with write_atomically(path) as temporary:
            temporary.write_text("half")
            assert path.read_text() == "old"
            raise RuntimeError("out of ink")

    with pytest.raises(RuntimeError, match="out of ink"):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: Path, exists: bool) -> None:
    target, link = tmp_path / "store" / "0017", tmp_path / "a.txt"
    if exists:
        target.parent.mkdir()
        target.write_text("old")
    link.symlink_to(target)
    with write_atomically(link) as temporary:
        assert temporary.suffix == ".txt"
        temporary.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


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


# Arrays and tensors


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4)])
@pytest.mark.parametrize("kind", ["uint8", "float16", "float32", "float64"])
def test_arrays(shape: tuple[int, ...], kind: str) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    given = array if kind == "uint8" else (array / 255).astype(kind)
    before = given.copy()
    picture = from_array(given)
    rgb, alpha = picture.rgb, picture.alpha
    assert picture.bits == (8 if kind == "uint8" else 16)
    assert rgb.shape == (1, 3, 5, 7)
    assert rgb.dtype == torch.float32
    expected = np.repeat(array[..., None], 3, axis=-1) if len(shape) == 2 else array[..., :3]
    assert np.array_equal(levels(rgb), expected)
    assert (alpha is not None) == (shape[-1] == 4)
    if alpha is not None:
        assert np.array_equal(levels(alpha)[..., 0], array[..., 3])
    back = array_like(given, picture)
    assert back.dtype == given.dtype
    wanted = np.repeat(given[..., None], 3, axis=-1) if len(shape) == 2 else given
    np.testing.assert_allclose(back, wanted, atol=1e-3 if kind == "float16" else 1e-7)
    picture.levels.zero_()
    assert np.array_equal(given, before)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((5,), np.uint8),
        np.zeros((5, 7, 1), np.uint8),
        np.zeros((5, 7, 2), np.float32),
        np.zeros((3, 5, 7), np.float32),
        np.zeros((1, 5, 7, 3), np.float32),
        np.zeros((5, 7, 3), np.int64),
        np.zeros((5, 7, 3), bool),
        np.zeros((5, 7, 3), np.uint16),
        np.zeros((5, 7, 3), np.complex64),
        np.zeros((5, 7, 3), object),
    ],
    ids=lambda array: f"{array.shape} {array.dtype}",
)
def test_other_arrays_are_refused(array: npt.NDArray[Any]) -> None:
    with pytest.raises(ValueError, match=r"array \(H, W\).* found \(.*\), \w+"):
        from_array(array)


def test_to_pil() -> None:
    rgb = torch.from_numpy(colours()).permute(2, 0, 1)[None] / 255
    image = to_pil(rgb)
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), colours())
    image = to_pil(rgb.double().requires_grad_(), rgb[:, :1])
    assert image.mode == "RGBA"
    assert np.array_equal(np.asarray(image), colours()[..., [0, 1, 2, 0]])


def test_pictures_come_from_streams_too() -> None:
    stream = io.BytesIO()
    Image.fromarray(colours()).save(stream, "PNG")
    with Image.open(stream) as image:
        assert np.array_equal(levels(from_pil(image).rgb), colours())


# Pages of a TIFF


def test_a_later_page_does_not_colour_the_first(tmp_path: Path) -> None:
    """Counting pages, Pillow reads them all, and keeps what the last one says of its colours."""
    swapped = srgb_profile().replace(b"rXYZ", b"....").replace(b"gXYZ", b"rXYZ")
    swapped = swapped.replace(b"....", b"gXYZ")
    pages = [Image.new("RGB", (40, 40), (200, 30, 30)) for _ in range(2)]
    pages[1].encoderinfo = {"icc_profile": swapped}
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    clip = read_clip(tmp_path / "a.tif")
    assert clip.left_out == 1
    assert clip.frames[0].levels[0, :, 0, 0].tolist() == [200, 30, 30]


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

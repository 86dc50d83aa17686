"""Every mode of Pillow's as colours and transparency."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pictures import RED, WHITE, Bytes, colours, levels, needs_avif, stored_mode
from PIL import Image, ImageCms

from fast_style.images.formats import READABLE
from fast_style.images.picture import to_pil
from fast_style.images.reading import from_pil, read_picture


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

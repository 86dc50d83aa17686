"""Colour profiles: what is stored becomes sRGB."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pictures import GREEN, RED, colours, constant, levels, srgb_profile, whole
from PIL import Image, ImageCms

from fast_style.images.reading import (
    read_clip,
    read_crop,
    read_picture,
    read_style,
)


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

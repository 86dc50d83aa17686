"""Pictures and files that the tests of several files read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image, ImageCms
from torch import Tensor

from fast_style.images.reading import (
    Box,
    picture_size,
    read_crop,
    read_picture,
    read_style,
)

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


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


READERS: dict[str, Reader] = {
    "read_picture": read_picture,
    "read_style": lambda path: read_style(path, 32),
    "read_crop": lambda path: read_crop(path, 16, whole),
    "picture_size": picture_size,
}


def damaged(folder: Path, extension: str) -> Path:
    """Write a picture of 64 x 48 px that ends in the middle of its pixels."""
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    path = folder / f"half{extension}"
    Image.fromarray(noise).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def smooth(height: int = 33, width: int = 47) -> Tensor:
    return torch.from_numpy(waves(height, width)).permute(2, 0, 1)[None] / 255

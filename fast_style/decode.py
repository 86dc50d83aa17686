"""A Pillow image of any mode as a picture: upright, in sRGB, its transparency apart."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps
from torch import Tensor

from fast_style.metadata import orientation
from fast_style.picture import Picture, to_pil

COPIED_ROWS = 256
_SRGB = ImageCms.createProfile("sRGB")


def picture_of(image: Image.Image) -> Picture:
    """Return an image of any mode as a picture; ``from_pil`` does, with its errors named."""
    upright = _upright(image)
    if upright.mode in ("I", "F") or upright.mode.startswith("I;16"):
        return Picture(_deep_grey(upright).repeat(1, 3, 1, 1), None)
    if not upright.has_transparency_data:
        return Picture(_levels(_to_srgb(upright)), None)
    if upright.mode == "La":
        upright = upright.convert("LA")  # Pillow has no direct way to RGBA
    rgba = upright.convert("RGBA")
    opaque = rgba.convert("L" if upright.mode in ("L", "LA") else "RGB")
    if profile := image.info.get("icc_profile"):
        opaque.info["icc_profile"] = profile
    return Picture(_levels(_to_srgb(opaque)), as_tensor(rgba.getchannel("A")))


def _deep_grey(image: Image.Image) -> Tensor:
    """Return a grey picture of more than 8 bits, ``(1, 1, H, W)``, float32 in [0, 1]."""
    levels = np.asarray(image, dtype=np.float32)
    if not np.isfinite(levels).all():
        raise ValueError("it has values that are not finite numbers")
    white = 65535.0
    if image.mode == "F":  # there is no convention: the largest value tells which was meant
        white = next((white for white in (1.0, 255.0) if levels.max() <= white), 65535.0)
    return torch.from_numpy((levels / white).clip(0, 1))[None, None]


def flat_rgb(image: Image.Image) -> Image.Image:
    """Return the image upright, in sRGB, 8 bits, transparent parts on white."""
    image = _upright(image)
    if image.mode == "RGB" and not {"icc_profile", "transparency"} & image.info.keys():
        return image
    picture = picture_of(image)
    return to_pil(picture.levels if picture.alpha is None else picture.on_white)


def _to_srgb(image: Image.Image) -> Image.Image:
    """Convert to 8-bit RGB, by the embedded ICC profile if there is one."""
    profile = image.info.get("icc_profile")
    if image.mode == "P":
        image = image.convert("RGB")
    if profile and image.mode in ("RGB", "L", "CMYK"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            transform = ImageCms.buildTransform(source, _SRGB, image.mode, "RGB")
            if image.mode != "RGB" or not _changes_nothing(transform):
                converted = ImageCms.applyTransform(image, transform)
                if converted is not None:
                    return converted
        except (ImageCms.PyCMSError, OSError):
            pass  # a broken profile is no reason to lose the picture
    return image if image.mode == "RGB" else image.convert("RGB")


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a profile is sRGB under any name: most are, and cameras' pictures are large."""
    steps = np.arange(0, 256, 17, dtype=np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(64, 64, 3)
    found = np.asarray(ImageCms.applyTransform(Image.fromarray(cube), transform))
    return int(np.abs(found.astype(int) - cube).max()) <= 1  # a level is rounding


def _upright(image: Image.Image) -> Image.Image:
    """Return the image turned as its EXIF says; the image itself where nothing is to be done."""
    return image if orientation(image) == 1 else ImageOps.exif_transpose(image)


def _levels(image: Image.Image) -> Tensor:
    """Return an 8-bit image as ``(1, C, H, W)``, uint8."""
    shape = (image.height, image.width, len(image.getbands()))
    levels = np.empty(shape, np.uint8)
    for top in range(0, image.height, COPIED_ROWS):  # a huge picture is not there three times
        rows = image.crop((0, top, image.width, min(top + COPIED_ROWS, image.height)))
        levels[top : top + COPIED_ROWS] = np.asarray(rows).reshape(-1, *shape[1:])
    return torch.from_numpy(levels).permute(2, 0, 1)[None]


def as_tensor(image: Image.Image) -> Tensor:
    """Return an 8-bit image as ``(1, C, H, W)``, float32, [0, 1]."""
    return _levels(image).to(torch.float32, memory_format=torch.contiguous_format) / 255

"""Colours of 16 bits, of which Pillow would keep 8. The only file that knows libvips."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageFile
from PIL.PngImagePlugin import putchunk

from fast_style.exif import PREFIX
from fast_style.metadata import srgb_profile
from fast_style.picture import Picture

WHITE = 65535
MM_PER_INCH = 25.4
PNG_HEADER = 33  # bytes: the signature and the chunk that begins every file
UNSAID_DPI = 72.0  # libvips always writes one, by itself 25.4; programs take 72 where none is said


def is_deep(image: Image.Image) -> bool:
    """Whether an opened file, not decoded yet, holds colours of 16 bits; Pillow reads grey."""
    if not isinstance(image, ImageFile.ImageFile):
        return False
    stored = [str(tile.args) for tile in image.tile]  # a mode, or a tuple that begins with one
    return image.mode in ("RGB", "RGBA", "RGBX", "LA") and any(";16" in mode for mode in stored)


def read_deep(data: bytes, has_alpha: bool) -> Picture:
    """Return a picture file of 16 bits, upright and in sRGB, its levels float32.

    Args:
        data: The file's bytes.
        has_alpha: Whether a fourth band is transparency.

    Raises:
        ValueError: The file is damaged.
    """
    pyvips = _pyvips()
    try:
        image = pyvips.Image.new_from_buffer(data, "", fail_on="error").autorot()
        if image.get_typeof("icc-profile-data"):
            image = image.icc_transform("srgb", embedded=True, depth=16, intent="perceptual")
        array = image.colourspace("rgb16").numpy()
    except pyvips.Error as error:
        raise ValueError(f"libvips: {error}") from error
    planes = torch.from_numpy(array.astype(np.float32) / WHITE).permute(2, 0, 1)[None]
    alpha = planes[:, 3:4] if has_alpha and planes.shape[1] > 3 else None
    return Picture(planes[:, :3].contiguous(), alpha)


def deep_levels(picture: Picture) -> npt.NDArray[np.uint16]:
    """Return a picture's levels of 16 bits, ``(H, W, 3)``, or ``(H, W, 4)`` with its alpha.

    Raises:
        ValueError: The picture has values that are not finite numbers.
    """
    rgb, alpha = picture.rgb, picture.alpha
    if not torch.isfinite(rgb).all():
        raise ValueError("the picture has values that are not finite numbers")
    planes = rgb if alpha is None else torch.cat((rgb, alpha), dim=1)
    levels = (planes[0].detach().float().clamp(0, 1) * WHITE).round().permute(1, 2, 0)
    return levels.cpu().numpy().astype(np.uint16)


def encode_deep(picture: Picture) -> bytes:
    """Return a PNG file of 16 bits that says that its colours are sRGB.

    Args:
        picture: Its levels float, clamped to [0, 1].

    Raises:
        ValueError: The picture can't be encoded, or has values that are not finite numbers.
    """
    pyvips = _pyvips()
    array = deep_levels(picture)
    height, width, bands = array.shape
    try:
        image = pyvips.Image.new_from_memory(array.tobytes(), width, height, bands, "ushort")
        per_mm = (UNSAID_DPI if picture.dpi is None else picture.dpi) / MM_PER_INCH
        image = image.copy(interpretation="rgb16", xres=per_mm, yres=per_mm)
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", srgb_profile())
        data = bytes(image.pngsave_buffer(keep="icc"))
    except pyvips.Error as error:
        raise ValueError(f"libvips: {error}") from error
    if picture.exif is None:
        return data
    chunk = io.BytesIO()  # libvips would write EXIF of its own, and sizes into what it is given
    putchunk(chunk, b"eXIf", picture.exif.removeprefix(PREFIX))
    return data[:PNG_HEADER] + chunk.getvalue() + data[PNG_HEADER:]


def _pyvips() -> Any:
    """Return the library, imported where it is needed: few pictures have 16 bits."""
    os.environ.setdefault("VIPS_WARNING", "0")  # warnings on stderr; errors are raised
    try:
        import pyvips
    except (ImportError, OSError) as error:  # OSError: without its library
        raise ValueError("16 bits need libvips: pip install 'pyvips[binary]'") from error
    return pyvips

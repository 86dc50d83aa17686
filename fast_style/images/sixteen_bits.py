"""Colours of 16 bits, of which Pillow would keep 8, encoded by libvips."""

from __future__ import annotations

import io
import logging
import os
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL.PngImagePlugin import putchunk

from fast_style.images.exif import PREFIX
from fast_style.images.header import CM_PER_INCH
from fast_style.images.metadata import srgb_profile
from fast_style.images.picture import Picture
from fast_style.system.messages import one_line

DEEP_WHITE = 65535
MM_PER_INCH = 10 * CM_PER_INCH
PNG_HEADER = 33  # bytes: the signature and the chunk that begins every file
# libvips always writes a resolution, 25.4 by default; programs assume 72 where there is none.
UNSAID_DPI = 72.0


def deep_levels(picture: Picture) -> npt.NDArray[np.uint16]:
    """Return a picture's levels of 16 bits, ``(H, W, 3)``, or ``(H, W, 4)`` with its alpha.

    Raises:
        ValueError: The picture has values that are not finite numbers.
    """
    rgb, alpha = picture.rgb, picture.alpha
    if not torch.isfinite(rgb).all():
        raise ValueError("the picture has values that are not finite numbers")
    planes = rgb if alpha is None else torch.cat((rgb, alpha), dim=1)
    levels = (planes[0].detach().float().clamp(0, 1) * DEEP_WHITE).round().permute(1, 2, 0)
    return levels.cpu().numpy().astype(np.uint16)


def encode_deep(picture: Picture) -> bytes:
    """Return a PNG file of 16 bits that says that its colours are sRGB.

    Args:
        picture: Its levels float, clamped to [0, 1].

    Raises:
        ValueError: The picture can't be encoded, or has values that are not finite numbers.
    """
    pyvips = libvips()
    array = deep_levels(picture)
    height, width, bands = array.shape
    try:
        image = pyvips.Image.new_from_memory(array.tobytes(), width, height, bands, "ushort")
        per_mm = (UNSAID_DPI if picture.dpi is None else picture.dpi) / MM_PER_INCH
        image = image.copy(interpretation="rgb16", xres=per_mm, yres=per_mm)
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", srgb_profile())
        data = bytes(image.pngsave_buffer(keep="icc"))
    except pyvips.Error as error:
        raise ValueError(f"libvips: {one_line(error)}") from error
    if picture.exif is None:
        return data
    chunk = io.BytesIO()  # libvips would change the EXIF that it is given
    putchunk(chunk, b"eXIf", picture.exif.removeprefix(PREFIX))
    return data[:PNG_HEADER] + chunk.getvalue() + data[PNG_HEADER:]


def libvips() -> Any:
    """Return the library, imported where it is needed.

    Raises:
        ValueError: It is not there.
    """
    os.environ.setdefault("VIPS_WARNING", "0")  # warnings on stderr; errors are raised
    try:
        import pyvips
    except (ImportError, OSError) as error:  # OSError: without its library
        raise ValueError("16 bits need libvips: pip install 'pyvips[binary]'") from error
    logging.getLogger("pyvips").setLevel(logging.ERROR)  # warnings are no line of ours
    pyvips.cache_set_max(0)  # it would hold pictures, and return old ones for rewritten files
    return pyvips

"""Colours of 16 bits, of which Pillow would keep 8, encoded by libvips."""

from __future__ import annotations

import io
import os
import struct
from typing import Any

import numpy as np
import torch
from PIL import Image
from PIL.ExifTags import IFD
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from fast_style.metadata import srgb_profile
from fast_style.picture import Picture

DEEP = (".png", ".tif", ".tiff")  # files that can hold 16 bits
WHITE = 65535
MM_PER_INCH = 25.4
UNSAID_DPI = 72.0  # libvips always writes one, by itself 25.4; programs take 72 where none is said


def encode_deep(picture: Picture, suffix: str) -> bytes:
    """Return a file of 16 bits, PNG or TIFF, that says that its colours are sRGB.

    Args:
        picture: Its levels float, clamped to [0, 1].
        suffix: One of ``DEEP``.

    Raises:
        ValueError: The picture can't be encoded, or has values that are not finite numbers.
    """
    pyvips = libvips()
    rgb, alpha, exif, dpi = picture
    if not torch.isfinite(rgb).all():
        raise ValueError("the picture has values that are not finite numbers")
    planes = rgb if alpha is None else torch.cat((rgb, alpha), dim=1)
    levels = (planes[0].detach().float().clamp(0, 1) * WHITE).round().permute(1, 2, 0)
    array = levels.cpu().numpy().astype(np.uint16)
    height, width, bands = array.shape
    try:
        image = pyvips.Image.new_from_memory(array.tobytes(), width, height, bands, "ushort")
        image = image.copy(interpretation="rgb16")
        per_mm = (UNSAID_DPI if dpi is None else dpi) / MM_PER_INCH
        image = image.copy(xres=per_mm, yres=per_mm)
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", srgb_profile())
        if suffix.lower() == ".png":
            if exif is not None:
                image.set_type(pyvips.GValue.blob_type, "exif-data", exif)
            return bytes(image.pngsave_buffer())
        data = bytes(
            image.tiffsave_buffer(compression="deflate", predictor="horizontal", resunit="inch")
        )
    except pyvips.Error as error:
        raise ValueError(f"libvips: {error}") from error
    return data if exif is None else _with_exif(data, exif)


def _with_exif(tiff: bytes, exif: bytes) -> bytes:
    """Return a TIFF file with EXIF, which libvips leaves out: its directory is written anew."""
    directory = ImageFileDirectory_v2(tiff[:8])
    file = io.BytesIO(tiff)
    file.seek(directory.next)
    directory.load(file)
    for tag in list(directory):
        directory[tag]  # decoded, or it would not be written again
    found = Image.Exif()
    found.load(exif)
    for tag, value in found.items():
        if tag not in directory:
            directory[tag] = value
    for tag in (IFD.Exif, IFD.GPSInfo):
        if values := found.get_ifd(tag):
            directory[tag] = dict(values)
    offset = file.seek(0, io.SEEK_END)
    offset += file.write(bytes(offset % 2))  # directories begin at even offsets
    file.write(directory.tobytes(offset))
    file.seek(4)
    file.write(struct.pack("<L" if tiff[:2] == b"II" else ">L", offset))
    return file.getvalue()


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
    pyvips.cache_set_max(0)  # it would keep what a picture is made of, and mix up rewritten files
    return pyvips

"""TIFF files of 8 and 16 bits that keep a photograph's date, camera and place.

Pillow writes no colours of 16 bits, libvips writes no EXIF: who edits in 16 bits needs both.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from itertools import accumulate
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from PIL import TiffImagePlugin as Names
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from PIL.TiffTags import ASCII, BYTE, LONG, SHORT, UNDEFINED

from fast_style.images.exif import Exif, Order, Tag, pointers_to, read_block, subdirectories
from fast_style.images.metadata import srgb_profile

Levels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
PREFIXES: dict[Order, bytes] = {"<": b"II", ">": b"MM"}
STRIP = 2**20  # bytes of a strip, not compressed
LARGEST = 2**32  # bytes of a file: its offsets have 32 bits
DEFLATE, DIFFERENCES, RGB, TRANSPARENCY, INCH = 8, 2, 2, 2, 2  # TIFF's numbers for them
UTF8 = 129  # EXIF's type of a text, which TIFF does not have


def write_tiff(file: IO[bytes], levels: Levels, exif: bytes | None, dpi: float | None) -> None:
    """Write a TIFF file that says that its colours are sRGB, compressed without loss.

    Args:
        file: Empty, to be written from its beginning.
        levels: ``(H, W, 3)``, or ``(H, W, 4)`` with transparency.
        exif: As ``Picture.exif``.
        dpi: As ``Picture.dpi``.

    Raises:
        ValueError: The file would have 4 GB or more.
    """
    said = Exif("<", {}, {}, {}) if exif is None else read_block(exif)
    rows = max(1, STRIP // levels[:1].nbytes)
    strips = list(_strips(levels, rows, said.order))
    directory = _strip_directory(levels, rows, [len(strip) for strip in strips], said.order)
    if dpi is not None:
        directory[Names.RESOLUTION_UNIT] = INCH
        directory[Names.X_RESOLUTION] = directory[Names.Y_RESOLUTION] = dpi
    for tag, value in said.main.items():
        _put(directory, tag, value, said.order)
    for pointer in pointers_to(said, 0):
        directory.tagtype[pointer], directory[pointer] = LONG, 0
    end = len(PREFIXES[said.order]) + 6 + len(directory.tobytes()) + sum(map(len, strips))
    end += end % 2  # directories begin at even bytes
    further = subdirectories(said, end)
    if end + len(further) >= LARGEST:
        raise ValueError(
            f"TIFF holds up to {LARGEST / 2**30:g} GB, this picture takes {end / 2**30:.3g}; "
            "a name that ends in .png makes a PNG, which has no limit"
        )
    for pointer, where in pointers_to(said, end).items():
        (directory[pointer],) = struct.unpack(said.order + "L", where.data)
    written = directory.save(file)
    for strip in strips:
        written += file.write(strip)
    file.write(bytes(end - written) + further)


def _strips(levels: Levels, rows: int, order: Order) -> Iterator[bytes]:
    """Yield the rows, so many at a time: differences to the left, compressed."""
    stored = levels.dtype.newbyteorder(order)
    for top in range(0, len(levels), rows):
        strip = levels[top : top + rows]
        differences = strip.copy()
        differences[:, 1:] -= strip[:, :-1]  # modulo 256 or 65,536
        yield zlib.compress(differences.astype(stored).tobytes())


def _strip_directory(
    levels: Levels, rows: int, sizes: list[int], order: Order
) -> ImageFileDirectory_v2:
    """Return the TIFF directory of a file in which the strips follow the directory."""
    height, width, bands = levels.shape
    directory = ImageFileDirectory_v2(prefix=PREFIXES[order])
    layout: dict[int, Any] = {
        Names.IMAGEWIDTH: width,
        Names.IMAGELENGTH: height,
        Names.BITSPERSAMPLE: (levels.dtype.itemsize * 8,) * bands,
        Names.COMPRESSION: DEFLATE,
        Names.PHOTOMETRIC_INTERPRETATION: RGB,
        Names.SAMPLESPERPIXEL: bands,
        Names.ROWSPERSTRIP: rows,
        Names.STRIPBYTECOUNTS: tuple(sizes),
        # Pillow adds the directory's own length, as it does in files that are all its own.
        Names.STRIPOFFSETS: tuple(accumulate(sizes[:-1], initial=0)),
        Names.PLANAR_CONFIGURATION: 1,
        Names.PREDICTOR: DIFFERENCES,
        Names.ICCPROFILE: srgb_profile(),
    }
    if bands == 4:
        layout[Names.EXTRASAMPLES] = (TRANSPARENCY,)
    for tag in (Names.STRIPBYTECOUNTS, Names.STRIPOFFSETS, Names.ROWSPERSTRIP):
        directory.tagtype[tag] = LONG
    directory.tagtype[Names.ICCPROFILE] = UNDEFINED
    directory.update(layout)
    return directory


def _put(directory: ImageFileDirectory_v2, tag: int, value: Tag, order: Order) -> None:
    """Put a tag of EXIF's main directory into TIFF's; tags of other types are left out."""
    if value.kind in (ASCII, UTF8):
        directory.tagtype[tag] = ASCII
        directory[tag] = value.data.removesuffix(b"\0")  # Pillow ends texts so
    elif value.kind in (BYTE, UNDEFINED):
        directory.tagtype[tag], directory[tag] = value.kind, value.data
    elif value.kind == SHORT and len(value.data) == 2:
        directory.tagtype[tag] = SHORT
        (directory[tag],) = struct.unpack(order + "H", value.data)

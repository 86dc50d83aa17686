"""PNG and TIFF files decoded from the top by rows, in all their depths, by libvips.

Rows are decoded by the thread that asks for them. libvips's own threads do not survive a fork, and
training reads pictures in forked processes.
"""

from __future__ import annotations

import io
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from fast_style.images import header
from fast_style.images.header import Tiff
from fast_style.images.sixteen_bits import libvips
from fast_style.system.messages import one_line

Pixels = npt.NDArray[Any]  # (rows, W, bands), as they are stored
BANDS = {"L": 1, "RGB": 3, "CMYK": 4}  # of colours, by Pillow's modes
TYPES: dict[str, Any] = {
    "uchar": np.uint8,
    "char": np.int8,
    "ushort": np.uint16,
    "short": np.int16,
    "uint": np.uint32,
    "int": np.int32,
    "float": np.float32,
    "double": np.float64,
}
# What is white in floats and in whole numbers of 32 bits: the first of these whose limit the
# largest value does not exceed. Highlights, and pixels after resizing, may lie above white.
FLOAT_WHITES = ((1.0, 16.0), (255.0, 300.0), (65535.0, float("inf")))
UINT_WHITES = ((65535, 65535), (2**32 - 1, float("inf")))
# Values of TIFF's PhotometricInterpretation.
WHITE_IS_ZERO, BLACK_IS_ZERO, SEPARATED, CIELAB, ICCLAB = 0, 1, 5, 8, 9
PREMULTIPLIED, UNASSOCIATED = 1, 2  # values of TIFF's ExtraSamples; libvips divides the first kind


class Stored(NamedTuple):
    """A picture as its file stores it; each call of ``rows`` decodes it from the top.

    ``rows``: is given a number of rows and yields ``Pixels`` of so many, the last of fewer.
    ``colors``: a key of ``BANDS``; bands beyond those are no colours. ``white``: the value
    of white, none where the largest value tells. ``inverted``: whether that is black instead.
    ``alpha``: which band is the transparency, if one is.
    """

    width: int
    height: int
    rows: Callable[[int], Iterator[Pixels]]
    dtype: Any
    colors: str = "RGB"
    white: float | None = 255
    inverted: bool = False
    alpha: int | None = None

    def with_white(self, step: int) -> Stored:
        """Return it with ``white`` known; to find the largest value it may be decoded once more."""
        if self.white is not None:
            return self
        whites = FLOAT_WHITES if np.issubdtype(self.dtype, np.floating) else UINT_WHITES
        top = max(float(rows[..., : BANDS[self.colors]].max()) for rows in self.rows(step))
        return self._replace(white=next((w for w, most in whites if top <= most), whites[0][0]))


def stored_png(path: Path | io.BytesIO) -> Stored:
    """Return what a PNG file stores.

    Raises:
        ValueError: libvips is not there or can't read it.
    """
    image = _loaded("pngload_source", path)
    return Stored(
        image.width,
        image.height,
        lambda step: _fetched_rows(_loaded("pngload_source", path), step),
        TYPES[image.format],
        "RGB" if image.bands > 2 else "L",
        _white(image.format),
        alpha=image.bands - 1 if image.bands in (2, 4) else None,
    )


def stored_tiff(path: Path | io.BytesIO, tiff: Tiff) -> Stored:
    """Return what the first page of a TIFF file stores.

    Raises:
        ValueError: libvips is not there or can't read it.
    """

    def load() -> Any:  # of the first page alone: the others may be many, or damaged
        image = _loaded("tiffload_source", path, tiff.link)
        return _as_rgb(image, tiff.number(header.PHOTOMETRIC))

    kinds = tiff.number(header.PLANAR), tiff.number(header.FORMAT), tiff.number(header.BITS)
    if kinds == (2, 3, 16):  # libvips 8.18 mixes up their rows
        raise ValueError("its floats of 16 bits are stored colour by colour; store them together")
    image = load()
    photometric = tiff.number(header.PHOTOMETRIC)
    colors = "RGB"
    if photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO) or image.bands < BANDS["RGB"]:
        colors = "L"
    elif photometric == SEPARATED:
        colors = "CMYK"
    extra = tiff.numbers(header.EXTRA)
    alpha = next((i for i, kind in enumerate(extra) if kind in (PREMULTIPLIED, UNASSOCIATED)), None)
    known = alpha is not None and BANDS[colors] + alpha < image.bands
    return Stored(
        image.width,
        image.height,
        lambda step: _fetched_rows(load(), step),
        TYPES[image.format],
        colors,
        _white(image.format),
        # What has no sign libvips inverts by itself.
        photometric == WHITE_IS_ZERO and not image.format.startswith("u"),
        BANDS[colors] + alpha if known and alpha is not None else None,
    )


def _white(format_: str) -> float | None:
    """Return what is white in a number format of libvips; none where the largest number tells."""
    if format_ in ("float", "double", "uint"):
        return None
    # Signed numbers of 32 bits are those of 16 that some programs write so.
    return 65535 if format_ == "int" else float(np.iinfo(TYPES[format_]).max)


def _as_rgb(image: Any, photometric: int) -> Any:
    """Return an image of CIE colours (L*a*b*, LogLuv) in sRGB, any other as it is."""
    if photometric == ICCLAB:
        step = 65280 / 100 if image.format == "ushort" else 255 / 100
        unit = 256 if image.format == "ushort" else 1
        lab = image.extract_band(0, n=3).linear([1 / step, 1 / unit, 1 / unit], [0, -128, -128])
        image = lab.copy(interpretation="lab")
    if photometric in (CIELAB, ICCLAB):
        return image.extract_band(0, n=3).icc_export(output_profile="srgb", depth=16)
    if image.interpretation in ("xyz", "labq", "yxy"):
        return image.colourspace("rgb16")
    return image


def _loaded(loader: str, path: Path | io.BytesIO, blank: tuple[int, int] = (0, 0)) -> Any:
    """Return libvips's image of a file, of which only the head is read; always by one loader.

    Args:
        loader: Its name; left to choose, libvips may take one that runs other programs.
        path: Of the file; or its bytes.
        blank: Where zeros are read instead of what is there, and how many.

    Raises:
        ValueError: libvips is not there or can't read it.
    """
    pyvips = libvips()
    try:
        if blank[1]:
            source = _source(header.open_binary(path), *blank)
        elif isinstance(path, io.BytesIO):
            source = pyvips.Source.new_from_memory(path.getvalue())
        else:
            source = pyvips.Source.new_from_file(str(path))
        image = getattr(pyvips.Image, loader)(source, fail_on="error", access="sequential")
        # As pyvips does where it chooses the loader: what is made of the image still reads it.
        image._references.append(source)
        return image
    except pyvips.Error as error:
        raise ValueError(_reason(error)) from error


def _source(file: BinaryIO, blank: int, count: int) -> Any:
    """Return a source from which libvips reads a file, some bytes of it as zeros."""

    def read(size: int) -> bytes:
        at = file.tell()
        data = file.read(size)
        first, end = max(blank - at, 0), min(blank + count - at, len(data))
        return data if first >= end else data[:first] + bytes(end - first) + data[end:]

    source = libvips().SourceCustom()
    source.on_read(read)
    source.on_seek(file.seek)
    weakref.finalize(source, file.close)
    return source


def _fetched_rows(image: Any, step: int) -> Iterator[Pixels]:
    """Yield the rows of an image."""
    pyvips = libvips()
    kind = np.dtype(TYPES[image.format])
    region = pyvips.Region.new(image)
    try:
        for top in range(0, image.height, step):
            count = min(step, image.height - top)
            data = region.fetch(0, top, image.width, count)
            yield np.frombuffer(data, kind).reshape(count, image.width, image.bands)
    except pyvips.Error as error:
        raise ValueError(f"its data is damaged or ends early: {_reason(error)}") from error
    finally:
        del region  # before the image, with which its source goes


def _reason(error: Exception) -> str:
    return f"libvips: {one_line(error)}"


def converted(pixels: Pixels, colors: str, profile: bytes) -> Pixels:
    """Return colours of 16 bits in sRGB, ``(rows, W, 3)``, uint16.

    Args:
        pixels: ``(rows, W, B)``, uint16.
        colors: A key of ``BANDS``.
        profile: The ICC profile that they have.

    Raises:
        ValueError: libvips is not there or can't use the profile.
    """
    pyvips = libvips()
    height, width, bands = pixels.shape
    kind = {"L": "grey16", "RGB": "rgb16", "CMYK": "cmyk"}[colors]
    try:
        image = pyvips.Image.new_from_memory(pixels.tobytes(), width, height, bands, "ushort")
        image = image.copy(interpretation=kind)
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
        image = image.icc_transform("srgb", embedded=True, depth=16, intent="perceptual")
        return next(_fetched_rows(image, height))
    except pyvips.Error as error:
        raise ValueError(_reason(error)) from error

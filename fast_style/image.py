"""Picture files read: Pillow, orientation, colour profiles, alpha, animations.

Every way in which a file can be missing, damaged or hostile ends in a PictureError that names it.
"""

from __future__ import annotations

import io
import math
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from PIL import Image, ImageSequence, UnidentifiedImageError
from torch import Tensor

from fast_style import heif
from fast_style.decode import as_tensor, flat_rgb, picture_of
from fast_style.deep import is_deep, read_deep
from fast_style.metadata import kept_dpi, kept_exif, orientation
from fast_style.picture import Clip, Picture, PictureError

READABLE = (
    *(".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".ppm"),
    *heif.SUFFIXES,
)
MOVING = ("GIF", "WEBP", "PNG", "AVIF")  # formats; in others further pictures are no frames
FRAME_MS = 100  # of a frame that says nothing, as browsers show it
_OPENING = threading.Lock()  # the warning filters are the process's, not a thread's
Box = tuple[float, float, float, float]  # left, upper, right, lower, in pixels

# What Pillow's decoders raise for damaged data.
DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
)


def allow_megapixels(most: float) -> None:
    """Set how many megapixels a picture may have; beyond that it is taken for an attack."""
    Image.MAX_IMAGE_PIXELS = max(1, round(most * 1e6 / 2))  # Pillow raises at twice as many


def max_pixels() -> float:
    """Return how many pixels a picture may have, all its frames together."""
    return math.inf if Image.MAX_IMAGE_PIXELS is None else 2 * Image.MAX_IMAGE_PIXELS


def read_picture(path: str | Path | io.BytesIO) -> Picture:
    """Read a picture file: upright (EXIF), in sRGB (ICC), any of Pillow's modes, 8 to 32 bits.

    Args:
        path: Of the file; or its bytes.

    Raises:
        PictureError: The file is missing, not a picture, damaged or too large.
    """
    with _open(path) as image:
        return _first_picture(image, path)


def read_clip(path: str | Path | io.BytesIO, still: bool = False) -> Clip:
    """Read a picture file as ``read_picture`` does, with all frames of an animation.

    Args:
        path: Of the file; or its bytes.
        still: Of an animation read the first frame alone, and count the others as left out.

    Raises:
        PictureError: As ``read_picture``; too large is what all frames together are.
    """
    with _open(path) as image:
        count = int(getattr(image, "n_frames", 1)) if image.format in MOVING else 1
        if count < 2:
            first = _first_picture(image, path)
            return Clip([first], left_out=_further_pages(path) if image.format == "TIFF" else 0)
        if not still and count * image.width * image.height > max_pixels():
            raise Image.DecompressionBombError(f"{count * image.width * image.height} pixels")
        loop = image.info.get("loop")
        exif = _exif(image)
        frames, durations_ms = [], []
        for number, frame in enumerate(ImageSequence.Iterator(image)):
            if number == 0 and image.info.get("default_image"):
                continue  # of an animated PNG, for programs that can't show it
            frames.append(picture_of(frame)._replace(exif=exif))
            durations_ms.append(round(frame.info.get("duration") or FRAME_MS))
            if still:
                return Clip(frames, durations_ms, loop, left_out=count - 1 - number)
        return Clip(_all_with_alpha(frames), durations_ms, loop)


def _further_pages(path: str | Path | io.BytesIO) -> int:
    """Return how many pages follow a TIFF's first; none if they are damaged.

    The file is opened anew: to count them Pillow reads them all, and mixes up their profiles.
    """
    with _OPENING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(path) as image:
                return int(getattr(image, "n_frames", 1)) - 1
        except DAMAGED:
            return 0


def _all_with_alpha(frames: list[Picture]) -> list[Picture]:
    """Return frames that all have an alpha, if one has; a file has it for all or for none."""
    found = [frame.alpha for frame in frames if frame.alpha is not None]
    if not found:
        return frames
    opaque = torch.ones_like(found[0])
    return [f._replace(alpha=opaque if f.alpha is None else f.alpha) for f in frames]


def _first_picture(image: Image.Image, path: str | Path | io.BytesIO) -> Picture:
    deep = is_deep(image)  # before EXIF is read: to that end Pillow decodes some files
    exif, dpi = _exif(image), kept_dpi(image)
    if not deep:
        return picture_of(image)._replace(exif=exif, dpi=dpi)
    data = path.getvalue() if isinstance(path, io.BytesIO) else Path(path).read_bytes()
    return read_deep(data, image.has_transparency_data)._replace(exif=exif, dpi=dpi)


def _exif(image: Image.Image) -> bytes | None:
    with _OPENING, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of damaged EXIF
        return kept_exif(image)


def read_style(path: str | Path, size: int) -> Tensor:
    """Return a painting, its shorter side scaled to ``size`` px, ``(1, 3, H, W)`` in [0, 1].

    Transparent parts are taken as white. A smaller painting is enlarged.

    Raises:
        PictureError: As ``read_picture``, or enlarged it has more than ``max_pixels``.
        ValueError: ``size`` is below 32.
    """
    if size < 32:
        raise ValueError(f"the style size must be at least 32 px, found {size}")
    with _open(path) as image:
        upright = flat_rgb(image)
        factor = size / min(upright.size)
        width, height = (max(1, round(side * factor)) for side in upright.size)
        if factor > 1 and width * height > max_pixels():
            raise PictureError(
                f"a style size of {size} px makes {width * height / 1e6:.4g} megapixels of {path}, "
                f"at most {max_pixels() / 1e6:.4g} are allowed"
            )
        return as_tensor(upright.resize((width, height), Image.Resampling.LANCZOS))


def read_crop(path: str | Path, size: int, choose_box: Callable[[int, int], Box]) -> Tensor:
    """Return a crop of a photograph resized to a square, ``(3, size, size)``, float32, [0, 1].

    A JPEG much larger than the crop needs is decoded at a reduced scale.

    Args:
        path: The photograph. Transparent parts are taken as white.
        size: Height and width of the result, px.
        choose_box: Called with the upright photograph's width and height, px; returns the crop.

    Raises:
        PictureError: As ``read_picture``.
    """
    with _open(path) as image:
        turned = orientation(image) in (5, 6, 7, 8)
        width, height = image.size[::-1] if turned else image.size
        left, upper, right, lower = choose_box(width, height)
        scale = size / min(right - left, lower - upper)
        shrink = 1.0
        if image.format == "JPEG" and scale < 1:
            stored = image.width
            needed = (math.ceil(image.width * scale), math.ceil(image.height * scale))
            if drafted := image.draft("RGB", needed):
                # An eighth, a quarter or a half exactly; the decoded size is rounded up.
                shrink = drafted[1][2] / stored
        upright = flat_rgb(image)
        box = (left * shrink, upper * shrink, right * shrink, lower * shrink)
        square = upright.resize((size, size), Image.Resampling.BICUBIC, box, reducing_gap=3.0)
        return as_tensor(square)[0]


def picture_size(path: str | Path) -> tuple[int, int]:
    """Return a picture's stored width and height, px, reading no more than the file's header.

    Raises:
        PictureError: As ``read_picture``.
    """
    with _open(path) as image:
        return image.size


def from_pil(image: Image.Image) -> Picture:
    """Return a Pillow image of any mode as a ``Picture``, upright and in sRGB.

    Raises:
        PictureError: The image's data is damaged.
    """
    with _pictures_errors("the image"):
        return picture_of(image)


@contextmanager
def _open(path: str | Path | io.BytesIO) -> Iterator[Image.Image]:
    """Open a picture file; every way in which that and the body fail is a ``PictureError``."""
    if isinstance(path, str):
        path = Path(path)
    with _pictures_errors("the stream" if isinstance(path, io.BytesIO) else str(path)):
        if isinstance(path, Path) and path.is_dir():
            raise PictureError(f"cannot read {path}: it is a folder, expected a picture file")
        if isinstance(path, Path) and path.is_fifo():
            raise PictureError(
                f"cannot read {path}: it is a pipe, which can be read only once; stylize takes a "
                "picture from standard input, as -"
            )
        with _OPENING, warnings.catch_warnings():
            # Of damaged EXIF; of sizes above Pillow's limit, until it raises at twice that.
            warnings.simplefilter("ignore")
            heif.register()
            image = Image.open(path)
        with image:
            yield image


@contextmanager
def _pictures_errors(what: str) -> Iterator[None]:
    try:
        yield
    except PictureError:
        raise
    except FileNotFoundError as error:
        raise PictureError(f"cannot read {what}: there is no such file") from error
    except UnidentifiedImageError as error:
        unknown = "not a picture in a known format"
        if what.lower().endswith(heif.SUFFIXES) and not heif.is_available():
            unknown = heif.NEEDED
        raise PictureError(f"cannot read {what}: {unknown}") from error
    except Image.DecompressionBombError as error:
        raise PictureError(
            f"cannot read {what}: {_megapixels(error)} of at most {max_pixels() / 1e6:.4g}; "
            "stylize's --max-megapixels allows more"
        ) from error
    except DAMAGED as error:
        reason = str(getattr(error, "strerror", None) or error)
        raise PictureError(f"cannot read {what}: {' '.join(reason.split())}") from error


def _megapixels(error: Image.DecompressionBombError) -> str:
    """Return how large a refused picture is; Pillow says it in its message only."""
    found = re.search(r"(\d+) pixels", str(error))
    return f"{int(found[1]) / 1e6:.4g} megapixels" if found else "more megapixels"

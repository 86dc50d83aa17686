"""Picture files read: Pillow, orientation, colour profiles, alpha, animations.

Every way in which a file can be missing, damaged or hostile ends in a PictureError that names it.
"""

from __future__ import annotations

import io
import math
import struct
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps, ImageSequence, UnidentifiedImageError
from torch import Tensor

from fast_style.deep import is_deep, read_deep
from fast_style.metadata import kept_exif
from fast_style.picture import Clip, Picture, PictureError, to_pil

HEIF = (".heic", ".heif")
READABLE = (
    *(".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".ppm"),
    *HEIF,
)
ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")  # formats; in others further pictures are no frames
FRAME_MS = 100  # of a frame that says nothing, as browsers show it
EXIF_ORIENTATION = 0x0112
COPIED_ROWS = 256
_OPENING = threading.Lock()  # the warning filters are the process's, not a thread's
_SRGB = ImageCms.createProfile("sRGB")
Box = tuple[float, float, float, float]  # left, upper, right, lower, in pixels

# What Pillow's decoders raise for damaged data.
DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    IndexError,
    TypeError,
    RuntimeError,
)
if find_spec("pillow_heif"):
    import pillow_heif

    pillow_heif.register_heif_opener()


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


def read_clip(path: str | Path | io.BytesIO) -> Clip:
    """Read a picture file as ``read_picture`` does, with all frames of an animation.

    Args:
        path: Of the file; or its bytes.

    Raises:
        PictureError: As ``read_picture``; too large is what all frames together are.
    """
    with _open(path) as image:
        count = int(getattr(image, "n_frames", 1)) if image.format in ANIMATED else 1
        if count < 2:
            return Clip([_first_picture(image, path)])
        if count * image.width * image.height > max_pixels():
            raise Image.DecompressionBombError
        loop = image.info.get("loop")
        exif = _exif(image)
        frames, durations_ms = [], []
        for frame in ImageSequence.Iterator(image):
            frames.append(_picture(frame)._replace(exif=exif))
            durations_ms.append(round(frame.info.get("duration") or FRAME_MS))
        return Clip(frames, durations_ms, loop)


def _first_picture(image: Image.Image, path: str | Path | io.BytesIO) -> Picture:
    exif = _exif(image)
    if not is_deep(image):
        return _picture(image)._replace(exif=exif)
    data = path.getvalue() if isinstance(path, io.BytesIO) else Path(path).read_bytes()
    return read_deep(data)._replace(exif=exif)


def _exif(image: Image.Image) -> bytes | None:
    with _OPENING, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of damaged EXIF
        return kept_exif(image)


def read_style(path: str | Path, size: int) -> Tensor:
    """Return a painting, its shorter side scaled to ``size`` px, ``(1, 3, H, W)`` in [0, 1].

    Transparent parts are taken as white. A smaller painting is enlarged.

    Raises:
        PictureError: As ``read_picture``.
        ValueError: ``size`` is below 32.
    """
    if size < 32:
        raise ValueError(f"the style size must be at least 32 px, found {size}")
    with _open(path) as image:
        upright = _flat_rgb(image)
        factor = size / min(upright.size)
        width, height = (max(1, round(side * factor)) for side in upright.size)
        return _tensor(upright.resize((width, height), Image.Resampling.LANCZOS))


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
        turned = image.getexif().get(EXIF_ORIENTATION) in (5, 6, 7, 8)
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
        upright = _flat_rgb(image)
        box = (left * shrink, upper * shrink, right * shrink, lower * shrink)
        square = upright.resize((size, size), Image.Resampling.BICUBIC, box, reducing_gap=3.0)
        return _tensor(square)[0]


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
        return _picture(image)


def _picture(image: Image.Image) -> Picture:
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
    return Picture(_levels(_to_srgb(opaque)), _tensor(rgba.getchannel("A")))


def _deep_grey(image: Image.Image) -> Tensor:
    """Return a grey picture of more than 8 bits, ``(1, 1, H, W)``, float32 in [0, 1]."""
    levels = np.asarray(image, dtype=np.float32)
    if not np.isfinite(levels).all():
        raise ValueError("it has values that are not finite numbers")
    white = 65535.0
    if image.mode == "F":  # there is no convention: the largest value tells which was meant
        white = next((white for white in (1.0, 255.0) if levels.max() <= white), 65535.0)
    return torch.from_numpy((levels / white).clip(0, 1))[None, None]


@contextmanager
def _open(path: str | Path | io.BytesIO) -> Iterator[Image.Image]:
    """Open a picture file; every way in which that and the body fail is a ``PictureError``."""
    if isinstance(path, str):
        path = Path(path)
    with _pictures_errors("the stream" if isinstance(path, io.BytesIO) else str(path)):
        if isinstance(path, Path) and path.is_dir():
            raise PictureError(f"cannot read {path}: it is a folder, expected a picture file")
        with _OPENING, warnings.catch_warnings():
            # Of damaged EXIF; of sizes above Pillow's limit, until it raises at twice that.
            warnings.simplefilter("ignore")
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
        if what.lower().endswith(HEIF) and not find_spec("pillow_heif"):
            unknown = "HEIF needs pillow-heif: pip install 'fast-style-trainer[heif]'"
        raise PictureError(f"cannot read {what}: {unknown}") from error
    except Image.DecompressionBombError as error:
        raise PictureError(
            f"cannot read {what}: too many pixels; stylize's --max-megapixels allows more"
        ) from error
    except DAMAGED as error:
        reason = getattr(error, "strerror", None) or error
        raise PictureError(f"cannot read {what}: {reason}") from error


def _flat_rgb(image: Image.Image) -> Image.Image:
    """Return the image upright, in sRGB, 8 bits, transparent parts on white."""
    image = _upright(image)
    if image.mode == "RGB" and not {"icc_profile", "transparency"} & image.info.keys():
        return image
    picture = _picture(image)
    if picture.alpha is None:
        return to_pil(picture.levels)
    return to_pil(picture.rgb * picture.alpha + (1 - picture.alpha))


def _to_srgb(image: Image.Image) -> Image.Image:
    """Convert to 8-bit RGB, by the embedded ICC profile if there is one."""
    profile = image.info.get("icc_profile")
    if image.mode == "P":
        image = image.convert("RGB")
    if profile and image.mode in ("RGB", "L", "CMYK"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError):
            pass  # a broken profile is no reason to lose the picture
    return image if image.mode == "RGB" else image.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    """Return the image turned as its EXIF says; the image itself where nothing is to be done."""
    turned = image.getexif().get(EXIF_ORIENTATION, 1) != 1
    return ImageOps.exif_transpose(image) if turned else image


def _levels(image: Image.Image) -> Tensor:
    """Return an 8-bit image as ``(1, C, H, W)``, uint8."""
    shape = (image.height, image.width, len(image.getbands()))
    levels = np.empty(shape, np.uint8)
    for top in range(0, image.height, COPIED_ROWS):  # a huge picture is not there three times
        rows = image.crop((0, top, image.width, min(top + COPIED_ROWS, image.height)))
        levels[top : top + COPIED_ROWS] = np.asarray(rows).reshape(-1, *shape[1:])
    return torch.from_numpy(levels).permute(2, 0, 1)[None]


def _tensor(image: Image.Image) -> Tensor:
    """Return an 8-bit image as ``(1, C, H, W)``, float32, [0, 1]."""
    return _levels(image).to(torch.float32, memory_format=torch.contiguous_format) / 255

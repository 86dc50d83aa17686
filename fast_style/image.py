"""Pictures on disk and in memory: Pillow, orientation, colour profiles, alpha and uint8.

Everywhere else an image is float32 RGB in [0, 1], (N, 3, H, W), sRGB.
"""

from __future__ import annotations

import io
import math
import struct
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError, features
from torch import Tensor

from fast_style.files import write_atomically
from fast_style.metadata import kept_exif, srgb_profile

READABLE = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".ppm")
WRITABLE: tuple[str, ...] = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
if features.check("avif"):  # not in every build of Pillow
    WRITABLE += (".avif",)
QUALITY = 95  # of JPEG, WebP and AVIF, as the field's best tools write
EXIF_ORIENTATION = 0x0112
_OPENING = threading.Lock()  # the warning filters are the process's, not a thread's
_SRGB = ImageCms.createProfile("sRGB")
Box = tuple[float, float, float, float]  # left, upper, right, lower, in pixels


PillowImage = Image.Image
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


class PictureError(ValueError):
    """A picture file that can't be read or written; the message names it and says why."""


class Picture(NamedTuple):
    """A picture as read: its colours and, if the file has any, its transparency."""

    levels: Tensor  # (1, 3, H, W), sRGB: uint8, or float32 in [0, 1] where that loses something
    alpha: Tensor | None  # (1, 1, H, W), float32, [0, 1]; 0 is transparent
    exif: bytes | None = None  # what of it stays with a stylised version

    @property
    def rgb(self) -> Tensor:
        """The colours, ``(1, 3, H, W)``, float32 in [0, 1]."""
        return as_float(self.levels)


def allow_megapixels(most: float) -> None:
    """Set how many megapixels a picture may have; beyond that it is taken for an attack."""
    Image.MAX_IMAGE_PIXELS = max(1, round(most * 1e6 / 2))  # Pillow raises at twice as many


def as_float(levels: Tensor) -> Tensor:
    """Return levels, uint8 or float already, as float in [0, 1]."""
    if levels.dtype != torch.uint8:
        return levels
    return levels.to(torch.float32, memory_format=torch.contiguous_format) / 255


def as_bytes(rgb: Tensor) -> Tensor:
    """Return colours, float clamped to [0, 1] or uint8 already, as uint8."""
    if rgb.dtype == torch.uint8:
        return rgb
    return (rgb.detach().float().clamp(0, 1) * 255).round().to(torch.uint8)


def read_picture(path: str | Path | io.BytesIO) -> Picture:
    """Read a picture file: upright (EXIF), in sRGB (ICC), any of Pillow's modes, 8 to 32 bits.

    Args:
        path: Of the file; or its bytes.

    Raises:
        PictureError: The file is missing, not a picture, damaged or too large.
    """
    with _open(path) as image:
        with _OPENING, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of damaged EXIF
            exif = kept_exif(image)
        return _picture(image)._replace(exif=exif)


def resize(image: Tensor, height: int, width: int) -> Tensor:
    """Return an image ``(N, C, H, W)``, float in [0, 1], at another size, antialiased bicubic."""
    if image.shape[-2:] == (height, width):
        return image
    resized = F.interpolate(image, (height, width), mode="bicubic", antialias=True)
    return resized.clamp(0, 1)


def long_side_size(image: Tensor, long_side: int) -> tuple[int, int]:
    """Return the height and width, px, that give ``image`` a longer side of ``long_side`` px."""
    height, width = image.shape[-2:]
    factor = long_side / max(height, width)
    return max(1, round(height * factor)), max(1, round(width * factor))


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


def to_pil(rgb: Tensor, alpha: Tensor | None = None) -> Image.Image:
    """Return ``rgb``, ``(1, 3, H, W)``, as an 8-bit image; RGBA with ``alpha``.

    Args:
        rgb: uint8, or float clamped to [0, 1].
        alpha: ``(1, 1, H, W)``, likewise, or none.

    Raises:
        PictureError: ``rgb`` has values that are not finite numbers.
    """
    if rgb.dtype != torch.uint8 and not torch.isfinite(rgb).all():
        raise PictureError("the picture has values that are not finite numbers")
    levels = as_bytes(rgb)
    if alpha is not None:
        levels = torch.cat((levels, as_bytes(alpha).to(levels.device)), dim=1)
    return Image.fromarray(levels[0].permute(1, 2, 0).cpu().numpy())


def from_array(array: npt.NDArray[Any]) -> Picture:
    """Return an array ``(H, W)``, ``(H, W, 3)`` or ``(H, W, 4)``, uint8 or float in [0, 1].

    Raises:
        ValueError: Another shape or type.
    """
    fits = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    is_bytes = array.dtype == np.uint8
    if not fits or not (is_bytes or np.issubdtype(array.dtype, np.floating)):
        raise ValueError(
            "expected an array (H, W), (H, W, 3) or (H, W, 4), uint8 or float, found "
            f"{array.shape}, {array.dtype}"
        )
    levels = torch.from_numpy(np.array(array, dtype=np.float32) / (255 if is_bytes else 1))
    planes = (levels[..., None] if levels.ndim == 2 else levels).permute(2, 0, 1)[None]
    rgb = planes[:, :3] if planes.shape[1] > 1 else planes.repeat(1, 3, 1, 1)
    return Picture(rgb, planes[:, 3:] if planes.shape[1] == 4 else None)


def array_like(array: npt.NDArray[Any], rgb: Tensor, alpha: Tensor | None) -> npt.NDArray[Any]:
    """Return a picture as ``(H, W, 3)`` or ``(H, W, 4)`` of ``array``'s type and range."""
    if array.dtype == np.uint8:
        return np.array(to_pil(rgb, alpha))
    planes = rgb if alpha is None else torch.cat((rgb, alpha), dim=1)
    return planes[0].permute(1, 2, 0).numpy().astype(array.dtype)


def write_picture(
    path: str | Path,
    rgb: Tensor,
    alpha: Tensor | None = None,
    quality: int = QUALITY,
    exif: bytes | None = None,
) -> None:
    """Write a picture by its extension as PNG, JPEG, WebP, TIFF or AVIF, whole or not at all.

    It says that its colours are sRGB. JPEG has no transparency: there ``alpha`` is laid on white.

    Args:
        path: Ends in one of ``WRITABLE``; folders are created.
        rgb: ``(1, 3, H, W)``, uint8, or float clamped to [0, 1].
        alpha: ``(1, 1, H, W)`` in [0, 1], or none.
        quality: Of JPEG, WebP and AVIF, 1 to 100.
        exif: As ``Picture.exif``.

    Raises:
        PictureError: Another extension, a disk that is full, a folder that is not writable.
    """
    path = Path(path)
    check_writable(path)
    try:
        image, options = _to_save(rgb, alpha, path.suffix, quality, exif)
        with write_atomically(path) as temporary:
            image.save(temporary, **options)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PictureError(f"cannot write {path}: {reason}") from error


def encode_picture(
    rgb: Tensor,
    alpha: Tensor | None = None,
    suffix: str = ".png",
    quality: int = QUALITY,
    exif: bytes | None = None,
) -> bytes:
    """Return the bytes of the file that ``write_picture`` would write.

    Raises:
        PictureError: ``rgb`` has values that are not finite numbers.
    """
    image, options = _to_save(rgb, alpha, suffix, quality, exif)
    buffer = io.BytesIO()
    image.save(buffer, format=Image.registered_extensions()[suffix.lower()], **options)
    return buffer.getvalue()


def _to_save(
    rgb: Tensor, alpha: Tensor | None, suffix: str, quality: int, exif: bytes | None
) -> tuple[Image.Image, dict[str, Any]]:
    """Return the image as a file of this type holds it, and Pillow's options for it."""
    suffix = suffix.lower()
    if suffix in (".jpg", ".jpeg") and alpha is not None:
        rgb, alpha = as_float(rgb).clamp(0, 1) * alpha + (1 - alpha), None
    options: dict[str, Any] = {"icc_profile": srgb_profile()}
    if exif is not None:
        options["exif"] = exif
    if suffix == ".avif":
        options |= {"quality": quality, "subsampling": "4:4:4"}
    elif suffix in (".jpg", ".jpeg", ".webp"):  # TIFF is not compressed, or it could hold no EXIF
        options |= {"quality": quality, "subsampling": 0}
    return to_pil(rgb, alpha), options


def check_writable(path: Path) -> None:
    """Check that pictures of this file's extension can be written.

    Raises:
        PictureError: They can't.
    """
    if path.suffix.lower() not in WRITABLE:
        raise PictureError(f"cannot write {path}: its name must end in {', '.join(WRITABLE)}")


def _picture(image: Image.Image) -> Picture:
    upright = ImageOps.exif_transpose(image)
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
        raise PictureError(f"cannot read {what}: not a picture in a known format") from error
    except Image.DecompressionBombError as error:
        raise PictureError(
            f"cannot read {what}: too many pixels; stylize's --max-megapixels allows more"
        ) from error
    except DAMAGED as error:
        reason = getattr(error, "strerror", None) or error
        raise PictureError(f"cannot read {what}: {reason}") from error


def _flat_rgb(image: Image.Image) -> Image.Image:
    """Return the image upright, in sRGB, 8 bits, transparent parts on white."""
    image = ImageOps.exif_transpose(image)
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
    return image.convert("RGB")


def _levels(image: Image.Image) -> Tensor:
    """Return an 8-bit image as ``(1, C, H, W)``, uint8."""
    levels = torch.from_numpy(np.array(image))
    return levels.view(*levels.shape[:2], -1).permute(2, 0, 1)[None]


def _tensor(image: Image.Image) -> Tensor:
    """Return an 8-bit image as ``(1, C, H, W)``, float32, [0, 1]."""
    return _levels(image).to(torch.float32, memory_format=torch.contiguous_format) / 255

"""Pictures written to files, by the extension, whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image, features
from torch import Tensor

from fast_style import heif
from fast_style.deep import DEEP, encode_deep
from fast_style.files import TargetExistsError, identity, write_atomically
from fast_style.metadata import srgb_profile
from fast_style.picture import Clip, Picture, PictureError, to_pil

WRITABLE: tuple[str, ...] = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".gif")
if features.check("avif"):  # not in every build of Pillow
    WRITABLE += (".avif",)
if heif.is_available():
    WRITABLE += heif.SUFFIXES
PRINTED = (".png", ".jpg", ".jpeg", ".tif", ".tiff")  # that hold a size in print
ANIMATED = (".gif", ".webp", ".png", ".avif")
QUALITY = 95  # of JPEG, WebP, AVIF and HEIF, as the field's best tools write


def check_writable(path: Path) -> None:
    """Check that pictures of this file's extension can be written.

    Raises:
        PictureError: They can't.
    """
    if path.suffix.lower() not in WRITABLE:
        if path.suffix.lower() in heif.SUFFIXES:
            raise PictureError(f"cannot write {path}: {heif.NEEDED}")
        raise PictureError(f"cannot write {path}: its name must end in {', '.join(WRITABLE)}")


def check_not_input(path: Path, inputs: Sequence[Path]) -> None:
    """Check that writing ``path`` would replace none of the pictures that are read.

    Raises:
        PictureError: It would.
    """
    if identity(path) in map(identity, inputs):
        raise PictureError(f"cannot write {path}: it would replace the picture it is made from")


def check_holds(path: Path, clip: Clip) -> bool:
    """Check that a file of this extension can hold a picture or an animation; return true.

    Raises:
        PictureError: It can't.
    """
    check_writable(path)
    if len(clip.frames) > 1 and path.suffix.lower() not in ANIMATED:
        raise PictureError(
            f"cannot write {path}: {path.suffix} holds no animation, {', '.join(ANIMATED)} do"
        )
    return True


def write_picture(
    path: str | Path,
    rgb: Tensor,
    alpha: Tensor | None = None,
    quality: int = QUALITY,
    exif: bytes | None = None,
    replace: bool = True,
) -> None:
    """Write a picture in 8 bits, as ``write_clip`` does.

    Args:
        path: Ends in one of ``WRITABLE``; folders are created.
        rgb: ``(1, 3, H, W)``, uint8, or float clamped to [0, 1].
        alpha: ``(1, 1, H, W)`` in [0, 1], or none.
        quality: Of JPEG, WebP, AVIF and HEIF, 1 to 100.
        exif: As ``Picture.exif``.
        replace: As ``write_clip``.

    Raises:
        PictureError: As ``write_clip``.
    """
    _write(Path(path), Clip([Picture(rgb, alpha, exif)]), quality, replace, bits=8)


def write_clip(path: Path, clip: Clip, quality: int = QUALITY, replace: bool = True) -> None:
    """Write a picture or an animation: PNG, JPEG, WebP, TIFF, GIF, AVIF or HEIF.

    It says that its colours are sRGB, but for GIF, which can't. JPEG has no transparency: there
    ``alpha`` is laid on white. PNG and TIFF hold float levels in 16 bits.

    Args:
        path: Ends in one of ``WRITABLE``; folders are created.
        clip: What to write.
        quality: Of JPEG, WebP, AVIF and HEIF, 1 to 100.
        replace: Whether a file that is there by then is replaced.

    Raises:
        PictureError: Another extension, one that holds no animation, values that are not finite
            numbers, a disk that is full, a folder that is not writable, a file not to be replaced.
    """
    _write(path, clip, quality, replace, bits=clip.frames[0].bits)


def encode_clip(clip: Clip, suffix: str = ".png", quality: int = QUALITY) -> bytes:
    """Return the bytes of the file that ``write_clip`` would write.

    Raises:
        PictureError: As ``write_clip``.
    """
    check_holds(Path(f"stream{suffix}"), clip)
    buffer = io.BytesIO()
    with _picture_errors("a stream"):
        _save(buffer, suffix.lower(), clip, quality, clip.frames[0].bits)
    return buffer.getvalue()


def _write(path: Path, clip: Clip, quality: int, replace: bool, bits: int) -> None:
    check_holds(path, clip)
    with _picture_errors(str(path)), write_atomically(path, replace) as temporary:
        _save(temporary, path.suffix.lower(), clip, quality, bits)


@contextmanager
def _picture_errors(what: str) -> Iterator[None]:
    try:
        yield
    except TargetExistsError as error:
        raise PictureError(str(error)) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PictureError(f"cannot write {what}: {reason}") from error


def _save(target: Path | io.BytesIO, suffix: str, clip: Clip, quality: int, bits: int) -> None:
    first = clip.frames[0]
    if bits == 16 and suffix in DEEP and len(clip.frames) == 1:
        data = encode_deep(first, suffix)
        if isinstance(target, Path):
            target.write_bytes(data)
        else:
            target.write(data)
        return
    heif.register()
    images = [_flat(one, suffix) for one in clip.frames]
    options = _options(suffix, quality, first)
    if len(images) > 1:
        options |= {"save_all": True, "append_images": images[1:], "duration": clip.durations_ms}
        if clip.loop is not None:
            options["loop"] = clip.loop
        if suffix == ".webp":
            options |= {"kmin": 0, "kmax": 1}  # whole frames: with others Pillow loses the alpha
        elif suffix == ".gif":
            options["disposal"] = 2  # each frame replaces the one before, also where transparent
    images[0].save(target, format=Image.registered_extensions()[suffix], **options)


def _flat(picture: Picture, suffix: str) -> Image.Image:
    """Return a picture of 8 bits as a file of this type holds it."""
    rgb, alpha = picture.levels, picture.alpha
    if suffix in (".jpg", ".jpeg") and alpha is not None:
        rgb, alpha = picture.on_white, None
    if suffix == ".gif" and alpha is not None:  # a pixel of it is there or not
        alpha = (alpha >= 0.5).float()
    return to_pil(rgb, alpha)


def _options(suffix: str, quality: int, picture: Picture) -> dict[str, Any]:
    """Return Pillow's options for a type of file and what the picture says beside its pixels."""
    options: dict[str, Any] = {"icc_profile": srgb_profile()}
    if picture.exif is not None and suffix != ".gif":
        options["exif"] = picture.exif
    if picture.dpi is not None and suffix in PRINTED:
        options["dpi"] = (picture.dpi, picture.dpi)
    if suffix in (".avif", ".heic", ".heif"):
        options |= {"quality": quality, "subsampling": "4:4:4"}
    elif suffix in (".jpg", ".jpeg", ".webp"):  # TIFF is not compressed, or it could hold no EXIF
        options |= {"quality": quality, "subsampling": 0}
    return options

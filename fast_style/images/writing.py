"""Pictures written to files, by the extension, whole or not at all."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from fast_style.images import heif
from fast_style.images.formats import (
    ANIMATED,
    DEEP,
    HEIF,
    JPEG,
    JPEG_EXIF,
    LARGEST_SIDE,
    PRINTED,
    TIFF,
    WRITABLE,
)
from fast_style.images.metadata import fitting_exif, srgb_profile
from fast_style.images.options import DEFAULT_QUALITY
from fast_style.images.picture import Clip, Picture, PictureError, to_pil
from fast_style.images.sixteen_bits import deep_levels, encode_deep
from fast_style.images.tiff import write_tiff
from fast_style.system.atomic import TargetExistsError, write_atomically
from fast_style.system.paths import identity

# What Pillow, its plugins and the disk raise where a picture can't be written.
NOT_WRITTEN = (OSError, ValueError, RuntimeError, OverflowError, struct.error)


def check_writable(path: Path) -> None:
    """Check that pictures of this file's extension can be written.

    Raises:
        PictureError: They can't.
    """
    if path.suffix.lower() not in WRITABLE:
        if path.suffix.lower() in HEIF:
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
    quality: int = DEFAULT_QUALITY,
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
    _write_file(Path(path), Clip([Picture(rgb, alpha, exif)]), quality, replace, bits=8)


def write_clip(
    path: Path, clip: Clip, quality: int = DEFAULT_QUALITY, replace: bool = True
) -> None:
    """Write a picture or an animation: PNG, JPEG, WebP, TIFF, GIF, AVIF or HEIF.

    It says that its colours are sRGB, but for GIF, which can't. JPEG has no transparency: there
    ``alpha`` is laid on white. PNG and TIFF hold float levels in 16 bits. GIF has no EXIF; of
    more than a JPEG holds the largest values are left out.

    Args:
        path: Ends in one of ``WRITABLE``; folders are created.
        clip: What to write.
        quality: Of JPEG, WebP, AVIF and HEIF, 1 to 100.
        replace: Whether a file that is there by then is replaced.

    Raises:
        PictureError: Another extension, one that holds no animation or not so many pixels, values
            that are not finite numbers, a disk that is full, a folder that is not writable, a file
            that is not to be replaced.
    """
    _write_file(path, clip, quality, replace, bits=clip.frames[0].bits)


def encode_clip(clip: Clip, suffix: str = ".png", quality: int = DEFAULT_QUALITY) -> bytes:
    """Return the bytes of the file that ``write_clip`` would write.

    Raises:
        PictureError: As ``write_clip``.
    """
    check_holds(Path(f"stream{suffix}"), clip)
    buffer = io.BytesIO()
    with _picture_errors("a stream"):
        _save(buffer, suffix.lower(), clip, quality, clip.frames[0].bits)
    return buffer.getvalue()


def _write_file(path: Path, clip: Clip, quality: int, replace: bool, bits: int) -> None:
    check_holds(path, clip)
    with (
        _picture_errors(str(path)),
        write_atomically(path, replace) as temporary,
        _named(temporary, path),
    ):
        _save(temporary, path.suffix.lower(), clip, quality, bits)


@contextmanager
def _named(temporary: Path, path: Path) -> Iterator[None]:
    """Let errors name the file that a person knows, not the one that is written in its place."""
    try:
        yield
    except NOT_WRITTEN as error:
        reason = str(getattr(error, "strerror", None) or error)
        for known, written in ((str(path), str(temporary)), (path.name, temporary.name)):
            reason = reason.replace(written, known)
        raise ValueError(reason) from error


@contextmanager
def _picture_errors(what: str) -> Iterator[None]:
    try:
        yield
    except TargetExistsError as error:
        raise PictureError(str(error)) from error
    except NOT_WRITTEN as error:
        reason = getattr(error, "strerror", None) or error
        raise PictureError(f"cannot write {what}: {reason}") from error


def _save(target: Path | io.BytesIO, suffix: str, clip: Clip, quality: int, bits: int) -> None:
    first = clip.frames[0]
    height, width = first.levels.shape[-2:]
    if max(height, width) > LARGEST_SIDE.get(suffix, math.inf):
        raise ValueError(
            f"{suffix} holds up to {LARGEST_SIDE[suffix]} px a side, found {width} x {height}; "
            "PNG and TIFF hold more"
        )
    is_deep = bits == 16 and suffix in DEEP and len(clip.frames) == 1
    if not is_deep and suffix not in TIFF:
        _save_shallow(target, suffix, clip, quality)
        return
    with target.open("wb") if isinstance(target, Path) else nullcontext(target) as file:
        if suffix not in TIFF:
            file.write(encode_deep(first))
        else:
            levels = deep_levels(first) if is_deep else np.asarray(_flat(first, suffix))
            write_tiff(file, levels, first.exif, first.dpi)


def _save_shallow(target: Path | io.BytesIO, suffix: str, clip: Clip, quality: int) -> None:
    """Write a picture or an animation of 8 bits, as Pillow writes it."""
    first = clip.frames[0]
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
    if suffix in JPEG and alpha is not None:
        rgb, alpha = picture.on_white, None
    if suffix == ".gif" and alpha is not None:  # a pixel of it is there or not
        alpha = (alpha >= 0.5).float()
    return to_pil(rgb, alpha)


def _options(suffix: str, quality: int, picture: Picture) -> dict[str, Any]:
    """Return Pillow's options for a type of file and what the picture says beside its pixels."""
    options: dict[str, Any] = {"icc_profile": srgb_profile()}
    exif = None if suffix == ".gif" else picture.exif
    if exif is not None and suffix in JPEG:
        exif = fitting_exif(exif, JPEG_EXIF)
    if exif is not None:
        options["exif"] = exif
    if picture.dpi is not None and suffix in PRINTED:
        options["dpi"] = (picture.dpi, picture.dpi)
    if suffix in (".avif", *HEIF):
        options |= {"quality": quality, "subsampling": "4:4:4"}
    elif suffix in (*JPEG, ".webp"):
        options |= {"quality": quality, "subsampling": 0}
    return options

"""Picture files read: orientation, colour profiles, alpha, animations, all depths.

Every way in which a file can be missing, damaged or hostile ends in a PictureError that names it.
"""

from __future__ import annotations

import io
import math
import os
import re
import stat
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageSequence, JpegImagePlugin, UnidentifiedImageError
from torch import Tensor

from fast_style.images import header, heif
from fast_style.images.decoding import as_tensor, decoded, flat_image, picture_of
from fast_style.images.exif import DAMAGED_EXIF
from fast_style.images.formats import BOXED, HEIF, MOVING, PILLOW_FORMATS
from fast_style.images.limits import SMALLEST_SIDE, TooSmallError, max_pixels
from fast_style.images.metadata import kept_dpi, kept_exif
from fast_style.images.orientation import ORIENTATION_TAG, exif_orientation, upright_size
from fast_style.images.picture import Clip, Picture, PictureError, as_bytes, as_float, scaled_size
from fast_style.images.profiles import (
    HDR_REMARK,
    HDR_TRANSFERS,
    profile_of_coding,
    profile_of_gamma,
)
from fast_style.images.rows import Stored, stored_png, stored_tiff
from fast_style.images.transparency import fill_transparent
from fast_style.system.folders import names_beside
from fast_style.system.memory import check_memory
from fast_style.system.messages import did_you_mean

MOST_FRAMES = 10_000  # of an animation
FRAME_MS = 100  # of a frame that says nothing, as browsers show it
_OPENING = threading.Lock()  # the warning filters are the process's, not a thread's
Box = tuple[float, float, float, float]  # left, upper, right, lower, in pixels
PICTURE_BYTES = 8  # of a pixel, of colours of 8 bits and their alpha
DEEP_BYTES = 16
DECODER_BYTES = {"PNG": 8, "TIFF": 8, "JPEG": 10, "MPO": 10, "WEBP": 12, "AVIF": 12, "HEIF": 12}
UNCHECKED_BYTES = 2**28  # what is smaller fits
REDUCING_GAP = 3.0  # times the size that is wanted, to which squares are averaged first
DECODED_SIDE = 2  # decoding reduces a picture to no less than so many times the side wanted

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


class _Opened(NamedTuple):
    """A file whose pixels have not been decoded."""

    path: Path | io.BytesIO
    file: BinaryIO
    image: Image.Image  # of a TIFF a stand-in of 1 x 1 px with the file's metadata
    kind: str  # Pillow's name of the format
    stored: tuple[int, int]  # width and height, px
    profile: bytes | None  # ICC, of its colours
    tiff: header.Tiff | None = None
    bits: int = 8  # of a colour
    is_whole: bool = False  # whether it can only be decoded as a whole
    note: str | None = None  # as Clip's
    is_cut: bool = False  # whether its data ends early

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height as it is to be seen, px."""
        return upright_size(self.stored, exif_orientation(self.image))


def read_picture(path: str | Path | io.BytesIO, longest: int | None = None) -> Picture:
    """Read a picture file: upright (EXIF, XMP), in sRGB (ICC), any depth from 1 to 64 bits.

    Args:
        path: Of the file; or its bytes.
        longest: The longer side that is wanted, px. A picture at least twice as large is reduced
            to it while it is decoded; any other comes as it is.

    Raises:
        PictureError: The file is missing, not a picture, damaged or too large.
    """
    with _open(path) as opened:
        return _first_picture(opened, longest)


def read_clip(
    path: str | Path | io.BytesIO,
    still: bool = False,
    longest: int | None = None,
    check: Callable[[int, int], None] | None = None,
) -> Clip:
    """Read a picture file as ``read_picture`` does, with all frames of an animation.

    Args:
        path: Of the file; or its bytes.
        still: Of an animation read the first frame alone, and count the others as left out.
        longest: As ``read_picture``'s.
        check: Is told the stored width and height, px, before anything is decoded.

    Raises:
        PictureError: As ``read_picture``; too large is what all frames together are.
        TooSmallError: As ``check``.
    """
    with _open(path) as opened:
        if check is not None:
            check(*opened.stored)
        image = opened.image
        count = int(getattr(image, "n_frames", 1)) if opened.kind in MOVING else 1
        if count < 2:
            first, pages = _first_picture(opened, longest), 1
            if opened.tiff:
                pages = header.pages(opened.file)
            left_out = min(pages, header.MOST_PAGES) - 1
            return Clip([first], [], None, left_out, pages > header.MOST_PAGES, opened.note)
        if not still and count > MOST_FRAMES:
            raise PictureError(
                f"cannot read {_name(path)}: it has {count} frames of at most {MOST_FRAMES}; make "
                "a video of it, which is painted frame by frame"
            )
        if not still and count * image.width * image.height > max_pixels():
            raise Image.DecompressionBombError(f"{count * image.width * image.height} pixels")
        reduce = _reduction(opened.stored, longest)
        _check_decodable(opened, reduce, 1 if still else count)
        loop = image.info.get("loop")
        exif = _exif(opened)
        frames, durations_ms = [], []
        for number, frame in enumerate(ImageSequence.Iterator(image)):
            if number == 0 and image.info.get("default_image"):
                continue  # of an animated PNG, for programs that can't show it
            if frame.size != opened.stored:  # a damaged GIF's may reach beyond it
                frame = frame.crop((0, 0, *opened.stored))
            picture = picture_of(frame, opened.profile, reduce)._replace(exif=exif)
            frames.append(_fitted(picture, opened, longest) if reduce > 1 else picture)
            durations_ms.append(round(frame.info.get("duration") or FRAME_MS))
            if still:
                left_out = count - 1 - number
                return Clip(frames, durations_ms, loop, left_out, note=opened.note)
        return Clip(_all_with_alpha(frames), durations_ms, loop, note=opened.note)


def _all_with_alpha(frames: list[Picture]) -> list[Picture]:
    """Return frames that all have an alpha, if one has; a file has it for all or for none."""
    found = [frame.alpha for frame in frames if frame.alpha is not None]
    if not found:
        return frames
    opaque = torch.ones_like(found[0])
    return [f._replace(alpha=opaque if f.alpha is None else f.alpha) for f in frames]


def _first_picture(opened: _Opened, longest: int | None) -> Picture:
    exif, dpi = _exif(opened), kept_dpi(opened.image)
    reduces = _reduction(opened.stored, longest) > 1
    if reduces and longest is not None:
        _draft(opened.image, DECODED_SIDE * longest / max(opened.stored))
    size = opened.stored if opened.tiff else opened.image.size
    picture = _decoded(opened, _reduction(size, longest))
    if reduces:
        picture = _fitted(picture, opened, longest)
    return picture._replace(exif=exif, dpi=dpi)


def _reduction(size: tuple[int, int], longest: int | None) -> int:
    """Return the side of the squares of pixels that become one pixel while decoding."""
    return 1 if longest is None else max(1, max(size) // (DECODED_SIDE * longest))


def _draft(image: Image.Image, scale: float) -> None:
    """Have a JPEG decoded at a half, a quarter or an eighth, not below a scale."""
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        image.draft("RGB", (math.ceil(image.width * scale), math.ceil(image.height * scale)))


def _fitted(picture: Picture, opened: _Opened, longest: int | None) -> Picture:
    """Return a picture that was reduced while it was decoded, at the size that was asked for."""
    assert longest is not None
    width, height = opened.upright
    height, width = scaled_size(height, width, longest)
    picture = fill_transparent(picture)
    # The last squares may reach over the edge: sides of the reduced picture are rounded up.
    by = round(max(opened.stored) / max(picture.levels.shape[-2:]))
    factors = [by * height / opened.upright[1], by * width / opened.upright[0]]

    def resized(image: Tensor) -> Tensor:
        exact = [factor * (1 + 1e-9) for factor in factors]  # interpolate rounds sides down
        made = F.interpolate(image, scale_factor=exact, mode="bicubic", antialias=True)
        return made[..., :height, :width].clamp(0, 1)

    levels = resized(picture.rgb)
    alpha = None if picture.alpha is None else resized(picture.alpha)
    return picture._replace(
        levels=as_bytes(levels) if picture.bits == 8 else levels,
        alpha=alpha,
    )


def _decoded(opened: _Opened, reduce: int = 1) -> Picture:
    """Return the file's first picture, squares of ``reduce`` pixels a side made one."""
    _check_decodable(opened, reduce)
    if opened.kind not in ("PNG", "TIFF") or getattr(opened.image, "is_animated", False):
        return picture_of(opened.image, opened.profile, reduce)
    try:
        stored = _stored(opened)
    except ValueError as error:  # a kind that libvips does not know
        try:
            return _by_pillow(opened, reduce)
        except UnidentifiedImageError:
            raise error from None
    return decoded(stored, exif_orientation(opened.image), opened.profile, reduce)


def _stored(opened: _Opened) -> Stored:
    return stored_tiff(opened.path, opened.tiff) if opened.tiff else stored_png(opened.path)


def _by_pillow(opened: _Opened, reduce: int) -> Picture:
    """Return a PNG or TIFF as Pillow decodes it, if that loses nothing.

    Raises:
        ValueError: It has colours of more bits, of which Pillow would keep 8.
    """
    path = opened.path
    with header.open_binary(path) as file:
        with _quiet():
            image = Image.open(file, formats=[opened.kind])
        with image:
            deep = any(";16" in str(tile.args) for tile in image.tile)
            if deep and image.mode in ("RGB", "RGBA", "RGBX", "LA"):
                _stored(opened)  # raises why not
            return picture_of(image, opened.profile, reduce)


def _check_decodable(opened: _Opened, reduce: int = 1, frames: int = 1) -> None:
    """Check that a file's data does not end early, and that there is memory to decode it.

    Raises:
        ValueError: It does. (Pillow would make room for all that a PNG's chunk says it has.)
        TooLittleMemoryError: There is not.
    """
    if opened.is_cut:
        raise ValueError("its data ends early")
    pixels = opened.stored[0] * opened.stored[1]
    image = opened.image
    if opened.tiff is None and reduce == 1:
        pixels = image.width * image.height  # a JPEG may be reduced by itself
    kept = DEEP_BYTES if opened.bits > 8 else PICTURE_BYTES
    needed = frames * kept * pixels / reduce**2
    if opened.is_whole:
        needed += DECODER_BYTES.get(opened.kind, 4) * pixels
    if needed > UNCHECKED_BYTES:
        check_memory(
            f"a picture of {pixels / 1e6:.4g} megapixels",
            needed,
            torch.device("cpu"),
            "make it smaller with another program",
        )


def _exif(opened: _Opened) -> bytes | None:
    with _quiet():  # Pillow warns of damaged EXIF
        return kept_exif(opened.image, opened.tiff.at if opened.tiff else None)


def read_style(path: str | Path, size: int) -> Tensor:
    """Return a painting, its shorter side scaled to ``size`` px, ``(1, 3, H, W)`` in [0, 1].

    Transparent parts are taken as white. A smaller painting is enlarged.

    Raises:
        PictureError: As ``read_picture``, or enlarged it has more than ``max_pixels``.
        ValueError: ``size`` is below ``SMALLEST_SIDE``.
    """
    if size < SMALLEST_SIDE:
        raise ValueError(f"the style size must be at least {SMALLEST_SIDE} px, found {size}")
    with _open(path) as opened:
        factor = size / min(opened.upright)
        width, height = (max(1, round(side * factor)) for side in opened.upright)
        if factor > 1 and width * height > max_pixels():
            raise PictureError(
                f"a style size of {size} px makes {width * height / 1e6:.4g} megapixels of "
                f"{_name(path)}, at most {max_pixels() / 1e6:.4g} are allowed"
            )
        reduce = max(1, int(1 / factor / REDUCING_GAP))
        painting = flat_image(_decoded(opened, reduce))
        box = (0, 0, opened.upright[0] / reduce, opened.upright[1] / reduce)
        return as_tensor(painting.resize((width, height), Image.Resampling.LANCZOS, box))


def read_crop(
    path: str | Path | io.BytesIO, size: int, choose_box: Callable[[int, int], Box]
) -> Tensor:
    """Return a crop of a photograph, ``(3, size, size)``, float32, [0, 1]: as ``read_levels``."""
    return as_float(read_levels(path, size, choose_box))


def read_levels(
    path: str | Path | io.BytesIO, size: int, choose_box: Callable[[int, int], Box]
) -> Tensor:
    """Return a crop of a photograph resized to a square, ``(3, size, size)``, uint8.

    A photograph much larger than the crop needs is decoded at a reduced scale.

    Args:
        path: Of the photograph, or its bytes. Transparent parts are taken as white.
        size: Height and width of the result, px.
        choose_box: Called with the upright photograph's width and height, px; returns the crop.

    Raises:
        PictureError: As ``read_picture``.
    """
    with _open(path) as opened:
        left, upper, right, lower = choose_box(*opened.upright)
        scale = size / min(right - left, lower - upper)
        reduce, shrink = max(1, int(1 / scale / REDUCING_GAP)), 1.0
        if isinstance(opened.image, JpegImagePlugin.JpegImageFile):
            stored = opened.image.width
            _draft(opened.image, min(1.0, scale))
            # An eighth, a quarter or a half exactly; the decoded size is rounded up.
            drafted = round(stored / opened.image.width)
            reduce, shrink = 1, 1 / drafted
        photograph = flat_image(_decoded(opened, reduce))
        shrink /= reduce
        box = (left * shrink, upper * shrink, right * shrink, lower * shrink)
        square = photograph.resize((size, size), Image.Resampling.BICUBIC, box, REDUCING_GAP)
        return torch.from_numpy(np.array(square)).permute(2, 0, 1).contiguous()


def picture_size(path: str | Path | io.BytesIO) -> tuple[int, int]:
    """Return a picture's stored width and height, px, reading no more than the file's header.

    Raises:
        PictureError: As ``read_picture``.
    """
    with _open(path) as opened:
        return opened.stored


def from_pil(image: Image.Image) -> Picture:
    """Return a Pillow image of any mode as a ``Picture``, upright and in sRGB.

    Raises:
        PictureError: The image's data is damaged.
    """
    with _pictures_errors("the image"):
        return picture_of(image)


@contextmanager
def _open(path: str | Path | io.BytesIO) -> Iterator[_Opened]:
    """Open a picture file; every way in which that and the body fail is a ``PictureError``."""
    with _pictures_errors(_name(path)):
        if not isinstance(path, io.BytesIO):
            path = _regular(path)
        with header.open_binary(path) as file:
            start = file.read(16)
            if header.is_heif(start) and not heif.is_available():
                raise heif.HeifNeededError(f"cannot read {_name(path)}: {heif.NEEDED}")
            if header.is_tiff(start):
                yield _opened_tiff(path, file)
                return
            with _quiet():
                # Of damaged EXIF; of sizes above Pillow's limit, until it raises at twice that.
                heif.register()
                formats = (*PILLOW_FORMATS, "HEIF") if heif.is_available() else PILLOW_FORMATS
                image = Image.open(file, formats=formats)
            with image:
                yield _opened_by_pillow(path, file, image)


def _regular(path: str | Path) -> Path:
    """Return the path of a regular file.

    Raises:
        PictureError: It is something else.
        OSError: There is none.
    """
    mode = os.stat(path).st_mode  # noqa: PTH116
    if stat.S_ISDIR(mode):
        raise PictureError(f"cannot read {path}: it is a folder, expected a picture file")
    if not stat.S_ISREG(mode):
        what = "a pipe, which can be read only once" if stat.S_ISFIFO(mode) else "no regular file"
        raise PictureError(
            f"cannot read {path}: it is {what}; stylize takes a picture from standard input, as -"
        )
    return Path(path)


def _opened_tiff(path: Path | io.BytesIO, file: BinaryIO) -> _Opened:
    """Return what a TIFF says; Pillow knows fewer kinds of them than are read."""
    with _quiet():
        tiff = header.read_tiff(file)
        beside = Image.new("L", (1, 1))
        if tiff.dpi is not None:
            beside.info["dpi"] = tiff.dpi
        if xmp := tiff.data(header.XMP_TAG):
            beside.info["xmp"] = xmp
        orientation = exif_orientation(beside)  # by XMP
        exif = beside.getexif()
        exif.bigtiff, exif.endian = tiff.is_big, tiff.order
        try:
            exif.load_from_fp(file, tiff.at)
        except DAMAGED_EXIF:
            exif.clear()
        if ORIENTATION_TAG not in exif:
            exif[ORIENTATION_TAG] = orientation
    width, height = tiff.number(header.WIDTH), tiff.number(header.HEIGHT)
    if width * height > max_pixels():
        raise Image.DecompressionBombError(f"{width * height} pixels")
    rows = max(tiff.number(header.STRIP_ROWS, height), tiff.number(header.TILE_HEIGHT))
    return _Opened(
        path,
        file,
        beside,
        "TIFF",
        (width, height),
        tiff.data(header.PROFILE),
        tiff,
        max((*tiff.numbers(header.BITS), 1)),
        is_whole=rows >= height,
    )


def _opened_by_pillow(path: Path | io.BytesIO, file: BinaryIO, image: Image.Image) -> _Opened:
    """Return a file that Pillow has opened, with what it says of its colours."""
    kind = image.format or ""
    profile, bits, is_whole, coding = image.info.get("icc_profile"), 8, True, None
    is_cut = False
    at = file.tell()
    if kind in BOXED:
        coding = None if profile else header.heif_coding(file)
    elif kind == "PNG":
        chunks = header.png_chunks(file)
        coding = header.png_coding(chunks)
        _complete(image, chunks)
        is_cut = header.CUT in chunks
        size = chunks.get(b"IHDR", b"").ljust(13, b"\0")
        bits, is_whole = size[8], bool(size[12])  # interlaced
    elif image.info.get("progressive") and (n := header.jpeg_scans(file)) > header.MOST_SCANS:
        raise ValueError(f"it has {n} scans of its picture, at most {header.MOST_SCANS} are read")
    file.seek(at)
    if coding is not None:
        profile = profile_of_coding(coding)
    elif kind == "PNG" and not profile:
        profile = profile_of_gamma(image)
    is_hdr = coding is not None and coding.transfer in HDR_TRANSFERS
    note = HDR_REMARK if is_hdr else None
    return _Opened(path, file, image, kind, image.size, profile, None, bits, is_whole, note, is_cut)


def _complete(image: Image.Image, chunks: dict[bytes, bytes]) -> None:
    """Tell Pillow's image what a PNG says after its pixels, or it decodes them to find out."""
    info = image.info
    if header.XMP in chunks:
        info.setdefault("XML:com.adobe.xmp", chunks[header.XMP].decode("utf-8", "replace"))
    if "exif" not in info:
        raw = str(info.get("Raw profile type exif", ""))  # ImageMagick's, in hexadecimal digits
        try:
            found = bytes.fromhex("".join(raw.split("\n")[3:]))
        except ValueError:
            found = b""
        info["exif"] = chunks.get(b"eXIf", found)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence warnings, in one thread at a time."""
    with _OPENING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _name(path: str | Path | io.BytesIO) -> str:
    return "the stream" if isinstance(path, io.BytesIO) else str(path)


@contextmanager
def _pictures_errors(what: str) -> Iterator[None]:
    try:
        yield
    except (PictureError, TooSmallError):
        raise
    except FileNotFoundError as error:
        meant = did_you_mean(Path(what).name, names_beside(Path(what)))
        raise PictureError(f"cannot read {what}: there is no such file{meant}") from error
    except UnidentifiedImageError as error:
        if what.lower().endswith(HEIF) and not heif.is_available():
            raise heif.HeifNeededError(f"cannot read {what}: {heif.NEEDED}") from error
        raise PictureError(f"cannot read {what}: not a picture in a known format") from error
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

"""From decoded pixels to a picture: upright, in sRGB, transparency in a plane of its own.

Pillow and libvips decode files. What their numbers mean is decided here, for both.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageCms, TiffImagePlugin
from torch import Tensor

from fast_style.images import header
from fast_style.images.orientation import exif_orientation, stored_view, upright_size
from fast_style.images.picture import Picture, to_pil
from fast_style.images.profiles import profile_of_gamma
from fast_style.images.rows import BANDS, WHITE_IS_ZERO, Pixels, Stored, converted
from fast_style.images.sixteen_bits import DEEP_WHITE

ROWS_AT_ONCE = 256  # so that a huge picture is not held three times in memory
_SRGB = ImageCms.createProfile("sRGB")
Conversion = Callable[[Pixels], Pixels]


def picture_of(image: Image.Image, profile: bytes | None = None, reduce: int = 1) -> Picture:
    """Return an image of any mode as a picture; ``from_pil`` also names its errors.

    Args:
        image: Of Pillow; it is decoded here, if it is not yet.
        profile: ICC profile of its colours; by default the image's own.
        reduce: As ``decoded``'s.
    """
    orientation = exif_orientation(image)  # before it is decoded, which closes a TIFF
    profile = profile or image.info.get("icc_profile")
    if profile is None and "gamma" in image.info:
        profile = profile_of_gamma(image)
    return decoded(stored_image(image), orientation, profile, reduce)


def stored_image(image: Image.Image) -> Stored:
    """Return what an image of Pillow stores, of any mode."""
    image.load()
    if _is_deep(image):
        return _stored_deep(image)
    mode = image.mode
    has_alpha = image.has_transparency_data
    if mode in ("1", "L", "LA", "La"):
        mode = "LA" if has_alpha else "L"
    elif mode != "CMYK":
        mode = "RGBA" if has_alpha else "RGB"

    def rows(step: int) -> Iterator[Pixels]:
        for top in range(0, image.height, step):
            some = _rows_of(image, top, min(top + step, image.height))
            if mode == "RGBA" and some.mode == "PA":
                some = some.convert("RGBA")
            array = np.asarray(some if some.mode == mode else some.convert(mode))
            yield array.reshape(*array.shape[:2], -1)

    colors = mode.removesuffix("A")
    return Stored(
        *image.size, rows, np.uint8, colors, alpha=BANDS[colors] if colors != mode else None
    )


def _rows_of(image: Image.Image, top: int, end: int) -> Image.Image:
    """Return rows of an image; all of them are the image itself."""
    whole = end - top == image.height
    return image if whole else image.crop((0, top, image.width, end))


def _is_deep(image: Image.Image) -> bool:
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def _stored_deep(image: Image.Image) -> Stored:
    """Return what a grey image of more than 8 bits stores."""
    white, inverted = None if image.mode == "F" else DEEP_WHITE, False
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tiff = header.Tiff(dict(image.tag_v2))
        inverted = tiff.number(header.PHOTOMETRIC, 1) == WHITE_IS_ZERO
        if (bits := tiff.number(header.BITS)) < 16 and white is not None:
            white = 2**bits - 1
    key = image.info.get("transparency")  # the level that is transparent, of a PNG
    if not isinstance(key, int):
        key = None

    def rows(step: int) -> Iterator[Pixels]:
        for top in range(0, image.height, step):
            some = _rows_of(image, top, min(top + step, image.height))
            array = np.asarray(some, dtype=np.float32)[..., None]
            yield array if key is None else np.concatenate([array, (array != key) * white], -1)

    return Stored(
        *image.size, rows, np.float32, "L", white, inverted, alpha=None if key is None else 1
    )


def decoded(stored: Stored, orientation: int, profile: bytes | None, reduce: int = 1) -> Picture:
    """Return the picture that a file stores: uint8 if the file's levels are, else float32.

    Args:
        stored: What is stored.
        orientation: EXIF's orientation.
        profile: The ICC profile of the colours; one that can't be used is none.
        reduce: Each square of so many pixels a side becomes one pixel, its mean.

    Raises:
        ValueError: The data is damaged, or has values that are not finite numbers.
    """
    step = max(ROWS_AT_ONCE // reduce, 1) * reduce
    stored = stored.with_white(step)
    is_bytes = stored.dtype == np.uint8
    width, height = -(-stored.width // reduce), -(-stored.height // reduce)
    shape = upright_size((height, width), orientation)
    levels = np.empty((*shape, 3), np.uint8 if is_bytes else np.float32)
    alpha = None if stored.alpha is None else np.empty(shape, np.float32)
    conversion = _conversion(stored.colors, is_bytes, profile)
    turned = stored_view(orientation)
    top = 0
    for rows in stored.rows(step):
        colors, transparency = _meaning(rows, stored)
        colors = conversion(colors)
        if reduce > 1:
            colors, transparency = _reduced(colors, transparency, reduce)
        end = top + len(colors)
        turned(_as_items(levels))[top:end] = _as_items(colors)
        if alpha is not None and transparency is not None:
            turned(alpha)[top:end] = transparency
        top = end
    found = torch.from_numpy(levels).permute(2, 0, 1)[None]
    if not is_bytes:
        found = found.contiguous()
    return Picture(found, None if alpha is None else torch.from_numpy(alpha)[None, None])


def _as_items(pixels: Pixels) -> Pixels:
    """Return pixels as one item each, ``(rows, W)``: such arrays are turned much faster."""
    size = pixels.shape[-1] * pixels.itemsize
    return np.ascontiguousarray(pixels).view(f"V{size}")[..., 0]


def _meaning(rows: Pixels, stored: Stored) -> tuple[Pixels, Pixels | None]:
    """Return colours, uint8 or float32 with 0 for black and 1 for white, and alpha in [0, 1]."""
    colors, alpha = rows[..., : BANDS[stored.colors]], None
    assert stored.white is not None
    if stored.alpha is not None:
        alpha = (rows[..., stored.alpha] / np.float32(stored.white)).clip(0, 1)
    if stored.dtype != np.uint8:
        colors = colors.astype(np.float32)
        if not np.isfinite(colors).all():
            raise ValueError("it has values that are not finite numbers")
        colors = (colors / np.float32(stored.white)).clip(0, 1)
        if stored.inverted:
            colors = 1 - colors
    return colors, alpha


def _reduced(colors: Pixels, alpha: Pixels | None, by: int) -> tuple[Pixels, Pixels | None]:
    """Return the means of squares of pixels; transparent pixels do not count for the colours."""
    if alpha is None and colors.dtype == np.uint8:
        return np.asarray(Image.fromarray(np.ascontiguousarray(colors)).reduce(by)), None
    planes = torch.from_numpy(colors.astype(np.float32)).permute(2, 0, 1)
    weights = torch.ones_like(planes[:1]) if alpha is None else torch.from_numpy(alpha)[None]
    seen = F.avg_pool2d(weights, by, ceil_mode=True)
    mean = F.avg_pool2d(planes * weights, by, ceil_mode=True) / seen.clamp(min=1e-6)
    result = mean.permute(1, 2, 0).numpy()
    if colors.dtype == np.uint8:
        result = result.round().astype(np.uint8)
    return result, None if alpha is None else seen[0].numpy()


def _conversion(colors: str, is_bytes: bool, profile: bytes | None) -> Conversion:
    """Return a function that converts colours to sRGB, ``(rows, W, B)`` to ``(rows, W, 3)``."""
    found = None
    if colors == "L" and profile and profile[16:20] == b"RGB ":  # a grey picture may have one
        from_rgb = _conversion("RGB", is_bytes, profile)
        return lambda pixels: from_rgb(pixels.repeat(3, axis=-1))
    if profile and not (colors == "RGB" and _changes_nothing(profile)):
        found = _by_profile(colors, is_bytes, profile)
    if found is not None:
        return found
    if colors == "L":
        return lambda pixels: pixels.repeat(3, axis=-1)
    if colors == "CMYK":
        if is_bytes:
            return lambda pixels: np.asarray(_image(pixels, "CMYK").convert("RGB"))
        return lambda pixels: (1 - pixels[..., :3]) * (1 - pixels[..., 3:])
    return lambda pixels: pixels


def _by_profile(colors: str, is_bytes: bool, profile: bytes) -> Conversion | None:
    """Return a conversion by a profile; none if the profile is broken: the picture is read."""
    if is_bytes:
        try:
            transform = _transform(profile, colors)
        except (ImageCms.PyCMSError, OSError):
            return None

        def convert(pixels: Pixels) -> Pixels:
            return np.asarray(ImageCms.applyTransform(_image(pixels, colors), transform))

        return convert

    def convert_deep(pixels: Pixels) -> Pixels:
        whole = (pixels * np.float32(DEEP_WHITE)).round().astype(np.uint16)
        return converted(whole, colors, profile) / np.float32(DEEP_WHITE)

    try:
        convert_deep(np.zeros((1, 1, BANDS[colors]), np.float32))
    except ValueError:
        return None
    return convert_deep


def _transform(profile: bytes, colors: str) -> ImageCms.ImageCmsTransform:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return ImageCms.buildTransform(source, _SRGB, colors, "RGB")


def _image(pixels: Pixels, mode: str) -> Image.Image:
    """Return levels as an image of Pillow."""
    height, width = pixels.shape[:2]
    return Image.frombytes(mode, (width, height), np.ascontiguousarray(pixels).tobytes())


def _changes_nothing(profile: bytes) -> bool:
    """Whether a profile is sRGB, whatever its name: most are, and to skip it saves time."""
    try:
        transform = _transform(profile, "RGB")
    except (ImageCms.PyCMSError, OSError):
        return True  # it can't be used
    steps = np.arange(0, 256, 17, dtype=np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(64, 64, 3)
    found = np.asarray(ImageCms.applyTransform(Image.fromarray(cube), transform))
    return int(np.abs(found.astype(int) - cube).max()) <= 1  # a level is rounding


def flat_image(picture: Picture) -> Image.Image:
    """Return a picture as an image of 8 bits, transparent parts on white."""
    return to_pil(picture.opaque)


def as_tensor(image: Image.Image) -> Tensor:
    """Return an RGB image as ``(1, 3, H, W)``, float32, [0, 1]."""
    levels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    return levels.to(torch.float32, memory_format=torch.contiguous_format) / 255

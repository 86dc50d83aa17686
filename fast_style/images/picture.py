"""Pictures in memory: colours, transparency, and conversions from and to other kinds.

A ``Picture`` from a file holds bytes as long as it can. Losses and training take float32 RGB in
[0, 1], (N, 3, H, W), sRGB.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

PillowImage = Image.Image
BAND = 128  # rows of a large picture that are held as floats at a time


class PictureError(ValueError):
    """A picture file that can't be read or written; the message names it and says why."""


class Picture(NamedTuple):
    """A picture: its colours and, if it has any, its transparency."""

    levels: Tensor  # (1, 3, H, W), sRGB: uint8, or float32 in [0, 1] where that loses something
    alpha: Tensor | None  # (1, 1, H, W), float32, [0, 1]; 0 is transparent
    exif: bytes | None = None  # what of it stays with a stylised version
    dpi: float | None = None  # pixels an inch in print, if the file says so

    @property
    def rgb(self) -> Tensor:
        """The colours, ``(1, 3, H, W)``, float32 in [0, 1]."""
        return as_float(self.levels)

    @property
    def on_white(self) -> Tensor:
        """The colours, ``(1, 3, H, W)``, float32 in [0, 1], transparent parts laid on white."""
        if self.alpha is None:
            return self.rgb
        return self.rgb.clamp(0, 1) * self.alpha + (1 - self.alpha)

    @property
    def opaque(self) -> Tensor:
        """The levels, transparent parts laid on white: bytes stay bytes where there are none."""
        return self.levels if self.alpha is None else self.on_white

    @property
    def bits(self) -> int:
        """Bits of a colour in a file that can hold them: 8, or 16 for float levels."""
        return 8 if self.levels.dtype == torch.uint8 else 16


class Clip(NamedTuple):
    """An animation, or, with a single frame, a still picture."""

    frames: list[Picture]  # of one size
    durations_ms: list[int] = []  # one for each frame of an animation
    loop: int | None = None  # how often it is shown, 0 for ever; none if the file does not say
    left_out: int = 0  # further pictures of the file: pages of a TIFF, or frames
    uncounted: bool = False  # whether there are more than that
    note: str | None = None  # what a person should know of the file, to follow its name

    @property
    def remark(self) -> str | None:
        """What a person should know of this file, to follow its name; none if all is well."""
        notes = [self.note] if self.note else []
        if self.left_out:
            count, kind = self.left_out + 1, "frames" if self.durations_ms else "pages"
            many = f"more than {count}" if self.uncounted else f"{count}"
            notes.append(f"has {many} {kind}: only the first is painted")
        return ", and ".join(notes) or None

    def map(self, change: Callable[[Picture], Picture]) -> Clip:
        """Return the clip with each frame changed; EXIF and dpi stay."""
        frames = [change(one)._replace(exif=one.exif, dpi=one.dpi) for one in self.frames]
        return self._replace(frames=frames)

    def without_exif(self) -> Clip:
        """Return the clip with its EXIF left behind; dpi stays."""
        return self._replace(frames=[one._replace(exif=None) for one in self.frames])


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


def resize(image: Tensor, height: int, width: int) -> Tensor:
    """Return an image at another size, antialiased bicubic, float in [0, 1].

    Args:
        image: ``(N, C, H, W)``, uint8, or float in [0, 1].
        height: Of the result, px.
        width: Likewise.
    """
    if image.shape[-2:] == (height, width):
        return as_float(image)

    def bicubic(some: Tensor, rows: int) -> Tensor:
        return F.interpolate(as_float(some), (rows, width), mode="bicubic", antialias=True)

    # First the width, in bands: a large picture is never held as floats in whole.
    narrow = torch.cat([bicubic(band, band.shape[-2]) for band in image.split(BAND, -2)], -2)
    return bicubic(narrow, height).clamp(0, 1)


def long_side_size(image: Tensor, long_side: int) -> tuple[int, int]:
    """Return the height and width, px, that give ``image`` a longer side of ``long_side`` px."""
    return scaled_size(image.shape[-2], image.shape[-1], long_side)


def scaled_size(height: int, width: int, long_side: int) -> tuple[int, int]:
    """Return the height and width, px, that give a picture a longer side of ``long_side`` px."""
    factor = long_side / max(height, width)
    return max(1, round(height * factor)), max(1, round(width * factor))


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
    levels = torch.from_numpy(np.array(array, dtype=np.uint8 if is_bytes else np.float32))
    planes = (levels[..., None] if levels.ndim == 2 else levels).permute(2, 0, 1)[None]
    rgb = planes[:, :3] if planes.shape[1] > 1 else planes.repeat(1, 3, 1, 1)
    return Picture(rgb, as_float(planes[:, 3:]) if planes.shape[1] == 4 else None)


def array_like(array: npt.NDArray[Any], picture: Picture) -> npt.NDArray[Any]:
    """Return a picture as ``(H, W, 3)`` or ``(H, W, 4)`` of ``array``'s type and range."""
    if array.dtype == np.uint8:
        return np.array(to_pil(picture.levels, picture.alpha))
    rgb, alpha = picture.rgb, picture.alpha
    planes = rgb if alpha is None else torch.cat((rgb, alpha), dim=1)
    return planes[0].permute(1, 2, 0).numpy().astype(array.dtype)

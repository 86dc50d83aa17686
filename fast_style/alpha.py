"""What stands behind the transparent parts of a picture."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from fast_style.picture import Picture, as_bytes

FAINT = 1 / 16  # below this alpha a colour counts for less, down to nothing


def fill_transparent(picture: Picture) -> Picture:
    """Return a picture whose transparent parts have the colours around them; its alpha stays.

    A file may hold any colours there, often black: a network would paint their border, and
    resizing mix them in.

    Args:
        picture: Of any size.

    Source: Grossman & Dally 1998, "Point Sample Rendering", section 6.1 (pull and push).
    """
    alpha = picture.alpha
    if alpha is None or not alpha.any() or alpha.min() >= FAINT:
        return picture
    filled = _filled(picture.rgb, (alpha / FAINT).clamp(max=1))
    return picture._replace(levels=as_bytes(filled) if picture.bits == 8 else filled)


def _filled(rgb: Tensor, weight: Tensor) -> Tensor:
    """Return colours that keep to ``rgb`` as far as ``weight`` in [0, 1] says."""
    height, width = rgb.shape[-2:]
    if height == width == 1:
        return rgb
    coarse_weight = F.avg_pool2d(weight, 2, ceil_mode=True)
    coarse = F.avg_pool2d(rgb * weight, 2, ceil_mode=True) / coarse_weight.clamp(min=1e-6)
    # A pixel of four that is opaque is enough to know the colour.
    below = _filled(coarse, (4 * coarse_weight).clamp(max=1))
    around = F.interpolate(below, (height, width), mode="bilinear")
    return around.lerp(rgb, weight)

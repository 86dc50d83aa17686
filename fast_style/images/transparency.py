"""Colours for the transparent parts of a picture."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from fast_style.images.picture import Picture

FAINT = 1 / 16  # below this alpha a colour counts for less, down to nothing


def fill_transparent(picture: Picture) -> Picture:
    """Return a picture whose transparent parts have the colours around them; its alpha stays.

    As floats, if there is anything to fill: what is filled in is not rounded.

    A file may hold any colours there, often black: a network would paint their border, and
    resizing mix them in.

    Args:
        picture: Of any size.

    Source: Grossman & Dally 1998, "Point Sample Rendering", section 6.1 (pull and push).
    """
    alpha = picture.alpha
    if alpha is None or not alpha.any() or alpha.min() >= FAINT:
        return picture
    return picture._replace(levels=_filled(picture.rgb, (alpha / FAINT).clamp(max=1)))


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

"""The one image convention, checked where images enter: float RGB in [0, 1], (N, 3, H, W), sRGB."""

from __future__ import annotations

import torch
from torch import Tensor

from fast_style.images.limits import check_size

SLACK = 1e-3  # by which resampling and rounding may leave [0, 1]


def check_image(image: Tensor, smallest: int) -> None:
    """Check that ``image`` is ``(N, 3, H, W)``, N at least 1, floating, ``smallest`` a side.

    Raises:
        TooSmallError: It has fewer pixels a side.
        ValueError: It is not such an image.
    """
    if image.ndim != 4 or image.shape[1] != 3:
        raise ValueError(f"expected an image of shape (N, 3, H, W), found {tuple(image.shape)}")
    if not image.shape[0]:
        raise ValueError("expected at least one image, found an empty batch")
    if not image.is_floating_point():
        raise ValueError(f"expected a floating-point image in [0, 1], found {image.dtype}")
    check_size(image.shape[-2], image.shape[-1], smallest)


def check_range(image: Tensor) -> None:
    """Check that an image's values, if it has any, are numbers in [0, 1].

    Raises:
        ValueError: They are not; the usual mistake is a picture in 0 to 255.
    """
    if not image.numel():
        return
    low, high = (float(value) for value in torch.aminmax(image.detach()))
    if not (low >= -SLACK and high <= 1 + SLACK):  # also false where a value is not a number
        raise ValueError(f"expected values in [0, 1], found {low:.4g} to {high:.4g}")

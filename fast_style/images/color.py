"""Colour transfer: keep a photograph's colours, or match a painting's colours to them."""

from __future__ import annotations

import torch
from torch import Tensor

from fast_style.system.precision import double

# Luminance of sRGB values, ITU-R BT.601, as in JPEG and in luminance-only style transfer.
LUMINANCE = (0.299, 0.587, 0.114)


def keep_color(stylized: Tensor, content: Tensor) -> Tensor:
    """Return the luminance of ``stylized`` with the colours of ``content``.

    Args:
        stylized: ``(N, 3, H, W)``, float in [0, 1].
        content: Same shape and range.

    Returns:
        ``(N, 3, H, W)`` in [0, 1].

    Raises:
        ValueError: The two differ in shape.

    Source: Gatys et al. 2016, "Preserving Color in Neural Artistic Style Transfer",
        arXiv:1606.05897, section 3.2.
    """
    if stylized.shape != content.shape:
        found = f"{tuple(stylized.shape)} and {tuple(content.shape)}"
        raise ValueError(f"stylized and content must have the same shape, found {found}")
    return (content + luminance(stylized) - luminance(content)).clamp(0, 1)


def luminance(image: Tensor) -> Tensor:
    """Return the luminance, ``(N, 1, H, W)``, of ``(N, 3, H, W)`` in [0, 1]."""
    weights = image.new_tensor(LUMINANCE).view(1, 3, 1, 1)
    result: Tensor = (image * weights).sum(1, keepdim=True)
    return result


def match_color(style: Tensor, content: Tensor) -> Tensor:
    """Return the painting with the mean and covariance of the photograph's colours.

    Args:
        style: ``(1, 3, H, W)``, float in [0, 1].
        content: ``(1, 3, H', W')``, float in [0, 1].

    Returns:
        The shape of ``style``, in [0, 1].

    Source: Gatys et al. 2016, arXiv:1606.05897, section 3.1, the symmetric square roots.
    """
    mean_style, root_style = statistics(style)
    mean_content, root_content = statistics(content)
    transform = root_content @ torch.linalg.inv(root_style)
    pixels = double(style[0]).flatten(1) - mean_style
    matched = (transform @ pixels + mean_content).view(style.shape)
    result: Tensor = matched.clamp(0, 1).to(style)
    return result


def statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean colour and the symmetric root of the covariance, of all pixels together.

    Args:
        images: ``(N, 3, H, W)``, float.

    Returns:
        ``(3, 1)`` and ``(3, 3)``, float64 where the device has it.
    """
    pixels = double(images.movedim(1, 0)).flatten(1)  # (3, NHW)
    mean = pixels.mean(1, keepdim=True)
    centred = pixels - mean
    covariance = centred @ centred.T / pixels.shape[1]
    values, vectors = torch.linalg.eigh(covariance)
    # A flat or grey picture has no spread to divide by: one level of 255 at least.
    roots = values.clamp_min(0).sqrt().clamp_min(1 / 255)
    return mean, vectors @ roots.diag() @ vectors.T

"""The transformer networks, photograph in, picture out: plain modules, no training.

Images are ``(N, 3, H, W)``, RGB in [0, 1]; the networks' own scaling lives inside them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fast_style.images.checks import check_image
from fast_style.models.layers import DoublingConv, ReflectionPad, ThinConv, without_autocast
from fast_style.system.hardware import exact_float32

SMALLEST_SIDE = 32  # px; below it reflection padding has nothing left to reflect
# px of its reflection around a picture, painted and cut off: some networks draw a line of a pixel
# or two where their picture ends. A multiple of what the networks halve their picture by.
MARGIN = 16
# The networks work on (image - MEAN) / SPREAD: VGG's training mean, and 64 of 255 levels.
MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)
SPREAD = 64 / 255
# Bounds on what a model file may ask for, far beyond anything useful.
MOST_CHANNELS = 4096
MOST_BLOCKS = 64


class ConvNorm(nn.Sequential):
    """Reflection padding, convolution, instance normalisation and, if asked, ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel_size: int, stride: int = 1, relu: bool = True
    ) -> None:
        layers: list[nn.Module] = [
            ReflectionPad(kernel_size // 2),
            nn.Conv2d(inputs, outputs, kernel_size, stride),
            nn.InstanceNorm2d(outputs, affine=True),
        ]
        super().__init__(*layers, *([nn.ReLU()] if relu else []))
        self.outputs = outputs


class Residual(nn.Module):
    """Convolutions beside the identity, nothing after the sum (He et al. 2016)."""

    def __init__(self, *convolutions: nn.Module) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(*convolutions)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` plus its residual; the shape stays."""
        residual: Tensor = self.convolutions(x)
        return x + residual


def basic_block(channels: int) -> Residual:
    """Return a residual of two 3 x 3 convolutions."""
    return Residual(ConvNorm(channels, channels, 3), ConvNorm(channels, channels, 3, relu=False))


def bottleneck_block(channels: int) -> Residual:
    """Return a residual of a 3 x 3 convolution at half the width, between two of 1 x 1."""
    inner = max(1, channels // 2)
    return Residual(
        ConvNorm(channels, inner, 1),
        ConvNorm(inner, inner, 3),
        ConvNorm(inner, channels, 1, relu=False),
    )


class UpsampleConv(nn.Sequential):
    """A doubling convolution, instance normalisation and ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            DoublingConv(inputs, outputs), nn.InstanceNorm2d(outputs, affine=True), nn.ReLU()
        )


class Design(NamedTuple):
    """In what one network differs from another, beside its widths."""

    outer_kernel: int  # px, of the first and the last convolution
    block: Callable[[int], nn.Module]


DESIGNS = {
    # Johnson et al. 2016 and its supplement.
    "johnson": Design(9, basic_block),
    # A tenth of Johnson's operations a pixel, for phones, browsers and CPUs.
    "slim": Design(5, bottleneck_block),
}


class TransformerNetwork(nn.Module):
    """Two halvings, residual blocks at quarter resolution, two doublings.

    Args:
        name: One of ``DESIGNS``.
        channels: Widths at full, half and quarter resolution.
        residual_blocks: How many residual blocks at quarter resolution.

    Raises:
        ValueError: Another name, ``channels`` is not three widths, or a number is out of range.

    Source: Johnson, Alahi & Fei-Fei 2016, arXiv:1603.08155, and its supplement.
    Departs: instance for batch normalisation (Ulyanov et al. 2016, arXiv:1607.08022); reflection
        padding at each convolution; nearest upsampling and convolution for transposed
        convolution; a linear output for the scaled tanh, which saturates.
    """

    def __init__(self, name: str, channels: Sequence[int], residual_blocks: int) -> None:
        super().__init__()
        if not isinstance(name, str) or name not in DESIGNS:
            raise ValueError(f"network.name must be {' or '.join(DESIGNS)}, found {name!r}")
        numbers = [*channels, residual_blocks] if isinstance(channels, list | tuple) else [None]
        if not all(type(number) is int for number in numbers):
            raise ValueError(
                "network.channels must be a list of three whole numbers and "
                "network.residual_blocks a whole number; "
                f"found {channels!r} and {residual_blocks!r}"
            )
        if len(channels) != 3 or not all(1 <= width <= MOST_CHANNELS for width in channels):
            raise ValueError(
                f"network.channels must be three widths from 1 to {MOST_CHANNELS}, found {channels}"
            )
        if not 0 <= residual_blocks <= MOST_BLOCKS:
            raise ValueError(
                f"network.residual_blocks must be 0 to {MOST_BLOCKS}, found {residual_blocks}"
            )
        full, half, quarter = channels
        outer = DESIGNS[name].outer_kernel
        self.encoder = nn.Sequential(
            ConvNorm(3, full, outer),
            ConvNorm(full, half, 3, stride=2),
            ConvNorm(half, quarter, 3, stride=2),
        )
        self.residual = nn.Sequential(
            *[DESIGNS[name].block(quarter) for _ in range(residual_blocks)]
        )
        self.decoder = nn.Sequential(UpsampleConv(quarter, half), UpsampleConv(half, full))
        self.output = nn.Sequential(ReflectionPad(outer // 2), ThinConv(full, 3, outer))
        # Start near flat grey: from a larger start training was seen to collapse into patches.
        nn.init.normal_(self.output[1].get_parameter("weight"), std=0.01)
        nn.init.zeros_(self.output[1].get_parameter("bias"))

    def forward(self, image: Tensor) -> Tensor:
        """Return the stylised picture.

        Args:
            image: ``(N, 3, H, W)``, floating point, in [0, 1], H and W at least 32.

        Returns:
            ``(N, 3, H, W)``, about [0, 1] but not clamped; the same H and W for any input.

        Raises:
            ValueError: The image has another shape, is not floating point, or is too small.
        """
        check_image(image, SMALLEST_SIDE)
        height, width = image.shape[-2:]
        return self.padded(image)[..., :height, :width]

    def padded(self, image: Tensor) -> Tensor:
        """Return the stylised picture, continued to the right and below to multiples of 4 px."""
        height, width = image.shape[-2:]
        x = normalized(image)
        x = F.pad(x, (0, -width % 4, 0, -height % 4), mode="reflect")  # two halvings, exactly
        # Under autocast some layers stay in the picture's own type. In training the last, see
        # ThinConv. Later the first ones: instance normalisation enlarges the steps of a plain sky
        # in bfloat16, and in TF32.
        if self.training:
            x = self.encoder(x)
        else:
            with without_autocast(x), exact_float32(x.device):
                x = self.encoder(x)
        y: Tensor = self.output(self.decoder(self.residual(x)))
        return denormalized(y.to(image.dtype))


def normalized(image: Tensor) -> Tensor:
    """Return an image ``(N, 3, H, W)`` in [0, 1] as the networks' convolutions take it."""
    # By numbers: a tensor of them would be sent to a GPU at each call, and bind an exported model
    # to the device it was made on.
    planes = zip(image.unbind(1), MEAN, strict=True)
    return torch.stack([(plane - mean) / SPREAD for plane, mean in planes], dim=1)


def denormalized(output: Tensor) -> Tensor:
    """Return the last convolution's output as an image: the reverse of ``normalized``."""
    planes = zip(output.unbind(1), MEAN, strict=True)
    return torch.stack([plane * SPREAD + mean for plane, mean in planes], dim=1)


def build_network(description: Any) -> TransformerNetwork:
    """Return a new network from plain data: ``{"name": "johnson", "channels": ..., ...}``.

    Raises:
        ValueError: Not such a description, an unknown name, or a number out of its range.
    """
    keys = {"name", "channels", "residual_blocks"}
    if not isinstance(description, dict) or description.keys() != keys:
        raise ValueError(f"a network has {', '.join(sorted(keys))}; found {description!r}")
    return TransformerNetwork(**description).float()  # whatever the program's default is

"""Johnson's network: two halvings, residual blocks, two doublings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from fast_style.models.blocks import ConvNorm, Exact, UpsampleConv, basic_block
from fast_style.models.layers import ReflectionPad, ThinConv
from fast_style.models.network import StyleNetwork

# Bounds on what a model file may ask for, far beyond anything useful.
MOST_CHANNELS = 4096
MOST_BLOCKS = 64


class Johnson(StyleNetwork):
    """Two halvings, residual blocks at quarter resolution, two doublings.

    Args:
        channels: Widths at full, half and quarter resolution.
        residual_blocks: How many residual blocks at quarter resolution.

    Raises:
        ValueError: ``channels`` is not three widths, or a number is out of range.

    Source: Johnson, Alahi & Fei-Fei 2016, arXiv:1603.08155, and its supplement.
    Departs: instance for batch normalisation (Ulyanov et al. 2016, arXiv:1607.08022); reflection
        padding at each convolution; nearest upsampling and convolution for transposed
        convolution; a linear output for the scaled tanh, which saturates.
    """

    outer_kernel: ClassVar[int] = 9  # px, of the first and the last convolution

    @staticmethod
    def block(channels: int) -> nn.Module:
        """Return a residual block."""
        return basic_block(channels)

    def __init__(self, channels: Sequence[int], residual_blocks: int) -> None:
        super().__init__()
        check_widths(channels, residual_blocks)
        full, half, quarter = channels
        outer = self.outer_kernel
        self.encoder = Exact(
            ConvNorm(3, full, outer),
            ConvNorm(full, half, 3, stride=2),
            ConvNorm(half, quarter, 3, stride=2),
        )
        self.residual = nn.Sequential(*[self.block(quarter) for _ in range(residual_blocks)])
        self.decoder = nn.Sequential(UpsampleConv(quarter, half), UpsampleConv(half, full))
        self.output = nn.Sequential(ReflectionPad(outer // 2), ThinConv(full, 3, outer))
        # Start near flat grey: from a larger start training was seen to collapse into patches.
        nn.init.normal_(self.output[1].get_parameter("weight"), std=0.01)
        nn.init.zeros_(self.output[1].get_parameter("bias"))

    def body(self, x: Tensor) -> Tensor:
        """Return the painted picture, as ``StyleNetwork.body``."""
        painted: Tensor = self.output(self.decoder(self.residual(self.encoder(x))))
        return painted


def check_widths(channels: object, residual_blocks: object) -> None:
    """Check three widths and a number of blocks.

    Raises:
        ValueError: They are not, or out of range.
    """
    numbers = [*channels, residual_blocks] if isinstance(channels, list | tuple) else [None]
    if not all(type(number) is int for number in numbers):
        raise ValueError(
            "network.channels must be a list of three whole numbers and network.residual_blocks a "
            f"whole number; found {channels!r} and {residual_blocks!r}"
        )
    *widths, blocks = (number for number in numbers if isinstance(number, int))
    if len(widths) != 3 or not all(1 <= width <= MOST_CHANNELS for width in widths):
        raise ValueError(
            f"network.channels must be three widths from 1 to {MOST_CHANNELS}, found {channels}"
        )
    if not 0 <= blocks <= MOST_BLOCKS:
        raise ValueError(f"network.residual_blocks must be 0 to {MOST_BLOCKS}, found {blocks}")

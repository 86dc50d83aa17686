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
        check_widths(channels, 3)
        check_blocks("residual_blocks", residual_blocks)
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


def check_widths(channels: object, count: int) -> None:
    """Check the widths of a network.

    Args:
        channels: The widths.
        count: How many there must be.

    Raises:
        ValueError: There are others, or one is out of range.
    """
    widths = channels if isinstance(channels, list | tuple) else []
    is_fit = all(type(width) is int and 1 <= width <= MOST_CHANNELS for width in widths)
    if len(widths) != count or not is_fit:
        raise ValueError(
            f"network.channels must be a list of {count} whole numbers from 1 to {MOST_CHANNELS}, "
            f"found {channels!r}"
        )


def check_blocks(key: str, blocks: object) -> None:
    """Check a number of residual blocks.

    Args:
        key: Of the configuration.
        blocks: The number.

    Raises:
        ValueError: It is no whole number, or out of range.
    """
    if type(blocks) is not int or not 0 <= blocks <= MOST_BLOCKS:
        raise ValueError(
            f"network.{key} must be a whole number from 0 to {MOST_BLOCKS}, found {blocks!r}"
        )

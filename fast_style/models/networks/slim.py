"""A tenth of Johnson's operations a pixel: for phones, browsers and CPUs."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from fast_style.models.blocks import bottleneck_block
from fast_style.models.networks.johnson import Johnson


class Slim(Johnson):
    """As ``Johnson``, with smaller outer kernels and bottlenecks for blocks."""

    outer_kernel: ClassVar[int] = 5

    @staticmethod
    def block(channels: int) -> nn.Module:
        """Return a residual block."""
        return bottleneck_block(channels)

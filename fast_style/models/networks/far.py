"""Johnson's network with most of its work at an eighth of the resolution, where it sees further."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from fast_style.models.blocks import ConvNorm
from fast_style.models.layers import DoublingConv
from fast_style.models.networks.johnson import Johnson, check_blocks, check_widths


class Far(Johnson):
    """Three halvings, residual blocks at an eighth and at a quarter, three doublings.

    What is made at an eighth of the resolution is added to the quarter's. A pixel of the picture
    depends on the photograph 150 px around it; in ``Johnson`` on 54 px. So strokes can be longer,
    and they fit together over larger distances.

    Args:
        channels: Widths at full, half, quarter and eighth resolution.
        residual_blocks: How many residual blocks at quarter resolution.
        far_blocks: How many at an eighth.

    Raises:
        ValueError: ``channels`` is not four widths, or a number is out of range.

    Source: Ours; levels that are added, as in Newell et al. 2016, arXiv:1603.06937.
    """

    multiple: ClassVar[int] = 8

    def __init__(self, channels: Sequence[int], residual_blocks: int, far_blocks: int) -> None:
        check_widths(channels, 4)
        check_blocks("far_blocks", far_blocks)
        super().__init__(channels[:3], residual_blocks)
        quarter, eighth = channels[2:]
        self.far = nn.Sequential(
            ConvNorm(quarter, eighth, 3, stride=2),
            *[self.block(eighth) for _ in range(far_blocks)],
            DoublingConv(eighth, quarter),
            nn.InstanceNorm2d(quarter, affine=True),
        )

    def body(self, x: Tensor) -> Tensor:
        """Return the painted picture, as ``StyleNetwork.body``."""
        near = self.encoder(x)
        painted: Tensor = self.output(self.decoder(self.residual(near + self.far(near))))
        return painted

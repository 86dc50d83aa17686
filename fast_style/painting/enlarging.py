"""A painting that was made small, enlarged and painted over: large strokes, crisp at full size.

A network's strokes have a fixed size in pixels. So a picture is painted small, for strokes that fit
it, and then made larger step by step. At each step the network paints the enlarged painting once
more. Of that only what is finer than the painting is taken: it draws strokes along the forms that
are there. Its own lights and swirls, which would be a second, smaller set, are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from fast_style.images.picture import BAND, as_bytes, as_float
from fast_style.models.palette import CELL, enlarged, with_margin
from fast_style.painting.strips import in_order

# How much larger a step makes the painting: twice, but for the first one. By more at once, what is
# added follows the painting's pixels, not its strokes.
LARGEST_STEP = 2.5
HALO = 2  # px around a band, that bicubic enlarging looks at
# How much stronger than the painting's own finest strokes the added ones may be made.
MOST_GAIN = 2.0
FAINT = 1e-8  # of squared levels in [0, 1]: far below a level of 255


def step_sizes(small: tuple[int, int], large: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the heights and widths, px, of the steps from a small painting to a large one.

    Args:
        small: Height and width of the first.
        large: Of the last, which is larger.
    """
    factor = max(end / begin for begin, end in zip(small, large, strict=True))
    doublings = max(0, math.ceil(math.log2(factor / LARGEST_STEP)))
    shrunk = [2**step for step in reversed(range(doublings + 1))]
    return [(-(-large[0] // by), -(-large[1] // by)) for by in shrunk]


@torch.no_grad()
def enlarge(
    painting: Tensor,
    height: int,
    width: int,
    paint: Callable[[Tensor], Tensor],
    kind: torch.dtype = torch.float32,
) -> Tensor:
    """Return a painting one step larger, with finer strokes that follow its own.

    Seen at the painting's size, the result is the painting.

    Args:
        painting: ``(1, 3, h, w)``, uint8, or float in [0, 1].
        height: Of the result, px.
        width: Likewise.
        paint: Returns what the network makes of a picture of that size; both are uint8.
        kind: Of the result: uint8, or a float's.

    Returns:
        ``(1, 3, height, width)``, of type ``kind``.
    """
    step = _Step((painting.shape[-2], painting.shape[-1]), (height, width))
    fine = paint(step.enlarged(painting))  # without a name: who paints may let go of it
    small = step.down(fine)
    gains = step.gains(painting, fine, small)
    result = fine if kind == torch.uint8 else torch.empty_like(fine, dtype=kind)
    for top, end in step.bands():
        detail = as_float(fine[..., top:end, :]) - step.up(small, top, end)
        detail.mul_(step.spread(gains, top, end)).add_(step.up(painting, top, end))
        step.put(result, top, detail)
    del fine, small
    # Black and white have cut some of it off.
    missing = step.down(result)
    for part, wanted in zip(*(one.split(BAND, -2) for one in (missing, painting)), strict=True):
        part.copy_(as_float(wanted) - part)
    for top, end in step.bands():
        step.put(result, top, as_float(result[..., top:end, :]) + step.up(missing, top, end))
    return result


class _Step:
    """The geometry of one step: exact doubling is done in bands of rows, all else at once.

    Args:
        small: Height and width before, px.
        large: Height and width after it, px.
    """

    def __init__(self, small: tuple[int, int], large: tuple[int, int]) -> None:
        self.small = small
        self.height, self.width = large
        self.doubles = small == _halved(*large)

    def bands(self) -> Iterator[tuple[int, int]]:
        """Yield the first and the end row of each band of the result."""
        rows = BAND // CELL * CELL if self.doubles else self.height
        for top in range(0, self.height, rows):
            yield top, min(self.height, top + rows)

    def enlarged(self, painting: Tensor) -> Tensor:
        """Return a painting enlarged, as bytes."""
        size = self.height, self.width
        result = torch.empty((1, 3, *size), dtype=torch.uint8, device=painting.device)
        for top, end in self.bands():
            self.put(result, top, self.up(painting, top, end))
        return result

    def up(self, small: Tensor, top: int, end: int) -> Tensor:
        """Return rows of a small picture enlarged, float."""
        if not self.doubles:
            size = self.height, self.width
            return F.interpolate(as_float(small).float(), size, mode="bicubic")
        first, last = top // 2 - HALO, -(-end // 2) + HALO
        row_at = torch.arange(first, last, device=small.device).clamp(0, self.small[0] - 1)
        rows = as_float(in_order(small, row_at, -2)).float()
        large = F.interpolate(rows, scale_factor=2, mode="bicubic")
        return large[..., 2 * HALO : 2 * HALO + end - top, : self.width]

    def down(self, large: Tensor) -> Tensor:
        """Return a picture of the result's size at the painting's, float16 in [0, 1]."""
        if not self.doubles:
            image = as_float(large)
            return F.interpolate(image, self.small, mode="bicubic", antialias=True).half()
        result = large.new_empty((1, 3, *self.small), dtype=torch.float16)
        column_at = torch.arange(2 * self.small[1], device=large.device).clamp_max(self.width - 1)
        for top, end in self.bands():
            last = top + 2 * -(-(end - top) // 2)
            row_at = torch.arange(top - 2 * HALO, last + 2 * HALO, device=large.device)
            some = in_order(large, row_at.clamp(0, self.height - 1), -2)
            rows = as_float(in_order(some, column_at, -1))
            low = F.interpolate(rows, scale_factor=0.5, mode="bicubic", antialias=True)
            result[..., top // 2 : last // 2, :] = low[..., HALO:-HALO, :]
        return result

    def gains(self, painting: Tensor, fine: Tensor, small: Tensor) -> Tensor:
        """Return by how much the detail is to be multiplied in each cell, with a margin.

        Then it is as strong as the painting's own finest strokes are there.

        Args:
            painting: To be enlarged.
            fine: What the network painted.
            small: The same at the painting's size.
        """
        found = self.energy(fine, small, CELL)
        octave = _Step(_halved(*self.small), self.small)
        own = octave.energy(painting, octave.down(painting), CELL // 2)
        wanted = F.interpolate(own, found.shape[-2:], mode="bilinear")
        ratio = (wanted + FAINT) / (found + FAINT)
        return with_margin(ratio.sqrt().clamp_max(MOST_GAIN))

    def energy(self, large: Tensor, small: Tensor, side: int) -> Tensor:
        """Return the mean square of what is finer than a small picture, in squares of a side."""
        parts = []
        for top, end in self.bands():
            detail = as_float(large[..., top:end, :]) - self.up(small, top, end)
            parts.append(_means(detail.square().mean(1, keepdim=True), side))
        return torch.cat(parts, dim=-2)

    def spread(self, gains: Tensor, top: int, end: int) -> Tensor:
        """Return the gains of each pixel of some rows."""
        cells = gains[..., top // CELL : -(-end // CELL) + 2, :]
        return enlarged(cells)[..., CELL : CELL + end - top, CELL : CELL + self.width]

    @staticmethod
    def put(result: Tensor, top: int, rows: Tensor) -> None:
        """Write rows, float, into a picture."""
        shown = as_bytes(rows) if result.dtype == torch.uint8 else rows.clamp(0, 1)
        result[..., top : top + rows.shape[-2], :] = shown


def _means(image: Tensor, side: int) -> Tensor:
    """Return the means of squares; those at the right and below may be smaller."""
    return F.avg_pool2d(image, side, ceil_mode=True, count_include_pad=False)


def _halved(height: int, width: int) -> tuple[int, int]:
    """Return half a height and a width, rounded up."""
    return -(-height // 2), -(-width // 2)

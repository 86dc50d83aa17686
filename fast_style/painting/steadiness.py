"""Flicker of painted films: how it is measured, and what keeps a painting still.

A network paints each frame by itself. Where only a camera's noise changes, its strokes change with
the noise. On plain areas they follow the grain, which would stand still while the camera turns.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fast_style.images.picture import Picture, as_bytes
from fast_style.models.palette import CELL, cell_means, enlarged, with_margin

Movement = tuple[int, int]  # of what is seen, px down and right

# Mean change of a neighbourhood, levels of 255, up to which it is still: noise alone makes 1 to 3.
STILL = 6.0
MEASURED_SIDE = 512  # px: frames are reduced to it, at most, to measure the camera's movement
# Least height of the correlation's peak, as a share of a pure movement's. Measured: 0.75 and more
# in a pan, with noise of 20 levels too; 0.04 at cuts, 0.09 of noise alone.
CONFIDENT = 0.3
BLUR = 0.15  # of the correlation, as a share of the sampling rate: a peak a pixel or two wide


class Steady:
    """Paints a film's frames so that what is still in the film is still in the painting.

    The grain moves with the camera's view, and the strokes follow it. Then each result is mixed
    with the last one, moved likewise. The last one's share falls as the neighbourhood of a pixel
    changes: it is nothing at a cut, and for what moves by itself or comes into view.

    Args:
        paint: Is given a frame and how far the view has moved since the first, px down and right.
        share: That stays where nothing changes; 0 to paint each frame by itself.

    Raises:
        ValueError: ``share`` is not 0 or more and below 1.
    """

    def __init__(self, paint: Callable[[Picture, Movement], Picture], share: float) -> None:
        check_steady(share)
        self.paint = paint
        self.share = share
        self._before: tuple[Tensor, Tensor] | None = None  # the film's last frame, the last result
        self._moved: Movement = (0, 0)  # since the first
        self._rest = (0.0, 0.0)  # px: what rounding the last movement left over

    def __call__(self, frame: Picture) -> Picture:
        """Return the next frame, painted: its size, its type of levels."""
        if not self.share:
            return self.paint(frame, (0, 0))
        now = frame.rgb
        if self._before is None or self._before[0].shape != now.shape:
            painted = self.paint(frame, self._moved)
            self._before = now, painted.rgb
            return painted
        last, steady = self._before
        down, right = self._step(last, now)
        self._moved = self._moved[0] + down, self._moved[1] + right
        painted = self.paint(frame, self._moved)
        last, steady = (one.roll((down, right), (-2, -1)) for one in (last, steady))
        weight = self.share * torch.exp(-((change(last, now) * 255 / STILL) ** 2))
        height, width = now.shape[-2:]  # what was rolled in from the other side is new:
        weight[..., : max(0, down), :] = weight[..., height + min(0, down) :, :] = 0
        weight[..., : max(0, right)] = weight[..., width + min(0, right) :] = 0
        result = torch.lerp(painted.rgb, steady, weight)
        self._before = now, result
        levels = as_bytes(result) if painted.levels.dtype == torch.uint8 else result
        return painted._replace(levels=levels)

    def _step(self, last: Tensor, now: Tensor) -> Movement:
        """Return by how many whole pixels the view has moved since the last frame."""
        moved = [rest + way for rest, way in zip(self._rest, movement(last, now), strict=True)]
        down, right = (round(way) for way in moved)
        self._rest = moved[0] - down, moved[1] - right
        return down, right


def check_steady(share: float) -> None:
    """Check a share of ``Steady``.

    Raises:
        ValueError: It is not 0 or more and below 1.
    """
    if not 0 <= share < 1:
        raise ValueError(f"steady must be 0 or more and below 1, found {share}")


def movement(before: Tensor, now: Tensor) -> tuple[float, float]:
    """Return how far what a camera sees has moved, px down and right, by phase correlation.

    0 and 0 where the frames differ otherwise: at a cut, in a zoom, where much moves by itself.

    Args:
        before: ``(1, 3, H, W)``, float in [0, 1].
        now: Likewise.

    Source: Kuglin & Hines 1975, "The phase correlation image alignment method".
    Departs: The correlation is blurred, so that a parabola through its peak gives parts of a pixel.
    """
    step = -(-max(now.shape[-2:]) // MEASURED_SIDE)
    grey = [F.avg_pool2d(one.mean(1, keepdim=True), step)[0, 0] for one in (before, now)]
    height, width = grey[0].shape
    kind: Any = {"dtype": now.dtype, "device": now.device}
    window = torch.outer(
        torch.hann_window(height, periodic=False, **kind),
        torch.hann_window(width, periodic=False, **kind),
    )
    first, second = (torch.fft.fft2((one - one.mean()) * window) for one in grey)
    product = second * first.conj()
    rates = [torch.fft.fftfreq(side, **kind) for side in (height, width)]
    low = torch.exp(-(rates[0][:, None] ** 2 + rates[1] ** 2) / (2 * BLUR**2))
    found = torch.fft.ifft2(product / product.abs().clamp_min(1e-12) * low).real
    if found.max() < CONFIDENT * low.mean():
        return 0.0, 0.0
    y, x = divmod(int(found.argmax()), width)
    down = y + _peak([float(found[(y + k) % height, x]) for k in (-1, 0, 1)])
    right = x + _peak([float(found[y, (x + k) % width]) for k in (-1, 0, 1)])
    return _signed(down, height) * step, _signed(right, width) * step


def _peak(values: list[float]) -> float:
    """Return where a parabola through three values, at -1, 0 and 1, is highest."""
    before, at, after = values
    bend = before - 2 * at + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0


def _signed(place: float, length: int) -> float:
    """Return a position in a Fourier transform as a movement: its upper half is negative."""
    return place - length if place > length / 2 else place


def change(before: Tensor, now: Tensor) -> Tensor:
    """Return how far neighbourhoods, some ``CELL`` px wide, have changed on average.

    Args:
        before: ``(N, 3, H, W)``, float in [0, 1].
        now: Likewise.

    Returns:
        ``(N, 1, H, W)``.
    """
    height, width = now.shape[-2:]
    means = cell_means((now - before).abs()).mean(1, keepdim=True)
    return enlarged(with_margin(means))[..., CELL : CELL + height, CELL : CELL + width]


def flicker(filmed: list[Tensor], painted: list[Tensor]) -> float:
    """Return how far still pixels of a painted film change from frame to frame, levels of 255.

    Args:
        filmed: Frames, ``(1, 3, H, W)`` each, float in [0, 1].
        painted: What was made of them.

    Returns:
        The mean absolute change, the camera's movement undone, of the pixels whose neighbourhoods
        in the film change by less than ``STILL``; no number if there is none.
    """
    total, count = 0.0, 0.0
    for (last, now), (one, two) in zip(pairwise(filmed), pairwise(painted), strict=True):
        way = tuple(map(round, movement(last, now)))
        last, one = (frame.roll(way, (-2, -1)) for frame in (last, one))
        still = (change(last, now) * 255 < STILL).float()
        total += float(((two - one).abs().mean(1, keepdim=True) * still).sum()) * 255
        count += float(still.sum())
    return total / count if count else float("nan")

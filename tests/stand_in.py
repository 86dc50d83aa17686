"""A style whose network is a function: what the controls do shows without a trained one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fast_style.images.picture import Picture, as_bytes, as_float
from fast_style.painting.controls import DEFAULT_JOB, Controls, PaintJob
from fast_style.painting.style import Style

UNCHANGED = Controls()
Paint = Callable[[Picture], Picture]


class StandIn(Style):
    """A style that paints by a function."""

    def __init__(self, paint: Paint) -> None:
        self.function = paint

    def _strips(self, *_: Any) -> list[int | None]:
        return [None]

    def paint_picture(self, picture: Picture, job: PaintJob = DEFAULT_JOB) -> Picture:
        """Return what the function makes of a picture."""
        return self.function(picture)

    def _paint(self, levels: Tensor, result: Tensor, *others: Any, **more: Any) -> None:
        painted = self.function(Picture(levels, None)).levels
        result.copy_(as_bytes(painted) if result.dtype == torch.uint8 else as_float(painted))


def painted_by(
    paint: Paint,
    picture: Picture,
    controls: Controls = UNCHANGED,
    moved: tuple[int, int] = (0, 0),
) -> Picture:
    """Return a picture as ``Style.stylize`` makes it, where ``paint`` stands for the network."""
    return StandIn(paint).stylize(picture, PaintJob(controls, moved=moved))

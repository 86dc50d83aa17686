"""A style whose network is a function: what the controls do shows without a trained one."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from fast_style.images.picture import Picture
from fast_style.painting.controls import Controls, PaintJob
from fast_style.painting.style import Style

UNCHANGED = Controls()


def painted_by(
    paint: Callable[[Picture], Picture],
    picture: Picture,
    controls: Controls = UNCHANGED,
    moved: tuple[int, int] = (0, 0),
) -> Picture:
    """Return a picture as ``Style.stylize`` makes it, where ``paint`` stands for the network."""
    style: Any = SimpleNamespace(paint_picture=lambda shown, job: paint(shown))
    return Style.stylize(style, picture, PaintJob(controls, moved=moved))

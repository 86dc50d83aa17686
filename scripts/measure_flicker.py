"""Measure the flicker of painted films; two minutes a model, a slim one half a minute.

    python scripts/measure_flicker.py starry ink

Films a photograph with a camera's noise, standing and in a slow pan. Paints the frames as `stylize`
does. Prints how far still pixels change from frame to frame, for several values of `--steady`:
the figures of docs/research/flicker.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor

from fast_style.images.picture import Picture, as_bytes, resize
from fast_style.images.reading import read_picture
from fast_style.painting.controls import Controls, PaintJob
from fast_style.painting.options import GRAIN, PALETTE
from fast_style.painting.steadiness import Movement, Steady, flicker
from fast_style.painting.style import Style, load
from fast_style.system.resources import asset

PHOTOGRAPH = "photos/val/castle_neuschwanstein.jpg"
SHARES = (0.0, 0.5, 0.7, 0.9)
NOISE = 3.0  # levels of 255, of a phone's camera by daylight
SIDES = (360, 480)  # px, height and width of a frame


def film(photograph: Tensor, frames: int, pan: int) -> list[Tensor]:
    """Return frames, ``(1, 3, H, W)`` uint8, of a camera that moves ``pan`` px a frame."""
    generator = torch.Generator().manual_seed(0)
    height, width = SIDES
    wide = resize(photograph, height, width + pan * frames)
    result = []
    for number in range(frames):
        seen = wide[..., number * pan : number * pan + width]
        noise = torch.randn(seen.shape, generator=generator) * NOISE / 255
        result.append(as_bytes(seen + noise))
    return result


def paint(style: Style, frames: list[Tensor], share: float) -> list[Tensor]:
    """Return the frames painted."""
    controls = Controls(grain=GRAIN, palette=PALETTE)

    def painted(frame: Picture, moved: Movement) -> Picture:
        return style.stylize(frame, PaintJob(controls, moved=moved))

    steady = Steady(painted, share)
    return [steady(Picture(frame, None)).levels for frame in frames]


def floats(frames: list[Tensor]) -> list[Tensor]:
    """Return frames as float in [0, 1]."""
    return [frame.float() / 255 for frame in frames]


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("models", nargs="+", help="style models, or names of released styles")
    parser.add_argument("--frames", type=int, default=16, help="of each film (%(default)s)")
    parser.add_argument("--photo", type=Path, default=asset(PHOTOGRAPH), help="what is filmed")
    arguments = parser.parse_args()
    photograph = read_picture(arguments.photo).rgb
    columns = "".join(f"{f'steady {share:g}':>12}" for share in SHARES)
    print(f"{'model':16}{'pan, px':>8}{'the film':>12}{columns}")
    for model in arguments.models:
        style = load(model)
        for pan in (0, 1):
            filmed = film(photograph, arguments.frames, pan)
            seen = floats(filmed)
            made = [paint(style, filmed, share) for share in SHARES]
            values = [flicker(seen, floats(one)) for one in (filmed, *made)]
            figures = "".join(f"{value:12.2f}" for value in values)
            print(f"{model:16}{pan:8}{figures}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

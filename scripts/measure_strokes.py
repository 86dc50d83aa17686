"""Measure strokes that fit a picture (`stylize --stroke auto`) against the network's own.

    python scripts/measure_strokes.py starry PHOTO...

For each large photograph it prints

- `loss`: of the result, seen at 1,024 px, over that of the photograph painted at 1,024 px
- `finest`: the energy of the finest octave, over that of the photograph painted at full size with
  the network's own strokes
- `time`: over that of painting at full size with the network's own strokes. Both are measured
  twice, in turns, and the faster one counts.

These are figures of docs/research/large_pictures.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from fast_style.evaluate import yardstick
from fast_style.images.picture import Picture, as_float, long_side_size, resize
from fast_style.images.reading import read_picture, read_style
from fast_style.models.losses import PerceptualLoss
from fast_style.painting.any_style import paint_job
from fast_style.painting.controls import AUTO_SIDE
from fast_style.painting.options import AUTO
from fast_style.painting.style import Style, load
from fast_style.system.precision import exact_float32


def finest(levels: Tensor) -> float:
    """Return the energy of what is finer than squares of 2 px, levels in [0, 1]."""
    image = as_float(levels)
    height, width = (side - side % 2 for side in image.shape[-2:])
    image = image[..., :height, :width]
    means = F.avg_pool2d(image, 2)
    return float((image - F.interpolate(means, scale_factor=2)).square().mean())


def painted(style: Style, photograph: Picture, stroke: float | str) -> tuple[Tensor, float]:
    """Return a painting's levels, and the seconds that it took."""
    started_s = time.perf_counter()
    levels = style.stylize(photograph, paint_job({"stroke": stroke})).levels
    return levels, time.perf_counter() - started_s


@torch.no_grad()
def total(loss: PerceptualLoss, levels: Tensor, content: Tensor) -> float:
    """Return the loss of a painting, brought to the size of ``content``."""
    with exact_float32(content.device):
        return float(loss(resize(as_float(levels), *content.shape[-2:]), content).total)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("model", help="a style model, or a released style")
    parser.add_argument("photographs", metavar="PHOTO", nargs="+", type=Path)
    parser.add_argument("--runs", type=int, default=2, help="of each, timed (%(default)s)")
    parser.set_defaults(loss="crisp", style=None, style_size=None, vgg_weights=None)
    options = parser.parse_args(argv)
    style = load(options.model)
    judge = yardstick({options.model: style}, options)
    loss = PerceptualLoss(read_style(judge["image"], judge["size"]), **judge["loss"])
    print(f"{'photograph':32}{'size':>14}{'loss':>8}{'finest':>8}{'time':>8}")
    for path in options.photographs:
        photograph = read_picture(path)
        results = [
            [painted(style, photograph, stroke) for stroke in (AUTO, 1.0)]
            for _ in range(options.runs)
        ]
        fitting, own = results[-1][0][0], results[-1][1][0]
        seconds = [min(run[which][1] for run in results) for which in (0, 1)]
        content = resize(photograph.rgb, *long_side_size(photograph.levels, AUTO_SIDE))
        small, _ = painted(style, Picture(content, None), 1.0)
        ratios = [
            total(loss, fitting, content) / total(loss, small, content),
            finest(fitting) / finest(own),
            seconds[0] / seconds[1],
        ]
        height, width = photograph.levels.shape[-2:]
        figures = "".join(f"{ratio:8.2f}" for ratio in ratios)
        print(f"{path.name[:31]:32}{f'{width} x {height}':>14}{figures}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Put photographs and their stylised versions side by side: the pictures of the README and docs.

    python scripts/make_figure.py MODEL [MODEL...] --photos A.jpg B.jpg -o figure.jpg

A row for each photograph: the photograph, then what each model makes of it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from fast_style.image import read_picture
from fast_style.style import Style, load
from fast_style.writing import write_picture

GAP = 8  # px of white between the pictures
QUALITY = 80  # of the JPEG or WebP: a page with pictures should load at once


def row(photograph: Tensor, styles: list[Style], height: int) -> Tensor:
    """Return the photograph at ``height`` px and its stylised versions, ``(1, 3, height, W)``."""
    scaled = F.interpolate(
        photograph,
        size=(height, round(photograph.shape[-1] * height / photograph.shape[-2])),
        mode="bicubic",
        antialias=True,
    ).clamp(0, 1)
    pictures = [scaled, *[style.paint(scaled) for style in styles]]
    gap = torch.ones(1, 3, height, GAP)
    return torch.cat([part for picture in pictures for part in (picture, gap)][:-1], dim=-1)


def figure(photographs: list[Tensor], styles: list[Style], height: int) -> Tensor:
    """Return the rows below each other, centred, on white."""
    rows = [row(photograph, styles, height) for photograph in photographs]
    width = max(r.shape[-1] for r in rows)
    padded = [F.pad(r, ((width - r.shape[-1]) // 2,) * 2, value=1.0) for r in rows]
    padded = [F.pad(r, (0, width - r.shape[-1], 0, GAP), value=1.0) for r in padded]
    return torch.cat(padded, dim=-2)[..., :-GAP, :]


def main() -> int:
    """Write the figure; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("models", nargs="+", help="style models, or names of released styles")
    parser.add_argument("--photos", nargs="+", type=Path, required=True)
    parser.add_argument("--height", type=int, default=320, help="px of a row (%(default)s)")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        styles = [load(model) for model in arguments.models]
        photographs = [read_picture(path).rgb for path in arguments.photos]
        picture = figure(photographs, styles, arguments.height)
        write_picture(arguments.output, picture, quality=QUALITY)
    except ValueError as error:
        print(f"make_figure: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

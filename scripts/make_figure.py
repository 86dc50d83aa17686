"""Put photographs and their painted versions side by side, for the docs; a minute.

    python scripts/make_figure.py MODEL [MODEL...] --photos A.jpg B.jpg -o figure.jpg

A row for each photograph: the photograph, then what each model makes of it, with each palette.
Labels stand above the columns.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from torch import Tensor

from fast_style.images.picture import resize
from fast_style.images.reading import read_picture
from fast_style.images.writing import write_picture
from fast_style.painting.options import PALETTE
from fast_style.painting.sheet import sheet
from fast_style.painting.style import Style, load

QUALITY = 80  # of the JPEG or WebP: a page with pictures should load at once


def row(
    photograph: Tensor, styles: list[Style], height: int, palettes: list[float]
) -> list[Tensor]:
    """Return the photograph at ``height`` px and its painted versions, ``(1, 3, height, W)``."""
    width = round(photograph.shape[-1] * height / photograph.shape[-2])
    scaled = resize(photograph, height, width)
    return [scaled, *[style(scaled, palette=share) for style in styles for share in palettes]]


def main() -> int:
    """Write the figure; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("models", nargs="+", help="style models, or names of released styles")
    parser.add_argument("--photos", nargs="+", type=Path, required=True, help="files")
    parser.add_argument("--height", type=int, default=320, help="px of a row (%(default)s)")
    parser.add_argument("--labels", nargs="+", default=[], help="of the columns, photographs first")
    parser.add_argument(
        "--palettes", nargs="+", type=float, default=[PALETTE], help="as stylize's --palette"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="the figure")
    arguments = parser.parse_args()
    try:
        styles = [load(model) for model in arguments.models]
        photographs = [read_picture(path).rgb for path in arguments.photos]
        rows = [
            row(photograph, styles, arguments.height, arguments.palettes)
            for photograph in photographs
        ]
        write_picture(arguments.output, sheet(rows, arguments.labels), quality=QUALITY)
    except ValueError as error:
        print(f"make_figure: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

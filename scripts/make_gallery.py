"""Make the pictures of the released styles: the gallery and the cards; two minutes.

    python scripts/make_gallery.py -o docs/images/gallery.jpg --cards docs/images

The gallery has paintings across the top and photographs down the side, and every style on every
photograph. Photographs are cut to the square in their middle, painted at one size and shown at
another. `--cards` also writes the pictures of docs/reference/styles.md: a painting, the first
photograph, and the photograph in that style.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from torch import Tensor

from fast_style.images.picture import resize
from fast_style.images.reading import read_crop, read_style
from fast_style.images.writing import write_picture
from fast_style.models.style_file import load_style_model
from fast_style.painting.sheet import sheet
from fast_style.painting.style import load
from fast_style.system.resources import asset, main_styles
from fast_style.training.photographs import centre_box

PHOTOGRAPHS = ("castle_neuschwanstein", "kingfisher", "astronaut", "sunset", "canyon_river")
CARD = 256  # px: the side of a picture on a card
QUALITY = 75  # of the JPEG: a page with pictures should load at once


def painting_of(style: str, side: int) -> Tensor:
    """Return the square in the middle of a released style's painting, ``(1, 3, side, side)``."""
    name = load_style_model(style).description["style"]["image"]
    painting = read_style(asset("styles") / Path(name).name, side)
    height, width = painting.shape[-2:]
    top, left = (height - side) // 2, (width - side) // 2
    return painting[..., top : top + side, left : left + side]


def gallery(styles: list[str], photographs: list[Path], painted: int, shown: int) -> Tensor:
    """Return the gallery, ``(1, 3, H, W)``.

    Args:
        styles: Names of released styles.
        photographs: Files.
        painted: Side of a photograph when it is painted, px.
        shown: Side of a picture in the gallery, px.
    """
    rows: list[list[Tensor | None]] = [[None, *(painting_of(style, shown) for style in styles)]]
    painters = [load(style) for style in styles]
    for file in photographs:
        photograph = read_crop(file, painted, centre_box)[None]
        pictures = [photograph, *(painter(photograph) for painter in painters)]
        rows.append([resize(picture, shown, shown) for picture in pictures])
    return sheet(rows, ["", *styles])


def card(style: str, file: Path, painted: int, shown: int) -> Tensor:
    """Return a style's painting, a photograph and the photograph painted, side by side."""
    photograph = read_crop(file, painted, centre_box)[None]
    pictures = [photograph, load(style)(photograph)]
    return sheet([[painting_of(style, shown), *(resize(each, shown, shown) for each in pictures)]])


def main() -> int:
    """Write the gallery and the cards; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--styles", nargs="+", help="names (all released ones but the slim)")
    parser.add_argument(
        "--photos", nargs="+", type=Path, help="files (five of the sample photographs)"
    )
    parser.add_argument(
        "--painted", type=int, default=384, help="side while painted, px (%(default)s)"
    )
    parser.add_argument(
        "--shown", type=int, default=168, help="side in the gallery, px (%(default)s)"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="the gallery")
    parser.add_argument("--cards", metavar="FOLDER", type=Path, help="for card_STYLE.jpg")
    arguments = parser.parse_args()
    styles = arguments.styles or main_styles()
    photographs = arguments.photos or [asset(f"photos/val/{name}.jpg") for name in PHOTOGRAPHS]
    try:
        picture = gallery(styles, photographs, arguments.painted, arguments.shown)
        write_picture(arguments.output, picture, quality=QUALITY)
        for style in styles if arguments.cards else ():
            picture = card(style, photographs[0], arguments.painted, CARD)
            write_picture(arguments.cards / f"card_{style}.jpg", picture, quality=QUALITY)
    except ValueError as error:
        print(f"make_gallery: {error}", file=sys.stderr)
        return 2
    print(arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())

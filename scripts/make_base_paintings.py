"""Make many paintings to train a base network on, from this repository alone.

    python scripts/make_base_paintings.py OUT [--count N] [--seed S]

Half of them are variants of the shipped paintings: parts of them, turned, mirrored and in other
colours. The other half is drawn: by the simple generators of scripts/paintings, each time with
another palette, and by those of the shipped paintings with another seed. The same count and seed
make the same files. A file that is there already is left as it is.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from draw_paintings import NAMES, STYLES
from paintings import brushed, drawn, flowing, pieced
from paintings.variants import fitted, recoloured, variant
from PIL import Image

from fast_style.system.atomic import write_atomically

GENERATORS: tuple[Callable[[np.random.Generator], Image.Image], ...] = (
    brushed.impasto, drawn.pencil, pieced.facets, flowing.marbling, brushed.watercolour,
    drawn.halftone, pieced.triangles, brushed.points, drawn.crayon, flowing.batik, brushed.knife,
    pieced.weave, drawn.engraving, flowing.grain, brushed.drips, pieced.bricks, drawn.calligraphy,
)  # fmt: skip


def redrawn(name: str, rng: np.random.Generator) -> Image.Image:
    """Returns one of the project's own paintings, drawn with another seed, in other colours."""
    painting = importlib.import_module(f"paintings.{name}").draw(seed=int(rng.integers(10**6)))
    return recoloured(painting, rng)


def make(number: int, seed: int) -> tuple[str, Callable[[], Image.Image]]:
    """Returns the name of one of the paintings, and what makes it; two calls make the same.

    Args:
        number: Its place in the row: kinds take turns, so that a small count has many of them.
        seed: The seed of the whole row.
    """
    rng = np.random.default_rng([seed, number])
    turn = number // 2
    if number % 2 == 0:
        shipped = sorted(STYLES.glob("*.jpg"))
        path = shipped[turn % len(shipped)]
        return f"variant-{path.stem}", lambda: variant(Image.open(path), rng)
    kinds = len(GENERATORS) + 1
    if turn % kinds == len(GENERATORS):
        name = NAMES[turn // kinds % len(NAMES)]
        return f"redrawn-{name}", lambda: fitted(redrawn(name, rng))
    paint = GENERATORS[turn % kinds]
    return f"drawn-{paint.__name__}", lambda: fitted(paint(rng))


def main() -> None:
    """Make the paintings that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, metavar="OUT", help="folder; made if there is none")
    parser.add_argument("--count", type=int, default=240, metavar="N", help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="(%(default)s)")
    arguments = parser.parse_args()
    if arguments.count < 1:
        parser.error(f"--count is {arguments.count}; it must be 1 or more")
    if arguments.seed < 0:
        parser.error(f"--seed is {arguments.seed}; it must be 0 or more")
    arguments.output.mkdir(parents=True, exist_ok=True)
    for number in range(arguments.count):
        name, paint = make(number, arguments.seed)
        path = arguments.output / f"{name}-{number:04d}.jpg"
        if not path.exists():
            with write_atomically(path) as temporary:
                paint().save(temporary, "JPEG", quality=93)
            print(path, flush=True)


if __name__ == "__main__":
    main()

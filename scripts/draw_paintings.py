"""Draw the project's own five paintings, the same each time; half a minute.

    python scripts/draw_paintings.py [--output DIR] [NAME...]

Without names it draws all: woodblock, glass, ink, mosaic and geometric. Each is a JPEG of 640 x 512
px. They are made with NumPy's seeded generators and Pillow, and nothing else.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

NAMES = ("woodblock", "glass", "ink", "mosaic", "geometric")
STYLES = Path(__file__).parents[1] / "fast_style" / "assets" / "styles"


def main() -> None:
    """Draw the paintings that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--output", type=Path, default=STYLES, help="folder (%(default)s)")
    arguments = parser.parse_args()
    for name in arguments.names or NAMES:
        if name not in NAMES:
            parser.error(f"no painting is called {name}")
        painting = importlib.import_module(f"paintings.{name}").draw()
        path = arguments.output / f"{name}.jpg"
        painting.save(path, quality=92)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()

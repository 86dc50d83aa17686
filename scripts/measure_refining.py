"""Measure what refining a network's picture is worth (`stylize --refine N`).

    python scripts/measure_refining.py starry --photos data/coco/train2017 --first 2

Prints for each photograph how many evaluations of L-BFGS from noise are as good as the picture that
`stylize` writes, and as that picture after 10, 20 and 30 steps of refining. All are judged by the
loss that the network was trained with. These are figures of docs/research/optimising.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fast_style.evaluate import yardstick
from fast_style.images.picture import Picture
from fast_style.images.reading import read_crop, read_style
from fast_style.models.losses import PerceptualLoss
from fast_style.optimizing.comparison import equivalent_iterations, measure_optimizer, scalars
from fast_style.optimizing.refinement import Refiner
from fast_style.optimizing.start_picture import start_picture
from fast_style.painting.any_style import paint_job
from fast_style.painting.style import load
from fast_style.training.photographs import centre_box, find_photographs

STEPS = (0, 10, 20, 30)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("model", help="a style model, or a released style")
    parser.add_argument("--photos", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--first", type=int, default=2, help="how many of them (%(default)s)")
    parser.add_argument("--size", type=int, default=256, help="of the squares, px (%(default)s)")
    parser.add_argument(
        "--evaluations", type=int, default=200, help="from noise, at most (%(default)s)"
    )
    parser.set_defaults(loss=None, style=None, style_size=None, vgg_weights=None)
    options = parser.parse_args(argv)
    style = load(options.model)
    judge = yardstick({options.model: style}, options)
    loss = PerceptualLoss(read_style(judge["image"], judge["size"]), **judge["loss"])
    titles = "".join(f"{f'+ {steps}':>8}" if steps else f"{'written':>8}" for steps in STEPS)
    print(f"{'photograph':32}{titles}")
    for path in find_photographs(options.photos)[: options.first]:
        content = read_crop(path, options.size, centre_box)[None]
        totals = []
        for steps in STEPS:
            job = paint_job({})._replace(refine=Refiner(steps) if steps else None)
            painted = style.stylize(Picture(content, None), job).levels
            totals.append(scalars(loss, painted, content)["loss"])
        noise = start_picture("noise", content, [], seed=0)
        run = measure_optimizer(
            loss, content, noise, options.evaluations, min(totals), lambda evaluation: None
        )
        counts = [equivalent_iterations(run["best_loss"], total) for total in totals]
        most = f"> {options.evaluations}"
        print(f"{path.name[:31]:32}" + "".join(f"{most if n is None else n:>8}" for n in counts))
    return 0


if __name__ == "__main__":
    sys.exit(main())

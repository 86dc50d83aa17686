"""Measure the errors of style models on photographs; ten seconds a model and 12 photographs.

    python scripts/measure_errors.py starry --photos fast_style/assets/photos/val

Prints the unweighted errors of a loss (`balanced`) against a painting (*The Starry Night*), of the
pictures that `stylize` writes by default. They are means over the photographs: of each the largest
square in the middle, at 256 px. The column
`spread` says how far light and dark lie apart on the large scale.

Of several models it also prints how much each one's loss differs from the first one's. That tells
finer differences than the means do, since photographs differ more than models. These are figures of
docs/research and docs/reference/styles.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from fast_style.cli.loss_options import preset_names
from fast_style.evaluate import yardstick
from fast_style.images.color import statistics
from fast_style.images.reading import read_crop, read_style
from fast_style.models.losses import PerceptualLoss
from fast_style.models.palette import cell_means
from fast_style.painting.style import Style, load
from fast_style.system.precision import exact_float32
from fast_style.system.resources import asset
from fast_style.training.photographs import centre_box, find_photographs


def errors(
    loss: PerceptualLoss, painted: list[Tensor], photographs: list[Tensor]
) -> dict[str, Tensor]:
    """Return every scalar of the loss, ``(N,)``, for N photographs, ``(1, 3, H, W)`` each."""
    with torch.no_grad(), exact_float32(photographs[0].device):
        scalars = [loss(*pair).scalars() for pair in zip(painted, photographs, strict=True)]
    return {name: torch.stack([s[name] for s in scalars]) for name in scalars[0]}


def change(losses: Tensor, first: Tensor) -> str:
    """Return the mean logarithm of the ratio of two models' losses, in percent.

    With its standard error, if there are photographs enough to tell: both ``(N,)``.
    """
    ratios = 100 * (losses / first).log()
    text = f"{float(ratios.mean()):+.1f}"
    if len(ratios) > 1:
        text += f" +- {float(ratios.std()) / len(ratios) ** 0.5:.1f}"
    return f"{text} %"


def spread(pictures: list[Tensor]) -> float:
    """Return how far light and dark lie apart on the large scale, in levels of 255.

    The standard deviation of the mean colours of 16 x 16 px, along the direction in which they
    differ most.
    """
    _, root = statistics(cell_means(torch.cat(pictures)))
    return 255 * float(torch.linalg.eigvalsh(root.cpu())[-1])


def paint(style: Style, alone: bool, photograph: Tensor) -> Tensor:
    """Return what `stylize` writes of a photograph by default, or what the network alone makes."""
    return style.paint(photograph) if alone else style(photograph)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("models", nargs="+", help="style models, or names of released styles")
    parser.add_argument("--photos", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--first", type=int, default=12, help="how many of them (%(default)s)")
    parser.add_argument("--size", type=int, default=256, help="of the squares, px (%(default)s)")
    parser.add_argument("--style", type=Path, default=asset("styles/starry.jpg"), help="painting")
    parser.add_argument("--style-size", type=int, help="its shorter side, px (the models' own)")
    parser.add_argument("--loss", choices=preset_names(), default="balanced", help="(balanced)")
    parser.set_defaults(vgg_weights=None)
    parser.add_argument(
        "--alone", action="store_true", help="the networks alone: no grain, no margin, no palette"
    )
    arguments = parser.parse_args(argv)
    try:
        files = find_photographs(arguments.photos)[: arguments.first]
        photographs = [read_crop(file, arguments.size, centre_box)[None] for file in files]
        styles = {name: load(name) for name in arguments.models}
        judge = yardstick(styles, arguments)
        painting = read_style(judge["image"], judge["size"])
        painters: dict[str, Callable[[Tensor], Tensor]] = {
            name: partial(paint, style, arguments.alone) for name, style in styles.items()
        }
    except ValueError as error:
        print(f"measure_errors: {error}", file=sys.stderr)
        return 2
    loss = PerceptualLoss(painting, **judge["loss"])
    names = ["content_error", "style_error", *[f"style_error/{k}" for k in loss.style_weights]]
    titles = [name.removeprefix("style_error/") for name in names]
    print(f"{'model':40}", *(f"{title:>14}" for title in (*titles, "spread")))
    losses: dict[str, Tensor] = {}
    for model, painter in {"unstylised": lambda photo: photo, **painters}.items():
        painted = [painter(photograph) for photograph in photographs]
        found = errors(loss, painted, photographs)
        losses[model] = found["loss"]
        figures = [f"{float(found[name].mean()):14.3f}" for name in names]
        print(f"{model[-40:]:40}", *figures, f"{spread(painted):14.1f}")
    print(f"{'the painting':40}", *[" " * 14] * len(names), f"{spread([painting]):14.1f}")
    first, *others = painters
    for model in others:
        print(f"loss of {model} over that of {first}: {change(losses[model], losses[first])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

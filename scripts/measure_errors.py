"""Measure style models on photographs: the figures of docs/losses.md and checkpoints/README.md.

    python scripts/measure_errors.py starry --photos fast_style/assets/photos/val

Prints the errors of `loss=balanced`, or another loss, against *The Starry Night*, or another
painting, relative and unweighted, means over the photographs (the largest square in the middle of
each, at 256 px), and how far light and dark lie apart on the large scale. Of several models, also
by how much each one's loss differs from the first one's: finer than the means, since photographs
differ more than models.
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
from fast_style.painting.controls import Controls
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


def paint(style: Style, palette: float, photograph: Tensor) -> Tensor:
    """Return what the network alone makes of a photograph, brought to its palette."""
    painted = style.paint(photograph)
    return style.palette.shifted(painted, palette) if palette and style.palette else painted


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("models", nargs="+", help="style models, or names of released styles")
    parser.add_argument("--photos", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--first", type=int, default=12, help="how many of it (%(default)s)")
    parser.add_argument("--size", type=int, default=256, help="px (%(default)s)")
    parser.add_argument("--style", type=Path, default=asset("styles/starry.jpg"))
    parser.add_argument("--style-size", type=int, help="px (the models' own)")
    parser.add_argument("--loss", choices=preset_names(), default="balanced")
    parser.set_defaults(vgg_weights=None)
    parser.add_argument(
        "--palette", type=float, default=0.0, help="as stylize's; 0 is the network (%(default)s)"
    )
    arguments = parser.parse_args(argv)
    try:
        files = find_photographs(arguments.photos)[: arguments.first]
        photographs = [read_crop(file, arguments.size, centre_box)[None] for file in files]
        Controls(palette=arguments.palette).check()
        styles = {name: load(name) for name in arguments.models}
        judge = yardstick(styles, arguments)
        painting = read_style(judge["image"], judge["size"])
        painters: dict[str, Callable[[Tensor], Tensor]] = {
            name: partial(paint, style, arguments.palette) for name, style in styles.items()
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

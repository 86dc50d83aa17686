"""python -m fast_style.reconstruct content|style IMAGE -o FIGURE: what VGG16's layers keep."""

from __future__ import annotations

import argparse
import string
import sys
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from fast_style.cli.command import (
    add_common_options,
    add_optimizer_options,
    check_output,
    check_seed,
    end,
)
from fast_style.cli.console import show, usable_streams
from fast_style.cli.loss_options import LAYER_HELP
from fast_style.cli.parser import Parser, path_argument
from fast_style.cli.progress_bar import Bar
from fast_style.images.picture import long_side_size, resize
from fast_style.images.reading import read_picture
from fast_style.images.tensor_checks import check_image
from fast_style.images.writing import write_picture
from fast_style.models.losses import NORMALIZATIONS, PerceptualLoss
from fast_style.models.vgg import canonical_layer, smallest_side
from fast_style.optimizing.descent import Evaluation, optimize_pixels
from fast_style.optimizing.start_picture import check_size_fits, start_picture
from fast_style.painting.sheet import sheet
from fast_style.system.devices import resolve_device
from fast_style.system.memory import keep_freed_memory
from fast_style.system.messages import command

PROGRAM = "reconstruct"
RECONSTRUCTION_KINDS = ("content", "style")
# The figure of Gatys et al. 2015, who call them conv1_1 and so on.
DEFAULT_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


class Column(NamedTuple):
    """One reconstruction: its label, and the layers it is made from."""

    label: str
    layers: list[str]


def parser() -> argparse.ArgumentParser:
    """Return the command's arguments."""
    result = Parser(
        prog=command(PROGRAM),
        description="Reconstruct a picture from noise: from its content features at single layers, "
        "or from its style up to each layer.",
    )
    result.add_argument(
        "kind",
        choices=RECONSTRUCTION_KINDS,
        help="content: what is where, from one layer at a time; style: texture, from the Gram "
        "matrices up to each layer",
    )
    result.add_argument(
        "image", metavar="IMAGE", type=path_argument, help="the photograph or painting to rebuild"
    )
    result.add_argument(
        "-o",
        "--output",
        metavar="FIGURE",
        type=path_argument,
        required=True,
        help="the labelled figure; each reconstruction is written beside it, FIGURE_a_relu1_1 ...",
    )
    result.add_argument(
        "--layers",
        nargs="+",
        default=list(DEFAULT_LAYERS),
        metavar="LAYER",
        help=f"{LAYER_HELP} ({' '.join(DEFAULT_LAYERS)})",
    )
    result.add_argument(
        "--size", type=int, default=256, metavar="PX", help="longer side (%(default)s)"
    )
    result.add_argument(
        "--normalization",
        choices=NORMALIZATIONS,
        default="relative",
        help="of the errors (%(default)s)",
    )
    result.add_argument(
        "--total-variation-weight",
        type=float,
        default=0.0,
        metavar="W",
        help="against noise (%(default)g)",
    )
    add_optimizer_options(result, steps=500)
    add_common_options(result)
    return result


def columns(kind: str, layers: Sequence[str]) -> list[Column]:
    """Return the reconstructions: single layers of content, growing sets of style.

    Raises:
        ValueError: An unknown layer, or one named twice.
    """
    names = [canonical_layer(layer) for layer in layers]
    if len(set(names)) < len(names):
        raise ValueError(f"--layers names a layer twice: {' '.join(layers)}")
    result = []
    for index, layer in enumerate(layers):
        letter = string.ascii_lowercase[index]
        if kind == "content":
            result.append(Column(f"{letter}: {layer}", [names[index]]))
        else:
            plus = "+ " if index else ""
            result.append(Column(f"{letter}: {plus}{layer}", names[: index + 1]))
    return result


def reconstruction_loss(
    kind: str, image: Tensor, layers: list[str], normalization: str, total_variation_weight: float
) -> PerceptualLoss:
    """Return the loss whose minimum is the reconstruction of ``image``, ``(1, 3, H, W)``.

    Raises:
        ValueError: As ``PerceptualLoss``.
    """
    weights = [1.0] * len(layers)
    content, style = (weights, []) if kind == "content" else ([], weights)
    return PerceptualLoss(
        image,
        content_layers=layers if content else [],
        style_layers=layers if style else [],
        content_layer_weights=content,
        style_layer_weights=style,
        total_variation_weight=total_variation_weight,
        normalization=normalization,
    )


def psnr(found: Tensor, expected: Tensor) -> float:
    """Return the peak signal-to-noise ratio of two pictures in [0, 1], dB."""
    return float(-10 * torch.log10((found - expected).square().mean()))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 2 for wrong use, or 130 if interrupted."""
    usable_streams()
    options = parser().parse_args(argv)
    return end(PROGRAM, lambda: _run_reconstruct(options))


def _single(figure: Path, column: Column) -> Path:
    """Return the path of a single reconstruction, beside the figure."""
    name = f"{figure.stem}_{column.label[0]}_{column.label.split()[-1]}{figure.suffix}"
    return figure.with_name(name)


def _run_reconstruct(options: argparse.Namespace) -> int:
    figure: Path = options.output
    check_output(figure, options.overwrite, [options.image])
    todo = columns(options.kind, options.layers)
    singles = [_single(figure, column) for column in todo]
    for single in singles:
        check_output(single, options.overwrite, [options.image])
    check_seed(options.seed)
    if options.size < 1:
        raise ValueError(f"--size must be at least 1 px, found {options.size}")
    device = resolve_device(options.device)
    read = read_picture(options.image).rgb
    size = long_side_size(read, options.size)
    check_size_fits(*size, device)
    keep_freed_memory()
    image = resize(read, *size)
    check_image(image, smallest_side(layer for column in todo for layer in column.layers))
    targets_on_device = image.to(device)
    start = start_picture("noise", targets_on_device, [], options.seed)
    done: list[Tensor] = []
    shown = True
    for column in todo:
        loss = reconstruction_loss(
            options.kind,
            image,
            column.layers,
            options.normalization,
            options.total_variation_weight,
        ).to(device)
        targets = loss.content_targets(targets_on_device)
        first: dict[str, float] = {}
        last: dict[str, float] = {}
        bar = Bar(f"{PROGRAM} {options.kind} {column.label}", options.steps)

        def report(evaluation: Evaluation) -> None:
            first.update(first or evaluation.scalars)  # noqa: B023, called within this turn
            last.update(evaluation.best_scalars)  # noqa: B023
            bar.show(evaluation.number, last)  # noqa: B023

        with closing(bar):
            best = optimize_pixels(
                partial(loss.compare, targets=targets),
                start,
                options.steps,
                options.optimizer,
                report,
            ).cpu()
        done.append(best)
        write_picture(_single(figure, column), best, replace=options.overwrite)
        share = last["loss"] / first["loss"]
        result = f"{column.label}: {share:.2g} of noise's loss, PSNR {psnr(best, image):.1f} dB"
        shown &= show(PROGRAM, result)
    labels = [*(column.label for column in todo), "the picture"]
    write_picture(figure, sheet([[*done, image]], labels), replace=options.overwrite)
    return 0 if show(PROGRAM, figure) and shown else 1


if __name__ == "__main__":
    sys.exit(main())

"""python -m fast_style.optimize CONTENT STYLE -o OUT: paint by optimising pixels (Gatys et al.)."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fast_style.cli.command import (
    add_common_options,
    add_optimizer_options,
    check_output,
    check_seed,
    end,
)
from fast_style.cli.console import INTERRUPTED, say, show, usable_streams
from fast_style.cli.loss_options import add_loss_options, loss_arguments
from fast_style.cli.parser import Parser, path_argument
from fast_style.cli.progress_bar import Bar
from fast_style.images.color import keep_color, match_color
from fast_style.images.formats import WRITABLE
from fast_style.images.limits import SMALLEST_SIDE
from fast_style.images.picture import PictureError, long_side_size, resize
from fast_style.images.reading import read_clip, read_style
from fast_style.images.writing import write_picture
from fast_style.models.losses import PerceptualLoss
from fast_style.models.style_file import ModelFileError
from fast_style.optimizing.descent import Evaluation, optimize_pixels
from fast_style.optimizing.start_picture import (
    INITS,
    check_size_fits,
    start_picture,
)
from fast_style.painting.options import PRESERVE_COLOR
from fast_style.painting.style import Style, load
from fast_style.system.devices import resolve_device
from fast_style.system.memory import TooLittleMemoryError, is_out_of_memory, keep_freed_memory
from fast_style.system.messages import command

PROGRAM = "optimize"


class Job(NamedTuple):
    """What to optimise, checked and read."""

    content: Tensor  # (1, 3, H, W) as read
    alpha: Tensor | None
    styles: list[Path]
    style_shares: list[float]
    loss: dict[str, Any]
    sizes: list[int]  # px, longer side, coarse to fine
    network: Style | None  # that paints the picture to begin from


def parser() -> argparse.ArgumentParser:
    """Return the command's arguments."""
    result = Parser(
        prog=command(PROGRAM),
        description="Paint a photograph in the manner of a painting by optimising its pixels.",
    )
    result.add_argument("content", metavar="CONTENT", type=path_argument, help="the photograph")
    result.add_argument(
        "painting", metavar="STYLE", type=path_argument, nargs="?", help="the painting"
    )
    result.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        type=path_argument,
        required=True,
        help=f"the picture to write; its extension says the type: {', '.join(WRITABLE)}",
    )
    result.add_argument(
        "--save-every",
        type=int,
        metavar="N",
        help="also write OUT_00050 and so on, after every N steps",
    )
    _add_painting_options(result)
    _add_size_options(result)
    result.add_argument(
        "--init",
        default="content",
        metavar="START",
        help=f"where to begin: {', '.join(INITS)}, or a released style or style model, whose "
        "picture is finished (%(default)s)",
    )
    add_optimizer_options(result, steps=300)
    add_common_options(result)
    add_loss_options(result)
    result.add_argument(
        "--style-weight",
        type=float,
        nargs="+",
        metavar="W",
        help="one number multiplies all style layers; with several paintings one for each says "
        "how they are mixed",
    )
    return result


def _add_painting_options(result: argparse.ArgumentParser) -> None:
    result.add_argument(
        "--style",
        metavar="STYLE",
        type=path_argument,
        action="append",
        default=[],
        help="another painting; may be repeated",
    )
    result.add_argument(
        "--style-scale",
        type=float,
        default=1.0,
        metavar="F",
        help="shorter side of the paintings as a multiple of the picture's: larger gives larger "
        "strokes (%(default)s)",
    )
    result.add_argument(
        "--preserve-color",
        nargs="?",
        const="luminance",
        choices=PRESERVE_COLOR,
        help="keep the photograph's colours: only the luminance is painted; or the painting's "
        "colours are matched to the photograph's",
    )


def _add_size_options(result: argparse.ArgumentParser) -> None:
    result.add_argument(
        "--size", type=int, default=512, metavar="PX", help="longer side of OUT (%(default)s)"
    )
    result.add_argument(
        "--scales",
        type=int,
        nargs="+",
        metavar="PX",
        help="longer sides, coarse to fine; each starts from the last, --steps each",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 1 if a picture could not be written, 2 for wrong use, or 130."""
    usable_streams()
    options = parser().parse_args(argv)
    return end(PROGRAM, lambda: _run_optimize(options))


def read_job(options: argparse.Namespace) -> Job:
    """Check the options and read the photograph.

    Raises:
        ValueError: An option can't be used, or a picture can't be read.
    """
    styles = _paintings(options)
    if not styles:
        raise ValueError("no painting: give STYLE, or --style once or more")
    sizes = options.scales or [options.size]
    if min(sizes) < SMALLEST_SIDE or sizes != sorted(set(sizes)):
        raise ValueError(
            f"sizes must be {SMALLEST_SIDE} px or more, growing; found {' '.join(map(str, sizes))}"
        )
    if not 0 < options.style_scale < math.inf:
        raise ValueError(f"--style-scale must be a number above 0, found {options.style_scale}")
    if options.save_every is not None and options.save_every < 1:
        raise ValueError(f"--save-every must be at least 1, found {options.save_every}")
    check_seed(options.seed)
    loss, shares = loss_arguments(options), [1.0] * len(styles)
    if options.style_weight is not None and len(options.style_weight) == 1:
        loss["style_weight"] = options.style_weight[0]
    elif options.style_weight is not None:
        shares = options.style_weight
        if len(shares) != len(styles):
            raise ValueError(
                f"--style-weight needs one number, or one for each of {len(styles)} paintings; "
                f"found {len(shares)}"
            )
    network = None if options.init in INITS else _network(options)
    clip = read_clip(options.content, still=True)
    if clip.remark:
        say(PROGRAM, f"{options.content} {clip.remark}")
    picture = clip.frames[0]
    return Job(picture.rgb, picture.alpha, styles, shares, loss, sizes, network)


def _network(options: argparse.Namespace) -> Style:
    """Return the style whose picture is the start.

    Raises:
        ValueError: There is none of that name.
    """
    try:
        return load(options.init, options.device)
    except ModelFileError as error:
        known = ", ".join(INITS)
        raise ValueError(f"--init is {known} or a style model: {error}") from error


def _run_optimize(options: argparse.Namespace) -> int:
    output: Path = options.output
    inputs = [options.content, *_paintings(options)]
    check_output(output, options.overwrite, inputs)
    job, device = read_job(options), resolve_device(options.device)
    for number in range(options.save_every or 1, options.steps * len(job.sizes) + 1):
        if options.save_every and number % options.save_every == 0:
            check_output(_numbered(output, number), options.overwrite, inputs)
    for size in job.sizes:
        check_size_fits(*long_side_size(job.content, size), device)
    keep_freed_memory()
    best: Tensor | None = None
    done = 0  # evaluations of the earlier scales
    code = 0
    bar = Bar(PROGRAM, options.steps * len(job.sizes))

    def report(evaluation: Evaluation) -> None:
        nonlocal best, code
        best = evaluation.best
        number = done + evaluation.number
        bar.show(number, evaluation.best_scalars)
        if options.save_every and number % options.save_every == 0:
            try:
                _write_result(_numbered(output, number), best, job, options)
            except PictureError as error:  # the work goes on for the result
                code = 1
                say(PROGRAM, error)

    with closing(bar):
        try:
            for size in job.sizes:
                best = _optimize_scale(job, size, best, device, report, options)
                done += options.steps
        except (KeyboardInterrupt, MemoryError, RuntimeError, ValueError) as error:
            interrupted = isinstance(error, KeyboardInterrupt)
            too_large = isinstance(error, TooLittleMemoryError | PictureError)  # the next scale
            if best is None or not (interrupted or too_large or is_out_of_memory(error)):
                raise
            reason = "interrupted" if interrupted else "out of memory"
            if isinstance(error, PictureError):
                reason = str(error)
            height, width = best.shape[-2:]
            bar.close()
            say(
                PROGRAM,
                f"{reason} after step {bar.number}: the best picture so far is written, "
                f"{width} x {height} px",
            )
            code = INTERRUPTED if interrupted else 2
    assert best is not None
    _write_result(output, best, job, options)
    shown = show(PROGRAM, output)
    return code or (0 if shown else 1)


def _optimize_scale(
    job: Job,
    size: int,
    best: Tensor | None,
    device: torch.device,
    report: Callable[[Evaluation], None],
    options: argparse.Namespace,
) -> Tensor:
    """Return the best picture with a longer side of ``size`` px, begun from the last scale's."""
    content = resize(job.content, *long_side_size(job.content, size)).to(device)
    side = max(SMALLEST_SIDE, round(min(content.shape[-2:]) * options.style_scale))
    styles = [read_style(path, side).to(device) for path in job.styles]
    height, width = content.shape[-2:]
    check_size_fits(height, width, device)
    if options.preserve_color == "match":
        styles = [match_color(style, content) for style in styles]
    loss = PerceptualLoss(
        [style.cpu() for style in styles], **job.loss, style_shares=job.style_shares
    ).to(device)
    compare = partial(loss.compare, targets=loss.content_targets(content))
    if best is not None:
        start = resize(best, height, width)
    elif job.network is not None:
        start = job.network(content)
    else:
        start = start_picture(options.init, content, styles, options.seed)
    return optimize_pixels(compare, start, options.steps, options.optimizer, report)


def _paintings(options: argparse.Namespace) -> list[Path]:
    return [path for path in [options.painting, *options.style] if path is not None]


def _numbered(output: Path, number: int) -> Path:
    return output.with_name(f"{output.stem}_{number:05d}{output.suffix}")


def _write_result(path: Path, rgb: Tensor, job: Job, options: argparse.Namespace) -> None:
    rgb = rgb.cpu()
    size = rgb.shape[-2:]
    if options.preserve_color == "luminance":
        rgb = keep_color(rgb, resize(job.content, *size))
    alpha = None if job.alpha is None else resize(job.alpha, *size)
    write_picture(path, rgb, alpha, replace=options.overwrite)


if __name__ == "__main__":
    sys.exit(main())

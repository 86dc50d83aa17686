"""python -m fast_style.evaluate CKPT... --content DIR: networks against optimising the picture."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

from fast_style.cli.command import add_common_options, check_output, check_seed, end
from fast_style.cli.console import INTERRUPTED, say, show, usable_streams
from fast_style.cli.loss_options import load_preset, preset_names
from fast_style.cli.parser import Parser, path_argument
from fast_style.cli.progress_bar import Bar
from fast_style.images.checks import SMALLEST_SIDE
from fast_style.images.picture import PictureError
from fast_style.images.reading import picture_size, read_crop, read_style
from fast_style.models.losses import PerceptualLoss
from fast_style.optimizing.comparison import (
    equivalent_iterations,
    measure_network,
    measure_optimizer,
    scalars,
)
from fast_style.optimizing.comparison_report import MARKS, STARTS, plot, summarize, write_json
from fast_style.optimizing.start_picture import check_size_fits, start_picture
from fast_style.painting.style import Style, load
from fast_style.system.atomic import check_free
from fast_style.system.devices import resolve_device
from fast_style.system.memory import keep_freed_memory
from fast_style.system.messages import command, install
from fast_style.system.paths import is_file, is_folder, user_path
from fast_style.system.resources import asset
from fast_style.training.photographs import centre_box, find_photographs

PROGRAM = "evaluate"
SQUARE_SIZES = (256, 512, 1024)  # px


def parser() -> argparse.ArgumentParser:
    """Return the command's arguments."""
    result = Parser(
        prog=command(PROGRAM),
        description="Measure style models on photographs against L-BFGS on the same loss: how many "
        "evaluations of it the optimiser needs for a result as good.",
    )
    result.add_argument("models", metavar="CKPT", nargs="+", help="style models, or released names")
    _add_photograph_options(result)
    _add_optimizer_options(result)
    result.add_argument(
        "-o",
        "--output",
        metavar="JSON",
        type=path_argument,
        default=Path("evaluation.json"),
        help="all figures; the plot is written beside it (%(default)s)",
    )
    _add_yardstick_options(result)
    add_common_options(result)
    return result


def _add_photograph_options(result: argparse.ArgumentParser) -> None:
    result.add_argument(
        "--content",
        metavar="DIR",
        type=path_argument,
        required=True,
        help="photographs never trained on",
    )
    result.add_argument(
        "--photographs",
        type=int,
        default=10,
        metavar="N",
        help="the first N of DIR by name, the largest square of each (%(default)s)",
    )
    result.add_argument(
        "--size",
        type=int,
        nargs="+",
        default=list(SQUARE_SIZES),
        metavar="PX",
        help=f"sides of the squares ({' '.join(map(str, SQUARE_SIZES))})",
    )


def _add_optimizer_options(result: argparse.ArgumentParser) -> None:
    result.add_argument(
        "--evaluations",
        type=int,
        default=MARKS[-1],
        metavar="N",
        help="of the loss, by the optimiser, at most (%(default)s)",
    )
    result.add_argument(
        "--until-reached",
        action="store_true",
        help="stop the optimiser once it is as good as every model",
    )
    result.add_argument(
        "--starts",
        nargs="+",
        choices=STARTS,
        default=list(STARTS),
        help="what the optimiser starts from (both; the paper's is noise)",
    )
    result.add_argument("--seed", type=int, default=0, help="of the noise (%(default)s)")


def _add_yardstick_options(result: argparse.ArgumentParser) -> None:
    result.add_argument(
        "--loss", choices=preset_names(), help="judge by this, not by the models' own loss"
    )
    result.add_argument(
        "--style", metavar="IMAGE", type=path_argument, help="the painting, if not packaged"
    )
    result.add_argument(
        "--style-size", type=int, metavar="PX", help="its shorter side (the models' own)"
    )
    result.add_argument(
        "--vgg-weights", metavar="WEIGHTS", help="bundled, torchvision or a file (the models' own)"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 2 for wrong use, or 130 if interrupted."""
    usable_streams()
    options = parser().parse_args(argv)
    return end(PROGRAM, lambda: _run_evaluate(options))


def yardstick(styles: dict[str, Style], options: argparse.Namespace) -> dict[str, Any]:
    """Return what to judge all models by: the loss's arguments, the painting's path and size.

    Raises:
        ValueError: The models do not share it, and no option says which.
    """
    found: dict[str, Any] = {}
    headers = {name: style.description for name, style in styles.items()}
    wanted = {
        "loss": options.loss and load_preset(options.loss),
        "image": options.style and str(options.style),
        "size": options.style_size,
    }
    for key, given in wanted.items():
        own = {
            name: header.get("loss") if key == "loss" else header["style"].get(key)
            for name, header in headers.items()
        }
        found[key] = next(iter(own.values())) if given is None else given
        option = {"loss": "--loss", "image": "--style", "size": "--style-size"}[key]
        if found[key] is None:
            raise ValueError(f"{next(iter(own))} does not say its {key}; give {option}")
        different = [name for name in own if own[name] != found[key]]
        if given is None and different:
            raise ValueError(
                f"{different[0]} was trained with {key} {own[different[0]]}, "
                f"{next(iter(own))} with {found[key]}; say by {option} which to judge by"
            )
    path = asset("styles") / str(found["image"])
    found["image"] = path if options.style is None and is_file(path) else user_path(found["image"])
    if not is_file(found["image"]):
        raise ValueError(f"there is no painting {found['image']}; give it as --style PATH")
    if options.vgg_weights is not None:
        found["loss"] = {**found["loss"], "vgg_weights": options.vgg_weights}
    fingerprint = sha256(Path(found["image"]).read_bytes()).hexdigest()
    for name, header in headers.items():
        if options.style is None and header["style"].get("sha256", fingerprint) != fingerprint:
            raise ValueError(
                f"{name} was trained on another picture than {found['image']}; say by --style "
                "which to judge by"
            )
    return found


def _run_evaluate(options: argparse.Namespace) -> int:
    output: Path = options.output
    if output.suffix != ".json":
        raise ValueError(f"-o names the JSON file, NAME.json; found {output}")
    check_free(output, options.overwrite)
    check_output(output.with_suffix(".png"), options.overwrite, [options.style or output])
    if options.photographs < 1 or options.evaluations < 1:
        raise ValueError("--photographs and --evaluations must be at least 1")
    if min(options.size) < SMALLEST_SIDE:
        raise ValueError(f"--size must be at least {SMALLEST_SIDE} px, found {min(options.size)}")
    check_seed(options.seed)
    device = resolve_device(options.device)
    styles = {str(model): load(model, options.device) for model in options.models}
    judge = yardstick(styles, options)
    painting = read_style(judge["image"], judge["size"])
    if not is_folder(options.content):
        raise ValueError(f"there is no folder {options.content}; --content names photographs")
    files = _readable(find_photographs(options.content), options.photographs)
    if len(files) < options.photographs:
        say(PROGRAM, f"{options.content} holds {len(files)} readable photographs only")
    small = sum(min(picture_size(file)) < max(options.size) for file in files)
    if small:
        say(PROGRAM, f"smaller than {max(options.size)} px, so enlarged: {small} photographs")
    loss = PerceptualLoss(painting, **judge["loss"]).to(device)
    for size in options.size:
        check_size_fits(size, size, device)
    keep_freed_memory()
    records: list[dict[str, Any]] = []
    code = 0
    shown = True
    try:
        for size in options.size:
            for index, file in enumerate(files, 1):
                title = f"{PROGRAM} {size} px, {index}/{len(files)}"
                records.append(_measure(file, size, styles, loss, title, options))
                replace = options.overwrite or len(records) > 1  # then the file is this run's own
                write_json(output, judge, options, records, replace)
            own = [record for record in records if record["size"] == size]
            table = summarize(own, list(styles), options.evaluations)
            shown &= show(PROGRAM, table, end="\n\n")
    except KeyboardInterrupt:
        if not records:
            raise
        code = INTERRUPTED
        say(PROGRAM, f"interrupted; what was measured until then is in {output}")
    try:
        plot(records, list(styles), output.with_suffix(".png"), options.overwrite)
    except ImportError:
        say(PROGRAM, f"no plot: it needs matplotlib, {install('plot')}")
    shown &= show(PROGRAM, output)
    return code or (0 if shown else 1)


def _readable(files: Sequence[Path], most: int) -> list[Path]:
    """Return the first ``most`` photographs that can be read; say which can't."""
    found: list[Path] = []
    for file in files:
        if len(found) == most:
            break
        try:
            read_crop(file, SMALLEST_SIDE, centre_box)
        except PictureError as error:
            say(PROGRAM, f"left out: {error}")
        else:
            found.append(file)
    if not found:
        raise ValueError("not one photograph can be read")
    return found


def _measure(
    file: Path,
    size: int,
    styles: dict[str, Style],
    loss: PerceptualLoss,
    title: str,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Return all figures of one photograph at one size."""
    content = read_crop(file, size, centre_box)[None].to(loss.vgg.factor.device)
    networks = {name: measure_network(style, loss, content) for name, style in styles.items()}
    levels = [network["scalars"]["loss"] for network in networks.values()]
    runs: dict[str, Any] = {}
    for start in dict.fromkeys(options.starts):
        first = start_picture(start, content, [], options.seed)
        stop_at = min(levels) if options.until_reached else 0.0
        with closing(Bar(f"{title}, from {start}", options.evaluations, lines=1)) as bar:
            runs[start] = measure_optimizer(
                loss,
                content,
                first,
                options.evaluations,
                stop_at,
                lambda now: bar.show(now.number, now.best_scalars),
            )
    for network in networks.values():
        network["equivalent_iterations"] = {
            start: equivalent_iterations(run["best_loss"], network["scalars"]["loss"])
            for start, run in runs.items()
        }
    return {
        "size": size,
        "photograph": file.name,
        "unstylised": scalars(loss, content, content),
        "networks": networks,
        "optimizer": runs,
    }


if __name__ == "__main__":
    sys.exit(main())

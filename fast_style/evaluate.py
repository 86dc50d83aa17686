"""python -m fast_style.evaluate CKPT... --content DIR: networks against optimising the picture."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from fast_style.cli.command import add_common_options, check_output, check_seed, end
from fast_style.cli.console import INTERRUPTED, say, show, usable_streams
from fast_style.cli.evaluation_bar import EvaluationBar
from fast_style.cli.loss_options import load_preset, preset_names
from fast_style.cli.parser import Parser, path_argument
from fast_style.images.limits import SMALLEST_SIDE
from fast_style.images.picture import PictureError
from fast_style.images.reading import picture_size, read_crop, read_style
from fast_style.models.losses import PerceptualLoss
from fast_style.models.style_file import find_style_model
from fast_style.optimizing.comparison import (
    equivalent_iterations,
    measure_network,
    measure_optimizer,
    scalars,
)
from fast_style.optimizing.comparison_report import MARKS, STARTS, is_plot_of, plot, summarize
from fast_style.optimizing.figures import Figures, Square, read_figures
from fast_style.optimizing.start_picture import check_size_fits, start_picture
from fast_style.optimizing.workload import OptimizerRun, Workload
from fast_style.painting.style import Style, load
from fast_style.system.atomic import check_free, check_written
from fast_style.system.devices import resolve_device
from fast_style.system.locked_files import Claims
from fast_style.system.memory import keep_freed_memory
from fast_style.system.messages import command, install
from fast_style.system.paths import file_sha256, is_file, is_folder, user_path
from fast_style.system.resources import shipped_painting
from fast_style.system.shell import shell_join
from fast_style.training.photographs import centre_box, find_photographs

PROGRAM = "evaluate"
OVERWRITE = "--overwrite"
SQUARE_SIZES = (256, 512, 1024)  # px


def parser() -> argparse.ArgumentParser:
    """Return the command's arguments."""
    result = Parser(
        prog=command(PROGRAM),
        description="Measure the pictures that stylize writes by default against L-BFGS on the "
        "same loss: how many evaluations of it the optimiser needs for a result as good.",
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
        help="all figures; if it is there the same command goes on with it, and the plot is "
        "written beside it (%(default)s)",
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
    """Run the command; return 0, 1 if a file could not be written, 2 for wrong use, or 130."""
    usable_streams()
    words = sys.argv[1:] if argv is None else argv
    options = parser().parse_args(words)
    return end(PROGRAM, lambda: _run_evaluate(options, words))


def yardstick(styles: dict[str, Style], options: argparse.Namespace) -> dict[str, Any]:
    """Return what to judge all models by: the loss's arguments, the painting's path and size.

    Raises:
        ValueError: The models do not share it, and no option says which.
    """
    found: dict[str, Any] = {}
    headers = {name: style.description for name, style in styles.items()}
    wanted = {
        "image": options.style and str(options.style),  # first: no other option helps with it
        "loss": options.loss and load_preset(options.loss),
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
            if key == "image":
                raise ValueError(
                    f"{different[0]} was trained on another painting than {next(iter(own))}: "
                    "evaluate each by itself, or say by --style which painting to judge by"
                )
            name, theirs, ours = _first_difference(key, own[different[0]], found[key])
            raise ValueError(
                f"{different[0]} was trained with {name} {theirs}, {next(iter(own))} with {ours}; "
                f"say by {option} which to judge by"
            )
    shipped = shipped_painting(str(found["image"])) if options.style is None else None
    found["image"] = shipped or user_path(found["image"])
    if not is_file(found["image"]):
        raise ValueError(f"there is no painting {found['image']}; give it as --style PATH")
    if options.vgg_weights is not None:
        found["loss"] = {**found["loss"], "vgg_weights": options.vgg_weights}
    fingerprint = file_sha256(found["image"])
    for name, header in headers.items():
        if options.style is None and header["style"].get("sha256", fingerprint) != fingerprint:
            raise ValueError(
                f"{name} was trained on another picture than {found['image']}; say by --style "
                "which to judge by"
            )
    return found


def _first_difference(name: str, one: Any, other: Any) -> tuple[str, Any, Any]:
    """Return the name of what differs, and both values: of sections their first such key."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *other]:
            if one.get(key) != other.get(key):
                return f"{name}.{key}", one.get(key), other.get(key)
    return name, one, other


def _run_evaluate(options: argparse.Namespace, words: Sequence[str]) -> int:
    output: Path = options.output
    _check_options(options)
    _check_places(options, _earlier(options))
    device = resolve_device(options.device)
    styles = {str(model): load(model, options.device) for model in options.models}
    judge = yardstick(styles, options)
    painting = read_style(judge["image"], judge["size"])
    squares, files = _squares(options)
    settings = _settings(judge, device, options)
    loss = PerceptualLoss(painting, **judge["loss"]).to(device)
    for size in options.size:
        check_size_fits(size, size, device)
    check_written(output)  # now, not after the first hour
    keep_freed_memory()
    with closing(Claims()) as claims:
        if not claims.take(output):
            raise ValueError(
                f"another evaluation writes {output}: wait for its end, or give another file as -o"
            )
        # Read now: another evaluation may have written it while the models were loaded.
        figures = Figures(output, settings, squares, _earlier(options))
        return _Evaluation(figures, files, styles, loss, options, words).run()


def _earlier(options: argparse.Namespace) -> dict[str, Any] | None:
    """Return the figures of an earlier run, to go on with; none if there are none."""
    return None if options.overwrite else read_figures(options.output)


def _check_options(options: argparse.Namespace) -> None:
    """Check the options' values.

    Raises:
        ValueError: One can't be used.
    """
    if options.output.suffix != ".json":
        raise ValueError(f"-o names the JSON file, NAME.json; found {options.output}")
    if options.photographs < 1 or options.evaluations < 1:
        raise ValueError("--photographs and --evaluations must be at least 1")
    if min(options.size) < SMALLEST_SIDE:
        raise ValueError(f"--size must be at least {SMALLEST_SIDE} px, found {min(options.size)}")
    check_seed(options.seed)
    if not is_folder(options.content):
        raise ValueError(f"there is no folder {options.content}; --content names photographs")


def _check_places(options: argparse.Namespace, earlier: dict[str, Any] | None) -> None:
    """Check that figures and plot can be written: their names are free, or hold an earlier run's.

    Raises:
        ValueError: They can't.
    """
    output: Path = options.output
    picture = output.with_suffix(".png")
    check_free(output, options.overwrite or earlier is not None)
    is_own = earlier is not None and is_plot_of(picture, earlier)
    check_output(picture, options.overwrite or is_own, [options.style or output])


def _settings(
    judge: dict[str, Any], device: torch.device, options: argparse.Namespace
) -> dict[str, Any]:
    """Return what all figures depend on: they are gone on with only if it is the same."""
    weights = Path(judge["loss"].get("vgg_weights") or "")
    return {
        "judged": "as stylize writes it by default",
        "models": {str(one): file_sha256(find_style_model(one)) for one in options.models},
        "loss": judge["loss"],
        "vgg_weights_sha256": file_sha256(weights) if is_file(weights) else None,
        "style": {"image": judge["image"].name, "size": judge["size"]},
        "style_sha256": file_sha256(judge["image"]),
        "starts": sorted(set(options.starts)),
        "evaluations": options.evaluations,
        "until_reached": options.until_reached,
        "seed": options.seed,
        "device": str(device),
    }


def _squares(options: argparse.Namespace) -> tuple[list[Square], dict[str, Path]]:
    """Return what is to be measured, size by size, and the files of the photographs by name."""
    found = _readable(find_photographs(options.content), options.photographs)
    if len(found) < options.photographs:
        say(PROGRAM, f"{options.content} holds {len(found)} readable photographs only")
    small = sum(min(picture_size(file)) < max(options.size) for file in found)
    if small:
        say(PROGRAM, f"smaller than {max(options.size)} px, so enlarged: {small} photographs")
    files = {file.relative_to(options.content).as_posix(): file for file in found}
    hashes = {name: file_sha256(file) for name, file in files.items()}
    sizes = dict.fromkeys(options.size)
    return [Square(size, name, hashes[name]) for size in sizes for name in files], files


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


class _Evaluation:
    """Measures what is missing of ``figures``, and shows all of them.

    Args:
        figures: What is to be measured, and what is measured already.
        files: The photographs, by their names in ``figures``.
        styles: The models, by their names.
        loss: By which all are judged.
        options: Of the command line.
        words: The command line.
    """

    def __init__(
        self,
        figures: Figures,
        files: dict[str, Path],
        styles: dict[str, Style],
        loss: PerceptualLoss,
        options: argparse.Namespace,
        words: Sequence[str],
    ) -> None:
        self.figures, self.files, self.styles = figures, files, styles
        self.loss, self.options = loss, options
        self.starts = list(dict.fromkeys(options.starts))
        self.is_own = options.overwrite or figures.goes_on  # the file: else nothing is replaced
        self.unsaved: OSError | None = None  # why the last figures are not in the file
        # What goes on with it: OVERWRITE would begin anew. argparse takes its beginning, too.
        self.again = [one for one in words if one[:4] != OVERWRITE[:4]]
        self.shown: set[int] = set()  # sizes whose tables were shown
        self.printed = True

    def run(self) -> int:
        """Measure and show; return the exit code."""
        options, figures = self.options, self.figures
        todo, before = figures.todo(), figures.records()
        if before:
            kept = f"{len(before)} of {len(figures.squares)} are in {figures.path} already"
            say(PROGRAM, kept if todo else f"{kept}; --overwrite measures anew")
        runs = [OptimizerRun(square.size, start) for square in todo for start in self.starts]
        done = [
            (OptimizerRun(record["size"], start), len(run["best_loss"]))
            for record in before
            for start, run in record["optimizer"].items()
        ]
        at_most = ", at most" if options.until_reached else ""
        about = "the rest" if before else _described(todo)
        about += f"{at_most}; Ctrl-C keeps what is done"
        workload = Workload(runs, options.evaluations, done)
        interrupted = False
        with closing(EvaluationBar(PROGRAM, workload, about)) as bar:
            try:
                for number, square in enumerate(todo, 1):
                    bar.clear()
                    self._show_tables(before=square.size)
                    part = f"{square.size} px, {square.photograph}"
                    part += f" ({len(before) + number} of {len(figures.squares)})"
                    figures.add(square, self._measure(square, part, bar))
                    self._save(bar)
                    bar.end_part(part)
            except KeyboardInterrupt:
                interrupted = True
                if figures.records():
                    self._save(bar)  # it may have been between measuring and writing
                bar.close()
                self._say_how_to_go_on()
        return self._end(interrupted)

    def _save(self, bar: EvaluationBar) -> None:
        """Write the figures; if that fails, say so, and go on: there is the table at the end."""
        try:
            self.figures.save(self.is_own)
            self.is_own, self.unsaved = True, None
        except OSError as error:
            if self.unsaved is None:
                bar.say(f"{error}; it is tried again after each photograph")
            self.unsaved = error

    def _say_how_to_go_on(self) -> None:
        measured = len(self.figures.records())
        message = f"interrupted: {measured} of {len(self.figures.squares)} measured"
        if measured and self.unsaved is None:
            again = f"{command(PROGRAM)} {shell_join(self.again)}"
            message += f", in {self.figures.path}. Go on: {again}"
        say(PROGRAM, message)

    def _show_tables(self, before: int | None = None) -> None:
        """Show the tables of the sizes up to ``before``, or of all, that were not shown yet."""
        for size in dict.fromkeys(self.options.size):
            if size == before:
                return
            records = self.figures.records(size)
            if records and size not in self.shown:
                table = summarize(records, list(self.styles), self.options.evaluations)
                self.printed &= show(PROGRAM, table, end="\n\n")
                self.shown.add(size)

    def _end(self, interrupted: bool) -> int:
        """Show and draw what is measured; return the exit code."""
        self._show_tables()
        figures, picture = self.figures, self.figures.path.with_suffix(".png")
        code = INTERRUPTED if interrupted else 0
        if self.unsaved is not None:
            say(PROGRAM, self.unsaved)
            return code or 1
        if not figures.records():
            return code
        self.printed &= show(PROGRAM, figures.path)
        try:
            replace = self.options.overwrite or is_plot_of(picture, figures.settings)
            plot(figures.records(), list(self.styles), picture, figures.settings, replace)
        except ImportError:
            say(PROGRAM, f"no plot: it needs matplotlib, {install('plot')}")
        except OSError as error:
            say(PROGRAM, error)
            return code or 1
        return code or (0 if self.printed else 1)

    def _measure(self, square: Square, part: str, bar: EvaluationBar) -> dict[str, Any]:
        """Return all figures of one photograph at one size."""
        options, loss = self.options, self.loss
        levels = read_crop(self.files[square.photograph], square.size, centre_box)
        content = levels[None].to(loss.vgg.factor.device)
        networks = {
            name: measure_network(style, loss, content) for name, style in self.styles.items()
        }
        totals = [network["scalars"]["loss"] for network in networks.values()]
        runs: dict[str, Any] = {}
        for start in self.starts:
            runs[start] = measure_optimizer(
                loss,
                content,
                start_picture(start, content, [], options.seed),
                options.evaluations,
                min(totals) if options.until_reached else 0.0,
                lambda _: bar.step(part),
            )
            bar.workload.end_run()
        for network in networks.values():
            network["equivalent_iterations"] = {
                start: equivalent_iterations(run["best_loss"], network["scalars"]["loss"])
                for start, run in runs.items()
            }
        return {
            "unstylised": scalars(loss, content, content),
            "networks": networks,
            "optimizer": runs,
        }


def _described(squares: Sequence[Square]) -> str:
    """Return how many photographs, and at which sizes, as text."""
    photographs = len({square.photograph for square in squares})
    sizes = ", ".join(str(size) for size in dict.fromkeys(square.size for square in squares))
    return f"{photographs} photograph{'s' * (photographs > 1)} at {sizes} px"


if __name__ == "__main__":
    sys.exit(main())

"""python -m fast_style.stylize CKPT IMG...: pictures in, pictures out; no VGG or Lightning."""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import signal
import sys
import textwrap
import time
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fast_style.cli.console import INTERRUPTED, quiet, say, usable_streams
from fast_style.cli.stylize_options import (
    PROGRAM,
    SHOWN_NAMES,
    blend_weights,
    check_destination,
    given_controls,
    models_and_images,
    parse,
)
from fast_style.cli.work_bar import WorkBar, beside_bar, short_name
from fast_style.system.resources import about_styles, main_styles, shipped_styles
from fast_style.system.signals import interrupted_by

if TYPE_CHECKING:
    from fast_style.cli.inputs import Input, Missing
    from fast_style.optimizing.refinement import Refiner
    from fast_style.painting.controls import Controls, PaintJob
    from fast_style.painting.painter import Painter

SMALL = 640  # px, longer side: PyTorch paints such a picture before other backends have started
LIST_WIDTH = 100  # columns of --list


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 1 if some pictures failed, 2 for wrong use, or 130."""
    closed = usable_streams()
    try:
        options = parse(sys.argv[1:] if argv is None else argv)
    except ValueError as error:
        return _complain(PROGRAM, error, 2)
    return run(options, closed)


def run(options: argparse.Namespace, closed: Collection[str] = ()) -> int:
    """Do what parsed options ask for; return the exit code.

    Args:
        options: Of ``parse``.
        closed: Names of the standard streams that were closed, from ``usable_streams``.
    """
    try:
        with interrupted_by(signal.SIGTERM):
            code = _run(options, closed)
            sys.stdout.flush()
            return code
    except KeyboardInterrupt as error:  # with the counts, if it came in the midst of a batch
        return _complain(
            options.program, "; ".join(["interrupted", *map(str, error.args)]), INTERRUPTED
        )
    except OSError as error:  # of standard output: all others are said where they arise
        quiet(sys.stdout)
        # Whoever reads it, as `head`, may have seen enough.
        return 1 if isinstance(error, BrokenPipeError) else _complain(options.program, error)


class Plan(NamedTuple):
    """What the command line asks for, checked, with the models loaded."""

    pictures: list[Input]
    missing: list[Missing]
    painter: Painter
    streams: bool  # the picture comes from standard input, or goes to standard output
    to_folder: bool  # ``-o`` is a folder
    resumes: bool  # a folder or several pictures: what is there of the results already is kept


def _run(options: argparse.Namespace, closed: Collection[str]) -> int:
    if options.list:
        _list(options)
        return 0
    with WorkBar(options.program) as bar:
        return _work(options, closed, bar)


def _work(options: argparse.Namespace, closed: Collection[str], bar: WorkBar) -> int:
    """Paint what the options ask for; return the exit code."""
    # Imported here so that --help does not wait for torch.
    from fast_style.cli.batch import Batch, Destination, failed_line
    from fast_style.system.atomic import TargetExistsError, UnwritableFolderError

    try:
        plan = _plan(options, closed, bar)
    except (TargetExistsError, UnwritableFolderError) as error:
        if options.json:
            _show(failed_line(options.names[-1], str(error)))
        return _complain(options.program, error)
    except (ValueError, OSError) as error:
        return _complain(options.program, error, 2)
    pictures, painter = plan.pictures, plan.painter
    if options.palette:
        for name, style in painter.styles.items():
            if style.palette is None:  # checkpoints, files of other programs and older ones
                _complain(options.program, f"{name} holds no palette: --palette does nothing")
    for one in plan.missing:
        _complain(options.program, one.what)
        if options.json:
            _show(failed_line(one.name, one.what))
    if options.sheet is not None:
        code = _sheet(pictures, painter, options, bar)
    elif plan.streams:
        code = _stream(pictures[0], painter, options, bar)
    else:
        destination = Destination(
            options.output, plan.to_folder, plan.resumes, options.overwrite, options.quality
        )
        complain = partial(_complain, options.program)
        code = Batch(pictures, painter, destination, _show, complain, options.json, bar).run()
    return code or (1 if plan.missing else 0)


def _list(options: argparse.Namespace) -> None:
    """Show the released styles: how they look, and who painted them."""
    about, styles = about_styles(), shipped_styles()
    lines = {
        name: {"style": name, "look": about.get(name, {}).get("look", ""), "credit": _credit(path)}
        for name, path in styles.items()
    }
    if options.json:
        for line in lines.values():
            print(json.dumps(line))
        return
    main = main_styles()
    indent = " " * (max(map(len, main), default=0) + 2)
    for name in main:
        look, credit = lines[name]["look"], lines[name]["credit"]
        print(_filled(look, f"{name:<{len(indent)}}", indent))
        print(_filled(credit, indent, indent))
    if small := [name for name in styles if name not in main]:
        print(_filled(f"Small twins, faster and less fine: {', '.join(small)}", "", indent))


def _filled(text: str, first: str, others: str) -> str:
    """Return a text in lines that fit a terminal."""
    return textwrap.fill(
        text or "-",
        LIST_WIDTH,
        initial_indent=first,
        subsequent_indent=others,
        break_on_hyphens=False,
    )


def _plan(options: argparse.Namespace, closed: Collection[str], bar: WorkBar) -> Plan:
    """Find the pictures, load the models, and check that all can be done.

    Raises:
        TargetExistsError: The only result is there already.
        UnwritableFolderError: The results can't be written where they are to go.
        ValueError: Wrong use.
        OSError: What was named can't be read.
    """
    from fast_style.cli.inputs import STREAM, Found, Input, expand, without_results
    from fast_style.system.paths import is_folder, user_path

    output: Path | None = options.output
    models, images = models_and_images(options)
    bar.begin(f"loading {', '.join(short_name(Path(model)) for model in models[:SHOWN_NAMES])}")
    streams = STREAM in images or str(output) == STREAM
    _check_sheet(options, streams)
    if streams:
        _check_streams(len(images), len(models), STREAM in images, options, closed)
    if images == [STREAM]:
        pictures, missing = Found([Input(Path(STREAM), Path())], [])
    else:
        pictures, missing = expand(images, output, beside=options.sheet is None)
    several = len(pictures) > 1 or (len(models) > 1 and not options.blend)
    folders = any(is_folder(user_path(image)) for image in images)
    to_folder = (
        output is not None
        and not streams
        and (several or folders or not output.suffix or is_folder(output))
    )
    _check_output(options, pictures, to_folder, streams)
    if options.max_megapixels is not None:
        _allow_megapixels(options.max_megapixels)
    job = _job(options)
    refiner = None if options.refine is None else _refiner(options, pictures)
    if refiner is not None:
        job = job._replace(refine=refiner)
    elif options.painting is not None:
        raise ValueError("--painting is for --refine")
    if options.backend == "auto" and len(pictures) == len(models) == 1 and not streams:
        options.backend = _backend_for(pictures[0].path, job.controls)
    painter = _painter(models, job, options)
    if refiner is not None:
        for style in painter.styles.values():
            refiner.check(style)
    if to_folder and folders:
        assert output is not None
        names = {*painter.names(), *shipped_styles()}
        left = without_results(pictures, output, sorted(names))
        if options.overwrite and len(left) < len(pictures):
            raise ValueError(
                f"{output} holds pictures that may be photographs or results of others: "
                "--overwrite needs another folder as -o"
            )
        pictures = left
    return Plan(
        pictures, missing, painter, streams, to_folder, resumes=folders or len(pictures) > 1
    )


def _check_output(
    options: argparse.Namespace, pictures: list[Input], to_folder: bool, streams: bool
) -> None:
    """Check that the results can be written, before anything is painted.

    Raises:
        TargetExistsError, UnwritableFolderError, ValueError: As ``_plan``.
    """
    from fast_style.cli.inputs import STREAM
    from fast_style.images.writing import check_not_input
    from fast_style.system.atomic import TargetExistsError, check_folder, exists

    output: Path | None = options.output
    check_destination(output, to_folder, streams)
    sources = [picture.path for picture in pictures]
    if options.sheet is not None:
        check_not_input(options.sheet, sources)
    if output is None or str(output) == STREAM:
        return
    written = Path(os.path.realpath(output))
    if not to_folder:
        check_not_input(output, sources)
        if not options.overwrite and output.exists():  # raises for a long name
            raise TargetExistsError(exists(output))
        written = written.parent
    check_folder(output, written)


def _check_sheet(options: argparse.Namespace, streams: bool) -> None:
    """Check that the sheet can be written, if there is to be one."""
    from fast_style.images.writing import check_writable
    from fast_style.system.atomic import check_free

    if options.sheet is None:
        return
    if options.output is not None:
        raise ValueError("--sheet writes one picture, the sheet: give it or -o, not both")
    if streams:
        raise ValueError("a sheet is made of files, not of standard input")
    check_writable(options.sheet)
    check_free(options.sheet, options.overwrite)


def _check_streams(
    images: int, models: int, reads: bool, options: argparse.Namespace, closed: Collection[str]
) -> None:
    """Check that one picture can come from standard input, or go to standard output.

    Args:
        images: How many pictures were named.
        models: How many models.
        reads: Whether the picture comes from standard input.
        options: All that was given.
        closed: Which of the streams were closed.
    """
    from fast_style.cli.inputs import STREAM

    writes = options.output is None or str(options.output) == STREAM
    if images > 1 or (models > 1 and not options.blend):
        raise ValueError("standard input and output are for one picture in one style")
    if options.json and writes:
        raise ValueError("--json and the picture cannot both go to standard output: use -o")
    if reads and "stdin" in closed:
        raise ValueError("standard input is closed, where a picture was expected")
    if reads and sys.stdin.isatty():
        raise ValueError("standard input is a terminal, where a picture was expected: add < PHOTO")
    if writes and "stdout" in closed:
        raise ValueError("standard output is closed, where the picture would go: use -o")


def _job(options: argparse.Namespace) -> PaintJob:
    """Return how each picture is painted, and check what the options say of it."""
    from fast_style.images.options import HIGHEST_QUALITY
    from fast_style.painting.any_style import paint_job
    from fast_style.painting.steadiness import check_steady

    tile = int(options.tile) if options.tile.isdecimal() else options.tile
    if tile not in ("auto", "off") and (isinstance(tile, str) or tile < 1):
        raise ValueError(f"--tile is auto, off or a number of rows, found {tile}")
    if not 1 <= options.quality <= HIGHEST_QUALITY:
        raise ValueError(f"--quality must be 1 to {HIGHEST_QUALITY}, found {options.quality}")
    job = paint_job({**given_controls(options), "tile": tile})
    check_steady(options.steady)
    return job


def _allow_megapixels(most: float) -> None:
    from fast_style.images.limits import allow_megapixels

    if not 0 < most < math.inf:
        raise ValueError(f"--max-megapixels must be a number above 0, found {most}")
    allow_megapixels(most)


def _refiner(options: argparse.Namespace, pictures: list[Input]) -> Refiner:
    """Return what finishes the pictures; VGG16 and the losses are loaded only for it."""
    from fast_style.films.video import is_video
    from fast_style.optimizing.refinement import Refiner
    from fast_style.optimizing.workload import in_words

    for picture in pictures:
        if is_video(picture.path):
            raise ValueError(f"--refine is for pictures, and {picture.path} is a video")

    def tell(seconds: float) -> None:
        about = f"about {in_words(seconds)} for this picture"
        _complain(options.program, f"{options.refine} steps of refining take {about}")

    return Refiner(options.refine, options.painting, tell)


def _painter(models: list[str], job: PaintJob, options: argparse.Namespace) -> Painter:
    """Load the models."""
    from fast_style.painting.controls import check_weights
    from fast_style.painting.painter import Painter, by_name
    from fast_style.painting.style import load

    loaded = [load(model, options.device, backend=options.backend) for model in models]
    styles = by_name(models, loaded, paths_too=options.sheet is not None)
    blend = blend_weights(options.blend) if options.blend else {}
    weights = dict(zip(styles, blend.values(), strict=True)) if blend else {}
    if blend:
        check_weights(weights.values())
    return Painter(styles, weights, job, options.strip, options.steady)


def _backend_for(path: Path, controls: Controls) -> str:
    """Return ``torch`` for one small picture: the others take longer to start than they save."""
    from fast_style.films.video import is_video
    from fast_style.images.picture import PictureError
    from fast_style.images.reading import picture_size

    if is_video(path):  # of which only the reader of videos knows what can be opened
        return "auto"
    try:
        longer = controls.size or max(picture_size(path))
    except PictureError:  # said when it is read
        return "auto"
    stroke = controls.stroke if isinstance(controls.stroke, float) else 1.0
    return "torch" if longer <= SMALL * stroke else "auto"


def _stream(source: Input, painter: Painter, options: argparse.Namespace, bar: WorkBar) -> int:
    """Stylise one picture from or to a stream: a PNG on standard output, or a file."""
    from fast_style.cli.batch import PROGRAM_ERRORS, failed_line, failure
    from fast_style.cli.inputs import STREAM
    from fast_style.images.writing import encode_clip, write_clip
    from fast_style.painting.painter import record

    output: Path | None = options.output
    to_file = output is not None and str(output) != STREAM
    from_stream = str(source.path) == STREAM
    shown = "standard input" if from_stream else short_name(source.path)

    def failed(error: Exception) -> int:
        text = failure(error, source.path)
        if options.json:
            _show(failed_line(source.path, text))
        return _complain(options.program, text)

    bar.begin(f"reading {shown}")
    try:
        stream = io.BytesIO(sys.stdin.buffer.read()) if from_stream else source.path
        clip = painter.read(stream)
    except Exception as error:
        return failed(error)
    if clip.remark:
        _complain(options.program, f"{source.path} {clip.remark}")
    started_s = time.perf_counter()
    bar.begin(f"painting {shown}", total=len(painter.styles) * len(clip.frames))
    painter = painter._replace(job=painter.job._replace(progress=bar.advance))
    try:
        name, painted = next(painter.results(clip))
        seconds = time.perf_counter() - started_s
        if to_file:
            assert output is not None
            write_clip(output, painted, options.quality, replace=options.overwrite)
        else:
            data = encode_clip(painted)
    except PROGRAM_ERRORS:
        raise
    except Exception as error:
        return failed(error)
    if to_file:
        assert output is not None
        size = painted.frames[0].levels.shape[-2], painted.frames[0].levels.shape[-1]
        done = record(source.path, output, size, name, painter, seconds)
        _show(json.dumps(done) if options.json else str(output))
    else:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    return 0


def _sheet(
    pictures: list[Input], painter: Painter, options: argparse.Namespace, bar: WorkBar
) -> int:
    """Write one sheet of all pictures in all styles."""
    from fast_style.cli.batch import FAILED, PAINTED, Tally, failed_line, failure
    from fast_style.images.reading import read_picture
    from fast_style.images.writing import write_picture
    from fast_style.painting.options import SHEET_SIZE

    rows = []
    tally = Tally(len(pictures))
    styles = len(painter.styles)
    size = options.size or SHEET_SIZE
    bar.begin("painting", total=len(pictures) * styles)
    painter = painter._replace(job=painter.job._replace(progress=bar.advance))
    for number, source in enumerate(pictures, 1):
        shown = f"{number}/{len(pictures)} " if len(pictures) > 1 else ""
        bar.show(f"painting {shown}{short_name(source.path)} in {styles} styles")
        try:
            rows.append(painter.row(read_picture(source.path, size), size))
            tally.add(source.path, PAINTED)
        except Exception as error:
            tally.add(source.path, FAILED)
            text = failure(error, source.path)
            _complain(options.program, text)
            if options.json:
                _show(failed_line(source.path, text))
        bar.reach(number * styles)
    if rows:
        bar.show(f"writing {short_name(options.sheet)}")
        try:
            write_picture(
                options.sheet,
                painter.sheet(rows),
                quality=options.quality,
                replace=options.overwrite,
            )
        except (ValueError, OSError, MemoryError, RuntimeError) as error:
            return _complain(options.program, error)
        done = {"output": str(options.sheet), "pictures": len(rows), "styles": painter.names()}
        _show(json.dumps(done) if options.json else str(options.sheet))
    if len(pictures) > 1:
        _complain(options.program, tally.line())
    return 1 if tally.has(FAILED) else 0


def _credit(path: Path) -> str:
    """Return the painting of a released style, as its file says, without loading torch."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(json.loads(file.read(size))["__metadata__"]["fast_style"])
    return str(header["style"].get("credit") or "")


def _show(line: str) -> None:
    with beside_bar():
        print(line, flush=True)


def _complain(program: str, error: object, code: int = 1) -> int:
    with beside_bar():
        say(program, error)
    return code


if __name__ == "__main__":
    sys.exit(main())

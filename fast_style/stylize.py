"""python -m fast_style.stylize CKPT IMG...: pictures in, pictures out; no VGG or Lightning."""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from fast_style.request import (
    PROGRAM,
    blend_weights,
    check_output,
    models_and_images,
    parser,
    with_color_value,
)
from fast_style.resources import shipped_styles

if TYPE_CHECKING:
    from fast_style.inputs import Input
    from fast_style.work import Work

SMALL = 640  # px, longer side of a picture that PyTorch has painted when others have started
SHEET_SIZE = 512  # px, longer side of a picture on a sheet


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 1 if some pictures failed, 2 for wrong use, or 130."""
    try:
        arguments = with_color_value(sys.argv[1:] if argv is None else argv)
    except ValueError as error:
        return _fail(error, 2)
    options = parser().parse_intermixed_args(arguments)
    previous = signal.getsignal(signal.SIGTERM)
    try:
        signal.signal(signal.SIGTERM, _interrupt)
    except ValueError:  # not in the main thread: the signals stay as they are
        previous = None
    try:
        code = _run(options)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except OSError as error:  # of standard output: all others are said where they arise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # Whoever reads it, as `head`, may have seen enough.
        return 1 if isinstance(error, BrokenPipeError) else _fail(error)
    finally:
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)


def _run(options: argparse.Namespace) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may hold any bytes
    if options.list:
        for name, path in shipped_styles().items():
            credit = _credit(path)
            print(
                json.dumps({"style": name, "credit": credit})
                if options.json
                else f"{name}\t{credit}"
            )
        return 0
    # Imported here so that --help does not wait for torch.
    from fast_style.batch import Batch, Places
    from fast_style.files import is_folder, user_path
    from fast_style.image import allow_megapixels
    from fast_style.inputs import STREAM, Found, Input, expand, without_results
    from fast_style.writing import QUALITY, check_not_input, check_writable

    output: Path | None = options.output
    try:
        models, images = models_and_images(options)
        if options.sheet is not None:
            if output is not None:
                raise ValueError("--sheet writes one picture, the sheet: give it or -o, not both")
            check_writable(options.sheet)
            if options.sheet.exists() and not options.overwrite:
                raise ValueError(f"{options.sheet} exists; --overwrite replaces it")
        streams = STREAM in images or str(output) == STREAM
        if streams and options.sheet is not None:
            raise ValueError("a sheet is made of files, not of standard input")
        if streams and (len(images) > 1 or (len(models) > 1 and not options.blend)):
            raise ValueError("standard input and output are for one picture in one style")
        stream = Found([Input(Path(STREAM), Path())], [])
        if images == [STREAM]:
            pictures, missing = stream
        else:
            pictures, missing = expand(images, output, beside=options.sheet is None)
        several = len(pictures) > 1 or (len(models) > 1 and not options.blend)
        folders = any(is_folder(user_path(image)) for image in images)
        to_folder = (
            output is not None
            and not streams
            and (several or folders or not output.suffix or output.is_dir())
        )
        check_output(output, to_folder, streams)
        for target in (options.sheet, None if to_folder else output):
            if target is not None and str(target) != STREAM:
                check_not_input(target, [picture.path for picture in pictures])
        if not (output is None or to_folder or options.overwrite) and output.exists():
            return _fail(f"{output} exists; --overwrite replaces it")
        if options.json and streams and (output is None or str(output) == STREAM):
            raise ValueError("--json and the picture cannot both go to standard output: use -o")
        if options.max_megapixels is not None:
            if not 0 < options.max_megapixels < math.inf:
                raise ValueError(
                    f"--max-megapixels must be a number above 0, found {options.max_megapixels}"
                )
            allow_megapixels(options.max_megapixels)
        if options.backend == "auto" and len(pictures) == len(models) == 1 and not streams:
            options.backend = _backend_for(pictures[0].path, options)
        work = _work(models, options)
        if to_folder and folders:
            assert output is not None
            names = {*work.names(), *shipped_styles()}
            left = without_results(pictures, output, sorted(names))
            if options.overwrite and len(left) < len(pictures):
                raise ValueError(
                    f"{output} holds pictures that may be photographs or results of others: "
                    "--overwrite needs another folder as -o"
                )
            pictures = left
    except (ValueError, OSError) as error:
        return _fail(error, 2)
    if options.palette:
        for name, style in work.styles.items():
            if style.palette is None:  # checkpoints, files of other programs and older ones
                _fail(f"{name} holds no palette: --palette does nothing")
    for one in missing:
        _fail(one)
    if options.sheet is not None:
        code = _sheet(pictures, work, options)
    elif streams:
        code = _stream(pictures[0], work, options)
    else:
        places = Places(
            output, to_folder, folders, options.overwrite, quality=options.quality or QUALITY
        )
        code = Batch(pictures, work, places, _show, _fail, options.json).run()
    return code or (1 if missing else 0)


def _work(models: list[str], options: argparse.Namespace) -> Work:
    """Load the models and check the controls."""
    from fast_style.controls import GRAIN, PALETTE, Controls, check_weights
    from fast_style.flicker import STEADY, check_steady
    from fast_style.style import Style, load
    from fast_style.work import Work

    tile = int(options.tile) if options.tile.isdecimal() else options.tile
    if tile not in ("auto", "off") and (isinstance(tile, str) or tile < 1):
        raise ValueError(f"--tile is auto, off or a number of rows, found {tile}")
    if options.quality is not None and not 1 <= options.quality <= 100:
        raise ValueError(f"--quality must be 1 to 100, found {options.quality}")
    controls = Controls(
        options.size,
        options.stroke,
        options.strength,
        GRAIN if options.grain is None else options.grain,
        PALETTE if options.palette is None else options.palette,
        options.preserve_color,
    )
    controls.check()
    steady = STEADY if options.steady is None else options.steady
    check_steady(steady)
    loaded = [load(model, options.device, backend=options.backend) for model in models]
    counts = Counter(style.name for style in loaded)
    styles: dict[str, Style] = {}
    for model, style in zip(models, loaded, strict=True):
        # On a sheet two trainings of one style can be compared: there a path is a name too.
        name = model if options.sheet is not None and counts[style.name] > 1 else style.name
        if name in styles:
            raise ValueError(f"two models are named {name}: their results would collide")
        styles[name] = style
    blend = blend_weights(options.blend) if options.blend else {}
    weights = dict(zip(styles, blend.values(), strict=True)) if blend else {}
    if blend:
        check_weights(weights.values())
    return Work(styles, weights, controls, tile, options.strip, steady)


def _backend_for(path: Path, options: argparse.Namespace) -> str:
    """Return ``torch`` for one small picture: the others take longer to start than they save."""
    from fast_style.image import picture_size
    from fast_style.picture import PictureError

    try:
        longer = options.size or max(picture_size(path))
    except PictureError:  # said when it is read
        return "auto"
    return "torch" if longer <= SMALL * options.stroke else "auto"


def _stream(source: Input, work: Work, options: argparse.Namespace) -> int:
    """Stylise one picture from or to a stream: a PNG on standard output, or a file."""
    from fast_style.batch import FAILURES, failure
    from fast_style.inputs import STREAM
    from fast_style.work import record
    from fast_style.writing import QUALITY, encode_clip, write_clip

    try:
        stream = io.BytesIO(sys.stdin.buffer.read()) if str(source.path) == STREAM else source.path
        clip = work.read(stream)
        if clip.remark:
            _fail(f"{source.path} {clip.remark}")
        started_s = time.perf_counter()
        name, painted = next(work.results(clip))
        seconds = time.perf_counter() - started_s
        if options.output is not None and str(options.output) != STREAM:
            if options.output.exists() and not options.overwrite:
                raise ValueError(f"{options.output} exists; --overwrite replaces it")
            write_clip(options.output, painted, options.quality or QUALITY)
            size = painted.frames[0].levels.shape[-2], painted.frames[0].levels.shape[-1]
            done = record(source.path, options.output, size, name, work, seconds)
            print(json.dumps(done) if options.json else options.output)
            return 0
        sys.stdout.buffer.write(encode_clip(painted))
        sys.stdout.buffer.flush()
    except FAILURES as error:
        return _fail(failure(error, source.path), 1)
    return 0


def _sheet(pictures: list[Input], work: Work, options: argparse.Namespace) -> int:
    """Write one sheet of all pictures in all styles."""
    from fast_style.batch import FAILURES, failure
    from fast_style.controls import Controls, apply
    from fast_style.image import read_picture
    from fast_style.picture import Clip
    from fast_style.sheet import grid, sheet
    from fast_style.writing import QUALITY, write_picture

    rows = []
    failed = 0
    small = Controls(size=options.size or SHEET_SIZE)
    wanted = work._replace(controls=work.controls._replace(size=None))
    for source in pictures:
        try:
            read = read_picture(source.path, small.size)
            photograph = apply(lambda one: one, read, small)
            results = dict(wanted.results(Clip([photograph])))
        except FAILURES as error:
            failed += 1
            _fail(failure(error, source.path))
            continue
        shown = [photograph, *(clip.frames[0] for clip in results.values())]
        rows.append([picture.on_white for picture in shown])
    labels = ["photograph", *work.names()]
    try:
        if rows:
            picture = sheet(rows, labels) if len(rows) > 1 else grid(rows[0], labels)
            write_picture(options.sheet, picture, quality=options.quality or QUALITY)
            done = {"output": str(options.sheet), "pictures": len(rows), "styles": work.names()}
            print(json.dumps(done) if options.json else options.sheet)
    except (ValueError, OSError) as error:
        failed += 1
        _fail(error)
    return 1 if failed else 0


def _credit(path: Path) -> str:
    """Return the painting of a released style, as its file says, without loading torch."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(json.loads(file.read(size))["__metadata__"]["fast_style"])
    return str(header["style"].get("credit") or "")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _show(line: str) -> None:
    print(line, flush=True)


def _fail(error: object, code: int = 1) -> int:
    print(f"fast_style.{PROGRAM}: {' '.join(str(error).split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())

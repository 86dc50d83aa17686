"""python -m fast_style.stylize CKPT IMG...: pictures in, pictures out; no VGG or Lightning."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from fast_style.resources import shipped_styles


def parser() -> argparse.ArgumentParser:
    """Return the command's arguments."""
    names = ", ".join(shipped_styles()) or "none"
    result = argparse.ArgumentParser(
        prog="python -m fast_style.stylize",
        description="Paint photographs in a trained style.",
    )
    result.add_argument(
        "model",
        metavar="CKPT",
        help=f"a .safetensors style model, a .ckpt of a training, or a released style ({names})",
    )
    result.add_argument("images", metavar="IMG", nargs="+", type=Path, help="picture files")
    result.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="OUT",
        help="the file to write, or a folder for several; PNG, JPEG or WebP by its extension "
        "(default: IMG_STYLE beside each picture)",
    )
    result.add_argument(
        "--tile",
        default="auto",
        metavar="ROWS",
        help="in strips of so many rows: less memory, the same picture; off, or auto: if the "
        "memory is too small for the whole (auto)",
    )
    result.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps, ...")
    result.add_argument("--overwrite", action="store_true", help="replace files that exist")
    return result


def output_path(image: Path, output: Path | None, style: str, to_folder: bool) -> Path:
    """Return where the stylised ``image`` goes; a type that can't be written becomes PNG."""
    from fast_style.image import WRITABLE

    if output is not None and not to_folder:
        return output
    suffix = image.suffix if image.suffix.lower() in WRITABLE else ".png"
    name = f"{image.stem}_{style}{suffix}"
    return (output or image.parent) / name


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 1 if some pictures failed, 2 if none could be done, or 130."""
    try:
        return _run(parser().parse_args(argv))
    except KeyboardInterrupt:
        return _fail("interrupted", 130)


def _run(arguments: argparse.Namespace) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may hold any bytes
    # Imported here so that --help does not wait for torch.
    from fast_style.image import (
        WRITABLE,
        PictureError,
        check_writable,
        read_picture,
        write_picture,
    )
    from fast_style.style import load

    images: list[Path] = arguments.images
    output: Path | None = arguments.output
    tile = int(arguments.tile) if arguments.tile.isdecimal() else arguments.tile
    try:
        if tile not in ("auto", "off") and (isinstance(tile, str) or tile < 1):
            raise ValueError(f"--tile is auto, off or a number of rows, found {tile}")
        to_folder = output is not None and (len(images) > 1 or not output.suffix or output.is_dir())
        if output is not None and not to_folder:
            check_writable(output)
        if (
            output is not None
            and to_folder
            and output.suffix.lower() in WRITABLE
            and not output.is_dir()
        ):
            raise ValueError(f"{output} names a file; -o must be a folder for several pictures")
        style = load(arguments.model, arguments.device)
    except (ValueError, OSError) as error:
        return _fail(error, 2)
    done = 0
    written: set[Path] = set()
    for image in images:
        target = output_path(image, output, style.name, to_folder)
        try:
            if target in written:
                raise PictureError(f"{target} would replace another picture of this run")
            if target.exists() and not arguments.overwrite:
                raise PictureError(f"{target} exists; --overwrite replaces it")
            picture = style.paint_picture(read_picture(image), tile)
            write_picture(target, picture.levels, picture.alpha)
        except PictureError as error:
            _fail(error)
        except (ValueError, OSError, RuntimeError, MemoryError) as error:
            _fail(f"cannot stylise {image}: {error}")
        else:
            done += 1
            written.add(target)
            print(target)
    if done == len(images):
        return 0
    return 1 if done else 2


def _fail(error: object, code: int = 2) -> int:
    print(f"fast_style.stylize: {' '.join(str(error).split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())

"""What ``stylize`` is asked for: its command line, read and checked."""

from __future__ import annotations

import argparse
import difflib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fast_style.cli.parser import Parser, path_argument
from fast_style.images.limits import DEFAULT_MEGAPIXELS
from fast_style.images.options import DEFAULT_QUALITY, HIGHEST_QUALITY
from fast_style.painting.options import CONTROLS, STEADY, Choice
from fast_style.system.messages import command, did_you_mean
from fast_style.system.resources import main_styles, shipped_styles

PROGRAM = "stylize"
SHOWN_NAMES = 3  # of pictures, in a command that is proposed


def parser(program: str = PROGRAM) -> argparse.ArgumentParser:
    """Return the command's arguments.

    Args:
        program: ``stylize``, or ``sheet``, which takes the same options and no model.
    """
    if program == PROGRAM:
        usage = "%(prog)s [options] CKPT IMG...\n       %(prog)s [options] --style A,B IMG..."
        about = "Paint photographs in a trained style."
    else:
        usage = "%(prog)s [options] IMG..."
        about = "Show photographs in every style, on one labelled picture: -o, or IMG_sheet.jpg."
    result = Parser(prog=command(program), usage=usage, description=about)
    _add_files(result, program)
    _add_look(result.add_argument_group("look"))
    _add_writing(result)
    _add_machine(result)
    result.add_argument("--overwrite", action="store_true", help="replace files that exist")
    result.add_argument(
        "--json", action="store_true", help="a line of JSON for each result, on standard output"
    )
    return result


def _add_files(result: argparse.ArgumentParser, program: str) -> None:
    """Add what says which pictures, which styles, and where the results go."""
    styles = ", ".join(shipped_styles()) or "none"
    names, pictures = "IMG", "picture files, folders or patterns"
    output = "the file to write, or a folder for it (default: IMG_sheet.jpg beside the first)"
    if program == PROGRAM:
        names, pictures = (
            "CKPT IMG",
            "a .safetensors style model, a .ckpt of a training, or a released style "
            f"({styles}); then picture files, videos, folders, patterns, or - for standard input",
        )
        output = (
            "the file to write, or a folder for several; its extension says the type: "
            "png, jpg, webp, tif, gif, avif, heic; of a video mp4, mov, mkv, webm "
            "(default: IMG_STYLE beside each picture)"
        )
    result.add_argument("names", metavar=names, nargs="*", help=pictures)
    result.add_argument("-o", "--output", type=path_argument, metavar="OUT", help=output)
    result.add_argument("--list", action="store_true", help="show the released styles, and end")
    result.add_argument(
        "--style",
        metavar="A,B",
        action="append",
        default=[],
        help="styles or models, a result for each; may be repeated",
    )
    result.add_argument(
        "--blend", metavar="A:0.7,B:0.3", help="styles and weights: one result, their mean"
    )
    result.add_argument(
        "--sheet",
        type=path_argument,
        metavar="OUT",
        help="instead, one labelled sheet of every style on every picture (without --style: of all "
        "released, but for the slim ones)",
    )


def _add_look(look: argparse._ArgumentGroup) -> None:
    """Add the controls, and what films have besides.

    Their default here is none: so it is known which were given (``given_controls``).
    """
    for control in CONTROLS:
        default = control.default
        shown = default if isinstance(default, str | None) else f"{default:g}"
        default = "" if shown is None else f" ({shown})"
        alone: dict[str, Any] = {}
        if isinstance(control, Choice):
            alone = {"nargs": "?", "const": control.choices[0]}
        look.add_argument(
            control.option,
            type=control.kind,
            metavar=control.metavar,
            help=f"{control.help}{default}",
            **alone,
        )
    look.add_argument(
        "--refine",
        type=int,
        metavar="N",
        help="finish each picture by N steps of optimising it: L-BFGS on the style's own loss",
    )
    look.add_argument(
        "--painting",
        type=path_argument,
        metavar="FILE",
        help="for --refine: the painting, if it is none of the package's",
    )
    look.add_argument(
        "--steady",
        type=float,
        default=STEADY,
        metavar="S",
        help="of videos: how still the painting is kept where the film is, from 0, each frame by "
        "itself, to below 1 (%(default)g)",
    )


def _add_writing(result: argparse.ArgumentParser) -> None:
    """Add what says how files are read and written."""
    result.add_argument(
        "--quality",
        type=int,
        default=DEFAULT_QUALITY,
        metavar="Q",
        help=f"of JPEG, WebP, AVIF, HEIF and videos, 1 to {HIGHEST_QUALITY} (%(default)s)",
    )
    result.add_argument(
        "--strip", action="store_true", help="leave date, camera, place and author (EXIF) behind"
    )
    result.add_argument(
        "--max-megapixels",
        type=float,
        metavar="N",
        help=f"refuse larger pictures ({DEFAULT_MEGAPIXELS})",
    )


def _add_machine(result: argparse.ArgumentParser) -> None:
    """Add what says what computes, and in how much memory."""
    result.add_argument(
        "--tile",
        default="auto",
        metavar="ROWS",
        help="in strips of so many rows: less memory, the same picture; off, or auto: if the "
        "memory is too small for the whole (%(default)s)",
    )
    result.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps, ...")
    result.add_argument(
        "--backend",
        default="auto",
        help="what computes: torch, onnxruntime, openvino, or auto, the fastest installed "
        "(%(default)s)",
    )


def parse(arguments: Sequence[str], program: str = PROGRAM) -> argparse.Namespace:
    """Return the options of a command line; what follows ``--`` are names, whatever they begin by.

    Raises:
        ValueError: As ``with_choices``.
        SystemExit: Wrong use, said on stderr; or ``--help``.
    """
    given = list(arguments)
    end = given.index("--") if "--" in given else len(given)
    # argparse forgets the mark where options stand between the names.
    options = parser(program).parse_intermixed_args(with_choices(given[:end]))
    options.names += given[end + 1 :]
    options.program = program  # says which command speaks
    options.others = [word for word in given if word != "--"]  # for commands that are proposed
    for name in options.names:
        options.others.remove(name)
    return options


def given_controls(options: argparse.Namespace) -> dict[str, Any]:
    """Return the controls that the command line gives, by their names."""
    values = {control.name: getattr(options, control.name) for control in CONTROLS}
    return {name: value for name, value in values.items() if value is not None}


def with_choices(arguments: Sequence[str]) -> list[str]:
    """Give options as ``--preserve-color`` a value, or they would take the name of the model.

    So ``stylize --preserve-color starry photo.jpg`` paints, and a misspelt value is told.

    Raises:
        ValueError: What follows one is misspelt, not a value and not a file.
    """
    known = {one.option: one.choices for one in CONTROLS if isinstance(one, Choice)}
    left, result = list(arguments), []
    while left:
        argument = left.pop(0)
        if choices := known.get(argument):
            given = left and left[0] in choices
            guess = did_you_mean(left[0], choices) if left and not given else ""
            if guess and not os.path.exists(left[0]):  # noqa: PTH110, never raises
                raise ValueError(f"{argument} is {' or '.join(choices)}, found {left[0]!r}{guess}")
            argument += f"={left.pop(0) if given else choices[0]}"
        result.append(argument)
    return result


def models_and_images(options: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Return which models were named, and which pictures.

    Raises:
        ValueError: No model, no picture, one in the place of the other, a misspelt style, or two
            ways to name models.
    """
    models: list[str] = []
    names: list[str] = options.names
    option = next((one for one in ("style", "blend", "sheet") if getattr(options, one)), None)
    if option and (styles := [name for name in names if _is_style(name)]):
        by = f"--style {','.join([*styles, *options.style])}"
        if option == "blend":
            by = "--blend"
        raise ValueError(f"{styles[0]} is a style, where --{option} expects pictures: use {by}")
    if options.style and options.blend:
        raise ValueError("give --style or --blend, not both")
    if options.blend:
        models = list(blend_weights(options.blend))
    elif options.style:
        for given in options.style:
            models += _split(given)
    elif options.sheet is not None:
        models = main_styles()
    elif names:
        models, names = _style_first(names, options.others)
    if not models:
        raise ValueError("no style: name a released style or a model file first")
    if not names:
        raise ValueError(f"no picture: name files or folders after {options.names[0]}")
    return models, names


def _split(given: str) -> list[str]:
    """Return the models that a text with commas names; a file's own name may have some, too."""
    from fast_style.system.paths import is_file, user_path

    return [given] if is_file(user_path(given)) else [one for one in given.split(",") if one]


def _style_first(names: list[str], options: list[str]) -> tuple[list[str], list[str]]:
    """Return the models and the pictures of names alone: the first stands for the models.

    It may be several styles with commas between them, as ``--style`` takes them, if there is no
    file of that name.

    Args:
        names: As they were typed.
        options: What else was typed.

    Raises:
        ValueError: A picture comes first, or a style is among the pictures, or misspelt.
    """
    models = _split(names[0])
    if not any(map(_is_style, models)):
        models = names[:1]
    pictures = names[1:]
    styles = [name for name in pictures if _is_style(name)]
    others = [name for name in pictures if name not in styles]
    if what := _no_style(names[0]):
        right = _typed(",".join(styles) or "STYLE", [names[0], *others], options)
        known = "" if styles else f", one of {', '.join(main_styles())}"
        raise ValueError(f"{names[0]} is a {what}; the style comes first{known}: {right}")
    for name in [*models, *pictures]:
        if guess := _misspelt(name):
            meant = [guess if one == name else one for one in models]
            meant += [guess for one in pictures if one == name and guess not in meant]
            rest = [one for one in pictures if one != name]
            right = _typed(",".join(meant), rest, options)
            raise ValueError(f"there is no style {name}; did you mean {guess}? {right}")
    if styles:
        right = _typed(f"--style {','.join([*models, *styles])}", others, options)
        raise ValueError(f"{styles[0]} is a style, where a picture is expected: {right}")
    return models, pictures


def _typed(style: str, pictures: list[str], options: list[str]) -> str:
    """Return the command that was meant; of many pictures the first.

    Args:
        style: What names the styles.
        pictures: As they were typed.
        options: As they were typed.
    """
    from fast_style.system.shell import shell_join

    shown = shell_join(pictures[:SHOWN_NAMES]) or "PHOTO.jpg"
    more = " ..." if len(pictures) > SHOWN_NAMES else ""
    return f"{command(PROGRAM)} {style} {shown}{more} {shell_join(options)}".rstrip()


def _misspelt(name: str) -> str | None:
    """Return the released style that a name is a misspelling of, if it is one.

    What has an ending or names a folder is no style's name: ``glass.jpg`` is a missing picture.
    """
    from fast_style.system.paths import user_path

    is_word = re.fullmatch(r"[\w-]+", name) and name not in shipped_styles()
    if not is_word or os.path.exists(user_path(name)):  # noqa: PTH110, never raises
        return None
    near = difflib.get_close_matches(name, shipped_styles(), n=1)
    return near[0] if near else None


def _no_style(name: str) -> str | None:
    """Return what a name stands for that is not a style's: a picture, video or folder."""
    from fast_style.films.video import is_video
    from fast_style.images.formats import READABLE
    from fast_style.system.paths import is_folder, user_path

    if not name or name in shipped_styles() or _is_style(name):
        return None
    path = user_path(name)
    if is_folder(path):
        return "folder"
    if is_video(path):
        return "video"
    return "picture" if path.suffix.lower() in READABLE else None


def _is_style(name: str) -> bool:
    """Whether a name is a model's: by its ending, or a released style's and no file's."""
    from fast_style.models.style_file import READERS
    from fast_style.system.paths import user_path

    path = user_path(name)
    is_free = not os.path.exists(path)  # noqa: PTH110, never raises
    return path.suffix in READERS or (name in shipped_styles() and is_free)


def blend_weights(text: str) -> dict[str, float]:
    """Return the weight of each model of ``A:0.7,B:0.3``; 1 where none is given.

    Raises:
        ValueError: Not such a text, or a single model.
    """
    from fast_style.system.paths import is_file, user_path

    weights: dict[str, float] = {}
    for part in text.split(","):
        name, colon, weight = part.rpartition(":")
        try:
            weights[name if colon else part] = float(weight) if colon else 1.0
        except ValueError as error:
            if is_file(user_path(part)):  # the colon is a drive's
                weights[part] = 1.0
                continue
            raise ValueError(f"--blend is NAME:WEIGHT,NAME:WEIGHT; found {part!r}") from error
    if len(weights) < 2:
        raise ValueError(f"--blend is of two styles or more; found {text!r}")
    return weights


def check_destination(output: Path | None, to_folder: bool, streams: bool) -> None:
    """Check that ``-o`` names what the results can be written to: a file, or a folder.

    Raises:
        ValueError: A file for several pictures, or a type of file that can't be written.
    """
    from fast_style.cli.inputs import STREAM
    from fast_style.films.video import CONTAINERS, check_video_writable
    from fast_style.images.formats import WRITABLE
    from fast_style.images.writing import check_writable

    if output is None or str(output) == STREAM:
        return
    if to_folder and output.exists() and not output.is_dir():
        raise ValueError(
            f"{output} is a file; -o must be a folder for several pictures, or end "
            f"in {', '.join(WRITABLE)} for one"
        )
    if streams and (output.is_dir() or not output.suffix):
        raise ValueError(f"standard input has no name of its own: {output} must name a file")
    suffix = output.suffix.lower()
    if not to_folder and suffix in CONTAINERS:
        check_video_writable(output)
    elif not to_folder:
        check_writable(output)
    elif suffix in (*WRITABLE, *CONTAINERS) and not output.is_dir():
        raise ValueError(f"{output} names a file; -o must be a folder for several pictures")

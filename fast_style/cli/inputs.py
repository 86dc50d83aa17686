"""Which picture files the names on a command line stand for, and where the results go."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fast_style.films.video import is_video, result_suffix
from fast_style.images.formats import READABLE, WRITABLE
from fast_style.system.folders import walk_folders
from fast_style.system.paths import identity, is_folder, user_path

STREAM = "-"  # standard input, or output


class Input(NamedTuple):
    """A picture to stylise."""

    path: Path
    below: Path  # the folder it lies in, below the one that was named
    named: bool = True  # by itself; false for what was found in a folder


class Missing(NamedTuple):
    """A name, or a folder below one, that stands for no picture."""

    name: str
    what: str  # is wrong with it, in a line


class Found(NamedTuple):
    """What the names on a command line stand for."""

    pictures: list[Input]
    missing: list[Missing]


def expand(named: Sequence[str], output: Path | None, beside: bool = True) -> Found:
    """Return the pictures that were named, each once, in the order in which they were named.

    In a folder all picture files, also those in folders below it and in those that links lead to,
    each real folder once; videos, hidden files and what lies in ``output`` are left out. A name
    that is no file may be a pattern; what of it is a folder's name is taken as it stands. A folder
    without pictures or that can't be read and a pattern that nothing matches are missing.

    Args:
        named: What was named.
        output: Where the results go, if it was said.
        beside: Whether they go beside the pictures if not: those of a folder may not.

    Raises:
        ValueError: An empty name, an address, a folder whose results would go beside its pictures,
            or nothing is found at all.
    """
    found: dict[Path, Input] = {}
    missing: list[Missing] = []
    for name in named:
        if not name:
            raise ValueError("an empty name, where a picture was expected")
        path = user_path(name)
        if is_folder(path):
            if output is None and beside:
                raise ValueError(f"{path} is a folder: say by -o DIR where its results go")
            before = len(missing)
            inside = _folder(path, output, missing)
            if not inside and len(missing) == before:
                wanted = f"no picture in {path}; looked for {', '.join(READABLE)}"
                missing.append(Missing(name, wanted))
            for one in inside:
                found.setdefault(one.path.absolute(), one)
        elif not os.path.exists(path) and (pattern := _pattern(path)):  # noqa: PTH110, never raises
            matches = map(Path, glob.glob(pattern, recursive=True))  # noqa: PTH207, takes **
            files = sorted(match for match in matches if not is_folder(match))
            if not files:
                missing.append(Missing(name, f"no file matches {name}"))
            for file in files:
                found.setdefault(file.absolute(), Input(file, Path()))
        else:
            known = found.get(path.absolute(), Input(path, Path()))
            found[path.absolute()] = known._replace(named=True)
    if not found:
        raise ValueError("; ".join(one.what for one in missing))
    return Found(list(found.values()), missing)


def without_results(pictures: list[Input], output: Path, names: Sequence[str]) -> list[Input]:
    """Return pictures without those of a folder that are others' results: it is ``-o``, too.

    Args:
        pictures: As ``expand`` returns them.
        output: The folder of the results.
        names: Of styles.
    """
    results = {
        identity(result_path(one, output, name, to_folder=True))
        for one in pictures
        for name in names
    }
    return [one for one in pictures if one.named or identity(one.path) not in results]


def result_path(source: Input, output: Path | None, style: str, to_folder: bool) -> Path:
    """Return where a result goes; a type that can't be written becomes PNG, or Matroska.

    Args:
        source: The photograph or video.
        output: What ``-o`` says.
        style: Name of the style.
        to_folder: Whether ``output`` is a folder.
    """
    if output is not None and not to_folder:
        return output
    suffix = source.path.suffix
    if is_video(source.path):
        suffix = result_suffix(suffix)
    elif suffix.lower() not in WRITABLE:
        suffix = ".png"
    name = f"{source.path.stem}_{style}{suffix}"
    return source.path.parent / name if output is None else output / source.below / name


def _folder(folder: Path, output: Path | None, missing: list[Missing]) -> list[Input]:
    """Return the pictures in a folder; add to ``missing`` what can't be looked into."""

    def unreadable(error: OSError) -> None:
        what = f"cannot read folder {error.filename}: {error.strerror}"
        missing.append(Missing(str(error.filename), what))

    skip = [] if output is None else [output]
    return [
        Input(here / name, here.relative_to(folder), named=False)
        for here, files in walk_folders(folder, skip, unreadable)
        for name in files
        if Path(name).suffix.lower() in READABLE
    ]


def _pattern(path: Path) -> str | None:
    """Return the pattern that a path is, if it is one; folders that exist are taken as they are."""
    taken = Path(path.anchor)
    parts = list(path.parts[1:] if path.anchor else path.parts)
    while parts and os.path.exists(taken / parts[0]):  # noqa: PTH110, never raises
        taken /= parts.pop(0)
    return str(Path(glob.escape(str(taken)), *parts)) if any(map(glob.has_magic, parts)) else None

"""From what a person names to picture files: files, folders, patterns; and where results go."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fast_style.files import is_folder, user_path
from fast_style.image import READABLE
from fast_style.writing import WRITABLE

STREAM = "-"  # standard input, or output


class Input(NamedTuple):
    """A picture to stylise."""

    path: Path
    below: Path  # the folder it lies in, below the one that was named
    named: bool = True  # by itself; false for what was found in a folder


class Found(NamedTuple):
    """What the names on a command line stand for."""

    pictures: list[Input]
    missing: list[str]  # what is wrong with the names that stand for nothing


def expand(named: Sequence[str], output: Path | None) -> Found:
    """Return the pictures that were named, each once, in the order in which they were named.

    In a folder all picture files, also those in folders below it, by name; hidden ones, links
    to folders and what lies in ``output`` are left out. A name that is no file may be a pattern.
    A folder without pictures and a pattern that nothing matches are missing.

    Raises:
        ValueError: An empty name, a folder without an output folder, or nothing is found at all.
    """
    found: dict[Path, Input] = {}
    missing: list[str] = []
    for name in named:
        if not name:
            raise ValueError("an empty name, where a picture was expected")
        path = user_path(name)
        if is_folder(path):
            if output is None:
                raise ValueError(f"{path} is a folder: say by -o DIR where its results go")
            inside = _folder(path, output)
            if not inside:
                missing.append(f"no picture in {path}; looked for {', '.join(READABLE)}")
            for one in inside:
                found.setdefault(one.path.absolute(), one)
        elif not os.path.exists(path) and glob.has_magic(name):  # noqa: PTH110, never raises
            matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207, takes ** and ~
            if not matches:
                missing.append(f"no file matches {name}")
            for match in matches:
                if not is_folder(Path(match)):
                    found.setdefault(Path(match).absolute(), Input(Path(match), Path()))
        else:
            found.setdefault(path.absolute(), Input(path, Path()))
    if not found:
        raise ValueError("; ".join(missing))
    return Found(list(found.values()), missing)


def without_results(pictures: list[Input], output: Path, names: Sequence[str]) -> list[Input]:
    """Return pictures without those of a folder that are others' results: it is ``-o``, too.

    Args:
        pictures: As ``expand`` returns them.
        output: The folder of the results.
        names: Of the styles.
    """
    results = {
        result_path(one, output, name, to_folder=True).absolute()
        for one in pictures
        for name in names
    }
    return [one for one in pictures if one.named or one.path.absolute() not in results]


def result_path(source: Input, output: Path | None, style: str, to_folder: bool) -> Path:
    """Return where a stylised picture goes; a type that can't be written becomes PNG.

    Args:
        source: The photograph.
        output: What ``-o`` says.
        style: Name of the style.
        to_folder: Whether ``output`` is a folder.
    """
    if output is not None and not to_folder:
        return output
    suffix = source.path.suffix if source.path.suffix.lower() in WRITABLE else ".png"
    name = f"{source.path.stem}_{style}{suffix}"
    return source.path.parent / name if output is None else output / source.below / name


def _folder(folder: Path, output: Path) -> list[Input]:
    results = output.resolve()
    found = []
    for parent, folders, files in os.walk(folder):  # follows no links: they may go round
        here = Path(parent)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and (here / name).resolve() != results
        )
        found += [
            Input(here / name, here.relative_to(folder), named=False)
            for name in sorted(files)
            if not name.startswith(".") and Path(name).suffix.lower() in READABLE
        ]
    return found

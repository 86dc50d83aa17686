"""The files in a folder and below it, through links, each folder once."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from fast_style.system.messages import reason
from fast_style.system.paths import identity, is_file


class FoundFiles(NamedTuple):
    """What a folder holds."""

    # A folder's own files by name, then those of its folders by name; linked folders come last.
    files: list[Path]
    remarks: list[str]  # what was left out, a line each


def walk_folders(
    folder: Path,
    skip: Collection[Path] = (),
    on_error: Callable[[OSError], object] = lambda error: None,
) -> Iterator[tuple[Path, list[str]]]:
    """Yield a folder and those below it in order of name, each with the sorted names of its files.

    Links to folders are followed, after all real folders. Each real folder comes once, so links
    may lead in circles. Hidden folders and files are left out.

    Args:
        folder: Where to begin; it may be hidden.
        skip: Folders below it that are not entered.
        on_error: Called for a folder that can't be read.
    """
    seen = {identity(one) for one in skip} - {identity(folder)}
    linked: list[Path] = []
    todo = [folder]
    while todo or linked:
        here = todo.pop() if todo else linked.pop(0)
        if identity(here) in seen:
            continue
        seen.add(identity(here))
        try:
            with os.scandir(here) as listing:
                entries = sorted(listing, key=lambda one: one.name)
        except OSError as error:
            on_error(error)
            continue
        files: list[str] = []
        below: list[Path] = []
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if not _leads_to_folder(entry):
                files.append(entry.name)
            elif entry.is_symlink():
                linked.append(here / entry.name)
            else:
                below.append(here / entry.name)
        todo += reversed(below)
        yield here, files


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def find_files(folder: Path, suffixes: Collection[str], without: Path | None = None) -> FoundFiles:
    """Find the files with certain endings in a folder and below it.

    As ``walk_folders``: links are followed, hidden files and folders left out without a remark.

    Args:
        folder: Where to begin; it is read even if it is ``without``.
        suffixes: Endings in lower case; the files' own may be in any case.
        without: A folder below it to leave out, such as that of the results.
    """
    files: list[Path] = []
    remarks: list[str] = []

    def unread(error: OSError) -> None:
        remarks.append(f"left out {error.filename}: {reason(error)}")

    for here, names in walk_folders(folder, [without] if without else [], unread):
        for name in names:
            path = here / name
            if remark := _remark(path, suffixes):
                remarks.append(remark)
            elif path.suffix.lower() in suffixes:
                files.append(path)
    return FoundFiles(files, remarks)


def _remark(path: Path, suffixes: Collection[str]) -> str | None:
    """Return why a name is left out that a person would expect; None if there is no reason."""
    if is_file(path):
        return None
    if path.is_symlink() and not os.path.exists(path):  # noqa: PTH110, never raises
        return f"left out {path}: a link that leads nowhere"
    return f"left out {path}: it is no file" if path.suffix.lower() in suffixes else None


def names_beside(path: Path) -> list[str]:
    """Return the names of what is in the folder of a path; none if there is no such folder."""
    try:
        return [entry.name for entry in os.scandir(path.parent)]
    except OSError:
        return []

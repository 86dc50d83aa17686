"""The files in a folder and below it, through links, each folder once."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from fast_style.files import identity
from fast_style.log_handlers import reason


class Walked(NamedTuple):
    """What a folder holds."""

    files: list[Path]  # a folder's own by name, then those of the folders in it, by name
    remarks: list[str]  # what a person should know was left out, a line each


def walk(folder: Path, suffixes: Collection[str], without: Path | None = None) -> Walked:
    """Find the files with certain endings in a folder and below it.

    Links are followed. A folder that several names lead to is taken once, by the first of them:
    links may go round. Hidden files and folders are left out without a word.

    Args:
        folder: Where to begin; it is read even if it is ``without``.
        suffixes: Of the files, in lower case; the files' may be in any.
        without: A folder below that is left out, as for results.
    """
    files: list[Path] = []
    remarks: list[str] = []
    seen = {identity(folder)}
    if without is not None:
        seen.add(identity(without))
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(here) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            remarks.append(f"left out {here}: {reason(error)}")
            continue
        below: list[Path] = []
        for entry in entries:
            path = here / entry.name
            if entry.name.startswith("."):
                continue
            if _is_folder(entry):
                if (key := identity(path)) not in seen:
                    seen.add(key)
                    below.append(path)
            elif remark := _remark(entry, path, suffixes):
                remarks.append(remark)
            elif path.suffix.lower() in suffixes:
                files.append(path)
        waiting += reversed(below)
    return Walked(files, remarks)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _remark(entry: os.DirEntry[str], path: Path, suffixes: Collection[str]) -> str | None:
    """Say what is wrong with an entry that is no folder, if a person will miss it."""
    try:
        if entry.is_file():
            return None
        found = path.exists()
    except OSError:
        found = False
    if entry.is_symlink() and not found:
        return f"left out {path}: a link that leads nowhere"
    return f"left out {path}: it is no file" if path.suffix.lower() in suffixes else None

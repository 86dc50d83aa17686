"""The files in a folder and below it, through links, each folder once."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from fast_style.system.files import is_file, walk_folders
from fast_style.system.messages import reason


class Walked(NamedTuple):
    """What a folder holds."""

    files: list[Path]  # a folder's own by name, then those of the folders in it, by name;
    # what links lead to comes last
    remarks: list[str]  # what a person should know was left out, a line each


def walk(folder: Path, suffixes: Collection[str], without: Path | None = None) -> Walked:
    """Find the files with certain endings in a folder and below it.

    As ``walk_folders``: links are followed, and hidden files and folders left out without a word.

    Args:
        folder: Where to begin; it is read even if it is ``without``.
        suffixes: Of the files, in lower case; the files' may be in any.
        without: A folder below that is left out, as for results.
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
    return Walked(files, remarks)


def _remark(path: Path, suffixes: Collection[str]) -> str | None:
    """Say what is wrong with a name that is no folder's, if a person will miss it."""
    if is_file(path):
        return None
    if path.is_symlink() and not os.path.exists(path):  # noqa: PTH110, never raises
        return f"left out {path}: a link that leads nowhere"
    return f"left out {path}: it is no file" if path.suffix.lower() in suffixes else None

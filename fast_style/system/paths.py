"""Paths as people type them, and what is there."""

from __future__ import annotations

import os
import re
from pathlib import Path

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)  # a drive, C://, is one letter


def user_path(path: str | Path) -> Path:
    """Return a path a person typed, ``~`` expanded where it names a home.

    Raises:
        ValueError: An address, as ``s3://bucket/x``: the system would take it for a folder ``s3:``.
    """
    if isinstance(path, str) and ADDRESS.match(path):
        raise ValueError(f"{path} is an address: expected a file or folder of this machine")
    return Path(os.path.expanduser(path))  # noqa: PTH111, pathlib's raises for an unknown user


def is_file(path: Path) -> bool:
    """Whether there is a file; a name that no file can have, or that is out of reach, is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether there is a folder; as ``is_file`` for impossible names."""
    try:
        return path.is_dir()
    except OSError:
        return False


def identity(path: Path) -> object:
    """Return what two names of one file have in common, through links and any spelling."""
    try:
        found = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return os.path.realpath(path)
    return found.st_dev, found.st_ino

"""Paths as people type them, and what is there."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)  # a drive, C://, is one letter


def user_path(path: str | Path) -> Path:
    """Return the path that a person typed, with ``~`` expanded where it names a home.

    Raises:
        ValueError: An address, such as ``s3://bucket/x``, which would become a folder ``s3:``.
    """
    if isinstance(path, str) and ADDRESS.match(path):
        raise ValueError(f"{path} is an address: expected a file or folder of this machine")
    return Path(os.path.expanduser(path))  # noqa: PTH111, pathlib's raises for an unknown user


def is_file(path: Path) -> bool:
    """Whether there is a file; False for impossible names and for files that can't be reached."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether there is a folder; False as ``is_file``."""
    try:
        return path.is_dir()
    except OSError:
        return False


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal digits.

    Raises:
        OSError: It can't be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def identity(path: Path) -> object:
    """Return a value that is equal for two paths to the same file, links and spelling aside."""
    try:
        found = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return os.path.realpath(path)
    return found.st_dev, found.st_ino

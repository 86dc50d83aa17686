"""Paths and words as a person would type them in a shell."""

from __future__ import annotations

import os
import platform
import re
import shlex
from collections.abc import Iterable
from pathlib import Path


def short_path(path: Path) -> str:
    """Return a path relative to the current folder if it is below, else as it is."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def shell_path(path: Path) -> str:
    """Return a path as a person would type it in a shell, in the current folder."""
    text = short_path(path)
    return shell_join([os.path.join(".", text) if text.startswith("-") else text])  # noqa: PTH118


def shell_join(words: Iterable[str]) -> str:
    """Return words as a person would type them in a shell; on Windows in cmd or PowerShell."""
    if platform.system() != "Windows":
        return shlex.join(words)
    return " ".join(_windows_word(word) for word in words)


def _windows_word(word: str) -> str:
    """Return a word that means the same in cmd and PowerShell, in double quotes if need be.

    ``subprocess.list2cmdline`` is for neither: a comma separates words in PowerShell, ``&``
    separates commands in cmd. Only the signs of variables, ``%`` in cmd and ``$`` in PowerShell,
    have no form for both.
    """
    if re.fullmatch(r"[\w.:=+/\\-]+", word):
        return word
    quoted = re.sub(r'(\\*)"', r'\1\1\\"', word)  # as programs read quotes
    return '"' + re.sub(r"(\\+)$", r"\1\1", quoted) + '"'

"""Paths and words as a person would type them in a shell."""

from __future__ import annotations

import os
import platform
import re
import shlex
from collections.abc import Iterable
from pathlib import Path


def short_path(path: Path) -> str:
    """Return a path from here on, if it lies below."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def shell_path(path: Path) -> str:
    """Return a path as a person would type it here, in a shell."""
    text = short_path(path)
    return shell_join([os.path.join(".", text) if text.startswith("-") else text])  # noqa: PTH118


def shell_join(words: Iterable[str]) -> str:
    """Return words as a person would type them in a shell: a POSIX one; cmd or PowerShell."""
    if platform.system() != "Windows":
        return shlex.join(words)
    return " ".join(_windows_word(word) for word in words)


def _windows_word(word: str) -> str:
    """Return a word as cmd and PowerShell both take it, in double quotes if it needs them.

    Unlike ``subprocess.list2cmdline``, which knows neither: in PowerShell a comma parts words, in
    cmd ``&`` does. Only what stands for variables, ``%`` in cmd and ``$`` in PowerShell, has no
    form for both.
    """
    if re.fullmatch(r"[\w.:=+/\\-]+", word):
        return word
    quoted = re.sub(r'(\\*)"', r'\1\1\\"', word)  # as programs take quotes and ends apart
    return '"' + re.sub(r"(\\+)$", r"\1\1", quoted) + '"'

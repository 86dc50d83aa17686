"""Paths as people type them, and files written so that a reader never sees half of one."""

from __future__ import annotations

import os
import platform
import re
import shlex
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

PART = ".part-"  # how the name of a file begins that is not whole yet


def user_path(path: str | Path) -> Path:
    """Return a path a person typed, ``~`` expanded where it names a home."""
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


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` to write; rename it to ``path`` if all went well.

    A link stays: what it leads to is replaced. The folder is created if need be. If the body
    raises, the temporary file is removed and whatever stood at ``path`` is untouched. The suffix
    is kept, for writers that choose by it.

    Raises:
        OSError: The folder can't be created or written, or the disk is full.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(suffix=path.suffix, prefix=PART, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("r+b") as file:  # Windows flushes only what may be written
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes it private
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


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

"""Parts of messages: an error in one line, a guess at a misspelt name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fast_style.system.resources import PACKAGE
from fast_style.system.shell import shell_join

MOST_LETTERS = 200  # of another program's error
_ENTRY: list[str] = []  # how a person called this program, if by the one name for all commands


def entered_by(entry: str) -> None:
    """Remember how a person calls the commands, as ``fast-style``."""
    _ENTRY[:] = [entry]


def entry() -> str:
    """Return how a person calls the program that has all commands."""
    return _ENTRY[0] if _ENTRY else "python -m fast_style"


def command(name: str) -> str:
    """Return what a person types for a command, as this one was typed.

    ``fast-style train`` if the person writes so, else ``python -m fast_style.train``.
    """
    return f"{entry()} {name}" if _ENTRY else f"python -m fast_style.{name}"


def one_line(error: BaseException) -> str:
    """Return the beginning of an error's text in one line; some libraries write a page."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}..."


def did_you_mean(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return ``; did you mean X?`` for the most similar known name, or an empty text.

    Args:
        name: The misspelt name.
        known: The names that exist.
        prefix: Text before the guess.
    """
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {prefix}{near[0]}?" if near else ""


def reason(error: OSError) -> str:
    """Return the system's text of an error, without its number and the file's name."""
    return error.strerror or str(error)


def printable(text: str) -> str:
    r"""Return a text as Unicode: other bytes of a file's name become ``\udcfc`` and the like."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def printable_values(value: Any) -> Any:
    """Return plain data, dictionaries and lists, with ``printable`` texts."""
    if isinstance(value, dict):
        return {key: printable_values(one) for key, one in value.items()}
    if isinstance(value, list):
        return [printable_values(one) for one in value]
    return printable(value) if isinstance(value, str) else value


def install(extra: str) -> str:
    """Return the command that installs an optional part of the package, as ``video``.

    In a checkout it installs the checkout, from where the reader is.
    """
    checkout = PACKAGE.parent
    if not (checkout / "pyproject.toml").is_file():
        return f"pip install {shell_join([f'fast-style-trainer[{extra}]'])}"
    here = "." if checkout == Path.cwd() else str(checkout)
    return f"pip install -e {shell_join([f'{here}[{extra}]'])}"

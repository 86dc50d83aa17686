"""What messages to a person are made of: one line of any error, guesses at misspelt names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MOST_LETTERS = 200  # of what another program's error says
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
    """Return the beginning of an error's text: libraries' go on for a page, and quote the file."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}..."


def did_you_mean(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return ``; did you mean X?`` for the known name that is near, or nothing.

    Args:
        name: What was written.
        known: What there is.
        prefix: What to write before the guess.
    """
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {prefix}{near[0]}?" if near else ""


def reason(error: OSError) -> str:
    """Return what the system says of an error, without its number and the file's name."""
    return error.strerror or str(error)

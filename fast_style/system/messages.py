"""What messages to a person are made of: one line of any error, guesses at misspelt names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

MOST_LETTERS = 200  # of what another program's error says


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

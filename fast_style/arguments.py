"""What the command lines share: their parser, guesses at misspelt names. Loads no torch."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable
from typing import NoReturn

from fast_style import __version__

PRESERVE_COLOR = ("luminance", "match")  # how a photograph's colours are kept
UNKNOWN = "unrecognized arguments: "


class Parser(argparse.ArgumentParser):
    """Python's, with ``--version`` and a guess at misspelt options."""

    def __init__(self, prog: str, description: str, usage: str | None = None) -> None:
        super().__init__(prog, usage, description)
        self.add_argument("--version", action="version", version=f"fast_style {__version__}")

    def error(self, message: str) -> NoReturn:
        """End with the message on stderr and exit code 2."""
        if message.startswith(UNKNOWN):
            name = message.removeprefix(UNKNOWN).split("=")[0].split()[0]
            message += did_you_mean(name, self._option_string_actions)
        super().error(message)


def did_you_mean(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return ``; did you mean X?`` for the known name that is near, or nothing.

    Args:
        name: What was written.
        known: What there is.
        prefix: What to write before the guess.
    """
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {prefix}{near[0]}?" if near else ""

"""What the command lines share: their parser, standard streams, guesses at misspelt names.

Loads no torch.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, TextIO

from fast_style import __version__
from fast_style.system.files import user_path
from fast_style.system.messages import did_you_mean

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


def path_argument(text: str) -> Path:
    """Return the path that an argument names, for argparse's ``type``.

    Raises:
        argparse.ArgumentTypeError: An empty name, or as ``user_path``.
    """
    if not text:
        raise argparse.ArgumentTypeError("an empty name, where a path was expected")
    try:
        return user_path(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def usable_streams() -> set[str]:
    """Give the program standard streams that can be used; return the names of those it had not.

    A service may have none, and a shell closes them by ``>&-``. Then they lead nowhere, and no
    file that is opened later gets their numbers, to which libraries write messages. A character
    that a terminal does not have is written as an escape. To be called before anything is opened.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the free number
    closed = set()
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or getattr(stream, "closed", False):
            closed.add(name)
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
        elif name != "stdin" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file's name may hold any bytes
    return closed


def say(program: str, message: object) -> None:
    """Print one line to stderr, if that can be written."""
    try:
        lines = (line.strip() for line in str(message).splitlines())  # spaces may be a file's name
        line = f"fast_style.{program}: {' '.join(filter(None, lines))}"
        print(line, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        quiet(sys.stderr)


def show(program: str, line: object, end: str = "\n") -> bool:
    """Print to standard output; return whether that went well, and say why not.

    No error: what was worked for lies in a file.
    """
    try:
        print(line, end=end, flush=True)
    except (OSError, ValueError) as error:
        quiet(sys.stdout)
        if not isinstance(error, BrokenPipeError):  # whoever read it, as ``head``, had enough
            say(program, f"standard output cannot be written: {error}")
        return False
    return True


def quiet(stream: TextIO) -> None:
    """Have a stream that can't be written lead nowhere.

    Else Python writes what it holds at the end, fails, and makes the exit code 120.
    """
    with suppress(OSError, ValueError):  # it has no number, or is closed
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)

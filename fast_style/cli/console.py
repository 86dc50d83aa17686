"""What a command prints: lines on standard error, results on standard output.

Loads no torch.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import TextIO

INTERRUPTED = 130  # the exit code after Ctrl-C, as shells have it


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
        line = f"fast_style.{program}: {' '.join(str(message).split())}"
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

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
    """Make sure that all standard streams can be used; return the names of those that were closed.

    A service may have none, and a shell closes them by ``>&-``. Closed ones are opened to nowhere,
    so that no file that is opened later gets their numbers: libraries write messages to these. A
    character that a terminal does not have is written as an escape. Call this before opening
    anything.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the free number
    closed = set()
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or getattr(stream, "closed", False):
            closed.add(name)
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
        elif name != "stdin" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names may hold any bytes
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
    """Print to standard output; return whether it worked. If not, say so on standard error.

    This is not an exception: the result is safe in a file.
    """
    try:
        print(line, end=end, flush=True)
    except (OSError, ValueError) as error:
        quiet(sys.stdout)
        if not isinstance(error, BrokenPipeError):  # the reader, such as ``head``, has ended
            say(program, f"standard output cannot be written: {error}")
        return False
    return True


def quiet(stream: TextIO) -> None:
    """Lead a stream that can't be written to nowhere.

    Otherwise Python writes the rest at the end, fails, and changes the exit code to 120.
    """
    with suppress(OSError, ValueError):  # no file number, or closed
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)

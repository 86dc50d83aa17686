"""Where the lines of a training's log go: to the screen, and into a file of the run's folder.

configs/train.yaml names these classes for Hydra. Python's own handlers answer a full disk, or a
terminal that is gone, with a page of traceback for each line. These say it once, in one line.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import Any

from fast_style.system.messages import printable, reason


class ScreenLog(logging.StreamHandler[Any]):
    """Writes to standard output, until that fails."""

    place = "standard output"

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, in letters that the screen has."""
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        return super().format(record).encode(encoding, "backslashreplace").decode(encoding)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        try:
            super().emit(record)
        except OSError:  # the file cannot be opened
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, logging's own name
        """Say what failed and fall silent; show a mistake in a call as logging does."""
        error = sys.exception()
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self.addFilter(lambda record: False)
        self.leave()
        with suppress(OSError):  # standard error may be full, too
            sys.stderr.write(
                f"fast_style.train: cannot write {printable(self.place)}: {reason(error)}; "
                "the lines of the log that follow are missing there\n"
            )

    def leave(self) -> None:
        """Let the stream lead nowhere: at its end Python tries again to write what is left."""
        with suppress(OSError, ValueError):  # the stream has no number, or is closed
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)


class TrainLog(ScreenLog, logging.FileHandler):
    """Writes into the run's file, in UTF-8. Holds the lines until ``begin``.

    A run that is refused leaves no file, and adds no line to an earlier run's.

    Args:
        filename: The file. It is opened for the first line after ``begin``.
    """

    def __init__(self, filename: str) -> None:
        logging.FileHandler.__init__(
            self, filename, encoding="utf-8", errors="backslashreplace", delay=True
        )
        self.place = self.baseFilename
        self._lines: list[logging.LogRecord] | None = []

    def begin(self) -> None:
        """Write the lines that are held, and from now on every line."""
        lines, self._lines = self._lines or [], None
        for record in lines:
            self.handle(record)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or hold it."""
        if self._lines is None:
            super().emit(record)
        else:
            self._lines.append(record)

    def leave(self) -> None:
        """Close the file."""
        with suppress(OSError):  # closing tries again to write what is left
            self.close()


def begin_log() -> None:
    """Let the file of this run begin: the run is accepted."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, TrainLog):
            handler.begin()

"""Where the lines of a training's log go: to the screen, and into a file.

Named in configs/train.yaml, which Hydra reads. What can't be written is said in one line, once, and
no training ends by it. What the screen or Unicode has no letters for is shown with backslashes.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import Any

from fast_style.system.messages import reason


def printable(text: str) -> str:
    r"""Return a text as Unicode: bytes of a name that are none become ``\udcfc`` and such."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def printable_values(value: Any) -> Any:
    """Return plain data, dictionaries and lists, with all its texts ``printable``."""
    if isinstance(value, dict):
        return {key: printable_values(one) for key, one in value.items()}
    if isinstance(value, list):
        return [printable_values(one) for one in value]
    return printable(value) if isinstance(value, str) else value


class _Once(logging.StreamHandler[Any]):
    """Falls silent at the first error of the system's, and says so on standard error."""

    failed = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        if self.failed or not self.is_open():
            return
        try:
            super().emit(record)
        except OSError:  # a file is opened where logging does not look
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, logging's own name
        """Give up, if the system refuses to write; a mistake in a call is shown as by logging."""
        error = sys.exception()
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self.failed = True
        self.let_go()
        if sys.stderr is not None:
            with suppress(OSError):  # it may be full, too
                sys.stderr.write(
                    f"fast_style.train: cannot write {printable(self.place())}: {reason(error)}; "
                    "the lines of the log that follow are missing there\n"
                )

    def is_open(self) -> bool:
        """Whether there is something to write to."""
        return True

    def place(self) -> str:
        """Return a name of what is written."""
        raise NotImplementedError

    def let_go(self) -> None:
        """Leave what can't be written."""
        raise NotImplementedError


class Screen(_Once):
    """Writes to standard output."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, in letters that the screen has."""
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        return super().format(record).encode(encoding, "backslashreplace").decode(encoding)

    def is_open(self) -> bool:
        """Whether there is a screen: services have none."""
        return self.stream is not None

    def place(self) -> str:
        """Return its name."""
        return "standard output"

    def let_go(self) -> None:
        """Send what comes to nowhere: Python writes what it holds once more, at its end."""
        with suppress(OSError, ValueError, AttributeError):  # not all streams are files
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)


class TrainLog(_Once, logging.FileHandler):
    """Writes a run's file, in UTF-8, from ``begin`` on; the lines before are held until then.

    Args:
        filename: Of the file; nothing is made there before the run is accepted.
        mode: As Python's ``open``.
    """

    def __init__(self, filename: str, mode: str = "a") -> None:
        super().__init__(filename, mode, encoding="utf-8", errors="backslashreplace", delay=True)
        self._held: list[logging.LogRecord] | None = []

    def begin(self) -> None:
        """Write what is held, and from now on all."""
        held, self._held = self._held or [], None
        for record in held:
            self.handle(record)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or hold it."""
        if self._held is None:
            super().emit(record)
        else:
            self._held.append(record)

    def place(self) -> str:
        """Return the file's name."""
        return self.baseFilename

    def let_go(self) -> None:
        """Close the file."""
        stream, self.stream = self.stream, None
        with suppress(OSError):  # it tries once more to write what it holds
            if stream is not None:
                stream.close()


def begin_log() -> None:
    """Let this run's file begin: the run is accepted."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, TrainLog):
            handler.begin()

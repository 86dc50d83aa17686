"""What is being done, from the first second on: a bar on a terminal, a few lines elsewhere.

Loads no torch.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tqdm import tqdm

from fast_style.cli.console import say

SLOW_S = 1.0  # what is done sooner is not told
TICK_S = 0.2  # between two looks at what is being done
STARTING = "starting"  # until ``begin``; only a terminal shows it: wrong use is one line
LINES = 4  # of one phase, where there is no terminal
LONG_S = 20.0  # there a line says how long the rest takes, if it takes longer
COLUMNS = 80  # of a terminal that does not know how wide it is
MOST_LETTERS = 48  # of a file's name beside the bar
WITH_BAR = "{desc} {percentage:3.0f}% |{bar}| [{elapsed}<"  # then our own time that is left, and ]
WITHOUT_BAR = "{desc} [{elapsed}]"  # where it is not known how much is done


class WorkBar:
    """Shows what is being done while the body of its ``with`` runs, if that takes long.

    A thread of its own draws it, so that it is alive while a network paints or a library loads.
    ``begin``, ``show`` and ``advance`` only say what is to be drawn.

    Args:
        program: Stands before its lines.
    """

    def __init__(self, program: str) -> None:
        self.program = program
        self.text = STARTING
        self.total = self.done = 0.0
        self._began_s = time.monotonic()  # this phase
        self._changed_s = self._began_s  # when it last came further
        self._told_left = False
        self._said = -1  # which part of the phase the last line was of
        self._bar: tqdm[Any] | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._draw_all, daemon=True)

    def __enter__(self) -> WorkBar:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._bar is not None:
            self._bar.close()

    def begin(self, text: str, total: float = 0.0) -> None:
        """Begin a phase of the work.

        Args:
            text: What it is.
            total: How much there is to do; 0 if nobody knows.
        """
        self.text, self.total, self.done = text, total, 0.0
        self._began_s, self._said = time.monotonic(), -1
        self._changed_s, self._told_left = self._began_s, False

    def show(self, text: str) -> None:
        """Say what is done now, in the same phase."""
        self.text = text

    def advance(self, share: float) -> None:
        """Say that a further ``share`` of the total is done."""
        self.reach(self.done + share)

    def reach(self, done: float) -> None:
        """Say how much is done."""
        self.done, self._changed_s = done, time.monotonic()

    def _left_s(self) -> float | None:
        """Return how long the rest takes, at the pace of what is done; none if nothing is.

        It falls with the time.
        """
        done, total = self.done, self.total  # another thread may begin the next phase
        if not 0 < done < total:
            return None
        taken_s = self._changed_s - self._began_s
        return max(0.0, taken_s / done * (total - done) - (time.monotonic() - self._changed_s))

    def _draw_all(self) -> None:
        wait_s, draw = SLOW_S, self._draw if sys.stderr.isatty() else self._say
        while not self._ended.wait(wait_s):
            wait_s = TICK_S
            with suppress(OSError, ValueError):  # nobody sees it: no reason to stop
                draw()

    def _draw(self) -> None:
        """Draw the bar."""
        if self._bar is None:
            # With a delay it does not draw itself here, before it knows how much is done.
            self._bar = tqdm(leave=False, nrows=24, bar_format=WITHOUT_BAR, delay=TICK_S)
        left_s = self._left_s()
        self._bar.bar_format = WITHOUT_BAR
        if left_s is not None:
            self._bar.bar_format = f"{WITH_BAR}{tqdm.format_interval(left_s)}]"
        self._bar.ncols = _columns()
        self._bar.total = self.total or 1
        self._bar.n = min(self.done, self._bar.total)
        self._bar.start_t = time.time() - (time.monotonic() - self._began_s)
        self._bar.set_description_str(self.text, refresh=False)
        self._bar.refresh()

    def _say(self) -> None:
        """Say a line if a further part of the phase is done, and once how long the rest takes."""
        part = int(self.done * LINES / self.total) if self.total else 0
        is_slow = time.monotonic() - self._began_s >= SLOW_S
        left_s = self._left_s() if is_slow and not self._told_left else None
        tells_left = left_s is not None and left_s > LONG_S
        if is_slow and self.text != STARTING and (self._said < part < LINES or tells_left):
            self._said = part
            share = f", {self.done / self.total:.0%}" if self.done and self.total else ""
            left = f", {tqdm.format_interval(left_s)} left" if left_s and tells_left else ""
            self._told_left |= tells_left
            say(self.program, f"{self.text}{share}{left}")


def _columns() -> int:
    """Return how wide the terminal is; one that does not know has the usual width."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or COLUMNS
    except (OSError, ValueError):
        return COLUMNS


@contextmanager
def beside_bar() -> Iterator[None]:
    """Print lines in the body: the bar makes room for them."""
    with tqdm.external_write_mode(file=sys.stderr):
        yield


def short_name(path: Path) -> str:
    """Return a file's name as it fits beside a bar."""
    name = "".join(letter if letter.isprintable() else "?" for letter in path.name)
    return name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 3]}..."

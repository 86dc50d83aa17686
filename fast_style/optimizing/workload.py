"""How much of what ``evaluate`` measures is done, and how long the rest takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple


class OptimizerRun(NamedTuple):
    """One run of the optimiser: a photograph at a size, from one start."""

    size: int  # px, of the square's sides
    start: str


class Workload:
    """All runs of the optimiser: what is done of them, and the time that the rest needs.

    The unit of work is one evaluation of the loss of one pixel. The speed is measured from the
    second evaluation on: the first is slower. Where a run may end early, the next ones from the
    same start are taken to end as early as those that are done.

    Args:
        runs: To be done, in order.
        most: Evaluations of a run, at most.
        done: Evaluations of each run that was done before this program.
        clock: Tells the time, s.
    """

    def __init__(
        self,
        runs: Sequence[OptimizerRun],
        most: int,
        done: Sequence[tuple[OptimizerRun, int]] = (),
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._runs = list(runs)
        self._most = most
        self._clock = clock
        self._counts: dict[str, list[int]] = {}  # of the runs that are done, by start
        self._done = 0.0
        for run, count in done:
            self._counts.setdefault(run.start, []).append(count)
            self._done += run.size**2 * count
        self._number = 0  # evaluations of the present run
        self._first: tuple[float, float] | None = None  # time and work when the clock was started
        self._now_s = 0.0

    def step(self) -> None:
        """Count one evaluation of the present run, which is the first of those to be done."""
        self._number += 1
        self._done += self._runs[0].size ** 2
        self._now_s = self._clock()
        if self._first is None:
            self._first = self._now_s, self._done

    def end_run(self) -> None:
        """End the present run, after all its evaluations or fewer."""
        run = self._runs.pop(0)
        self._counts.setdefault(run.start, []).append(self._number)
        self._number = 0

    @property
    def share(self) -> float:
        """How much of all is done, 0 to 1."""
        left = self._left()
        return self._done / (self._done + left) if left else 1.0

    @property
    def left_s(self) -> float | None:
        """How long the rest takes, s; none before two evaluations were timed."""
        if self._first is None or self._done == self._first[1] or self._now_s == self._first[0]:
            return None
        started_s, before = self._first
        return self._left() * (self._now_s - started_s) / (self._done - before)

    def _left(self) -> float:
        left = 0.0
        for index, run in enumerate(self._runs):
            counts = self._counts.get(run.start)
            expected = statistics.mean(counts) if counts else self._most
            left += run.size**2 * max(0.0, expected - (0 if index else self._number))
        return left


def in_words(seconds: float) -> str:
    """Return a time as a person would say it: ``20 s``, ``5 min``, ``3 h 20 min``, ``2 d 4 h``."""
    for large, small, large_s, small_s in (("d", "h", 86400, 3600), ("h", "min", 3600, 60)):
        count = round(seconds / small_s)  # rounded first: 59.9 min are an hour
        whole, rest = divmod(count, large_s // small_s)
        if whole:
            return f"{whole} {large}" + (f" {rest} {small}" if rest else "")
    return f"{round(seconds / 60)} min" if seconds >= 59.5 else f"{max(1, round(seconds))} s"

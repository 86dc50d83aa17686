"""One progress bar over work of many parts: a bar on a terminal, a line for each part elsewhere."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

from fast_style.cli.console import say
from fast_style.optimizing.workload import Workload, in_words

TIMED_STEPS = 3  # evaluations after which the whole time is told


class EvaluationBar:
    """Shows how far a workload is, and says at its beginning how long all of it takes.

    Args:
        program: The command.
        workload: What is to be done.
        about: What all of it is, to follow the time it takes.
    """

    def __init__(self, program: str, workload: Workload, about: str) -> None:
        self.program = program
        self.workload = workload
        self.about = about
        self._steps = 0
        self._bar: tqdm[Any] = tqdm(
            desc=program,
            total=1.0,
            dynamic_ncols=True,
            bar_format="{desc}: {percentage:3.0f}% |{bar}| {elapsed}{postfix}",
            disable=not sys.stderr.isatty(),
        )

    def step(self, part: str) -> None:
        """Count one evaluation of ``part``, which is shown beside the bar."""
        self.workload.step()
        self._steps += 1
        if self._steps >= TIMED_STEPS and self.about and (left_s := self.workload.left_s):
            self.say(f"about {in_words(left_s)} for {self.about}")
            self.about = ""
        self._bar.set_postfix_str(part + self._left(), refresh=False)
        self._bar.update(self.workload.share - self._bar.n)

    def end_part(self, part: str) -> None:
        """Say, where there is no terminal, that ``part`` is done."""
        if self._bar.disable:
            say(self.program, part + self._left())

    def say(self, message: object) -> None:
        """Print a line, not into the bar."""
        self.clear()
        say(self.program, message)

    def clear(self) -> None:
        """Leave the bar's line free for something that is printed; the next step draws it again."""
        self._bar.clear()

    def close(self) -> None:
        """End the bar; it stays on the screen."""
        self._bar.close()

    def _left(self) -> str:
        left_s = self.workload.left_s
        return f", {in_words(left_s)} left" if left_s else ""

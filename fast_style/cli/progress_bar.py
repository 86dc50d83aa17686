"""A progress bar on a terminal, a few lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from tqdm import tqdm

from fast_style.cli.console import say
from fast_style.models.loss_terms import further_terms

# What is shown beside the bar, and its key in ``LossTerms.scalars``.
SHOWN_SCALARS = {
    "loss": "loss",
    "content": "content_loss",
    "style": "style_loss",
    "total variation": "total_variation_loss",
    "grid": "grid_loss",
}


class Bar:
    """A progress bar on a terminal, a few lines elsewhere.

    Args:
        title: What is being done.
        total: Number of steps.
        lines: How many lines to print where there is no terminal.
    """

    def __init__(self, title: str, total: int, lines: int = 10) -> None:
        self.title = title
        self.total = total
        self.lines = lines
        self.number = 0
        self._bar: tqdm[Any] = tqdm(
            desc=title,
            total=total,
            unit="step",
            dynamic_ncols=True,
            bar_format="{desc}: {n_fmt}/{total_fmt} |{bar}| {elapsed}<{remaining}{postfix}",
            disable=not sys.stderr.isatty(),
        )

    def show(self, number: int, scalars: Mapping[str, float]) -> None:
        """Move to step ``number``, counted from 1, with the loss terms of ``scalars``."""
        shown = SHOWN_SCALARS | {name: f"{name}_loss" for name in further_terms(scalars)}
        values = ", ".join(f"{name} {scalars[key]:.4g}" for name, key in shown.items())
        if not self._bar.disable:
            self._bar.set_postfix_str(values, refresh=False)
            self._bar.update(number - self.number)
        elif number * self.lines // self.total > self.number * self.lines // self.total:
            say(self.title, f"step {number}/{self.total}, {values}")
        self.number = number

    def close(self) -> None:
        """End the bar; it stays on the screen."""
        self._bar.close()

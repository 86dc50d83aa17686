"""What the commands share: how they end, their progress bars, and their common options."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from fast_style.cli.parser import say
from fast_style.images.writing import check_not_input, check_writable
from fast_style.models.losses import further_terms
from fast_style.optimizing.descent import ALGORITHMS
from fast_style.system.files import check_free
from fast_style.system.hardware import is_out_of_memory
from fast_style.system.signals import interrupted_by


def end(program: str, job: Callable[[], int]) -> int:
    """Run a command's job and return its exit code; an expected error is one line and code 2.

    Ctrl-C and SIGTERM alike reach the job as ``KeyboardInterrupt``; if it lets that through the
    code is 130. In another thread than the main one, which alone may do so, SIGTERM is left alone.
    """
    try:
        with interrupted_by(signal.SIGTERM):
            return job()
    except KeyboardInterrupt:
        say(program, "interrupted")
        return 130
    except (ValueError, OSError) as error:
        say(program, error)
        return 2
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        say(program, f"out of memory; try a smaller --size ({error})")
        return 2


class Bar:
    """A progress bar on a terminal, a few lines elsewhere.

    Args:
        title: What is going on.
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
        names = ["content", "style", *further_terms(scalars)]
        parts = {name: scalars[f"{name}_loss"] for name in names}
        shown = {"loss": scalars["loss"], **parts}
        values = ", ".join(f"{name} {value:.4g}" for name, value in shown.items())
        rest = scalars["loss"] - sum(parts.values())
        values += f", smoothness {max(0.0, rest):.2g}"  # variation and grid
        if not self._bar.disable:
            self._bar.set_postfix_str(values, refresh=False)
            self._bar.update(number - self.number)
        elif number * self.lines // self.total > self.number * self.lines // self.total:
            say(self.title, f"step {number}/{self.total}, {values}")
        self.number = number

    def close(self) -> None:
        """Leave the bar on the screen."""
        self._bar.close()


def add_optimizer_options(parser: argparse.ArgumentParser, steps: int) -> None:
    """Add the options of an optimisation of pixels."""
    parser.add_argument(
        "--steps",
        type=int,
        default=steps,
        metavar="N",
        help="evaluations of the loss and its gradient (%(default)s)",
    )
    parser.add_argument("--optimizer", choices=ALGORITHMS, default="lbfgs", help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (%(default)s)")


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that every command has."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps, ...")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")


def check_output(path: Path, overwrite: bool, inputs: Sequence[Path]) -> None:
    """Check that a picture can be written to ``path`` before hours are spent on it.

    Raises:
        ValueError: Its type can't be written, it exists and may not be replaced, or its folder
            can't be written; or it is one of ``inputs``.
    """
    check_writable(path)
    check_not_input(path, inputs)
    check_free(path, overwrite)

"""What the commands share: how they end, and their common options."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from fast_style.cli.console import INTERRUPTED, say
from fast_style.images.writing import check_not_input, check_writable
from fast_style.optimizing.descent import ALGORITHMS
from fast_style.system.atomic import check_free
from fast_style.system.memory import is_out_of_memory
from fast_style.system.signals import interrupted_by


def end(program: str, job: Callable[[], int]) -> int:
    """Run a command's job and return its exit code; an expected error is one line and code 2.

    Ctrl-C and SIGTERM reach the job as ``KeyboardInterrupt``; if it does not catch that,
    the code is ``INTERRUPTED``. Outside the main thread SIGTERM is left as it is.
    """
    try:
        with interrupted_by(signal.SIGTERM):
            return job()
    except KeyboardInterrupt:
        say(program, "interrupted")
        return INTERRUPTED
    except (ValueError, OSError) as error:
        say(program, error)
        return 2
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        say(program, f"out of memory; try a smaller --size ({error})")
        return 2


def add_optimizer_options(parser: argparse.ArgumentParser, steps: int) -> None:
    """Add the options of a descent on pixels."""
    parser.add_argument(
        "--steps",
        type=int,
        default=steps,
        metavar="N",
        help="evaluations of the loss and its gradient (%(default)s)",
    )
    parser.add_argument(
        "--optimizer", choices=ALGORITHMS, default="lbfgs", help="what descends (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the noise (%(default)s)")


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the commands that compute and write files."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps, ...")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")


def check_seed(seed: int) -> None:
    """Check that PyTorch can begin its random numbers from ``seed``.

    Raises:
        ValueError: It can't.
    """
    if not 0 <= seed < 2**63:
        raise ValueError(f"--seed must be 0 to 2**63 - 1, found {seed}")


def check_output(path: Path, overwrite: bool, inputs: Sequence[Path]) -> None:
    """Check that a picture can be written to ``path`` before hours are spent on it.

    Raises:
        ValueError: Its type can't be written, it exists and may not be replaced, or its folder
            can't be written; or it is one of ``inputs``.
    """
    check_writable(path)
    check_not_input(path, inputs)
    check_free(path, overwrite)

"""The signals that end a program: from a person, a system that shuts down, a cluster."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# SIGUSR1 is what SLURM sends before it takes a machine back (--signal); Windows has none.
STOPPING = tuple(
    signal.Signals[name]
    for name in ("SIGINT", "SIGTERM", "SIGUSR1")
    if name in signal.Signals.__members__
)


@contextmanager
def interrupted_by(*numbers: signal.Signals) -> Iterator[None]:
    """Have signals raise ``KeyboardInterrupt``, as Ctrl-C does, while the body runs.

    Only the main thread can do this; in any other the signals stay as they are.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # SIGINT does so by itself, unless a shell has had it ignored.
    others = set(numbers) - {signal.SIGINT}
    before = {number: signal.signal(number, _interrupt) for number in others}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt

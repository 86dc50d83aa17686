"""The signals that end a program: of a person, of a system that shuts down, of a cluster."""

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
def interrupted_by_all() -> Iterator[None]:
    """Have each of them raise ``KeyboardInterrupt``, as Ctrl-C does, where Python lets it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    others = [number for number in STOPPING if number != signal.SIGINT]
    before = {number: signal.signal(number, _interrupt) for number in others}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt

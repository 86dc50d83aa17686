"""How long work reports its progress."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float], object]  # called with the share of the work done since the last call


def part_of(progress: Progress | None, share: float) -> Progress:
    """Return who is told the progress of a part of some work.

    Args:
        progress: Of the whole work; or none.
        share: Of the whole work that the part is.
    """
    if progress is None:
        return lambda done: None
    return lambda done: progress(share * done)

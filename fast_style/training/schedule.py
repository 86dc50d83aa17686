"""Learning-rate schedules, by ``optimizer.schedule``."""

from __future__ import annotations

import math
from collections.abc import Callable

START_SHARE = 1 / 25  # of the learning rate, at which the first step is taken


def one_cycle(progress: float, warmup: float) -> float:
    """Return the share of the learning rate at a point of the training.

    It rises from ``START_SHARE`` to 1 in the warm-up, then falls to 0, along half cosines.

    Args:
        progress: Share of the steps that are done, from 0 on.
        warmup: Share of the steps that the rise takes, in [0, 1).

    Source: Smith & Topin 2018, "Super-Convergence", arXiv:1708.07120.
    Departs: The momentum stays.
    """
    if progress < warmup:
        return START_SHARE + (1 - START_SHARE) * _half_cosine(progress / warmup)
    return 1 - _half_cosine(min(1.0, (progress - warmup) / (1 - warmup)))


def rise_and_stay(progress: float, warmup: float) -> float:
    """Return the share of the learning rate, which stays at 1 after the warm-up of ``one_cycle``.

    Args:
        progress: Share of the steps that are done, from 0 on.
        warmup: Share of the steps that the rise takes, in [0, 1).
    """
    return one_cycle(progress, warmup) if progress < warmup else 1.0


def _half_cosine(x: float) -> float:
    """Rise from 0 to 1 as ``x`` does, flat at both ends."""
    return (1 - math.cos(math.pi * x)) / 2


# By optimizer.schedule: the share of the learning rate, from progress and warm-up.
SCHEDULES: dict[str, Callable[[float, float], float]] = {
    "one_cycle": one_cycle,
    "averaged": rise_and_stay,
}

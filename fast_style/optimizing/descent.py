"""Optimises a picture's pixels for a loss; knows neither which loss nor whose picture."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from fast_style.models.losses import LossTerms

ALGORITHMS = ("lbfgs", "adam")
HISTORY = 20  # of L-BFGS; each entry keeps two pictures in memory
ADAM_LEARNING_RATE = 0.02
# The start is kept this far from black and white, where the parametrisation is flat.
MARGIN = 0.02


class Evaluation(NamedTuple):
    """What is known after one evaluation of the loss and its gradient."""

    number: int  # counted from 1
    scalars: dict[str, float]  # LossTerms.scalars() of the picture just tried
    best: Tensor  # the picture with the lowest loss so far, (N, 3, H, W) in [0, 1]
    best_scalars: dict[str, float]  # of that picture
    elapsed_s: float  # since the start


class _FinishedError(Exception):
    """Ends L-BFGS in the middle of a line search."""


def optimize_pixels(
    objective: Callable[[Tensor], LossTerms],
    start: Tensor,
    evaluations: int,
    algorithm: str = "lbfgs",
    report: Callable[[Evaluation], None] | None = None,
) -> Tensor:
    """Return the best picture found in a number of evaluations of the loss and its gradient.

    The picture is ``(1 + sin(2 z)) / 2`` and ``z`` is what moves: the picture lies within [0, 1]
    throughout, and a result is worth what it was measured at.

    Args:
        objective: The loss of a picture ``(N, 3, H, W)`` in [0, 1].
        start: Where to begin, ``(N, 3, H, W)``, float32 or float64, in [0, 1].
        evaluations: How many; each is one pass forward and one backward.
        algorithm: ``lbfgs`` (with a strong-Wolfe line search) or ``adam``.
        report: Called after each evaluation. What it raises ends the optimisation.

    Returns:
        The picture with the lowest total, ``(N, 3, H, W)`` in [0, 1].

    Raises:
        ValueError: An unknown algorithm, fewer than one evaluation, or a loss that is not a finite
            number at the start.

    Source: Gatys, Ecker & Bethge 2015, arXiv:1508.06576; Liu & Nocedal 1989 for L-BFGS.
    Departs: the parametrisation. Free pixels leave [0, 1], and clamping them afterwards was seen
        to raise the style error by half.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(f"the optimizer is one of {', '.join(ALGORITHMS)}, found {algorithm!r}")
    if evaluations < 1:
        raise ValueError(f"at least 1 step is needed, found {evaluations}")
    # At mid grey the slope is 1: z and pixels have the same unit there.
    z = (torch.asin(2 * start.detach().clamp(MARGIN, 1 - MARGIN) - 1) / 2).requires_grad_()
    best: Evaluation | None = None
    number = 0
    started_s = time.perf_counter()

    def evaluate() -> Tensor:
        nonlocal best, number
        z.grad = None
        picture = (1 + torch.sin(2 * z)) / 2
        terms = objective(picture)
        terms.total.backward()
        number += 1
        names, values = zip(*terms.scalars().items(), strict=True)
        scalars = dict(zip(names, torch.stack(values).tolist(), strict=True))  # one wait for a GPU
        elapsed_s = time.perf_counter() - started_s
        if best is None and not math.isfinite(scalars["loss"]):
            raise ValueError(f"the first picture's loss is {scalars['loss']}, not a finite number")
        if best is None or scalars["loss"] < best.scalars["loss"]:
            best = Evaluation(number, scalars, picture.detach(), scalars, elapsed_s)
        if report is not None:
            report(Evaluation(number, scalars, best.best, best.scalars, elapsed_s))
        if number == evaluations:
            raise _FinishedError
        return terms.total

    optimizer: torch.optim.Optimizer
    try:
        if algorithm == "adam":
            optimizer = torch.optim.Adam([z], lr=ADAM_LEARNING_RATE)
            while True:
                optimizer.step(evaluate)
        while True:  # L-BFGS ends where its model of the loss fails; a new one starts afresh
            optimizer = torch.optim.LBFGS(
                [z],
                max_iter=evaluations,
                max_eval=evaluations,
                tolerance_grad=0,
                tolerance_change=0,
                history_size=HISTORY,
                line_search_fn="strong_wolfe",
            )
            optimizer.step(evaluate)
    except _FinishedError:
        assert best is not None
        return best.best

"""L-BFGS or Adam on the pixels of a picture, for any loss."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from fast_style.models.loss_terms import LossTerms

ALGORITHMS = ("lbfgs", "adam")
LBFGS_HISTORY = 20  # each entry keeps two pictures in memory
ADAM_LEARNING_RATE = 0.02
# The start is kept this far from black and white, where the sine is flat: no gradient there.
START_MARGIN = 0.02


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

    What moves is ``z``, and the picture is ``(1 + sin(2 z)) / 2``. So the picture never leaves
    [0, 1], and the result is the very picture whose loss was measured.

    Args:
        objective: The loss of a picture ``(N, 3, H, W)`` in [0, 1].
        start: Where to begin, ``(N, 3, H, W)``, float32 or float64, in [0, 1], in any layout.
        evaluations: How many; each is one pass forward and one backward.
        algorithm: ``lbfgs`` (with a strong-Wolfe line search) or ``adam``.
        report: Called after each evaluation. What it raises ends the optimisation.

    Returns:
        The picture with the lowest total, ``(N, 3, H, W)`` in [0, 1].

    Raises:
        ValueError: An unknown algorithm, fewer than one evaluation, or a loss that is not a finite
            number at the start.

    Source: Gatys, Ecker & Bethge 2015, arXiv:1508.06576; Liu & Nocedal 1989 for L-BFGS.
    Departs: the parametrisation. Free pixels leave [0, 1]; clamping them at the end raised the
        style error by half.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(f"the optimizer is one of {', '.join(ALGORITHMS)}, found {algorithm!r}")
    if evaluations < 1:
        raise ValueError(f"at least 1 step is needed, found {evaluations}")
    descent = _Descent(objective, start, evaluations, report)
    try:
        if algorithm == "adam":
            descent.by_adam()
        else:
            descent.by_lbfgs()
    except _FinishedError:
        pass
    assert descent.best is not None
    return descent.best.best


class _Descent:
    """A picture on its way down, and the best one so far."""

    def __init__(
        self,
        objective: Callable[[Tensor], LossTerms],
        start: Tensor,
        evaluations: int,
        report: Callable[[Evaluation], None] | None,
    ) -> None:
        self.objective = objective
        self.z = _z_of(start).requires_grad_()
        self.evaluations = evaluations
        self.report = report
        self.best: Evaluation | None = None
        self.number = 0
        self.started_s = time.perf_counter()

    def by_adam(self) -> None:
        """Descend until ``evaluate`` ends it."""
        optimizer = torch.optim.Adam([self.z], lr=ADAM_LEARNING_RATE)
        while True:
            optimizer.step(self.evaluate)

    def by_lbfgs(self) -> None:
        """Descend until ``evaluate`` ends it."""
        while True:  # L-BFGS stops where its model of the loss fails; a new one starts afresh
            optimizer = torch.optim.LBFGS(
                [self.z],
                max_iter=self.evaluations,
                max_eval=self.evaluations,
                tolerance_grad=0,
                tolerance_change=0,
                history_size=LBFGS_HISTORY,
                line_search_fn="strong_wolfe",
            )
            optimizer.step(self.evaluate)

    def evaluate(self) -> Tensor:
        """Compute loss and gradient of the picture at ``z``; return the loss.

        Raises:
            _FinishedError: This was the last evaluation.
            ValueError: The first loss is not a finite number.
        """
        self.z.grad = None
        picture = _picture_at(self.z)
        terms = self.objective(picture)
        terms.total.backward()
        self.number += 1
        self._note(picture.detach(), _as_numbers(terms.scalars()))
        if self.number == self.evaluations:
            raise _FinishedError
        return terms.total

    def _note(self, picture: Tensor, scalars: dict[str, float]) -> None:
        """Keep the picture if it is the best so far, and report the evaluation."""
        elapsed_s = time.perf_counter() - self.started_s
        if self.best is None and not math.isfinite(scalars["loss"]):
            raise ValueError(f"the first picture's loss is {scalars['loss']}, not a finite number")
        if self.best is None or scalars["loss"] < self.best.scalars["loss"]:
            self.best = Evaluation(self.number, scalars, picture, scalars, elapsed_s)
        if self.report is not None:
            best = self.best
            self.report(Evaluation(self.number, scalars, best.best, best.scalars, elapsed_s))


def _picture_at(z: Tensor) -> Tensor:
    return (1 + torch.sin(2 * z)) / 2


def _z_of(picture: Tensor) -> Tensor:
    """Return the ``z`` of a picture: at mid grey the slope is 1, so there both have one unit.

    It is contiguous, whatever the picture is: PyTorch's L-BFGS views it as one row of numbers.
    """
    inside = picture.detach().clamp(START_MARGIN, 1 - START_MARGIN)
    return (torch.asin(2 * inside - 1) / 2).contiguous()


def _as_numbers(scalars: dict[str, Tensor]) -> dict[str, float]:
    """Return tensors as numbers, all in one transfer: a GPU is waited for once."""
    values = torch.stack(list(scalars.values())).tolist()
    return dict(zip(scalars, values, strict=True))

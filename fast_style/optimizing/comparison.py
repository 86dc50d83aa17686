"""A network and the optimiser, measured on the same photograph: for ``evaluate``."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fast_style.models.losses import PerceptualLoss
from fast_style.optimizing.comparison_report import MARKS
from fast_style.optimizing.descent import Evaluation, optimize_pixels
from fast_style.painting.style import Style
from fast_style.system.precision import exact_float32

TIMED_RUNS = 3


class _ReachedError(Exception):
    """Ends an optimisation that is as good as every network."""


def equivalent_iterations(best_so_far: Sequence[float], total: float) -> int | None:
    """Return after how many evaluations the best loss is ``total`` or less; None if never."""
    return next((n for n, value in enumerate(best_so_far, 1) if value <= total), None)


def measure_network(style: Style, loss: PerceptualLoss, content: Tensor) -> dict[str, Any]:
    """Return what a style's picture is worth, and the seconds it takes.

    ``scalars`` has the loss terms of the picture that ``stylize`` writes by default, without the
    file's rounding; ``alone`` has those of the network's own, without grain, margin and palette.

    Args:
        style: To be measured.
        loss: That judges.
        content: The photograph, ``(1, 3, H, W)`` in [0, 1].
    """
    stylized = style(content)
    seconds = []
    for _ in range(TIMED_RUNS):
        started_s = time.perf_counter()
        stylized = style(content)
        _wait(stylized)
        seconds.append(time.perf_counter() - started_s)
    return {
        "scalars": scalars(loss, stylized, content),
        "alone": scalars(loss, style.paint(content), content),
        "seconds": min(seconds),
    }


def measure_optimizer(
    loss: PerceptualLoss,
    content: Tensor,
    start: Tensor,
    evaluations: int,
    stop_at: float,
    show: Callable[[Evaluation], object],
) -> dict[str, Any]:
    """Return the optimiser's progress: the best loss after each evaluation, terms at ``MARKS``.

    Args:
        loss: Whose total is minimised.
        content: The photograph, ``(1, 3, H, W)`` in [0, 1].
        start: The picture to begin from, of the same shape.
        evaluations: How many at most.
        stop_at: A total at which it may end.
        show: Called after each evaluation.
    """
    with exact_float32(content.device):
        targets = loss.content_targets(content)
    totals: list[float] = []
    at: dict[str, dict[str, float]] = {}  # by texts, as in JSON
    elapsed_s: list[float] = []

    def report(evaluation: Evaluation) -> None:
        totals.append(evaluation.best_scalars["loss"])
        elapsed_s.append(evaluation.elapsed_s)
        if evaluation.number in MARKS:
            at[str(evaluation.number)] = evaluation.best_scalars
        show(evaluation)
        if totals[-1] <= stop_at:
            raise _ReachedError

    with suppress(_ReachedError), exact_float32(content.device):
        optimize_pixels(partial(loss.compare, targets=targets), start, evaluations, report=report)
    return {"best_loss": totals, "at": at, "elapsed_s": elapsed_s}


@torch.no_grad()
def scalars(loss: PerceptualLoss, picture: Tensor, content: Tensor) -> dict[str, float]:
    """Return the loss terms of ``picture`` for ``content``, both ``(1, 3, H, W)`` in [0, 1]."""
    with exact_float32(content.device):
        found = loss(picture, content).scalars()
    return {name: float(value) for name, value in found.items()}


def _wait(result: Tensor) -> None:
    """Wait until a GPU has computed a result."""
    if result.device.type == "cuda":
        torch.cuda.synchronize(result.device)

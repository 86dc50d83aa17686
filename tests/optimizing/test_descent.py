"""Optimising pixels: against finite differences, known minima, and its own promises."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from fast_style.models.loss_terms import LossTerms
from fast_style.models.losses import PerceptualLoss
from fast_style.optimizing.descent import Evaluation, optimize_pixels


def image(size: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def distance_to(target: Tensor, picture: Tensor) -> LossTerms:
    """A loss whose minimum is known, in the shape of ours."""
    total = (picture - target).square().sum()
    zero = torch.zeros(())
    return LossTerms(total, total[None], {}, {}, zero, {}, {}, 0.0, zero, 0.0)


def perceptual(dtype: torch.dtype) -> PerceptualLoss:
    return PerceptualLoss(
        image(40, 9, dtype),
        content_layers=["relu2_2"],
        style_layers=["relu1_2", "relu2_2"],
        content_layer_weights=[1.0],
        style_layer_weights=[1.0, 1.0],
        style_weight=5.0,
        total_variation_weight=1e-4,
        dtype=dtype,
    )


@pytest.mark.parametrize("algorithm", ["lbfgs", "adam"])
def test_a_known_minimum_is_found(algorithm: str) -> None:
    target = image(8, 1).clamp(0.05, 0.95)
    found = optimize_pixels(partial(distance_to, target), image(8, 2), 300, algorithm)
    torch.testing.assert_close(found, target, atol=0.01, rtol=0)


@pytest.mark.parametrize("algorithm", ["lbfgs", "adam"])
def test_a_minimum_outside_the_range_is_met_at_its_edge(algorithm: str) -> None:
    target = image(8, 1) * 3 - 1
    found = optimize_pixels(partial(distance_to, target), image(8, 2), 400, algorithm)
    assert found.min() >= 0
    assert found.max() <= 1
    torch.testing.assert_close(found, target.clamp(0, 1), atol=0.02, rtol=0)


def test_the_gradient_agrees_with_finite_differences() -> None:
    """The whole loss in float64: VGG16, Gram matrices, both errors and the total variation."""
    loss = perceptual(torch.float64)
    targets = loss.content_targets(image(12, 3, torch.float64))
    picture = image(12, 4, torch.float64).requires_grad_()
    loss.compare(picture, targets).total.backward()
    assert picture.grad is not None
    generator = torch.Generator().manual_seed(5)
    for _ in range(5):
        direction = torch.randn(picture.shape, generator=generator, dtype=torch.float64)
        step = 1e-6
        with torch.no_grad():
            above = loss.compare(picture + step * direction, targets).total
            below = loss.compare(picture - step * direction, targets).total
        slope = float((picture.grad * direction).sum())
        assert float(above - below) / (2 * step) == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize("algorithm", ["lbfgs", "adam"])
def test_the_best_so_far_never_gets_worse(algorithm: str) -> None:
    loss = perceptual(torch.float32)
    targets = loss.content_targets(image(32, 3))
    seen: list[Evaluation] = []
    start = image(32, 4)
    found = optimize_pixels(
        partial(loss.compare, targets=targets), start, 25, algorithm, seen.append
    )
    assert [evaluation.number for evaluation in seen] == list(range(1, 26))
    totals = [evaluation.best_scalars["loss"] for evaluation in seen]
    assert totals == sorted(totals, reverse=True)
    assert totals == [min(e.scalars["loss"] for e in seen[: n + 1]) for n in range(25)]
    assert totals[-1] < totals[0] / 3
    # What is returned is worth what was reported.
    assert float(loss.compare(found, targets).total) == pytest.approx(totals[-1], rel=1e-5)
    assert torch.equal(found, seen[-1].best)
    assert torch.equal(start, image(32, 4))


def test_the_same_start_gives_the_same_picture() -> None:
    loss = perceptual(torch.float32)
    objective = partial(loss.compare, targets=loss.content_targets(image(32, 3)))
    first = optimize_pixels(objective, image(32, 4), 8)
    assert torch.equal(first, optimize_pixels(objective, image(32, 4), 8))


@pytest.mark.parametrize("algorithm", ["lbfgs", "adam"])
@pytest.mark.parametrize("layout", ["channels last", "turned", "expanded"])
def test_a_start_may_lie_in_memory_in_any_way(algorithm: str, layout: str) -> None:
    start = {
        "channels last": image(8, 2).to(memory_format=torch.channels_last),
        "turned": image(8, 2).transpose(2, 3),
        "expanded": torch.full((1, 1, 1, 1), 0.4).expand(1, 3, 8, 8),
    }[layout]
    assert not start.is_contiguous()
    objective = partial(distance_to, image(8, 1))
    expected = optimize_pixels(objective, start.contiguous(), 5, algorithm)
    assert torch.equal(optimize_pixels(objective, start, 5, algorithm), expected)


def test_what_the_report_raises_ends_it() -> None:
    def report(evaluation: Evaluation) -> None:
        if evaluation.number == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        optimize_pixels(partial(distance_to, image(8, 1)), image(8, 2), 10, report=report)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"algorithm": "sgd"}, "lbfgs, adam.* 'sgd'"),
        ({"evaluations": 0}, "1 step.* 0$"),
    ],
)
def test_wrong_use(changes: dict[str, object], message: str) -> None:
    arguments = {"evaluations": 1} | changes
    with pytest.raises(ValueError, match=message):
        optimize_pixels(partial(distance_to, image(8, 1)), image(8, 2), **arguments)  # type: ignore[arg-type]


def test_a_loss_that_is_no_number_is_said() -> None:
    target = torch.full((1, 3, 8, 8), float("nan"))
    with pytest.raises(ValueError, match="loss is nan"):
        optimize_pixels(partial(distance_to, target), image(8, 2), 3)

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fast_style.losses import LossTerms
from fast_style.module import OBJECTIVES, START_SHARE, StyleModule, one_cycle


def test_the_learning_rate_rises_and_falls() -> None:
    shares = [one_cycle(step / 100, 0.1) for step in range(101)]
    assert shares[0] == pytest.approx(START_SHARE)
    assert shares[10] == max(shares) == 1
    assert shares[100] == pytest.approx(0)
    assert shares[:11] == sorted(shares[:11])
    assert shares[10:] == sorted(shares[10:], reverse=True)
    assert shares[55] == pytest.approx(0.5)


def test_without_a_warm_up_it_only_falls() -> None:
    assert one_cycle(0, 0) == 1
    assert one_cycle(1, 0) == pytest.approx(0)


def test_past_the_end_it_stays_at_zero() -> None:
    assert one_cycle(1.5, 0.1) == pytest.approx(0)


def test_by_the_logarithm_each_photograph_counts_alike() -> None:
    totals = torch.tensor([2.0, 16.0], requires_grad=True)
    OBJECTIVES["mean"](totals).backward()  # type: ignore[no-untyped-call]
    assert totals.grad is not None
    assert totals.grad.tolist() == [0.5, 0.5]  # of the losses: the larger has the larger gradient
    totals.grad = None
    OBJECTIVES["mean_log"](totals).backward()  # type: ignore[no-untyped-call]
    assert (totals.grad * totals).tolist() == [0.5, 0.5]


def test_a_perfect_picture_has_a_finite_objective() -> None:
    for objective in OBJECTIVES.values():
        assert torch.isfinite(objective(torch.zeros(2)))


@pytest.mark.parametrize(("objective", "expected"), [("mean", 5.0), ("mean_log", 2 * 2**0.5)])
def test_a_step_minimises_the_objective(
    objective: str, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loss(stylized: Tensor, content: Tensor) -> LossTerms:
        totals = torch.tensor([2.0, 8.0]) if objective == "mean" else torch.tensor([2.0, 4.0])
        zero = torch.zeros(())
        return LossTerms(totals.mean(), totals, {}, {}, zero, {}, {}, 0.0, zero, 0.0)

    optimizer = SimpleNamespace(param_groups=[{"lr": 0.0}])
    trainer = SimpleNamespace(
        optimizers=[optimizer], world_size=1, log_every_n_steps=1, global_step=0
    )
    monkeypatch.setattr(StyleModule, "trainer", property(lambda _: trainer))
    for name in ("log", "log_dict"):
        monkeypatch.setattr(StyleModule, name, lambda *_, **__: None)
    judge: Any = loss
    module = StyleModule(nn.Identity(), judge, "adam", objective, 1e-3, 0.1, {})
    found = module.training_step(torch.zeros(2, 3, 8, 8), 0)
    assert float(found.exp() if objective == "mean_log" else found) == pytest.approx(expected)

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fast_style.models.loss_terms import LossTerms
from fast_style.models.network import MARGIN, build_network
from fast_style.painting.options import GRAIN
from fast_style.training.module import (
    OBJECTIVES,
    StyleModule,
    as_shown,
    is_plain,
)
from fast_style.training.schedule import START_SHARE, one_cycle, rise_and_stay


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


def test_averaged_it_rises_alike_and_stays() -> None:
    shares = [rise_and_stay(step / 100, 0.1) for step in range(201)]
    assert shares[:11] == [one_cycle(step / 100, 0.1) for step in range(11)]
    assert set(shares[10:]) == {1}


def test_by_the_logarithm_each_photograph_counts_alike() -> None:
    totals = torch.tensor([2.0, 16.0], requires_grad=True)
    (gradient,) = torch.autograd.grad(OBJECTIVES["mean"](totals), totals)
    assert gradient.tolist() == [0.5, 0.5]  # of the losses: the larger has the larger gradient
    (gradient,) = torch.autograd.grad(OBJECTIVES["mean_log"](totals), totals)
    assert (gradient * totals).tolist() == [0.5, 0.5]


def test_a_perfect_picture_has_a_finite_objective() -> None:
    for objective in OBJECTIVES.values():
        assert torch.isfinite(objective(torch.zeros(2)))


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a module take a step without a trainer."""
    optimizer = SimpleNamespace(param_groups=[{"lr": 0.0}])
    trainer = SimpleNamespace(
        optimizers=[optimizer],
        world_size=1,
        log_every_n_steps=1,
        global_step=0,
        max_steps=10,
    )
    monkeypatch.setattr(StyleModule, "trainer", property(lambda _: trainer))
    for name in ("log", "log_dict"):
        monkeypatch.setattr(StyleModule, name, lambda *_, **__: None)


def of_photographs(totals: Tensor) -> LossTerms:
    """Return a batch's terms that hold nothing but each photograph's loss, ``(N,)``."""
    zero = torch.zeros(())
    return LossTerms(totals.mean(), totals, {}, {}, zero, {}, {}, 0.0, zero, 0.0)


@pytest.mark.parametrize(("objective", "expected"), [("mean", 5.0), ("mean_log", 2 * 2**0.5)])
def test_a_step_minimises_the_objective(objective: str, expected: float, alone: None) -> None:
    def loss(stylized: Tensor, content: Tensor) -> LossTerms:
        return of_photographs(torch.tensor([2.0, 8.0 if objective == "mean" else 4.0]))

    judge: Any = loss
    module = StyleModule(nn.Identity(), judge, "adam", objective, "one_cycle", 1e-3, 0.1, {})
    found = module.training_step(torch.zeros(2, 3, 32, 32), 0)
    assert float(found.exp() if objective == "mean_log" else found) == pytest.approx(expected)


def test_a_step_sees_the_picture_as_it_would_be_written(alone: None) -> None:
    def loss(stylized: Tensor, content: Tensor) -> LossTerms:
        return of_photographs((stylized - content).abs().mean((1, 2, 3)))

    judge: Any = loss
    network = nn.Conv2d(3, 3, 1)  # a bias of 2: far too bright
    nn.init.zeros_(network.weight)
    nn.init.constant_(network.bias, 2.0)  # type: ignore[arg-type]
    module = StyleModule(network, judge, "adam", "mean", "one_cycle", 1e-3, 0.1, {})
    found = module.training_step(torch.rand(1, 3, 32, 32), 0)
    assert found < 1
    found.backward()
    assert (network.bias.grad > 0).all()  # type: ignore[operator, union-attr]


def test_the_gradient_never_leads_further_out() -> None:
    picture = torch.tensor([-0.5, -0.5, 0.0, 0.5, 0.5, 1.0, 1.5, 1.5], requires_grad=True)
    shown = as_shown(picture)
    assert shown.tolist() == [0, 0, 0, 0.5, 0.5, 1, 1, 1]
    shown.backward(torch.tensor([1.0, -1, 1, 1, -1, -1, 1, -1]))
    assert picture.grad is not None
    assert picture.grad.tolist() == [0, -1, 1, 1, -1, -1, 1, 0]


@pytest.mark.parametrize("objective", list(OBJECTIVES))
def test_an_empty_page_has_no_gradient(objective: str, alone: None) -> None:
    """Its own would be infinite: twenty normalisations of what does not vary."""

    def loss(stylized: Tensor, content: Tensor) -> LossTerms:
        return of_photographs(stylized.square().mean((1, 2, 3)))

    torch.manual_seed(0)
    network = build_network({"name": "slim", "channels": [4, 8, 16], "residual_blocks": 5})
    judge: Any = loss
    module = StyleModule(network, judge, "adam", objective, "one_cycle", 1e-3, 0.1, {})
    photograph = torch.rand(1, 3, 32, 32)
    gradients = []
    for pages in ([torch.ones(3), torch.zeros(3)], [torch.tensor([0.1, 0.9, 0.4]), torch.ones(3)]):
        network.zero_grad()
        plain = torch.stack(pages)[..., None, None].expand(2, 3, 32, 32)
        module.training_step(torch.cat([plain, photograph]), 0).backward()
        gradients.append([p.grad.clone() for p in network.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(list(network.parameters()))
    for first, second in zip(*gradients, strict=True):
        assert torch.isfinite(first).all()
        torch.testing.assert_close(first, second)
    assert max(float(one.abs().max()) for one in gradients[0]) > 1e-6
    network.zero_grad()
    module.training_step(plain, 0).backward()
    slopes = [p.grad for p in network.parameters() if p.grad is not None]
    assert len(slopes) == len(gradients[0])
    assert not any(slope.any() for slope in slopes)


def test_what_is_plain() -> None:
    red = torch.tensor([1.0, 0.0, 0.2])[:, None, None].expand(3, 40, 40)
    dotted = red.clone()
    dotted[:, 10:12, 10:14] = 0.5
    faint = red * 0.9 + torch.rand(3, 40, 40) / 255
    assert is_plain(torch.stack([red, dotted, faint])).tolist() == [True, False, True]


def test_a_network_is_trained_on_what_is_written() -> None:
    """With other grain at each step, and a margin that the loss does not see."""
    shown: list[Tensor] = []
    judged: list[Tensor] = []

    class Watched(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            shown.append(x)
            return super().forward(x)

    def loss(stylized: Tensor, content: Tensor) -> LossTerms:
        judged.append(stylized)
        return of_photographs(stylized.mean((1, 2, 3)))

    judge: Any = loss
    module = StyleModule(Watched(3, 3, 1), judge, "adam", "mean", "one_cycle", 1e-3, 0.1, {})
    content = torch.rand(2, 3, 40, 48, generator=torch.Generator().manual_seed(0))
    for seed in (1, 2, 1):
        module.objective_of(content, seed)
    assert [tuple(one.shape) for one in shown] == [(2, 3, 40 + 2 * MARGIN, 48 + 2 * MARGIN)] * 3
    assert [tuple(one.shape) for one in judged] == [(2, 3, 40, 48)] * 3
    inside = [one[..., MARGIN:-MARGIN, MARGIN:-MARGIN] for one in shown]
    assert torch.equal(inside[0], inside[2])
    assert not torch.equal(inside[0], inside[1])
    assert float((inside[0] - content).std() * 255) == pytest.approx(GRAIN, rel=0.1)
    levels = inside[0] * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-3, rtol=0)
    assert torch.equal(shown[0].flip(-1)[..., MARGIN - 1], shown[0][..., -MARGIN])

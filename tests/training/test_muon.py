"""Muon: orthogonal steps for the inner convolutions, Adam's for the rest, and its state."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from fast_style.models.network import build_network
from fast_style.training.muon import STEP, Muon, orthogonalized

SMALL = {"name": "johnson", "channels": [4, 8, 8], "residual_blocks": 1}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(16, 144), (16, 16), (64, 12), (1, 9)])
def test_singular_values_become_alike_and_singular_vectors_stay(shape: tuple[int, int]) -> None:
    left, _, right = torch.linalg.svd(random(*shape).double(), full_matrices=False)
    values = torch.logspace(0, -2, min(shape), dtype=torch.float64)
    (result,) = orthogonalized([left @ torch.diag(values) @ right])
    turned = left.T @ result @ right.T
    assert torch.allclose(turned, torch.diag(turned.diagonal()), atol=1e-9)
    assert 0.6 < turned.diagonal().min() <= turned.diagonal().max() < 1.25


def test_the_length_of_the_matrix_does_not_count() -> None:
    matrix = random(8, 20)
    one, other, nought = orthogonalized([matrix, 1e-6 * matrix, torch.zeros(3, 5)])
    assert torch.allclose(one, other, atol=1e-4)
    assert not nought.any()


def trained(network: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> list[Tensor]:
    image = random(1, 3, 32, 32).sigmoid()
    for _ in range(steps):
        optimizer.zero_grad()
        network(image).square().mean().backward()
        optimizer.step()
    return [weight.detach().clone() for weight in network.parameters()]


def test_inner_convolutions_take_orthogonal_steps_and_the_rest_adams() -> None:
    torch.manual_seed(0)
    network = build_network(SMALL)
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    reference = deepcopy(network)
    trained(network, Muon(network, 1e-3), 1)
    trained(reference, torch.optim.Adam(reference.parameters(), 1e-3), 1)
    inner = [name for name, w in before.items() if w.ndim == 4][1:-1]
    assert len(inner) == 6  # two of the encoder, two of the block, two of the decoder
    for name, weight in network.named_parameters():
        if name not in inner:
            assert torch.equal(weight, reference.get_parameter(name)), name
            continue
        step = (before[name] - weight).flatten(1)
        rows, columns = step.shape
        values = torch.linalg.svdvals(step) / (STEP * 1e-3 * max(1, rows / columns) ** 0.5)
        assert values.max() < 1.25, name
        assert values.median() > 0.6, name


def test_weights_that_get_no_gradient_stay() -> None:
    network = build_network(SMALL)
    before = deepcopy(network.state_dict())
    Muon(network, 1e-3).step()
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_a_network_of_two_convolutions_is_adams_alone() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 3, 3))
    assert [len(group["params"]) for group in Muon(network, 1e-3).param_groups] == [4]
    before = [weight.detach().clone() for weight in network.parameters()]
    after = trained(network, Muon(network, 1e-3), 1)
    assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_several_matrices_are_each_turned_by_itself() -> None:
    shapes = [(6, 9), (9, 6), (3, 40), (5, 5)]
    matrices = [10.0**scale * random(*shape) for scale, shape in enumerate(shapes, -2)]
    for matrix, turned in zip(matrices, orthogonalized(matrices), strict=True):
        torch.testing.assert_close(turned, orthogonalized([matrix])[0])
    assert orthogonalized([]) == []


def test_a_saved_state_goes_on_as_if_never_saved() -> None:
    torch.manual_seed(0)
    network = build_network(SMALL)
    optimizer = Muon(network, 1e-3)
    trained(network, optimizer, 3)
    again = deepcopy(network)
    other = Muon(again, 1e-3)
    other.load_state_dict(deepcopy(optimizer.state_dict()))
    unbroken, continued = trained(network, optimizer, 3), trained(again, other, 3)
    assert all(torch.equal(a, b) for a, b in zip(unbroken, continued, strict=True))


def test_the_closure_computes_the_gradients() -> None:
    torch.manual_seed(0)
    network = build_network(SMALL)
    before = deepcopy(network.state_dict())
    optimizer = Muon(network, 1e-3)

    def closure() -> float:
        loss: Tensor = network(random(1, 3, 32, 32).sigmoid()).square().mean()
        loss.backward()
        return float(loss.detach())

    assert optimizer.step(closure) > 0
    assert not torch.equal(
        before["residual.0.convolutions.0.1.weight"],
        network.get_parameter("residual.0.convolutions.0.1.weight"),
    )


def test_a_gradient_scaler_passes_over_an_infinite_gradient() -> None:
    """As precision 16-mixed trains on a GPU."""
    torch.manual_seed(0)
    network = build_network(SMALL)
    optimizer = Muon(network, 1e-3)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    before = deepcopy(network.state_dict())
    for factor in (float("inf"), 1.0):
        optimizer.zero_grad()
        loss = network(random(1, 3, 32, 32).sigmoid()).square().mean()
        scaler.scale(loss * factor).backward()
        scaler.step(optimizer)
        scaler.update()
        changed = [not torch.equal(before[k], v) for k, v in network.state_dict().items()]
        assert any(changed) == (factor == 1.0)
    assert all(torch.isfinite(weight).all() for weight in network.parameters())

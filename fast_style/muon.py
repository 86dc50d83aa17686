"""Muon: an optimiser whose steps change all directions of a convolution alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam

MOMENTUM = 0.95
# A step of a matrix has this many times Adam's learning rate, as the length of all its directions.
# Measured on starry from nothing at 1.0e-3: after 150 steps 20 and 50 were within 2 %.
STEP = 20.0
# 0 < s <= 1 goes to near 1 by five times a s + b s^3 + c s^5 (between 0.7 and 1.2, from 0.01 on).
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5


class Muon(Adam):
    """Orthogonalised momentum for the inner convolutions, Adam for all other weights.

    A convolution's gradient has few strong directions and many weak ones. Adam follows the strong
    ones; here the mean gradient, as a matrix of outputs by inputs, is replaced by the nearest
    orthogonal matrix, so that the weak ones are learned as fast. The first convolution, from
    colours, and the last, to colours, stay with Adam, as do norms and biases.

    Args:
        network: Its 4-D weights, but for the first and the last of them, are the matrices.
        learning_rate: Adam's; a matrix steps ``STEP`` times as far.

    Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks".
    Departs: The iteration runs on the Gram matrix of the rows, which is smaller.
    """

    def __init__(self, network: nn.Module, learning_rate: float) -> None:
        matrices = [weight for weight in network.parameters() if weight.ndim == 4][1:-1]
        inner = {id(weight) for weight in matrices}
        others = [weight for weight in network.parameters() if id(weight) not in inner]
        groups = [{"params": others, "orthogonal": False}]
        if matrices:
            groups.append({"params": matrices, "lr": STEP * learning_rate, "orthogonal": True})
        super().__init__(groups, lr=learning_rate)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Take a step; return what ``closure``, which computes the gradients, returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = {}  # by shape: turned together
            for weight in group["params"] if group["orthogonal"] else ():
                if weight.grad is not None:
                    alike.setdefault(weight.shape, []).append(weight)
            for weights in alike.values():
                self._turn(weights, group["lr"])
        super().step()
        return loss

    def _turn(self, weights: list[Tensor], learning_rate: float) -> None:
        ahead: list[Tensor] = []
        for weight in weights:
            gradient, state = weight.grad, self.state[weight]
            assert gradient is not None
            if not state:
                state["step"] = torch.zeros(())  # unused; Adam asks for it when a state is loaded
                state["momentum"] = torch.zeros_like(gradient)
            momentum = state["momentum"].lerp_(gradient, 1 - MOMENTUM)
            ahead.append(gradient.lerp(momentum, MOMENTUM).flatten(1))  # Nesterov's
            weight.grad = None  # so that Adam passes it over
        rows, columns = ahead[0].shape
        scale = max(1.0, rows / columns) ** 0.5
        for weight, turned in zip(weights, orthogonalized(torch.stack(ahead)), strict=True):
            weight.add_(turned.view_as(weight), alpha=-learning_rate * scale)


def orthogonalized(matrix: Tensor) -> Tensor:
    """Return about the nearest matrix whose singular values are all 1; nought of nought.

    Args:
        matrix: ``(..., rows, columns)``, float32 or finer; of several each by itself.
    """
    if matrix.shape[-2] > matrix.shape[-1]:
        return orthogonalized(matrix.mT).mT
    norm = torch.linalg.matrix_norm(matrix, keepdim=True)
    x = matrix / norm.clamp_min(torch.finfo(matrix.dtype).tiny)
    a, b, c = NEWTON_SCHULZ
    one = torch.eye(x.shape[-2], dtype=x.dtype, device=x.device)
    gram, product = x @ x.mT, one
    for _ in range(ITERATIONS):
        factor = a * one + b * gram + c * gram @ gram
        product = factor @ product
        gram = factor @ gram @ factor
    result: Tensor = product @ x
    return result

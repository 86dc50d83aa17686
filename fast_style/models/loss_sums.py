"""Gram products and sums of squares of features, always in float32 or better.

Their backward passes are written out: these take less time or memory than autograd's.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

# bfloat16 features are multiplied so many positions at a time. On a CPU 1,024 to 16,384 were
# equally fast.
PRODUCT_ROWS = 4096


def self_product(f: Tensor) -> Tensor:
    """Return ``F^T F`` of each, float32 or better: ``(N, C, C)`` for ``(N, positions, C)``."""
    product: Tensor = _SelfProduct.apply(f)
    return product


def squared_distance(found: Tensor, target: Tensor) -> Tensor:
    """Return the sum of the squared differences of each photograph, float32 or better, ``(N,)``.

    Args:
        found: ``(N, ...)``; gradients flow into it.
        target: Of the same shape, or of one that broadcasts to it; no gradient flows into it.
    """
    distance: Tensor = _SquaredDistance.apply(found, target)
    return distance


def sum_of_squares(x: Tensor) -> Tensor:
    """Return the sum of the squares over all but the first dimension, ``(N,)``."""
    return x.square().sum(tuple(range(1, x.ndim)))


class _SelfProduct(torch.autograd.Function):
    """``F^T F``. Its backward pass is one product; autograd's own would be two."""

    @staticmethod
    def forward(ctx: FunctionCtx, f: Tensor) -> Tensor:  # (N, HW, C) to (N, C, C)
        ctx.save_for_backward(f)
        exact = torch.promote_types(f.dtype, torch.float32)
        if f.device.type == "cuda" and f.dtype != exact and _multiplies_to_float32():
            return _product_by_parts(f)
        if f.dtype == exact or f.device.type != "cpu":
            whole = f.to(exact)
            return whole.transpose(1, 2) @ whole
        n, _, c = f.shape
        product = f.new_zeros((n, c, c), dtype=exact)
        for some in torch.split(f, PRODUCT_ROWS, 1):  # a float32 copy of all of them is slow
            part = some.to(exact)
            product.baddbmm_(part.transpose(1, 2), part)
        return product

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # (N, C, C) to (N, HW, C)
        f: Tensor = ctx.saved_tensors[0]
        gradient = gradients[0]
        return f @ (gradient + gradient.transpose(1, 2)).to(f.dtype)


def _product_by_parts(f: Tensor) -> Tensor:
    """Return ``F^T F`` in float32 of features that are not, on a CUDA GPU: ``(N, HW, C)``.

    Products of bfloat16 numbers are exact in float32, and they are added in float32. One product
    over many positions of few channels leaves most of a GPU idle. So the positions are split into
    parts, which are multiplied as one batch.
    """
    n, positions, c = f.shape
    parts = positions // PRODUCT_ROWS
    rest = f[:, parts * PRODUCT_ROWS :]
    product: Tensor = torch.bmm(rest.mT, rest, out_dtype=torch.float32)
    if parts:
        many = f[:, : parts * PRODUCT_ROWS].reshape(n * parts, PRODUCT_ROWS, c)
        products = torch.bmm(many.mT, many, out_dtype=torch.float32)
        product = product + products.view(n, parts, c, c).sum(1)
    return product


@cache
def _multiplies_to_float32() -> bool:
    """Whether this PyTorch multiplies bfloat16 matrices to float32 (2.11 does)."""
    one = torch.ones(1, 8, 8, dtype=torch.bfloat16, device="cuda")
    try:
        torch.bmm(one, one, out_dtype=torch.float32)
    except torch.OutOfMemoryError:
        raise
    except (TypeError, RuntimeError):  # no such option, no such product on this GPU
        return False
    return True


class _SquaredDistance(torch.autograd.Function):
    """The squared distance of each photograph.

    For the backward pass only the features themselves are kept, as they are: no float32 copies.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, found: Tensor, target: Tensor) -> Tensor:
        ctx.save_for_backward(found, target)
        return sum_of_squares(_difference(found, target))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        found, target = ctx.saved_tensors
        factor = 2 * gradients[0].view(-1, *[1] * (found.ndim - 1))
        return (_difference(found, target) * factor).to(found.dtype), None


def _difference(found: Tensor, target: Tensor) -> Tensor:
    return found.to(torch.promote_types(found.dtype, torch.float32)) - target

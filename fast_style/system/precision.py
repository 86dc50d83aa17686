"""float32 and float64 where they are needed, whatever the device prefers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor


def double(x: Tensor) -> Tensor:
    """Return ``x`` in float64; on the CPU where its device has none, as MPS."""
    return (x.cpu() if x.device.type == "mps" else x).double()


class _Exact:
    """How many contexts are open now, and the settings before the first."""

    lock = threading.Lock()
    count = 0
    before: list[Any] = []


def exact_float32(device: torch.device) -> AbstractContextManager[None]:
    """Return a context in which a CUDA GPU computes in float32, not in TF32 (11 bits of 24).

    By default cuDNN's convolutions are in TF32. The setting is the whole process's: while one
    thread wants float32, all have it, and afterwards it is restored. While torch.compile traces,
    nothing is set.
    """
    if device.type != "cuda" or torch.compiler.is_compiling():
        return nullcontext()
    return _exact_float32()


@contextmanager
def _exact_float32() -> Iterator[None]:
    with _Exact.lock:
        if not _Exact.count:
            _Exact.before = [getattr(owner, name) for owner, name, _ in _float32_settings()]
            for owner, name, exact in _float32_settings():
                setattr(owner, name, exact)
        _Exact.count += 1
    try:
        yield
    finally:
        with _Exact.lock:
            _Exact.count -= 1
            if not _Exact.count:
                for (owner, name, _), old in zip(_float32_settings(), _Exact.before, strict=True):
                    setattr(owner, name, old)


def _float32_settings() -> list[tuple[Any, str, object]]:
    """Return PyTorch's settings of float32 as (object, attribute, exact value)."""
    owners: list[Any] = [getattr(torch.backends.cudnn, "conv", None), torch.backends.cuda.matmul]
    if all(hasattr(owner, "fp32_precision") for owner in owners):  # PyTorch 2.9 and later
        return [(owner, "fp32_precision", "ieee") for owner in owners]
    return [(owner, "allow_tf32", False) for owner in (torch.backends.cudnn, owners[1])]

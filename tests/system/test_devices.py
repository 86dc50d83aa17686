"""Devices by name, and what they compute in."""

from __future__ import annotations

import platform

import pytest
import torch

from fast_style.system import devices
from fast_style.system.devices import resolve_device


def test_pytorch_says_whether_the_cpu_has_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(devices.cpu_has_bfloat16(), bool)
    # Were all its names changed, bfloat16 would silently never be used.
    assert hasattr(torch.cpu, "get_capabilities") or all(
        hasattr(torch.cpu, probe) for probe in devices.BFLOAT16_PROBES
    )
    if hasattr(torch.cpu, "get_capabilities"):
        known = torch.cpu.get_capabilities()
        x86 = platform.machine() in ("x86_64", "AMD64")
        assert not x86 or set(devices.BFLOAT16_CAPABILITIES) <= set(known)
    for has in (False, True):
        found = {"avx512_bf16": has, "architecture": "x86_64"}
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=found: found, raising=False)
        assert devices.cpu_has_bfloat16() is has
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    for has in (False, True):
        for probe in devices.BFLOAT16_PROBES:
            monkeypatch.setattr(torch.cpu, probe, lambda has=has: has, raising=False)
        assert devices.cpu_has_bfloat16() is has


def test_a_macs_gpu_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    made: list[torch.device] = []
    monkeypatch.setattr(torch, "empty", lambda size, device: made.append(device))
    assert resolve_device("auto") == torch.device("mps")
    assert made == [torch.device("mps")]

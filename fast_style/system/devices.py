"""Devices by name, and whether they compute in bfloat16."""

from __future__ import annotations

import torch

# An x86 CPU computes in bfloat16 if it has one of these. The first are names that
# torch.cpu.get_capabilities gives; PyTorch before that function has the others.
BFLOAT16_CAPABILITIES = ("avx512_bf16", "amx_tile")
BFLOAT16_PROBES = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")


def resolve_device(name: str) -> torch.device:
    """Return the device named ``auto`` (the GPU if there is one), cpu, cuda, cuda:1, mps, ...

    Raises:
        ValueError: There is no such device here.
    """
    if name == "auto":
        name = available_gpu() or "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, ImportError) as error:  # each kind of device has its own
        raise ValueError(
            f"device {name!r} can't be used here; it is auto, cpu, cuda, cuda:1, mps, ..."
        ) from error
    return device


def available_gpu() -> str | None:
    """Return the kind of GPU that ``auto`` takes, as in Lightning; None without a GPU."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else None


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 in hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and cpu_has_bfloat16()


def cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware; elsewhere it is slower than float32."""
    if hasattr(torch.cpu, "get_capabilities"):
        found = torch.cpu.get_capabilities()
        return any(bool(found.get(name)) for name in BFLOAT16_CAPABILITIES)
    return any(getattr(torch.cpu, probe, bool)() for probe in BFLOAT16_PROBES)

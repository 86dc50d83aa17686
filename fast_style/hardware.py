"""What the machine offers: devices, free memory, precision."""

from __future__ import annotations

from pathlib import Path

import psutil
import torch

# Where Linux tells a container's limit and use: cgroup 2, then cgroup 1.
CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


BFLOAT16_PROBES = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")


class TooLittleMemoryError(ValueError):
    """A job that the machine's memory can't hold; the message says what would fit."""


def resolve_device(name: str) -> torch.device:
    """Return the device of a name: ``auto`` (the GPU if there is one), cpu, cuda, cuda:1, mps, ...

    Raises:
        ValueError: There is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, ImportError) as error:  # by the kind of device
        raise ValueError(
            f"device {name!r} can't be used here; it is auto, cpu, cuda, cuda:1, mps, ..."
        ) from error
    return device


def free_memory(device: torch.device) -> int:
    """Return how many bytes can be allocated on a device now; for a CPU within its container."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = int(psutil.virtual_memory().available)
    for limit, usage in CGROUPS:
        try:
            used = int(Path(usage).read_text()) - _reclaimable(Path(usage).with_name("memory.stat"))
            allowed = int(Path(limit).read_text()) - used
        except (OSError, ValueError):  # no such file, or "max"
            continue
        free = min(free, max(allowed, 0))
    return free


def _reclaimable(statistics: Path) -> int:
    """Return the bytes of files that a container holds in memory and can give back."""
    try:
        lines = [line.split() for line in statistics.read_text().splitlines()]
    except OSError:
        return 0
    found = {name: int(value) for name, value in lines}
    return found.get("total_inactive_file", found.get("inactive_file", 0))


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 by itself."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and cpu_has_bfloat16()


def cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware; elsewhere it is slower than float32."""
    return any(getattr(torch.cpu, probe, bool)() for probe in BFLOAT16_PROBES)

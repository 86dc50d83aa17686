"""Memory that is free, memory that is kept, and jobs that are too large for it."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path

import psutil
import torch

# Where Linux says a container's limit and use of memory, bytes: cgroup 2, then cgroup 1.
CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)
# Parameters of glibc's mallopt and their default values, from its malloc.h.
M_TRIM_THRESHOLD, TRIM_THRESHOLD = -1, 128 * 1024
M_MMAP_MAX, MMAP_MAX = -4, 65536

_keeps_freed = False  # the last call of keep_freed_memory


class TooLittleMemoryError(ValueError):
    """A job that the machine's memory can't hold; the message says what would fit."""


def free_memory(device: torch.device) -> int:
    """Return how many bytes can be allocated on a device now; for a CPU within its container.

    MPS shares the CPU's memory: it can have what is free there, up to what Metal recommends.
    """
    if device.type == "cuda":
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + held  # PyTorch's cache is free too
    free = _free_on_the_cpu()
    if device.type == "mps" and hasattr(torch.mps, "recommended_max_memory"):
        lent = torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
        free = min(free, max(int(lent), 0))
    return free


def _free_on_the_cpu() -> int:
    if _keeps_freed and (libc := _glibc()) is not None:
        libc.malloc_trim(0)  # memory that was kept is free too
    free = int(psutil.virtual_memory().available)
    for limit, usage in CGROUPS:
        try:
            used = int(Path(usage).read_text()) - _reclaimable(Path(usage).with_name("memory.stat"))
            allowed = int(Path(limit).read_text()) - used
        except (OSError, ValueError):  # no such file, or "max"
            continue
        free = min(free, max(allowed, 0))
    return free


def check_memory(what: str, needed: float, device: torch.device, advice: str) -> None:
    """Check that enough memory is free: a system that lends more than it has would kill us.

    Args:
        what: The job, as the message names it.
        needed: Bytes.
        device: Whose memory.
        advice: What to do if it is not enough.

    Raises:
        TooLittleMemoryError: Less is free than needed.
    """
    free = free_memory(device)
    if needed > free:
        raise TooLittleMemoryError(
            f"{what} needs about {needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free on "
            f"{device}; {advice}"
        )


def _reclaimable(statistics: Path) -> int:
    """Return the bytes of cached files, which a container can give back."""
    try:
        lines = [line.split() for line in statistics.read_text().splitlines()]
    except OSError:
        return 0
    found = {name: int(value) for name, value in lines}
    return found.get("total_inactive_file", found.get("inactive_file", 0))


def keep_freed_memory(keep: bool = True) -> None:
    """Have this process keep the memory it frees, for its next step. Only glibc can do that.

    Each step of a training or an optimisation needs blocks of the sizes that the last one freed. If
    they went back to the system in between, it would clear their pages again at every step. The
    price: the process never gets smaller, and is somewhat larger than it has to be.

    Args:
        keep: False restores the default, for a process that has inherited the setting.

    Source: mallopt(3).
    """
    global _keeps_freed
    _keeps_freed = keep
    if (libc := _glibc()) is not None:
        libc.mallopt(
            M_MMAP_MAX, 0 if keep else MMAP_MAX
        )  # large blocks from the heap too, which stays
        libc.mallopt(M_TRIM_THRESHOLD, -1 if keep else TRIM_THRESHOLD)


def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, PyTorch's or Python's, means that there was too little memory."""
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        "allocate memory" in text or "out of memory" in text
    )


def give_memory_back(device: torch.device) -> None:
    """Empty PyTorch's cache of GPU memory, so that larger blocks fit."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()

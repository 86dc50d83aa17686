"""What the machine offers."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import torch

from fast_style.hardware import check_accelerator, double, free_memory

# Three blocks of 64 MB at a time, over and over: 16,000 pages of 4 KiB each. The heap was seen
# to take six rounds to grow to where it stays, by where it lies.
STEPS = """
import resource
import torch
from fast_style.hardware import keep_freed_memory

CALLS
for step in range(15):
    if step == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    kept = [torch.ones(2**24) for _ in range(3)]
    del kept
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 5)
"""


def faults(calls: str) -> int:
    """Return the page faults of a step after these calls."""
    script = STEPS.replace("CALLS", calls)
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    return int(result.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="is for glibc")
def test_freed_memory_is_kept_for_the_next_step() -> None:
    by_itself = faults("pass")
    assert faults("keep_freed_memory()") < by_itself / 10
    # As in a process that decodes, begun by one that keeps.
    assert faults("keep_freed_memory(); keep_freed_memory(False)") > by_itself / 2


KEPT = """
import psutil
import torch
from fast_style.hardware import free_memory, keep_freed_memory

keep_freed_memory()
block = torch.ones(2**26)
after = torch.ones(1)
del block
kept = psutil.Process().memory_info().rss
free_memory(torch.device("cpu"))
print(kept - psutil.Process().memory_info().rss)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="is for glibc")
def test_kept_memory_counts_as_free() -> None:
    result = subprocess.run(
        [sys.executable, "-c", KEPT], capture_output=True, text=True, check=True, timeout=120
    )
    assert int(result.stdout) > 200_000_000  # of the block's 268


def test_what_pytorch_has_kept_on_a_gpu_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (3_000, 24_000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 20_000)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 5_000)
    assert free_memory(torch.device("cuda")) == 18_000


def test_float64_on_the_cpu_where_the_device_has_none() -> None:
    class OnMps:
        device = torch.device("mps")

        def cpu(self) -> torch.Tensor:
            return torch.ones(3)

    assert double(OnMps()).dtype == torch.float64  # type: ignore[arg-type]
    assert double(torch.ones(3, device="meta")).device.type == "meta"


@pytest.mark.parametrize("accelerator", ["gpu", "cuda", "mps"])
def test_a_gpu_that_is_not_here(monkeypatch: pytest.MonkeyPatch, accelerator: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match="PyTorch finds none here; trainer=auto takes what"):
        check_accelerator(accelerator)
    check_accelerator("auto")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    check_accelerator("gpu")

"""What the machine offers."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# Three blocks of 64 MB at a time, over and over: 16,000 pages of 4 KiB each. The heap takes up to
# four rounds to grow to where it stays, by where it lies.
STEPS = """
import resource
import torch
from fast_style.hardware import keep_freed_memory

CALLS
for step in range(20):
    if step == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    kept = [torch.ones(2**24) for _ in range(3)]
    del kept
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 10)
"""


def faults(calls: str) -> int:
    """Return the page faults of ten steps after these calls."""
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

"""Memory that is free, and memory that is kept."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fast_style.system import memory
from fast_style.system.memory import free_memory

# Three blocks of 64 MB at a time, over and over: 16,000 pages of 4 KiB each. The heap was seen
# to take six rounds to grow to where it stays, by where it lies.
STEPS = """
import resource
import torch
from fast_style.system.memory import keep_freed_memory

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


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="is for glibc")
def test_freed_memory_is_kept_for_the_next_step() -> None:
    by_itself = faults("pass")
    assert faults("keep_freed_memory()") < by_itself / 10
    # As in a process that decodes, begun by one that keeps.
    assert faults("keep_freed_memory(); keep_freed_memory(False)") > by_itself / 2


KEPT = """
import psutil
import torch
from fast_style.system.memory import free_memory, keep_freed_memory

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


def test_a_macs_memory_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("recommended_max_memory", 9_000), ("current_allocated_memory", 2_000)):
        monkeypatch.setattr(torch.mps, name, lambda value=value: value, raising=False)
    assert free_memory(torch.device("mps")) == 7_000
    monkeypatch.delattr(torch.mps, "recommended_max_memory")
    assert free_memory(torch.device("mps")) > 10_000_000


def test_memory_that_is_free_is_a_plausible_number() -> None:
    free = free_memory(torch.device("cpu"))
    assert 10_000_000 < free < 2**50


def test_a_containers_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "max").write_text("3000000\n")
    (tmp_path / "current").write_text("1000000\n")
    paths = ((str(tmp_path / "max"), str(tmp_path / "current")),)
    monkeypatch.setattr(memory, "CGROUPS", paths)
    assert free_memory(torch.device("cpu")) == 2_000_000
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 400000\n")  # can be given back
    assert free_memory(torch.device("cpu")) == 2_400_000
    (tmp_path / "max").write_text("max\n")
    assert free_memory(torch.device("cpu")) > 2_000_000

"""What the machine offers."""

from __future__ import annotations

import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from fast_style.system import hardware
from fast_style.system.hardware import (
    check_accelerator,
    double,
    exact_float32,
    free_memory,
    resolve_device,
    resolve_precision,
)

# Three blocks of 64 MB at a time, over and over: 16,000 pages of 4 KiB each. The heap was seen
# to take six rounds to grow to where it stays, by where it lies.
STEPS = """
import resource
import torch
from fast_style.system.hardware import keep_freed_memory

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
from fast_style.system.hardware import free_memory, keep_freed_memory

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


def test_pytorch_says_whether_the_cpu_has_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(hardware.cpu_has_bfloat16(), bool)
    # Were all its names changed, bfloat16 would silently never be used.
    assert hasattr(torch.cpu, "get_capabilities") or all(
        hasattr(torch.cpu, probe) for probe in hardware.BFLOAT16_PROBES
    )
    if hasattr(torch.cpu, "get_capabilities"):
        known = torch.cpu.get_capabilities()
        x86 = platform.machine() in ("x86_64", "AMD64")
        assert not x86 or set(hardware.BFLOAT16_CAPABILITIES) <= set(known)
    for has in (False, True):
        found = {"avx512_bf16": has, "architecture": "x86_64"}
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=found: found, raising=False)
        assert hardware.cpu_has_bfloat16() is has
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    for has in (False, True):
        for probe in hardware.BFLOAT16_PROBES:
            monkeypatch.setattr(torch.cpu, probe, lambda has=has: has, raising=False)
        assert hardware.cpu_has_bfloat16() is has


def float32_settings() -> list[object]:
    return [getattr(owner, name) for owner, name, _ in hardware._float32_settings()]


def test_float32_is_exact_while_any_thread_wants_it() -> None:
    before = float32_settings()
    exact = [value for _, _, value in hardware._float32_settings()]
    assert before != exact  # cuDNN's is TF32 unless told otherwise
    cuda = torch.device("cuda")

    def use(number: int) -> bool:
        with exact_float32(cuda), exact_float32(cuda):
            return float32_settings() == exact

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(use, range(200)))
    assert float32_settings() == before
    with pytest.raises(KeyboardInterrupt), exact_float32(cuda):
        raise KeyboardInterrupt
    assert float32_settings() == before
    with exact_float32(torch.device("cpu")):
        assert float32_settings() == before


def test_a_macs_gpu_is_taken_and_its_memory_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    made: list[torch.device] = []
    monkeypatch.setattr(torch, "empty", lambda size, device: made.append(device))
    assert resolve_device("auto") == torch.device("mps")
    assert made == [torch.device("mps")]
    monkeypatch.setattr(hardware, "cpu_has_bfloat16", lambda: True)
    assert resolve_precision("auto", "auto") == "32-true"  # Lightning takes MPS
    for name, value in (("recommended_max_memory", 9_000), ("current_allocated_memory", 2_000)):
        monkeypatch.setattr(torch.mps, name, lambda value=value: value, raising=False)
    assert free_memory(torch.device("mps")) == 7_000
    monkeypatch.delattr(torch.mps, "recommended_max_memory")
    assert free_memory(torch.device("mps")) > 10_000_000

"""What the machine offers: devices, memory, precision, memory format."""

from __future__ import annotations

import ctypes
import platform
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor

# Where Linux tells a container's limit and use: cgroup 2, then cgroup 1.
CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)
PRECISIONS = ("auto", "bf16-mixed", "16-mixed", "32-true")
MEMORY_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
# Of glibc's malloc.h, with what they are before we change them.
M_TRIM_THRESHOLD, TRIM_THRESHOLD = -1, 128 * 1024
M_MMAP_MAX, MMAP_MAX = -4, 65536
# Of memory that a training step takes at least: network=slim in float32 was measured at 3,550.
CROP_BYTES_PER_PIXEL = 1500
# What an x86 CPU must have of: by torch.cpu.get_capabilities, and, before PyTorch had that, by
# functions of its own.
BFLOAT16_CAPABILITIES = ("avx512_bf16", "amx_tile")
BFLOAT16_PROBES = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")

_keeps_freed = False  # what keep_freed_memory has said last


class TooLittleMemoryError(ValueError):
    """A job that the machine's memory can't hold; the message says what would fit."""


def resolve_device(name: str) -> torch.device:
    """Return the device of a name: ``auto`` (the GPU if there is one), cpu, cuda, cuda:1, mps, ...

    Raises:
        ValueError: There is no such device here.
    """
    if name == "auto":
        name = _gpu() or "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, ImportError) as error:  # by the kind of device
        raise ValueError(
            f"device {name!r} can't be used here; it is auto, cpu, cuda, cuda:1, mps, ..."
        ) from error
    return device


def _gpu() -> str | None:
    """Return the kind of GPU that ``auto`` takes, here and in Lightning; none if there is none."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else None


def free_memory(device: torch.device) -> int:
    """Return how many bytes can be allocated on a device now; for a CPU within its container.

    MPS shares the CPU's memory: it can have what is free there, up to what Metal recommends.
    """
    if device.type == "cuda":
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + held  # what PyTorch has kept is free too
    free = _free_on_the_cpu()
    if device.type == "mps" and hasattr(torch.mps, "recommended_max_memory"):
        lent = torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
        free = min(free, max(int(lent), 0))
    return free


def _free_on_the_cpu() -> int:
    if _keeps_freed and (libc := _glibc()) is not None:
        libc.malloc_trim(0)  # what has been kept is free too
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
    """Check that the memory that is free will do, before a system that lends more kills us.

    Args:
        what: Needs it.
        needed: Bytes.
        device: Whose memory.
        advice: What to do if it won't.

    Raises:
        TooLittleMemoryError: It won't.
    """
    free = free_memory(device)
    if needed > free:
        raise TooLittleMemoryError(
            f"{what} needs about {needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free on "
            f"{device}; {advice}"
        )


def check_crops(count: int, side: int, accelerator: str) -> None:
    """Check that a training step's crops fit in the memory, where the CPU trains on them.

    Args:
        count: Crops.
        side: Of a crop, px.
        accelerator: As Lightning's.

    Raises:
        TooLittleMemoryError: They don't. (A GPU says so by itself.)
    """
    if _is_cpu(accelerator):
        check_memory(
            f"a step of {count} crops of {side} px",
            CROP_BYTES_PER_PIXEL * count * side * side,
            torch.device("cpu"),
            "use a smaller data.batch_size, data.image_size or data.other_sizes",
        )


def _is_cpu(accelerator: str) -> bool:
    return accelerator == "cpu" or (accelerator == "auto" and _gpu() is None)


def _reclaimable(statistics: Path) -> int:
    """Return the bytes of files that a container holds in memory and can give back."""
    try:
        lines = [line.split() for line in statistics.read_text().splitlines()]
    except OSError:
        return 0
    found = {name: int(value) for name, value in lines}
    return found.get("total_inactive_file", found.get("inactive_file", 0))


def keep_freed_memory(keep: bool = True) -> None:
    """Have this process keep the memory it frees, for its next step, where the C library is glibc.

    Each step of a training or an optimisation takes blocks as large as the step before has freed.
    Given back to the system in between, their pages are cleared anew at every step. The price: the
    process stays as large as it ever was, and somewhat larger than it would have to be.

    Args:
        keep: False for how it is by itself, in processes that have inherited it.

    Source: mallopt(3).
    """
    global _keeps_freed
    _keeps_freed = keep
    if (libc := _glibc()) is not None:
        libc.mallopt(M_MMAP_MAX, 0 if keep else MMAP_MAX)  # a mapping of its own ends with a block
        libc.mallopt(M_TRIM_THRESHOLD, -1 if keep else TRIM_THRESHOLD)


def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


def double(x: Tensor) -> Tensor:
    """Return ``x`` in float64; on the CPU where its device has none, as MPS."""
    return (x.cpu() if x.device.type == "mps" else x).double()


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 by itself."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and cpu_has_bfloat16()


def cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware; elsewhere it is slower than float32."""
    if hasattr(torch.cpu, "get_capabilities"):
        found = torch.cpu.get_capabilities()
        return any(bool(found.get(name)) for name in BFLOAT16_CAPABILITIES)
    return any(getattr(torch.cpu, probe, bool)() for probe in BFLOAT16_PROBES)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of PyTorch's means that there was no memory."""
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        "allocate memory" in text or "out of memory" in text
    )


def give_memory_back(device: torch.device) -> None:
    """Have a GPU's memory that PyTorch keeps for later given back, so that it can be cut anew."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


class _Exact:
    """How many ask for float32 now, and what it was before the first of them."""

    lock = threading.Lock()
    count = 0
    before: list[Any] = []


def exact_float32(device: torch.device) -> AbstractContextManager[None]:
    """Return a context in which float32 is that on a CUDA GPU, not TF32, which has 11 bits of 24.

    cuDNN's convolutions are in TF32 unless told otherwise. The setting is the whole process's:
    while one thread wants float32, all have it; then it is what it was. Nothing happens in what
    torch.compile reads.
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
    """Return where PyTorch keeps how exact float32 is, under which name, and what is exact."""
    owners: list[Any] = [getattr(torch.backends.cudnn, "conv", None), torch.backends.cuda.matmul]
    if all(hasattr(owner, "fp32_precision") for owner in owners):  # PyTorch 2.9 and later
        return [(owner, "fp32_precision", "ieee") for owner in owners]
    return [(owner, "allow_tf32", False) for owner in (torch.backends.cudnn, owners[1])]


def check_accelerator(accelerator: str) -> None:
    """Check that there is a GPU where one is asked for.

    Raises:
        ValueError: There is none.
    """
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    found["gpu"] = any(found.values())
    if not found.get(accelerator, True):
        raise ValueError(
            f"trainer.accelerator={accelerator}: PyTorch finds none here; trainer=auto takes what "
            "there is"
        )


def resolve_precision(precision: str, accelerator: str) -> str:
    """Return the Lightning precision that ``trainer.precision`` stands for.

    ``auto`` is bfloat16 where the hardware computes in it, else float32.

    Raises:
        ValueError: An unknown precision.
    """
    if precision not in PRECISIONS:
        raise ValueError(
            f"trainer.precision is one of {', '.join(PRECISIONS)}, found {precision!r}"
        )
    if precision == "16-mixed" and (accelerator == "cpu" or not torch.cuda.is_available()):
        raise ValueError("trainer.precision=16-mixed needs a CUDA GPU; use auto")
    if precision != "auto":
        return precision
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return (
            "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
        )
    return "bf16-mixed" if _is_cpu(accelerator) and cpu_has_bfloat16() else "32-true"


def check_compiler(precision: str, accelerator: str) -> None:
    """Check that what torch.compile makes of a network can be trusted.

    PyTorch 2.15's code for bfloat16 on a CPU gave gradients that were not numbers, at some sizes
    and batches. (Its code for float32, or without vector instructions, did not.)

    Args:
        precision: As ``resolve_precision`` gives it.
        accelerator: As Lightning's.

    Raises:
        ValueError: It can't.
    """
    if precision == "bf16-mixed" and _is_cpu(accelerator):
        raise ValueError(
            "trainer.compile=true: PyTorch's compiler gives wrong gradients in bfloat16 on a CPU; "
            "leave it out or use trainer.precision=32-true"
        )


def resolve_memory_format(memory_format: str, accelerator: str) -> torch.memory_format:
    """Return the memory format that ``trainer.memory_format`` stands for, of the network.

    ``auto`` is channels-last on CUDA GPUs, whose tensor cores want it (PyTorch's tutorial "Channels
    Last Memory Format"), and contiguous elsewhere: on CPUs it measured faster, since instance
    normalisation copies what is channels-last. VGG16 is channels-last always.

    Raises:
        ValueError: An unknown one.
    """
    if memory_format == "auto":
        on_gpu = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
        memory_format = "channels_last" if on_gpu else "contiguous"
    if memory_format not in MEMORY_FORMATS:
        raise ValueError(
            f"trainer.memory_format is one of auto, {', '.join(MEMORY_FORMATS)}, found "
            f"{memory_format!r}"
        )
    return MEMORY_FORMATS[memory_format]


def vgg_dtype(precision: str) -> torch.dtype:
    """Return in what VGG16 runs beside a network of this Lightning precision.

    bfloat16 with bfloat16; float32 else, since VGG16's activations are too large for float16.
    """
    return torch.bfloat16 if precision == "bf16-mixed" else torch.float32

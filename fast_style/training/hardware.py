"""What the options of ``trainer`` come to on this machine: precision, memory, compiler."""

from __future__ import annotations

import torch

from fast_style.system.devices import available_gpu, cpu_has_bfloat16
from fast_style.system.memory import check_memory

LIGHTNING_PRECISIONS = ("auto", "bf16-mixed", "16-mixed", "32-true")
MEMORY_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
# Of memory that a training step takes at least: network=slim in float32 was measured at 3,550.
CROP_BYTES_PER_PIXEL = 1500


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
    if precision not in LIGHTNING_PRECISIONS:
        raise ValueError(
            f"trainer.precision is one of {', '.join(LIGHTNING_PRECISIONS)}, found {precision!r}"
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
    return accelerator == "cpu" or (accelerator == "auto" and available_gpu() is None)

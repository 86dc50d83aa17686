"""The names of TensorBoard's scalars and pictures: all tags of a training.

docs/guide/tensorboard.md says what they mean. TensorBoard sorts by name: losses come first, and
``work`` after ``train`` and ``val``. What follows ``train/`` and ``val/`` in the names of losses
stands in ``LossTerms.scalars``, fast_style/models/loss_terms.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Value = TypeVar("Value")

TRAIN = "train/"  # before what is of the batch of a step
VAL = "val/"  # before what is of the held-back photographs
WORK = "work/"  # before what is of the machine

# Scalars, besides ``train/loss``, ``val/style_error`` and the others of ``of_stage``.
VAL_LOSS = "val/loss"
LEARNING_RATE = "train/learning_rate"
GRADIENT_NORM = "train/gradient_norm"
OUTPUT_MIN = "train/output_min"
OUTPUT_MAX = "train/output_max"
IMAGES_PER_S = "work/images_per_s"
DATA_S = "work/data_s"
COMPUTE_S = "work/compute_s"
DATA_SHARE = "work/data_share"
GPU_MEMORY_MB = "work/gpu_memory_mb"

# Pictures.
PREVIEW = "val/preview"
PAINTING = "style"


def of_stage(stage: str, scalars: Mapping[str, Value]) -> dict[str, Value]:
    """Return scalars by their tags: ``train/loss`` for ``loss``.

    Args:
        stage: ``TRAIN`` or ``VAL``.
        scalars: By the names that ``LossTerms.scalars`` gives.
    """
    return {f"{stage}{name}": value for name, value in scalars.items()}

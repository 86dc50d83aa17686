"""The picture from which a descent on pixels begins, and whether memory suffices for its size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fast_style.images.picture import resize
from fast_style.system.memory import check_memory, free_memory

INITS = ("content", "noise", "style")
NOISE_MEAN, NOISE_STD = 0.5, 0.1
# Peak memory of an evaluation, measured: float32, L-BFGS, the layers of all presets together.
BYTES_PER_PIXEL = 4500


def start_picture(init: str, content: Tensor, styles: Sequence[Tensor], seed: int) -> Tensor:
    """Return the picture to begin from, ``(1, 3, H, W)`` in [0, 1], of ``content``'s size.

    Args:
        init: One of ``INITS``.
        content: The photograph, ``(1, 3, H, W)`` in [0, 1].
        styles: The paintings, ``(1, 3, H', W')``; ``style`` takes the first.
        seed: Of the noise.
    """
    if init == "content":
        return content
    if init == "style":
        return resize(styles[0], *content.shape[-2:])
    generator = torch.Generator().manual_seed(seed)
    noise = NOISE_MEAN + NOISE_STD * torch.randn(
        content.shape, generator=generator, dtype=torch.float32
    )
    return noise.to(content).clamp(0, 1)


def check_size_fits(height: int, width: int, device: torch.device) -> None:
    """Check that a picture of this size can be optimised in the memory that is free.

    Args:
        height: Of the picture, px.
        width: Of the picture, px.
        device: Where it is optimised.

    Raises:
        TooLittleMemoryError: It can't; the message names a size that can.
    """
    needed = BYTES_PER_PIXEL * height * width
    fits = int(max(height, width) * (free_memory(device) / needed) ** 0.5)
    check_memory(f"a picture of {width} x {height} px", needed, device, f"--size {fits} would fit")

"""Pictures at another size."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fast_style.images.picture import BAND, resize


@pytest.mark.parametrize("size", [(90, 150), (400, 300), (500, 31)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_bands_give_what_the_whole_gives(dtype: torch.dtype, size: tuple[int, int]) -> None:
    levels = torch.rand(1, 3, 2 * BAND + 17, 211, generator=torch.Generator().manual_seed(0))
    image = (levels * 255).round().byte() if dtype == torch.uint8 else levels
    floats = image / 255 if dtype == torch.uint8 else image
    wanted = F.interpolate(floats, size, mode="bicubic", antialias=True).clamp(0, 1)
    assert torch.equal(resize(image, *size), wanted)


def test_a_picture_of_that_size_stays() -> None:
    levels = torch.rand(1, 3, 40, 50)
    assert resize(levels, 40, 50) is levels
    assert resize((levels * 255).byte(), 40, 50).dtype == torch.float32

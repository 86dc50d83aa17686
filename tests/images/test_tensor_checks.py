from __future__ import annotations

import re

import pytest
import torch

from fast_style.images.tensor_checks import check_image, check_range


def test_check_image() -> None:
    check_image(torch.zeros(2, 3, 32, 33), 32)
    for shape in [(3, 40, 40), (1, 1, 40, 40), (1, 4, 40, 40), (1, 40, 40, 3)]:
        with pytest.raises(ValueError, match=r"\(N, 3, H, W\).*" + re.escape(str(shape))):
            check_image(torch.zeros(shape), 32)
    with pytest.raises(ValueError, match="floating-point .*torch.uint8"):
        check_image(torch.zeros(1, 3, 40, 40, dtype=torch.uint8), 32)
    with pytest.raises(ValueError, match="40 x 31 px.* 32 x 32 px"):
        check_image(torch.zeros(1, 3, 31, 40), 32)


@pytest.mark.parametrize(
    ("values", "found"),
    [([0.0, 255.0], "0 to 255"), ([-1.0, 1.0], "-1 to 1"), ([float("nan"), 0.5], "nan")],
)
def test_values_outside_the_range_are_refused(values: list[float], found: str) -> None:
    with pytest.raises(ValueError, match=rf"\[0, 1\], .*{found}"):
        check_range(torch.tensor(values))


def test_rounding_is_forgiven() -> None:
    check_range(torch.tensor([-1e-4, 0.5, 1 + 1e-4]))

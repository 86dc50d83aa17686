from __future__ import annotations

import pytest
import torch

from fast_style.painting.sheet import GAP, sheet


def flat(height: int, width: int, level: int) -> torch.Tensor:
    return torch.full((1, 3, height, width), level, dtype=torch.uint8)


def test_pictures_stand_in_the_middle_of_their_cells() -> None:
    result = sheet([[flat(20, 30, 0), flat(10, 10, 0)], [None, flat(20, 20, 0)]])
    assert result.shape == (1, 3, 20 + GAP + 20, 30 + GAP + 20)
    expected = torch.full_like(result, 255)
    expected[..., 0:20, 0:30] = 0
    expected[..., 5:15, 38 + 5 : 38 + 15] = 0
    expected[..., 28:48, 38:58] = 0
    assert torch.equal(result, expected)


def test_labels_are_written_beside_the_pictures() -> None:
    plain = sheet([[flat(40, 90, 128)]])
    result = sheet([[flat(40, 90, 128)]], ["column"], ["row"], font_px=12)
    top, left = 12 + GAP, result.shape[-1] - 90
    assert result.shape[-2] == top + 40
    assert torch.equal(result[..., top:, left:], plain)
    assert result[..., :top, left:].min() < 77  # ink
    assert result[..., top:, :left].min() < 77
    assert result[..., :top, :left].min() == 255


@pytest.mark.parametrize(
    ("rows", "labels", "message"),
    [
        ([], [], r"lengths \[\]"),
        ([[None], [None, None]], [], r"lengths \[1, 2\]"),
        ([[flat(8, 8, 0)]], ["a", "b"], "1 labels.* 2$"),
    ],
)
def test_what_does_not_fit(rows: list[list[None]], labels: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sheet(rows, labels)

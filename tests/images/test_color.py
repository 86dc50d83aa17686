from __future__ import annotations

import pytest
import torch

from fast_style.images.color import keep_color, luminance, match_color


def image(seed: int, size: int = 24) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, size, size, generator=generator) * 0.4 + 0.3


def test_luminance_comes_from_one_and_colour_from_the_other() -> None:
    stylized, content = image(1), image(2)
    kept = keep_color(stylized, content)
    inside = ((kept > 0) & (kept < 1)).all(1, keepdim=True)
    difference = (luminance(kept) - luminance(stylized)).masked_select(inside)
    assert difference.abs().max() < 1e-6
    chroma = (kept - luminance(kept)) - (content - luminance(content))
    assert chroma.masked_select(inside.expand_as(chroma)).abs().max() < 1e-6
    assert kept.min() >= 0
    assert kept.max() <= 1


def test_a_picture_keeps_itself() -> None:
    torch.testing.assert_close(keep_color(image(1), image(1)), image(1))


def test_matching_takes_over_mean_and_covariance() -> None:
    style, content = image(1), image(2, 31) * torch.tensor([0.5, 0.8, 1.0]).view(1, 3, 1, 1)
    content[:, 1] = content[:, 1] * 0.5 + content[:, 0] * 0.5
    matched = match_color(style, content)
    assert matched.shape == style.shape
    for found, expected in ((matched, content),):
        pixels, wanted = found[0].flatten(1), expected[0].flatten(1)
        torch.testing.assert_close(pixels.mean(1), wanted.mean(1), atol=2e-3, rtol=0)
        torch.testing.assert_close(pixels.cov(), wanted.cov(), atol=2e-3, rtol=0)


def test_flat_and_grey_pictures_are_no_trouble() -> None:
    grey = image(1)[:, :1].repeat(1, 3, 1, 1)
    for style, content in ((grey, image(2)), (image(2), grey), (torch.full_like(grey, 0.5), grey)):
        matched = match_color(style, content)
        assert torch.isfinite(matched).all()
        assert matched.min() >= 0
        assert matched.max() <= 1


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="same shape"):
        keep_color(image(1), image(1, 23))

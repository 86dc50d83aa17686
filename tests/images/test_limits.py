from __future__ import annotations

from fast_style.images.limits import DEFAULT_MEGAPIXELS, max_pixels


def test_the_limit_that_is_documented_is_pillows() -> None:
    assert round(max_pixels() / 1e6) == DEFAULT_MEGAPIXELS

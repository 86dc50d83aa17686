"""Sizes and qualities that pictures may have; loads no torch, so that help texts are quick."""

from __future__ import annotations

import math

from PIL import Image

DEFAULT_QUALITY = 95  # of 1 to 100, as the field's best tools write
HIGHEST_QUALITY = 100
BOMB_FACTOR = 2  # Pillow refuses pictures with so many times MAX_IMAGE_PIXELS


def allow_megapixels(most: float) -> None:
    """Set how many megapixels a picture may have; a larger one is taken for an attack."""
    Image.MAX_IMAGE_PIXELS = max(1, round(most * 1e6 / BOMB_FACTOR))


def max_pixels() -> float:
    """Return how many pixels a picture may have, all its frames together."""
    most = Image.MAX_IMAGE_PIXELS
    return math.inf if most is None else BOMB_FACTOR * most

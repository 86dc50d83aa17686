"""Sizes and qualities of pictures; loads neither Pillow nor torch, so that help texts are quick."""

from __future__ import annotations

import math

SMALLEST_SIDE = 32  # px, of any picture that a network or a loss is given
DEFAULT_QUALITY = 95  # of 1 to 100, as the field's best tools write
HIGHEST_QUALITY = 100
BOMB_FACTOR = 2  # Pillow refuses pictures with so many times its MAX_IMAGE_PIXELS
DEFAULT_MEGAPIXELS = 179  # Pillow's limit, rounded


def allow_megapixels(most: float) -> None:
    """Set how many megapixels a picture may have; a larger one is taken for an attack."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = max(1, round(most * 1e6 / BOMB_FACTOR))


def max_pixels() -> float:
    """Return how many pixels a picture may have, all its frames together."""
    from PIL import Image

    most = Image.MAX_IMAGE_PIXELS
    return math.inf if most is None else BOMB_FACTOR * most

"""How small and how large a picture may be.

Loads neither Pillow nor torch, so that help texts are quick.
"""

from __future__ import annotations

import math

SMALLEST_SIDE = 32  # px, of any picture that a network or a loss is given
BOMB_FACTOR = 2  # Pillow refuses pictures with so many times its MAX_IMAGE_PIXELS
DEFAULT_MEGAPIXELS = 179  # Pillow's limit, rounded


class TooSmallError(ValueError):
    """A picture with too few pixels a side."""


def check_size(height: int, width: int, smallest: int) -> None:
    """Check that a picture has at least ``smallest`` pixels a side.

    Raises:
        TooSmallError: It has fewer.
    """
    if min(height, width) < smallest:
        raise TooSmallError(
            f"the picture is {width} x {height} px; at least {smallest} x {smallest} px are needed"
        )


def allow_megapixels(most: float) -> None:
    """Set how many megapixels a picture may have; a larger one is taken for an attack."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = max(1, round(most * 1e6 / BOMB_FACTOR))


def max_pixels() -> float:
    """Return how many pixels a picture may have, all its frames together."""
    from PIL import Image

    most = Image.MAX_IMAGE_PIXELS
    return math.inf if most is None else BOMB_FACTOR * most

"""Other looks of a picture: a part of it, turned, mirrored, in other colours."""

from __future__ import annotations

import numpy as np
from PIL import Image

from paintings.canvas import Array

SHORTER, LONGER = 384, 576  # px, of every finished picture
TO_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def fitted(image: Image.Image) -> Image.Image:
    """Returns a picture whose shorter side has SHORTER px, and its longer side at most LONGER.

    A picture that is too long loses both ends; a smaller one keeps its size.
    """
    width, height = image.size
    scale = min(1.0, SHORTER / min(image.size))
    size = (round(width * scale), round(height * scale))
    image = image.resize(size, Image.Resampling.LANCZOS)
    left, top = (max(0, (side - LONGER) // 2) for side in image.size)
    return image.crop((left, top, image.width - left, image.height - top))


def part(image: Image.Image, rng: np.random.Generator, least: float = 0.65) -> Image.Image:
    """Returns a part of a picture, `least` to all of each side, by chance turned and mirrored."""
    sides = [int(side * rng.uniform(least, 1)) for side in image.size]
    left, top = (int(rng.integers(image.size[i] - sides[i] + 1)) for i in range(2))
    image = image.crop((left, top, left + sides[0], top + sides[1]))
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return image.rotate(90 * int(rng.integers(4)), expand=True)


def hue_turned(pixels: Array, angle: float) -> Array:
    """Turns the hues of pixels of 0 to 255; the lightness stays.

    Args:
        pixels: Height x width x 3.
        angle: In radians; 2 pi is once around.
    """
    luma = pixels @ TO_LUMA
    blue, red = pixels[..., 2] - luma, pixels[..., 0] - luma
    # Blue and red differences have these lengths when the three primaries lie a third apart.
    u, v = blue * 0.493, red * 0.877
    u, v = u * np.cos(angle) - v * np.sin(angle), u * np.sin(angle) + v * np.cos(angle)
    red, blue = luma + v / 0.877, luma + u / 0.493
    green = (luma - TO_LUMA[0] * red - TO_LUMA[2] * blue) / TO_LUMA[1]
    return np.asarray(np.stack([red, green, blue], -1), np.float32)


def recoloured(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Returns a picture in other colours: hue, saturation and contrast, now and then its negative.

    The negative is of the lightness alone: what was red stays red.
    """
    pixels = np.asarray(image.convert("RGB"), np.float32)
    if rng.random() < 0.8:
        pixels = hue_turned(pixels, rng.uniform(0.4, 2 * np.pi - 0.4))
    luma = (pixels @ TO_LUMA)[..., None]
    chroma = (pixels - luma) * rng.uniform(0.35, 1.3)
    if rng.random() < 0.2:
        luma = 255 - luma
    middle = float(luma.mean())
    luma = middle + (luma - middle) * rng.uniform(0.7, 1.25) + rng.uniform(-14, 14)
    return Image.fromarray(np.clip(luma + chroma + 0.5, 0, 255).astype(np.uint8))


def variant(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Returns a part of a picture in other colours, in the size of `fitted`."""
    return fitted(recoloured(part(image.convert("RGB"), rng), rng))

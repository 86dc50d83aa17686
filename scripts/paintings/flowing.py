"""Paintings of flowing lines: marbled paper, batik and the grain of wood."""

from __future__ import annotations

import numpy as np
from PIL import Image

from paintings.canvas import (
    HEIGHT,
    SIZE,
    WIDTH,
    disc,
    fill,
    finish,
    grid,
    mix,
    noise,
    rotated,
    smoothstep,
)
from paintings.palettes import blended, palette, shifted, stepped


def marbling(rng: np.random.Generator) -> Image.Image:
    """Floats bands of colour and draws a comb through them."""
    x, y = grid()
    warp = rng.uniform(25, 80)
    x = x + warp * noise(rng, 150) + 9 * noise(rng, 45)
    y = y + warp * noise(rng, 150) + 9 * noise(rng, 45)
    comb, pull = rng.uniform(40, 110), rng.uniform(0, 70)
    y = y + pull * np.abs(x / comb % 2 - 1) ** 1.5
    colours = palette(rng, 7)
    order = rng.permutation(np.repeat(np.arange(7), 3))
    position = (y / rng.uniform(150, 330)) % 1
    pixels = stepped(colours[order], position.astype(np.float32))
    veins = np.abs(position * len(order) % 1 - 0.5)
    return finish(mix(pixels, colours[0], 0.7 * smoothstep(0.42, 0.5, veins)))


def batik(rng: np.random.Generator) -> Image.Image:
    """Dyes cloth round waxed flowers; dye creeps into the cracks of the wax."""
    colours = palette(rng, 6)
    image = Image.fromarray(stepped(colours[:3], 0.5 + 0.25 * noise(rng, 90)).astype(np.uint8))
    for _ in range(rng.integers(16, 40)):
        centre = rng.uniform((0, 0), (WIDTH, HEIGHT))
        size, petals = rng.uniform(14, 60), rng.integers(5, 12)
        tint = shifted(rng, colours[rng.integers(2, 6)], 8)
        for turn in np.arange(petals) * 2 * np.pi / petals + rng.uniform(0, 1):
            petal = rotated(disc((size * 0.65, 0), size * 0.42, size * 1.3 / petals), turn, centre)
            fill(image, petal, tint)
        fill(image, disc(centre, size * 0.26), shifted(rng, colours[rng.integers(3, 6)], 8))
    pixels = np.asarray(image, np.float32) * (1 + 0.06 * noise(rng, 25))[..., None]
    cracks = np.zeros(SIZE[::-1], np.float32)
    for across, width in ((70, 0.05), (38, 0.07), (20, 0.07)):
        cracks = np.maximum(cracks, smoothstep(width * 1.6, 0, np.abs(noise(rng, across))))
    cracks *= np.clip(0.6 + 0.5 * noise(rng, 110), 0, 1)
    return finish(mix(pixels, colours[0] * 0.6, cracks * 0.85))


def grain(rng: np.random.Generator) -> Image.Image:
    """Draws the lines of sawn wood, which flow round its knots."""
    x, y = grid()
    bend = rng.uniform(14, 40) * noise(rng, 380, 90) + 2.5 * noise(rng, 120, 8)
    for _ in range(rng.integers(2, 6)):
        cx, cy = rng.uniform((0, 0), (WIDTH, HEIGHT))
        reach = rng.uniform(18, 50)
        away = np.exp(-(((x - cx) / (2.2 * reach)) ** 2) - ((y - cy) / reach) ** 2)
        bend = bend + rng.uniform(40, 90) * away
    rings = (y + bend) / rng.uniform(12, 30)
    colours = palette(rng, 6)
    late = smoothstep(0.15, 0.95, rings % 1)
    fibres = 0.12 * noise(rng, 60, 1.2) + 0.08 * noise(rng, 200, 30)
    pixels = blended(colours[1:], np.clip(0.8 - 0.65 * late + fibres, 0, 1))
    return finish(pixels)

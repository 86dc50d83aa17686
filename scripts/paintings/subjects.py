"""What a drawn painting shows: light and shade, which each generator paints in its own manner."""

from __future__ import annotations

import numpy as np

from paintings.canvas import HEIGHT, WIDTH, Array, grid, noise, smoothstep


def clouds(rng: np.random.Generator, across: float) -> Array:
    """Returns light and shade in soft patches."""
    return noise(rng, across) + 0.35 * noise(rng, across / 4)


def land(rng: np.random.Generator, across: float) -> Array:
    """Returns light and shade in ranges of hills, one before the other."""
    x, y = grid()
    total = 0.5 * noise(rng, 2 * across, across / 3) - y / HEIGHT
    for level in np.arange(rng.uniform(0.2, 0.4), 1.1, rng.uniform(0.12, 0.3)):
        ridge = HEIGHT * (level + 0.05 * np.sin(x / across * rng.uniform(1, 3) + 7 * level))
        hill = rng.uniform(-1.5, 1.5) + (y - ridge) / rng.uniform(60, 200)
        front = smoothstep(0, 1.5, y - ridge + 0.06 * across * noise(rng, across / 3))
        total = total * (1 - front) + hill * front
    return np.asarray(total + 0.15 * noise(rng, across / 4), np.float32)


def forms(rng: np.random.Generator, across: float) -> Array:
    """Returns light and shade in discs and blocks that cover each other, each shaded."""
    x, y = grid()
    total = 0.6 * noise(rng, 2 * across)
    for _ in range(rng.integers(9, 20)):
        left, top = rng.uniform((0, 0), (WIDTH, HEIGHT)).tolist()
        wide, high = (across * rng.uniform(0.2, 0.9, 2)).tolist()
        turn = rng.uniform(0, np.pi)
        cosine, sine = float(np.cos(turn)), float(np.sin(turn))
        over = ((x - left) * cosine + (y - top) * sine) / wide
        down = ((y - top) * cosine - (x - left) * sine) / high
        # An ellipse, or a block with round corners.
        power = int(rng.choice((1, 3)))
        radius = (over * over) ** power + (down * down) ** power
        inside = smoothstep(1.06, 0.94, radius)
        total = total * (1 - inside) + inside * (rng.normal() + 0.7 * over)
    return np.asarray(total + 0.12 * noise(rng, across / 4), np.float32)


LAYOUTS = (clouds, land, forms)


def tones(rng: np.random.Generator, across: float) -> Array:
    """Returns a picture's light and shade, from 0 to 1: clouds, land or overlapping forms.

    Args:
        rng: What chooses, and where the forms come from.
        across: The width of the great forms; small ones lie within.
    """
    total = LAYOUTS[rng.integers(len(LAYOUTS))](rng, across)
    low, high = np.percentile(total[::8, ::8], (3, 97))
    return np.asarray(np.clip((total - low) / (high - low), 0, 1), np.float32)

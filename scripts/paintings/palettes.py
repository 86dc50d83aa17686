"""Colours that go together, and colour fields for the generators to paint after."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

from paintings.canvas import HEIGHT, WIDTH, Array, Colour, grid, noise, smoothstep

# How far the hues of a palette lie from its first one, as parts of the colour circle.
HARMONIES = ((0.0, 0.04, 0.92), (0.0, 0.5, 0.06), (0.0, 0.33, 0.67), (0.0, 0.42, 0.58))


def palette(rng: np.random.Generator, count: int = 6) -> Array:
    """Returns `count` colours (count x 3, values of 0 to 255), dark to light, in one harmony.

    Two palettes of three begin with an earth colour or a blue, as most painters' do.
    """
    first = rng.choice((rng.uniform(0.0, 0.14), rng.uniform(0.5, 0.68), rng.uniform()))
    hues = first + np.array(HARMONIES[rng.integers(len(HARMONIES))])
    vivid = rng.uniform(0.3, 1.1)
    lightness = np.linspace(rng.uniform(0.08, 0.3), rng.uniform(0.8, 0.97), count)
    colours = [
        colorsys.hsv_to_rgb(
            (rng.choice(hues) + rng.normal(0, 0.015)) % 1,
            float(np.clip(vivid * rng.uniform(0.6, 1.2) * (1.25 - 0.6 * light), 0, 1)),
            float(light),
        )
        for light in lightness
    ]
    return np.asarray(colours, np.float32) * 255


def blended(colours: Array, position: Array) -> Array:
    """Returns colours along a palette: its first at 0, its last at 1, blends between."""
    steps = np.linspace(0, 1, len(colours))
    channels = [np.interp(position, steps, colours[:, channel]) for channel in range(3)]
    return np.stack(channels, -1).astype(np.float32)


def stepped(colours: Array, position: Array) -> Array:
    """Returns colours of a palette without blends: its first from 0 on, its last up to 1."""
    index = np.clip((position * len(colours)).astype(int), 0, len(colours) - 1)
    return np.asarray(colours[index], np.float32)


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


def shifted(rng: np.random.Generator, colour: NDArray[np.floating], spread: float) -> Colour:
    """Returns a colour as Pillow wants it, lighter or darker and a little off by chance."""
    values = colour + rng.normal(0, spread) + rng.normal(0, spread / 3, 3)
    red, green, blue = np.clip(values, 0, 255).astype(int).tolist()
    return red, green, blue

"""Colours that go together."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

from paintings.canvas import Array, Colour

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


def shifted(rng: np.random.Generator, colour: NDArray[np.floating], spread: float) -> Colour:
    """Returns a colour as Pillow wants it, lighter or darker and a little off by chance."""
    values = colour + rng.normal(0, spread) + rng.normal(0, spread / 3, 3)
    red, green, blue = np.clip(values, 0, 255).astype(int).tolist()
    return red, green, blue

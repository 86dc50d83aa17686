"""Paintings of pieces: cubist facets, triangles, bricks and weaving."""

from __future__ import annotations

import numpy as np
from PIL import Image

from paintings.brushed import at
from paintings.canvas import HEIGHT, SIZE, WIDTH, Array, fill, finish, grid, noise, smoothstep
from paintings.palettes import blended, palette, shifted, stepped
from paintings.subjects import tones


def facets(rng: np.random.Generator) -> Image.Image:
    """Paints planes that cut each other, each shaded from one edge on."""
    x, y = grid()
    count = int(rng.integers(10, 17))
    labels = np.zeros(SIZE[::-1], np.int64)
    sides = []
    for line in range(count):
        turn = rng.choice((0.3, 1.2, 2.1)) + rng.normal(0, 0.35)
        px, py = rng.uniform((0, 0), (WIDTH, HEIGHT))
        side = (x - px) * np.cos(turn) + (y - py) * np.sin(turn)
        sides.append(side)
        labels += (side > 0).astype(np.int64) << line
    found, pieces = np.unique(labels, return_inverse=True)
    pieces = pieces.reshape(labels.shape)
    colours = palette(rng, 6)
    each = colours[rng.integers(0, 6, len(found))] + rng.normal(0, 9, (len(found), 3))
    edge = np.min([np.abs(side) for side in sides], 0)
    shade = rng.uniform(-0.5, 0.5, len(found))[pieces]
    light = 1 + shade * np.exp(-edge / rng.uniform(8, 26))
    brushed = 1 + 0.05 * noise(rng, 14, 3) + 0.05 * noise(rng, 3, 14)
    pixels = each[pieces] * (light * brushed)[..., None]
    if rng.uniform() < 0.5:
        pixels *= (0.25 + 0.75 * smoothstep(0.4, 1.5, edge))[..., None]
    return finish(pixels)


def triangles(rng: np.random.Generator) -> Image.Image:
    """Paints a field of colour in flat triangles."""
    field = blended(palette(rng, 7), tones(rng, rng.uniform(100, 240)))
    step = rng.uniform(18, 60)
    columns, rows = int(WIDTH / step) + 4, int(HEIGHT / step) + 4
    spots = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1) - 1.5
    spots = ((spots + rng.uniform(-0.36, 0.36, spots.shape)) * step).astype(np.float32)
    image = Image.new("RGB", SIZE)
    for row in range(rows - 1):
        for column in range(columns - 1):
            a, b = spots[row, column], spots[row, column + 1]
            c, d = spots[row + 1, column + 1], spots[row + 1, column]
            halves = ((a, b, c), (a, c, d)) if rng.uniform() < 0.5 else ((a, b, d), (b, c, d))
            for corner in halves:
                shape = np.stack(corner)
                fill(image, shape, shifted(rng, at(field, shape.mean(0)), 9))
    return finish(np.asarray(image))


def bricks(rng: np.random.Generator) -> Image.Image:
    """Paints courses of rough bricks or tiles with their mortar."""
    x, y = grid()
    high, long = rng.uniform(12, 34), rng.uniform(1.2, 3)
    uneven = rng.uniform(0.8, 2.2)
    x, y = x + uneven * noise(rng, 22), y + uneven * noise(rng, 22)
    row = np.floor(y / high).astype(int)
    along = x / (high * long) + 0.5 * (row % 2)
    column = np.floor(along).astype(int)
    across, down = along % 1, y % high / high
    sideways = np.minimum(across, 1 - across) * high * long
    inside = np.minimum(sideways, np.minimum(down, 1 - down) * high)
    pick = rng.uniform(size=(row.max() - row.min() + 1, column.max() - column.min() + 1))
    chosen = pick[row - row.min(), column - column.min()].astype(np.float32)
    colours = palette(rng, 6)
    stone = stepped(colours[1:-1], 0.6 * chosen + 0.4 * tones(rng, 150))
    stone = stone + (14 * noise(rng, 5) + 9 * noise(rng, 1.8) + 40 * (chosen - 0.5))[..., None]
    share = smoothstep(0.8, 2.4, inside)[..., None]
    mortar = colours[-1 if rng.uniform() < 0.5 else 0] + (8 * noise(rng, 2))[..., None]
    return finish(mortar * (1 - share) + stone * share)


def pattern(rng: np.random.Generator, x: Array, y: Array) -> Array:
    """Returns a woven pattern, from 0 to 1: diamonds and stripes, or free forms."""
    if rng.uniform() < 0.5:
        return tones(rng, rng.uniform(70, 160))
    width, height = rng.uniform(50, 140), rng.uniform(40, 110)
    diamond = np.abs(x / width % 1 - 0.5) + np.abs(y / height % 1 - 0.5)
    stripe = 0.25 * (np.floor(y / (height * 1.5)) % 3)
    return np.asarray((diamond + stripe) % 1.0, np.float32)


def weave(rng: np.random.Generator) -> Image.Image:
    """Weaves a tapestry, whose threads go over and under each other."""
    x, y = grid()
    thread = rng.uniform(3.5, 8)
    column, row = np.floor(x / thread), np.floor(y / thread)
    design = pattern(rng, column * thread, row * thread)
    centre = np.stack([(column + 0.5) * thread, (row + 0.5) * thread], -1)
    colours = stepped(palette(rng, 6), at(design, centre.astype(np.float32)))
    over = (column + row) % 2 == 0
    across = np.where(over, x, y) / thread % 1
    along = np.where(over, y, x) / thread % 1
    round_ = np.sin(np.pi * across) ** 0.6 * (0.65 + 0.35 * np.sin(np.pi * along))
    fibres = 1 + 0.07 * noise(rng, 1.5) + 0.05 * noise(rng, 30)
    return finish(colours * ((0.35 + 0.75 * round_) * fibres)[..., None])

"""Paintings of many brush strokes: impasto, palette knife, points, watercolour and drips."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from paintings.canvas import (
    HEIGHT,
    SCALE,
    SIZE,
    WIDTH,
    Array,
    corners,
    disc,
    fill,
    finish,
    noise,
    ribbon,
    rotated,
    spline,
)
from paintings.palettes import blended, palette, shifted, stepped
from paintings.subjects import tones

STEPS = 9  # points on the path of a stroke


def at(values: Array, points: Array) -> Array:
    """Returns the values of the canvas at points (..., 2)."""
    column = np.clip(points[..., 0] * SCALE, 0, SIZE[0] - 1).astype(int)
    row = np.clip(points[..., 1] * SCALE, 0, SIZE[1] - 1).astype(int)
    return np.asarray(values[row, column], np.float32)


def flows(rng: np.random.Generator, angle: Array, count: int, length: float) -> Array:
    """Returns paths of strokes (count x STEPS x 2) that follow a field of directions."""
    points = rng.uniform((0, 0), (WIDTH, HEIGHT), (count, 2)).astype(np.float32)
    steps = [points]
    for _ in range(STEPS - 1):
        turn = at(angle, steps[-1])
        step = np.stack([np.cos(turn), np.sin(turn)], -1) * length / (STEPS - 1)
        steps.append(np.asarray(steps[-1] + step, np.float32))
    return np.stack(steps, 1)


def stroke(
    rng: np.random.Generator, image: Image.Image, path: Array, width: float, colour: Array
) -> None:
    """Paints one stroke, with the marks that the bristles leave along it."""
    outline = ribbon(path, (width * 0.7, width, width * 0.9, width * 0.3))
    fill(image, outline, shifted(rng, colour, 9))
    pen = ImageDraw.Draw(image)
    for offset in rng.uniform(-0.42, 0.42, max(2, int(width / 4))):
        part = path[rng.integers(0, 3) : STEPS - rng.integers(0, 3)] + np.array((0, width * offset))
        pen.line(corners(part), fill=shifted(rng, colour, 22), width=int(rng.integers(2, 5)))


def lit(image: Image.Image, strength: float) -> Array:
    """Returns the painting with light from above on the ridges of its paint."""
    pixels = np.asarray(image, np.float32)
    height = pixels.mean(2)
    slope = np.zeros_like(height)
    slope[2:, 2:] = height[2:, 2:] - height[:-2, :-2]
    return np.asarray(pixels + strength * np.clip(slope, -40, 40)[..., None], np.float32)


def impasto(rng: np.random.Generator) -> Image.Image:
    """Paints thick strokes of three widths that follow a swirling field."""
    field = blended(palette(rng), tones(rng, rng.uniform(110, 260)))
    angle = np.asarray(rng.uniform(0, np.pi) + rng.uniform(0.4, 1.5) * noise(rng, 190), np.float32)
    size = rng.uniform(0.6, 1.3)
    image = Image.fromarray(field.astype(np.uint8))
    for width, length, cover in ((32, 95, 3.0), (17, 62, 2.4), (9, 40, 1.3)):
        count = int(cover * WIDTH * HEIGHT / (width * length * size**2))
        for path in flows(rng, angle, count, length * size):
            stroke(rng, image, path, width * size, at(field, path[4]))
    return finish(lit(image, 0.35))


def knife(rng: np.random.Generator) -> Image.Image:
    """Paints short slabs of colour, as a palette knife lays them."""
    field = stepped(palette(rng, 8), tones(rng, rng.uniform(90, 220)))
    image = Image.fromarray(field.astype(np.uint8))
    lean = rng.uniform(0, np.pi)
    for size, count in ((56, 420), (34, 700), (20, 900)):
        for centre in rng.uniform((0, 0), (WIDTH, HEIGHT), (count, 2)):
            turn = lean + rng.choice((0, np.pi / 2)) + rng.normal(0, 0.25)
            colour = at(field, np.asarray(centre, np.float32))
            for part in np.linspace(-0.3, 0.3, 5):
                slab = np.array([[-0.5, -0.07], [0.5, -0.07], [0.5, 0.07], [-0.5, 0.07]])
                slab += np.array((rng.normal(0, 0.06), part))
                slab *= size * rng.uniform(0.8, 1.1)
                fill(image, rotated(slab, turn, centre), shifted(rng, colour, 13))
    return finish(lit(image, 0.5))


def points(rng: np.random.Generator) -> Image.Image:
    """Paints dots of pure colours that mix in the eye."""
    colours = palette(rng, 8)
    tone = tones(rng, rng.uniform(120, 260))
    image = Image.fromarray(blended(colours * 0.5 + 110, tone).astype(np.uint8))
    radius = rng.uniform(2.2, 5.5)
    count = int(2.6 * WIDTH * HEIGHT / (np.pi * radius**2))
    for centre in rng.uniform((0, 0), (WIDTH, HEIGHT), (count, 2)).astype(np.float32):
        step = int(np.clip(at(tone, centre) * 8 + rng.normal(0, 0.9), 0, 7))
        dot = disc(centre, radius * rng.uniform(0.6, 1.1), radius * rng.uniform(0.5, 0.9))
        fill(image, dot[::4], shifted(rng, colours[step], 12))
    return finish(lit(image, 0.2))


def blotch(rng: np.random.Generator, centre: Array, radius: float) -> Array:
    """Returns the outline of a blotch with a lobed rim."""
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    reach = np.ones_like(angle)
    for wave in range(2, 14):
        reach += rng.normal(0, 0.35 / wave) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    outline = np.stack([np.cos(angle), np.sin(angle) * rng.uniform(0.5, 1)], 1) * reach[:, None]
    return np.asarray(outline * radius + centre, np.float32)


def watercolour(rng: np.random.Generator) -> Image.Image:
    """Paints wet blotches one over the other, with granules and darker rims, on white paper."""
    pixels = np.full((*SIZE[::-1], 3), 250, np.float32) + (3 * noise(rng, 3))[..., None]
    granules = np.asarray(1 + 0.16 * noise(rng, 4) + 0.2 * noise(rng, 60), np.float32)
    colours = palette(rng, 7)
    for size in np.sort(rng.uniform(22, 150, rng.integers(30, 60)))[::-1]:
        centre = rng.uniform((0, 0), (WIDTH, HEIGHT)).astype(np.float32)
        sheet = Image.new("L", SIZE)
        fill(sheet, blotch(rng, centre, size), 255)
        left, top = (int(v) for v in np.clip((centre - 3 * size) * SCALE, 0, None))
        right, bottom = (int(v) for v in (centre + 3 * size) * SCALE)
        box = (left, top, min(right, SIZE[0]), min(bottom, SIZE[1]))
        mask = sheet.crop(box)
        soft = np.asarray(mask.filter(ImageFilter.GaussianBlur(5 * SCALE)), np.float32) / 255
        hard = np.asarray(mask.filter(ImageFilter.GaussianBlur(SCALE)), np.float32) / 255
        part = (slice(box[1], box[3]), slice(box[0], box[2]))
        wash = np.clip(hard * (1.15 - 0.75 * soft) * granules[part] * rng.uniform(0.5, 1.1), 0, 1)
        ink = 1 - colours[rng.integers(len(colours))] / 255
        pixels[part] *= 1 - wash[..., None] * ink
    return finish(pixels)


def drips(rng: np.random.Generator) -> Image.Image:
    """Throws long threads and drops of paint over a plain canvas."""
    colours = palette(rng, 5)
    ground = colours[-1] if rng.uniform() < 0.6 else colours[0]
    others = [colour for colour in colours if colour is not ground]
    image = Image.fromarray((ground + (5 * noise(rng, 5))[..., None]).clip(0, 255).astype(np.uint8))
    for _ in range(rng.integers(110, 220)):
        colour = shifted(rng, others[rng.integers(len(others))], 4)
        walk = np.cumsum(rng.normal(0, rng.uniform(25, 70), (rng.integers(5, 12), 2)), 0)
        path = spline(walk + rng.uniform((0, 0), (WIDTH, HEIGHT)), 160)
        widths = rng.uniform(0.8, 2.6) * rng.lognormal(0.3, 0.7, 12)
        for start in range(0, 156, 6):  # short parts: a polygon is empty where it crosses itself
            fill(image, ribbon(path[start : start + 8], widths[start // 14 :][:2]), colour)
        for drop in path[rng.integers(0, 160, 14)] + rng.normal(0, 9, (14, 2)):
            fill(image, disc(drop, rng.lognormal(0.2, 0.7)), colour)
    return finish(lit(image, 0.3))

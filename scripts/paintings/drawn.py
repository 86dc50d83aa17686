"""Drawings and prints: pencil, crayon, calligraphy, halftone and engraving."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from paintings.brushed import at
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
    grid,
    mix,
    noise,
    ribbon,
    rotated,
    smoothstep,
    spline,
)
from paintings.palettes import palette, shifted, stepped
from paintings.subjects import tones

REACH = 410  # half the diagonal of the painting, in px


def hatched(rng: np.random.Generator, tone: Array, turn: float, dark: float, gap: float) -> Array:
    """Returns how much graphite lies where: wavering parallel lines wherever `tone` < `dark`."""
    sheet = Image.new("L", SIZE)
    pen = ImageDraw.Draw(sheet)
    along = np.arange(-REACH, REACH, 7.0)
    for across in np.arange(-REACH, REACH, gap):
        waver = across + np.cumsum(rng.normal(0, 0.3, len(along)))
        line = rotated(np.stack([along, waver], 1), turn, (WIDTH / 2, HEIGHT / 2))
        drawn = (at(tone, line) < dark + rng.normal(0, 0.03)) & (
            rng.uniform(size=len(along)) < 0.93
        )
        for start in np.flatnonzero(drawn[:-1]):
            shade = int(rng.uniform(110, 255))
            pen.line(corners(line[start : start + 2]), shade, int(rng.integers(3, 8)))
    return np.asarray(np.asarray(sheet, np.float32) / 255, np.float32)


def pencil(rng: np.random.Generator) -> Image.Image:
    """Draws light and shade with layers of hatching, in graphite or in a coloured pencil."""
    tone = tones(rng, rng.uniform(90, 230))
    gap, first = rng.uniform(3, 6), rng.uniform(0, np.pi)
    colours = palette(rng)
    paper = mix((246, 243, 236), colours[-1], np.float32(rng.uniform(0, 0.4)))
    pixels = np.broadcast_to(paper, (*SIZE[::-1], 3))
    grain = np.clip(0.75 + 0.3 * noise(rng, 1.7), 0, 1)
    several = rng.uniform() < 0.5
    for layer, dark in enumerate((0.85, 0.6, 0.42, 0.25)):
        ink = colours[layer % 3] if several else np.full(3, 50, np.float32)
        lines = hatched(rng, tone, first + 0.8 * layer, dark, gap)
        pixels = mix(pixels, ink, lines * grain * 0.85)
    return finish(pixels)


def crayon(rng: np.random.Generator) -> Image.Image:
    """Scribbles patches in wax, which leaves the hollows of the paper white."""
    colours = palette(rng, 7)
    hollow = noise(rng, 2.2)
    pixels = np.full((*SIZE[::-1], 3), 244, np.float32)
    for _ in range(rng.integers(6, 10)):
        sheet = Image.new("L", SIZE)
        pen = ImageDraw.Draw(sheet)
        for _ in range(rng.integers(6, 13)):
            width, height = rng.uniform(50, 210), rng.uniform(40, 130)
            rows = np.arange(0, height, rng.uniform(2.5, 5))
            zigzag = np.stack([width * (np.arange(len(rows)) % 2 - 0.5), rows - height / 2], 1)
            zigzag += rng.normal(0, 4, zigzag.shape)
            centre = rng.uniform((0, 0), (WIDTH, HEIGHT))
            path = rotated(spline(zigzag, 12 * len(zigzag)), rng.uniform(0, np.pi), centre)
            pen.line(corners(path), 255, int(rng.uniform(2.2, 4.5) * SCALE), "curve")
        wax = (
            np.asarray(sheet, np.float32) / 255 * smoothstep(-0.9, 0.5, hollow + rng.normal(0, 0.2))
        )
        pixels = mix(pixels, colours[rng.integers(len(colours) - 1)], wax * 0.92)
    return finish(pixels)


def calligraphy(rng: np.random.Generator) -> Image.Image:
    """Draws bold strokes of a wet brush that runs dry, with one seal of colour."""
    colours = palette(rng)
    paper = mix((240, 232, 214), colours[-1], np.float32(rng.uniform(0, 0.6)))
    pixels = np.asarray(paper + (4 * noise(rng, 40) + 2 * noise(rng, 2, 20))[..., None], np.float32)
    bristles = noise(rng, 90, 1.6)
    for _ in range(rng.integers(26, 70)):
        centre = rng.uniform((30, 30), (WIDTH - 30, HEIGHT - 30))
        path = spline(np.cumsum(rng.normal(0, 48, (rng.integers(3, 6), 2)), 0) + centre, 60)
        width = rng.uniform(5, 34)
        sheet = Image.new("L", SIZE)
        fill(sheet, ribbon(path, width * np.array([0.5, 1.0, 0.7, 0.9, 0.15])), 255)
        away = np.asarray(noise(rng, 120), np.float32)
        dry = smoothstep(-2.2, -0.4, bristles - 0.9 * away)
        pixels = mix(pixels, colours[0] * 0.35, np.asarray(sheet, np.float32) / 255 * dry * 0.95)
    seal = Image.new("L", SIZE)
    fill(seal, disc(rng.uniform((60, 60), (WIDTH - 60, HEIGHT - 60)), rng.uniform(12, 34)), 255)
    return finish(mix(pixels, (190, 48, 36), np.asarray(seal, np.float32) / 255 * 0.9))


def halftone(rng: np.random.Generator) -> Image.Image:
    """Prints dots of three inks, whose size makes the tone."""
    x, y = grid()
    cell = rng.uniform(7, 14)
    colours = palette(rng, 5)
    pixels = np.full((*SIZE[::-1], 3), 246, np.float32)
    form = tones(rng, rng.uniform(110, 240))
    for layer in range(3):
        turn = 0.26 + layer * np.pi / 6
        across = (x * np.cos(turn) + y * np.sin(turn)) / cell % 1 - 0.5
        down = (y * np.cos(turn) - x * np.sin(turn)) / cell % 1 - 0.5
        tone = np.clip(0.65 * form + 0.5 * tones(rng, 170) - 0.1, 0, 1)
        dots = smoothstep(-0.05, 0.05, 0.62 * (1 - tone) - np.hypot(across, down))
        pixels *= 1 - dots[..., None] * (1 - colours[layer] / 255) * 0.9
    return finish(pixels)


def engraving(rng: np.random.Generator) -> Image.Image:
    """Cuts lines that swell in the shade and follow the forms, as in a copperplate or a linocut."""
    x, y = grid()
    tone = tones(rng, rng.uniform(100, 220))
    gap, turn = rng.uniform(4, 9), rng.uniform(0, np.pi)
    bend = rng.uniform(4, 22) * noise(rng, rng.uniform(80, 180))
    wave = np.cos(2 * np.pi * (x * np.cos(turn) + y * np.sin(turn) + bend) / gap)
    lines = smoothstep(-0.25, 0.25, wave - 2.3 * tone + 1.05)
    if rng.uniform() < 0.6:
        other = np.cos(2 * np.pi * (y * np.cos(turn) - x * np.sin(turn) + bend) / gap)
        lines = np.maximum(lines, smoothstep(-0.25, 0.25, other - 3.2 * tone + 0.3))
    colours = palette(rng, 4)
    ground = np.asarray(colours[-1] * 0.4 + 150, np.float32)
    if rng.uniform() < 0.5:
        ground = stepped(colours[1:], tone) * 0.5 + 120
    ink = np.asarray(shifted(rng, colours[0] * 0.6, 5), np.float32)
    return finish(mix(ground, ink, lines * np.clip(0.93 + 0.08 * noise(rng, 3), 0, 1)))

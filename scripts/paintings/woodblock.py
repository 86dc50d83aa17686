"""A colour woodblock print: a great wave breaks over boats, with a mountain and the evening sun."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw

from paintings.canvas import (
    HEIGHT,
    SCALE,
    SIZE,
    WIDTH,
    Array,
    Colour,
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

KEY = (20, 34, 70)
PRUSSIAN = (30, 62, 116)
BLUE = (72, 118, 158)
PALE = (158, 192, 200)
CREAM = (241, 230, 202)
BUFF = (205, 186, 148)
VERMILION = (203, 82, 50)
ROSE = (226, 164, 128)
ORANGE = (214, 128, 92)


class Print:
    """The colour blocks, and the key block of outlines that is printed over them."""

    def __init__(self, ground: Array) -> None:
        self.colours = Image.fromarray(ground.astype(np.uint8))
        self.key = Image.new("L", SIZE, 0)

    def shape(self, points: ArrayLike, colour: Colour) -> None:
        """Prints a flat colour, over whatever lies there."""
        fill(self.colours, points, colour)
        fill(self.key, points, 0)

    def line(self, path: Array, widths: ArrayLike, colour: Colour | None = None) -> None:
        """Prints a line of swelling width, with the key block if it has no colour."""
        if colour:
            self.shape(ribbon(path, widths), colour)
        else:
            fill(self.key, ribbon(path, widths), 255)

    def union(self, shapes: Iterable[Array], colour: Colour, width: float = 1.6) -> None:
        """Prints shapes as one, with a single outline round them all."""
        shapes = list(shapes)
        draw = ImageDraw.Draw(self.key)
        for shape in shapes:
            closed = corners(np.vstack([shape, shape[:2]]))
            draw.line(closed, fill=255, width=round(2 * width * SCALE), joint="curve")
        for shape in shapes:
            self.shape(shape, colour)


def sky() -> Array:
    """Returns the graded sky: deep blue above, rose at the horizon."""
    _, y = grid()
    ground = mix(PRUSSIAN, BLUE, smoothstep(0, 45, y))
    ground = mix(ground, PALE, smoothstep(25, 95, y))
    ground = mix(ground, CREAM, smoothstep(80, 170, y))
    return mix(ground, ROSE, smoothstep(170, 300, y))


def wind(sheet: Print, rng: np.random.Generator) -> None:
    """Prints the rhythmic lines of the sky, broken here and there, and a flock of birds."""
    for level in np.arange(6, 330, 6.5):
        x = rng.uniform(-90, 0)
        while x < WIDTH:
            length = rng.uniform(60, 220)
            t = np.linspace(x, x + length, 30)
            y = level + 3.5 * np.sin(t / 55 + level / 40) + 2 * np.sin(t / 23 + level / 25)
            colour = (PALE, BLUE, ROSE, ORANGE)[np.searchsorted((40, 105, 200), level)]
            path = np.asarray(np.stack([t, y], 1), np.float32)
            sheet.line(path, [0.2, rng.uniform(0.9, 2.0), 0.2], colour)
            x += length + rng.uniform(4, 40)
    for _ in range(17):
        x, y = 292 + rng.normal(0, 62), 236 + rng.normal(0, 24)
        size, tilt = rng.uniform(5, 9), rng.normal(-0.2, 0.25)
        wings = spline([(-1.3, -0.2), (-0.6, -0.75), (0, 0), (0.7, -0.85), (1.4, -0.5)], 24) * size
        sheet.union([rotated(ribbon(wings, [0.2, 2, 2.6, 2, 0.2]), tilt, (x, y))], CREAM, 0.9)


def clouds(sheet: Print, rng: np.random.Generator) -> None:
    """Prints long clouds with rounded ends, drawn out by the wind."""
    for x, y, length, colour in (
        (70, 28, 190, PALE),
        (310, 22, 150, CREAM),
        (560, 26, 210, PALE),
        (470, 84, 150, CREAM),
        (614, 120, 130, CREAM),
        (26, 98, 150, CREAM),
        (330, 262, 150, CREAM),
        (590, 196, 110, CREAM),
        (440, 292, 150, ROSE),
        (640, 268, 130, ROSE),
        (250, 316, 150, CREAM),
    ):
        bars = []
        for row in range(-2, 3):
            half = length / 2 * rng.uniform(0.55, 1) * (1 - 0.22 * abs(row))
            middle = x + rng.uniform(-0.25, 0.25) * length
            bend = rng.uniform(-2, 2)
            ends = ((middle - half, y + row * 8), (middle + half, y + row * 8))
            bars.append(spline([ends[0], (middle, y + row * 8 + bend), ends[1]], 30))
        tips = [disc(tip, 4.7) for path in bars for tip in (path[0], path[-1])]
        sheet.union([ribbon(path, 9.4) for path in bars] + tips, colour, 1.2)
        for path in bars:
            shadow = path + np.array([0, 2.2])
            sheet.line(shadow, [0.3, 1.2, 0.3], BLUE if colour == PALE else ORANGE)
            sheet.line(path[4:20] - np.array([0, 1.2]), [0.2, 0.9, 0.2])


def mountain(sheet: Print, rng: np.random.Generator) -> None:
    """Prints a snow-capped mountain with ravines."""
    peak, foot = (500, 132), 340
    left = spline([(300, foot), (400, 262), (455, 190), (486, 136)], 60)
    right = spline([(516, 138), (548, 188), (604, 258), (700, foot)], 60)
    sheet.union([np.vstack([left, [(494, 131), (501, 137), (508, 130)], right])], BLUE, 1.4)
    for step in range(46):
        t = step / 45
        start = np.array([488 + 26 * t, 136])
        end = np.array([330 + 340 * t, foot])
        bend = (start + end) / 2 + np.array([0, 18])
        path = spline([start, bend, end], 40)
        snow = int(40 * (0.32 + 0.2 * abs(np.sin(step * 1.7)) + rng.uniform(0, 0.06)))
        sheet.line(path[:snow], [*np.linspace(1, 7.5, 8), 5, 0.2], CREAM)
        sheet.line(path[snow - 4 :], [0.4, 1.3, 0.5])
        sheet.line(path[3 + step % 3 * 3 : snow - 2], [0.2, 1.2, 0.2], BLUE if step % 3 else PALE)
    for side in (left, right):
        sheet.line(side, [1, 2.6, 2.6, 1])
    sheet.line(spline([(peak[0] - 15, 137), (494, 131), (501, 137), (508, 130), (517, 139)]), 2)


def claw(root: ArrayLike, angle: float, length: float, bend: float) -> list[Array]:
    """Returns a foam finger, hooked by `bend` radians, and the smaller ones that grow from it."""
    turn = angle + bend * np.linspace(0, 1, 14) ** 1.5
    steps = np.stack([np.cos(turn), np.sin(turn)], 1) * length / 14
    path = np.asarray(np.vstack([[0, 0], np.cumsum(steps, 0)]) + np.asarray(root), np.float32)
    fingers = [ribbon(path, length * np.array([0.42, 0.36, 0.26, 0.16, 0.03]))]
    if length > 9:
        for at, side, size in ((5, 0.75, 0.5), (8, 0.5, 0.46), (10, -0.7, 0.36)):
            fork = turn[at] + side * np.sign(bend)
            fingers += claw(path[at], fork, length * size, bend * 1.2)
    return fingers


def foam(
    sheet: Print, rng: np.random.Generator, path: Array, size: float, side: int, depth: float
) -> None:
    """Prints the foam of a crest: curdled lumps along the path, and claws on one side of it."""
    shapes, veins = [], []
    along = np.gradient(path, axis=0)
    walked = np.cumsum(np.hypot(along[:, 0], along[:, 1]))
    marks = np.arange(0, walked[-1], size * 0.42)
    for number, mark in enumerate(marks):
        i = int(np.searchsorted(walked, mark))
        angle = float(np.arctan2(along[i, 1], along[i, 0]))
        grow = float(np.sin(np.pi * min(1, 0.12 + 0.8 * mark / walked[-1]))) ** 0.5
        normal = np.array([-np.sin(angle), np.cos(angle)]) * side
        for _ in range(3):
            spot = path[i] + normal * rng.uniform(-0.25, depth) * size * grow
            shapes.append(disc(spot, size * grow * rng.uniform(0.2, 0.42)))
            veins.append(spot)
        if number % 2 == 0:
            root = path[i] + normal * depth * size * grow
            lean = angle + side * rng.uniform(0.55, 1.25)
            shapes += claw(root, lean, size * grow * rng.uniform(1.0, 1.7), side * 1.5)
    sheet.union(shapes, CREAM, 1.1)
    for spot in veins:
        arc = rotated(disc((0, 0), size * rng.uniform(0.12, 0.3)), rng.uniform(0, 6.3), spot)
        sheet.line(arc[: rng.integers(12, 24)], [0.2, size * 0.08 + 0.4, 0.2], PALE)
    for spot in path[rng.integers(0, len(path), len(path) // 5)]:
        place = spot + rng.normal(0, 1.1 * size, 2) - (0, size)
        sheet.union([disc(place, rng.uniform(0.6, 2.1))], CREAM, 0.7)


def swell(
    sheet: Print, rng: np.random.Generator, level: float, size: float, shift: float, lean: float
) -> None:
    """Prints a row of waves, with lines that echo the crests and lose themselves in the depth."""
    length = size * 5.2
    t = np.linspace(-length, WIDTH + length, 900)
    phase = 2 * np.pi * (t / length + shift) + 0.5 * np.sin(t / length * 1.7 + shift * 9)
    height = 1 + 0.25 * np.sin(t / length * 2.3 + shift * 5)

    def crest(depth: float) -> Array:
        rise = size * height * np.exp(-depth / size * 0.62)
        x = t - rise * 0.55 * np.sin(phase) + lean * rise * (0.5 + 0.5 * np.cos(phase)) ** 3
        return np.asarray(np.stack([x, level - rise * np.cos(phase) + depth], 1), np.float32)

    top = crest(0)
    sheet.shape(np.vstack([top, [(WIDTH * 2, HEIGHT + 9), (-WIDTH, HEIGHT + 9)]]), PRUSSIAN)
    depth, step = 0.0, size * 0.18
    for number in range(16):
        band = np.vstack([crest(depth), crest(depth + step * 0.66)[::-1]])
        sheet.shape(band, (CREAM, PALE, BLUE, PALE)[number % 4])
        sheet.line(crest(depth), size * 0.02 + 0.4)
        depth += step * (1 + number * 0.05)
    sheet.line(top, size * 0.03 + 1.2)
    for peak in np.flatnonzero((np.diff(np.sign(np.sin(phase))) != 0) & (np.cos(phase[1:]) > 0)):
        reach = int(0.19 * length / (t[1] - t[0]))
        if peak - reach > 0 and peak + reach < len(t):
            foam(sheet, rng, top[peak - reach : peak + reach], size * 0.3, 1, 0.35)


def great_wave(sheet: Print, rng: np.random.Generator) -> None:
    """Prints the great wave, which curls over from the left."""
    back = spline(
        [
            (-100, 560),
            (-36, 320),
            (70, 165),
            (140, 98),
            (220, 66),
            (300, 74),
            (356, 116),
            (378, 176),
        ],
        160,
    )
    face = spline(
        [
            (420, 540),
            (276, 440),
            (206, 350),
            (186, 270),
            (212, 205),
            (262, 164),
            (318, 152),
            (366, 186),
        ],
        160,
    )
    sheet.union([np.vstack([back, face[::-1], [(-100, 560)]])], PRUSSIAN, 1.8)
    bands = 15
    for band in range(bands):
        low, high = band / bands, (band + 0.2 + 0.4 * band / bands) / bands
        near, far = face + (back - face) * low, face + (back - face) * high
        sheet.shape(np.vstack([near, far[::-1]]), (PALE, BLUE, CREAM)[band % 3])
        sheet.line(near, [2.2, 1.4, 0.7])
        sheet.line(far, [1.4, 1.0, 0.5])
    foam(sheet, rng, face[112:], 17, -1, 0.3)
    foam(sheet, rng, back[62:], 25, 1, 0.9)
    foam(sheet, rng, back[40:92], 15, 1, 0.6)


def boat(sheet: Print, x: float, y: float, tilt: float, size: float) -> None:
    """Prints a slender boat with its rowers."""
    hull = spline([(-60, -16), (-30, 0), (0, 5), (30, 2), (66, -20)], 40) * size
    keel = spline([(66, -20), (34, 14), (0, 18), (-32, 12), (-60, -16)], 40) * size
    sheet.union([rotated(np.vstack([hull, keel]), tilt, (x, y))], BUFF, 1.2)
    for rower in range(-2, 3):
        seat = np.array([rower * 14.0 + 2, -2]) * size
        body = disc(seat + np.array([0, -4]) * size, 6 * size, 8 * size)
        head = disc(seat + np.array([3, -14]) * size, 4 * size)
        sheet.union([rotated(body, tilt, (x, y))], VERMILION if rower % 2 else PRUSSIAN, 0.8)
        sheet.union([rotated(head, tilt, (x, y))], CREAM, 0.8)
        oar = spline([seat, seat + np.array([-16, 26]) * size], 8)
        sheet.line(rotated(oar, tilt, (x, y)), 1.3)
    for plank in (0.35, 0.7):
        path = hull + (keel[::-1] - hull) * plank
        sheet.line(rotated(path[3:-3], tilt, (x, y)), [0.4, 1.1, 0.4])


def printed(sheet: Print, rng: np.random.Generator) -> Array:
    """Returns the print: paper fibres, wood grain, and blocks that do not quite register."""
    _, y = grid()
    bent = y + 5 * noise(rng, 160, 60) + 1.5 * noise(rng, 60, 20)
    grain = np.sin(bent * 1.9 + 1.2 * noise(rng, 200, 12)) * (0.5 + 0.5 * noise(rng, 120, 9))
    speckle = noise(rng, 1.2) * 0.6 + noise(rng, 14, 1.6) * 0.7
    colours = np.asarray(sheet.colours, np.float32)
    ink = 1 - colours.min(2) / 255
    colours = colours + (7 * grain + 6 * speckle + 5 * noise(rng, 45))[..., None] * (
        0.4 + ink[..., None]
    )
    strength = np.roll(np.asarray(sheet.key, np.float32), (1, 2), (0, 1))
    strength[:, :2] = strength[:, 2:3]
    strength *= np.clip(0.94 + 0.06 * speckle, 0, 1) / 255
    return mix(colours, KEY, strength)


def draw(seed: int = 1831) -> Image.Image:
    """Draws the painting; another seed changes its hand and its details."""
    rng = np.random.default_rng(seed)
    sheet = Print(sky())
    wind(sheet, rng)
    sheet.union([disc((405, 128), 34)], VERMILION, 1.2)
    clouds(sheet, rng)
    mountain(sheet, rng)
    for level, size, shift in ((326, 13, 0.1), (344, 17, 0.55), (366, 21, 0.3)):
        swell(sheet, rng, level, size, shift, 1.0)
    boat(sheet, 500, 352, -0.12, 0.8)
    swell(sheet, rng, 392, 25, 0.75, 1.0)
    great_wave(sheet, rng)
    boat(sheet, 350, 398, 0.1, 1.0)
    swell(sheet, rng, 436, 31, 0.2, 1.0)
    swell(sheet, rng, 486, 36, 0.62, 1.0)
    return finish(printed(sheet, rng))

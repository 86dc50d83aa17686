"""A pen drawing: a village among fields and windblown trees, under billowing clouds."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw

from paintings.canvas import (
    HEIGHT,
    SCALE,
    SIZE,
    WIDTH,
    Array,
    disc,
    fill,
    finish,
    mix,
    noise,
    ribbon,
    smoothstep,
    spline,
)

PAPER = (245, 237, 218)
INK = (36, 27, 24)
SUN = (520.0, 74.0)


class Scene:
    """What the pen follows: the form at each pixel, its tone, and its lines' direction and length.

    A tone of 0 is the bare paper, of 1 black; the planes have one value for a pixel of the
    finished drawing.
    """

    def __init__(self) -> None:
        y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
        self.x, self.y = x, y
        self.form = np.zeros((HEIGHT, WIDTH), np.int32)
        self.tone, self.angle, self.length = (np.zeros_like(x) for _ in range(3))
        self.outlines: list[tuple[Array, float]] = [(np.zeros((0, 2), np.float32), 0.0)]

    def add(
        self, shape: ArrayLike, tone: ArrayLike, angle: ArrayLike, length: float, outline: float = 1
    ) -> None:
        """Adds a form in front of the others; tone and angle are numbers or whole planes."""
        points = np.asarray(shape, np.float32)
        image = Image.new("1", (WIDTH, HEIGHT), 0)
        ImageDraw.Draw(image).polygon([(float(x), float(y)) for x, y in points], fill=1)
        mask = np.asarray(image)
        self.form[mask] = len(self.outlines)
        for plane, values in ((self.tone, tone), (self.angle, angle), (self.length, length)):
            plane[mask] = np.broadcast_to(np.asarray(values, np.float32), mask.shape)[mask]
        self.outlines.append((points, outline))

    def ball(
        self,
        x: float,
        y: float,
        size: float,
        light: float,
        dark: float,
        length: float,
        outline: float = 1,
    ) -> None:
        """Adds a round tuft, lit from the upper left, whose lines go round it."""
        u, v = (self.x - x) / size, (self.y - y) / size
        shade = smoothstep(-0.9, 1.1, u * 0.6 + v * 0.85)
        turn = np.linspace(0, 2 * np.pi, 48)
        rim = size * (1 + 0.07 * np.sin(turn * 5 + x) + 0.05 * np.sin(turn * 8 + y))
        shape = np.stack([x + rim * np.cos(turn), y + rim * np.sin(turn)], 1)
        self.add(
            shape, light + (dark - light) * shade, np.arctan2(u + 0.3, -(v + 0.5)), length, outline
        )

    def ground(self, line: ArrayLike, tone: ArrayLike, angle: ArrayLike, length: float) -> None:
        """Adds everything below a line."""
        top = spline(line, 200)
        self.add(
            np.vstack([top, [(WIDTH + 90, HEIGHT + 9), (-90, HEIGHT + 9)]]), tone, angle, length
        )

    def towards(self, x: float, y: float) -> Array:
        """Returns the direction of lines that meet in a point."""
        return np.asarray(np.arctan2(self.y - y, self.x - x), np.float32)


def sky(scene: Scene, rng: np.random.Generator) -> None:
    """Adds the sun among circling lines, and the clouds."""
    x, y = scene.x, scene.y
    radius = np.hypot(x - SUN[0], y - SUN[1])
    flow = 0.3 * np.sin(x / 75 + 1) + 0.25 * np.sin(y / 34 + x / 140)
    around = np.arctan2(x - SUN[0], SUN[1] - y)
    near = np.exp(-((radius / 130) ** 2))
    angle = 0.5 * np.arctan2(  # lines have no head: their directions mix at twice the angle
        near * np.sin(2 * around) + (1 - near) * np.sin(2 * flow),
        near * np.cos(2 * around) + (1 - near) * np.cos(2 * flow),
    )
    tone = 0.5 - 0.2 * np.sin(y / 19 + 1.6 * np.sin(x / 90)) - 0.16 * y / 250
    tone -= 0.36 * np.exp(-((radius / 70) ** 2))
    everything = [(-9, -9), (WIDTH + 9, -9), (WIDTH + 9, HEIGHT + 9), (-9, HEIGHT + 9)]
    scene.add(everything, tone, angle, 70)
    scene.add(disc(SUN, 25), 0.05, around, 30, 1.6)
    for cx, cy, width, height, count in (
        (330, 96, 105, 40, 26),
        (90, 120, 110, 34, 24),
        (610, 168, 90, 26, 18),
        (450, 176, 60, 18, 12),
        (200, 30, 80, 18, 14),
    ):
        for step in range(count):
            rise = 1 - step / count
            px = cx + width * rng.uniform(-1, 1) * (1 - 0.6 * rise)
            size = height * rng.uniform(0.35, 0.75)
            scene.ball(px, cy - height * 0.9 * rise + 12, size, 0.02, 0.62, 40, 0.7)


def mountains(scene: Scene) -> None:
    """Adds two ranges with lit and shaded faces."""
    x, y = scene.x, scene.y
    ranges = (
        ([(-20, 214), (60, 172), (120, 206), (200, 150), (262, 204), (330, 178), (420, 216),
          (510, 172), (580, 205), (670, 160)], 0.42, 48),
        ([(-20, 236), (80, 222), (170, 240), (290, 206), (380, 236), (470, 214), (560, 240),
          (670, 218)], 0.52, 37),
    )  # fmt: skip
    for line, tone, period in ranges:
        face = np.sin((x + 0.75 * y) / period * np.pi + 0.9 * np.sin(y / 15))
        shade = tone + 0.3 * np.tanh(face * 2.5)
        scene.ground(line, shade, np.where(face > 0, 1.05, 2.3), 26)


def house(scene: Scene, x: float, y: float, size: float, spire: float = 0) -> None:
    """Adds a house whose foot is at (x, y), or a church if it has a spire."""
    wall, depth, eave = size, size * 0.9, y - size * 0.7
    gable = [(x, y), (x, eave), (x + wall / 2, eave - size * 0.6), (x + wall, eave), (x + wall, y)]
    side = [(x + wall, y), (x + wall, eave), (x + wall + depth, eave), (x + wall + depth, y)]
    roof = [(x + wall / 2, eave - size * 0.6), (x + wall / 2 + depth, eave - size * 0.6),
            (x + wall + depth + 2, eave + 2), (x + wall, eave)]  # fmt: skip
    scene.add(side, 0.62, np.pi / 2, 20)
    scene.add(roof, 0.85, 0.9, 20, 1.3)
    scene.add(gable, 0.08, np.pi / 2, 12, 1.2)
    for across, up in ((0.28, 0.4), (0.68, 0.4)):
        wx, wy = x + wall * across, y - size * up
        scene.add(
            ribbon(np.array([(wx, wy - size * 0.1), (wx, wy + size * 0.1)]), size * 0.16), 1, 1.5, 9
        )
    if spire:
        tower = size * 0.62
        left, top = x - tower * 0.7, y - size * 1.9
        scene.add(
            [(left, y), (left, top), (left + tower, top), (left + tower, y)], 0.16, 1.57, 20, 1.2
        )
        scene.add([(left + tower * 0.55, y), (left + tower * 0.55, top), (left + tower, top),
                   (left + tower, y)], 0.7, 1.57, 20, 0.6)  # fmt: skip
        cap = [(left - 2, top), (left + tower / 2, top - spire), (left + tower + 2, top)]
        scene.add(cap, 0.9, 1.35, 20, 1.2)


def cypress(scene: Scene, rng: np.random.Generator, x: float, y: float, height: float) -> None:
    """Adds a flame of a tree, whose foot is at (x, y)."""
    for step in range(int(height / 4.5)):
        rise = 1 - (step + 0.5) / (height / 4.5)
        wide = height * 0.13 * np.sin(np.pi * (0.1 + 0.9 * (1 - rise))) ** 0.7 + 2
        size = wide * rng.uniform(0.55, 0.8)
        px = x + rng.uniform(-0.5, 0.5) * wide + height * 0.08 * np.sin(rise * 4)
        u = (scene.x - px) / size
        shape = disc((px, y - rise * height), size, size * 1.7)
        sway = 1.57 + 0.35 * np.sin(scene.y / 14 + x)
        scene.add(shape, 0.72 + 0.45 * np.tanh(u), sway, 14, 0.9)


def bush(
    scene: Scene, rng: np.random.Generator, x: float, y: float, wide: float, high: float
) -> None:
    """Adds a bush or the crown of a tree, of many tufts."""
    count = int(wide * high / 46) + 5
    for step in range(count):
        rise = 1 - 2 * step / count
        px = x + wide * rng.uniform(-1, 1) * np.sqrt(max(0.1, 1 - rise * rise))
        size = np.sqrt(wide * high) * rng.uniform(0.2, 0.34)
        deep = 0.1 + 0.3 * (1 - rise) / 2 + 0.2 * (px - x) / wide
        scene.ball(px, y - high * rise, size, deep, 1.1 + deep, 9)


def tree(scene: Scene, rng: np.random.Generator, x: float, y: float, size: float) -> None:
    """Adds a broad tree whose foot is at (x, y)."""
    paths = (
        ([(x, y + 6), (x - 3, y - size * 0.5), (x + 5, y - size)], size * 0.2, size * 0.12),
        ([(x, y - size * 0.5), (x - size * 0.3, y - size * 0.8), (x - size * 0.6, y - size)],
         size * 0.1, size * 0.05),
        ([(x, y - size * 0.6), (x + size * 0.3, y - size * 0.9), (x + size * 0.5, y - size * 1.1)],
         size * 0.1, size * 0.05),
    )  # fmt: skip
    for path, thick, thin in paths:
        shade = np.clip(0.55 + (scene.x - x) / size * 3.2, 0.25, 1)
        scene.add(ribbon(spline(path, 30), [thick * 1.3, thick, thin]), shade, 1.45, 16, 1.4)
    bush(scene, rng, x - size * 0.45, y - size * 1.15, size * 0.55, size * 0.38)
    bush(scene, rng, x + size * 0.45, y - size * 1.25, size * 0.55, size * 0.4)
    bush(scene, rng, x, y - size * 1.6, size * 0.66, size * 0.46)


def fields(scene: Scene, rng: np.random.Generator) -> None:
    """Adds the rolling fields with the village, and the road that leads there."""
    x, y = scene.x, scene.y
    scene.ground(
        [(-20, 262), (120, 240), (260, 256), (400, 244), (540, 262), (660, 246)], 0.3, 0.12, 40
    )
    for number in range(7):
        left = -40 + number * 100 + rng.uniform(-14, 14)
        shape = [(left, 249), (left + 62, 246), (left + 96, 292), (left - 12, 296)]
        scene.add(shape, (0.2, 0.55, 0.36)[number % 3], (0.2, 1.1, 2.4, 0.7)[number % 4], 30, 0.6)
    for px in range(-6, WIDTH, 23):
        bush(scene, rng, px + rng.uniform(-6, 6), 262 + 5 * np.sin(px / 50), rng.uniform(8, 14), 7)
    for hx, hy, wall in (
        (250, 276, 19),
        (400, 272, 18),
        (292, 270, 21),
        (350, 282, 20),
        (440, 284, 16),
    ):
        house(scene, hx, hy, wall)
    house(scene, 322, 286, 25, 44)
    for px, high in ((232, 58), (386, 66), (474, 52), (490, 74), (506, 48)):
        cypress(scene, rng, px, 290, high)
    slope = [(-20, 300), (130, 284), (300, 298), (420, 292), (540, 282), (660, 300)]
    scene.ground(slope, 0.34 + 0.18 * np.sin(x / 19 + y / 9), scene.towards(300, 190), 44)
    for px, py in ((30, 318), (110, 306), (190, 322), (452, 312), (560, 300), (626, 322)):
        bush(scene, rng, px, py, rng.uniform(18, 30), rng.uniform(12, 17))
    orchard = [(-20, 352), (140, 326), (320, 338), (470, 346), (660, 318)]
    furrows = scene.towards(520, 230)
    scene.ground(orchard, 0.4 + 0.2 * np.sin(furrows * 46), furrows, 60)
    for row in range(4):
        for left in range(360 - row * 4, 680, 44 + row * 11):
            foot = 352 + row * 21 - (left - 360) * 0.07
            size = 8 + row * 2.4
            shadow = disc((left + size, foot + size * 1.1), size * 1.7, size * 0.5)
            scene.add(shadow, 0.9, 0.1, 20, 0)
            scene.ball(left, foot, size * 1.3, 0.08, 1.25, 14)
    grass = [(-20, 392), (120, 400), (250, 430), (400, 452), (520, 440), (660, 428)]
    tufts = 0.5 + 0.24 * np.sin(x / 13 + 2 * np.sin(y / 17))
    scene.ground(grass, tufts, 1.57 + 0.5 * np.sin(x / 37), 18)
    middle = [(318, 288), (300, 304), (330, 326), (300, 352), (240, 390), (262, 440), (330, 530)]
    path = spline(middle, 120)
    lengthwise = np.gradient(path, axis=0)
    turn = np.interp(y, path[:, 1], np.unwrap(np.arctan2(lengthwise[:, 1], lengthwise[:, 0])))
    scene.add(ribbon(path, [4, 9, 16, 24, 40, 66, 110]), 0.14 + 0.08 * np.sin(x / 7), turn, 34, 1.4)


def foreground(scene: Scene, rng: np.random.Generator) -> None:
    """Adds the great tree, the cypresses and the bushes in front."""
    for px, py, wide in ((420, 480, 40), (520, 470, 52), (620, 476, 56), (190, 494, 34)):
        bush(scene, rng, px, py, wide, 26)
    cypress(scene, rng, 588, 452, 230)
    cypress(scene, rng, 548, 446, 150)
    scene.add(disc((150, 466), 120, 15), 0.92, 0.1, 30, 0)
    tree(scene, rng, 92, 462, 150)
    bush(scene, rng, 30, 496, 60, 26)
    bush(scene, rng, 140, 506, 44, 20)


class Pen:
    """A pen that draws strokes along a scene's directions, none too near to another."""

    def __init__(self, scene: Scene, rng: np.random.Generator) -> None:
        self.scene, self.rng = scene, rng
        self.sheet = Image.new("L", SIZE, 0)
        self.taken = np.zeros((HEIGHT * 2 + 40, WIDTH * 2 + 40), np.bool_)
        self.wobble = (noise(rng, 22)[::SCALE, ::SCALE] * 0.1).tolist()
        self.form, self.tone = scene.form.tolist(), scene.tone.tolist()
        self.angle, self.length = scene.angle.tolist(), scene.length.tolist()

    def free(self, x: float, y: float, gap: float) -> bool:
        """Returns whether no stroke lies within a gap (in pixels) of a point."""
        column, row, r = int(x * 2) + 20, int(y * 2) + 20, max(1, round(gap * 2))
        return not self.taken[row - r : row + r + 1, column - r : column + r + 1].any()

    def trace(
        self, x: float, y: float, turn: float, gap: float, least: float, step: float
    ) -> list[tuple[float, float]]:
        """Returns a path from a point, to where its form, its tone or the room for it ends."""
        column, row = int(x), int(y)
        form, points = self.form[row][column], [(x, y)]
        reach = self.length[row][column] / 2 / abs(step) * self.rng.uniform(0.6, 1.2)
        for _ in range(int(reach) + 1):
            angle = self.angle[row][column] + turn + self.wobble[row][column]
            x, y = x + step * np.cos(angle), y + step * np.sin(angle)
            column, row = int(x), int(y)
            if not (0 <= x < WIDTH and 0 <= y < HEIGHT) or self.form[row][column] != form:
                break
            if self.tone[row][column] < least or not self.free(x, y, gap * 0.72):
                break
            points.append((x, y))
        return points

    def hatch(self, turn: float, least: float, spacing: float) -> None:
        """Draws a layer of strokes, turned against the scene's directions, where it is dark."""
        self.taken[:] = False
        rows, columns = np.mgrid[:HEIGHT:1.6, :WIDTH:1.6]
        seeds = np.stack([columns.ravel(), rows.ravel()], 1)
        seeds += self.rng.uniform(0, 1.6, seeds.shape)
        seeds = np.minimum(seeds, (WIDTH - 1, HEIGHT - 1))
        self.rng.shuffle(seeds)
        for x, y in seeds.tolist():
            tone = min(1.0, self.tone[int(y)][int(x)])
            gap = spacing * (1.35 - 0.65 * tone)
            if tone < least or not self.free(x, y, gap):
                continue
            back = self.trace(x, y, turn, gap, least, -1.4)
            path = np.array(back[::-1] + self.trace(x, y, turn, gap, least, 1.4)[1:], np.float32)
            if len(path) < 3:
                continue
            places = (path * 2 + 20).astype(int)
            self.taken[places[:, 1], places[:, 0]] = True
            self.stroke(path, (0.7 + 2.3 * (tone - least * 0.45)) * self.rng.uniform(0.8, 1.2))

    def stroke(self, path: Array, width: float) -> None:
        """Draws one stroke, which presses hardest a little after its start."""
        fill(self.sheet, ribbon(path, [width * 0.4, width * 1.15, width, width * 0.25]), 255)

    def outlines(self) -> None:
        """Draws the visible parts of the forms' outlines."""
        for number, (points, weight) in enumerate(self.scene.outlines):
            if not len(points):
                continue
            closed = np.vstack([points, points[:1]])
            lengths = np.hypot(*np.diff(closed, axis=0).T)
            along = np.concatenate([[0], np.cumsum(lengths)])
            marks = np.arange(0, along[-1], 1.5)
            path = np.stack([np.interp(marks, along, closed[:, i]) for i in (0, 1)], 1)
            inwards = points.mean(0) - path
            inwards = inwards * 1.5 / np.maximum(1.5, np.hypot(*inwards.T))[:, None]
            inner = np.clip(path + inwards, 0, (WIDTH - 1, HEIGHT - 1)).astype(int)
            seen = self.scene.form[inner[:, 1], inner[:, 0]] == number
            breaks = np.flatnonzero(np.diff(seen.astype(int))) + 1
            for piece, shown in zip(np.split(path, breaks), np.split(seen, breaks), strict=True):
                if shown[0] and len(piece) > 3:
                    self.stroke(np.asarray(piece, np.float32), weight * self.rng.uniform(0.9, 1.4))


def draw(seed: int = 1888) -> Image.Image:
    """Draws the painting; another seed changes its hand and its details."""
    rng = np.random.default_rng(seed)
    scene = Scene()
    sky(scene, rng)
    mountains(scene)
    fields(scene, rng)
    foreground(scene, rng)
    pen = Pen(scene, rng)
    for turn, least, spacing in ((0.0, 0.03, 4.2), (1.05, 0.5, 4.2), (-0.7, 0.74, 3.6)):
        pen.hatch(turn, least, spacing)
    pen.outlines()
    ink = np.asarray(pen.sheet, np.float32) / 255 * np.clip(0.93 + 0.06 * noise(rng, 3), 0, 1)
    paper = np.asarray(PAPER, np.float32) + (3 * noise(rng, 60))[..., None]
    return finish(mix(paper, INK, ink))

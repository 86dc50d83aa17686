"""A mosaic: a peacock spreads its tail before a gold ground, on a meadow of flowers."""

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
    Colour,
    corners,
    disc,
    distance,
    fill,
    finish,
    noise,
    ribbon,
    rotated,
    spline,
)

ROW = 8.1  # from one row of tesserae to the next
GROUT = (38, 34, 32)

GOLD = ((214, 164, 54), (232, 188, 84), (190, 138, 38), (240, 206, 120), (204, 150, 60))
OCHRE = ((176, 120, 40), (196, 142, 58), (158, 104, 40))
CREAM = ((236, 224, 196), (224, 208, 172), (244, 236, 216))
NAVY = ((22, 30, 84), (30, 40, 104), (18, 24, 62))
COBALT = ((28, 72, 172), (40, 92, 194), (24, 56, 146))
AZURE = ((44, 140, 206), (70, 164, 216), (30, 116, 186))
TEAL = ((20, 130, 134), (38, 156, 150), (14, 104, 112))
TURQUOISE = ((74, 196, 184), (110, 214, 196), (54, 176, 172))
GREEN = ((40, 122, 60), (62, 146, 70), (28, 98, 54))
DEEP = ((18, 74, 52), (24, 90, 66), (14, 58, 48))
LIME = ((142, 178, 62), (164, 196, 84), (120, 158, 52))
RUBY = ((168, 32, 36), (192, 48, 44), (142, 22, 36))
CORAL = ((222, 96, 62), (234, 122, 80), (206, 80, 54))
BRONZE = ((122, 82, 40), (142, 98, 50), (102, 66, 36))
BLACK = ((30, 26, 34), (42, 34, 44))

Palette = tuple[Colour, ...]


class Cartoon:
    """The design: the figure at each point, and the colours of its rows from its rim inwards."""

    def __init__(self, rows: tuple[Palette, ...]) -> None:
        self.labels = Image.new("I", SIZE, 0)
        self.rows = [rows]

    def add(self, rows: tuple[Palette, ...], *shapes: ArrayLike) -> None:
        """Adds a figure that consists of shapes, over whatever lies there."""
        for shape in shapes:
            fill(self.labels, shape, len(self.rows))
        self.rows.append(rows)


def tail(cartoon: Cartoon) -> None:
    """Adds the spread tail, with its rings of eyes."""
    middle = np.array([322.0, 404.0])
    turn = np.linspace(np.pi * 0.97, np.pi * 2.03, 200)
    reach = 352 + 9 * np.abs(np.sin((turn - np.pi) * 10.5))
    rim = np.stack([np.cos(turn), np.sin(turn)], 1) * reach[:, None] + middle
    fan = np.vstack([rim, [(middle[0], middle[1] + 60)]])
    cartoon.add((GREEN, DEEP, TEAL, BRONZE, GREEN, TEAL), fan)
    eyes = (
        (320, 20, 28, (GOLD, TURQUOISE, NAVY)),
        (254, 16, 28, (CORAL, LIME, COBALT)),
        (190, 12, 27, (GOLD, TURQUOISE, NAVY)),
        (130, 8, 25, (CORAL, LIME, COBALT)),
    )
    for reached, count, size, rows in eyes:
        for number in range(count):
            angle = np.pi + np.pi * number / (count - 1)
            place = middle + np.array([np.cos(angle), np.sin(angle)]) * reached
            drop = spline([(-1.35, 0), (-0.5, -0.62), (0.4, -0.8), (1, 0), (0.4, 0.8),
                           (-0.5, 0.62), (-1.35, 0)], 50)  # fmt: skip
            cartoon.add(rows, rotated(drop * size, angle, tuple(place)))


def bird(cartoon: Cartoon) -> None:
    """Adds the peacock itself."""
    for x in (308, 346):
        toes = (
            [(x, 436), (x + 2, 476)],
            [(x + 2, 472), (x - 14, 484)],
            [(x + 2, 472), (x + 18, 484)],
        )
        cartoon.add((CORAL,), *(ribbon(np.array(toe, np.float32), 8.5) for toe in toes))
    cartoon.add((CREAM, CREAM, GOLD, CREAM), disc((304, 166), 77))
    body = spline([(298, 196), (318, 236), (314, 286), (306, 340), (324, 404), (352, 462)], 80)
    head = disc((297, 192), 27)
    cartoon.add((NAVY, COBALT, AZURE, TURQUOISE, AZURE, COBALT), head,
                ribbon(body, [36, 42, 54, 92, 112, 84, 16]))  # fmt: skip
    wing = spline(
        [(352, 318), (376, 352), (380, 402), (360, 452), (338, 414), (330, 360), (352, 318)]
    )
    cartoon.add((CREAM, CORAL, GOLD, BRONZE), wing)
    cartoon.add((CORAL,), [(276, 180), (240, 197), (254, 206), (276, 205)])
    cartoon.add((CREAM, BLACK), disc((290, 189), 12.2))
    for number in range(5):
        angle = -np.pi / 2 + 0.46 * (number - 1.7)
        root = np.array([302, 172]) + 10 * np.array([np.cos(angle), np.sin(angle)])
        tip = root + 42 * np.array([np.cos(angle), np.sin(angle)])
        cartoon.add((NAVY,), ribbon(np.array([root, tip], np.float32), 8))
        cartoon.add((COBALT,), disc(tip, 10))


def flower(cartoon: Cartoon, x: float, y: float, size: float, rows: tuple[Palette, ...]) -> None:
    """Adds a flower seen from above, with eight petals."""
    turn = np.linspace(0, 2 * np.pi, 100)
    reach = size * (1 + 0.16 * np.cos(turn * 8))
    cartoon.add(rows, np.stack([x + reach * np.cos(turn), y + reach * np.sin(turn)], 1))
    cartoon.add((GOLD,), disc((x, y), size * 0.3))


def meadow(cartoon: Cartoon) -> None:
    """Adds the meadow with its leaves and flowers."""
    top = spline(
        [(-20, 440), (90, 426), (200, 448), (320, 440), (440, 448), (550, 428), (670, 442)]
    )
    cartoon.add((DEEP, GREEN, TEAL, GREEN, DEEP), np.vstack([top, [(670, 540), (-20, 540)]]))
    for x, y, angle in (
        (100, 466, -0.35), (84, 474, 3.5), (226, 480, -0.35), (210, 482, 3.5), (428, 480, -0.35),
        (412, 482, 3.5), (558, 470, -0.3), (542, 472, 3.5), (306, 504, 3.3), (348, 504, -0.2),
    ):  # fmt: skip
        leaf = spline([(0, 0), (18, -11), (40, -9), (58, 0), (40, 9), (18, 11), (0, 0)], 50)
        cartoon.add((LIME, TURQUOISE), rotated(leaf, angle, (x, y)))
    for number, x in enumerate((20, 92, 218, 420, 550, 626)):
        rows = ((RUBY, CORAL, CREAM), (CREAM, CORAL, RUBY))[number % 2]
        flower(cartoon, x, (488, 470, 482, 482, 470, 490)[number], 27, rows)


def heaven(cartoon: Cartoon) -> None:
    """Adds the flowers and the stars of the gold ground."""
    for x in (44, 596):
        flower(cartoon, x, 46, 36, (RUBY, CREAM, COBALT, CREAM))
        flower(cartoon, 320 + (x - 320) * 0.68, 22, 20, (COBALT, AZURE, CREAM))
        flower(cartoon, 320 + (x - 320) * 1.03, 134, 17, (TEAL, TURQUOISE))
    for x, y in ((196, 22), (444, 22), (258, 18), (382, 18), (320, 20), (88, 98), (552, 98)):
        cartoon.add((RUBY, CREAM), disc((x, y), 10))


class Setter:
    """Sets tesserae along the contours of a cartoon, row by row."""

    def __init__(self, cartoon: Cartoon, rng: np.random.Generator) -> None:
        self.cartoon, self.rng = cartoon, rng
        self.labels = np.asarray(cartoon.labels)
        border = self.labels != np.roll(self.labels, -1, 1)
        border |= self.labels != np.roll(self.labels, -1, 0)
        border[-1], border[:, -1] = False, False
        self.depth = distance(border, 70)
        rows, columns = np.gradient(self.depth * SCALE)
        self.slopes = np.stack([columns, rows], -1)
        self.taken = np.zeros((HEIGHT * 2 + 80, WIDTH * 2 + 80), np.bool_)
        self.tiles: list[tuple[float, float, float, float]] = []

    def at(self, spot: Array) -> tuple[int, int]:
        """Returns the row and the column of the canvas at a spot."""
        column, row = np.clip(spot * SCALE, 0, (SIZE[0] - 1, SIZE[1] - 1)).astype(int)
        return int(row), int(column)

    def free(self, spot: Array, gap: float) -> bool:
        """Returns whether no tessera's middle lies within a gap of a spot on the canvas."""
        if not (-4 < spot[0] < WIDTH + 4 and -4 < spot[1] < HEIGHT + 4):
            return False
        column, row, r = int(spot[0] * 2) + 40, int(spot[1] * 2) + 40, int(gap * 2)
        rows, columns = np.nonzero(self.taken[row - r : row + r + 1, column - r : column + r + 1])
        return not ((rows - r) ** 2 + (columns - r) ** 2 < 4 * gap * gap).any()

    def put(self, spot: Array, size: float) -> None:
        """Sets a tessera, turned along its row."""
        slope = self.slopes[self.at(spot)]
        self.taken[int(spot[1] * 2) + 40, int(spot[0] * 2) + 40] = True
        angle = float(np.arctan2(slope[1], slope[0])) + np.pi / 2
        self.tiles.append((float(spot[0]), float(spot[1]), angle, size))

    def follow(self, spot: Array, level: float, way: int) -> None:
        """Sets the rest of a row, in one of its two directions."""
        label = self.labels[self.at(spot)]
        while True:
            slope = self.slopes[self.at(spot)]
            length = ROW * self.rng.uniform(0.92, 1.12)
            spot = spot + way * length * np.array([-slope[1], slope[0]], np.float32)
            slope = self.slopes[self.at(spot)]
            spot = spot + slope * np.clip(level - self.depth[self.at(spot)], -3, 3)
            if self.labels[self.at(spot)] != label or not self.free(spot, ROW * 0.86):
                return
            self.put(spot, 1)

    def rows(self) -> None:
        """Sets the rows, from the contours inwards."""
        for number in range(9):
            level = ROW * (number + 0.5)
            seeds = np.argwhere(np.abs(self.depth - level) < 0.2)[:, ::-1] / SCALE
            self.rng.shuffle(seeds)
            for seed in seeds[:: max(1, len(seeds) // 6000)].astype(np.float32):
                if self.free(seed, ROW * 0.86):
                    self.put(seed, 1)
                    self.follow(seed, level, 1)
                    self.follow(seed, level, -1)

    def gaps(self) -> None:
        """Sets smaller tesserae where rows left gaps."""
        for size in (0.86, 0.74, 0.62):
            y, x = np.mgrid[1:HEIGHT:1.5, 1:WIDTH:1.5]
            spots = np.stack([x.ravel(), y.ravel()], 1).astype(np.float32)
            self.rng.shuffle(spots)
            for spot in spots:
                if self.depth[self.at(spot)] > ROW * 0.3 and self.free(spot, ROW * size):
                    self.put(spot, size * 0.94)

    def colour(self, spot: Array) -> Array:
        """Returns the colour of the tessera at a spot."""
        place = self.at(spot)
        rows = self.cartoon.rows[self.labels[place]]
        row = int(self.depth[place] / ROW)
        palette = rows[row if row < len(rows) else len(rows) - 1 - (row - len(rows)) % 2]
        colour = np.array(palette[self.rng.integers(len(palette))], np.float32)
        return np.asarray(colour * self.rng.normal(1, 0.07) + self.rng.normal(0, 5, 3), np.float32)


def paint(setter: Setter, rng: np.random.Generator) -> Image.Image:
    """Returns the tesserae in their grout, with light on two edges of each and shade on two."""
    image = Image.new("RGB", SIZE, GROUT)
    draw = ImageDraw.Draw(image)
    square = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float32)
    for x, y, angle, size in reversed(setter.tiles):
        half = (ROW / 2 - 0.42) * size
        stone = square * half * (1.04, 0.98) + rng.uniform(-0.55, 0.55, (4, 2))
        shape = rotated(stone, angle + rng.normal(0, 0.05), (x, y))
        colour = setter.colour(np.array([x, y], np.float32))
        draw.polygon(corners(shape), fill=GROUT, outline=GROUT, width=3)
        inner = np.asarray(shape + (np.array([x, y]) - shape) * 0.09, np.float32)
        tone = colour.clip(0, 255).astype(int).tolist()
        draw.polygon(corners(inner), fill=tuple(tone))
        for first, last in zip(inner, np.roll(inner, -1, 0), strict=True):
            out = (first + last) / 2 - (x, y)
            light = -float(out @ (0.5, 0.86)) / max(float(np.hypot(*out)), 0.1)
            edge = colour * (1 + 0.2 * light) + max(0.0, light) * 26
            draw.line(corners([first, last]), tuple(edge.clip(0, 255).astype(int).tolist()), 3)
    return image


def draw(seed: int = 547) -> Image.Image:
    """Draws the painting; another seed changes its hand and its details."""
    rng = np.random.default_rng(seed)
    cartoon = Cartoon((GOLD, GOLD, OCHRE, GOLD))
    for part in (heaven, tail, meadow, bird):
        part(cartoon)
    setter = Setter(cartoon, rng)
    setter.rows()
    setter.gaps()
    pixels = np.asarray(paint(setter, rng), np.float32)
    uneven = 1 + 0.05 * noise(rng, 90) + 0.045 * noise(rng, 5)
    return finish(pixels * uneven[..., None])

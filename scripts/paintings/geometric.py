"""An abstract composition of turning discs, glazed triangles, checkerboards, rays and arcs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFilter

from paintings.canvas import (
    HEIGHT,
    SCALE,
    SIZE,
    WIDTH,
    Array,
    Colour,
    corners,
    disc,
    finish,
    grid,
    mix,
    noise,
    ribbon,
    rotated,
    spline,
)

BLACK = (28, 24, 30)
CREAM = (244, 230, 200)
RED = (206, 46, 38)
ORANGE = (232, 122, 36)
YELLOW = (244, 196, 48)
OCHRE = (204, 152, 70)
ROSE = (226, 136, 128)
WINE = (124, 30, 60)
VIOLET = (104, 66, 140)
BLUE = (34, 66, 150)
SKY = (96, 164, 200)
TEAL = (30, 120, 124)
GREEN = (82, 140, 74)
OLIVE = (150, 152, 70)

WARM = (RED, ORANGE, YELLOW, OCHRE, ROSE, WINE)
COOL = (BLUE, SKY, TEAL, GREEN, VIOLET, OLIVE)
ALL = (*WARM, *COOL)
Spot = tuple[float, float]


class Easel:
    """A painting in progress; each shape is a glaze with granules and a darker rim."""

    def __init__(self, ground: Array, rng: np.random.Generator) -> None:
        self.rng = rng
        self.pixels = ground
        self.granules = np.clip(0.65 * noise(rng, 26) + 0.5 * noise(rng, 5), -1.5, 1.5)

    def glaze(self, shape: ArrayLike, colour: Colour, cover: float = 0.85) -> None:
        """Paints a polygon: `cover` of it hides what is below, the rest tints it."""
        points = np.asarray(corners(shape))
        low = np.maximum(np.floor(points.min(0)).astype(int) - 9, 0)
        high = np.minimum(np.ceil(points.max(0)).astype(int) + 9, SIZE)
        if (high <= low).any():
            return
        image = Image.new("L", tuple((high - low).tolist()), 0)
        ImageDraw.Draw(image).polygon([tuple(p) for p in (points - low).tolist()], fill=255)
        mask = np.asarray(image, np.float32)[..., None] / 255
        soft = np.asarray(image.filter(ImageFilter.GaussianBlur(3 * SCALE)), np.float32) / 255
        where = np.s_[low[1] : high[1], low[0] : high[0]]
        below, granules = self.pixels[where], self.granules[where][..., None]
        paint = np.array(colour, np.float32) * self.rng.uniform(0.94, 1.06, 3).astype(np.float32)
        tint = below * (0.4 + 0.6 * paint / 255)
        hide = np.clip(cover + 0.13 * granules, 0, 1)
        glazed = (paint * hide + tint * (1 - hide)) * (1 + 0.06 * granules)
        rim = np.clip(mask[..., 0] - soft, 0, 0.6)[..., None]
        self.pixels[where] = below * (1 - mask) + mask * glazed * (1 - (1.15 - cover) * rim)

    def line(self, path: ArrayLike, widths: ArrayLike, colour: Colour = BLACK) -> None:
        """Paints an opaque line."""
        self.glaze(ribbon(np.asarray(path, np.float32), widths), colour, 0.97)

    def pick(self, colours: Sequence[Colour]) -> Colour:
        """Returns one of the colours, by chance."""
        return colours[int(self.rng.integers(len(colours)))]


def sector(centre: Spot, inner: float, outer: float, start: float, end: float) -> Array:
    """Returns a piece of a ring."""
    turn = np.linspace(start, end, 40)
    arc = np.stack([np.cos(turn), np.sin(turn)], 1)
    return np.asarray(np.vstack([arc * outer, arc[::-1] * inner]) + centre, np.float32)


def ground(rng: np.random.Generator) -> Array:
    """Returns the warm ground, brushed in broad patches."""
    base = mix((232, 204, 150), (238, 176, 126), np.clip(0.5 + 0.4 * noise(rng, 170), 0, 1))
    base = mix(base, (176, 186, 176), np.clip(0.5 * noise(rng, 140) - 0.15, 0, 0.7))
    return base * (1 + 0.03 * noise(rng, 3, 26)[..., None])


def planes(easel: Easel) -> None:
    """Paints slanting planes all over the ground, like a quilt."""
    rng = easel.rng
    columns, rows = 8, 7
    knots = np.stack(
        np.meshgrid(np.linspace(-60, 700, columns + 1), np.linspace(-60, 570, rows + 1)), -1
    )
    knots += rng.uniform(-26, 26, knots.shape)
    muted = (OCHRE, CREAM, ROSE, SKY, YELLOW, CREAM, ORANGE, CREAM, OLIVE)
    for i in range(rows):
        for j in range(columns):
            a, b, c, d = knots[i, j], knots[i, j + 1], knots[i + 1, j + 1], knots[i + 1, j]
            easel.glaze([a, b, c, d], easel.pick(muted), rng.uniform(0.25, 0.6))
            first, second = ((a, b), (d, c)) if rng.random() < 0.5 else ((a, d), (b, c))
            for share in np.linspace(0.1, 0.9, rng.integers(4, 8)):
                ends = [
                    first[0] + (first[1] - first[0]) * share,
                    second[0] + (second[1] - second[0]) * share,
                ]
                if (i + j) % 3 == 0:
                    easel.line(ends, [1.0, 2.0], easel.pick((BLACK, WINE, BLUE, RED)))
                elif (i + j) % 3 == 1:
                    wide = [ends[0], ends[1], ends[1] + (b - a) * 0.08, ends[0] + (b - a) * 0.08]
                    easel.glaze(wide, easel.pick(ALL), 0.4)


def wheel(easel: Easel, centre: Spot, radii: Sequence[float], parts: int, turn: float) -> None:
    """Paints a disc of rings, cut into sectors whose colours answer each other."""
    for ring, (outer, inner) in enumerate(zip(radii, [*radii[1:], 0.0], strict=True)):
        cuts = turn + ring * 0.35 + np.linspace(0, 2 * np.pi, parts + 1)
        for part, (start, end) in enumerate(pairwise(cuts.tolist())):
            colours = WARM if (part + ring) % 2 else COOL
            colour = colours[(part * 2 + ring * 3) % 6]
            easel.glaze(sector(centre, inner, outer, start, end), colour, 0.9)
        if ring % 2 == 0:
            easel.line(sector(centre, outer, outer, turn, turn + 4.4)[:40], [0.8, 3.4, 1])
    easel.glaze(disc(centre, radii[-1] * 0.5), BLACK, 0.95)
    easel.glaze(disc((centre[0] - 2, centre[1] - 2), radii[-1] * 0.22), YELLOW, 0.95)


def checkers(easel: Easel, corner: Spot, side: float, counts: tuple[int, int], turn: float,
             colours: tuple[Colour, ...]) -> None:  # fmt: skip
    """Paints a leaning checkerboard, whose fields shrink along its rows."""
    across = np.cumsum([0.0, *(side * 0.93**i for i in range(counts[0]))])
    for i in range(counts[0]):
        for j in range(counts[1]):
            x, wide, y = across[i], across[i + 1] - across[i], j * side
            field = [(x, y), (x + wide, y), (x + wide + 3, y + side), (x + 3, y + side)]
            colour = BLACK if (i + j) % 2 else colours[(i + 2 * j) % len(colours)]
            easel.glaze(rotated(field, turn, corner), colour, 0.88)


def rays(easel: Easel, centre: Spot, reach: float, start: float, end: float, count: int) -> None:
    """Paints rays that spread from a point: wedges of colour between black lines."""
    turns = np.linspace(start, end, count)
    for number, (first, last) in enumerate(pairwise(turns.tolist())):
        length = reach * (0.8 + 0.2 * np.cos(number * 2.1))
        if number % 2 == 0:
            easel.glaze(sector(centre, 8, length, first, last), ALL[(number * 5) % 12], 0.55)
        tip = np.array(centre) + length * 1.08 * np.array([np.cos(first), np.sin(first)])
        easel.line([centre, tip], [2.6, 1.2])


def arcs(easel: Easel, centre: Spot, radius: float, start: float, end: float, count: int) -> None:
    """Paints arcs about a common centre, black and coloured by turns."""
    for number in range(count):
        path = sector(centre, 0, radius + number * 8.5, start + number * 0.06, end)[:40]
        easel.line(path, [1, 5, 1], BLACK if number % 2 else ALL[(number * 5 + 2) % 12])


def motif(easel: Easel, x: float, y: float, size: float, kind: int) -> None:
    """Paints one of the small figures that fill the composition."""
    rng, turn = easel.rng, easel.rng.uniform(0, 2 * np.pi)
    if kind == 0:
        for number, share in enumerate((1.0, 0.72, 0.44, 0.2)):
            colour = (easel.pick(ALL), CREAM, easel.pick(WARM), BLACK)[number]
            easel.glaze(disc((x, y), size * share), colour, 0.9)
    elif kind == 1:
        triangle = rotated([(-1, 0.8), (1, 0.8), (0.1, -1.1)], turn) * size
        easel.glaze(triangle * 1.25 + (x, y), easel.pick(ALL), 0.75)
        easel.glaze(triangle * 0.6 + (x, y), easel.pick((BLACK, CREAM, YELLOW)), 0.9)
    elif kind == 2:
        for bar in range(5):
            path = np.array([(-1, bar * 0.42 - 0.9), (1.2 - 0.2 * bar, bar * 0.42 - 0.9)]) * size
            easel.line(rotated(path, turn, (x, y)), size * 0.22, (BLACK, easel.pick(ALL))[bar % 2])
    elif kind == 3:
        side = size * 0.55
        checkers(easel, (x - size, y - size), side, (4, 3), turn * 0.1, (CREAM, easel.pick(ALL)))
    elif kind == 4:
        easel.glaze(sector((x, y), 0, size * 1.2, turn, turn + np.pi), easel.pick(COOL), 0.85)
        easel.glaze(
            sector((x, y), 0, size * 0.8, turn + np.pi, turn + 2 * np.pi), easel.pick(WARM), 0.85
        )
        easel.glaze(disc((x, y), size * 0.3), BLACK, 0.95)
    else:
        along = np.linspace(-1.6, 1.6, 60)
        wave = rotated(np.stack([along, 0.45 * np.sin(along * 5)], 1), turn) * size + (x, y)
        widths = np.array([0.15, 0.4, 0.15]) * size
        easel.line(wave, widths, easel.pick((BLACK, RED, BLUE, CREAM)))
        for step in range(3):
            spot = np.array([x, y]) + rng.normal(0, size * 0.8, 2)
            easel.glaze(disc(spot, size * (0.12 + 0.07 * step)), easel.pick(ALL), 0.92)


def compose(easel: Easel) -> None:
    """Paints the great figures."""
    easel.glaze([(250, 540), (404, 24), (668, 470)], YELLOW, 0.5)
    easel.glaze([(-20, 60), (300, -20), (150, 330)], ROSE, 0.5)
    easel.glaze(disc((430, 150), 130), SKY, 0.55)
    rays(easel, (628, 24), 250, 1.75, 3.1, 15)
    wheel(easel, (196, 198), (154, 128, 98, 70, 44, 22), 6, 0.4)
    wheel(easel, (500, 366), (112, 90, 66, 42, 20), 8, 1.1)
    easel.glaze([(310, 40), (430, 300), (226, 330)], VIOLET, 0.42)
    easel.glaze([(90, 500), (330, 300), (372, 520)], RED, 0.42)
    easel.glaze([(386, 200), (620, 250), (420, 420)], BLUE, 0.4)
    wheel(easel, (418, 112), (62, 46, 28, 14), 4, 0.2)
    wheel(easel, (72, 436), (66, 50, 32, 16), 5, 0.8)
    checkers(easel, (286, 212), 19, (7, 5), 0.5, (CREAM, YELLOW, RED))
    checkers(easel, (530, 196), 17, (6, 5), -0.35, (CREAM, SKY, ORANGE))
    checkers(easel, (150, 392), 16, (7, 4), -0.25, (CREAM, ROSE, YELLOW))
    arcs(easel, (330, 470), 52, -2.9, -0.4, 7)
    arcs(easel, (30, 40), 60, 0.1, 1.5, 6)
    rays(easel, (306, 506), 200, -2.5, -0.9, 11)
    for start, end, width in (
        ((20, 350), (420, 20), 7), ((34, 372), (436, 34), 3), ((250, 20), (610, 480), 5),
        ((262, 8), (630, 476), 2), ((0, 300), (640, 420), 3), ((390, 500), (640, 190), 6),
        ((140, 512), (250, 250), 4), ((470, 0), (330, 330), 3),
    ):  # fmt: skip
        easel.line(spline([start, end], 30), [1, width, 0.8])


def scatter(easel: Easel) -> None:
    """Paints small figures wherever there is room between those already there."""
    rng = easel.rng
    spots: list[tuple[float, float, float]] = []
    for _ in range(1500):
        x, y, size = rng.uniform(6, WIDTH - 6), rng.uniform(6, HEIGHT - 6), rng.uniform(5, 17)
        if all(np.hypot(x - a, y - b) > 1.8 * (size + c) for a, b, c in spots):
            motif(easel, x, y, size, len(spots) % 6)
            spots.append((x, y, size))


def draw(seed: int = 1923) -> Image.Image:
    """Draws the painting; another seed changes its hand and its details."""
    rng = np.random.default_rng(seed)
    easel = Easel(ground(rng), rng)
    planes(easel)
    compose(easel)
    scatter(easel)
    x, y = grid()
    weave = np.sin(x * 2.6) + np.sin(y * 2.6)
    brushed = 0.035 * noise(rng, 40) + 0.025 * noise(rng, 16, 2.5) + 0.015 * noise(rng, 2.5, 16)
    return finish(easel.pixels * (1.07 + brushed + 0.008 * weave)[..., None])

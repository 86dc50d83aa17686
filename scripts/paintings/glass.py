"""A leaded window: the sun rises over hills and a river, framed by a tree and by flowers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFilter

from paintings.canvas import (
    HEIGHT,
    SCALE,
    SIZE,
    WIDTH,
    Array,
    Colour,
    disc,
    distance,
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

SUN = (352.0, 196.0)
GOLD = ((255, 222, 70), (255, 190, 30))
AMBER = ((255, 168, 20), (250, 128, 10), (255, 196, 60))
ROSE = ((240, 70, 60), (226, 40, 70), (250, 110, 50))
RUBY = ((214, 16, 40), (180, 8, 50), (232, 30, 30))
VIOLET = ((126, 40, 190), (160, 50, 180), (90, 40, 200))
COBALT = ((20, 60, 210), (30, 90, 230), (24, 40, 170))
AZURE = ((40, 150, 235), (70, 190, 240), (30, 120, 220))
EMERALD = ((10, 150, 70), (30, 180, 60), (6, 120, 80))
LEAF = ((110, 200, 30), (60, 180, 40), (160, 214, 50), (20, 150, 60))
BARK = ((150, 74, 30), (120, 50, 40), (176, 100, 40))
OPAL = ((250, 240, 225), (240, 225, 250))
Palette = tuple[Colour, ...]

PETAL = np.array([(0, 0), (0.42, -0.24), (0.78, -0.37), (1, 0), (0.78, 0.37), (0.42, 0.24), (0, 0)])


class Window:
    """The panes of a window: which one lies at each point, and the colour of each."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.labels = Image.new("I", SIZE, 0)
        self.colours: list[Colour] = [COBALT[0]]

    def pane(self, points: ArrayLike, palette: Palette) -> None:
        """Sets a pane, over whatever lies there, in one of the palette's colours."""
        fill(self.labels, points, len(self.colours))
        self.colours.append(palette[self.rng.integers(len(palette))])


def sky(window: Window) -> None:
    """Sets the sun, a rose of petals, and the rings of its swinging rays."""
    rings = (
        (30, 94, 20, GOLD + AMBER),
        (94, 142, 20, AMBER + ROSE[:1]),
        (142, 196, 20, ROSE + RUBY[:1]),
        (196, 256, 24, RUBY[:1] + VIOLET),
        (256, 326, 24, VIOLET + COBALT),
        (326, 420, 28, COBALT + AZURE[:1]),
        (420, 560, 28, COBALT),
    )
    for number, (inner, outer, count, palette) in enumerate(reversed(rings)):
        for sector in range(count):
            turn = (sector + 0.5 * (number % 2)) * 2 * np.pi / count
            arc = np.linspace(turn, turn + 2 * np.pi / count, 14)
            radius = outer + 9 * np.sin(arc * 5 + number)
            rim = np.stack([np.cos(arc), np.sin(arc)], 1) * radius[:, None]
            swing = 0.16 * (outer - inner) / 60
            base = np.stack([np.cos(arc - swing), np.sin(arc - swing)], 1) * (inner - 12)
            window.pane(np.vstack([rim, base[::-1]]) + SUN, palette)
    for petal in range(10):
        shape = spline([(0, 0), (34, -17), (56, -11), (68, 0), (56, 11), (34, 17), (0, 0)], 40)
        window.pane(rotated(shape, petal * np.pi / 5, SUN), GOLD if petal % 2 else AMBER)
    window.pane(disc(SUN, 27), ((255, 232, 96),))


def hills(window: Window) -> None:
    """Sets four ranges of hills, each cut into ribs that follow its slope."""
    lines = (
        ((-30, 270), (90, 226), (190, 268), (300, 292), (420, 262), (540, 222), (680, 258)),
        ((-30, 306), (70, 282), (180, 312), (300, 322), (400, 310), (500, 268), (680, 314)),
        ((-30, 350), (80, 322), (200, 346), (310, 352), (430, 338), (560, 312), (680, 360)),
        ((-30, 414), (120, 376), (240, 398), (330, 420), (450, 392), (560, 366), (680, 410)),
    )
    ribs = (
        (30, -90, VIOLET + COBALT[:1]),
        (34, 110, AZURE[2:] + EMERALD[2:] + COBALT[:1]),
        (40, -120, EMERALD),
        (46, 60, LEAF + EMERALD),
    )
    for line, (width, bend, palette) in zip(lines, ribs, strict=True):
        top = spline(line, 240)
        x = -30.0
        while x < WIDTH:
            wide = width * window.rng.uniform(0.7, 1.5)
            piece = top[(top[:, 0] >= x - 1) & (top[:, 0] <= x + wide + 3)]
            lean = (piece[0, 0] - 320) * 0.6 + bend
            foot = [(piece[-1, 0] + lean, HEIGHT + 60), (piece[0, 0] + lean, HEIGHT + 60)]
            window.pane(np.vstack([piece, foot]), palette)
            x += wide


def river(window: Window) -> None:
    """Sets the river, which winds towards us in bands that mirror the sky."""
    levels = (316, 336, 354, 374, 397, 424, 455, 490, 540)
    middle = spline([(356, 316), (372, 338), (330, 366), (300, 398), (330, 446), (350, 540)], 200)
    mirrored = (GOLD, AMBER, COBALT, ROSE[:1], AZURE, VIOLET, AMBER[:1], COBALT, AZURE)
    for band, (top, bottom) in enumerate(pairwise(levels)):
        y = np.linspace(top - 3, bottom + 3, 16)
        half = np.interp(y, (316, 350, 400, 540), (14, 44, 82, 190))
        parts = (1, 1, 2, 3, 3, 4, 4, 5)[band]
        cuts = np.linspace(-1, 1, parts + 1)
        cuts[1:-1] += window.rng.uniform(-0.5, 0.5, parts - 1) / parts
        sides = []
        for cut in cuts:
            x = np.interp(y, middle[:, 1], middle[:, 0]) + cut * half
            ripple = 7 * np.sin(cut * 5 + band * 2.1) * min(1, band / 3)
            sides.append(np.stack([x + 3 * np.sin(y / 9 + cut * 9), y + ripple], 1))
        for part, (left, right) in enumerate(pairwise(sides)):
            window.pane(np.vstack([left, right[::-1]]), mirrored[(band * 2 + part * 4) % 9])


def leaf(window: Window, root: ArrayLike, angle: float, length: float, palette: Palette) -> None:
    """Sets a leaf of two panes, one on each side of its bent rib."""
    bend = window.rng.uniform(-0.14, 0.14) * length
    rib = spline([(0, 0), (length / 2, bend), (length, 0)], 24)
    for side in (-1, 1):
        belly = length * 0.36 * side
        edge = spline(
            [(0, 0), (length * 0.32, belly), (length * 0.7, belly * 0.8), (length, 0)], 24
        )
        window.pane(rotated(np.vstack([rib, edge[::-1]]), angle, root), palette)


def trunk(
    window: Window, path: Array, widths: ArrayLike, pieces: int, palette: Palette = BARK
) -> None:
    """Sets a branch, cut across into pieces."""
    outline = ribbon(path, widths)
    left, right = outline[: len(path)], outline[len(path) :][::-1]
    cuts = np.linspace(0, len(path) - 1, pieces + 1).astype(int)
    for first, last in pairwise(cuts.tolist()):
        window.pane(np.vstack([left[first : last + 1], right[first : last + 1][::-1]]), palette)


def tree(window: Window) -> None:
    """Sets a tree that leans in from the left, with its leaves and fruit."""
    branches = (
        (
            spline([(40, 540), (66, 420), (48, 300), (74, 190), (60, 90), (84, -20)], 120),
            [52, 24],
            9,
        ),
        (spline([(66, 200), (130, 130), (200, 92), (290, 62), (370, 52)], 80), [18, 10], 4),
        (spline([(56, 300), (110, 262), (160, 240), (214, 236)], 60), [16, 10], 3),
        (spline([(70, 120), (30, 70), (-20, 50)], 40), [14, 10], 2),
    )
    for path, _, _ in branches[1:]:
        for i in range(14, len(path) + 1, 22):
            along = path[i] - path[i - 5]
            angle = float(np.arctan2(along[1], along[0]))
            for side in (-1, 1):
                turn = -angle - side * window.rng.uniform(0.65, 1.0)
                leaf(window, path[i], turn, window.rng.uniform(52, 66), LEAF)
    for i in range(14, 90, 24):
        for outward in (-0.35, 0.35 - np.pi):
            turn = outward - window.rng.uniform(-0.4, 0.4)
            leaf(window, branches[0][0][i], turn, window.rng.uniform(58, 76), EMERALD + LEAF)
    for path, widths, pieces in reversed(branches):
        trunk(window, path, widths, pieces)
    path, _, pieces = branches[0]
    trunk(window, path + np.array([9, 0]), [30, 13], pieces - 2)
    for x, y in ((168, 160), (270, 112), (404, 58), (150, 300), (230, 226), (22, 128)):
        window.pane(disc((x, y), 15, 16), RUBY)


def flower(window: Window, x: float, y: float, size: float, palette: Palette) -> None:
    """Sets a flower of two whorls of petals on a curved stem."""
    stem = spline([(x, y), (x + 10, y + 60), (x - 6, y + 180)], 30)
    trunk(window, stem, [15, 15], 2, EMERALD)
    for side in (-1, 1):
        turn = np.pi / 2 - side * window.rng.uniform(0.75, 1.0)
        leaf(window, stem[21], turn, size * 1.9, EMERALD + LEAF)
    for whorl, (count, reach) in enumerate(((6, 1.0), (5, 0.5))):
        for petal in range(count):
            turn = (petal + 0.5 * whorl) * 2 * np.pi / count
            outline = spline(PETAL * size * reach, 40)
            window.pane(rotated(outline, turn, (x, y)), palette[whorl * 2 : whorl * 2 + 2])
    window.pane(disc((x, y), size * 0.24), GOLD)


def turned_noise(rng: np.random.Generator, labels: NDArray[np.intp], count: int) -> Array:
    """Returns streaks, which run in a direction of its own in each pane."""
    texture = noise(rng, 46, 4) + 0.7 * noise(rng, 20, 9)
    x, y = grid()
    angle, shift = rng.uniform(0, np.pi, count)[labels], rng.uniform(0, 900, count)[labels]
    u = (x * np.cos(angle) + y * np.sin(angle) + shift) * SCALE
    v = (y * np.cos(angle) - x * np.sin(angle) + shift) * SCALE
    rows, columns = texture.shape
    v = np.abs(v.astype(int) % (2 * rows - 2) - rows + 1)
    u = np.abs(u.astype(int) % (2 * columns - 2) - columns + 1)
    return np.asarray(texture[v, u], np.float32)


def bubbles(rng: np.random.Generator) -> Array:
    """Returns the bubbles in the glass: bright rings, with a bright spot on one side."""
    image = Image.new("L", SIZE, 0)
    draw = ImageDraw.Draw(image)
    for _ in range(900):
        x, y, r = rng.uniform(0, SIZE[0]), rng.uniform(0, SIZE[1]), rng.uniform(2, 6)
        draw.ellipse((x - r, y - r * 1.2, x + r, y + r * 1.2), outline=150, width=2)
        draw.ellipse((x - r / 2, y - r / 2, x, y), fill=255)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(1)), np.float32) / np.float32(255)


def outwards(labels: NDArray[np.intp], count: int) -> Array:
    """Returns how far each point is from the middle of its pane, for the size of the pane."""
    x, y = grid()
    area = np.maximum(np.bincount(labels.ravel(), minlength=count), 1)
    middle = [np.bincount(labels.ravel(), v.ravel(), count) / area for v in (x, y)]
    reach = np.sqrt(area)[labels] / SCALE
    out = np.hypot(x - middle[0][labels], y - middle[1][labels]) / reach
    return np.asarray(out, np.float32)


def lit(window: Window, labels: NDArray[np.intp], edge: Array, rng: np.random.Generator) -> Array:
    """Returns the light that comes through the panes, from 0 to 1."""
    x, y = grid()
    count = len(window.colours)
    streaks = turned_noise(rng, labels, count)
    hammered = np.gradient(noise(rng, 3.2), axis=1) * 0.55 + noise(rng, 30) * 0.12
    depth = 0.46 - 0.9 * smoothstep(0, 15, edge)
    depth += 0.5 * smoothstep(0.05, 0.75, outwards(labels, count))
    depth += 0.17 * streaks + hammered + rng.normal(0, 0.14, count)[labels]
    depth += 0.4 * smoothstep(60, 400, np.hypot(x - SUN[0], y - SUN[1])) - 0.3
    colours = np.array(window.colours, np.float32) / 255
    tints = np.clip(colours + rng.normal(0, 0.13, colours.shape), 0, 1)
    glass = mix(colours[labels], tints[labels], smoothstep(-0.3, 1.3, streaks))
    light = (0.05 + 0.95 * glass) ** np.exp(depth)[..., None]
    return np.asarray(light + 0.35 * bubbles(rng)[..., None] * light, np.float32)


def leaded(light: Array, edge: Array, joints: Array, rng: np.random.Generator) -> Array:
    """Returns the window with its cames and the solder on their joints, and the glow over them."""
    width = 3.05 + 0.45 * np.clip(noise(rng, 50), -1.6, 1.6)
    width += 1.3 * (1 - smoothstep(0, 5, joints))
    came = 1 - smoothstep(-0.35, 0.35, edge - width)
    rows, columns = np.gradient(edge)
    shine = np.clip(-(rows * 0.8 + columns * 0.6) * SCALE, 0, 1) * smoothstep(0.2, 1, edge / width)
    grey = 0.075 + 0.17 * shine + 0.02 * noise(rng, 4) + 0.06 * (1 - smoothstep(1, 4, joints))
    lead = grey[..., None] * np.array([0.95, 0.97, 1.08], np.float32)
    window = mix(light, lead, came)
    soft = Image.fromarray(np.clip(window * 255, 0, 255).astype(np.uint8))
    glow = np.asarray(soft.filter(ImageFilter.GaussianBlur(7 * SCALE)), np.float32) / 255
    return np.asarray(255 * (1 - (1 - np.clip(window, 0, 1)) * (1 - 0.14 * glow)), np.float32)


def draw(seed: int = 1894) -> Image.Image:
    """Draws the painting; another seed changes its hand and its details."""
    rng = np.random.default_rng(seed)
    window = Window(rng)
    for part in (sky, hills, river, tree):
        part(window)
    flower(window, 590, 318, 48, RUBY[:2] + ROSE[:1] + AMBER[:1])
    flower(window, 474, 402, 52, VIOLET[:2] + OPAL)
    flower(window, 578, 450, 56, RUBY[::2] + GOLD)
    flower(window, 166, 432, 58, ROSE[:2] + GOLD)
    labels = np.asarray(window.labels).astype(np.intp)
    near = [np.roll(labels, shift, (0, 1)) for shift in ((-1, 0), (0, -1), (-1, -1))]
    differ = [labels != other for other in near]
    border = differ[0] | differ[1]
    crossing = differ[0] & differ[1] & (near[0] != near[1])
    border[-1], border[:, -1] = False, False  # where roll compares with the opposite side
    edge = distance(border, 30)
    return finish(leaded(lit(window, labels, edge, rng), edge, distance(crossing, 8), rng))

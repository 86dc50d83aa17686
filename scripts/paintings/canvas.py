"""What the paintings share: the canvas, noise, curves, brush strokes and nearest points.

Every length and coordinate is in pixels of the finished painting; the canvas itself is SCALE times
as fine, and `finish` reduces it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

Array = NDArray[np.float32]
Colour = tuple[int, int, int]

WIDTH, HEIGHT, SCALE = 640, 512, 3
SIZE = (WIDTH * SCALE, HEIGHT * SCALE)


def grid() -> tuple[Array, Array]:
    """Returns the x and the y of every point of the canvas."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]].astype(np.float32)
    return (x + 0.5) / SCALE, (y + 0.5) / SCALE


def noise(rng: np.random.Generator, across: float, down: float | None = None) -> Array:
    """Returns smooth noise of mean 0 and deviation about 1.

    Args:
        rng: Where the noise comes from.
        across: The width of a blob.
        down: Its height; as wide as high if None.
    """
    total = np.zeros(SIZE[::-1], np.float32)
    for scale, share in ((1.0, 1.05), (0.63, 0.8)):  # two lattices, so that neither shows
        columns, rows = WIDTH / across / scale, HEIGHT / (down or across) / scale
        values = rng.standard_normal((int(rows) + 5, int(columns) + 5)).astype(np.float32) * share
        box = (2.0, 2.0, 2.0 + columns, 2.0 + rows)
        total += np.asarray(Image.fromarray(values).resize(SIZE, Image.Resampling.BICUBIC, box))
    return total


def smoothstep(low: float, high: float, value: ArrayLike) -> Array:
    """Returns 0 below `low`, 1 above `high`, and a smooth passage between."""
    t = np.clip((np.asarray(value, np.float32) - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def mix(first: ArrayLike, second: ArrayLike, amount: ArrayLike) -> Array:
    """Returns colours between two, `amount` (one number for each pixel) of the second."""
    share = np.asarray(amount, np.float32)[..., None]
    return np.asarray(first, np.float32) * (1 - share) + np.asarray(second, np.float32) * share


def spline(points: ArrayLike, count: int = 100) -> Array:
    """Returns `count` points on a smooth (Catmull-Rom) curve through the given ones."""
    p = np.asarray(points, np.float32)
    p = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    t = np.linspace(0, len(p) - 3, count, endpoint=False)
    i = t.astype(int)
    u = (t - i)[:, None]
    a, b, c, d = p[i], p[i + 1], p[i + 2], p[i + 3]
    curve = b + 0.5 * u * (c - a + u * (2 * a - 5 * b + 4 * c - d + u * (3 * (b - c) + d - a)))
    return np.asarray(np.vstack([curve, p[-2]]), np.float32)


def ribbon(path: Array, widths: ArrayLike) -> Array:
    """Returns the outline of a stroke along a path, `widths` wide from its start to its end."""
    along = np.gradient(path, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], 1)
    across /= np.maximum(np.hypot(across[:, 0], across[:, 1]), 1e-6)[:, None]
    positions = np.linspace(0, 1, np.size(widths)) if np.size(widths) > 1 else np.zeros(1)
    half = np.interp(np.linspace(0, 1, len(path)), positions, np.ravel(widths))[:, None] / 2
    return np.asarray(np.vstack([path + across * half, (path - across * half)[::-1]]), np.float32)


def disc(centre: ArrayLike, across: float, down: float | None = None) -> Array:
    """Returns the outline of an ellipse of the given radii (a circle if `down` is None)."""
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    points = np.stack([across * np.cos(angle), (down or across) * np.sin(angle)], 1)
    return np.asarray(points + np.asarray(centre), np.float32)


def corners(points: ArrayLike) -> list[tuple[float, float]]:
    """Returns points as Pillow wants them, in pixels of the canvas."""
    return [(float(x), float(y)) for x, y in np.asarray(points, np.float32) * SCALE]


def fill(image: Image.Image, shape: ArrayLike, colour: int | Colour) -> None:
    """Fills a polygon."""
    ImageDraw.Draw(image).polygon(corners(shape), fill=colour)


def finish(pixels: ArrayLike) -> Image.Image:
    """Reduces the canvas (values of 0 to 255) to the finished painting."""
    values = np.clip(np.asarray(pixels, np.float32) + 0.5, 0, 255).astype(np.uint8)
    return Image.fromarray(values).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def rotated(points: ArrayLike, angle: float, centre: ArrayLike = (0, 0)) -> Array:
    """Returns points turned about the origin and moved to `centre`."""
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.asarray(np.asarray(points) @ turn + np.asarray(centre), np.float32)


def distance(mask: NDArray[np.bool_], reach: float) -> Array:
    """Returns how far each point is from the nearest marked one, no more than about `reach`."""
    limit = int(reach * SCALE)
    index = np.arange(mask.shape[0])[:, None]
    above = np.maximum.accumulate(np.where(mask, index, -limit - 1), 0)
    below = np.minimum.accumulate(np.where(mask, index, 10**6)[::-1], 0)[::-1]
    square = np.minimum(np.minimum(index - above, below - index), limit).astype(np.float32) ** 2
    best = square.copy()
    for shift in range(1, limit):
        np.minimum(best[:, shift:], square[:, :-shift] + shift**2, out=best[:, shift:])
        np.minimum(best[:, :-shift], square[:, shift:] + shift**2, out=best[:, :-shift])
    return np.asarray(np.sqrt(best) / SCALE, np.float32)

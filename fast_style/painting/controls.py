"""What the controls do to a picture: size, strokes, strength, grain, colours.

Their names, defaults and ranges stand in options.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from fast_style.images.color import keep_color, match_color
from fast_style.images.limits import max_pixels
from fast_style.images.picture import Picture, as_bytes, as_float, long_side_size, resize
from fast_style.images.tensor_checks import check_range
from fast_style.images.transparency import fill_transparent
from fast_style.painting.options import CONTROLS
from fast_style.system.progress import Progress

if TYPE_CHECKING:
    from fast_style.painting.style import Style

    # From a style, a photograph, what was painted of it, and who is told the progress.
    Refine = Callable[[Style, Picture, Picture, Progress], Picture]

AUTO_SIDE = 1024  # px, longer side of a picture in which the networks' own strokes are right
AUTO_FROM = 1.25  # times that side: strokes so little larger are not worth painting twice
PANORAMA = 2  # times as long as it is high: longer pictures count as if they were no longer
GRAIN_ROWS = 64  # that get grain at a time: they fit in the processor's cache


class Controls(NamedTuple):
    """How to stylise; the defaults change nothing.

    ``stylize`` and ``Style`` have the defaults of ``CONTROLS``, which has the ranges, too.

    ``size``: longer side of the result, px. ``stroke``: strokes so many times as large: the picture
    is painted at another size and brought back. ``strength``: from 0, the photograph, to 1.
    ``grain``: deviation, in levels of 255, of noise that the network is shown on top of the
    photograph, both rounded to whole levels, the same for all pictures of a size. ``palette``: how
    far the result's light, dark and hues on the large scale are brought to the painting's own, 0
    to 1, by the style that paints. ``preserve_color``: ``luminance`` paints the brightness only,
    ``match`` gives the result the photograph's mean and covariance of colours (Gatys et al. 2016,
    arXiv:1606.05897).
    """

    size: int | None = None
    stroke: float | str = 1.0
    strength: float = 1.0
    grain: float = 0.0
    palette: float = 0.0
    preserve_color: str | None = None

    def check(self) -> None:
        """Check the values.

        Raises:
            ValueError: One is out of its range.
        """
        for control in CONTROLS:
            control.check(getattr(self, control.name))


class PaintJob(NamedTuple):
    """How one picture is painted: from the command line or the call, down to the network.

    ``tile``: ``auto`` (in strips of rows, if the memory is too small for the whole picture),
    ``off``, or the rows of a strip, px; the result is the same. ``moved``: how far the grain is
    moved, px down and right, as a film's view has moved since its first frame. ``progress``: is
    told the share of the picture that was done since the last time. ``refine``: finishes what the
    network painted.
    """

    controls: Controls = Controls()
    tile: str | int = "auto"
    moved: tuple[int, int] = (0, 0)
    progress: Progress | None = None
    refine: Refine | None = None


DEFAULT_JOB = PaintJob()


class Prepared(NamedTuple):
    """A photograph at the two sizes that painting takes; the same picture twice without strokes."""

    photograph: Picture  # at the size of the result
    canvas: Picture  # at the size at which it is painted
    is_bytes: bool  # whether the result is to be bytes


def prepare_photograph(picture: Picture, controls: Controls) -> Prepared:
    """Return a photograph with its transparent parts filled, resized as ``controls`` say.

    Raises:
        ValueError: A control is out of its range, or the picture would have too many pixels.
    """
    controls.check()
    if picture.levels.is_floating_point():
        check_range(picture.levels)  # before resizing and grain clamp them
    is_bytes = picture.bits == 8
    picture = _sized(picture, controls.size)
    height, width = picture.levels.shape[-2:]
    canvas = picture
    stroke = stroke_for(controls.stroke, height, width)
    if stroke != 1:
        canvas_size = round(height / stroke), round(width / stroke)
        _check_pixels(f"stroke {stroke:g}", picture, *canvas_size)
        canvas = _resized(picture, *canvas_size)
    return Prepared(picture, canvas, is_bytes)


def stroke_for(stroke: float | str, height: int, width: int) -> float:
    """Return how many times as large as the network's own a picture's strokes are to be.

    Args:
        stroke: That number; or ``auto``, with which strokes grow with the longer side of a picture
            above ``AUTO_SIDE``. In a panorama they grow with the shorter one.
        height: Of the picture, px.
        width: Likewise.
    """
    if isinstance(stroke, int | float):
        return stroke
    side = min(max(height, width), PANORAMA * min(height, width))
    return side / AUTO_SIDE if side >= AUTO_FROM * AUTO_SIDE else 1.0


def network_input(prepared: Prepared, job: PaintJob) -> Picture:
    """Return what the network is shown: the canvas with grain.

    Its levels are floats where a control follows, so that what the network paints is not rounded
    twice. Else bytes stay bytes: a large picture is not held as floats.
    """
    controls, canvas = job.controls, prepared.canvas
    scale = canvas.levels.shape[-1] / max(1, prepared.photograph.levels.shape[-1])
    shown = _moved_grain(canvas, job, scale)
    resized = canvas.levels.shape != prepared.photograph.levels.shape
    follows = resized or controls.preserve_color or controls.strength < 1 or job.refine
    if follows or not prepared.is_bytes:
        shown = shown._replace(levels=shown.rgb)
    return shown


def matched(prepared: Prepared, painted: Picture, controls: Controls) -> Picture:
    """Return what the network painted with the photograph's mean and covariance, if so asked."""
    if controls.preserve_color != "match":
        return painted
    return painted._replace(levels=match_color(as_float(painted.levels), prepared.canvas.rgb))


def grained(levels: Tensor, deviation: float, seed: int = 0) -> Tensor:
    """Return pictures in whole levels with grey noise on them, the same on all of them.

    Args:
        levels: ``(N, 3, H, W)``, uint8, or float in [0, 1].
        deviation: Of the noise, in levels of 255; with 0 nothing is done.
        seed: Of the noise.

    Returns:
        uint8, of the same shape; or ``levels``, if nothing is done.
    """
    if not deviation or not levels.numel():
        return levels
    generator = torch.Generator().manual_seed(seed)  # of the CPU: the same on all devices
    shown = levels.detach()
    result = torch.empty_like(shown, dtype=torch.uint8)
    for top in range(0, result.shape[-2], GRAIN_ROWS):
        rows, put = (one[..., top : top + GRAIN_ROWS, :] for one in (shown, result))
        noise = torch.randn(rows[:1, :1].shape, generator=generator, dtype=torch.float32)
        noise = noise.mul_(deviation).to(rows.device)
        put.copy_((as_bytes(rows) + noise).clamp_(0, 255).round_())
    return result


def grained_bytes(prepared: Prepared, levels: Tensor, job: PaintJob) -> Tensor:
    """Return a picture, ``(1, 3, H, W)``, uint8, of any size, with the grain of a job."""
    scale = levels.shape[-1] / max(1, prepared.photograph.levels.shape[-1])
    return _moved_grain(Picture(levels, None), job, scale).levels


def finish_painting(prepared: Prepared, painted: Picture, controls: Controls) -> Picture:
    """Return what the network painted at the result's size, with its colours and strength.

    Args:
        prepared: The photograph.
        painted: What the network made of ``network_input``.
        controls: As ``prepare_photograph`` was given them.
    """
    photograph = prepared.photograph
    levels = painted.levels
    if levels.shape != photograph.levels.shape:
        levels = resize(levels, *photograph.levels.shape[-2:])
    if controls.preserve_color == "luminance":
        levels = keep_color(as_float(levels), photograph.rgb)
    if controls.strength < 1:
        levels = photograph.rgb.lerp(as_float(levels), controls.strength)
    return Picture(as_bytes(levels) if prepared.is_bytes else levels, photograph.alpha)


def scaled(picture: Picture, size: int | None) -> Picture:
    """Return a picture with its longer side ``size`` px; bytes stay bytes.

    Transparent parts are filled. With no ``size`` only that is done.

    Raises:
        ValueError: It would be enlarged to more pixels than a picture file may have.
    """
    result = _sized(picture, size)
    levels = as_bytes(result.levels) if picture.bits == 8 else result.levels
    return Picture(levels, result.alpha)


def check_weights(weights: Iterable[float]) -> None:
    """Check the weights of a blend.

    Raises:
        ValueError: They are negative, not finite, or all 0.
    """
    given = list(weights)
    if not (min(given) >= 0 and 0 < sum(given) < math.inf):
        raise ValueError("the weights of a blend must be 0 or more, finite, and not all 0")


def mean_picture(parts: list[tuple[Picture, float]]) -> Picture:
    """Return the mean of pictures of one size, by their weights: a blend.

    Raises:
        ValueError: As ``check_weights``.
    """
    check_weights([weight for _, weight in parts])
    total = sum(weight for _, weight in parts)
    mixed = sum(as_float(picture.levels) * (weight / total) for picture, weight in parts)
    assert isinstance(mixed, Tensor)
    first = parts[0][0]
    return Picture(as_bytes(mixed) if first.bits == 8 else mixed, first.alpha)


def _moved_grain(picture: Picture, job: PaintJob, scale: float) -> Picture:
    """Return a picture with a job's grain, moved as its view; its scale is of the result's."""
    moved = round(job.moved[0] * scale), round(job.moved[1] * scale)
    # The noise lies still: to move it, the picture goes the other way and back.
    still = _rolled(picture, (-moved[0], -moved[1]))
    levels = grained(still.levels, job.controls.grain)
    return _rolled(still._replace(levels=levels), moved)


def _rolled(picture: Picture, moved: tuple[int, int]) -> Picture:
    """Return a picture moved, px down and right; what leaves it comes in on the other side."""
    return picture._replace(levels=picture.levels.roll(moved, (-2, -1))) if any(moved) else picture


def _sized(picture: Picture, size: int | None) -> Picture:
    """Return a picture with its longer side ``size`` px, if that is given; nothing is rounded."""
    picture = fill_transparent(picture)
    if size is None:
        return picture
    height, width = long_side_size(picture.levels, size)
    _check_pixels(f"size {size}", picture, height, width)
    return _resized(picture, height, width)


def _check_pixels(what: str, picture: Picture, height: int, width: int) -> None:
    """Check that a picture may be brought to this size.

    Raises:
        ValueError: It would be enlarged to more pixels than a picture file may have.
    """
    own_height, own_width = picture.levels.shape[-2:]
    if height * width > max(max_pixels(), own_height * own_width):
        raise ValueError(
            f"{what} makes {height * width / 1e6:.4g} megapixels of it, at most "
            f"{max_pixels() / 1e6:.4g} are allowed; stylize's --max-megapixels allows more"
        )


def _resized(picture: Picture, height: int, width: int) -> Picture:
    """Return a picture at another size, as floats; the picture itself at its own size."""
    height, width = max(1, height), max(1, width)
    if picture.levels.shape[-2:] == (height, width):
        return picture
    alpha = None if picture.alpha is None else resize(picture.alpha, height, width)
    return Picture(resize(picture.levels, height, width), alpha)

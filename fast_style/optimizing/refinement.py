"""A network's picture, finished by optimising it: a fraction of the steps that noise needs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fast_style.images.limits import SMALLEST_SIDE
from fast_style.images.picture import Picture, as_bytes, as_float, resize
from fast_style.images.reading import read_style
from fast_style.models.losses import PerceptualLoss
from fast_style.optimizing.descent import optimize_pixels
from fast_style.optimizing.start_picture import check_size_fits
from fast_style.painting.style import Style
from fast_style.system.paths import file_sha256, is_file, user_path
from fast_style.system.precision import exact_float32
from fast_style.system.progress import Progress
from fast_style.system.resources import asset

COARSE_FROM = 768  # px, longer side: from here on half of the steps are done at half the size
TOLD_AFTER = 2  # evaluations that are timed before it is said how long the rest takes


def own_loss(description: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the arguments of the loss that a style was trained with.

    Args:
        description: Of the style.
        name: Of the style, for the message.

    Raises:
        ValueError: The style's file does not say it.
    """
    found = description.get("loss")
    if not isinstance(found, dict):
        raise ValueError(f"{name} does not say its loss: its pictures can't be refined")
    return found


def own_painting(description: dict[str, Any], name: str, given: Path | None, option: str) -> Path:
    """Return the painting that a style was trained on: one in the package, or one that is given.

    Args:
        description: Of the style.
        name: Of the style, for the message.
        given: The painting, if a person has named it.
        option: By which it is named, for the message.

    Raises:
        ValueError: It is not in the package and not given, or another one is in its place.
    """
    if given is not None:
        path = user_path(given)
        if not is_file(path):
            raise ValueError(f"{option}: there is no painting {path}")
        return path
    about = description.get("style")
    image = str(about.get("image") or "") if isinstance(about, dict) else ""
    path = asset("styles") / image
    if not image or not is_file(path):
        shown = f"{image!r} is not in the package" if image else "its file does not name it"
        raise ValueError(f"the painting of {name} is needed, and {shown}: give {option} FILE")
    assert isinstance(about, dict)
    if about.get("sha256", file_sha256(path)) != file_sha256(path):
        raise ValueError(
            f"{name} was trained on another picture than the package's {image}: give {option} FILE"
        )
    return path


class Refiner:
    """Finishes styles' pictures by L-BFGS on the loss and the painting that each was trained with.

    The painting has the size against the picture that it had in training. Of a large picture half
    of the steps are done at half the size, where large forms move sooner.

    Args:
        evaluations: Of the loss and its gradient, for each picture.
        painting: Instead of the styles' own.
        tell: Is told once how many seconds a picture takes, when that is known.

    Raises:
        ValueError: There is not one evaluation.
    """

    def __init__(
        self,
        evaluations: int,
        painting: Path | None = None,
        tell: Callable[[float], object] | None = None,
    ) -> None:
        if evaluations < 1:
            raise ValueError(f"at least 1 step is needed to refine, found {evaluations}")
        self.evaluations = evaluations
        self.painting = painting
        self.tell = tell
        self._losses: dict[tuple[str, int], PerceptualLoss] = {}
        self._one_at_a_time = threading.Lock()  # a picture takes all the memory there is

    def check(self, style: Style) -> None:
        """Check that a style's pictures can be refined, before anything is painted.

        Raises:
            ValueError: Its file does not say its loss, or its painting is not known.
        """
        own_loss(style.description, style.name)
        own_painting(style.description, style.name, self.painting, "--painting")

    def __call__(
        self, style: Style, photograph: Picture, painted: Picture, progress: Progress
    ) -> Picture:
        """Return a painted picture refined; bytes stay bytes.

        Args:
            style: That has painted it.
            photograph: What it is of, of the same size.
            painted: To begin from.
            progress: Is told the share of the work that was done since the last time.

        Raises:
            TooLittleMemoryError: The picture is too large; the message names a size that fits.
            ValueError: As ``check``.
        """
        height, width = painted.levels.shape[-2:]
        with self._one_at_a_time:
            check_size_fits(height, width, style.device)
            content = photograph.rgb.to(style.device, torch.float32)
            best = as_float(painted.levels).to(style.device, torch.float32)
            parts = self._parts(height, width)
            work = sum(count / shrink**2 for shrink, count in parts)
            report = self._reporter(progress, parts, work)
            for shrink, count in parts:
                best = self._refined(style, content, best, shrink, count, report)
        levels = best.to(painted.levels.device)
        if painted.levels.dtype == torch.uint8:
            levels = as_bytes(levels)
        return painted._replace(levels=levels)

    def _parts(self, height: int, width: int) -> list[tuple[int, int]]:
        """Return by how much the picture is made smaller, and how many evaluations it then has."""
        coarse = self.evaluations // 2
        small = min(height, width) < 2 * SMALLEST_SIDE
        if not coarse or small or max(height, width) < COARSE_FROM:
            return [(1, self.evaluations)]
        return [(2, coarse), (1, self.evaluations - coarse)]

    def _refined(
        self,
        style: Style,
        content: Tensor,
        best: Tensor,
        shrink: int,
        count: int,
        report: Callable[[int], None],
    ) -> Tensor:
        """Return the picture after so many evaluations at a size; what is finer stays as it is."""
        height, width = content.shape[-2:]
        sides = max(SMALLEST_SIDE, height // shrink), max(SMALLEST_SIDE, width // shrink)
        loss = self._loss(style, shrink)
        with exact_float32(content.device):
            targets = loss.content_targets(resize(content, *sides))
            start = resize(best, *sides)
            found = optimize_pixels(
                lambda picture: loss.compare(picture, targets),
                start,
                count,
                report=lambda evaluation: report(shrink),
            )
        if shrink == 1:
            return found
        return (best + resize(found - start, height, width)).clamp(0, 1)

    def _reporter(
        self, progress: Progress, parts: list[tuple[int, int]], work: float
    ) -> Callable[[int], None]:
        """Return what is called after each evaluation, with the size at which it was done."""
        started_s, done, count = time.perf_counter(), 0.0, 0

        def report(shrink: int) -> None:
            nonlocal done, count
            done, count = done + 1 / shrink**2, count + 1
            progress(1 / shrink**2 / work)
            if count == TOLD_AFTER and self.tell is not None:
                self.tell((time.perf_counter() - started_s) / done * work)

        return report

    def _loss(self, style: Style, shrink: int) -> PerceptualLoss:
        """Return a style's loss for pictures that were made smaller, made when it is needed."""
        key = f"{style.name} {style.device}", shrink
        if key not in self._losses:
            path = own_painting(style.description, style.name, self.painting, "--painting")
            size = style.description["style"].get("size") or 384
            painting = read_style(path, max(SMALLEST_SIDE, size // shrink))
            arguments = own_loss(style.description, style.name)
            self._losses[key] = PerceptualLoss(painting, **arguments).to(style.device)
        return self._losses[key]

"""A network's picture, finished by optimising it: a fraction of the steps that noise needs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
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
from fast_style.system.resources import shipped_painting

COARSE_FROM = 768  # px, longer side: from here on half of the steps are done at half the size
TOLD_AFTER = 2  # evaluations that are timed before it is said how long the rest takes


class Refiner:
    """Finishes styles' pictures by L-BFGS on the loss and the painting that each was trained with.

    Of a large picture half of the steps are done at half the size, with the painting at half its
    size, where large forms move sooner.

    Args:
        evaluations: Of the loss and its gradient, for each picture.
        painting: That the styles were trained on; none for paintings of the package.
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
        self._losses: dict[tuple[Style, int], PerceptualLoss] = {}
        self._one_at_a_time = threading.Lock()  # a picture takes all the memory there is

    def check(self, style: Style) -> None:
        """Check that a style's pictures can be refined, before anything is painted.

        Raises:
            ValueError: Its file does not say how it was trained, or its painting is not in the
                package and not given.
        """
        if "loss" not in style.description or not style.description["style"].get("size"):
            raise ValueError(
                f"{style.name} does not say its loss and its painting's size: its pictures can't "
                "be refined"
            )
        self._painting_of(style)

    def _painting_of(self, style: Style) -> Path:
        """Return the path of the painting that a style was trained on.

        Raises:
            ValueError: It is not known.
        """
        if self.painting is not None:
            path = user_path(self.painting)
            if not is_file(path):
                raise ValueError(f"--painting: there is no painting {path}")
            return path
        about = style.description["style"]
        shipped = shipped_painting(about.get("image") or "")
        if shipped is None:
            raise ValueError(
                f"the painting of {style.name} is not in the package: give it as --painting FILE"
            )
        if about.get("sha256", file_sha256(shipped)) != file_sha256(shipped):
            raise ValueError(
                f"{style.name} was trained on another picture than the package's {shipped.name}: "
                "give it as --painting FILE"
            )
        return shipped

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
        # A difference, of both signs: ``resize`` is for pictures, and would cut off what is darker.
        change = F.interpolate(found - start, (height, width), mode="bicubic", antialias=True)
        return (best + change).clamp(0, 1)

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
        key = style, shrink  # two styles may have one name
        if key not in self._losses:
            size = max(SMALLEST_SIDE, style.description["style"]["size"] // shrink)
            painting = read_style(self._painting_of(style), size)
            loss = PerceptualLoss(painting, **style.description["loss"])
            self._losses[key] = loss.to(style.device)
        return self._losses[key]

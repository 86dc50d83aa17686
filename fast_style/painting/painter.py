"""What is done to each picture or video: which styles, how, and what is said of a result."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from fast_style.films.video import Painted, paint_video
from fast_style.images.checks import SMALLEST_SIDE, check_size
from fast_style.images.picture import Clip, Picture, scaled_size
from fast_style.images.reading import read_clip
from fast_style.painting.controls import PaintJob, blend, scaled
from fast_style.painting.steadiness import Movement, Steady
from fast_style.painting.style import Style
from fast_style.system.progress import Progress

BLEND = "blend"  # the name of the one result that is made of several styles


class Painter(NamedTuple):
    """Paints files in one style or several, or in a blend of them."""

    styles: dict[str, Style]
    blend: dict[str, float]  # weights of the styles, if one picture is made of all
    job: PaintJob
    without_exif: bool = False
    steady: float = 0.0  # how still a video's painting is kept

    def read(self, path: Path | BytesIO) -> Clip:
        """Return a picture file, no larger than is needed.

        Raises:
            PictureError: As ``read_clip``.
            TooSmallError: Its sides will be too short to be painted; it is not decoded.
        """
        return read_clip(path, longest=self.job.controls.size, check=self._check_size)

    def results(self, clip: Clip) -> Iterator[tuple[str, Clip]]:
        """Yield the name of each result and the picture, or the animation, that it is."""
        if self.without_exif:
            clip = clip.without_exif()
        for name in self.names():
            yield name, clip.map(partial(self.painted, name))

    def film(
        self,
        source: Path,
        target: Path,
        name: str,
        quality: int,
        progress: Progress,
        replace: bool = True,
    ) -> Painted:
        """Write the video of one result; arguments as ``paint_video``'s."""
        size = self.job.controls.size
        # Frames are resized first: movement is looked for in what is painted.
        painter = self.with_size(None)
        steady = Steady(partial(painter.painted, name), self.steady)

        def paint(frame: Picture) -> Picture:
            return steady(scaled(frame, size))

        return paint_video(source, target, paint, quality, self.without_exif, progress, replace)

    def names(self) -> list[str]:
        """Return the names of the results."""
        return [BLEND] if self.blend else list(self.styles)

    def painted(self, name: str, picture: Picture, moved: Movement = (0, 0)) -> Picture:
        """Return a picture as the result of this name has it.

        Args:
            name: One of ``names``.
            picture: The photograph, or a frame of a film.
            moved: As ``PaintJob.moved``.
        """
        job = self.job._replace(moved=moved)
        if not self.blend:
            return self.styles[name].stylize(picture, job)
        return blend([(self.styles[n].stylize(picture, job), w) for n, w in self.blend.items()])

    def with_size(self, size: int | None) -> Painter:
        """Return a painter whose results are of this size."""
        return self._replace(job=self.job._replace(controls=self.job.controls._replace(size=size)))

    def _check_size(self, width: int, height: int) -> None:
        """Check a picture's size before it is decoded, px."""
        size, stroke = self.job.controls.size, self.job.controls.stroke
        if size is not None:
            height, width = scaled_size(height, width, size)
        if stroke != 1:
            height, width = round(height / stroke), round(width / stroke)
        check_size(height, width, SMALLEST_SIDE)


def record(
    source: Path, target: Path, size: tuple[int, int], name: str, painter: Painter, seconds: float
) -> dict[str, Any]:
    """Return what ``--json`` says of a result of ``size``, height and width."""
    height, width = size
    style = next(iter(painter.styles.values()))
    return {
        "input": str(source),
        "output": str(target),
        "width": width,
        "height": height,
        "style": name,
        "device": str(style.device),
        "backend": style.backend,
        "seconds": round(seconds, 3),
    }

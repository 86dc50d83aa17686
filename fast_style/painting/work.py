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
from fast_style.images.reading import picture_size, read_clip
from fast_style.painting.controls import Controls, apply, blend
from fast_style.painting.steadiness import Movement, Steady
from fast_style.painting.style import Style
from fast_style.system.progress import Progress


class Work(NamedTuple):
    """What to do to each picture."""

    styles: dict[str, Style]
    blend: dict[str, float]  # weights of the styles, if one picture is made of all
    controls: Controls
    tile: str | int
    strip: bool  # leave EXIF behind
    steady: float = 0.0  # how still a video's painting is kept
    progress: Progress | None = None

    def read(self, path: Path | BytesIO) -> Clip:
        """Return a picture file, no larger than is needed.

        Raises:
            PictureError: As ``read_clip``.
            ValueError: Its sides will be too short to be painted; it is not decoded.
        """
        width, height = picture_size(path)
        size, stroke = self.controls.size, self.controls.stroke
        if size is not None:
            height, width = scaled_size(height, width, size)
        if stroke != 1:
            height, width = round(height / stroke), round(width / stroke)
        check_size(height, width, SMALLEST_SIDE)
        return read_clip(path, longest=size)

    def results(self, clip: Clip) -> Iterator[tuple[str, Clip]]:
        """Yield the name of each style and the picture, or the animation, in it."""
        if self.strip:
            clip = clip.map(lambda one: one, exif=False)
        if self.blend:
            yield "blend", clip.map(self._blended)
            return
        for name, style in self.styles.items():
            yield name, clip.map(partial(self._painted, style))

    def film(
        self,
        source: Path,
        target: Path,
        name: str,
        quality: int,
        progress: Progress,
        replace: bool = True,
    ) -> Painted:
        """Write the video of a style, or of the blend; arguments as ``paint_video``'s."""
        resized = Controls(size=self.controls.size)
        work = self._replace(controls=self.controls._replace(size=None))
        paint = work._blended if self.blend else partial(work._painted, self.styles[name])
        steady = Steady(paint, self.steady)
        return paint_video(
            source,
            target,
            lambda frame: steady(apply(lambda one: one, frame, resized)),
            quality,
            self.strip,
            progress,
            replace,
        )

    def names(self) -> list[str]:
        """Return the names of the results."""
        return ["blend"] if self.blend else list(self.styles)

    def _painted(self, style: Style, picture: Picture, moved: Movement = (0, 0)) -> Picture:
        controls = self.controls
        return apply(
            lambda one: style.paint_picture(one, self.tile, self.progress, controls.palette),
            picture,
            controls,
            moved,
        )

    def _blended(self, picture: Picture, moved: Movement = (0, 0)) -> Picture:
        parts = [
            (self._painted(self.styles[name], picture, moved), weight)
            for name, weight in self.blend.items()
        ]
        return blend(parts)


def record(
    source: Path, target: Path, size: tuple[int, int], name: str, work: Work, seconds: float
) -> dict[str, Any]:
    """Return what ``--json`` says of a result of ``size``, height and width."""
    height, width = size
    style = next(iter(work.styles.values()))
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

"""What is done to each picture or video: which styles, how, and what is said of a result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, Unpack

import numpy as np
import numpy.typing as npt
from torch import Tensor

from fast_style.films.video import Painted, paint_video
from fast_style.images.limits import SMALLEST_SIDE, check_size
from fast_style.images.picture import Clip, Picture, PillowImage, from_array, scaled_size, to_pil
from fast_style.images.reading import from_pil, read_clip, read_picture
from fast_style.images.tensor_checks import check_image
from fast_style.painting.any_style import Look, paint_job
from fast_style.painting.blend import Blend
from fast_style.painting.controls import PaintJob, scaled, stroke_for
from fast_style.painting.options import SHEET_SIZE
from fast_style.painting.sheet import grid, sheet
from fast_style.painting.steadiness import Movement, Steady
from fast_style.painting.style import Style, load
from fast_style.system.paths import user_path
from fast_style.system.progress import Progress
from fast_style.system.resources import main_styles

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
        return Blend([(self.styles[n], w) for n, w in self.blend.items()]).stylize(picture, job)

    def row(self, photograph: Picture, size: int) -> list[Tensor]:
        """Return a row of a sheet: a photograph, its longer side ``size`` px, and all results.

        They are ``(1, 3, H, W)``, opaque.
        """
        shown = scaled(photograph, size)
        results = [clip.frames[0] for _, clip in self.with_size(None).results(Clip([shown]))]
        return [picture.opaque for picture in (shown, *results)]

    def sheet(self, rows: Sequence[Sequence[Tensor]]) -> Tensor:
        """Return rows as one labelled picture, ``(1, 3, H, W)``, uint8; one row is laid out anew.

        Raises:
            ValueError: There is no row.
        """
        labels = ["photograph", *self.names()]
        return grid(rows[0], labels) if len(rows) == 1 else sheet(rows, labels)

    def with_size(self, size: int | None) -> Painter:
        """Return a painter whose results are of this size."""
        return self._replace(job=self.job._replace(controls=self.job.controls._replace(size=size)))

    def _check_size(self, width: int, height: int) -> None:
        """Check a picture's size before it is decoded, px."""
        size = self.job.controls.size
        if size is not None:
            height, width = scaled_size(height, width, size)
        stroke = stroke_for(self.job.controls.stroke, height, width)
        if stroke != 1:
            height, width = round(height / stroke), round(width / stroke)
        check_size(height, width, SMALLEST_SIDE)


def by_name(models: Sequence[str], loaded: Sequence[Style], paths_too: bool) -> dict[str, Style]:
    """Return styles by the names of their results.

    Args:
        models: As they were named: paths, or released styles.
        loaded: The styles.
        paths_too: Where two have one name, their paths are their names: so two trainings of one
            style can be compared on a sheet.

    Raises:
        ValueError: Two have one name.
    """
    counts = Counter(style.name for style in loaded)
    styles: dict[str, Style] = {}
    for model, style in zip(models, loaded, strict=True):
        name = model if paths_too and counts[style.name] > 1 else style.name
        if name in styles:
            raise ValueError(f"two models are named {name}: their results would collide")
        styles[name] = style
    return styles


def paint_sheet(
    photographs: Sequence[str | Path | PillowImage | Tensor | npt.NDArray[Any]],
    styles: Sequence[str | Path | Style] | None = None,
    *,
    device: str = "auto",
    backend: str = "auto",
    **look: Unpack[Look],
) -> PillowImage:
    """Return photographs in every style on one labelled picture, as the command ``sheet`` does.

    Args:
        photographs: Files, or pictures as a ``Style`` takes them; a tensor is one picture,
            ``(3, H, W)`` or ``(1, 3, H, W)``.
        styles: Names or paths as ``load`` takes them, or what it has returned; none for all
            released styles but their small twins.
        device: As ``load``'s, of the styles that are named.
        backend: Likewise.
        **look: The controls of ``Style``; ``size`` is the longer side of each picture on the
            sheet, px (512).

    Returns:
        A Pillow image, RGB: a row for each photograph; of a single one several rows.

    Raises:
        PictureError: A file can't be read.
        ModelFileError: As ``load``.
        ValueError: There is no photograph, no style, two of one name, or a control is out of its
            range; or as ``load``.
        TypeError: There is no such control.
    """
    if not photographs:
        raise ValueError("a sheet needs a photograph, or more; found none")
    job = paint_job(look)
    named = list(main_styles() if styles is None else styles)
    if not named:
        raise ValueError("a sheet needs a style, or more; found none")
    loaded = [
        one if isinstance(one, Style) else load(one, device, backend=backend) for one in named
    ]
    names = [one.name if isinstance(one, Style) else str(one) for one in named]
    painter = Painter(by_name(names, loaded, paths_too=True), {}, job)
    size = job.controls.size or SHEET_SIZE
    rows = [painter.row(_picture(one, size), size) for one in photographs]
    return to_pil(painter.sheet(rows))


def _picture(given: str | Path | PillowImage | Tensor | npt.NDArray[Any], size: int) -> Picture:
    """Return one photograph of a sheet, decoded no larger than is needed."""
    if isinstance(given, Tensor):
        picture = given[None] if given.ndim == 3 else given
        check_image(picture, 1)
        return Picture(picture[:1].float(), None)
    if isinstance(given, np.ndarray):
        return from_array(given)
    if isinstance(given, PillowImage):
        return from_pil(given)
    return read_picture(user_path(given), size)


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

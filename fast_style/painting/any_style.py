"""What a style and a blend of styles share: pictures in, pictures out, and videos."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fast_style.films.video import Painted, check_video_writable
from fast_style.images.options import DEFAULT_QUALITY, HIGHEST_QUALITY
from fast_style.images.picture import Picture, PillowImage, array_like, from_array, to_pil
from fast_style.images.reading import from_pil
from fast_style.images.tensor_checks import check_image
from fast_style.images.writing import check_not_input
from fast_style.painting.controls import DEFAULT_JOB, Controls, PaintJob
from fast_style.painting.options import AUTO, CONTROLS, GRAIN, PALETTE, STEADY
from fast_style.painting.steadiness import check_steady
from fast_style.system.atomic import check_free
from fast_style.system.paths import user_path
from fast_style.system.progress import Progress

if TYPE_CHECKING:
    from fast_style.painting.painter import Painter

AnyImage = TypeVar("AnyImage", PillowImage, Tensor, npt.NDArray[Any])


class Look(TypedDict, total=False):
    """The controls as keywords: names, ranges and defaults are those of ``AnyStyle.__call__``."""

    size: int | None
    stroke: float | str
    strength: float
    grain: float
    palette: float
    preserve_color: str | None
    tile: str | int


def paint_job(look: Mapping[str, object]) -> PaintJob:
    """Return how to paint, with the defaults of ``CONTROLS`` where ``look`` says nothing.

    Args:
        look: As ``Look``.

    Raises:
        TypeError: There is no such control.
        ValueError: One is out of its range.
    """
    defaults = {control.name: control.default for control in CONTROLS}
    given: dict[str, Any] = {**defaults, "tile": DEFAULT_JOB.tile, **look}
    tile = given.pop("tile")
    controls = Controls(**given)
    controls.check()
    return PaintJob(controls, tile)


class AnyStyle(ABC):
    """Paints pictures and videos; ``Style`` and ``Blend`` are such."""

    def __call__(
        self,
        image: AnyImage,
        *,
        size: int | None = None,
        stroke: float | str = AUTO,
        strength: float = 1.0,
        grain: float = GRAIN,
        palette: float = PALETTE,
        preserve_color: str | None = None,
        tile: str | int = "auto",
    ) -> AnyImage:
        """Return the picture in this style: same kind, and same size if ``size`` is none.

        The controls are keywords, one for each, so that editors and ``help`` show them.

        Args:
            image: A Pillow image of any mode (transparency is kept), an array ``(H, W)``,
                ``(H, W, 3)`` or ``(H, W, 4)``, uint8 or float in [0, 1] (three or four channels
                come back), or a tensor ``(3, H, W)`` or ``(N, 3, H, W)``, float in [0, 1].
            size: Longer side of the result, px.
            stroke: Strokes so many times as large as the network's own, 0.1 to 10. By ``auto`` they
                grow with a picture of more than 1,280 px.
            strength: From 0, the photograph, to 1.
            grain: Deviation of noise that makes the network paint plain areas too, levels of 255,
                0 to 64.
            palette: How far light, dark and hues on the large scale are brought to the painting's
                own, 0 to 1; nothing for models that do not know them.
            preserve_color: ``luminance`` or ``match``; see ``Controls``.
            tile: ``auto`` (in strips, if the memory is too small for the whole), ``off``, or the
                rows of a strip, px. The result is the same.

        Raises:
            ValueError: Another shape or type, values outside [0, 1], a side below 32 px where it
                is painted, or a control out of its range.
        """
        controls = Controls(
            size=size,
            stroke=stroke,
            strength=strength,
            grain=grain,
            palette=palette,
            preserve_color=preserve_color,
        )
        job = PaintJob(controls, tile)
        if isinstance(image, Tensor):
            batch = image[None] if image.ndim == 3 else image
            check_image(batch, 1)
            ones = torch.split(batch.float(), 1)
            result = torch.cat([self.stylize(Picture(one, None), job).levels for one in ones])
            return (result[0] if image.ndim == 3 else result).to(image)
        if isinstance(image, np.ndarray):
            return array_like(image, self.stylize(from_array(image), job))
        if isinstance(image, PillowImage):
            picture = self.stylize(from_pil(image), job)
            return to_pil(picture.levels, picture.alpha)
        raise ValueError(f"expected a Pillow image, an array or a tensor, found {type(image)}")

    def video(
        self,
        source: str | Path,
        target: str | Path,
        *,
        steady: float = STEADY,
        quality: int = DEFAULT_QUALITY,
        strip: bool = False,
        overwrite: bool = False,
        progress: Progress | None = None,
        **look: Unpack[Look],
    ) -> Painted:
        """Paint a video, as the command ``stylize`` does; it needs PyAV.

        Args:
            source: The video's file.
            target: The file to write: ``.mp4``, ``.m4v``, ``.mov``, ``.mkv`` or ``.webm``. It is
                written whole or not at all.
            steady: How still the painting is kept where the film is, from 0, each frame by itself,
                to below 1.
            quality: 1 to 100, as of a JPEG.
            strip: Leave title, date, place, languages and chapters behind.
            overwrite: Replace ``target`` if it is there.
            progress: Called after each frame with the share of the film that was done since the
                last call: all calls together give 1.
            **look: The controls of a picture, ``size=640`` or ``stroke=2``.

        Returns:
            How many frames were painted, their width and height in px, and a remark that a person
            should read, or none.

        Raises:
            PictureError: ``source`` can't be read, or ``target`` can't be written.
            ValueError: A value is out of its range, or ``target`` is there already.
            TypeError: There is no such control.
        """
        source, target = user_path(source), user_path(target)
        check_video_writable(target)
        check_not_input(target, [source])
        check_free(target, overwrite)
        check_steady(steady)
        if not 1 <= quality <= HIGHEST_QUALITY:
            raise ValueError(f"quality must be 1 to {HIGHEST_QUALITY}, found {quality}")
        painter = self.painter(paint_job(look), strip, steady)
        (name,) = painter.names()
        told = progress or (lambda share: None)
        return painter.film(source, target, name, quality, told, overwrite)

    @abstractmethod
    def stylize(self, picture: Picture, job: PaintJob = DEFAULT_JOB) -> Picture:
        """Return a picture as it is painted, with all controls; its levels stay bytes or floats."""

    @abstractmethod
    def painter(self, job: PaintJob, strip: bool = False, steady: float = 0.0) -> Painter:
        """Return what paints files, as the commands do: its one result is this style's."""

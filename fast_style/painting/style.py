"""A trained style as a function from picture to picture: what fast_style.load returns."""

from __future__ import annotations

import copy
import functools
import os
import threading
import weakref
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fast_style.images.limits import SMALLEST_SIDE, check_size
from fast_style.images.picture import Picture, as_bytes, as_float
from fast_style.images.tensor_checks import check_image, check_range
from fast_style.models.network import MARGIN
from fast_style.models.style_file import StyleModel, load_style_model
from fast_style.painting.any_style import AnyStyle
from fast_style.painting.backends import (
    NetworkRunner,
    begin_in_fork,
    build_runner,
    never_free,
    resolve_backend,
    warn_once,
)
from fast_style.painting.controls import (
    DEFAULT_JOB,
    PaintJob,
    Prepared,
    finish_painting,
    grained_bytes,
    matched,
    network_input,
    prepare_photograph,
)
from fast_style.painting.enlarging import enlarge, step_sizes
from fast_style.painting.strips import (
    STRIPS,
    StripPainter,
    in_order,
    reflected,
    strip_heights,
    whole_pixel_bytes,
)
from fast_style.system.devices import has_bfloat16, resolve_device
from fast_style.system.memory import give_memory_back, is_out_of_memory
from fast_style.system.progress import Progress, part_of

if TYPE_CHECKING:
    from fast_style.painting.painter import Painter

PAINTING_SHARE = 0.05  # of the work, where a picture is refined
STYLE_PRECISIONS = ("auto", "float32", "bfloat16")


class Style(AnyStyle):
    """Paints pictures in a trained style; safe to call from several threads.

    It can be copied and pickled, with its weights and arguments. It also paints in a forked
    process, there in one thread, and with PyTorch where the parent used OpenVINO.

    Args:
        model: As ``load_style_model`` returns it; it is copied, and stays as and where it is.
        device: ``auto`` (the GPU if there is one), ``cpu``, ``cuda``, ``cuda:1``, ``mps``, ...
        precision: ``auto`` (bfloat16 where the hardware computes in it), ``float32`` or
            ``bfloat16``. Results differ by a third of a level of 255 on average.
        backend: ``auto`` (the fastest that is installed and starts), ``torch``, ``onnxruntime``
            or ``openvino``. What is done in strips is done in PyTorch.

    Raises:
        ValueError: There is no such device, precision or backend, or the backend is not installed
            or does not start. (One that ``auto`` has chosen is logged and left for the next best.)
    """

    def __init__(
        self,
        model: StyleModel,
        device: str = "auto",
        precision: str = "auto",
        backend: str = "auto",
    ) -> None:
        self._arguments = (device, precision, backend)
        if precision not in STYLE_PRECISIONS:
            raise ValueError(
                f"precision is one of {', '.join(STYLE_PRECISIONS)}, found {precision!r}"
            )
        self.device = resolve_device(device)
        if precision == "auto":
            precision = "bfloat16" if has_bfloat16(self.device) else "float32"
        self.dtype = getattr(torch, precision)
        self.backend = resolve_backend(backend, self.device, self.dtype)
        self.network = copy.deepcopy(model.network).to(self.device).eval()
        self.name = model.name
        self.description = model.description
        self.palette = model.palette
        self._building = threading.Lock()
        self._built: NetworkRunner | None = None
        if backend != "auto":  # else when a picture needs it: none in strips does
            self._runner()
        _begin_in_forks()
        _styles.add(self)

    def __reduce__(self) -> tuple[type[Style], tuple[StyleModel, str, str, str]]:
        """Return the style's class and arguments, for copies and pickles."""
        network = copy.deepcopy(self.network).cpu()
        return type(self), (StyleModel(network, self.description), *self._arguments)

    def paint(self, rgb: Tensor, tile: str | int = "auto") -> Tensor:
        """Return what the network alone paints, ``(N, 3, H, W)`` float32 in [0, 1].

        Args:
            rgb: ``(N, 3, H, W)``, float in [0, 1].
            tile: ``auto`` (in strips, if the memory is too small for the whole), ``off``, or the
                rows of a strip, px. The result is the same.

        Raises:
            ValueError: Another shape or type, values outside [0, 1], or a side below 32 px.
        """
        check_image(rgb, SMALLEST_SIDE)
        check_range(rgb)
        if rgb.shape[0] > 1:
            return torch.cat([self.paint(one, tile) for one in rgb.split(1)])
        result = torch.empty_like(rgb, dtype=torch.float32)
        self._paint(rgb, result, tile)
        return result

    def stylize(self, picture: Picture, job: PaintJob = DEFAULT_JOB) -> Picture:
        """Return a picture in this style, with all controls; its levels stay bytes or floats.

        Args:
            picture: As read from a file.
            job: How to paint it.

        Raises:
            ValueError: A control is out of its range; or as ``paint_picture``.
        """
        prepared = prepare_photograph(picture, job.controls)
        final, small = (
            (one.levels.shape[-2], one.levels.shape[-1])
            for one in (prepared.photograph, prepared.canvas)
        )
        sizes = step_sizes(small, final) if final[0] * final[1] > small[0] * small[1] else []
        work = [height * width for height, width in [small, *sizes]]
        shares = [share / max(1, sum(work)) for share in work]
        early = self._in_strips_as(final, job) if sizes else job
        first = early._replace(progress=part_of(job.progress, shares[0]))
        painted = matched(prepared, self._painted_small(prepared, first), job.controls)
        for (height, width), share in zip(sizes, shares[1:], strict=True):
            is_last = (height, width) == final
            step = (job if is_last else early)._replace(progress=part_of(job.progress, share))
            levels = self._enlarged(prepared, painted.levels, (height, width), is_last, step)
            painted = painted._replace(levels=levels)
        return finish_painting(prepared, painted, job.controls)

    def _in_strips_as(self, size: tuple[int, int], job: PaintJob) -> PaintJob:
        """Return a job with auto tiles as one in strips, if a picture of ``size`` needs them.

        Else a smaller picture, painted at once, would take more memory than that one.
        """
        if job.tile != "auto":
            return job
        is_whole = self._strips(job.tile, [side + 2 * MARGIN for side in size])[0] is None
        return job if is_whole else job._replace(tile=STRIPS)

    def _strips(self, tile: str | int, sides: Sequence[int]) -> list[int | None]:
        """Return what ``strip_heights`` says of a picture that the network sees."""
        height, width = sides
        return strip_heights(tile, height, width, lambda: self._pixel_bytes, self.device)

    def _painted_small(self, prepared: Prepared, job: PaintJob) -> Picture:
        """Return the canvas painted, and refined if the job says so."""
        shown = network_input(prepared, job)
        if job.refine is None:
            return self.paint_picture(shown, job)
        first = job._replace(progress=part_of(job.progress, PAINTING_SHARE))
        rest = part_of(job.progress, 1 - PAINTING_SHARE)
        return job.refine(self, prepared.canvas, self.paint_picture(shown, first), rest)

    def _enlarged(
        self,
        prepared: Prepared,
        levels: Tensor,
        size: tuple[int, int],
        is_last: bool,
        job: PaintJob,
    ) -> Tensor:
        """Return a painting one step larger, with finer strokes; as bytes, if nothing follows."""
        controls = job.controls
        mixed = is_last and (controls.preserve_color == "luminance" or controls.strength < 1)
        kind = torch.uint8 if prepared.is_bytes and not mixed else torch.float32

        def paint(shown: Tensor) -> Tensor:
            shown = grained_bytes(prepared, shown, job)
            result = torch.empty_like(shown)
            self._paint(shown, result, job.tile, job.progress, MARGIN)
            return result

        return enlarge(levels, *size, paint, kind)

    def painter(self, job: PaintJob, strip: bool = False, steady: float = 0.0) -> Painter:
        """Return what paints files in this style, as the commands do.

        Args:
            job: How each picture is painted.
            strip: Leave what a file says of itself behind.
            steady: How still a video's painting is kept, 0 to below 1.
        """
        from fast_style.painting.painter import Painter

        return Painter({self.name: self}, {}, job, strip, steady)

    def paint_picture(self, picture: Picture, job: PaintJob = DEFAULT_JOB) -> Picture:
        """Return what the network and the palette make of a picture, its transparency kept.

        It is painted with ``MARGIN`` px of its reflection around it, which are then cut off.

        Args:
            picture: With at least ``SMALLEST_SIDE`` px a side; 8 bits stay 8 bits.
            job: Its tile, its progress, and of its controls the palette alone.

        Raises:
            ValueError: A side that is too short, or float values outside [0, 1].
        """
        job.controls.check()
        check_size(picture.levels.shape[-2], picture.levels.shape[-1], SMALLEST_SIDE)
        if picture.bits > 8:
            check_range(picture.levels)
        result = torch.empty_like(picture.levels)
        self._paint(picture.levels, result, job.tile, job.progress, MARGIN)
        palette = job.controls.palette
        if palette and self.palette is not None:
            result = self.palette.shifted(result, palette)
        return Picture(result, picture.alpha)

    @torch.no_grad()
    def _paint(
        self,
        levels: Tensor,
        result: Tensor,
        tile: str | int,
        progress: Progress | None = None,
        margin: int = 0,
    ) -> None:
        """Stylise one picture, ``(1, 3, H, W)``, uint8 or float, into ``result``.

        With ``auto`` tiles a memory that turns out to be too small is one more reason for strips,
        and then for smaller ones.
        """
        strips = self._strips(tile, [side + 2 * margin for side in levels.shape[-2:]])
        told = CountedOnce(progress)
        while strips:
            try:
                self._attempt(levels, result, strips.pop(0), told.again(), margin)
                return
            except (MemoryError, RuntimeError) as error:
                if not strips or not is_out_of_memory(error):
                    raise
            give_memory_back(self.device)  # here the error, and what it holds, is gone

    def _attempt(
        self,
        levels: Tensor,
        result: Tensor,
        strip: int | None,
        progress: Progress,
        margin: int,
    ) -> None:
        """Stylise one picture in strips of so many rows, or at once."""
        sides = levels.shape[-2:]
        height, width = (side + 2 * margin for side in sides)
        row_at, column_at = (
            reflected((0, side + 2 * margin), margin, side).to(levels.device) for side in sides
        )

        def rows(first: int, end: int) -> Tensor:
            some = in_order(in_order(levels, row_at[first:end], -2), column_at, -1)
            return as_float(some).to(self.device, torch.float32)

        def put(top: int, piece: Tensor) -> None:
            if result.dtype == torch.uint8:
                piece = as_bytes(piece)
            first = max(top, margin)
            end = max(0, margin + sides[0] - top)
            inside = piece[..., first - top : end, margin : margin + sides[1]]
            result[..., first - margin : first - margin + inside.shape[-2], :] = inside

        if strip is None:
            put(0, self._runner()(rows(0, height)).clamp(0, 1))
            progress(1.0)
            return
        painter = StripPainter(self.network, height, width, strip, self.device, self.dtype)
        painter.paint(rows, put, progress)

    def _runner(self) -> NetworkRunner:
        """Return what runs the network on a whole picture, made when it is first needed."""
        failed: list[str] = []
        with self._building:
            while self._built is None:
                try:
                    self._built = build_runner(self.backend, self.network, self.device, self.dtype)
                except ValueError as error:
                    if self._arguments[-1] != "auto":
                        raise
                    failed.append(self.backend)
                    self.backend = resolve_backend("auto", self.device, self.dtype, failed)
                    warn_once(f"{error}: {self.backend} paints instead")
            return self._built

    def _start_anew(self, openvino_is_lost: bool) -> None:
        """Make anew what a fork does not copy: threads and the state of locks."""
        self._building = threading.Lock()
        never_free(self._built)
        self._built = None
        if openvino_is_lost and self.backend == "openvino":
            self.backend = "torch"

    @functools.cached_property
    def _pixel_bytes(self) -> int:
        """As ``whole_pixel_bytes`` says: found once, since a film asks for every frame."""
        return whole_pixel_bytes(self.network)

    def __repr__(self) -> str:
        """Name the style, the device and the backend."""
        return f"Style({self.name!r}, device={str(self.device)!r}, backend={self.backend!r})"


class CountedOnce:
    """Reports progress; work that is done again after a failed attempt is not counted twice.

    Args:
        progress: Is told the share since the last time; or none.
    """

    def __init__(self, progress: Progress | None) -> None:
        self.progress = progress
        self.told = 0.0

    def again(self) -> Progress:
        """Return the progress of a new attempt, which begins at 0."""
        done = 0.0

        def tell(share: float) -> None:
            nonlocal done
            done += share
            if self.progress is not None and done > self.told:
                self.progress(done - self.told)
                self.told = done

        return tell


_styles: weakref.WeakSet[Style] = weakref.WeakSet()  # all of this process


@cache
def _begin_in_forks() -> None:
    """Prepare the styles of every process that is forked from this one.

    Threads are not forked: PyTorch, OpenVINO and onnxruntime would wait for theirs for ever.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_after_fork)


def _after_fork() -> None:
    openvino_is_lost = begin_in_fork()
    for style in list(_styles):
        style._start_anew(openvino_is_lost)


def load(
    name_or_path: str | Path,
    device: str = "auto",
    precision: str = "auto",
    backend: str = "auto",
) -> Style:
    """Load a style: a released one by its name, or your own by the path of its file.

    Args:
        name_or_path: ``starry``, ``cafe``, ``mosaic``, ``woodblock``, ``glass``, ``ink`` or
            ``geometric``; the same with ``-slim``, a smaller network; or a path: a style model
            (``.safetensors``), a checkpoint of a training (``.ckpt``), or a model of
            pytorch/examples (``.pth``, ``.model``).
        device: ``auto`` (the GPU if there is one), ``cpu``, ``cuda``, ``cuda:1``, ``mps``, ...
        precision: ``auto`` (bfloat16 where the hardware computes in it), ``float32`` or
            ``bfloat16``.
        backend: What computes: ``auto`` (the fastest that is installed and starts), ``torch``,
            ``onnxruntime`` or ``openvino``.

    Returns:
        A function from picture to picture: ``load("starry")(photo)``.

    Raises:
        ModelFileError: There is no such file or name, or the file is damaged, from a later
            version, or not ours.
        ValueError: There is no such device, precision or backend here.
    """
    return Style(load_style_model(name_or_path), device, precision, backend)

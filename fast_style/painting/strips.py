"""Stylising in strips: a picture of any size in bounded memory, exactly as if done at once.

Instance normalisation takes the statistics of the whole picture: pieces that are normalised alone
show seams. So the network is run in several passes over strips of rows. Each pass measures the
statistics that the next one needs. Results at a quarter of the resolution and below are stored in
float16, in memory or in a temporary file. Larger ones are computed again in each pass, which makes
a quarter more work in all. It works for any network whose ``operations`` are known.
``strip_heights`` says how many rows a strip has.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from typing import IO, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from fast_style.models.layers import DoublingConv, ReflectionPad, without_autocast
from fast_style.models.network import StyleNetwork, denormalized, normalized
from fast_style.models.operations import Operation, operations
from fast_style.system.memory import free_memory
from fast_style.system.precision import double, exact_float32
from fast_style.system.progress import Progress

# Peak memory of a picture painted at once, the most of all backends: bytes for each pixel and each
# channel at full resolution (measured: 700 a pixel with 32 channels, 280 with 16).
WHOLE_BYTES = 22
MOST_OF_MEMORY = 0.5  # share of the free memory that a picture painted at once may take
STRIP_BYTES = 2**27  # that a strip may take
SMALLER = 4  # times fewer rows in a strip, where even these strips do not fit
STORED_FROM = 4  # results are stored from this reduction on: a quarter of the resolution
SCRATCH_SHARE = 0.25  # of the free memory, that stored results may take
SCRATCH_MOST = 2**29  # bytes of memory for stored results; more go to a temporary file
STRIPS = "strips"  # a way to paint that a person can't choose: as auto, but never the whole
TINY = 1e-30  # keeps the deviation of a flat channel above zero
Rows = tuple[int, int]  # first, and one past the last


def strip_heights(
    tile: str | int,
    height: int,
    width: int,
    pixel_bytes: Callable[[], int],
    device: torch.device,
) -> list[int | None]:
    """Return how many rows a strip is to have, px; none for the whole picture, painted at once.

    Args:
        tile: ``auto``, ``off``, or the rows; ``STRIPS`` is auto without the whole picture.
        height: Of the picture, px.
        width: Of the picture, px.
        pixel_bytes: Returns what ``whole_pixel_bytes`` says of the network; asked for ``auto``.
        device: Where to compute, whose free memory counts.

    Returns:
        One or more heights, each to be tried if the memory turns out to be too small for the one
        before. With ``auto`` the whole comes first, if it should fit, then strips, then smaller
        ones.

    Raises:
        ValueError: ``tile`` is something else.
    """
    if tile in ("auto", STRIPS):
        each = pixel_bytes()
        fits = tile == "auto" and each * height * width < free_memory(device) * MOST_OF_MEMORY
        whole = [None] if fits else []
        rows = max(STORED_FROM, STRIP_BYTES // (each * width))
        return list(dict.fromkeys([*whole, rows, max(STORED_FROM, rows // SMALLER)]))
    if tile == "off":
        return [None]
    if not isinstance(tile, int) or isinstance(tile, bool) or tile < 1:
        raise ValueError(f"tile is auto, off or a number of rows, found {tile!r}")
    return [tile]


def whole_pixel_bytes(network: StyleNetwork) -> int:
    """Return how much memory a pixel of a picture that is painted at once takes, bytes.

    Raises:
        UnsupportedNetworkError: The network has layers that are not known.
    """
    widest = max(one.channels / one.down**2 for one in operations(network))
    return round(WHOLE_BYTES * widest)


class Statistics:
    """Mean and variance of a layer's channels, gathered strip by strip."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros((), dtype=torch.float64)  # (1, C, 1, 1)
        # The sum of squared distances from the mean.
        self.squares = torch.zeros((), dtype=torch.float64)

    def add(self, x: Tensor) -> None:
        """Take in a strip, ``(1, C, h, w)`` (Chan, Golub & LeVeque 1979)."""
        count = x.shape[-2] * x.shape[-1]
        # The statistics of a batch normalisation, sums in float32: five times as fast on a CPU as
        # var_mean of a bfloat16 strip.
        ones, zeros = (x.new_full((x.shape[1],), v, dtype=torch.float32) for v in (1.0, 0.0))
        _, mean, inverse = torch.native_batch_norm(x, ones, zeros, None, None, True, 0.0, TINY)
        mean, variance = (double(v).view(1, -1, 1, 1) for v in (mean, double(inverse) ** -2))
        total = self.count + count
        away = mean - self.mean
        self.squares = self.squares + variance * count + away**2 * (self.count * count / total)
        self.mean = self.mean + away * (count / total)
        self.count = total

    def normalize(self, x: Tensor, norm: nn.InstanceNorm2d) -> Tensor:
        """Return ``x`` normalised by what was gathered."""
        variance = self.squares / self.count
        factor = double(norm.weight).view(1, -1, 1, 1) * (variance + norm.eps).rsqrt()
        offset = double(norm.bias).view(1, -1, 1, 1) - self.mean * factor
        return torch.addcmul(offset.to(x), x, factor.to(x))


class Scratch:
    """The stored result of an operation, by rows, float16.

    Args:
        channels: Of a row.
        height: Rows.
        width: Of a row, pixels.
        on_disk: In a temporary file, not in memory.

    Raises:
        OSError: No room for the file.
    """

    def __init__(self, channels: int, height: int, width: int, on_disk: bool) -> None:
        self.channels = channels
        self.width = width
        self._row = channels * width
        self._file: IO[bytes] | None = tempfile.TemporaryFile() if on_disk else None  # noqa: SIM115
        self._memory = np.empty((0 if on_disk else height, self._row), np.float16)

    def read(self, rows: Rows) -> Tensor:
        """Return rows, ``(1, C, rows, W)``, float32."""
        first, end = rows
        if self._file is None:
            values = self._memory[first:end]
        else:
            self._file.seek(first * self._row * 2)
            data = self._file.read((end - first) * self._row * 2)
            values = np.frombuffer(data, np.float16)
        x = torch.from_numpy(values.astype(np.float32))
        return x.view(end - first, self.channels, self.width).transpose(0, 1)[None]

    def write(self, first: int, x: Tensor) -> None:
        """Store rows ``(1, C, rows, W)`` from row ``first`` on."""
        rows = x[0].transpose(0, 1).to(torch.float16).contiguous().cpu().numpy()
        rows = rows.reshape(len(rows), self._row)
        if self._file is None:
            self._memory[first : first + len(rows)] = rows
        else:
            self._file.seek(first * self._row * 2)
            self._file.write(rows.tobytes())

    def close(self) -> None:
        """Give the room back."""
        if self._file is not None:
            self._file.close()
        self._memory = np.empty((0, 0), np.float16)


class Pass(NamedTuple):
    """One pass over the picture, strip by strip, which makes the rows of one operation."""

    target: int
    steps: list[int]  # the operations to do, in order; the last is the target
    sources: list[int]  # stored operations, or the picture, from which they begin
    is_measured: bool  # a normalisation comes next
    is_kept: bool


def plan_passes(network: list[Operation]) -> list[Pass]:
    """Return the passes over the picture that a network needs, in order."""
    measured = {one.inputs[0] for one in network if isinstance(one.layer, nn.InstanceNorm2d)}
    readers = [0] * len(network)
    for one in network:
        for place in one.inputs:
            readers[place] += 1
    last = len(network) - 1

    def is_kept(place: int) -> bool:
        one = network[place]
        if one.down < STORED_FROM or place == 0:
            return False
        return place in measured or (one.layer is None and readers[place] > 1)

    kept = {place for place in range(len(network)) if is_kept(place)}
    result = []
    for target in sorted({*measured, *kept, last}):
        steps, sources = set[int](), set[int]()
        left = [target]
        while left:
            place = left.pop()
            if place == 0 or (place in kept and place != target):
                sources.add(place)
            elif place not in steps:
                steps.add(place)
                left += network[place].inputs
        result.append(
            Pass(target, sorted(steps), sorted(sources), target in measured, target in kept)
        )
    return result


class StripPainter:
    """Runs a network over a picture in strips.

    Args:
        network: The trained network.
        height: Of the picture, px, at least 32.
        width: Of the picture, px, at least 32.
        strip: Rows of the picture in a strip, px.
        device: Where to compute.
        dtype: bfloat16 or float16 to autocast to, or float32.
        on_disk: Keep intermediate results in a temporary file, not in memory; none to decide by
            the memory that is free.

    Raises:
        UnsupportedNetworkError: The network has layers that are not known.
    """

    def __init__(
        self,
        network: StyleNetwork,
        height: int,
        width: int,
        strip: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        on_disk: bool | None = None,
    ) -> None:
        self.operations = operations(network)
        self.height, self.width = height, width
        self.multiple = network.multiple
        self.strip = strip
        self.on_disk = on_disk
        self.device = torch.device(device)
        self.dtype = dtype
        self.sizes = self._sizes(height + -height % self.multiple, width + -width % self.multiple)

    @torch.no_grad()
    def paint(
        self,
        rows: Callable[[int, int], Tensor],
        put: Callable[[int, Tensor], None],
        progress: Progress | None = None,
    ) -> None:
        """Stylise the picture.

        Args:
            rows: Returns rows ``first`` to ``end`` of the photograph, ``(1, 3, end - first, W)``,
                float in [0, 1].
            put: Is given the first row of each strip and the strip, ``(1, 3, h, W)``, clamped to
                [0, 1], float32.
            progress: Is told after each strip of each pass.
        """
        self._rows = rows
        self._known: dict[int, Statistics] = {}  # by the operation that was measured
        self._scratch: dict[int, Scratch] = {}  # by the operation whose rows it holds
        passes = plan_passes(self.operations)
        on_disk = self._is_on_disk(passes)
        try:
            for number, one_pass in enumerate(passes):
                needed = {source for later in passes[number + 1 :] for source in later.sources}
                if one_pass.is_kept:
                    self._scratch[one_pass.target] = self._scratch_for(one_pass, needed, on_disk)
                self._run(one_pass, put, len(passes), progress)
                for place in self._scratch.keys() - needed:
                    scratch = self._scratch.pop(place)
                    if scratch not in self._scratch.values():
                        scratch.close()
        finally:
            for scratch in self._scratch.values():
                scratch.close()

    def _run(
        self,
        one_pass: Pass,
        put: Callable[[int, Tensor], None],
        count: int,
        progress: Progress | None,
    ) -> None:
        """Go over the picture once."""
        one = self.operations[one_pass.target]
        height = self.sizes[one_pass.target][0]
        found = Statistics()
        each = max(1, self.strip // one.down)
        for first in range(0, height, each):
            x = self._rows_of(one_pass, (first, min(first + each, height)))
            if one_pass.is_measured:
                found.add(x)
            if one_pass.is_kept:
                self._scratch[one_pass.target].write(first, x)
            if not one_pass.is_measured and not one_pass.is_kept and first < self.height:
                y = denormalized(x.float())[..., : self.height - first, : self.width]
                put(first, y.clamp(0, 1))
            if progress is not None:
                progress(1 / (count * -(-height // each)))
        if one_pass.is_measured:
            self._known[one_pass.target] = found

    def _scratch_for(self, one_pass: Pass, needed: set[int], on_disk: bool) -> Scratch:
        """Return where a pass stores its rows; it may replace rows that it is the last to read."""
        one = self.operations[one_pass.target]
        moves = (nn.Conv2d, ReflectionPad)  # need rows around those that they make
        if not any(isinstance(self.operations[place].layer, moves) for place in one_pass.steps):
            for source in one_pass.sources:
                if (
                    source
                    and source not in needed
                    and self.operations[source].channels == one.channels
                ):
                    return self._scratch[source]
        return Scratch(one.channels, *self.sizes[one_pass.target], on_disk)

    def _rows_of(self, one_pass: Pass, wanted: Rows) -> Tensor:
        """Return rows of a pass's target, ``(1, C, rows, W)``."""
        ranges = {one_pass.target: wanted}
        for place in reversed(one_pass.steps):
            for source in self.operations[place].inputs:
                needed = self._needed(place, ranges[place])
                first, end = ranges.get(source, needed)
                ranges[source] = min(first, needed[0]), max(end, needed[1])
        values = {source: self._source(source, ranges[source]) for source in one_pass.sources}
        for place in one_pass.steps:
            one = self.operations[place]
            rows = ranges[place]
            given = []
            for source in one.inputs:
                first, end = self._needed(place, rows)
                start = ranges[source][0]
                given.append(values[source][..., first - start : end - start, :])
            mixed = self.dtype != torch.float32 and not one.exact
            with (
                torch.autocast(self.device.type, self.dtype, enabled=mixed),
                nullcontext() if mixed else exact_float32(self.device),
            ):
                values[place] = self._done(place, given, rows)
        return values[one_pass.target]

    def _needed(self, place: int, rows: Rows) -> Rows:
        """Return the rows of an operation's input that it takes to make some of its own."""
        one = self.operations[place]
        first, end = rows
        if isinstance(one.layer, ReflectionPad):
            height = self.sizes[one.inputs[0]][0]
            at = reflected(rows, one.layer.padding[0], height)
            return int(at.min()), int(at.max()) + 1
        if isinstance(one.layer, DoublingConv):
            height = self.sizes[one.inputs[0]][0]
            return max(0, (first + 1) // 2 - 1), min(height, end // 2 + 1)
        if isinstance(one.layer, nn.Conv2d):
            stride, kernel = one.layer.stride[0], one.layer.kernel_size[0]
            return first * stride, (end - 1) * stride + kernel
        return rows

    def _done(self, place: int, given: list[Tensor], rows: Rows) -> Tensor:
        """Return rows of an operation, from those of its inputs that ``_needed`` says."""
        one = self.operations[place]
        x = given[0]
        result: Tensor
        match one.layer:
            case None:
                return torch.cat(given, 1) if one.is_concatenation else sum(given[1:], x)
            case ReflectionPad():
                width = one.layer.padding[0]
                at = reflected(rows, width, self.sizes[one.inputs[0]][0])
                with without_autocast(x):
                    x = in_order(x, at - at.min(), -2)
                    return nn.functional.pad(x, (width, width, 0, 0), mode="reflect")
            case DoublingConv():
                return self._doubled(one, x, rows)
            case nn.InstanceNorm2d():
                return self._known[one.inputs[0]].normalize(x, one.layer)
            case _:
                result = one.layer(x)
                return result

    def _doubled(self, one: Operation, x: Tensor, rows: Rows) -> Tensor:
        """Return rows of a doubling convolution."""
        assert isinstance(one.layer, DoublingConv)
        first, end = rows
        height = self.sizes[one.inputs[0]][0]
        # Window i, over rows i - 1 and i, makes the doubled rows 2 i - 1 and 2 i.
        windows = (first + 1) // 2, end // 2
        at = torch.arange(windows[0] - 1, windows[1] + 1).clamp(0, height - 1)
        x = in_order(x, at - at.min(), -2)
        x = torch.cat((x[..., :1], x, x[..., -1:]), dim=-1)
        start = first - (2 * windows[0] - 1)
        return one.layer.doubled(x)[..., start : start + end - first, 1:-1]

    def _source(self, place: int, rows: Rows) -> Tensor:
        if place:
            return self._scratch[place].read(rows).to(self.device)
        at = reflected(rows, 0, self.height)  # below the picture, its reflection
        x = self._rows(int(at.min()), int(at.max()) + 1)
        x = in_order(x, at - at.min(), -2).to(self.device)
        missing = -self.width % self.multiple
        return normalized(nn.functional.pad(x, (0, missing, 0, 0), mode="reflect"))

    def _sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Return height and width of each operation's result."""
        sizes = [(height, width)]
        for one in self.operations[1:]:
            sides = sizes[one.inputs[0]]
            if isinstance(one.layer, ReflectionPad):
                around = 2 * one.layer.padding[0]
                sides = sides[0] + around, sides[1] + around
            elif isinstance(one.layer, DoublingConv):
                sides = 2 * sides[0], 2 * sides[1]
            elif isinstance(one.layer, nn.Conv2d):
                kernel, stride = one.layer.kernel_size[0], one.layer.stride[0]
                sides = (sides[0] - kernel) // stride + 1, (sides[1] - kernel) // stride + 1
            sizes.append(sides)
        return sizes

    def _is_on_disk(self, passes: list[Pass]) -> bool:
        """Whether what is stored at one time is too much for the memory."""
        if self.on_disk is not None:
            return self.on_disk
        most = 0
        for number, one_pass in enumerate(passes):
            later = {source for one in passes[number:] for source in one.sources}
            made = {one.target for one in passes[:number] if one.is_kept}
            held = (made & later) | ({one_pass.target} if one_pass.is_kept else set())
            needed = sum(
                2 * self.operations[k].channels * self.sizes[k][0] * self.sizes[k][1] for k in held
            )
            most = max(most, needed)
        return most > min(SCRATCH_SHARE * free_memory(torch.device("cpu")), SCRATCH_MOST)


def reflected(rows: Rows, padding: int, height: int) -> Tensor:
    """Return which source row each row of a reflection-padded picture shows.

    Args:
        rows: Of the padded picture.
        padding: Rows of the reflection at each end, less than ``height``.
        height: Of the source. Columns are counted likewise.
    """
    at = (torch.arange(*rows) - padding).abs()
    return torch.where(at < height, at, 2 * (height - 1) - at)


def in_order(x: Tensor, places: Tensor, dim: int) -> Tensor:
    """Return rows or columns of a picture in another order, as ``index_select`` does.

    It copies whole runs, forwards or backwards: of many channels that is ten times as fast.

    Args:
        x: ``(N, C, H, W)``.
        places: Of the rows or columns, whole numbers.
        dim: -2 for rows, -1 for columns.
    """
    listed = places.tolist()
    parts, begin = [], 0
    while begin < len(listed):
        end = begin + 1
        step = listed[end] - listed[begin] if end < len(listed) else 1
        step = step if step in (1, -1) else 1
        while end < len(listed) and listed[end] - listed[end - 1] == step:
            end += 1
        lowest = min(listed[begin], listed[end - 1])
        run = x.narrow(dim, lowest, end - begin)
        parts.append(run if step == 1 else run.flip(dim))
        begin = end
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)

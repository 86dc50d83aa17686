"""Stylising in strips: a picture of any size in bounded memory, exactly as if done at once.

Instance normalisation looks at the whole picture, so pieces that are normalised by themselves show
seams. Here every layer's statistics are those of the whole picture: the network is run layer by
layer over strips of rows. What stands at quarter resolution between two layers is kept in float16,
in memory or in a temporary file; the few layers at full and half resolution, whose results would
be far larger, are computed again where they are needed, which makes a quarter more work in all.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import IO, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from fast_style.models.network import (
    ConvNorm,
    Residual,
    TransformerNetwork,
    UpsampleConv,
    denormalized,
    normalized,
)
from fast_style.system.hardware import double, exact_float32, free_memory
from fast_style.system.progress import Progress

QUARTER = 4  # px of the picture to a pixel at quarter resolution
ENCODER_HALO = 2  # rows at quarter resolution: 8 px, the encoder looks 7 px far
DECODER_HALO = 4  # the decoder and the output look 11 px far, at most 13
SCRATCH_SHARE = 0.25  # of the free memory, that intermediate results may take;
SCRATCH_MOST = 2**29  # bytes, at the most; what is larger goes to a temporary file
TINY = 1e-30  # keeps the deviation of a flat channel above zero
Rows = tuple[int, int]  # first, and one past the last


class Statistics:
    """Mean and variance of a layer's channels, gathered strip by strip."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros((), dtype=torch.float64)  # (1, C, 1, 1)
        self.squares = torch.zeros(
            (), dtype=torch.float64
        )  # sum of squared distances from the mean

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
    """Rows of activations at quarter resolution, float16.

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
        """Keep rows ``(1, C, rows, W)`` from row ``first`` on."""
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


class Strip(NamedTuple):
    """Rows to make, ``inner``, and the rows around them that it takes, ``outer``."""

    inner: Rows
    outer: Rows

    def cut(self, x: Tensor, scale: int = 1) -> Tensor:
        """Return the inner rows of what was made from the outer ones, at ``scale`` times them."""
        first = (self.inner[0] - self.outer[0]) * scale
        return x[..., first : first + (self.inner[1] - self.inner[0]) * scale, :]


def strips(height: int, rows: int, halo: int) -> Iterator[Strip]:
    """Yield the strips of a picture of ``height`` rows, each of at most ``rows``."""
    for first in range(0, height, rows):
        end = min(first + rows, height)
        yield Strip((first, end), (max(0, first - halo), min(height, end + halo)))


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
    """

    def __init__(
        self,
        network: TransformerNetwork,
        height: int,
        width: int,
        strip: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        on_disk: bool | None = None,
    ) -> None:
        self.network = network
        self.height, self.width = height, width
        self.quarter_height, self.quarter_width = -(-height // QUARTER), -(-width // QUARTER)
        self.rows = max(1, strip // QUARTER)
        self.on_disk = on_disk
        self.device = torch.device(device)
        self.dtype = dtype

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
            progress: Is told after each strip of each layer.
        """
        network = self.network
        channels = max(
            module.out_channels
            for part in (network.encoder[2], network.residual)
            for module in part.modules()
            if isinstance(module, nn.Conv2d)
        )
        on_disk = self.on_disk
        if on_disk is None:
            needed = 2 * 2 * channels * self.quarter_height * self.quarter_width  # two of float16
            free = free_memory(torch.device("cpu"))
            on_disk = needed > min(SCRATCH_SHARE * free, SCRATCH_MOST)
        sizes = (channels, self.quarter_height, self.quarter_width, on_disk)
        self._rows = rows
        parts = (network.encoder, network.residual, network.decoder)  # and the output
        passes = 1 + sum(isinstance(m, nn.InstanceNorm2d) for p in parts for m in p.modules())
        self._share = 1 / (passes * -(-self.quarter_height // self.rows))
        self._progress = progress
        self._trunk = Scratch(*sizes)  # what the residuals are added to
        self._branch = Scratch(*sizes)  # the last convolution, not normalised
        try:
            with exact_float32(self.device):
                self._encode()  # see TransformerNetwork.padded
            is_exact = self.dtype == torch.float32
            with (
                torch.autocast(self.device.type, self.dtype, enabled=not is_exact),
                exact_float32(self.device) if is_exact else nullcontext(),
            ):
                for block in network.residual:
                    assert isinstance(block, Residual)
                    self._run_block(block)
                self._decode(put)
        finally:
            self._trunk.close()
            self._branch.close()

    def _strips(self, halo: int) -> Iterator[Strip]:
        for strip in strips(self.quarter_height, self.rows, halo):
            yield strip
            if self._progress is not None:
                self._progress(self._share)

    def _encode(self) -> None:
        """Leave the encoder's last convolution in the branch."""
        layers = [layer for layer in self.network.encoder if isinstance(layer, ConvNorm)]
        known: list[Statistics] = []
        for depth, layer in enumerate(layers):
            found = Statistics()
            for strip in self._strips(ENCODER_HALO):
                x = normalized(self._picture(strip.outer))
                for before, statistics in zip(layers[:depth], known, strict=True):
                    x = _finish(before, _convolve(before, x), statistics)
                x = strip.cut(_convolve(layer, x), QUARTER // 2 ** min(depth, 2))
                found.add(x)
                if depth == 2:
                    self._write(self._branch, strip.inner[0], x)
            known.append(found)
        last, statistics = layers[-1], known[-1]
        # What the branch stands for until a block has added its own to the trunk.
        self._pending: Callable[[Rows], Tensor] = lambda rows: _finish(
            last, self._read(self._branch, rows, last.outputs), statistics
        )

    def _run_block(self, block: Residual) -> None:
        """Bring the trunk up to date, and leave the block's last convolution in the branch."""
        source = self._pending
        layers = [layer for layer in block.convolutions if isinstance(layer, ConvNorm)]
        trunk = layers[-1].outputs
        for number, layer in enumerate(layers):
            found = Statistics()
            held: list[Callable[[], None]] = []  # of the strip before: its rows are still needed
            for strip in self._strips(_halo(layer)):
                x = source(strip.outer)
                y = strip.cut(_convolve(layer, x))
                found.add(y)
                for write in held:
                    write()
                held = [_later(self._write, self._branch, strip.inner[0], y)]
                if number == 0:
                    held.append(_later(self._write, self._trunk, strip.inner[0], strip.cut(x)))
            for write in held:
                write()
            source = _later_rows(self._finished, layer, found)
        last, statistics = layers[-1], found

        def pending(rows: Rows) -> Tensor:
            branch = _finish(last, self._read(self._branch, rows, trunk), statistics)
            return self._read(self._trunk, rows, trunk) + branch

        self._pending = pending

    def _decode(self, put: Callable[[int, Tensor], None]) -> None:
        """Give out the result."""
        layers = [layer for layer in self.network.decoder if isinstance(layer, UpsampleConv)]
        known: list[Statistics] = []
        for depth in range(len(layers) + 1):
            found = Statistics()
            for strip in self._strips(DECODER_HALO):
                x = self._pending(strip.outer)
                for layer, statistics in zip(layers[:depth], known, strict=True):
                    doubling, norm, relu = layer
                    assert isinstance(norm, nn.InstanceNorm2d)
                    x = relu(statistics.normalize(doubling(x), norm))
                if depth < len(layers):
                    found.add(strip.cut(layers[depth][0](x), 2 ** (depth + 1)))
                    continue
                y = strip.cut(self.network.output(x), QUARTER)
                y = denormalized(y.float())[..., : self.width]
                top = strip.inner[0] * QUARTER
                put(top, y[..., : self.height - top, :].clamp(0, 1))
            known.append(found)

    def _finished(self, layer: ConvNorm, statistics: Statistics, rows: Rows) -> Tensor:
        return _finish(layer, self._read(self._branch, rows, layer.outputs), statistics)

    def _picture(self, rows: Rows) -> Tensor:
        """Return rows of the picture, given at quarter resolution, reflected to whole quarters."""
        first, end = rows[0] * QUARTER, rows[1] * QUARTER
        x = self._rows(first, min(end, self.height)).to(self.device)
        missing = (-self.width % QUARTER, max(0, end - self.height))
        return nn.functional.pad(x, (0, missing[0], 0, missing[1]), mode="reflect")

    def _read(self, scratch: Scratch, rows: Rows, channels: int) -> Tensor:
        return scratch.read(rows)[:, :channels].to(self.device)

    def _write(self, scratch: Scratch, first: int, x: Tensor) -> None:
        missing = scratch.channels - x.shape[1]
        scratch.write(first, nn.functional.pad(x, (0, 0, 0, 0, 0, missing)))


def _convolve(layer: ConvNorm, x: Tensor) -> Tensor:
    padding, convolution = layer[0], layer[1]
    result: Tensor = convolution(padding(x))
    return result


def _finish(layer: ConvNorm, x: Tensor, statistics: Statistics) -> Tensor:
    """Return what the layer makes of its convolution's result."""
    norm = layer[2]
    assert isinstance(norm, nn.InstanceNorm2d)
    x = statistics.normalize(x, norm)
    for module in list(layer)[3:]:  # the ReLU, if it has one
        x = module(x)
    return x


def _halo(layer: ConvNorm) -> int:
    convolution = layer[1]
    assert isinstance(convolution, nn.Conv2d)
    return convolution.kernel_size[0] // 2


def _later(write: Callable[..., None], *arguments: object) -> Callable[[], None]:
    return lambda: write(*arguments)


def _later_rows(read: Callable[..., Tensor], *arguments: object) -> Callable[[Rows], Tensor]:
    return lambda rows: read(*arguments, rows)

"""The layers of the networks that PyTorch has in a slower form: the same results, sooner."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_input, conv2d_weight

from fast_style.system.hardware import exact_float32


def without_autocast(x: Tensor) -> AbstractContextManager[Any]:
    """Return a context without autocast for the device of ``x``, also one that has none."""
    device = x.device.type
    is_mixed = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.autocast(device, enabled=False) if is_mixed else nullcontext()


class ReflectionPad(nn.ReflectionPad2d):
    """Reflection padding by one width on all sides, with a quicker backward pass.

    PyTorch's own goes pixel by pixel on a CPU, and adds in any order on a GPU.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, C, H + 2 width, W + 2 width)`` for ``(N, C, H, W)``, of ``x``'s type."""
        width = self.padding[0]
        if not width:
            return x
        # Autocast would have it in float32 on a CPU, and the next convolution take it back.
        with without_autocast(x):
            is_traced = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
            if x.requires_grad and not (is_traced or torch.compiler.is_compiling()):
                padded: Tensor = _Reflection.apply(x, width)
                return padded
            return super().forward(x)


class _Reflection(torch.autograd.Function):
    """Reflection padding, whose backward pass folds the border back onto what it mirrors."""

    @staticmethod
    def forward(x: Tensor, width: int) -> Tensor:
        return F.pad(x, (width,) * 4, mode="reflect")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int], output: Tensor) -> None:
        ctx.width = inputs[1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        gradient, width = gradients[0], ctx.width
        for axis in (-1, -2):
            size = gradient.shape[axis] - 2 * width
            inner = gradient.narrow(axis, width, size).clone()
            before, after = gradient.narrow(axis, 0, width), gradient.narrow(axis, -width, width)
            inner.narrow(axis, 1, width).add_(before.flip(axis))
            inner.narrow(axis, size - width - 1, width).add_(after.flip(axis))
            gradient = inner
        return gradient, None


class DoublingConv(nn.Conv2d):
    """Nearest-neighbour doubling, reflection padding and a 3 x 3 convolution, in one.

    Of the nine taps on a doubled picture several fall on the same pixel, so four 2 x 2
    convolutions before doubling, one for each place in a doubled pixel, give the same result with
    2.25 times fewer operations. All four look at the same 2 x 2 window: they are one convolution,
    whose channels are then interleaved.

    Source: Odena et al. 2016, "Deconvolution and Checkerboard Artifacts", for doubling before
        convolving: a transposed convolution overlaps unevenly and leaves a grid in the picture.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, kernel_size=3)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, outputs, 2 H, 2 W)`` for ``(N, inputs, H, W)``."""
        # The doubled picture's reflection at its border is the pixel itself, once more. (Not by
        # padding in mode "replicate": torch.compile has a wrong layout for its backward pass.)
        x = torch.cat((x[..., :1, :], x, x[..., -1:, :]), dim=-2)
        x = torch.cat((x[..., :1], x, x[..., -1:]), dim=-1)
        return self.doubled(x)[..., 1:-1, 1:-1]

    def doubled(self, x: Tensor) -> Tensor:
        """Return ``(N, outputs, 2 H + 2, 2 W + 2)`` for a picture with a border of a pixel.

        Args:
            x: ``(N, inputs, H + 2, W + 2)``. Of the result the outermost pixels are too much.
        """
        weight, bias = self.folded()
        return F.pixel_shuffle(F.conv2d(x, weight, bias), 2)

    def folded(self) -> tuple[Tensor, Tensor | None]:
        """Return the four convolutions as one, ``(4 outputs, inputs, 2, 2)``, and its bias.

        Its channels are as ``pixel_shuffle`` takes them.
        """
        # Window i, over rows i - 1 and i of x, gives the doubled rows 2 i - 1 (first of the four
        # kernels' rows) and 2 i: a cropped border of one row is all that is too much.
        w = _fold(_fold(self.weight, 2), 4)  # (O, I, 3, 3) to (O, I, 2, 2, 2, 2)
        o, i = w.shape[:2]
        # (O, I, place, tap, place, tap) to (O * 4, I, tap, tap), as pixel_shuffle wants them.
        w = w.permute(0, 2, 4, 1, 3, 5).reshape(o * 4, i, 2, 2)
        return w, None if self.bias is None else self.bias.repeat_interleave(4)


def _fold(weight: Tensor, axis: int) -> Tensor:
    """Return, for one axis of three taps, the two taps of each place in a doubled pixel.

    The doubled row 2 i - 1 is row i - 1 twice (its own and the tap before) and row i; the doubled
    row 2 i is row i - 1 once and row i twice. The axis becomes (place, tap).
    """
    first, middle, last = weight.unbind(axis)
    odd = torch.stack([first + middle, last], axis)
    even = torch.stack([first, middle + last], axis)
    return torch.stack([odd, even], axis)


class ThinConv(nn.Conv2d):
    """A convolution to few channels, without padding or stride, as fast as one to many.

    CPUs and GPUs compute 8 or 16 output channels at a time, and for three of them throw the rest
    away. The rows of the kernel are taken for output channels of their own here, so that a kernel
    of 9 x 9 to three channels becomes one of 1 x 9 to 27, whose results are then added, each moved
    by its row: forward and backward 2.4 times as fast on a CPU, 3.6 times on a GPU (measured: 264 x
    264 px, 32 channels, one picture and eight; on the GPU with a slower backward pass of the sum).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, outputs, H - kernel + 1, W - kernel + 1)`` for ``(N, inputs, H, W)``.

        In training in the weights' type, whatever autocast and TF32 say: the loss sees the result
        in steps far finer than a level of 255, see VGG16Features.
        """
        if not self.training:
            return self._convolved(x)
        with without_autocast(x), exact_float32(x.device):
            return self._convolved(x)

    def _convolved(self, x: Tensor) -> Tensor:
        is_traced = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        is_eager = x.requires_grad and not (is_traced or torch.compiler.is_compiling())
        is_mixed = self.training and x.dtype != self.weight.dtype
        on_cpu = x.device.type == "cpu"
        if is_mixed and not (on_cpu and is_eager):
            x = x.to(self.weight.dtype)
        if x.device.type == "cuda" and is_eager:
            return self.in_few_kernels(x)
        if not on_cpu:
            return super().forward(x)
        weight = self.by_rows()
        y: Tensor
        y = _ExactConv.apply(x, weight) if is_mixed and is_eager else F.conv2d(x, weight)
        height = x.shape[-2] - self.kernel_size[0] + 1
        assert self.bias is not None
        result: Tensor = self.bias.view(1, -1, 1, 1)  # float32, as the sum is then
        for row, part in enumerate(torch.split(y, self.out_channels, 1)):
            result = result + part[..., row : row + height, :]
        return result

    def in_few_kernels(self, x: Tensor) -> Tensor:
        """Return what ``forward`` does, as a GPU is quickest at it: one sum of all rows."""
        outputs, _, rows, _ = self.weight.shape
        weight = self.by_rows()
        missing = -len(weight) % 8  # tensor cores want channels by eights
        y = F.conv2d(x, F.pad(weight, (0, 0, 0, 0, 0, 0, 0, missing)))
        assert self.bias is not None
        result: Tensor = _SumOfRows.apply(y, outputs, rows) + self.bias.view(1, -1, 1, 1)
        return result

    def by_rows(self) -> Tensor:
        """Return the weights by row of the kernel, ``(rows * outputs, inputs, 1, columns)``."""
        outputs, inputs, rows, columns = self.weight.shape
        return self.weight.permute(2, 0, 1, 3).reshape(rows * outputs, inputs, 1, columns)


class _ExactConv(torch.autograd.Function):
    """A convolution in its weights' type, with the backward pass in its input's, a shorter one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x.to(weight.dtype), weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        gradient = gradients[0].to(x.dtype)
        return (
            conv2d_input(x.shape, weight.to(x.dtype), gradient),
            conv2d_weight(x, weight.shape, gradient).to(weight.dtype),
        )


class _SumOfRows(torch.autograd.Function):
    """The sum of what each row of a kernel gives, moved by its row; channels are (row, output).

    Autograd takes the strides for overlapping, and would add each element by its index.
    """

    @staticmethod
    def forward(ctx: Any, y: Tensor, outputs: int, rows: int) -> Tensor:
        ctx.kernel, ctx.layout = (outputs, rows), (y.shape, y.stride())
        return _rows(y, outputs, rows).sum(-1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        gradient = gradients[0]
        result = gradient.new_empty_strided(*ctx.layout).zero_()
        rows = _rows(result, *ctx.kernel)
        rows.copy_(gradient.unsqueeze(-1).expand(rows.shape))
        return result, None, None


def _rows(y: Tensor, outputs: int, rows: int) -> Tensor:
    """Return a view of what to add, ``(N, outputs, H - rows + 1, W, rows)``."""
    n, _, height, width = y.shape
    image, channel, line, pixel = y.stride()
    shape = (n, outputs, height - rows + 1, width, rows)
    return y.as_strided(shape, (image, channel, line, pixel, outputs * channel + line))

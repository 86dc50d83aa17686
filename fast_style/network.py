"""The transformer networks, photograph in, picture out: plain modules, no training.

Images are ``(N, 3, H, W)``, RGB in [0, 1]; the networks' own scaling lives inside them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fast_style.checks import check_image

SMALLEST_SIDE = 32  # px; below it reflection padding has nothing left to reflect
# The networks work on (image - MEAN) / SPREAD: VGG's training mean, and 64 of 255 levels.
MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)
SPREAD = 64 / 255
# Bounds on what a model file may ask for, far beyond anything useful.
MOST_CHANNELS = 4096
MOST_BLOCKS = 64


class ReflectionPad(nn.ReflectionPad2d):
    """Reflection padding by one width on all sides, with a quicker backward pass.

    PyTorch's own takes about 2 % of a training step on a CPU, and adds in any order on a GPU.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, C, H + 2 width, W + 2 width)`` for ``(N, C, H, W)``."""
        width = self.padding[0]
        if not width:
            return x
        if x.requires_grad and not torch.compiler.is_compiling():
            padded: Tensor = _Reflection.apply(x, width)
            return padded
        return super().forward(x)


class _Reflection(torch.autograd.Function):
    """Reflection padding, whose backward pass folds the border back onto what it mirrors."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, width: int) -> Tensor:
        ctx.width = width
        return F.pad(x, (width,) * 4, mode="reflect")

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


class ConvNorm(nn.Sequential):
    """Reflection padding, convolution, instance normalisation and, if asked, ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel_size: int, stride: int = 1, relu: bool = True
    ) -> None:
        layers: list[nn.Module] = [
            ReflectionPad(kernel_size // 2),
            nn.Conv2d(inputs, outputs, kernel_size, stride),
            nn.InstanceNorm2d(outputs, affine=True),
        ]
        super().__init__(*layers, *([nn.ReLU()] if relu else []))
        self.outputs = outputs


class Residual(nn.Module):
    """Convolutions beside the identity, nothing after the sum (He et al. 2016)."""

    def __init__(self, *convolutions: nn.Module) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(*convolutions)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` plus its residual; the shape stays."""
        residual: Tensor = self.convolutions(x)
        return x + residual


def basic_block(channels: int) -> Residual:
    """Return a residual of two 3 x 3 convolutions."""
    return Residual(ConvNorm(channels, channels, 3), ConvNorm(channels, channels, 3, relu=False))


def bottleneck_block(channels: int) -> Residual:
    """Return a residual of a 3 x 3 convolution at half the width, between two of 1 x 1."""
    inner = max(1, channels // 2)
    return Residual(
        ConvNorm(channels, inner, 1),
        ConvNorm(inner, inner, 3),
        ConvNorm(inner, channels, 1, relu=False),
    )


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
        weight, bias = self.folded()
        # The doubled picture's reflection at its border is the pixel itself, once more. (Not by
        # padding in mode "replicate": torch.compile has a wrong layout for its backward pass.)
        x = torch.cat((x[..., :1, :], x, x[..., -1:, :]), dim=-2)
        x = torch.cat((x[..., :1], x, x[..., -1:]), dim=-1)
        y = F.pixel_shuffle(F.conv2d(x, weight, bias), 2)
        return y[..., 1:-1, 1:-1]

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
    """A convolution to few channels, without padding or stride, as fast as one to many on a CPU.

    There convolutions compute 16 output channels at a time, and for three of them throw the rest
    away. The rows of the kernel are taken for output channels of their own here, so that a kernel
    of 9 x 9 to three channels becomes one of 1 x 9 to 27, whose results are then added, each moved
    by its row: 2.4 times as fast forward and backward (measured: 264 x 264 px, 32 channels).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, outputs, H - kernel + 1, W - kernel + 1)`` for ``(N, inputs, H, W)``."""
        if x.device.type != "cpu":
            return super().forward(x)
        y = F.conv2d(x, self.by_rows())
        height = x.shape[-2] - self.kernel_size[0] + 1
        assert self.bias is not None
        result: Tensor = self.bias.view(1, -1, 1, 1)  # float32, as the sum is then
        for row, part in enumerate(torch.split(y, self.out_channels, 1)):
            result = result + part[..., row : row + height, :]
        return result

    def by_rows(self) -> Tensor:
        """Return the weights by row of the kernel, ``(rows * outputs, inputs, 1, columns)``."""
        outputs, inputs, rows, columns = self.weight.shape
        return self.weight.permute(2, 0, 1, 3).reshape(rows * outputs, inputs, 1, columns)


class UpsampleConv(nn.Sequential):
    """A doubling convolution, instance normalisation and ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            DoublingConv(inputs, outputs), nn.InstanceNorm2d(outputs, affine=True), nn.ReLU()
        )


class Design(NamedTuple):
    """In what one network differs from another, beside its widths."""

    outer_kernel: int  # px, of the first and the last convolution
    block: Callable[[int], nn.Module]


DESIGNS = {
    # Johnson et al. 2016 and its supplement.
    "johnson": Design(9, basic_block),
    # A tenth of Johnson's operations a pixel, for phones, browsers and CPUs.
    "slim": Design(5, bottleneck_block),
}


class TransformerNetwork(nn.Module):
    """Two halvings, residual blocks at quarter resolution, two doublings.

    Args:
        name: One of ``DESIGNS``.
        channels: Widths at full, half and quarter resolution.
        residual_blocks: How many residual blocks at quarter resolution.

    Raises:
        ValueError: Another name, ``channels`` is not three widths, or a number is out of range.

    Source: Johnson, Alahi & Fei-Fei 2016, arXiv:1603.08155, and its supplement.
    Departs: instance for batch normalisation (Ulyanov et al. 2016, arXiv:1607.08022); reflection
        padding at each convolution; nearest upsampling and convolution for transposed
        convolution; a linear output for the scaled tanh, which saturates.
    """

    def __init__(self, name: str, channels: Sequence[int], residual_blocks: int) -> None:
        super().__init__()
        if not isinstance(name, str) or name not in DESIGNS:
            raise ValueError(f"network.name must be {' or '.join(DESIGNS)}, found {name!r}")
        numbers = [*channels, residual_blocks] if isinstance(channels, list | tuple) else [None]
        if not all(type(number) is int for number in numbers):
            raise ValueError(
                "network.channels must be a list of three whole numbers and "
                "network.residual_blocks a whole number; "
                f"found {channels!r} and {residual_blocks!r}"
            )
        if len(channels) != 3 or not all(1 <= width <= MOST_CHANNELS for width in channels):
            raise ValueError(
                f"network.channels must be three widths from 1 to {MOST_CHANNELS}, found {channels}"
            )
        if not 0 <= residual_blocks <= MOST_BLOCKS:
            raise ValueError(
                f"network.residual_blocks must be 0 to {MOST_BLOCKS}, found {residual_blocks}"
            )
        full, half, quarter = channels
        outer = DESIGNS[name].outer_kernel
        self.encoder = nn.Sequential(
            ConvNorm(3, full, outer),
            ConvNorm(full, half, 3, stride=2),
            ConvNorm(half, quarter, 3, stride=2),
        )
        self.residual = nn.Sequential(
            *[DESIGNS[name].block(quarter) for _ in range(residual_blocks)]
        )
        self.decoder = nn.Sequential(UpsampleConv(quarter, half), UpsampleConv(half, full))
        self.output = nn.Sequential(ReflectionPad(outer // 2), ThinConv(full, 3, outer))
        # Start near flat grey: from a larger start training was seen to collapse into patches.
        nn.init.normal_(self.output[1].get_parameter("weight"), std=0.01)
        nn.init.zeros_(self.output[1].get_parameter("bias"))

    def forward(self, image: Tensor) -> Tensor:
        """Return the stylised picture.

        Args:
            image: ``(N, 3, H, W)``, floating point, in [0, 1], H and W at least 32.

        Returns:
            ``(N, 3, H, W)``, about [0, 1] but not clamped; the same H and W for any input.

        Raises:
            ValueError: The image has another shape, is not floating point, or is too small.
        """
        check_image(image, SMALLEST_SIDE)
        height, width = image.shape[-2:]
        return self.padded(image)[..., :height, :width]

    def padded(self, image: Tensor) -> Tensor:
        """Return the stylised picture, continued to the right and below to multiples of 4 px."""
        height, width = image.shape[-2:]
        x = normalized(image)
        x = F.pad(x, (0, -width % 4, 0, -height % 4), mode="reflect")  # two halvings, exactly
        # Under autocast some layers stay in the picture's own type. In training the last: the loss
        # sees the result in steps far finer than a level of 255, see VGG16Features. Later the
        # first ones: instance normalisation enlarges the steps of a plain sky in bfloat16.
        device = x.device.type
        is_mixed = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
        exact = torch.autocast(device, enabled=False) if is_mixed else nullcontext()
        with nullcontext() if self.training else exact:
            x = self.encoder(x)
        x = self.decoder(self.residual(x))
        with exact if self.training else nullcontext():
            y: Tensor = self.output(x.to(image.dtype) if is_mixed and self.training else x)
        return denormalized(y.to(image.dtype))


def normalized(image: Tensor) -> Tensor:
    """Return an image ``(N, 3, H, W)`` in [0, 1] as the networks' convolutions take it."""
    return (image - image.new_tensor(MEAN).view(1, 3, 1, 1)) / SPREAD


def denormalized(output: Tensor) -> Tensor:
    """Return the last convolution's output as an image: the reverse of ``normalized``."""
    return output * SPREAD + output.new_tensor(MEAN).view(1, 3, 1, 1)


def build_network(description: Any) -> TransformerNetwork:
    """Return a new network from plain data: ``{"name": "johnson", "channels": ..., ...}``.

    Raises:
        ValueError: Not such a description, an unknown name, or a number out of its range.
    """
    keys = {"name", "channels", "residual_blocks"}
    if not isinstance(description, dict) or description.keys() != keys:
        raise ValueError(f"a network has {', '.join(sorted(keys))}; found {description!r}")
    return TransformerNetwork(**description)

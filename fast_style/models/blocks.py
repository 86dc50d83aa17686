"""The building blocks of networks: convolutions with normalisation, residuals, upsampling."""

from __future__ import annotations

from torch import Tensor, nn

from fast_style.models.layers import DoublingConv, ReflectionPad, without_autocast
from fast_style.system.precision import exact_float32


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


class UpsampleConv(nn.Sequential):
    """A doubling convolution, instance normalisation and ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            DoublingConv(inputs, outputs), nn.InstanceNorm2d(outputs, affine=True), nn.ReLU()
        )


class Exact(nn.Sequential):
    """The first layers of a network: in full float32 whenever a picture is painted, without TF32.

    Instance normalisation amplifies the small differences in a plain sky, and with them the
    rounding steps of bfloat16. Without this class, skies were 20 to 30 levels of 255 off.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the layers' result for ``x``; in training autocast decides the type."""
        if self.training:
            return self._applied(x)
        with without_autocast(x), exact_float32(x.device):
            return self._applied(x)

    def _applied(self, x: Tensor) -> Tensor:
        result: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        return result

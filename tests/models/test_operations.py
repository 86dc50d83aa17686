"""A design of another shape than ours: what follows from its modules alone."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fast_style.models.blocks import ConvNorm, Exact, UpsampleConv, basic_block
from fast_style.models.layers import ReflectionPad, ThinConv
from fast_style.models.network import StyleNetwork, build_network
from fast_style.models.operations import UnsupportedNetworkError, operations
from fast_style.painting.backends import build_runner
from fast_style.painting.strips import StripPainter


class Branched(StyleNetwork):
    """A branch at an eighth of the resolution, and results that skip from encoder to decoder."""

    multiple: ClassVar[int] = 8

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.first = Exact(ConvNorm(3, width, 5))
        self.halved = ConvNorm(width, width, 3, 2)
        self.quartered = ConvNorm(width, 2 * width, 3, 2)
        self.branch = nn.Sequential(
            ConvNorm(2 * width, 2 * width, 3, 2),
            basic_block(2 * width),
            UpsampleConv(2 * width, 2 * width),
        )
        self.block = basic_block(4 * width)
        self.up = nn.ModuleList([UpsampleConv(4 * width, width), UpsampleConv(2 * width, width)])
        self.last = nn.Sequential(ReflectionPad(2), ThinConv(width, 3, 5))
        nn.init.normal_(self.last[1].get_parameter("weight"), std=0.05)

    def body(self, x: Tensor) -> Tensor:
        full = self.first(x)
        half = self.halved(full)
        quarter = self.quartered(half)
        quarter = self.block(torch.cat((quarter, self.branch(quarter)), dim=1))
        half = torch.cat((self.up[0](quarter), half), dim=1)
        painted: Tensor = self.last(self.up[1](half) + full)
        return painted


class Odd(Branched):
    """As the other, with something in its body that can be exchanged."""

    def __init__(self, step: object) -> None:
        super().__init__()
        self.step = step

    def body(self, x: Tensor) -> Tensor:
        return self.step(super().body(x))  # type: ignore[operator, no-any-return]


@pytest.fixture(scope="module")
def network() -> StyleNetwork:
    torch.manual_seed(0)
    return Branched().eval().requires_grad_(False)


def picture(height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(1, 3, height, width, generator=generator)
    return noise * torch.linspace(0.1, 1, height).view(1, 1, -1, 1)


@pytest.mark.parametrize("size", [(32, 32), (61, 47), (131, 66)])
@pytest.mark.parametrize(("strip", "on_disk"), [(1, False), (20, True), (999, False)])
def test_strips_and_whole_agree(
    network: StyleNetwork, size: tuple[int, int], strip: int, on_disk: bool
) -> None:
    image = picture(*size)
    result = torch.full_like(image, float("nan"))

    def put(top: int, piece: Tensor) -> None:
        result[..., top : top + piece.shape[-2], :] = piece

    painter = StripPainter(network, *size, strip, on_disk=on_disk)
    painter.paint(lambda first, end: image[..., first:end, :], put)
    difference = (result - network(image).clamp(0, 1)).abs() * 255
    assert float(difference.mean()) < 0.1
    assert float(difference.max()) < 2


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_other_runtimes_agree(network: StyleNetwork, backend: str) -> None:
    pytest.importorskip(backend)
    image = picture(61, 47)
    run = build_runner(backend, network, torch.device("cpu"), torch.float32)
    found, wanted = (result.clamp(0, 1) for result in (run(image), network(image)))
    assert float((found - wanted).abs().max()) < 1e-4


def test_it_learns() -> None:
    torch.manual_seed(0)
    trained = Branched()
    optimizer = torch.optim.Adam(trained.parameters(), lr=1e-2)
    image, wanted = picture(32, 32), 1 - picture(32, 32)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = F.mse_loss(trained(image), wanted)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


def test_what_the_released_networks_compute() -> None:
    found = operations(
        build_network({"name": "slim", "channels": [4, 8, 16], "residual_blocks": 1})
    )
    assert (found[0].name, found[-1].name) == ("picture", "output.1")
    assert max(one.down for one in found) == 4
    assert {one.name.split(".")[0] for one in found if one.exact} == {"encoder"}


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (nn.Tanh(), "found tanh"),
        (lambda x: x * 2, "found unsupported operand"),
        (nn.Conv2d(3, 3, 3, padding=1), "put a ReflectionPad before it"),
        (nn.Conv2d(3, 8, 1), "found 8 channels"),
        (nn.InstanceNorm2d(3), "must be affine"),
        (lambda x: torch.cat((x, x), dim=2), "found cat"),
    ],
)
def test_what_is_not_known_is_refused(step: object, message: str) -> None:
    with pytest.raises(UnsupportedNetworkError, match=message):
        operations(Odd(step))

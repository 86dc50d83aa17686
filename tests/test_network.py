from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fast_style.network import DoublingConv, JohnsonNetwork, build_network

TINY: dict[str, Any] = {"name": "johnson", "channels": [4, 4, 8], "residual_blocks": 1}


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return build_network(TINY)


def test_the_default_is_johnsons() -> None:
    network = build_network({"name": "johnson", "channels": [32, 64, 128], "residual_blocks": 5})
    assert sum(p.numel() for p in network.parameters()) == 1_679_235
    kernels = [m.kernel_size[0] for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert kernels == [9, 3, 3] + [3] * 10 + [3, 3] + [9]
    assert not any(isinstance(m, nn.ConvTranspose2d) for m in network.modules())
    norms = [m for m in network.modules() if isinstance(m, nn.InstanceNorm2d)]
    assert len(norms) == 15
    assert all(norm.affine and not norm.track_running_stats for norm in norms)


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (34, 35), (65, 38), (32, 63)])
def test_any_size_is_kept(network: nn.Module, size: tuple[int, int]) -> None:
    assert network(torch.rand(1, 3, *size)).shape == (1, 3, *size)


def test_sizes_between_are_reflected_to_the_next_multiple_of_four(network: nn.Module) -> None:
    image = torch.rand(1, 3, 34, 45)
    padded = nn.functional.pad(image, (0, 3, 0, 2), mode="reflect")
    assert torch.equal(network(image), network(padded)[..., :34, :45])


@pytest.mark.parametrize("size", [(6, 9), (1, 1), (2, 7)])
def test_a_doubling_convolution_is_upsampling_and_convolution(size: tuple[int, int]) -> None:
    torch.manual_seed(1)
    doubling = DoublingConv(5, 7).double()
    x = torch.rand(2, 5, *size, dtype=torch.float64)
    doubled = nn.functional.interpolate(x, scale_factor=2, mode="nearest")
    padded = nn.functional.pad(doubled, (1, 1, 1, 1), mode="reflect")
    expected = nn.functional.conv2d(padded, doubling.weight, doubling.bias)
    torch.testing.assert_close(doubling(x), expected, atol=1e-12, rtol=0)


def test_the_start_is_near_flat_grey(network: nn.Module) -> None:
    stylized = network(torch.rand(2, 3, 64, 64))
    mean = torch.tensor([123.68, 116.779, 103.939]) / 255
    torch.testing.assert_close(stylized.mean((0, 2, 3)), mean, atol=0.05, rtol=0)
    assert stylized.std() < 0.15


def test_photographs_of_a_batch_do_not_touch_each_other(network: nn.Module) -> None:
    batch = torch.rand(3, 3, 40, 36)
    together = network(batch)
    alone = torch.cat([network(photograph[None]) for photograph in batch])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_contrast_and_brightness_are_discarded(network: nn.Module) -> None:
    """What instance normalisation is for: a faded photograph gives nearly the same picture."""
    image = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(network(image * 0.5 + 0.2), network(image), atol=0.02, rtol=0)


def test_gradients_reach_every_weight_and_the_picture() -> None:
    network = build_network(TINY)
    image = torch.rand(2, 3, 32, 32, requires_grad=True)
    network(image).square().sum().backward()
    assert image.grad is not None
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    weights = [p for n, p in network.named_parameters() if n.endswith("weight")]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in weights)


def test_the_image_is_left_alone(network: nn.Module) -> None:
    image = torch.rand(1, 3, 33, 32)
    before = image.clone()
    network(image)
    assert torch.equal(image, before)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.rand(1, 3, 31, 64), "64 x 31 px; at least 32 x 32"),
        (torch.rand(3, 64, 64), r"found \(3, 64, 64\)"),
        (torch.rand(1, 1, 64, 64), r"found \(1, 1, 64, 64\)"),
        (torch.zeros(1, 3, 64, 64, dtype=torch.uint8), "floating-point image .* torch.uint8"),
    ],
)
def test_bad_images(network: nn.Module, image: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(image)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "resnet"}, "network.name must be johnson, found 'resnet'"),
        ({"channels": [4, 4]}, "three widths from 1 to 4096"),
        ({"channels": [4, 0, 8]}, "three widths from 1 to 4096"),
        ({"channels": [4, 4, 5000]}, "three widths from 1 to 4096"),
        ({"channels": [4, 4, 8.0]}, "list of three whole numbers"),
        ({"channels": [4, 4, True]}, "list of three whole numbers"),
        ({"channels": "444"}, "list of three whole numbers"),
        ({"channels": None}, "list of three whole numbers"),
        ({"residual_blocks": -1}, "residual_blocks must be 0 to 64, found -1"),
        ({"residual_blocks": 10**9}, "residual_blocks must be 0 to 64"),
        ({"residual_blocks": "five"}, "list of three whole numbers"),
        ({"width": 3}, "takes channels"),
    ],
)
def test_bad_descriptions(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_network(TINY | changes)


def test_not_a_description() -> None:
    with pytest.raises(ValueError, match="expected a dictionary"):
        build_network("johnson")


def test_bare_constructor_checks_too() -> None:
    with pytest.raises(ValueError, match="three widths"):
        JohnsonNetwork(channels=(1, 2, 0))

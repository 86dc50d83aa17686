from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from support import TINY_NETWORK
from torch import Tensor, nn

from fast_style.models.layers import DoublingConv, ReflectionPad, ThinConv
from fast_style.models.network import build_network, network_names


@pytest.fixture(scope="module", params=network_names())
def network(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return build_network(TINY_NETWORK | {"name": request.param})


@pytest.fixture
def trained(network: nn.Module) -> nn.Module:
    """Return a network whose output depends on its input as much as a trained one's."""
    copy = deepcopy(network)
    nn.init.normal_(copy.get_parameter("output.1.weight"), std=0.1)
    return copy


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
    weights = network.get_parameter("output.1.weight")
    assert float(weights.detach().std()) == pytest.approx(0.01, rel=0.3)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("way", [ThinConv.forward, ThinConv.in_few_kernels])
@pytest.mark.parametrize("kernel", [1, 5, 9])
def test_a_thin_convolution_is_a_convolution(
    kernel: int, way: Callable[..., Tensor], memory_format: torch.memory_format
) -> None:
    thin = ThinConv(4, 3, kernel).double().to(memory_format=memory_format)
    x = torch.rand(2, 4, 12, 15, dtype=torch.float64).to(memory_format=memory_format)
    x.requires_grad_()
    expected = F.conv2d(x, thin.weight, thin.bias)
    torch.testing.assert_close(way(thin, x), expected)
    assert thin.bias is not None
    inputs = (x, thin.weight, thin.bias)
    upstream = torch.rand_like(expected)
    found = torch.autograd.grad(way(thin, x), inputs, upstream)
    for one, other in zip(found, torch.autograd.grad(expected, inputs, upstream), strict=True):
        torch.testing.assert_close(one, other)


def test_a_thin_convolution_in_training_is_exact_whatever_it_gets() -> None:
    """It adds in its weights' type; the gradient is in its input's, to that type's precision."""
    torch.manual_seed(0)
    thin = ThinConv(4, 3, 5)
    x = torch.rand(2, 4, 12, 15).bfloat16().requires_grad_()
    assert thin.bias is not None
    inputs = (x, thin.weight, thin.bias)
    upstream = torch.rand(2, 3, 8, 11)
    with torch.autocast("cpu", torch.bfloat16):
        found = thin(x)
        coarse = thin.eval()(x)
    expected = F.conv2d(x.float(), thin.weight, thin.bias)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
    assert (coarse - expected).abs().max() > 1e-4  # what it would be otherwise
    gradients = torch.autograd.grad(found, inputs, upstream)
    assert [gradient.dtype for gradient in gradients] == [each.dtype for each in inputs]
    for one, other in zip(gradients, torch.autograd.grad(expected, inputs, upstream), strict=True):
        assert (one - other).norm() < 0.01 * other.norm()


@pytest.mark.filterwarnings("ignore")  # PyTorch advises against tracing
def test_a_traced_thin_convolution_takes_other_sizes() -> None:
    thin = ThinConv(4, 3, 5)
    traced = torch.jit.trace(thin, torch.rand(1, 4, 16, 16, requires_grad=True))
    x = torch.rand(1, 4, 24, 20)
    torch.testing.assert_close(traced(x), thin(x))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("width", [0, 1, 4, 8])
def test_padding_is_reflection_forward_and_backward(width: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 3, 9, 11, dtype=dtype, requires_grad=True)
    plain, ours = nn.ReflectionPad2d(width)(x), ReflectionPad(width)(x)
    weights = torch.rand_like(plain)
    torch.testing.assert_close(ours, plain, rtol=0, atol=0)
    torch.testing.assert_close(
        torch.autograd.grad((ours * weights).sum(), x),
        torch.autograd.grad((plain * weights).sum(), x),
    )


@pytest.mark.parametrize("grad", [False, True])
def test_padding_stays_in_its_type_under_autocast(grad: bool) -> None:
    x = torch.rand(1, 3, 9, 11, dtype=torch.bfloat16, requires_grad=grad)
    with torch.autocast("cpu", torch.bfloat16):
        padded = ReflectionPad(2)(x)
    assert padded.dtype == torch.bfloat16
    assert torch.equal(padded, nn.ReflectionPad2d(2)(x))


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_padding_can_be_traced_and_saved_while_it_is_trained(tmp_path: Path) -> None:
    layers = nn.Sequential(nn.Conv2d(3, 4, 1), ReflectionPad(2))
    x = torch.rand(1, 3, 9, 11)
    torch.jit.save(torch.jit.trace(layers, x), tmp_path / "traced.pt")
    torch.testing.assert_close(torch.jit.load(tmp_path / "traced.pt")(x), layers(x))


def test_slim_has_a_tenth_of_johnsons_operations() -> None:
    """Multiplications of the convolutions, by hooks; the doubling ones at their 2 x 2 taps."""
    counts = {}
    for name, channels in (("johnson", [32, 64, 128]), ("slim", [16, 32, 64])):
        network = build_network({"name": name, "channels": channels, "residual_blocks": 5})
        total = 0

        def count(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            nonlocal total
            assert isinstance(module, nn.Conv2d)
            taps = 4 if isinstance(module, DoublingConv) else module.weight[0, 0].numel()
            total += output[0].numel() * module.in_channels * taps

        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(count)
        with torch.no_grad():
            network(torch.rand(1, 3, 64, 64))
        counts[name] = total
    assert counts["johnson"] > 10 * counts["slim"]


def test_photographs_of_a_batch_do_not_touch_each_other(trained: nn.Module) -> None:
    batch = torch.rand(3, 3, 40, 36)
    together = trained(batch)
    alone = torch.cat([trained(photograph[None]) for photograph in batch])
    assert (alone[0] - alone[1]).abs().mean() > 0.05
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_contrast_and_brightness_are_discarded(
    trained: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What instance normalisation is for: a faded photograph gives nearly the same picture."""
    image = torch.rand(1, 3, 64, 64)
    faded = (trained(image * 0.5 + 0.2) - trained(image)).abs().mean()
    assert faded < 0.01
    for module in trained.modules():
        if isinstance(module, nn.InstanceNorm2d):
            monkeypatch.setattr(module, "forward", lambda x: x)
    assert (trained(image * 0.5 + 0.2) - trained(image)).abs().mean() > 5 * faded


def test_gradients_reach_every_weight_and_the_picture() -> None:
    network = build_network(TINY_NETWORK)
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
        (torch.rand(1, 3, 31, 64), "64 x 31 px.* 32 x 32"),
        (torch.rand(3, 64, 64), r"\(3, 64, 64\)"),
        (torch.rand(1, 1, 64, 64), r"\(1, 1, 64, 64\)"),
        (torch.zeros(1, 3, 64, 64, dtype=torch.uint8), "floating-point .*torch.uint8"),
    ],
)
def test_bad_images(network: nn.Module, image: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(image)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "resnet"}, "network.name .*johnson.*slim.* 'resnet'"),
        ({"channels": [4, 4]}, "widths .*1 to 4096"),
        ({"channels": [4, 0, 8]}, "widths .*1 to 4096"),
        ({"channels": [4, 4, 5000]}, "widths .*1 to 4096"),
        ({"channels": [4, 4, 8.0]}, "three whole numbers"),
        ({"channels": [4, 4, True]}, "three whole numbers"),
        ({"channels": "444"}, "three whole numbers"),
        ({"channels": None}, "three whole numbers"),
        ({"residual_blocks": -1}, "residual_blocks .*0 to 64.* -1"),
        ({"residual_blocks": 10**9}, "residual_blocks .*0 to 64"),
        ({"residual_blocks": "five"}, "three whole numbers"),
        ({"width": 3}, "channels, name, residual_blocks; .*width"),
    ],
)
def test_bad_descriptions(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_network(TINY_NETWORK | changes)


def test_not_a_description() -> None:
    with pytest.raises(ValueError, match="name.*'johnson'"):
        build_network("johnson")


def test_bare_constructor_checks_too() -> None:
    with pytest.raises(ValueError, match="three widths"):
        build_network({"name": "johnson", "channels": [1, 2, 0], "residual_blocks": 5})

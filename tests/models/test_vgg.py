from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from fast_style.models.losses import gram_matrix
from fast_style.models.vgg import (
    CAFFE_SCALING,
    CONVOLUTIONS,
    TORCHVISION_SCALING,
    VGG_LAYERS,
    VGG16Features,
    VGGWeightsError,
    canonical_layer,
    load_weights,
    smallest_side,
)
from fast_style.system.resources import asset

# Activations of the released weights in float64 for `reference_input`: mean, standard deviation,
# maximum, and trace of the Gram matrix.
REFERENCE = {
    "relu1_1": (45.23107405465893, 82.5865335696234, 766.9075751733405, 8866.359568901795),
    "relu1_2": (221.25336658317286, 448.6868015241442, 4895.030565605256, 250272.13011213666),
    "relu2_1": (323.77256822720113, 483.0015297961338, 6260.2317983006415, 338117.37385683093),
    "relu2_2": (473.0532396965043, 986.4674634228963, 12287.837737140742, 1196889.9996782287),
    "relu3_1": (790.2898218229393, 1167.1717183626922, 15516.94162005302, 1986827.0357295014),
    "relu3_2": (723.496256736941, 1203.662007335433, 13153.750016842752, 1972226.9544478264),
    "relu3_3": (477.07549004022763, 1149.3570374621645, 16154.026854042326, 1548602.465571477),
    "relu4_1": (354.8096191306982, 750.5666760718932, 9680.454559126847, 689223.0089694143),
    "relu4_2": (173.78659908371887, 400.61649849052947, 6114.869130245085, 190690.46300853943),
    "relu4_3": (43.75729607491316, 155.247885957402, 3083.8908926125155, 26015.871522217407),
    "relu5_1": (45.5031125006889, 110.57903300467889, 1119.025730546269, 14296.763145589723),
    "relu5_2": (21.7595876768654, 50.36604003659238, 542.1058036361242, 3009.9079844359444),
    "relu5_3": (2.641527687365424, 13.175585660793724, 183.49525602320287, 180.55253510306522),
}


def reference_input() -> Tensor:
    i, j = torch.meshgrid(*[torch.arange(64, dtype=torch.float64)] * 2, indexing="ij")
    waves = [0.5 + 0.5 * torch.sin(0.1 * (c + 1) * i + 0.07 * j) for c in range(3)]
    return torch.stack(waves)[None]


def test_activations_are_those_of_the_released_weights() -> None:
    features = VGG16Features(VGG_LAYERS, dtype=torch.float64)(reference_input())
    assert tuple(features) == VGG_LAYERS == tuple(REFERENCE)
    for layer, (mean, std, largest, trace) in REFERENCE.items():
        found = features[layer]
        assert found.mean().item() == pytest.approx(mean, rel=1e-4), layer
        assert found.std().item() == pytest.approx(std, rel=1e-4), layer
        assert found.max().item() == pytest.approx(largest, rel=5e-4), layer
        gram = gram_matrix(found)[0]
        assert gram.trace().item() == pytest.approx(trace, rel=2e-4), layer


def test_bfloat16_sees_steps_finer_than_it_can_say() -> None:
    # From 64 levels off the mean on bfloat16 rounds to halves of a level; these are a tenth apart.
    ramp = torch.linspace(0.85, 0.87, 50).expand(1, 3, 40, 50)
    features = VGG16Features(["relu1_1"], dtype=torch.bfloat16)
    found = features(ramp)["relu1_1"]
    exact = VGG16Features(["relu1_1"])
    exact.conv1_1_weight, exact.conv1_1_bias = (
        features.conv1_1_weight.float(),
        features.conv1_1_bias.float(),
    )
    torch.testing.assert_close(found.float(), exact(ramp)["relu1_1"], rtol=2**-8, atol=2e-3)


def test_bfloat16_is_close() -> None:
    features = VGG16Features(["relu4_3"], dtype=torch.bfloat16)(reference_input())["relu4_3"]
    assert features.dtype == torch.bfloat16
    assert features.float().mean().item() == pytest.approx(REFERENCE["relu4_3"][0], rel=2e-2)


def test_gram_trace_is_the_mean_of_squares() -> None:
    features = torch.rand(1, 4, 6, 5)
    assert gram_matrix(features)[0].trace().item() == pytest.approx(features.square().mean().item())


def test_no_layer_deeper_than_asked_is_held_or_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    features = VGG16Features(["relu1_2", "relu3_1"])
    held = {name for name, _ in features.named_buffers() if name.endswith("_weight")}
    assert held == {f"{conv}_weight" for conv in CONVOLUTIONS[:5]}
    calls: list[int] = []
    convolve = F.conv2d

    def counting(*args: Any, **options: Any) -> Tensor:
        calls.append(1)
        result: Tensor = convolve(*args, **options)
        return result

    monkeypatch.setattr(F, "conv2d", counting)
    image = torch.rand(1, 3, 32, 32)
    assert list(features(image)) == ["relu1_2", "relu3_1"]
    assert len(calls) == 5
    calls.clear()
    assert list(features(image, ["relu1_2"])) == ["relu1_2"]
    assert len(calls) == 2


def test_a_subset_gives_the_same_activations() -> None:
    features, image = VGG16Features(["relu1_1", "relu2_2"]), torch.rand(2, 3, 20, 24)
    assert torch.equal(features(image)["relu1_1"], features(image, ["conv1_1"])["relu1_1"])


def test_both_spellings_mean_the_activation_after_the_relu() -> None:
    assert canonical_layer("conv5_1") == canonical_layer("relu5_1") == "relu5_1"
    features = VGG16Features(["conv1_1"])
    assert features.layers == ("relu1_1",)
    assert features(torch.rand(1, 3, 8, 8))["relu1_1"].min() == 0


@pytest.mark.parametrize("size", [(16, 16), (33, 47), (31, 64)])
def test_shapes(size: tuple[int, int]) -> None:
    height, width = size
    features = VGG16Features(["relu1_1", "relu3_3", "relu5_3"])(torch.rand(2, 3, *size))
    assert features["relu1_1"].shape == (2, 64, height, width)
    assert features["relu3_3"].shape == (2, 256, height // 4, width // 4)
    assert features["relu5_3"].shape == (2, 512, height // 16, width // 16)


def test_the_weights_take_no_gradient_and_are_not_saved() -> None:
    features = VGG16Features(["relu2_1"])
    features.requires_grad_(True)
    image = torch.rand(1, 3, 16, 16, requires_grad=True)
    features(image)["relu2_1"].sum().backward()
    assert image.grad is not None
    assert list(features.parameters()) == []
    assert [buffer.requires_grad for buffer in features.buffers()] == [False] * 8
    assert features.state_dict() == {}


def test_nothing_depends_on_the_mode() -> None:
    modes = (nn.Dropout, nn.modules.batchnorm._BatchNorm)
    features = VGG16Features(VGG_LAYERS)
    assert not any(isinstance(module, modes) for module in features.modules())
    image = torch.rand(1, 3, 32, 32)
    trained = features.train()(image)["relu5_3"]
    assert torch.equal(trained, features.eval()(image)["relu5_3"])


def test_autocast_does_not_change_the_type() -> None:
    features, image = VGG16Features(["relu1_2"]), torch.rand(1, 3, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        found = features(image)["relu1_2"]
    assert torch.equal(found, features(image)["relu1_2"])


def test_the_image_is_left_alone() -> None:
    image = torch.rand(1, 3, 16, 16)
    before = image.clone()
    VGG16Features(["relu1_1"])(image)
    assert torch.equal(image, before)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.rand(3, 32, 32), r"\(N, 3, H, W\).* \(3, 32, 32\)"),
        (torch.rand(1, 4, 32, 32), r"\(N, 3, H, W\).* \(1, 4, 32, 32\)"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "floating-point .*torch.uint8"),
        (torch.rand(1, 3, 20, 15), "15 x 20 px.* 16 x 16"),
    ],
)
def test_bad_images(image: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VGG16Features(["relu5_1"])(image)


def test_smallest_side() -> None:
    assert [smallest_side([layer]) for layer in ("relu1_2", "relu2_1", "relu5_3")] == [1, 2, 16]


@pytest.mark.parametrize("layers", [["relu1_3"], ["pool1"], ["relu6_1"], ["21"]])
def test_unknown_layers(layers: list[str]) -> None:
    with pytest.raises(ValueError, match=f"'{layers[0]}'.* relu1_1, relu1_2"):
        VGG16Features(layers)


def test_no_layer_at_all() -> None:
    with pytest.raises(ValueError, match="one layer"):
        VGG16Features([])


def test_a_tap_that_was_not_asked_for() -> None:
    with pytest.raises(ValueError, match=r"taps \['relu2_1'\]"):
        VGG16Features(["relu3_1"])(torch.rand(1, 3, 16, 16), ["relu2_1"])


def torchvision_layout(state: dict[str, Tensor]) -> dict[str, Tensor]:
    indices = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    return {
        f"features.{index}.{part}": state[f"{conv}.{part}"]
        for conv, index in zip(CONVOLUTIONS, indices, strict=True)
        for part in ("weight", "bias")
    }


@pytest.fixture(scope="module")
def bundled() -> dict[str, Tensor]:
    return load_weights("bundled")[0]


def test_a_pth_of_the_released_weights(tmp_path: Path, bundled: dict[str, Tensor]) -> None:
    path = tmp_path / "vgg16_features.pth"
    torch.save(torchvision_layout(bundled), path)
    state, scaling = load_weights(str(path))
    assert scaling == CAFFE_SCALING
    assert all(torch.equal(state[key], value) for key, value in bundled.items())


def test_a_pth_of_other_weights_has_torchvisions_scaling(
    tmp_path: Path, bundled: dict[str, Tensor]
) -> None:
    path = tmp_path / "vgg16.pth"
    other = {key: value * 0.9 for key, value in bundled.items()}
    torch.save(torchvision_layout(other), path)
    features = VGG16Features(["relu1_1"], weights=str(path))
    assert features.scaling == TORCHVISION_SCALING
    image = torch.rand(1, 3, 8, 8)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in TORCHVISION_SCALING[1:])
    expected = torch.relu(
        nn.functional.conv2d(
            (image - mean) / std, other["conv1_1.weight"], other["conv1_1.bias"], padding=1
        )
    )
    torch.testing.assert_close(features(image)["relu1_1"], expected)


def test_torchvision_without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision

    def no_network(*args: object, **options: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr(torchvision.models.VGG16_Weights, "get_state_dict", no_network)
    with pytest.raises(VGGWeightsError, match=r"Name or service not known.*use loss.vgg_weights"):
        load_weights("torchvision")


def test_torchvision(monkeypatch: pytest.MonkeyPatch, bundled: dict[str, Tensor]) -> None:
    import torchvision

    monkeypatch.setattr(
        torchvision.models.VGG16_Weights,
        "get_state_dict",
        lambda *args, **options: torchvision_layout(bundled),
    )
    state, scaling = load_weights("torchvision")
    assert scaling == TORCHVISION_SCALING
    assert torch.equal(state["conv5_3.bias"], bundled["conv5_3.bias"])


def test_a_missing_file() -> None:
    with pytest.raises(VGGWeightsError, match="nowhere.pth"):
        load_weights("nowhere.pth")


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", b"\x80\x02}q\x00."])
def test_a_file_of_something_else(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(VGGWeightsError, match=f"weights{suffix}"):
        load_weights(str(path))


def test_a_truncated_file(tmp_path: Path) -> None:
    path = tmp_path / "cut.safetensors"
    path.write_bytes(asset("vgg16.safetensors").read_bytes()[:1_000_000])
    with pytest.raises(VGGWeightsError, match="cannot read .*cut.safetensors"):
        load_weights(str(path))


def test_wrong_contents(tmp_path: Path) -> None:
    state = load_file(asset("vgg16.safetensors"))
    caffe = {"input_scaling": "caffe"}

    def file(name: str, tensors: dict[str, Tensor], metadata: dict[str, str]) -> str:
        save_file(tensors, tmp_path / name, metadata)
        return str(tmp_path / name)

    missing = {key: value for key, value in state.items() if key != "conv4_2.bias"}
    with pytest.raises(VGGWeightsError, match="missing.safetensors .*conv4_2.bias"):
        load_weights(file("missing.safetensors", missing, caffe))
    shape = state | {"conv1_2.bias": torch.zeros(65)}
    with pytest.raises(VGGWeightsError, match=r"conv1_2.bias .*\(65,\).* \(64,"):
        load_weights(file("shape.safetensors", shape, caffe))
    nan = state | {"conv1_2.bias": torch.full((64,), torch.nan)}
    with pytest.raises(VGGWeightsError, match="conv1_2.bias .*not finite"):
        load_weights(file("nan.safetensors", nan, caffe))
    with pytest.raises(VGGWeightsError, match="input scaling"):
        load_weights(file("scaling.safetensors", state, {}))

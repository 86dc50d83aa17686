"""VGG16's activations at named layers, with frozen weights.

Holds the architecture, the weight files and the scaling of the input; knows nothing of losses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fast_style.images.tensor_checks import check_image
from fast_style.models.network import VGG_MEAN
from fast_style.models.weight_files import WeightFileError, load_safetensors, load_torch
from fast_style.system.paths import is_file, user_path
from fast_style.system.resources import asset

# (convolutions, channels) of the five blocks; a 2 x 2 maximum pooling stands between blocks.
VGG_BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
CONVOLUTIONS = tuple(
    f"conv{b}_{c}" for b, (n, _) in enumerate(VGG_BLOCKS, 1) for c in range(1, n + 1)
)
VGG_LAYERS = tuple(name.replace("conv", "relu") for name in CONVOLUTIONS)


class InputScaling(NamedTuple):
    """What the weights expect: ``(image * scale - mean) / std`` for an image in [0, 1], RGB."""

    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


# The published ILSVRC-2014 (Caffe) weights: 0-255 units, mean of the training set subtracted.
CAFFE_SCALING = InputScaling(255.0, VGG_MEAN, (1.0, 1.0, 1.0))
# torchvision's own training (VGG16_Weights.IMAGENET1K_V1): [0, 1] units, mean and deviation.
TORCHVISION_SCALING = InputScaling(1.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
INPUT_SCALINGS = {"caffe": CAFFE_SCALING, "torchvision": TORCHVISION_SCALING}
# conv1_1's first biases in the Caffe weights: by them a file in torchvision's layout is recognised.
CAFFE_FIRST_BIASES = (0.73429835, 0.093403675, 0.06775674, 0.88628656)


class VGGWeightsError(ValueError):
    """A VGG16 weight file that is missing, unreadable, truncated or not what it should be."""


def canonical_layer(name: str) -> str:
    """Return the one spelling of a tap's name: ``relu5_1`` for ``relu5_1`` and ``conv5_1``.

    Gatys et al. call the activation after the ReLU ``conv5_1``; it is the same tap here.

    Raises:
        ValueError: There is no such layer in VGG16.
    """
    canonical = str(name).replace("conv", "relu")
    if canonical not in VGG_LAYERS:
        raise ValueError(f"VGG16 has no layer {name!r}; choose among {', '.join(VGG_LAYERS)}")
    return canonical


def smallest_side(layers: Iterable[str]) -> int:
    """Return the smallest height and width, px, at which each layer still has one position."""
    return max((2 ** (int(layer[4]) - 1) for layer in layers), default=1)


class VGG16Features(nn.Module):
    """The activations of VGG16 at chosen layers.

    The weights are buffers that are not saved: they are not trained, get no gradient, and are in
    no checkpoint. Train and eval mode make no difference.

    Args:
        layers: Taps, ``relu1_1`` to ``relu5_3`` (``conv5_1`` means ``relu5_1``). No layer deeper
            than the deepest one is ever computed or kept in memory.
        weights: ``bundled`` (the ILSVRC-2014 weights in the package), ``torchvision`` (its
            IMAGENET1K_V1, downloaded once by torchvision) or the path of a ``.safetensors`` file
            made by ``scripts/convert_vgg16.py`` or a torchvision-layout ``.pth`` file.
        dtype: In which the convolutions run; autocast does not change it.

    Raises:
        ValueError: No layer, or one that VGG16 does not have.
        VGGWeightsError: The weights can't be read from what ``weights`` names.

    Source: Simonyan & Zisserman 2015, arXiv:1409.1556, configuration D.
    """

    factor: Tensor  # (3, 1, 1): image * factor + offset is what the weights expect
    offset: Tensor
    dtype: torch.dtype

    def __init__(
        self,
        layers: Iterable[str],
        weights: str = "bundled",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        chosen = {canonical_layer(layer) for layer in layers}
        if not chosen:
            raise ValueError("VGG16Features needs at least one layer to tap, found none")
        self.layers = tuple(layer for layer in VGG_LAYERS if layer in chosen)
        self.weights = weights
        self.dtype = dtype
        state, self.scaling = load_weights(weights)
        for conv in CONVOLUTIONS[: VGG_LAYERS.index(self.layers[-1]) + 1]:
            weight = state[f"{conv}.weight"].to(dtype, memory_format=torch.channels_last)
            self.register_buffer(f"{conv}_weight", weight, persistent=False)
            self.register_buffer(f"{conv}_bias", state[f"{conv}.bias"].to(dtype), persistent=False)
        mean, std = (
            torch.tensor(one, dtype=torch.float32) for one in (self.scaling.mean, self.scaling.std)
        )
        exact = torch.promote_types(dtype, torch.float32)
        factor = (self.scaling.scale / std).to(exact).view(3, 1, 1)
        offset = (-mean / std).to(exact).view(3, 1, 1)
        self.register_buffer("factor", factor, persistent=False)
        self.register_buffer("offset", offset, persistent=False)

    def forward(self, image: Tensor, layers: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Return the activations after the ReLU of each tap, by name, shallow to deep.

        Args:
            image: ``(N, 3, H, W)``, floating point, sRGB in [0, 1] (values outside are allowed:
                a network in training produces them).
            layers: A subset of the constructor's taps; nothing deeper than it is computed.

        Returns:
            ``{layer: (N, C, H / 2**k, W / 2**k)}`` in ``self.dtype``.

        Raises:
            ValueError: The image has another shape, is not floating point or is too small, or
                ``layers`` asks for a tap that the constructor was not given.
        """
        wanted = self.layers if layers is None else tuple(map(canonical_layer, layers))
        if missing := set(wanted) - set(self.layers):
            raise ValueError(f"taps {sorted(missing)} were not asked for at construction")
        check_image(image, smallest_side(wanted))
        features: dict[str, Tensor] = {}
        with torch.autocast(image.device.type, enabled=False):
            x = image.to(self.factor.dtype) * self.factor + self.offset
            # On MPS PyTorch 2.6 gave wrong gradients of channels-last convolutions.
            on_mps = x.device.type == "mps"
            memory_format = torch.contiguous_format if on_mps else torch.channels_last
            x = x.contiguous(memory_format=memory_format)
            for conv, layer in zip(CONVOLUTIONS, VGG_LAYERS, strict=True):
                if len(features) == len(set(wanted)):
                    break
                if layer.endswith("_1") and layer != "relu1_1":
                    x = F.max_pool2d(x, kernel_size=2)
                weight, bias = getattr(self, f"{conv}_weight"), getattr(self, f"{conv}_bias")
                weight = weight.contiguous(memory_format=memory_format)
                if conv == "conv1_1" and self.dtype.itemsize < x.dtype.itemsize:
                    # bfloat16 rounds a pixel to half a level of 255, which made the loss after
                    # training 2 to 4 % worse. So the rounding error is given as a second picture.
                    rounded = x.to(self.dtype)
                    x = torch.cat((rounded, (x - rounded).detach().to(self.dtype)), 1)
                    weight = weight.repeat(1, 2, 1, 1)
                x = F.relu_(F.conv2d(x, weight, bias, padding=1))
                if layer in wanted:
                    features[layer] = x
        return features

    def extra_repr(self) -> str:
        """Show the taps and the weights when printed."""
        return f"layers={list(self.layers)}, weights={self.weights!r}, dtype={self.dtype}"


def load_weights(source: str) -> tuple[dict[str, Tensor], InputScaling]:
    """Return the 13 convolutions in float32, ``conv1_1.weight`` (OIHW, RGB) on, and their scaling.

    Args:
        source: As ``VGG16Features``'s ``weights``.

    Raises:
        VGGWeightsError: Nothing there, or not VGG16's convolutions.
    """
    if source == "torchvision":
        return from_torchvision_layout(_download_torchvision(), source), TORCHVISION_SCALING
    path = asset("vgg16.safetensors") if source == "bundled" else user_path(source)
    if not is_file(path):
        raise VGGWeightsError(
            f"no VGG16 weights at {path}; loss.vgg_weights is bundled, torchvision or a file"
        )
    if path.suffix == ".safetensors":
        return _read_vgg_safetensors(path)
    state = read_torchvision_file(path)
    biases = torch.tensor(CAFFE_FIRST_BIASES, dtype=torch.float32)
    is_caffe = torch.allclose(state["conv1_1.bias"][:4], biases, atol=1e-3)
    return state, CAFFE_SCALING if is_caffe else TORCHVISION_SCALING


def read_torchvision_file(path: Path) -> dict[str, Tensor]:
    """Return the 13 convolutions in a file of torchvision's layout (``features.0.weight``, ...).

    Raises:
        VGGWeightsError: It is not readable, or not VGG16.
    """
    try:
        loaded = load_torch(path)
    except WeightFileError as error:
        raise VGGWeightsError(f"cannot read VGG16 weights from {path}: it {error}") from error
    return from_torchvision_layout(loaded, str(path))


def _read_vgg_safetensors(path: Path) -> tuple[dict[str, Tensor], InputScaling]:
    try:
        metadata, state = load_safetensors(path)
    except WeightFileError as error:
        raise VGGWeightsError(f"cannot read VGG16 weights from {path}: it {error}") from error
    scaling = INPUT_SCALINGS.get(metadata.get("input_scaling", ""))
    if scaling is None:
        raise VGGWeightsError(
            f"{path} does not say which input scaling its weights expect; make it with "
            "scripts/convert_vgg16.py"
        )
    return _checked_state(state, str(path)), scaling


def _expected_shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    channels = 3
    for block, (convolutions, width) in enumerate(VGG_BLOCKS, 1):
        for index in range(1, convolutions + 1):
            shapes[f"conv{block}_{index}.weight"] = (width, channels, 3, 3)
            shapes[f"conv{block}_{index}.bias"] = (width,)
            channels = width
    return shapes


def _checked_state(state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Return the 13 convolutions in float32; what else ``state`` holds is left out."""
    checked: dict[str, Tensor] = {}
    for key, shape in _expected_shapes().items():
        if key not in state:
            raise VGGWeightsError(f"{source} has no {key}: these are not VGG16's 13 convolutions")
        value = state[key]
        if tuple(value.shape) != shape:
            found = tuple(value.shape)
            raise VGGWeightsError(f"{source}: {key} has shape {found}, VGG16's is {shape}")
        if not value.is_floating_point():
            raise VGGWeightsError(f"{source}: {key} is not a floating-point tensor")
        if not torch.isfinite(value).all():
            raise VGGWeightsError(f"{source}: {key} has values that are not finite numbers")
        checked[key] = value.float()
    return checked


def from_torchvision_layout(loaded: object, source: str) -> dict[str, Tensor]:
    """Return the convolutions of a torchvision VGG16 state dict under this module's names.

    Raises:
        VGGWeightsError: ``loaded`` is not a state dict of VGG16.
    """
    if not isinstance(loaded, Mapping):
        raise VGGWeightsError(f"{source} holds no dictionary of weights")
    state: dict[str, Tensor] = {}
    index = 0
    for conv in CONVOLUTIONS:
        if conv.endswith("_1") and conv != "conv1_1":
            index += 1  # the pooling before a block
        for part in ("weight", "bias"):
            value = loaded.get(f"features.{index}.{part}")
            if isinstance(value, Tensor):
                state[f"{conv}.{part}"] = value
        index += 2  # the convolution and its ReLU
    return _checked_state(state, source)


def _download_torchvision() -> object:
    from torchvision.models import VGG16_Weights

    try:
        return VGG16_Weights.IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True)
    except (OSError, RuntimeError) as error:  # no network, or a download that was cut short
        raise VGGWeightsError(
            f"torchvision could not provide its VGG16 weights ({error}); use "
            "loss.vgg_weights=bundled, or a path to a downloaded file"
        ) from error

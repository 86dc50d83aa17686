"""Style models on disk: safetensors with a JSON header that says what they are.

Loading executes nothing from the file and needs neither VGG, Lightning nor Hydra.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from fast_style.arguments import did_you_mean
from fast_style.files import is_file, is_folder, user_path, write_atomically
from fast_style.network import MEAN, SPREAD, TransformerNetwork, build_network
from fast_style.palette import Palette, palette_from_header
from fast_style.resources import shipped_styles

FORMAT_VERSION = 1
HEADER_KEY = "fast_style"  # of the JSON text in the safetensors metadata
CKPT_KEY = "fast_style"  # of the same description in a Lightning checkpoint
# Of the network's tensors in a Lightning checkpoint: their mean over the steps, where it is kept.
NETWORK_PREFIXES = ("average.", "network.")


class ModelFileError(ValueError):
    """A style model file that is missing, damaged, from a later version or not ours."""


class StyleModel(NamedTuple):
    """A network, ready to stylise, and the plain data that describes it."""

    network: TransformerNetwork
    description: dict[str, Any]

    @property
    def name(self) -> str:
        """The style's name."""
        return str(self.description["style"]["name"])

    @property
    def palette(self) -> Palette | None:
        """What brings its colours to the painting's; none in files that do not know it."""
        found = self.description.get("palette")
        return None if found is None else palette_from_header(found)


def is_style_name(name: object) -> bool:
    """Whether ``name`` can name a style and, as it does, its files: no separators."""
    return isinstance(name, str) and re.fullmatch(r"\w[\w.+-]*", name) is not None


def style_name(path: str | Path) -> str:
    """Return the name that a file's own gives a style: letters, digits and ``._+-``."""
    return re.sub(r"[^\w.+-]", "_", Path(path).stem).lstrip(".+-") or "style"


def save_style_model(path: Path, network: nn.Module, description: Mapping[str, Any]) -> None:
    """Write a style model, weights as float16, whole or not at all.

    Args:
        path: A ``.safetensors`` file.
        network: As ``build_network`` makes it from ``description["network"]``.
        description: Plain data: ``network``, ``style`` and whatever else describes the model.

    Raises:
        ModelFileError: A weight is not a finite float16 number.
        OSError: The file can't be written.
    """
    state = {key: value.half().contiguous().cpu() for key, value in network.state_dict().items()}
    for key, value in state.items():
        if not torch.isfinite(value).all():
            raise ModelFileError(f"{key} has values that are not finite float16 numbers")
    header = json.dumps({"format_version": FORMAT_VERSION, **description}, sort_keys=True)
    with write_atomically(path) as temporary:
        save_file(state, temporary, {HEADER_KEY: header})


def find_style_model(name_or_path: str | Path) -> Path:
    """Return the file of a released style's name, or the path itself if there is a file.

    Raises:
        ModelFileError: Neither.
    """
    shipped = shipped_styles()
    if str(name_or_path) in shipped:
        return shipped[str(name_or_path)]
    path = user_path(name_or_path)
    if not is_file(path):
        names = ", ".join(shipped) or "none"
        folder = " (a folder: name the .safetensors file in it)" if is_folder(path) else ""
        raise ModelFileError(
            f"no style model {path}{folder}: neither a file nor a released style ({names})"
            + did_you_mean(str(name_or_path), shipped)
        )
    return path


def load_style_model(name_or_path: str | Path) -> StyleModel:
    """Load a released style, a ``.safetensors`` style model or a Lightning ``.ckpt`` of ours.

    Also the ``.pth`` (or ``.model``) files of pytorch/examples' fast_neural_style, whose network is
    Johnson's, too; their 0-255 range is folded into the first and last convolution.

    Returns:
        The network, float32, on the CPU, in eval mode, without gradients.

    Raises:
        ModelFileError: Missing, damaged, from a later version of the format, or not ours.
    """
    path = find_style_model(name_or_path)
    description, state = READERS.get(path.suffix, _read_safetensors)(path)
    version = description.get("format_version")
    if not isinstance(version, int) or version < 1:
        raise ModelFileError(f"{path} is not a style model of fast_style: no format version")
    if version > FORMAT_VERSION:
        raise ModelFileError(
            f"{path} has format version {version}, this program reads up to {FORMAT_VERSION}: "
            "update fast_style"
        )
    style = description.get("style")
    if not isinstance(style, dict) or not is_style_name(style.get("name")):
        raise ModelFileError(f"{path}: its header names no style")
    try:
        if description.get("palette") is not None:
            palette_from_header(description["palette"])
    except ValueError as error:
        raise ModelFileError(f"{path}: {error}") from error
    try:
        with torch.device("meta"):  # shapes first: nothing is allocated for a bad header
            network = build_network(description.get("network"))
    except (TypeError, ValueError) as error:
        raise ModelFileError(f"{path}: its header describes no known network: {error}") from error
    _check_state(network, state, path)
    network.load_state_dict({key: value.float() for key, value in state.items()}, assign=True)
    return StyleModel(network.eval().requires_grad_(False), description)


def _read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(HEADER_KEY)
            if header is None:
                raise ModelFileError(f"{path} is a safetensors file, but not a style model")
            description = json.loads(header)
            if not isinstance(description, dict):
                raise ModelFileError(f"{path}: its header is not a JSON object")
            return description, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{path} is not a readable style model: {error}") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"{path}: its header is not valid JSON: {error}") from error


def _load_plain(path: Path) -> object:
    """Return what ``torch.save`` wrote, if it is plain data: nothing in the file is executed."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelFileError(f"{path} is damaged, or holds more than plain data") from error
    except Exception as error:  # a damaged file raises half a dozen kinds
        raise ModelFileError(f"{path} is not a readable checkpoint: {error}") from error


def _read_pth(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read pytorch/examples' TransformerNet: ``conv1.conv2d.weight``, ``in1.weight``, ..."""
    loaded = _load_plain(path)
    state: dict[str, Tensor] = {}
    if isinstance(loaded, dict):
        for theirs, ours in EXAMPLES_LAYERS.items():
            for part in ("weight", "bias"):
                if isinstance(value := loaded.get(f"{theirs}.{part}"), Tensor):
                    state[f"{ours}.{part}"] = value.float()
    network = {"name": "johnson", "channels": [32, 64, 128], "residual_blocks": 5}
    with torch.device("meta"):
        expected = build_network(network)
    if not state:
        raise ModelFileError(f"{path} is not a network of pytorch/examples' fast_neural_style")
    _check_state(expected, state, path)  # before anything is computed with it
    # Theirs takes and gives 0-255; ours (image - MEAN) / SPREAD of [0, 1].
    mean = torch.tensor(MEAN).view(3, 1, 1)
    first, last = state["encoder.0.1.weight"], state["output.1.weight"]
    state["encoder.0.1.bias"] = state["encoder.0.1.bias"] + 255 * (first * mean).sum((1, 2, 3))
    state["encoder.0.1.weight"] = first * (255 * SPREAD)
    state["output.1.weight"] = last / (255 * SPREAD)
    state["output.1.bias"] = (state["output.1.bias"] / 255 - mean.flatten()) / SPREAD
    description = {
        "format_version": FORMAT_VERSION,
        "network": network,
        "style": {"name": style_name(path)},
        "source": "pytorch/examples fast_neural_style",
    }
    return description, state


def _examples_layers() -> dict[str, str]:
    """Return where each layer of pytorch/examples' network stands in ours."""
    layers = {"deconv3.conv2d": "output.1"}
    for number in range(3):
        layers[f"conv{number + 1}.conv2d"] = f"encoder.{number}.1"
        layers[f"in{number + 1}"] = f"encoder.{number}.2"
    for block in range(5):
        for number in range(2):
            ours = f"residual.{block}.convolutions.{number}"
            layers[f"res{block + 1}.conv{number + 1}.conv2d"] = f"{ours}.1"
            layers[f"res{block + 1}.in{number + 1}"] = f"{ours}.2"
    for number in range(2):
        layers[f"deconv{number + 1}.conv2d"] = f"decoder.{number}.0"
        layers[f"in{number + 4}"] = f"decoder.{number}.1"
    return layers


EXAMPLES_LAYERS = _examples_layers()


def _read_ckpt(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    loaded = _load_plain(path)
    description = loaded.get(CKPT_KEY) if isinstance(loaded, dict) else None
    state = loaded.get("state_dict") if isinstance(loaded, dict) else None
    if not isinstance(description, dict) or not isinstance(state, dict):
        raise ModelFileError(f"{path} is not a checkpoint of fast_style")
    network: dict[str, Tensor] = {}
    for prefix in NETWORK_PREFIXES:
        network = network or {
            key.removeprefix(prefix): value
            for key, value in state.items()
            if isinstance(key, str) and key.startswith(prefix)
        }
    return {"format_version": FORMAT_VERSION, **description}, network


READERS = {
    ".safetensors": _read_safetensors,
    ".ckpt": _read_ckpt,
    ".pth": _read_pth,  # these two: pytorch/examples'
    ".model": _read_pth,
}


def _check_state(network: nn.Module, state: Mapping[str, object], path: Path) -> None:
    expected = network.state_dict()
    if missing := sorted(expected.keys() - state.keys()):
        raise ModelFileError(f"{path} lacks the network's {missing[0]}: damaged, or not ours")
    if surplus := sorted(state.keys() - expected.keys()):
        raise ModelFileError(f"{path} holds {surplus[0]}, which its network does not have")
    for key, target in expected.items():
        value = state[key]
        if not isinstance(value, Tensor) or not value.is_floating_point():
            raise ModelFileError(f"{path}: {key} is not a floating-point tensor")
        if value.shape != target.shape:
            found, needed = tuple(value.shape), tuple(target.shape)
            raise ModelFileError(f"{path}: {key} has shape {found}, its network needs {needed}")
        if not torch.isfinite(value).all():
            raise ModelFileError(f"{path}: {key} has values that are not finite numbers")

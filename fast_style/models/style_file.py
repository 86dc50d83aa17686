"""Style models on disk: safetensors with a JSON header that says what they are.

Loading executes nothing from the file and needs neither VGG, Lightning nor Hydra.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import torch
from safetensors.torch import save
from torch import Tensor, nn

from fast_style.models.network import MEAN, SPREAD, StyleNetwork, build_network
from fast_style.models.palette import Palette, palette_from_header
from fast_style.models.weight_files import (
    WeightFileError,
    check_views,
    load_safetensors,
    load_torch,
)
from fast_style.system.atomic import write_atomically
from fast_style.system.messages import MOST_LETTERS, did_you_mean, one_line
from fast_style.system.paths import is_file, is_folder, user_path
from fast_style.system.resources import shipped_styles

FORMAT_VERSION = 1
HEADER_KEY = "fast_style"  # of the JSON text in the safetensors metadata
CKPT_KEY = "fast_style"  # of the same description in a Lightning checkpoint
# How the names of the network's tensors begin in a Lightning checkpoint. The first is their mean
# over the last steps, which not every checkpoint has.
NETWORK_PREFIXES = ("average.", "network.")
# Limits on what a file says of itself, far above what our own files need.
MOST_HEADER_VALUES = 10_000
MOST_HEADER_DEPTH = 20
MOST_HEADER_NUMBER = 2**63
MOST_NAME = 200  # letters of a style's name
# Parts of a description that the program relies on.
SECTIONS = ("loss", "optimizer", "data", "trainer")
STYLE_VALUES = {"image": str, "size": int, "sha256": str}


class ModelFileError(ValueError):
    """A style model file that is missing, damaged, from a later version or not ours."""


class StyleModel(NamedTuple):
    """A network, ready to stylise, and the plain data that describes it."""

    network: StyleNetwork
    description: dict[str, Any]

    @property
    def name(self) -> str:
        """The style's name."""
        return str(self.description["style"]["name"])

    @property
    def palette(self) -> Palette | None:
        """What brings its colours to the painting's; none in files that have no palette."""
        found = self.description.get("palette")
        return None if found is None else palette_from_header(found)


def is_style_name(name: object) -> bool:
    """Whether ``name`` can name a style and its files: no separators, not too long."""
    fits = isinstance(name, str) and len(name) <= MOST_NAME
    return fits and re.fullmatch(r"\w[\w.+-]*", str(name)) is not None


def style_name(path: str | Path) -> str:
    """Return a style's name made from a file's: letters, digits and ``._+-``."""
    return re.sub(r"[^\w.+-]", "_", Path(path).stem).lstrip(".+-") or "style"


def save_style_model(path: Path, network: nn.Module, description: Mapping[str, Any]) -> None:
    """Write a style model, weights as float16, whole or not at all.

    Args:
        path: A ``.safetensors`` file.
        network: As ``build_network`` makes it from ``description["network"]``.
        description: Plain data: ``network``, ``style`` and anything else that describes the model.

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
        # Not by ``save_file``, whose errors are no OSError and do not name the file.
        temporary.write_bytes(save(state, {HEADER_KEY: header}))


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
        what = ""
        if is_folder(path):
            ways = ("*.safetensors", "*/*.safetensors")  # of a run, of a folder of runs
            found = [one for way in ways for one in path.glob(way) if is_file(one)]
            newest = max(found, key=lambda one: one.stat().st_mtime, default=None)
            what = f" (a folder; did you mean {newest or 'a .safetensors file in it'}?)"
        elif os.path.exists(path):  # noqa: PTH110, never raises
            what = " (a pipe or a device, which can't be read twice)"
        raise ModelFileError(
            f"no style model {path}{what}: neither a file nor a released style ({names})"
            + did_you_mean(str(name_or_path), shipped)
        )
    return path


def load_style_model(name_or_path: str | Path) -> StyleModel:
    """Load a released style, a ``.safetensors`` style model or a Lightning ``.ckpt`` of ours.

    The ``.pth`` (or ``.model``) files of pytorch/examples' fast_neural_style can be loaded too.
    Their network is Johnson's; their range, 0-255, is folded into the first and last convolution.

    Returns:
        The network, float32, on the CPU, in eval mode, without gradients.

    Raises:
        ModelFileError: Missing, damaged, from a later version of the format, or not ours.
    """
    path = find_style_model(name_or_path)
    try:
        description, state = READERS.get(path.suffix, _read_model_safetensors)(path)
        _check_description(description)
        network = _network_without_weights(description.get("network"))
        _check_state(network, state)
    except WeightFileError as error:
        raise ModelFileError(f"{path} {error}") from error
    network.load_state_dict({key: value.float() for key, value in state.items()}, assign=True)
    return StyleModel(network.eval().requires_grad_(False), description)


def _network_without_weights(network: object) -> StyleNetwork:
    """Return the network that a file describes: its shapes only, no weights and no memory yet."""
    try:
        with torch.device("meta"):
            return build_network(network)
    except (TypeError, ValueError) as error:
        raise WeightFileError(
            f"is damaged: its header describes no known network: {one_line(error)}"
        ) from error


def _check_description(description: dict[str, Any]) -> None:
    """Check what a file says of its model: plain data, and the parts that are relied on."""
    _check_plain(description)
    version = description.get("format_version")
    if type(version) is not int or version < 1:
        raise WeightFileError("is not a style model of fast_style: no format version")
    if version > FORMAT_VERSION:
        raise WeightFileError(
            f"has format version {version}, this program reads up to {FORMAT_VERSION}: "
            "update fast_style"
        )
    style = description.get("style")
    if not isinstance(style, dict) or not is_style_name(style.get("name")):
        raise WeightFileError("is damaged: its header names no style")
    for key, kind in STYLE_VALUES.items():
        if style.get(key) is not None and type(style[key]) is not kind:
            raise WeightFileError(f"is damaged: its header's style.{key} is no {kind.__name__}")
    for section in SECTIONS:
        if not isinstance(description.get(section, {}), dict):
            raise WeightFileError(f"is damaged: its header's {section} is no section")
    steps = description.get("steps", 0)
    if type(steps) is not int or steps < 0:
        raise WeightFileError("is damaged: its header's steps are no number of steps")
    try:
        if description.get("palette") is not None:
            palette_from_header(description["palette"])
    except ValueError as error:
        raise WeightFileError(f"is damaged: {error}") from error


def _check_plain(description: object) -> None:
    """Check that a description is plain data, as in JSON, finite and not too large."""
    waiting = [(description, 0)]
    for count in itertools.count(1):
        if not waiting:
            return
        value, depth = waiting.pop()
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            waiting += [(inner, depth + 1) for inner in value.values()]
        elif isinstance(value, list | tuple):
            waiting += [(inner, depth + 1) for inner in value]
        elif isinstance(value, int | float):  # booleans too
            if not (math.isfinite(value) and abs(value) < MOST_HEADER_NUMBER):
                raise WeightFileError("is damaged: its header has a number without sense")
        elif not isinstance(value, str | None):
            raise WeightFileError("is damaged: its header is not plain data")
        if count + len(waiting) > MOST_HEADER_VALUES or depth > MOST_HEADER_DEPTH:
            raise WeightFileError("is damaged: its header has too many values")


def _read_model_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    metadata, state = load_safetensors(path)
    header = metadata.get(HEADER_KEY)
    if header is None:
        raise WeightFileError("is a safetensors file, but not a style model")
    try:
        description = json.loads(header, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise WeightFileError(
            f"is damaged: its header is not valid JSON: {one_line(error)}"
        ) from error
    if not isinstance(description, dict):
        raise WeightFileError("is damaged: its header is not a JSON object")
    return description, state


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object as a dictionary; a key that comes twice is an error."""
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError("a key is there twice")
    return result


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON's")


def _read_pth(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read pytorch/examples' TransformerNet: ``conv1.conv2d.weight``, ``in1.weight``, ..."""
    loaded = load_torch(path)
    state: dict[str, Tensor] = {}
    if isinstance(loaded, dict):
        for theirs, ours in EXAMPLES_LAYERS.items():
            for part in ("weight", "bias"):
                if isinstance(value := loaded.get(f"{theirs}.{part}"), Tensor):
                    state[f"{ours}.{part}"] = value
    network = {"name": "johnson", "channels": [32, 64, 128], "residual_blocks": 5}
    if not state:
        raise WeightFileError("is not a network of pytorch/examples' fast_neural_style")
    _check_state(
        _network_without_weights(network), state
    )  # before anything is computed with the tensors
    state = {key: value.float() for key, value in state.items()}
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
    """Return the name in our network for each layer of pytorch/examples'."""
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
    loaded = load_torch(path)
    description = loaded.get(CKPT_KEY) if isinstance(loaded, dict) else None
    state = loaded.get("state_dict") if isinstance(loaded, dict) else None
    if not isinstance(description, dict) or not isinstance(state, dict):
        raise WeightFileError("is not a checkpoint of fast_style")
    network: dict[str, Tensor] = {}
    for prefix in NETWORK_PREFIXES:
        network = network or {
            key.removeprefix(prefix): value
            for key, value in state.items()
            if isinstance(key, str) and key.startswith(prefix)
        }
    return {"format_version": FORMAT_VERSION, **description}, network


READERS = {
    ".safetensors": _read_model_safetensors,
    ".ckpt": _read_ckpt,
    ".pth": _read_pth,  # these two: pytorch/examples'
    ".model": _read_pth,
}


def _check_state(network: nn.Module, state: Mapping[str, object]) -> None:
    """Check that a file's tensors are a network's, finite, and no larger than the file."""
    expected = network.state_dict()
    if missing := sorted(expected.keys() - state.keys()):
        raise WeightFileError(f"lacks the network's {missing[0]}: damaged, or not ours")
    if surplus := sorted(state.keys() - expected.keys()):
        surplus_name = surplus[0][:MOST_LETTERS]
        raise WeightFileError(f"holds {surplus_name!r}, which its network does not have")
    tensors: dict[str, Tensor] = {}
    for key, target in expected.items():
        value = state[key]
        if not isinstance(value, Tensor) or not value.is_floating_point():
            raise WeightFileError(f"is damaged: {key} is not a floating-point tensor")
        if value.shape != target.shape:
            found, needed = tuple(value.shape), tuple(target.shape)
            raise WeightFileError(
                f"is damaged: {key} has shape {found}, its network needs {needed}"
            )
        tensors[key] = value
    check_views(tensors)
    for key, value in tensors.items():
        if not torch.isfinite(value).all():
            raise WeightFileError(f"is damaged: {key} has values that are not finite numbers")

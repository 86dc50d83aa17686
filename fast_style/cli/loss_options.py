"""The loss on a command line: a preset of configs/loss, and options that change it."""

from __future__ import annotations

import argparse
from typing import Any

from fast_style.models.losses import NORMALIZATIONS
from fast_style.models.term import term_names
from fast_style.models.vgg import VGG_LAYERS
from fast_style.system.resources import config_folder

DEFAULT_LOSS = "tonal"
# Keys of a preset with an option of the same name.
LOSS_NUMBER_KEYS = ("content_weight", "total_variation_weight", "grid_weight")
LOSS_LAYER_KEYS = ("content_layers", "style_layers")
LAYER_HELP = f"{VGG_LAYERS[0]} to {VGG_LAYERS[-1]}; conv1_1 means relu1_1, and so on"


def preset_names() -> list[str]:
    """Return the names of the loss presets."""
    return sorted(path.stem for path in (config_folder() / "loss").glob("*.yaml"))


def load_preset(name: str) -> dict[str, Any]:
    """Return a preset as the keyword arguments of ``PerceptualLoss``.

    Raises:
        ValueError: There is no such preset.
    """
    if name not in preset_names():
        raise ValueError(f"there is no loss {name!r}; choose {', '.join(preset_names())}")
    from omegaconf import OmegaConf

    preset = OmegaConf.to_container(OmegaConf.load(config_folder() / "loss" / f"{name}.yaml"))
    assert isinstance(preset, dict)
    own = {str(key): value for key, value in preset.items()}
    bases = [base for base in own.pop("defaults", []) if base != "_self_"]
    return {key: value for base in bases for key, value in load_preset(base).items()} | own


def add_loss_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--loss`` and an option for every key of a preset but the style weight."""
    group = parser.add_argument_group("loss")
    names = preset_names()
    group.add_argument(
        "--loss", choices=names, default=DEFAULT_LOSS, help="a preset of configs/loss (%(default)s)"
    )
    for key in LOSS_NUMBER_KEYS:
        group.add_argument(_option(key), type=float, metavar="W", help="instead of the preset's")
    for key in LOSS_LAYER_KEYS:
        group.add_argument(_option(key), nargs="*", metavar="LAYER", help=LAYER_HELP)
        weights = _weights_key(key)
        group.add_argument(
            _option(weights), nargs="*", type=float, metavar="W", help="one for each layer (1)"
        )
    group.add_argument(
        "--terms", nargs="*", metavar="TERM=W", help=f"further terms: {', '.join(term_names())}"
    )
    group.add_argument("--normalization", choices=NORMALIZATIONS, help="of the errors")
    group.add_argument(
        "--vgg-weights", metavar="W", help="bundled, torchvision or a file (bundled)"
    )


def loss_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Return ``PerceptualLoss``'s keyword arguments for parsed ``add_loss_options``.

    Layers given without weights have weight 1 each.

    Raises:
        ValueError: There is no such preset, or a term without a weight.
    """
    arguments = load_preset(options.loss)
    for key in LOSS_LAYER_KEYS:
        layers, weights = getattr(options, key), getattr(options, _weights_key(key))
        if layers is not None:
            arguments |= {key: layers, _weights_key(key): [1.0] * len(layers)}
        if weights is not None:
            arguments[_weights_key(key)] = weights
    if options.terms is not None:
        arguments["terms"] = dict(map(_term, options.terms))
    for key in (*LOSS_NUMBER_KEYS, "normalization", "vgg_weights"):
        if (value := getattr(options, key)) is not None:
            arguments[key] = value
    return arguments


def _term(text: str) -> tuple[str, float]:
    """Return the name and the weight in ``NAME=WEIGHT``."""
    name, _, weight = text.partition("=")
    try:
        return name, float(weight)
    except ValueError:
        raise ValueError(f"--terms: a term has a weight, as {name}=0.5; found {text!r}") from None


def _weights_key(layers_key: str) -> str:
    return layers_key.replace("layers", "layer_weights")


def _option(key: str) -> str:
    return "--" + key.replace("_", "-")

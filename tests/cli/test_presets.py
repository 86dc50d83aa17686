from __future__ import annotations

import argparse
import inspect

import pytest
from omegaconf import OmegaConf

from fast_style.cli.loss_options import add_loss_options, load_preset, loss_arguments, preset_names
from fast_style.models.losses import PerceptualLoss
from fast_style.system.resources import config_folder


def parsed(*arguments: str) -> dict[str, object]:
    parser = argparse.ArgumentParser()
    add_loss_options(parser)
    return loss_arguments(parser.parse_args(arguments))


def test_the_presets_are_the_losses_arguments() -> None:
    assert preset_names() == ["balanced", "crisp", "gatys", "johnson", "tonal"]
    known = set(inspect.signature(PerceptualLoss).parameters)
    for name in preset_names():
        assert set(load_preset(name)) <= known


def test_the_default_is_that_of_a_training() -> None:
    defaults = OmegaConf.select(OmegaConf.load(config_folder() / "train.yaml"), "defaults")
    (loss,) = (group["loss"] for group in defaults if "loss" in group)
    assert parsed() == load_preset(loss)
    assert parsed("--loss", "gatys") == load_preset("gatys")


def test_single_values_win() -> None:
    changed = parsed("--content-weight", "3", "--normalization", "mean", "--vgg-weights", "x.pth")
    assert changed == parsed() | {
        "content_weight": 3.0,
        "normalization": "mean",
        "vgg_weights": "x.pth",
    }


def test_layers_without_weights_count_alike() -> None:
    changed = parsed("--style-layers", "conv1_1", "conv2_1")
    assert changed["style_layers"] == ["conv1_1", "conv2_1"]
    assert changed["style_layer_weights"] == [1.0, 1.0]
    changed = parsed("--content-layers", "relu2_2", "--content-layer-weights", "0.5")
    assert changed["content_layer_weights"] == [0.5]


def test_further_terms_have_weights() -> None:
    assert parsed("--terms", "laplacian=0.5", "statistics=2")["terms"] == {
        "laplacian": 0.5,
        "statistics": 2.0,
    }
    with pytest.raises(ValueError, match="laplacian=0.5; found 'laplacian'"):
        parsed("--terms", "laplacian")


def test_an_unknown_preset() -> None:
    with pytest.raises(ValueError, match="'x'; .*balanced, crisp, gatys, johnson"):
        load_preset("x")

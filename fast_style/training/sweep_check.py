"""A look at all runs of a sweep before the first begins: one that cannot work costs no hours."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from fast_style.models.network import build_network
from fast_style.system.paths import is_file
from fast_style.training.config import explain, plain, style_image
from fast_style.training.network_choice import follow_model
from fast_style.training.run import checked_model


class SweepRefused(BaseException):
    """A run of the sweep cannot work; none has begun.

    Not an ``Exception``: Hydra only warns of those that its callbacks raise.
    """


class SweepCheck(Callback):
    """Refuses a sweep if one of its runs cannot work.

    A callback of Hydra's, named in configs/train.yaml before all that make folders. Runs that
    another sweeper than Hydra's own chooses are not known yet.
    """

    def on_multirun_start(self, config: DictConfig, **options: Any) -> None:
        """Compose and check every run.

        Raises:
            SweepRefused: A choice or a painting does not exist, a value has another type, or the
                network is not that of the model to start from.
        """
        for words in runs(config):
            changed = " ".join(word for word in words if word not in config.hydra.overrides.task)
            try:
                check_run(config, words)
            except (HydraException, OmegaConfBaseException, YAMLError) as error:
                raise SweepRefused(f"of the run {changed}: {explain(error)}") from error
            except ValueError as error:
                raise SweepRefused(f"of the run {changed}: {error}") from error


def runs(config: DictConfig) -> Iterator[list[str]]:
    """Give the words of each run of a sweep, whose configuration this is."""
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    choices: list[list[str]] = []
    for word in config.hydra.overrides.task:
        override = parser.parse_override(word)
        if not override.is_sweep_override():
            choices.append([word])
        elif override.is_discrete_sweep():
            key = override.get_key_element()
            choices.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        else:  # an interval, which is for other sweepers
            return
    yield from map(list, itertools.product(*choices))


def check_run(config: DictConfig, words: list[str]) -> None:
    """Check one run of a sweep.

    Args:
        config: The sweep's configuration.
        words: The run's.

    Raises:
        ValueError: It cannot work.
        HydraException: It cannot be composed.
    """
    run = GlobalHydra.instance().config_loader().load_sweep_config(config, words)
    with open_dict(run):
        del run["hydra"]
    follow_model(run, words, None)
    values = plain(run)
    image = style_image(values["style"]["image"])
    if not is_file(image):
        raise ValueError(f"style.image: there is no file {image}")
    with torch.device("meta"):
        build_network(values["network"])
    if values["init_from"] is not None:
        checked_model(values["init_from"], values["network"])

"""The network of a training that starts or goes on from a model, which nobody needs to name."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fast_style.models.style_file import ModelFileError, load_style_model
from fast_style.system.paths import is_file, user_path
from fast_style.system.resources import config_folder
from fast_style.training.config import CONFIG_NAME
from fast_style.training.run_folder import LAST

log = logging.getLogger(__name__)

NAMED = re.compile(r"[+~]*network[.=]")  # how words of a command line begin that choose a network


def is_named(config: DictConfig, words: Sequence[str]) -> bool:
    """Whether the command line or an experiment has chosen the network.

    An experiment that chooses the default network can't be told from one that chooses none.

    Args:
        config: As Hydra composed it.
        words: Those of the command line.
    """
    if any(NAMED.match(word) for word in words):
        return True
    defaults: Any = OmegaConf.load(config_folder() / f"{CONFIG_NAME}.yaml")
    name = next(part["network"] for part in defaults["defaults"] if "network" in part)
    return bool(config.network != OmegaConf.load(config_folder() / "network" / f"{name}.yaml"))


def follow_model(config: DictConfig, words: Sequence[str], folder: Path | None) -> None:
    """Give a configuration the network of the model that it starts or goes on from.

    A network that was chosen stays. If it does not fit the model, the run is refused later.

    Args:
        config: As Hydra composed it; changed.
        words: Those of the command line.
        folder: The run's; none if it is not known yet.

    Raises:
        ModelFileError: ``init_from`` names no model.
    """
    if is_named(config, words):
        return
    network = None
    if config.ckpt_path is not None:
        path = user_path(str(config.ckpt_path))
        if config.ckpt_path == "last" and folder is not None:
            path = folder / LAST
        with suppress(ModelFileError):  # reported when the run begins
            network = load_style_model(path).description["network"] if is_file(path) else None
    if network is None and config.init_from is not None:
        network = load_style_model(str(config.init_from)).description["network"]
    if network is not None and config.network != network:
        OmegaConf.update(config, "network", network, merge=False, force_add=True)
        log.info("network:     %s, as %s", network["name"], config.ckpt_path or config.init_from)

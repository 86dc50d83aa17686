"""What Hydra composed, checked, and Hydra's complaints in one line that names the valid choices."""

from __future__ import annotations

import difflib
import re
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from fast_style.resources import config_folder

CONFIG_NAME = "train"
KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


class ConfigError(ValueError):
    """A configuration that can't be used; the message says which key, and what it may be."""


def plain(config: DictConfig) -> dict[str, Any]:
    """Return the configuration as plain dictionaries, lists and numbers, its types checked.

    Raises:
        ConfigError: A required value is missing, a key is not in ``train.yaml``, or a value is
            of another type than its default there.
    """
    try:
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        key = error.full_key or str(error)
        raise ConfigError(f"{key} is required: give {key}=... on the command line") from error
    except OmegaConfBaseException as error:
        raise ConfigError(str(error).splitlines()[0]) from error
    assert isinstance(values, dict)
    defaults = OmegaConf.to_container(OmegaConf.load(config_folder() / f"{CONFIG_NAME}.yaml"))
    _check_types(values, defaults, "")
    return values  # type: ignore[return-value]


def explain(error: Exception) -> str:
    """Return Hydra's or OmegaConf's error as one line for the command line."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        return f"there is no {group}={choice}; choose {group}={' | '.join(error.options)}"
    text = " ".join(str(error).split())
    if found := re.search(r"Could not override '([^']+)'", text):
        return _unknown_key(found[1])
    if isinstance(error, ConfigCompositionException) and error.__cause__ is not None:
        text += " " + " ".join(str(error.__cause__).split())
    return text


def _unknown_key(key: str) -> str:
    """Say which part of a dotted key does not exist, and what does at its place."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        section: Any = compose(CONFIG_NAME)
    parents: list[str] = []
    for name in key.split("."):
        if not isinstance(section, DictConfig):
            return f"there is no {key}: {'.'.join(parents)} is not a section"
        if name not in section:
            close = difflib.get_close_matches(name, map(str, section), n=1)
            found = ".".join([*parents, name])
            meant = f"; did you mean {'.'.join([*parents, *close])}?" if close else ";"
            choices = ", ".join(sorted(map(str, section)))
            return f"there is no {found}{meant} {'.'.join(parents) or 'train.yaml'} has: {choices}"
        parents.append(name)
        section = None if OmegaConf.is_missing(section, name) else section[name]
    return f"{key} can't be overridden"


def _check_types(values: Any, defaults: Any, key: str) -> None:
    if isinstance(defaults, dict):
        if not isinstance(values, dict):
            raise ConfigError(f"{key} is a section of the configuration, found {values!r}")
        # `+key=value` gets past Hydra. The network's section is checked by build_network.
        if unknown := sorted(values.keys() - defaults.keys() - {"network"}):
            raise ConfigError(_unknown_key(f"{key}.{unknown[0]}" if key else str(unknown[0])))
        for name in defaults.keys() & values.keys():
            _check_types(values[name], defaults[name], f"{key}.{name}" if key else str(name))
        return
    if defaults in (None, "???", "auto"):
        return  # any type will do, or the constructor knows
    kind = type(defaults)
    fits = type(values) is kind or (kind is float and type(values) is int)
    if not fits and kind in KINDS:
        raise ConfigError(f"{key} must be {KINDS[kind]}, found {values!r}")

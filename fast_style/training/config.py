"""What Hydra composed, checked, and Hydra's complaints in one line that names the valid choices."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import (
    ConfigCompositionException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from fast_style.models.style_file import style_name
from fast_style.system.messages import did_you_mean, one_line
from fast_style.system.resources import config_folder

CONFIG_NAME = "train"
# In train.yaml a style is called as its painting, unless told otherwise.
if not OmegaConf.has_resolver("style_name"):
    OmegaConf.register_new_resolver("style_name", lambda image: style_name(str(image)))
MOST_VALUES = 10_000  # of a configuration file, with all that it refers to
NOT_OURS = {"defaults", "hydra"}  # in train.yaml, but Hydra's
# Keys whose values are texts even where they look like numbers, by section.
TEXTS = {
    "": ("licence", "init_from", "ckpt_path"),
    "style": ("name", "image", "credit"),
    "data": ("root", "split", "val_split"),
}
REQUIRED_TEXTS = ("style.name", "style.image", "data.root")
KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list, as [1,2] or []",
}


class ConfigError(ValueError):
    """A configuration that can't be used; the message says which key, and what it may be."""


@contextmanager
def checked_files() -> Iterator[None]:
    """Let Hydra read configuration files only after a check, as long as the body lasts.

    Hydra and OmegaConf answer a slip in a file with a traceback, and expand what refers to itself
    or to much else without an end.
    """
    load = OmegaConf.load

    def checked(file_: Any) -> Any:
        if isinstance(file_, io.TextIOWrapper):
            check_file(file_.read(), Path(file_.name))
            file_.seek(0)
        return load(file_)

    OmegaConf.load = staticmethod(checked)  # type: ignore[method-assign]
    try:
        yield
    finally:
        OmegaConf.load = staticmethod(load)  # type: ignore[method-assign]


def check_file(text: str, path: Path) -> None:
    """Check the text of a configuration file before values are made of it.

    Raises:
        ConfigError: It is no YAML, no section of keys and values, or too much; in one line.
    """
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{path}{place}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: its brackets are nested too deeply") from error
    if root is not None and not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{path}: expected lines of key: value, found a {root.id}")
    if root is not None and _expanded(root, path, {}) > MOST_VALUES:
        raise ConfigError(f"{path}: its anchors make more than {MOST_VALUES} values of it")
    if path.parent.name == "experiment" and "@package" not in text:
        raise ConfigError(f"{path}: the first line of an experiment is # @package _global_")
    try:
        OmegaConf.create(text)
    except yaml.MarkedYAMLError as error:  # of values: a key twice, a tag
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}{line}: {error.problem}") from error
    except Exception as error:  # of a tag, as !!set, OmegaConf asserts that there is none
        raise ConfigError(f"{path}: its values cannot be read: {one_line(error)}") from error


def _expanded(node: yaml.Node, path: Path, known: dict[int, int]) -> int:
    """Return how many values a part of a file stands for, what it refers to included."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if (count := known.get(id(node))) is None:
        known[id(node)] = 0  # until it is known: it is being looked at
        pairs = isinstance(node, yaml.MappingNode)
        parts = [one for pair in node.value for one in pair] if pairs else node.value
        count = known[id(node)] = 1 + sum(_expanded(one, path, known) for one in parts)
    elif not count:
        line = node.start_mark.line + 1
        raise ConfigError(f"{path}, line {line}: an anchor that contains itself")
    return count


def override(key: str, value: str) -> str:
    """Return ``key=value`` as Hydra reads it, the value in quotes of its own if it needs them."""
    if re.fullmatch(r"[\w./+-]+", value, re.ASCII) is None:
        escaped = re.sub(r'(\\*)("|$)', r"\1\1\2", value)  # backslashes before a quote only
        value = '"' + escaped.replace('"', '\\"') + '"'
    return f"{key}={value}"


def plain(config: DictConfig) -> dict[str, Any]:
    """Return the configuration as plain dictionaries, lists and numbers, its types checked.

    Raises:
        ConfigError: A required value is missing, a key is not in ``train.yaml``, or a value is
            of another type than its default there.
    """
    try:
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise ConfigError(_required(error.full_key or str(error))) from error
    except OmegaConfBaseException as error:
        if missing := _missing(error):
            raise ConfigError(_required(missing)) from error
        raise ConfigError(str(error).splitlines()[0]) from error
    assert isinstance(values, dict)
    defaults = OmegaConf.to_container(OmegaConf.load(config_folder() / f"{CONFIG_NAME}.yaml"))
    assert isinstance(defaults, dict)
    _check_section(values, defaults, "")
    for section, keys in TEXTS.items():
        part: Any = values[section] if section else values
        for name in keys:
            part[name] = _text(part[name], f"{section}.{name}" if section else name)
    return values  # type: ignore[return-value]


def explain(error: Exception) -> str:
    """Return Hydra's or OmegaConf's error as one line for the command line."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        meant = did_you_mean(choice, error.options, f"{group}=")
        if group == "style" and "." in choice:
            meant = f"; a painting of your own is {override('style.image', choice)};"
        choices = f"{group}={' | '.join(error.options)}"
        return f"there is no {group}={choice}{meant or ';'} choose {choices}"
    if isinstance(error, OmegaConfBaseException) and (missing := _missing(error)):
        return _required(missing)
    text = " ".join(str(error).split())
    if found := re.match(r"Ambiguous value for argument '(.+?)=(.+?)' 1\. To use it", text):
        quoted = override(found[1], found[2])
        return (
            f"{found[1]}={found[2]} is several values, which only a sweep (-m) takes, one after "
            f"the other; a list needs brackets: '{found[1]}=[{found[2]}]', a text with commas "
            f"needs quotes of its own: '{quoted}'"
        )
    if isinstance(error, OverrideParseException):
        return (
            f"cannot understand {error.override!r}: {text}. Write key=value; a value with commas, "
            "brackets, = or letters beyond a to z needs quotes of its own: "
            "'style.image=\"a, b.jpg\"'"
        )
    found = re.search(r"Could not override '([^']+)'", text)
    if found and not found[1].startswith("hydra."):
        return _unknown_key(found[1])
    if isinstance(error, ConfigCompositionException) and error.__cause__ is not None:
        text += " " + " ".join(str(error.__cause__).split())
    return text


def _text(value: Any, key: str) -> str | None:
    """Return a text key's value; 2017 is a number to YAML, and a fine name for a folder."""
    if value is None and key in REQUIRED_TEXTS:
        raise ConfigError(_required(key))
    if not isinstance(value, str | int | float | None):
        raise ConfigError(f"{key} must be {KINDS[str]}, found {value!r}")
    return None if value is None else str(value)


def _missing(error: OmegaConfBaseException) -> str | None:
    """Return the key that a reference asked for and that has no value, if that is the error."""
    found = re.search(r"Missing mandatory value: ([\w.]+)", str(error))
    return found[1] if found else None


def _required(key: str) -> str:
    return f"{key} is required: give {key}=... on the command line"


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
            choices = {str(choice) for choice in section}
            if not parents:  # groups that are no section, as experiment, can be chosen too
                choices |= {path.name for path in config_folder().iterdir() if path.is_dir()}
                # A key without its section is the commonest slip.
                homes = [str(s) for s in section if isinstance(section[s], DictConfig)]
                if inside := [f"{s}.{name}" for s in homes if name in section[s]]:
                    return f"there is no {name}; did you mean {' or '.join(inside)}?"
            meant = did_you_mean(name, choices, ".".join([*parents, ""])) or ";"
            place = ".".join(parents) or "train.yaml"
            found = ".".join([*parents, name])
            return f"there is no {found}{meant} {place} has: {', '.join(sorted(choices))}"
        parents.append(name)
        section = None if OmegaConf.is_missing(section, name) else section[name]
    return f"{key} can't be overridden"


def _check_section(values: dict[Any, Any], defaults: dict[Any, Any], section: str) -> None:
    """Check that ``values`` has the keys and types of ``defaults``, through all sections."""
    prefix = f"{section}." if section else ""
    # The network's section depends on the network: build_network checks it.
    top = {"network"} if not section else set()
    if unknown := sorted(map(str, values.keys() - defaults.keys() - top)):
        raise ConfigError(_unknown_key(f"{prefix}{unknown[0]}"))  # +key=value gets past Hydra
    if missing := sorted(map(str, (defaults.keys() | top) - values.keys() - NOT_OURS)):
        raise ConfigError(_required(f"{prefix}{missing[0]}"))
    for name in values.keys() & defaults.keys():
        value, default, key = values[name], defaults[name], f"{prefix}{name}"
        if isinstance(default, dict):
            if not isinstance(value, dict):
                raise ConfigError(
                    f"{key} is a section of the configuration, found {value!r}; it has: "
                    + ", ".join(f"{key}.{name}" for name in default)
                )
            _check_section(value, default, key)
        elif name in TEXTS.get(section, ()):
            continue  # made a text afterwards
        elif default not in (None, "???", "auto"):  # there, the constructor knows
            kind = type(default)
            if type(value) is not kind and not (kind is float and type(value) is int):
                raise ConfigError(f"{key} must be {KINDS[kind]}, found {value!r}")

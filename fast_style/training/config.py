"""The configuration that Hydra composed, checked; Hydra's errors in one line with the choices."""

from __future__ import annotations

import io
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import (
    ConfigCompositionException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from fast_style.models.style_file import style_name
from fast_style.system.messages import did_you_mean, one_line
from fast_style.system.paths import user_path
from fast_style.system.resources import config_folder, shipped_painting
from fast_style.training.source import source_keys

CONFIG_NAME = "train"
# train.yaml names a style after its painting, unless style.name is given.
if not OmegaConf.has_resolver("style_name"):
    OmegaConf.register_new_resolver("style_name", lambda image: style_name(str(image)))
MOST_VALUES = 10_000  # of a configuration file, with all that its anchors stand for
NOT_OURS = {"defaults", "hydra"}  # parts of train.yaml that belong to Hydra
# By section, the keys whose values are texts, also where they look like numbers.
TEXTS = {
    "": ("licence", "init_from", "ckpt_path"),
    "style": ("name", "image", "credit"),
    "data": ("root", "split", "val_split"),
}
REQUIRED_TEXTS = ("style.name", "style.image", "data.root")
# Sections whose keys are names that a person may add; who reads them knows the names.
NAMED_NUMBERS = ("loss.terms",)
# What people type who know other programs, and what it is here. Only for the guess in an error.
SYNONYMS = {
    "steps": "trainer.max_steps",
    "iterations": "trainer.max_steps",
    "epochs": "trainer.max_steps",
    "lr": "optimizer.learning_rate",
    "batch": "data.batch_size",
    "gpu": "trainer=gpu",
    "gpus": "trainer=ddp trainer.devices",
    "device": "trainer",
    "image": "style.image",
    "painting": "style.image",
    "photos": "data=folder data.root",
    "photographs": "data=folder data.root",
    "size": "style.size (of the painting) or data.image_size (of the photographs)",
    "output": "hydra.run.dir",
    "resume": "ckpt_path",
}
TYPE_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list, as [1,2] or []",
}


class ConfigError(ValueError):
    """A configuration that can't be used. The message names the key and what it may be."""


@contextmanager
def checked_files() -> Iterator[None]:
    """Check each configuration file before Hydra reads it, as long as the body lasts.

    Without this, a slip in a person's own YAML file is a page of traceback.
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
    """Check the text of a configuration file.

    Args:
        text: What is in the file.
        path: Where it is, for the message.

    Raises:
        ConfigError: The text is not YAML, not lines of ``key: value``, or stands for too
            much. One line with the place.
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
    except yaml.MarkedYAMLError as error:  # a key that stands there twice, an unknown tag
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}{line}: {error.problem}") from error
    except Exception as error:  # OmegaConf's assertions
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
    """Return ``key=value`` for Hydra's command line, with quotes around the value if needed."""
    if re.fullmatch(r"[\w./+-]+", value, re.ASCII) is None:
        escaped = re.sub(r'(\\*)("|$)', r"\1\1\2", value)  # only those before a quote
        value = '"' + escaped.replace('"', '\\"') + '"'
    return f"{key}={value}"


def plain(config: DictConfig) -> dict[str, Any]:
    """Return the configuration as plain dictionaries, lists and numbers, with checked types.

    Raises:
        ConfigError: A required value is missing, a key is not in ``train.yaml``, or a value has
            another type than its default there.
    """
    try:
        # First without references: a missing value is named itself, not what refers to it.
        OmegaConf.to_container(config, throw_on_missing=True)
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise ConfigError(_required(error.full_key or str(error))) from error
    except OmegaConfBaseException as error:
        raise ConfigError(str(error).splitlines()[0]) from error
    assert isinstance(values, dict)
    defaults = OmegaConf.to_container(OmegaConf.load(config_folder() / f"{CONFIG_NAME}.yaml"))
    assert isinstance(defaults, dict)
    _check_section(values, defaults, "")
    for section, keys in TEXTS.items():
        part: Any = values[section] if section else values
        for name in part.keys() & set(keys):  # another source of photographs has other keys
            part[name] = _config_text(part[name], f"{section}.{name}" if section else name)
    return values  # type: ignore[return-value]


def settings(words: Sequence[str], config: dict[str, Any]) -> dict[str, Any]:
    """Return what was given on a command line, by the names that TensorBoard shows.

    ``style_weight`` for ``loss.style_weight``; the full name where two sections have one.

    Args:
        words: Of the command line, as Hydra knows them.
        config: As ``plain`` returns it.
    """
    sections = [part for part in config.values() if isinstance(part, dict)]
    homes = Counter(name for part in sections for name in part) + Counter(list(config))
    found: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.lstrip("+").partition("=")
        section, _, name = key.partition(".")
        value = config.get(section)
        if not equals or key.startswith("hydra") or key == "ckpt_path":
            continue
        if not isinstance(value, dict):
            found[key] = value if section in config else text
        elif name in value:
            found[name if homes[name] == 1 else key] = value[name]
        else:  # the choice of a group, or a name in a section of names
            found[key] = text
    return found


def style_image(image: str) -> Path:
    """Return the path of a painting: the bare name of one in the package, or any file.

    Raises:
        ValueError: An empty name.
    """
    if not image:
        raise ValueError("style.image is empty: it names the painting")
    return shipped_painting(image) or user_path(image)


def explain(error: Exception) -> str:
    """Return an error of Hydra's or OmegaConf's as one line for the command line."""
    text = " ".join(str(error).split())
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        return _unknown_choice(error.missing_cfg_file, error.options)
    if isinstance(error, OverrideParseException):
        return (
            f"cannot understand {error.override!r}: {text}. Write key=value; a value with commas, "
            "brackets, = or letters beyond a to z needs quotes of its own: "
            "'style.image=\"a, b.jpg\"'"
        )
    if isinstance(error, ConfigCompositionException):
        cause = error.__cause__
        if cause is None:
            return _several_values(sys.argv[1:]) or text
        if isinstance(cause, ConfigAttributeError | ConfigKeyError):
            key = str(cause.full_key)
            return text if key.startswith("hydra.") else _unknown_key(key)
        text += " " + " ".join(str(cause).split())
    return text


def _unknown_choice(name: str, options: Sequence[str]) -> str:
    """Say that a group has no such choice, and which it has."""
    group, _, choice = name.rpartition("/")
    meant = did_you_mean(choice, options, f"{group}=")
    if group == "style" and "." in choice:
        meant = f"; a painting of your own is {override('style.image', choice)};"
    if group == "experiment":
        own = f"a file of your own, {group}/{choice}.yaml, by --config-dir FOLDER"
        meant = f"{meant or ';'} {own};"
    return f"there is no {group}={choice}{meant or ';'} choose {group}={' | '.join(options)}"


def _several_values(words: Sequence[str]) -> str | None:
    """Say which word of the command line has several values though it starts no sweep.

    Hydra's own advice names quotes that the shell takes away.
    """
    if {"-m", "--multirun"} & set(words):
        return None
    parser = OverridesParser.create()
    for word in words:
        if (
            "=" in word
            and not word.startswith("-")
            and parser.parse_override(word).is_sweep_override()
        ):
            key, _, value = word.partition("=")
            return (
                f"{word} is several values, which only a sweep (-m) takes, one after the other; a "
                f"list needs brackets: '{key}=[{value}]', a text with commas needs quotes of its "
                f"own: '{override(key, value)}'"
            )
    return None


def _config_text(value: Any, key: str) -> str | None:
    """Return the value of a text key. 2017 is a number to YAML, and a fine name for a folder."""
    if value is None and key in REQUIRED_TEXTS:
        raise ConfigError(_required(key))
    if not isinstance(value, str | int | float | None):
        raise ConfigError(f"{key} must be {TYPE_NAMES[str]}, found {value!r}")
    return None if value is None else str(value)


def _required(key: str) -> str:
    return f"{key} is required: give {key}=... on the command line"


def _unknown_key(key: str) -> str:
    """Say which part of a dotted key does not exist, and which keys there are in its place."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        section: Any = compose(CONFIG_NAME)
    parents: list[str] = []
    for name in key.split("."):
        if not isinstance(section, DictConfig):
            return f"there is no {key}: {'.'.join(parents)} is not a section"
        if name not in section:
            choices = {str(choice) for choice in section}
            if not parents and name in SYNONYMS:
                return f"there is no {name}; did you mean {SYNONYMS[name]}?"
            if not parents:  # groups without a section, such as experiment, are choices too
                choices |= {path.name for path in config_folder().iterdir() if path.is_dir()}
                # The most common slip is a key without its section.
                homes = [str(s) for s in section if isinstance(section[s], DictConfig)]
                if inside := [f"{s}.{name}" for s in homes if name in section[s]]:
                    return f"there is no {name}; did you mean {' or '.join(inside)}?"
            return _no_such_key(name, choices, ".".join(parents))
        parents.append(name)
        section = None if OmegaConf.is_missing(section, name) else section[name]
    return f"{key} can't be overridden"


def _no_such_key(name: str, choices: Iterable[str], section: str) -> str:
    """Say that a section has no such key, and what it has."""
    prefix = f"{section}." if section else ""
    meant = did_you_mean(name, choices, prefix) or ";"
    has = ", ".join(sorted(choices))
    return f"there is no {prefix}{name}{meant} {section or 'train.yaml'} has: {has}"


def _source_keys(source: Any) -> set[str]:
    """Return the keys of a source of photographs.

    Raises:
        ConfigError: There is no such source.
    """
    try:
        return source_keys(source)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _check_section(values: dict[Any, Any], defaults: dict[Any, Any], section: str) -> None:
    """Check that ``values`` has the keys and the types of ``defaults``, in all sections."""
    prefix = f"{section}." if section else ""
    # The keys of the network section depend on the network. build_network checks them.
    top = {"network"} if not section else set()
    known = defaults.keys() | top
    if section == "data":  # whose source of photographs has keys of its own
        known = known | _source_keys(values.get("source"))
    if unknown := sorted(map(str, values.keys() - known)):  # +key=value gets past Hydra
        if section == "data":
            raise ConfigError(_no_such_key(unknown[0], known, "data"))
        raise ConfigError(_unknown_key(f"{prefix}{unknown[0]}"))
    if missing := sorted(map(str, (defaults.keys() | top) - values.keys() - NOT_OURS)):
        raise ConfigError(_required(f"{prefix}{missing[0]}"))
    for name in values.keys() & defaults.keys():
        value, default, key = values[name], defaults[name], f"{prefix}{name}"
        if key in NAMED_NUMBERS:
            if not isinstance(value, dict):
                raise ConfigError(f"{key} must be names and numbers, as {key}.NAME=0.5, or {{}}")
        elif isinstance(default, dict):
            if not isinstance(value, dict):
                raise ConfigError(
                    f"{key} is a section of the configuration, found {value!r}; it has: "
                    + ", ".join(f"{key}.{name}" for name in default)
                )
            _check_section(value, default, key)
        elif name in TEXTS.get(section, ()):
            continue  # _config_text checks it
        elif default not in (None, "???", "auto"):  # whose constructor checks it
            kind = type(default)
            if type(value) is not kind and not (kind is float and type(value) is int):
                raise ConfigError(f"{key} must be {TYPE_NAMES[kind]}, found {value!r}")

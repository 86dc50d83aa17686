"""The words of a training's command line as people type them, made into what Hydra can read.

``style.image=My Pictures/Été.JPG`` needs no quotes of Hydra's.
"""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from fast_style.system.paths import ADDRESS, is_file, is_folder, user_path
from fast_style.training.config import NAMED_NUMBERS, SYNONYMS, TEXTS, ConfigError, override

# Keys whose values are texts, most of them paths, by their full names.
TEXT_KEYS = {
    f"{section}.{name}" if section else name for section, names in TEXTS.items() for name in names
} | {"hydra.run.dir", "hydra.sweep.dir", "loss.vgg_weights"}
FOLDERS = {"hydra.run.dir", "hydra.sweep.dir"}  # which Hydra would make, whatever their names
SWEEP_FLAGS = {"-m", "--multirun"}


def readable(words: Sequence[str]) -> list[str]:
    """Return a command line as Hydra can read it: with quotes where they are needed, and ``++``.

    Quotes come around values of ``TEXT_KEYS`` only, and of these only what Hydra could not read, or
    would take for several values where it is the name of one file. In a sweep (``-m``) commas part
    values. ``++`` comes before a name in a section of names (``adding_names``).

    Args:
        words: Of the command line, without the program.

    Raises:
        ConfigError: An address, as ``s3://bucket``, where a folder of this machine is expected; a
            word that is no ``KEY=VALUE``.
    """
    _check_words(words)
    sweeps = not SWEEP_FLAGS.isdisjoint(words)
    return [_readable(word, sweeps) for word in adding_names(words)]


def _check_words(words: Sequence[str]) -> None:
    """Check that words are settings, options of Hydra's, or the values of these.

    Raises:
        ConfigError: One is a known slip.
    """
    for place, word in enumerate(words):
        name = word.lstrip("-").partition("=")[0].replace("-", "_")
        if word.startswith("--") and name in SYNONYMS:
            meant = SYNONYMS[name]
            is_key = not ("=" in meant or " " in meant)
            raise ConfigError(f"there is no {word}; did you mean {meant}{'=' if is_key else ''}?")
        before = words[place - 1] if place else ""
        if word and not ("=" in word or word.startswith(("-", "~")) or before.startswith("-")):
            raise ConfigError(_no_setting(before, word, words[place + 1 :]))


def _no_setting(before: str, word: str, after: Sequence[str]) -> str:
    """Say what is wrong with a word that is no setting.

    Args:
        before: The word before it.
        word: The word.
        after: Those that follow.
    """
    key, equals, value = before.partition("=")
    if equals and not value:
        return f"{before} {word} has a space behind the =: write {before}{shlex.quote(word)}"
    if value.startswith("["):
        return f"the list of {key} needs quotes, or no spaces: '{before} {word} ...'"
    if equals and key.lstrip("+") in TEXT_KEYS and value != "last":
        rest = itertools.takewhile(lambda one: "=" not in one and one[:1] not in "-~", after)
        whole = " ".join([value, word, *rest])
        return f"a name with spaces needs quotes: {key}={shlex.quote(whole)}"
    meant = f"style.image={shlex.quote(word)}" if _exists(word) else "trainer.max_steps=300"
    return f"{word!r} is no setting: expected KEY=VALUE, such as {meant}"


def adding_names(words: Sequence[str]) -> list[str]:
    """Return a command's words, so that Hydra adds what is new in a section of names.

    It would ask for ``+loss.terms.NAME`` where the section does not have the name yet, and refuse
    that where it does.
    """
    sections = "|".join(map(re.escape, NAMED_NUMBERS))
    return [re.sub(rf"^(?=({sections})\.\w+=)", "++", word) for word in words]


def _readable(word: str, sweeps: bool) -> str:
    key, equals, value = word.partition("=")
    if not equals or key.lstrip("+") not in TEXT_KEYS or "${" in value:
        return word
    if key in FOLDERS and ADDRESS.match(value.strip("\"'")):
        raise ConfigError(f"{word} is an address: expected a folder of this machine")
    if _is_one_value(word) or _is_quoted(value):  # in wrong quotes, Hydra says what is wrong
        return word
    if _exists(value):
        return override(key, value)
    if _is_readable(word):
        return word  # several values; without -m that is said when the run is composed
    if sweeps and "," in value:
        parts = (override(key, part.strip()).partition("=")[2] for part in value.split(","))
        return f"{key}={','.join(parts)}"
    return override(key, value)


def _exists(value: str) -> bool:
    """Whether a value is the name of a file or a folder."""
    try:
        path = user_path(value)
    except ValueError:  # an address
        return False
    return is_file(path) or is_folder(path)


def _is_quoted(value: str) -> bool:
    """Whether a value begins and ends in quotes of Hydra's."""
    return re.fullmatch(r"""(["']).*\1""", value, re.DOTALL) is not None


def _is_readable(word: str) -> bool:
    """Whether Hydra can read a word."""
    try:
        OverridesParser.create().parse_override(word)
    except HydraException:
        return False
    return True


def _is_one_value(word: str) -> bool:
    """Whether Hydra reads a word as a single value."""
    try:
        return not OverridesParser.create().parse_override(word).is_sweep_override()
    except HydraException:
        return False

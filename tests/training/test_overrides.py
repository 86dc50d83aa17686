"""Command lines as people type them, and what Hydra reads of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from fast_style.training.config import ConfigError
from fast_style.training.overrides import readable


def value_of(word: str) -> object:
    """Return what Hydra makes of a word."""
    return OverridesParser.create().parse_override(word).value()


@pytest.mark.parametrize(
    "value",
    [
        "My Pictures/Été à la plage.JPG",
        "~/photos",
        "it's.jpg",
        'say "hi".jpg',
        "a(1).jpg",
        "[a].jpg",
        "a=b&c#1.jpg",
        "C:\\Users\\Été\\",
        "絵.png",
        "glob(*).jpg",
        '"unfinished',
    ],
)
@pytest.mark.parametrize("key", ["style.image", "data.root", "hydra.run.dir", "init_from"])
def test_an_ordinary_name_needs_no_quotes(key: str, value: str) -> None:
    (word,) = readable([f"{key}={value}"])
    assert value_of(word) == value
    assert readable([word]) == [word], "a second reading changes it again"


@pytest.mark.parametrize(
    "word",
    [
        "style=starry",
        "style.image='a b, c.jpg'",
        "style.image=${oc.env:HOME}/a.jpg",
        "data.root=null",
        "data.root=photos",
        "network.channels=[4,4,8]",
        "--config-dir=x y",
        "~network",
    ],
)
def test_what_hydra_reads_stays_as_it_was_typed(word: str) -> None:
    assert readable([word]) == [word]


def test_a_file_with_a_comma_in_its_name_is_one_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sun, moon.jpg").touch()
    for flags in ([], ["-m"]):
        word = readable([*flags, "style.image=sun, moon.jpg"])[-1]
        assert value_of(word) == "sun, moon.jpg"


def test_commas_part_the_values_of_a_sweep() -> None:
    word = readable(["-m", "style.image=Été.jpg, b c.jpg"])[-1]
    override = OverridesParser.create().parse_override(word)
    assert override.is_choice_sweep()
    assert list(override.sweep_string_iterator()) == ['"Été.jpg"', '"b c.jpg"']


@pytest.mark.parametrize("key", ["hydra.run.dir", "hydra.sweep.dir"])
def test_an_address_is_no_folder(key: str) -> None:
    with pytest.raises(ConfigError, match="s3://bucket/run"):
        readable([f"{key}=s3://bucket/run"])


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["--steps", "60"], "trainer.max_steps="),
        (["--max-steps=60"], None),  # Hydra says what it thinks of it
        (["--size=512"], r"data\.image_size .*\?$"),
        (["style.image=My", "Painting.jpg"], r"style\.image='My Painting\.jpg'"),
        (["style.image=My", "Summer", "Pic.jpg", "seed=1"], r"'My Summer Pic\.jpg'$"),
        (["style.image=", "mine.jpg"], r"style\.image=mine\.jpg$"),
        (["trainer.devices=[0,", "1]"], r"list of trainer\.devices"),
        (["-m", "seed=1,2", "~style"], None),
        (["style=starry", "mine.jpg"], "KEY=VALUE, .*trainer"),
        (["mine.jpg"], "KEY=VALUE, .*style.image=mine.jpg"),
        (["--config-dir", "folder", "style=starry"], None),
    ],
)
def test_known_slips(
    words: list[str], meant: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if len(words) == 1:
        (tmp_path / "mine.jpg").touch()
    if meant is None:
        assert readable(words) == words
    else:
        with pytest.raises(ConfigError, match=meant):
            readable(words)

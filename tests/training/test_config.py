from __future__ import annotations

import functools
import inspect
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf
from torch import nn

from fast_style import train
from fast_style.images.reading import read_style
from fast_style.models.losses import PerceptualLoss
from fast_style.models.network import build_network, network_class
from fast_style.system.resources import asset, config_folder
from fast_style.training.config import (
    CONFIG_NAME,
    SYNONYMS,
    ConfigError,
    check_file,
    override,
    plain,
    settings,
    style_image,
)
from fast_style.training.data import PhotographData, photograph_data
from fast_style.training.module import StyleModule
from fast_style.training.overrides import adding_names
from fast_style.training.photographs import crops_per_step
from fast_style.training.source import source_class
from fast_style.training.trainer import build_trainer

RECIPES = Path(__file__).parents[2] / "scripts" / "recipes"
FILES = sorted(config_folder().rglob("*.yaml"))
OPTIONS = [f"{file.parent.name}={file.stem}" for file in FILES if file.parent != config_folder()]
GROUPS = sorted({option.partition("=")[0] for option in OPTIONS})
EXPERIMENTS = [option for option in OPTIONS if option.startswith("experiment=")]
COMMAND = re.compile(r"(?:python -m fast_style\.|fast-style )train +(.+?) *$", re.MULTILINE)
GIVEN = {"data.root", "style.name", "style.image"}  # what only the person can know
SECTIONS = {"style", "loss", "network", "optimizer", "data", "trainer", "checkpoint"}
# What run.prepare keeps for itself of the trainer's section.
POPPED = {"compile", "memory_format", "preview_every_n_steps"}


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return compose(CONFIG_NAME, overrides=list(overrides))


@functools.cache
def default() -> DictConfig:
    return composed()


@functools.cache
def complete(*overrides: str) -> dict[str, Any]:
    """Return the composed values, what a person must give filled in."""
    config = composed(*overrides)
    missing = OmegaConf.missing_keys(config)
    assert missing <= GIVEN
    for key in missing:
        OmegaConf.update(config, key, "given")
    return plain(config)


def parameters(constructor: Callable[..., Any], *without: str) -> set[str]:
    names = set(inspect.signature(constructor).parameters)
    assert names.issuperset(without)
    return names - set(without)


def file_of(option: str) -> Path:
    group, _, choice = option.partition("=")
    return config_folder() / group / f"{choice}.yaml"


def leaves(values: Any, *parents: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not isinstance(values, dict):
        yield parents, values
        return
    for name, value in values.items():
        yield from leaves(value, *parents, name)


def at(values: dict[str, Any], path: tuple[str, ...]) -> Any:
    return functools.reduce(lambda section, name: section[name], path, values)


# The files


def test_the_documented_groups_are_there() -> None:
    assert {"style", "loss", "network", "data", "trainer", "experiment"} == set(GROUPS)
    losses = {option for option in OPTIONS if option.startswith("loss=")}
    assert losses == {f"loss={name}" for name in ("tonal", "balanced", "crisp", "johnson", "gatys")}
    assert {"style=starry", "data=sample", "data=folder", "data=coco"} <= set(OPTIONS)
    assert {"trainer=auto", "trainer=cpu", "trainer=gpu", "trainer=ddp"} <= set(OPTIONS)
    assert {"experiment=quick", "experiment=full"} <= set(OPTIONS)


def test_the_default_configuration_needs_nothing() -> None:
    values = plain(default())
    assert set(values) == SECTIONS | {"seed", "licence", "init_from", "ckpt_path"}
    assert values["style"]["name"] == "starry"
    assert values["data"]["root"] == "bundled"


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_composes_and_wins_over_the_defaults(option: str) -> None:
    values = complete(option)
    group = option.partition("=")[0]
    section = values if group == "experiment" else values[group]
    asked = yaml.safe_load(file_of(option).read_text(encoding="utf-8"))
    asked.pop("defaults", None)
    for path, value in leaves(asked):
        assert at(section, path) == ("given" if value == "???" else value), path


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_command_line_wins_over_an_experiment(experiment: str) -> None:
    found = complete(experiment, "trainer.max_steps=7", "loss=gatys", "style.size=100")
    assert found["trainer"]["max_steps"] == 7
    assert found["loss"]["content_layers"] == ["conv5_1"]
    assert found["style"]["size"] == 100


def wishes(experiment: str) -> tuple[list[str], dict[Any, Any]]:
    """Return the groups and the values that an experiment asks for, and the one it builds on."""
    asked = yaml.safe_load(file_of(experiment).read_text(encoding="utf-8"))
    switched: list[str] = []
    values: dict[Any, Any] = {}
    for entry in asked.pop("defaults", []):
        if isinstance(entry, str):
            inherited, values = wishes(f"experiment={entry}")
            switched += inherited
        else:
            switched += [f"{g.removeprefix('override /')}={c}" for g, c in entry.items()]
    return switched, values | dict(leaves(asked))


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_changes_what_it_says_and_no_more(experiment: str) -> None:
    switched, asked = wishes(experiment)
    expected = dict(leaves(complete(*switched))) | asked
    assert dict(leaves(complete(experiment))) == expected


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_all_yaml_readers_agree(file: Path) -> None:
    # 1e-3 is a number to OmegaConf and a text to PyYAML: write 1.0e-3.
    assert yaml.safe_load(file.read_text(encoding="utf-8")) == OmegaConf.to_container(
        OmegaConf.load(file)
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_commands_in_the_comments_compose(file: Path) -> None:
    commands = COMMAND.findall(file.read_text(encoding="utf-8"))
    if file.parent.name == "experiment" or file.name == "train.yaml":
        assert commands
    for command in commands:
        values = plain(composed(*command.split()))
        if file.parent.name == "experiment":
            more = [option for option in command.split() if option.startswith("trainer.")]
            given = dict(OmegaConf.from_dotlist(more).get("trainer", {}))
            assert values["trainer"] == complete(f"experiment={file.stem}")["trainer"] | given


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
@pytest.mark.parametrize("script", sorted(RECIPES.glob("*.sh")), ids=lambda script: script.stem)
def test_the_commands_of_a_recipe_in_parts_compose(script: Path, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    run = [str(script), "photographs", str(tmp_path / "runs")]
    result = subprocess.run(run, env=environment, capture_output=True, text=True, check=True)
    commands = COMMAND.findall(result.stdout.replace("-m fast_style", "python -m fast_style"))
    assert len(commands) == script.read_text(encoding="utf-8").count("\ntrain ")
    for command in commands:
        plain(composed(*command.split()))


def test_the_choices_in_the_comments_exist() -> None:
    text = (config_folder() / "train.yaml").read_text(encoding="utf-8")
    listed = re.findall(r"^  - (\w+): \w+ +# .*?((?:[\w-]+ \| )+[\w-]+)$", text, re.MULTILINE)
    assert {group for group, _ in listed} >= {"loss", "data", "trainer", "experiment"}
    for group, choices in listed:
        for choice in choices.split(" | "):
            assert f"{group}={choice}" in OPTIONS


# The sections and their constructors


@pytest.mark.parametrize("option", OPTIONS)
def test_the_sections_bind_to_their_constructors(option: str) -> None:
    values = complete(option)
    assert set(values["loss"]) == parameters(PerceptualLoss, "style", "style_shares", "dtype")
    source = parameters(source_class(values["data"]["source"]))
    assert set(values["data"]) == parameters(PhotographData, "seed") | source
    module = parameters(StyleModule, "network", "loss", "description")
    assert set(values["optimizer"]) == module
    assert set(values["network"]) == {"name", *parameters(network_class(values["network"]["name"]))}
    trainer = parameters(build_trainer, "title", "preview", "last_checkpoint")
    assert trainer.isdisjoint(POPPED)
    assert set(values["trainer"]) == trainer | POPPED
    assert set(values["style"]) == {"name", "image", "size", "credit"}


@pytest.mark.parametrize("option", [text for text in OPTIONS if text.startswith("network=")])
def test_every_network_builds(option: str) -> None:
    with torch.device("meta"):
        network = build_network(complete(option)["network"])
        assert network(torch.empty(1, 3, 64, 48)).shape == (1, 3, 64, 48)
    assert sum(parameter.numel() for parameter in network.parameters()) > 50_000


@pytest.mark.parametrize("option", [text for text in OPTIONS if text.startswith("loss=")])
def test_every_loss_builds(option: str) -> None:
    style = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    loss = PerceptualLoss(style, **complete(option)["loss"])
    terms = loss(style.flip(-1), style)
    assert torch.isfinite(terms.total)
    assert terms.total > 0


@pytest.mark.parametrize("option", OPTIONS)
def test_the_numbers_are_in_their_ranges(option: str) -> None:
    values = complete(option)
    photograph_data(values["data"], values["seed"])
    StyleModule(nn.Identity(), nn.Identity(), **values["optimizer"], description={})  # type: ignore[arg-type]
    counts = ("max_steps", *(key for key in values["trainer"] if key.endswith("_n_steps")))
    assert len(counts) == 4
    for key in counts:
        assert 1 <= values["trainer"][key] <= values["trainer"]["max_steps"]
    assert 1 <= values["checkpoint"]["every_n_steps"] <= values["trainer"]["max_steps"]


@pytest.mark.parametrize("option", [text for text in OPTIONS if text.startswith("style=")])
def test_every_style_has_its_painting_and_credit(option: str) -> None:
    style = complete(option)["style"]
    assert style["name"] == option.partition("=")[2]
    path = style_image(style["image"])
    assert path.parent == asset("styles")
    assert min(read_style(path, style["size"]).shape[-2:]) == style["size"]
    known = json.loads(asset("styles/credits.json").read_text(encoding="utf-8"))
    assert known[style["image"]]


# The presets


def test_balanced_is_relative_with_equal_layers() -> None:
    assert complete("loss=balanced")["loss"] == {
        "normalization": "relative",
        "content_layers": ["relu3_3"],
        "content_layer_weights": [1.0],
        "content_weight": 1.0,
        "style_layers": ["relu1_2", "relu2_2", "relu3_3", "relu4_3"],
        "style_layer_weights": [1.0, 1.0, 1.0, 1.0],
        "style_weight": 5.0,
        "total_variation_weight": 1e-6,
        "grid_weight": 2e-2,
        "terms": {},
        "vgg_weights": "bundled",
    }


def test_crisp_is_balanced_with_a_second_content_layer() -> None:
    assert complete("loss=crisp")["loss"] == complete("loss=balanced")["loss"] | {
        "content_layers": ["relu2_2", "relu3_3"],
        "content_layer_weights": [1.0, 1.0],
    }


def test_johnson_is_the_classical_loss() -> None:
    assert complete("loss=johnson")["loss"] == {
        "normalization": "mean",
        "content_layers": ["relu3_3"],
        "content_layer_weights": [1.0],
        "content_weight": 1.0,
        "style_layers": ["relu1_2", "relu2_2", "relu3_3", "relu4_3"],
        "style_layer_weights": [1.0, 1.0, 1.0, 1.0],
        "style_weight": 5.0,
        "total_variation_weight": 1e-3,
        "grid_weight": 20.0,
        "terms": {},
        "vgg_weights": "bundled",
    }


def test_gatys_takes_the_first_layer_of_each_block() -> None:
    loss = complete("loss=gatys")["loss"]
    assert loss["normalization"] == "mean"
    assert loss["content_layers"] == ["conv5_1"]
    assert loss["content_layer_weights"] == [1.0]
    assert loss["style_layers"] == ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"]
    assert loss["style_layer_weights"] == [1.0] * 5
    assert loss["style_weight"] == 5
    assert loss["content_weight"] == 1
    assert loss["total_variation_weight"] == 0


def test_tonal_is_the_default_loss_crisp_with_tones() -> None:
    assert complete()["loss"] == complete("loss=tonal")["loss"]
    assert complete()["loss"] == complete("loss=crisp")["loss"] | {"terms": {"tones": 2.0}}


def test_full_has_as_many_photographs_as_the_paper() -> None:
    values = complete("experiment=full")
    data = values["data"]
    sizes = [data["image_size"], *data["other_sizes"]]
    counts = [crops_per_step(data["batch_size"], 256, size) for size in sizes]
    assert counts == [16, 7, 4]
    photographs = values["trainer"]["max_steps"] * sum(counts) / len(counts)
    assert photographs == pytest.approx(40_000 * 4, rel=0.01)
    assert data["split"] == "train2017"
    assert data["val_split"] == "val2017"
    assert values["optimizer"]["learning_rate"] == 1e-3


# Plain values


def changed(key: str, value: object) -> DictConfig:
    """Return the default configuration with one value changed, as on the command line."""
    config = default().copy()
    OmegaConf.update(config, key, value)
    return config


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("data.batch_size", 2.0, "data.batch_size .*whole number.* 2.0"),
        ("data.batch_size", True, "data.batch_size .*whole number.* True"),
        ("data.batch_size", "many", "data.batch_size .*whole number.* 'many'"),
        ("data.batch_size", "2", "data.batch_size .*whole number.* '2'"),
        ("seed", 1.5, "seed .*whole number.* 1.5"),
        ("style.size", None, "style.size .*whole number.* None"),
        ("style.size", [384], r"style.size .*whole number.* \[384\]"),
        ("optimizer.warmup", "some", "optimizer.warmup .* a number.* 'some'"),
        ("optimizer.warmup", False, "optimizer.warmup .* a number.* False"),
        ("trainer.compile", 1, "trainer.compile .*true or false.* 1"),
        ("trainer.compile", "true", "trainer.compile .*true or false.* 'true'"),
        ("loss.vgg_weights", 16, "loss.vgg_weights .*text.* 16"),
        ("loss.vgg_weights", ["a"], r"loss.vgg_weights .*text.* \['a'\]"),
        ("optimizer", 5, "optimizer .*section.* 5; .*optimizer.method, .*"),
        ("optimizer", None, "optimizer .*section.* None; .*optimizer.method, .*"),
        ("loss.terms", 5, r"loss\.terms .* loss\.terms\.NAME=0\.5, .*"),
        ("data.root", "???", "data.root .*data.root=.*"),
        ("seed", "???", "seed .*seed=.*"),
        ("licence", "${nowhere}", ".*'nowhere'.*"),
    ],
)
def test_a_value_that_does_not_fit(key: str, value: object, message: str) -> None:
    config = changed(key, value)
    with pytest.raises(ConfigError, match=f"^{message}$"):
        plain(config)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.smallest_crop", 1),
        ("optimizer.learning_rate", 0.0002),
        ("data.num_workers", 3),
        ("trainer.devices", [0, 1]),
        ("trainer.compile", True),
        ("licence", "CC0-1.0"),
        ("licence", None),
        ("style.name", "5"),
    ],
)
def test_a_value_that_fits(key: str, value: object) -> None:
    found = at(plain(changed(key, value)), tuple(key.split(".")))
    assert found == value
    assert type(found) is type(value)


def test_the_command_line_gives_numbers_as_numbers() -> None:
    values = plain(composed("data.smallest_crop=1", "optimizer.learning_rate=2e-4", "licence=CC0"))
    assert values["data"]["smallest_crop"] == 1
    assert values["optimizer"]["learning_rate"] == 0.0002
    assert values["licence"] == "CC0"


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("mine.jpg", "mine"),
        ("'a b/My sea (2).jpg'", "My_sea__2_"),
        (".jpg", "jpg"),
        ("1889", "1889"),
    ],
)
def test_a_style_is_called_as_its_painting(image: str, name: str) -> None:
    assert plain(composed(f"style.image={image}"))["style"]["name"] == name
    assert plain(composed(f"style.image={image}", "style.name=other"))["style"]["name"] == "other"
    assert plain(composed(f"style.image={image}", "style.name=1889"))["style"]["name"] == "1889"


def test_a_folder_that_cannot_be_made(tmp_path: Path, command: Callable[..., str]) -> None:
    (tmp_path / "file").write_text("in the way")
    line = command(f"hydra.run.dir={tmp_path / 'file'}")
    assert line.startswith("the run's folder cannot be made: ")
    assert str(tmp_path / "file") in line


def test_a_style_without_a_name_or_a_painting(tmp_path: Path, command: Callable[..., str]) -> None:
    folder = f"hydra.run.dir={tmp_path}"
    assert command("style.name=null", folder).startswith("style.name is required")
    assert command("style.image=???", folder).startswith("style.image is required")


def test_a_name_may_be_added_to_a_section_of_names() -> None:
    given = ["loss.terms.laplacian=0.5", "loss.style_weight=3", "-m", "x=loss.terms.laplacian=1"]
    words = adding_names(given)
    assert words == [f"++{given[0]}", *given[1:]]
    assert adding_names(words) == words
    assert plain(composed(*words[:2]))["loss"]["terms"] == {"tones": 2.0, "laplacian": 0.5}


def test_settings_have_the_names_that_were_given() -> None:
    words = ["+loss.style_weight=3", "seed=1", "style.name=x", "network=slim", "hydra.run.dir=y"]
    words += ["ckpt_path=last", "style.size=64", "++loss.terms.laplacian=0.5", "~licence"]
    config = complete("style.name=x", "style.size=64", "seed=1", "loss.style_weight=3")
    assert settings(words, config) == {
        "style_weight": 3,
        "seed": 1,
        "style.name": "x",
        "network": "slim",
        "size": 64,
        "loss.terms.laplacian": "0.5",
    }


def test_references_are_resolved() -> None:
    assert plain(changed("style.credit", "after ${style.name}"))["style"]["credit"] == (
        "after starry"
    )


def test_values_are_plain_containers() -> None:
    def check(value: Any) -> None:
        assert type(value) in (dict, list, int, float, bool, str, type(None))
        if isinstance(value, dict | list):
            for part in value.values() if isinstance(value, dict) else value:
                check(part)

    values = plain(default())
    check(values)
    assert json.loads(json.dumps(values)) == values


def test_the_configuration_is_left_alone() -> None:
    config = changed("style.credit", "${style.name}")
    before = OmegaConf.to_yaml(config)
    values = plain(config)
    values["data"]["batch_size"] = 99
    values["network"]["channels"].append(99)
    assert OmegaConf.to_yaml(config) == before
    assert plain(config)["network"]["channels"] != values["network"]["channels"]


# Mistakes on the command line


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., str]]:
    """Return a function that runs the command to its error and returns that one line."""
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # main sets it; this gives it back
    monkeypatch.chdir(tmp_path)

    def began(*arguments: object) -> None:
        raise AssertionError("the training began in spite of the mistake")

    monkeypatch.setattr(train, "fit", began)
    root, lightning = logging.getLogger(), logging.getLogger("pytorch_lightning")
    handlers, levels = root.handlers[:], (root.level, lightning.level)

    def run(*overrides: str) -> str:
        monkeypatch.setattr(sys, "argv", ["train.py", *overrides])
        assert train.main() == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("fast_style.train: ")
        assert not list(tmp_path.rglob("*.safetensors"))
        return line.removeprefix("fast_style.train: ")

    yield run
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    lightning.setLevel(levels[1])
    GlobalHydra.instance().clear()


DATA_KEYS = (
    "batch_size, image_size, num_workers, other_sizes, root, smallest_crop, source, split, "
    "val_photographs, val_split"
)
TOP_KEYS = (
    "checkpoint, ckpt_path, data, experiment, init_from, licence, loss, network, optimizer, "
    "seed, style, trainer"
)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "data.batchsize=4",
            f"there is no data.batchsize; did you mean data.batch_size? data has: {DATA_KEYS}",
        ),
        ("data.quux=4", f"there is no data.quux; data has: {DATA_KEYS}"),
        (
            "optimiser.warmup=0",
            f"there is no optimiser; did you mean optimizer? train.yaml has: {TOP_KEYS}",
        ),
        ("sed=1", f"there is no sed; did you mean seed? train.yaml has: {TOP_KEYS}"),
        ("data.batch_size.x=1", "there is no data.batch_size.x: data.batch_size is not a section"),
    ],
)
def test_a_misspelt_key(override: str, message: str, command: Callable[..., str]) -> None:
    assert command(override) == message


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("steps=5", "trainer.max_steps"),
        ("epochs=2", "trainer.max_steps"),
        ("lr=1e-3", "optimizer.learning_rate"),
        ("batch=4", "data.batch_size"),
        ("+batch_size=4", "data.batch_size"),
        ("gpu=1", "trainer=gpu"),
        ("gpus=2", "trainer.devices"),
        ("image=mine.jpg", "style.image"),
        ("photos=DIR", "data=folder data.root"),
        ("size=512", "style.size"),
        ("size=512", "data.image_size"),
    ],
)
def test_a_word_of_other_programs(typed: str, meant: str, command: Callable[..., str]) -> None:
    assert meant in command(typed).partition("did you mean ")[2]


def test_the_synonyms_are_no_keys_and_mean_keys() -> None:
    assert not SYNONYMS.keys() & default().keys()
    for meant in SYNONYMS.values():
        for key in re.findall(r"\w+\.\w+(?:\.\w+)?", meant):
            section, _, name = key.partition(".")
            assert section == "hydra" or key == "data.root" or name in default()[section]


def test_a_key_misspelt_beside_other_choices(command: Callable[..., str]) -> None:
    line = command("data=coco", "experiment=full", "loss.stile_weight=2")
    assert line.startswith("there is no loss.stile_weight; did you mean loss.style_weight? loss")


def test_an_unknown_style_lists_the_known_ones(command: Callable[..., str]) -> None:
    line = command("style=scream")
    assert line.startswith("there is no style=scream; choose style=")
    choices = line.partition("choose style=")[2].split(" | ")
    assert "starry" in choices
    assert {f"style={choice}" for choice in choices} <= set(OPTIONS)
    assert command("style=stary").startswith("there is no style=stary; did you mean style=starry?")
    line = command("style=my pic.jpg")
    assert '; a painting of your own is style.image="my pic.jpg"; choose style=' in line


@pytest.mark.parametrize("group", GROUPS)
def test_an_unknown_choice_lists_the_choices(group: str, command: Callable[..., str]) -> None:
    choices = sorted(text.partition("=")[2] for text in OPTIONS if text.startswith(f"{group}="))
    line = command(f"{group}=quux")
    assert line.startswith(f"there is no {group}=quux;")
    assert line.endswith(f"; choose {group}={' | '.join(choices)}")
    assert ("--config-dir" in line) == (group == "experiment")


@pytest.mark.parametrize(
    ("override", "quoted"),
    [("seed==3", "seed==3"), ("data.batch_size=[1", "[1"), ("seed=1=2", "=")],
)
def test_a_syntax_error(override: str, quoted: str, command: Callable[..., str]) -> None:
    line = command(override)
    assert quoted in line
    assert "override_grammar" in line  # where the grammar is explained
    assert "needs quotes of its own" in line


def test_several_values_without_a_sweep(command: Callable[..., str]) -> None:
    line = command("experiment=quick,full")
    assert line.startswith("experiment=quick,full is several values, which only a sweep (-m) takes")
    assert command("style.image=a, b.jpg").endswith("""'style.image="a, b.jpg"'""")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+seed=1", "Could not append to config. An item is already at 'seed'"),
        ("~quux", "Could not delete from config. 'quux' does not exist"),
        ("hydra.run.dir=${quux}", "Interpolation key 'quux' not found"),
        ("--config-name=quux", "Cannot find primary config 'quux'"),
    ],
)
def test_other_complaints_of_hydra_are_passed_on(
    override: str, message: str, command: Callable[..., str]
) -> None:
    assert message in command(override)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "+data.batchsize=4",
            f"there is no data.batchsize; did you mean data.batch_size? data has: {DATA_KEYS}",
        ),
        ("++data.quux=4", f"there is no data.quux; data has: {DATA_KEYS}"),
        ("+quux=4", f"there is no quux; train.yaml has: {TOP_KEYS}"),
    ],
)
def test_a_key_that_is_added(
    override: str, message: str, tmp_path: Path, command: Callable[..., str]
) -> None:
    assert command(override, f"hydra.run.dir={tmp_path}") == message


def test_a_required_value(tmp_path: Path, command: Callable[..., str]) -> None:
    line = command("data=folder", f"hydra.run.dir={tmp_path}")
    assert line.startswith("data.root ")
    assert "data.root=" in line


def test_a_misspelt_group_that_is_no_section(command: Callable[..., str]) -> None:
    assert "did you mean experiment?" in command("experimnt=full")


@pytest.mark.parametrize("override", ["hydra.run.dri=x", "hydra.quux=1"])
def test_a_misspelt_key_of_hydra(override: str, command: Callable[..., str]) -> None:
    line = command(override)
    assert override.partition("=")[0] in line
    assert "there is no hydra;" not in line


@pytest.mark.parametrize("override", ["data=5", "style=1889", "loss=null"])
def test_a_choice_that_is_no_name(override: str, command: Callable[..., str]) -> None:
    assert override.partition("=")[0] in command(override)


@pytest.mark.parametrize("key", ["seed", "style.size", "loss.style_weight"])
def test_a_deleted_key(key: str, tmp_path: Path, command: Callable[..., str]) -> None:
    assert key.rpartition(".")[2] in command(f"~{key}", f"hydra.run.dir={tmp_path}")


@pytest.mark.parametrize("key", ["data.root", "data.split", "style.image"])
def test_a_name_that_is_a_number(key: str, tmp_path: Path, command: Callable[..., str]) -> None:
    assert "2017" in command(f"{key}=2017", f"hydra.run.dir={tmp_path}")


@pytest.mark.parametrize(
    "value",
    ["runs/one", "Gemälde/2026-11-26", "my outs/run=1, a", 'a "b" c', "it's", "a\\b", "~/x"],
)
def test_an_override_is_read_as_it_was_meant(value: str) -> None:
    config = composed(override("style.image", value), "style.name=x")
    assert config["style"]["image"] == value


# Files of one's own


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 11)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "trainer:\n  max_steps: 3\n bad: 1\n",
            "mine.yaml, line 3, column 2: expected <block end>",
        ),
        ("trainer:\n\tmax_steps: 3\n", "mine.yaml, line 2, column 1: found character"),
        ("seed: 1\nseed: 2\n", "mine.yaml, line 2: found duplicate key seed"),
        ("licence: *x\n", "mine.yaml, line 1, column 10: found undefined alias 'x'"),
        ("licence: !!python/name:os.system\n", "mine.yaml, line 1: could not determine a constr"),
        ("licence: \0", "mine.yaml: unacceptable character"),
        ("- a\n- b\n", "mine.yaml: expected lines of key: value, found a sequence"),
        ("!!set\nseed: 1\n", "mine.yaml: its values cannot be read"),
        ("hello\n", "mine.yaml: expected lines of key: value, found a scalar"),
        ("licence: &a [*a]\n", "mine.yaml, line 1: an anchor that contains itself"),
        ("licence: " + "[" * 2000 + "]" * 2000, "mine.yaml: its brackets are nested too deeply"),
        (BOMB, "mine.yaml: its anchors make more than"),
    ],
)
def test_a_slip_in_a_file_is_one_line_with_its_place(text: str, message: str) -> None:
    began = time.process_time()
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        check_file(text, Path("mine.yaml"))
    assert "\n" not in str(caught.value)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_our_own_files_pass(file: Path) -> None:
    check_file(file.read_text(encoding="utf-8"), file)


def test_a_file_of_a_folder_of_ones_own_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "experiment" / "mine.yaml"
    mine.parent.mkdir()
    load = OmegaConf.load
    for text, message in (("a: [1,\n", f"{mine}, line 2"), ("seed: 1\n", "# @package _global_")):
        mine.write_text(text)
        argv = ["train.py", "--config-dir", str(tmp_path), "experiment=mine"]
        monkeypatch.setattr(sys, "argv", argv)
        assert train.main() == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert message in line
    assert OmegaConf.load is load

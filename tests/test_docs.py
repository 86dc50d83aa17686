"""What README and docs say can be typed: options and keys exist, cheap commands and blocks run."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from PIL import Image
from support import ENVIRONMENT, ROOT, small_film

from fast_style import evaluate, export, optimize, reconstruct, sheet, stylize
from fast_style.__main__ import COMMANDS as ALL
from fast_style.cli.stylize_options import parse
from fast_style.models.term import term_names
from fast_style.painting.options import CONTROLS
from fast_style.system.resources import about_styles, main_styles
from fast_style.training.config import plain

PAGES = [
    ROOT / "README.md",
    ROOT / "docs/index.md",
    *sorted((ROOT / "docs/guide").glob("*.md")),
    *sorted((ROOT / "docs/reference").glob("*.md")),
]
MODEL = "outputs/mine/2026-01-31_12-00-00/mine.safetensors"
# Options that make a command take a second; of two, argparse takes the last.
TINY = {
    "stylize": ["--size", "160", "--backend", "torch"],
    "sheet": ["--size", "160", "--backend", "torch"],
    "optimize": ["--size", "64", "--steps", "2"],
    "reconstruct": ["--size", "64", "--steps", "2"],
    "evaluate": ["--size", "64", "--evaluations", "2", "--photographs", "1"],
    "export": [],
}
MAIN: dict[str, Callable[[list[str]], int]] = {
    "stylize": stylize.main,
    "sheet": sheet.main,
    "optimize": optimize.main,
    "reconstruct": reconstruct.main,
    "evaluate": evaluate.main,
    "export": export.main,
}


class Command(NamedTuple):
    """A command of ours as a page has it."""

    page: str
    name: str  # stylize, train, ...
    arguments: list[str]
    line: str

    def __str__(self) -> str:
        """Name the test."""
        return f"{self.page}: {self.line}"


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a page in a language."""
    found = re.findall(
        rf"^( *)```{language}\n(.*?)^\1```", page.read_text(encoding="utf-8"), re.M | re.S
    )
    return [block for _, block in found]


def commands() -> Iterator[Command]:
    """Yield the commands of ours in all pages."""
    for page in PAGES:
        for block in blocks(page, "bash"):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                for index, word in enumerate(words[1:], 1):
                    if words[index - 1] == "fast-style":
                        name = word
                    elif words[index - 1] == "-m" and word.startswith("fast_style."):
                        name = word.removeprefix("fast_style.")
                    else:
                        continue
                    yield Command(page.stem, name, words[index + 1 :], " ".join(line.split()))


COMMANDS = list(commands())


def page_text() -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def settings() -> dict[str, Any]:
    """Return the whole configuration, Hydra's own part too."""
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        config = compose("train", ["style=starry"], return_hydra_config=True)
    found = OmegaConf.to_container(config, resolve=False)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def first_of_each(overrides: list[str]) -> list[str]:
    """Return the overrides of a sweep's first run."""
    result = []
    for given, parsed in zip(
        overrides, OverridesParser.create().parse_overrides(overrides), strict=True
    ):
        values = parsed.sweep_string_iterator() if parsed.is_sweep_override() else None
        result.append(f"{parsed.get_key_element()}={next(values)}" if values else given)
    return result


def test_the_pages_have_commands() -> None:
    assert {command.name for command in COMMANDS} >= {"train", *MAIN}
    assert {"README", "stylising", "training"} <= {command.page for command in COMMANDS}


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_documented_command_is_understood(command: Command) -> None:
    words = [word for word in command.arguments if word not in ("<", ">", "&&")]
    if command.name in ("train", "resume"):
        if command.name == "resume":
            words = words[1:]  # without the folder
        if "--config-dir" in words:  # a recipe in a folder of the reader's
            own = words.index("--config-dir")
            del words[own : own + 2]
            words.remove("experiment=mine")
        overrides = first_of_each([word for word in words if word != "-m"])
        with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
            config = compose("train", overrides, return_hydra_config=True)
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        assert plain(config)["trainer"]["max_steps"] > 0
    elif command.name in ("stylize", "sheet"):
        assert parse(words, command.name).names
    else:
        importlib.import_module(f"fast_style.{command.name}").parser().parse_args(words)


def test_documented_options_exist() -> None:
    source = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("fast_style", "scripts", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
    )
    mentioned = re.findall(r"`(--[a-z][a-z-]+)", page_text())
    derived = [f"--{key.replace('_', '-')}" for key in settings()["loss"]]  # of optimize
    derived += [control.option for control in CONTROLS]  # of stylize
    elsewhere = ["--signal"]  # of SLURM
    unknown = {
        one for one in mentioned if f'"{one}"' not in source and one not in derived + elsewhere
    }
    assert not unknown


def test_documented_keys_exist() -> None:
    known = settings()
    sections = "|".join(key for key, value in known.items() if isinstance(value, dict))
    mentioned = set(re.findall(rf"\b(?:{sections})\.[a-z_]+(?:\.[a-z_]+)*(?==)", page_text()))
    assert "loss.style_weight" in mentioned
    for key in mentioned - {"hydra.launcher.n_jobs"}:
        if key.startswith("hydra.launcher."):  # of launchers that are installed by themselves
            continue
        place: Any = known
        for part in key.split("."):
            if place is known["loss"]["terms"]:  # of names that are free
                assert part in {*term_names(), "palette"}, key  # the guide's own is called so
                break
            assert part in place, key
            place = place[part]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^( *)```.*?^\1```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with all that the pages name: photographs, a painting, models, films."""
    folder = tmp_path_factory.mktemp("things")
    y, x = np.mgrid[0:84, 0:96]
    names = "photo.jpg a.jpg b.jpg b.png painting.jpg mine.jpg holiday/c.jpg photos/d.jpg"
    names += " data/coco/train2017/e.jpg"
    for index, name in enumerate(names.split()):
        waves = [np.sin(x / (3 + index) + c) * np.cos(y / (5 + c)) for c in range(3)]
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        levels = (np.stack(waves, axis=-1) * 100 + 128).astype(np.uint8)
        Image.fromarray(levels).save(folder / name)
    for name in (MODEL, "mine.safetensors", "a.safetensors", "b.safetensors"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "checkpoints/starry-slim.safetensors", folder / name)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("command", [one for one in COMMANDS if one.name in MAIN], ids=str)
def test_a_documented_command_runs(
    command: Command,
    things: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = shutil.copytree(things, tmp_path / "here")
    (folder / "outputs/web").mkdir()
    if "mp4" in command.line:
        small_film(folder / "holiday.mp4")
        small_film(folder / "clip.mov")
    monkeypatch.chdir(folder)
    tiny = TINY[command.name]
    before = set(folder.rglob("*"))
    if "<" in command.arguments:
        program = f"{shlex.quote(sys.executable)} -m fast_style.{command.name}"
        line = command.line.replace(f"fast-style {command.name}", program)
        assert subprocess.run(["bash", "-c", line], env=ENVIRONMENT, check=False).returncode == 0
    else:
        assert MAIN[command.name]([*command.arguments, *tiny]) == 0, capsys.readouterr().err
    assert set(folder.rglob("*")) > before


@pytest.mark.slow
def test_the_blocks_for_python_run(
    things: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(things, tmp_path / "here")
    small_film(folder / "holiday.mp4")
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    found = blocks(ROOT / "docs/guide/python.md", "python")
    assert len(found) >= 10
    for block in found:
        exec(compile(block, "python.md", "exec"), names)
    made = "painted.png blend.png sheet.png painted/c.jpg holiday_starry.mp4 optimised.png"
    for name in [*made.split(), "trained.safetensors"]:
        assert (folder / name).exists()


def test_the_notebook_says_what_the_page_says(load_script: Callable[[str], ModuleType]) -> None:
    make_notebook = load_script("make_notebook")
    page = make_notebook.PAGE.read_text(encoding="utf-8")
    assert make_notebook.NOTEBOOK.read_text(encoding="utf-8") == make_notebook.notebook(page)
    cells = json.loads(make_notebook.notebook(page))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert code == [block.rstrip("\n") for block in blocks(make_notebook.PAGE, "python")]
    assert {"source", "metadata", "id"} <= set.intersection(*(set(cell) for cell in cells))


@pytest.mark.slow
def test_the_block_for_onnxruntime_runs(
    things: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    folder = shutil.copytree(things, tmp_path / "here")
    monkeypatch.chdir(folder)
    assert export.main(["starry-slim", "starry.onnx"]) == 0
    (block,) = blocks(ROOT / "docs/guide/export.md", "python")
    exec(compile(block, "export.md", "exec"), {})
    with Image.open("painted.png") as painted, Image.open("photo.jpg") as photograph:
        assert painted.size == photograph.size


@pytest.fixture
def reference(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("make_reference")


def test_the_reference_has_every_command(reference: ModuleType) -> None:
    page = (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8")
    filled = reference.on_page_markdown(page)
    assert "| `--strength S` | 0, the photograph, to 1 (1) |" in filled
    assert re.findall(r"^## (\w+)$", filled, re.MULTILINE) == list(ALL)


def test_every_option_has_a_meaning(reference: ModuleType) -> None:
    for name, parser in reference.parsers():
        for action in parser._actions:
            assert reference.meaning(action, parser.prog), (name, action.dest)


def test_every_key_has_a_comment(reference: ModuleType) -> None:
    meanings = reference.meanings()
    keys = {key for key, _ in reference._leaves(settings()) if not key.startswith("hydra.")}
    for path in (ROOT / "configs").glob("*/*.yaml"):
        if path.parent.name != "experiment":
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
            keys |= {f"{path.parent.name}.{key}" for key, _ in reference._leaves(values)}
    keys = {"loss.terms" if key.startswith("loss.terms.") else key for key in keys}
    assert {"seed", "loss.terms", "data.val_split", "network.name"} <= keys
    assert not [key for key in sorted(keys) if not meanings.get(key)]


def test_the_reference_has_every_key_and_group(reference: ModuleType) -> None:
    page = (ROOT / "docs/reference/configuration.md").read_text(encoding="utf-8")
    filled = reference.on_page_markdown(page)
    assert re.search(r"`data.batch_size` \| `2` \| .*photographs", filled)
    assert re.search(r"`data.root` \| `bundled` \| .*folder", filled)
    assert "| `slim` | `network.name=slim`" in filled


def test_the_page_of_the_styles_says_what_info_says() -> None:
    page = (ROOT / "docs/reference/styles.md").read_text(encoding="utf-8")
    worth = dict(re.findall(r"^\| `([\w-]+)` \| ([\d.]+) ± ", page, re.MULTILINE))
    about = about_styles()
    assert {name: float(value) for name, value in worth.items()} == {
        name: one["evaluations"] for name, one in about.items()
    }
    plain_page = " ".join(page.split())
    for name in main_styles():
        look = about[name]["look"]
        assert f"{look[0].upper()}{look[1:]}." in plain_page, name


def test_the_index_of_the_notes_lists_all() -> None:
    folder = ROOT / "docs/research"
    listed = re.findall(r"^- \[.+?\]\((.+?)\)", (folder / "index.md").read_text("utf-8"), re.M)
    assert sorted(listed) == sorted({one.name for one in folder.glob("*.md")} - {"index.md"})

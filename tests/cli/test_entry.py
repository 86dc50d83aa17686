"""``fast-style COMMAND``: one name for all commands."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image
from support import ENVIRONMENT, ROOT

import fast_style
from fast_style.__main__ import COMMANDS


def typed(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run ``python -m fast_style WORDS``."""
    return subprocess.run(
        [sys.executable, "-m", "fast_style", *words],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        cwd=cwd,
        check=False,
    )


def test_help_has_a_line_for_each_command_and_a_first_step(tmp_path: Path) -> None:
    done = typed("--help", cwd=tmp_path)
    assert done.returncode == 0
    for name in COMMANDS:
        assert find_spec(f"fast_style.{name}") is not None
        assert f"\n  {name} " in done.stdout
    assert "stylize" in done.stdout.splitlines()[-1]


def test_no_command_shows_the_list_and_is_wrong_use(tmp_path: Path) -> None:
    done = typed(cwd=tmp_path)
    assert done.returncode == 2
    assert "stylize" in done.stderr


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["stilize", "starry"], "stylize"),
        (["trian"], "train"),
        (["starry", "photo.jpg"], "fast_style stylize starry photo.jpg"),
    ],
)
def test_an_unknown_command_is_guessed_at(words: list[str], meant: str, tmp_path: Path) -> None:
    done = typed(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert meant in done.stderr


def test_a_command_gets_the_words_that_follow_and_says_how_it_was_called(tmp_path: Path) -> None:
    done = typed("stylize", "starry", "missing.jpg", cwd=tmp_path)
    assert done.returncode == 1
    assert "missing.jpg" in done.stderr
    done = typed("stylize", "--help", cwd=tmp_path)
    assert done.stdout.startswith("usage: python -m fast_style stylize ")


def test_the_version(tmp_path: Path) -> None:
    assert typed("--version", cwd=tmp_path).stdout == f"fast_style {fast_style.__version__}\n"


def test_the_installed_script_is_this_program() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"fast-style": "fast_style.__main__:main"}


def test_a_sheet_shows_a_photograph_in_every_style(tmp_path: Path, tiny_model: Path) -> None:
    Image.new("RGB", (64, 48), "teal").save(tmp_path / "photo.png")
    done = typed("sheet", "--style", str(tiny_model), "photo.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "photo_sheet.jpg\n"
    with Image.open(tmp_path / "photo_sheet.jpg") as sheet:
        assert sheet.width > 2 * 64
    again = typed("sheet", "--style", str(tiny_model), "photo.png", "-o", "all.png", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "all.png").is_file()


def test_a_sheet_of_nothing_is_wrong_use(tmp_path: Path) -> None:
    assert typed("sheet", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize(("name", "meant"), [("paint", "stylize"), ("trian", "train")])
def test_a_command_of_another_name_is_guessed(name: str, meant: str, tmp_path: Path) -> None:
    done = typed(name, "starry", "a.jpg", cwd=tmp_path)
    assert done.returncode == 2
    assert f"did you mean {meant}?" in done.stderr

"""``fast-style resume FOLDER``: a run goes on from what its folder holds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support import ENVIRONMENT, TINY_TRAINING

from fast_style import resume
from fast_style.models.style_file import load_style_model


def run_folder(folder: Path, words: list[str], typed_in: Path) -> Path:
    """Make what a training leaves for those who go on with it."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(words), encoding="utf-8")
    hydra = {"hydra": {"runtime": {"cwd": str(typed_in)}}}
    (folder / ".hydra" / "hydra.yaml").write_text(yaml.safe_dump(hydra), encoding="utf-8")
    return folder


def test_the_runs_own_words_are_used_again(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "Läufe", ["style=ink", "ckpt_path=old.ckpt"], tmp_path)
    words, typed_in = resume.words_to_resume(folder, [])
    place = folder.resolve().as_posix()
    assert words == ["style=ink", f'hydra.run.dir="{place}"', "ckpt_path=last"]
    assert typed_in == tmp_path


def test_what_is_typed_now_wins(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", ["trainer.max_steps=10", "+seed=3"], tmp_path)
    words, _ = resume.words_to_resume(folder, ["trainer.max_steps=20"])
    assert words[:2] == ["+seed=3", "trainer.max_steps=20"]


def test_folders_that_hold_no_training_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_folder(tmp_path / "outputs" / "ink" / "today", [], tmp_path)
    assert resume.main([str(tmp_path / "outputs")]) == 2
    assert str(run) in capsys.readouterr().err
    assert resume.main([str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err
    sweep = tmp_path / "sweep"
    run_folder(sweep / "0", [], tmp_path)
    (sweep / "multirun.yaml").touch()
    assert resume.main([str(sweep)]) == 2
    assert str(sweep / "0") in capsys.readouterr().err


def test_damaged_files_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run_folder(tmp_path / "run", [], tmp_path)
    for name in ("hydra.yaml", "overrides.yaml"):
        (folder / ".hydra" / name).write_text("a: [", encoding="utf-8")
        assert resume.main([str(folder)]) == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_a_training_goes_on_from_another_folder(tmp_path: Path, photographs: Path) -> None:
    def typed(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "fast_style", *words],
            cwd=cwd,
            env=ENVIRONMENT,
            text=True,
            capture_output=True,
            check=False,
        )

    (tmp_path / "there").mkdir()
    root = os.path.relpath(photographs, tmp_path)
    first = typed(
        "train", *TINY_TRAINING, f"data.root={root}", "hydra.run.dir=My run", cwd=tmp_path
    )
    assert first.returncode == 0, first.stderr
    more = typed("resume", "../My run", "trainer.max_steps=8", cwd=tmp_path / "there")
    assert more.returncode == 0, more.stderr
    model = load_style_model(tmp_path / "My run" / "starry.safetensors")
    assert model.description["steps"] == 8


def test_a_recipe_in_a_folder_of_its_own_is_found_again(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", ["experiment=mine"], tmp_path)
    path = folder / ".hydra" / "hydra.yaml"
    about = yaml.safe_load(path.read_text(encoding="utf-8"))
    about["hydra"]["runtime"]["config_sources"] = [
        {"path": "hydra.conf", "provider": "hydra"},
        {"path": str(tmp_path / "settings"), "provider": "command-line"},
    ]
    path.write_text(yaml.safe_dump(about), encoding="utf-8")
    words, _ = resume.words_to_resume(folder, [])
    assert words[:3] == ["--config-dir", str(tmp_path / "settings"), "experiment=mine"]

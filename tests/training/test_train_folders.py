"""The folder of a training is its own, and what was there stays."""

from __future__ import annotations

import re
import shutil
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock
from support import TINY_TRAINING
from trainings import run

from fast_style import train
from fast_style.system.resources import asset

pytestmark = pytest.mark.usefixtures("quiet_globals")


def test_an_unknown_folder_is_not_known_after_it_was_refused(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        assert run(monkeypatch, tmp_path, photographs, "ckpt_path=last") == 2
        assert not list(tmp_path.iterdir())


def test_a_second_training_in_a_folder_is_refused(
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_text("the first's")
    with FileLock(tmp_path / ".lock"):
        for options in (["ckpt_path=last"], [f"hydra.sweep.dir={tmp_path}", "seed=1,2", "-m"]):
            assert run(monkeypatch, tmp_path, photographs, *options) == 2
            assert capfd.readouterr().err.count("another training runs in") == 1
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {".lock", ".hydra/config.yaml"}
    assert (tmp_path / ".hydra" / "config.yaml").read_text() == "the first's"


def test_a_run_of_a_sweep_does_not_take_anothers_folder(
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "0").mkdir()
    options = [f"hydra.sweep.dir={tmp_path}", "trainer.max_steps=1", "-m"]
    with FileLock(tmp_path / "0" / ".lock"):
        assert run(monkeypatch, tmp_path, photographs, *options) == 2
    assert capfd.readouterr().err.count("another training runs in") == 1
    assert not list(tmp_path.rglob("*.ckpt"))


def test_paths_are_those_of_where_the_command_was_typed(
    finished: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(photographs / "3.png", "mine.png")
    shutil.copytree(photographs, "photos")
    shutil.copy(finished / "starry.safetensors", "before.safetensors")
    shutil.copy(asset("vgg16.safetensors"), "vgg.safetensors")
    given = ["style.image=mine.png", "data.root=photos", "loss.vgg_weights=vgg.safetensors"]
    options = [*given, "hydra.job.chdir=true", "trainer.max_steps=1"]
    assert (
        run(monkeypatch, Path("run"), Path("photos"), *options, "init_from=before.safetensors") == 0
    )
    assert Path.cwd() == tmp_path
    log = Path("run/train.log").read_text()
    assert "fast_style.stylize run/mine.safetensors PHOTO.jpg" in log
    options[-1] = "trainer.max_steps=2"
    again = [*options, "ckpt_path=run/checkpoints/last.ckpt"]
    assert run(monkeypatch, Path("other"), Path("photos"), *again) == 0


def test_trainings_begun_in_one_second_have_folders_of_their_own(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    for second in range(120):
        name = time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(now + second))
        (tmp_path / "outputs" / "starry" / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    arguments = [*TINY_TRAINING, f"data.root={photographs}", "trainer.max_steps=1"]
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    assert train.main() == 0
    (model,) = tmp_path.rglob("*.safetensors")
    assert re.fullmatch(r"[\d-]+_[\d-]+-2", model.parent.name)
    files = {path.name for path in model.parent.rglob("*") if path.is_file()}
    assert {"config.yaml", "train.log", "last.ckpt"} <= files
    assert len([path for path in tmp_path.rglob("*") if path.name == "train.log"]) == 1
    # A refused one takes away its own folder only.
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments, "optimizer.method=lbfgs"])
    assert train.main() == 2
    assert len(list((tmp_path / "outputs" / "starry").iterdir())) == 121


def test_a_refused_training_leaves_no_folder(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(monkeypatch, tmp_path / "runs" / "one", photographs, "style.size=0") == 2
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("subfolder", [".hydra", "../mine", "null"])
def test_a_refused_training_removes_nothing_of_before(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subfolder: str
) -> None:
    mine = [tmp_path / "mine" / name for name in ("config.yaml", "a.yaml", "train.log", ".hydra/b")]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    for folder in (tmp_path / "mine", tmp_path / "new"):
        options = ("style.size=0", f"hydra.output_subdir={subfolder}")
        assert run(monkeypatch, folder, photographs, *options) == 2
    assert all(path.exists() for path in mine)
    assert all(path.read_text() == "mine" for path in mine if path.name != "train.log")


def test_what_a_run_has_made_is_not_of_the_next_sweep(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    assert run(monkeypatch, folder, photographs, "trainer.max_steps=1") == 0
    sweep = ["style.size=0", f"hydra.sweep.dir={tmp_path / 'sweep'}", "-m"]
    assert run(monkeypatch, folder, photographs, *sweep) == 2
    assert (folder / ".hydra" / "config.yaml").exists()
    assert (folder / "train.log").exists()
    # Nor is the sweep's failure the next run's.
    assert run(monkeypatch, tmp_path / "next", photographs, "trainer.max_steps=1") == 0


def test_a_new_training_replaces_none(
    finished: Path,
    photographs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    kept = [finished / "checkpoints" / "last.ckpt", finished / "starry.safetensors"]
    kept += sorted((finished / ".hydra").iterdir())
    assert len(kept) == 5
    before = {path: path.read_bytes() for path in kept}
    assert run(monkeypatch, finished, photographs, "style.size=48") == 2
    errors = capfd.readouterr().err
    assert "holds a training already" in errors
    assert all(path.read_bytes() == data for path, data in before.items())

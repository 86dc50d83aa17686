"""Sweeps: every combination trained, and all results on one sheet."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from test_train import TINY

from fast_style.image import read_picture
from fast_style.sweep import SHEET, ContactSheet, contact_sheet, results


def run(folder: Path, changes: list[str], model: Path | None) -> None:
    """Leave behind what a run of a sweep does."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(OmegaConf.to_yaml(changes))
    if model:
        (folder / "mine.safetensors").write_bytes(model.read_bytes())


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_sweep_ends_with_a_contact_sheet(
    launcher: str, photographs: Path, tmp_path: Path
) -> None:
    if launcher == "joblib":
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    changes = [*TINY, f"data.root={photographs}", f"hydra.sweep.dir={tmp_path}"]
    changes += ["trainer.max_steps=2", "loss.style_weight=2,5", f"hydra/launcher={launcher}"]
    result = subprocess.run(
        [sys.executable, "-m", "fast_style.train", "-m", *changes],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert f"contact sheet of 2: {tmp_path / SHEET}" in result.stdout
    found = results(tmp_path)
    assert [label for label, _ in found] == ["loss.style_weight=2", "loss.style_weight=5"]
    assert [model for _, model in found] == [
        tmp_path / str(job) / "starry.safetensors" for job in (0, 1)
    ]
    height, width = read_picture(tmp_path / SHEET).rgb.shape[-2:]
    assert width > 4 * 250
    assert height > 3 * 250


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_run_that_fails_is_named_and_the_others_are_done(
    launcher: str, photographs: Path, tmp_path: Path
) -> None:
    if launcher == "joblib":
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    changes = [*TINY, f"data.root={photographs}", f"hydra.sweep.dir={tmp_path}"]
    changes += ["trainer.max_steps=1", "style.size=4,64", f"hydra/launcher={launcher}"]
    result = subprocess.run(
        [sys.executable, "-m", "fast_style.train", "-m", *changes],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "the style size must be at least 32 px, found 4" in result.stderr
    assert f"no style model in {tmp_path / '0'}" in result.stdout
    assert (tmp_path / SHEET).exists()


def test_an_interruption_ends_the_whole_sweep_and_shows_what_is_done(
    photographs: Path, tmp_path: Path
) -> None:
    changes = [*TINY, f"data.root={photographs}", f"hydra.sweep.dir={tmp_path}"]
    changes += ["trainer.max_steps=1,2000,3"]
    process = subprocess.Popen(
        [sys.executable, "-m", "fast_style.train", "-m", *changes],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not list((tmp_path / "1").rglob("*.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "go on with: python -m fast_style.train" in output
    assert f"contact sheet of 1: {tmp_path / SHEET}" in output
    assert (tmp_path / SHEET).exists()
    assert not (tmp_path / "2").exists()


def test_a_sweep_of_trainings_of_several_processes_is_refused(
    photographs: Path, tmp_path: Path
) -> None:
    changes = [*TINY, f"data.root={photographs}", f"hydra.sweep.dir={tmp_path}", "seed=0,1"]
    result = subprocess.run(
        [sys.executable, "-m", "fast_style.train", "-m", *changes, "trainer.devices=2"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "a sweep (-m) cannot start trainings of several processes" in result.stderr


def test_runs_are_named_by_what_they_changed_in_their_order(
    tmp_path: Path, tiny_model: Path
) -> None:
    for job in range(11):
        run(tmp_path / str(job), ["seed=1", f"style.size={job}", "licence=x"], tiny_model)
    run(tmp_path / "11", ["style.size=11", "licence=x"], None)
    labels = [label for label, _ in results(tmp_path)]
    assert labels == [f"style.size={job}" for job in range(11)]
    assert [model.parent.name for _, model in results(tmp_path)] == [str(n) for n in range(11)]


def test_one_run_has_no_difference_to_name(tmp_path: Path, tiny_model: Path) -> None:
    run(tmp_path / "0", ["style.size=64"], tiny_model)
    assert results(tmp_path)[0][0] == "style.size=64"


def test_a_damaged_model_is_left_out(
    tmp_path: Path, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(tmp_path / "0", ["a=1"], tiny_model)
    run(tmp_path / "1", ["a=2"], tiny_model)
    (tmp_path / "1" / "mine.safetensors").write_bytes(b"damaged")
    both = results(tmp_path)
    assert contact_sheet(both).shape == contact_sheet(both[:1]).shape
    assert "left out: " in caplog.text


def test_a_sweep_without_a_result_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}})
    with caplog.at_level(logging.WARNING):
        ContactSheet().on_multirun_start(config)
        ContactSheet().on_multirun_end(config)
    assert "no contact sheet" in caplog.text
    assert not (tmp_path / SHEET).exists()

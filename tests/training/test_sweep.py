"""Sweeps: every combination trained, and all results on one sheet."""

from __future__ import annotations

import errno
import logging
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from support import TINY_TRAINING

from fast_style.images.reading import read_picture
from fast_style.models.style_file import load_style_model, save_style_model
from fast_style.painting.sheet import sheet
from fast_style.system.resources import asset
from fast_style.training import sweep
from fast_style.training.sweep import (
    SHEET_NAME,
    TILE_SIDE,
    ContactSheet,
    Row,
    SweepRun,
    contact_sheet,
    noted,
    results,
    write_note,
)


def job_config(folder: Path, number: int, changes: list[str]) -> DictConfig:
    """Return what a sweep's run finds in Hydra's part of its configuration."""
    hydra = {
        "sweep": {"dir": str(folder)},
        "job": {"num": number},
        "runtime": {"output_dir": str(folder / str(number)), "cwd": str(folder)},
        "overrides": {"task": changes},
    }
    return OmegaConf.create({"hydra": hydra, "style": {"image": f"{number}.jpg"}})


def tiny_sweep(photographs: Path, folder: Path, *extra: str) -> subprocess.CompletedProcess[str]:
    where = [f"data.root={photographs}", f"hydra.sweep.dir={folder}"]
    return subprocess.run(
        [sys.executable, "-m", "fast_style.train", "-m", *TINY_TRAINING, *where, *extra],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_sweep_ends_with_a_contact_sheet(
    launcher: str, photographs: Path, tmp_path: Path
) -> None:
    if launcher == "joblib":
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    changes = ["trainer.max_steps=2", "loss.style_weight=2,5", f"hydra/launcher={launcher}"]
    result = tiny_sweep(photographs, tmp_path, *changes)
    assert result.returncode == 0, result.stderr
    assert f"contact sheet of 2: {tmp_path / SHEET_NAME}" in result.stdout
    assert {path.parent.name for path in tmp_path.rglob("starry.safetensors")} == {"0", "1"}
    height, width = read_picture(tmp_path / SHEET_NAME).rgb.shape[-2:]
    assert width > 4 * 250
    assert height > 3 * 250


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_run_that_fails_is_named_and_the_others_are_done(
    launcher: str, photographs: Path, tmp_path: Path
) -> None:
    if launcher == "joblib":
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    changes = ["trainer.max_steps=1", "style.size=4,64", f"hydra/launcher={launcher}"]
    result = tiny_sweep(photographs, tmp_path, *changes)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "the style size must be at least 32 px, found 4" in result.stderr
    assert f"no style model in {tmp_path / '0'}: " in result.stdout
    assert not (tmp_path / "0").exists()
    assert (tmp_path / SHEET_NAME).exists()


@pytest.mark.slow
def test_an_interruption_ends_the_whole_sweep_and_shows_what_is_done(
    photographs: Path, tmp_path: Path
) -> None:
    changes = [*TINY_TRAINING, f"data.root={photographs}", f"hydra.sweep.dir={tmp_path}"]
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
    assert f"python -m fast_style.resume {tmp_path / '1'}" in output
    assert f"contact sheet of 1: {tmp_path / SHEET_NAME}" in output
    assert (tmp_path / SHEET_NAME).exists()
    assert not (tmp_path / "2").exists()


@pytest.mark.slow
def test_a_sweep_of_trainings_of_several_processes_is_refused(
    photographs: Path, tmp_path: Path
) -> None:
    result = tiny_sweep(photographs, tmp_path, "seed=0,1", "trainer.devices=2")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "a sweep (-m) cannot start trainings of several processes" in result.stderr


def test_runs_are_named_by_what_they_changed_in_their_order(tmp_path: Path) -> None:
    for job in range(11):
        changes = ["seed=1", f"style.size={job}", "licence=x"]
        write_note(job_config(tmp_path, job, changes), tmp_path / str(job) / "mine.safetensors")
    write_note(job_config(tmp_path, 11, ["style.size=11", "licence=x"]), None)
    found = results(noted(tmp_path))
    assert [row.painting for row in found] == [tmp_path / f"{n}.jpg" for n in range(11)]
    assert [row.label for row in found] == [f"style.size={job}" for job in range(11)]
    assert [row.model.parent.name for row in found] == [str(n) for n in range(11)]


def test_one_run_has_no_difference_to_name(tmp_path: Path) -> None:
    only = SweepRun(tmp_path, ["style.size=64"], tmp_path / "mine.safetensors", None)
    assert results([only])[0].label == "style.size=64"


def test_a_name_that_is_no_unicode_stands_on_the_sheet(tmp_path: Path, tiny_model: Path) -> None:
    run = SweepRun(tmp_path, ["style.image=gr\udcfcn.jpg"], tiny_model, tmp_path / "gr\udcfcn.jpg")
    (row,) = results([run])
    assert row.label == r"style.image=gr\udcfcn.jpg"
    contact_sheet([row])


def test_the_sheet_shows_the_painting_and_the_errors_of_each_run(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[list[list[torch.Tensor | None]], list[str]]] = []

    def watched(rows: list[list[torch.Tensor | None]], row_labels: list[str]) -> torch.Tensor:
        shown.append((rows, row_labels))
        return sheet(rows, row_labels=row_labels)

    monkeypatch.setattr(sweep, "sheet", watched)
    measured = tmp_path / "measured.safetensors"
    model = load_style_model(tiny_model)
    figures = {"style_error": 0.41234, "content_error": 2.25, "photographs": 12, "size": 256}
    save_style_model(measured, model.network, model.description | {"figures": figures})
    painting = asset("styles") / "starry.jpg"
    contact_sheet([Row("a=1", measured, painting), Row("a=2", tiny_model, tmp_path / "gone.jpg")])
    ((rows, labels),) = shown
    assert labels[1].splitlines()[0] == "a=1"
    assert "0.412" in labels[1]
    assert "2.25" in labels[1]
    assert labels[2] == "a=2"
    assert rows[1][0] is not None
    assert max(rows[1][0].shape) == TILE_SIDE
    assert rows[0][0] is None
    assert rows[2][0] is None


def test_a_damaged_model_is_left_out(
    tmp_path: Path, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = tmp_path / "mine.safetensors"
    damaged.write_bytes(b"damaged")
    both = [Row("a=1", tiny_model, None), Row("a=2", damaged, None)]
    assert contact_sheet(both).shape == contact_sheet(both[:1]).shape
    assert "left out: " in caplog.text


def test_a_sweep_without_a_result_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}})
    contact = ContactSheet()
    with caplog.at_level(logging.WARNING):
        contact.on_multirun_start(config)
        contact.on_multirun_end(config)
    assert "no contact sheet" in caplog.text
    assert not (tmp_path / SHEET_NAME).exists()


def test_a_full_disk_leaves_no_sheet_and_says_so(
    tmp_path: Path,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    config = job_config(tmp_path, 0, ["a=1"])
    contact = ContactSheet()
    contact.on_multirun_start(config)
    write_note(config, tiny_model)
    monkeypatch.setattr(sweep, "contact_sheet", lambda runs: None)
    monkeypatch.setattr(sweep, "write_picture", fail)
    contact.on_multirun_end(config)
    assert "no contact sheet: [Errno 28] No space left on device" in caplog.text
    monkeypatch.setattr(sweep, "write_atomically", fail)
    write_note(config, tiny_model)
    assert "run 0 will not be on the contact sheet" in caplog.text


def test_what_a_killed_sweep_has_noted_is_not_of_the_next(tmp_path: Path, tiny_model: Path) -> None:
    config = job_config(tmp_path, 5, ["a=1"])
    write_note(config, tiny_model)
    contact = ContactSheet()
    contact.on_multirun_start(config)
    assert noted(tmp_path) == []


@pytest.mark.slow
def test_runs_deep_below_and_the_models_of_an_earlier_sweep(
    photographs: Path, tmp_path: Path
) -> None:
    nested = r"hydra.sweep.subdir=size/${style.size}/${hydra.job.num}"
    sizes = [nested, "trainer.max_steps=1", "style.size=48,64"]
    first = tiny_sweep(photographs, tmp_path, *sizes)
    assert first.returncode == 0, first.stderr
    assert f"contact sheet of 2: {tmp_path / SHEET_NAME}" in first.stdout
    assert len(list(tmp_path.glob("size/*/*/.hydra/overrides.yaml"))) == 2
    assert not (tmp_path / ".runs").exists()
    # One new run, and one that is refused where the earlier sweep's model lies.
    second = tiny_sweep(photographs, tmp_path, nested, "trainer.max_steps=1", "style.size=48,32")
    assert second.returncode == 2
    assert f"no style model in {tmp_path / 'size' / '48' / '0'}: " in second.stdout
    assert f"contact sheet of 1: {tmp_path / SHEET_NAME}" in second.stdout


def test_of_two_commands_in_one_process_each_has_its_own_sweep(tmp_path: Path) -> None:
    contact = ContactSheet()
    config = job_config(tmp_path, 0, ["a=1"])
    contact.on_multirun_start(config)
    write_note(config, None)
    contact.on_multirun_end(config)
    assert ContactSheet.failed() == [tmp_path / "0"]
    ContactSheet()  # as Hydra makes it for the next
    assert ContactSheet.failed() == []
    ContactSheet.end_early()
    assert not (tmp_path / SHEET_NAME).exists()

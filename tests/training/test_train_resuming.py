"""Trainings that were interrupted, killed or finished, and go on."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
import torch
from trainings import first_checkpoint, run, scalar, start, steps, weights

from fast_style import train
from fast_style.models.style_file import CKPT_KEY, load_style_model
from fast_style.training.module import StyleModule
from fast_style.training.run import EARLIER

pytestmark = pytest.mark.usefixtures("quiet_globals")


@pytest.mark.parametrize("schedule", ["one_cycle", "averaged"])
def test_an_interrupted_run_goes_on_as_if_unbroken(
    finished: Path,
    averaged: Path,
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    schedule: str,
) -> None:
    whole = averaged if schedule == "averaged" else finished
    stopped, option = tmp_path / "stopped", f"optimizer.schedule={schedule}"
    training_step = StyleModule.training_step

    def interrupted(self: StyleModule, content: torch.Tensor, batch_idx: int) -> torch.Tensor:
        if batch_idx == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return training_step(self, content, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(StyleModule, "training_step", interrupted)
        assert run(patch, stopped, photographs, option) == 130
    assert not (stopped / "starry.safetensors").exists()
    assert torch.load(stopped / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 4
    last_line = (stopped / "train.log").read_text().splitlines()[-1]
    assert "stopped after step 4; " in last_line
    assert last_line.endswith(f"python -m fast_style.resume {stopped}")
    assert "stopping after this step" in capfd.readouterr().err
    assert run(monkeypatch, stopped, photographs, option, "ckpt_path=last") == 0
    resumed, unbroken = weights(stopped), weights(whole)
    assert resumed.keys() == unbroken.keys()
    assert all(torch.equal(resumed[key], value) for key, value in unbroken.items())
    assert (stopped / "starry.safetensors").read_bytes() == (
        whole / "starry.safetensors"
    ).read_bytes()


def test_an_averaged_run_that_gets_more_steps_keeps_its_learning_rate(
    averaged: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "more"
    shutil.copytree(averaged, folder)
    options = ["optimizer.schedule=averaged", "ckpt_path=last", "trainer.max_steps=8"]
    assert run(monkeypatch, folder, photographs, *options, "trainer.validate_every_n_steps=8") == 0
    options[-1] = "trainer.max_steps=200"  # of which the first 20 would be a warm-up
    stop_at = StyleModule.training_step

    def stopped(self: StyleModule, content: torch.Tensor, batch_idx: int) -> torch.Tensor:
        if self.global_step == 9:
            os.kill(os.getpid(), signal.SIGINT)
        return stop_at(self, content, batch_idx)

    monkeypatch.setattr(StyleModule, "training_step", stopped)
    assert run(monkeypatch, folder, photographs, *options) == 130
    rates = scalar(folder, "train/learning_rate")
    assert rates[1:] == pytest.approx([1e-3] * 9)


@pytest.mark.parametrize("part", ["tensorboard", ".hydra"])
def test_a_run_killed_before_its_first_state_starts_again(
    part: str,
    finished: Path,
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(finished / part, tmp_path / part)
    assert run(monkeypatch, tmp_path, photographs, "ckpt_path=last") == 0
    assert "no checkpoint in" in (tmp_path / "train.log").read_text()
    again = weights(tmp_path)
    assert all(torch.equal(again[key], value) for key, value in weights(finished).items())
    assert steps(tmp_path) == steps(finished)


def test_tensorboard_shows_each_step_once(
    finished: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a run that was killed after step 5, went on from step 3, and was asked for once more."""
    training_step = StyleModule.training_step

    def killed(self: StyleModule, content: torch.Tensor, batch_idx: int) -> torch.Tensor:
        if batch_idx == 5:
            raise OSError("killed")
        return training_step(self, content, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(StyleModule, "training_step", killed)
        assert run(patch, tmp_path, photographs) == 2
    assert steps(tmp_path)["train/loss"] == [1, 2, 3, 4, 5]
    for _ in range(2):
        assert run(monkeypatch, tmp_path, photographs, "ckpt_path=last") == 0
        found = steps(tmp_path)
        assert found == steps(finished)
        assert found["val/loss"] == found["val/style_error"] == [4, 6]


def test_a_run_goes_on_at_another_precision_and_says_so(
    finished: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "moved"
    shutil.copytree(finished, folder)
    was = load_style_model(finished / "starry.safetensors").description["trainer"]["precision"]
    now = "32-true" if was == "bf16-mixed" else "bf16-mixed"
    options = ["ckpt_path=last", "trainer.max_steps=7", f"trainer.precision={now}"]
    assert run(monkeypatch, folder, photographs, *options) == 0
    log = (folder / "train.log").read_text()
    assert f"trainer.precision was {was}, now {now}" in log


def test_a_finished_run_that_is_resumed_exports_again(
    finished: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "again"
    shutil.copytree(finished, folder)
    (folder / "starry.safetensors").unlink()
    assert run(monkeypatch, folder, photographs, "ckpt_path=last") == 0
    assert "has done 6 steps, of 6: nothing is left to train" in (folder / "train.log").read_text()
    again, before = folder / "starry.safetensors", finished / "starry.safetensors"
    assert again.read_bytes() == before.read_bytes()


@pytest.mark.slow
def test_a_killed_run_leaves_nothing_half_written(
    finished: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "killed"
    # Far more steps than the other run would leave another schedule: kill by time, same length.
    process = start(folder, photographs, "data.num_workers=1")
    last = first_checkpoint(process, folder)
    process.kill()
    process.wait(timeout=60)  # its worker, which lives on for some seconds, does not hold the lock
    assert last.exists()
    torch.load(last, weights_only=True)
    parts = [folder / ".part-a", last.with_name(".part-b.ckpt"), folder / ".hydra" / ".part-c"]
    for part in parts:
        part.touch()
    assert run(monkeypatch, folder, photographs, "ckpt_path=last") == 0
    resumed = weights(folder)
    assert all(torch.equal(resumed[key], value) for key, value in weights(finished).items())
    assert not any(part.exists() for part in parts)
    process.communicate(timeout=60)


def test_an_interruption_before_the_first_step(
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*arguments: object) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            sys.exit(1)  # as Lightning does while it sets up

    monkeypatch.setattr(train, "fit", interrupted)
    assert run(monkeypatch, tmp_path, photographs) == 130
    assert "fast_style.train: interrupted" in capfd.readouterr().err


def test_channels_last_trains_and_goes_on(
    finished: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["trainer.memory_format=channels_last", "trainer.precision=32-true"]
    assert run(monkeypatch, tmp_path, photographs, *options) == 0
    before = (tmp_path / "starry.safetensors").read_bytes()
    (tmp_path / "starry.safetensors").unlink()
    assert run(monkeypatch, tmp_path, photographs, *options, "ckpt_path=last") == 0
    assert (tmp_path / "starry.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("network.residual_blocks=2", "another network (residual_blocks: 1, now 2)"),
        ("optimizer.learning_rate=0.002", "another optimizer (learning_rate: 0.001, now 0.002)"),
        ("loss.style_weight=6", "another loss (style_weight: 5.0, now 6"),
        ("style.size=80", "another style (size: 64, now 80)"),
        ("data.batch_size=3", "another data (batch_size: 2, now 3)"),
        ("seed=1", "another seed (0, now 1)"),
    ],
)
def test_a_run_goes_on_only_with_its_own_options(
    override: str,
    message: str,
    finished: Path,
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    last = finished / "checkpoints" / "last.ckpt"
    assert run(monkeypatch, tmp_path, photographs, f"ckpt_path={last}", override) == 2
    error = capfd.readouterr().err
    assert message in error
    assert "start a new one with init_from=" in error


def test_a_style_model_is_no_checkpoint(
    finished: Path,
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    model = finished / "starry.safetensors"
    assert run(monkeypatch, tmp_path, photographs, f"ckpt_path={model}") == 2
    assert f"give init_from={model}" in capfd.readouterr().err


def test_a_finished_run_can_be_made_longer(
    finished: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "longer"
    shutil.copytree(finished, folder)
    options = ["ckpt_path=last", "trainer.max_steps=8", "data.num_workers=1"]
    assert run(monkeypatch, folder, photographs, *options) == 0
    assert load_style_model(folder / "starry.safetensors").description["steps"] == 8


def test_a_run_from_before_there_were_objectives_and_schedules_goes_on(
    finished: Path,
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "before"
    shutil.copytree(finished, folder)
    last = folder / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(last, weights_only=True)
    for section, options_since in EARLIER.items():
        for option in options_since:
            del checkpoint[CKPT_KEY][section][option]
    torch.save(checkpoint, last)
    options = ["ckpt_path=last", "trainer.max_steps=8", "data.num_workers=1"]
    assert run(monkeypatch, folder, photographs, *options, "optimizer.objective=mean_log") == 2
    assert "(objective: mean, now mean_log)" in capfd.readouterr().err
    assert run(monkeypatch, folder, photographs, *options) == 0

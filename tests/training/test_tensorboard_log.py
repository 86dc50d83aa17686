"""TensorBoard's files: what is in them, and disks that don't take them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event

from fast_style.training import tensorboard_log
from fast_style.training.tensorboard_log import StepLogger

FULL = Path("/dev/full")


def logger(folder: Path) -> StepLogger:
    made = StepLogger(folder)
    made.steps_done = lambda: 10
    made.every_n_steps = 10
    return made


def use(made: StepLogger, image: str = "mine.jpg") -> None:
    """Do what a training does."""
    made.log_hyperparams({"style": {"image": image}})
    made.save()
    made.log_metrics({"train/loss": 1.5, "epoch": 0.0})
    made.experiment.add_image("val/preview", torch.zeros(3, 8, 8), 10)
    made.finalize("success")
    made.log_metrics({"val/loss": 2.5})  # as a last validation does
    made.log_hyperparams({"style": {"image": image}}, {"val/loss": 2.5}, 10)
    made.finalize("success")


def test_one_file_holds_all(tmp_path: Path) -> None:
    folder = tmp_path / "$HOME" / "tensorboard"
    use(logger(folder))
    assert len(list(folder.glob("events.out.tfevents.*"))) == 1
    assert "mine.jpg" in (folder / "hparams.yaml").read_text()
    found = EventAccumulator(str(folder))
    found.Reload()
    tags = found.Tags()
    assert set(tags["scalars"]) == {"train/loss", "val/loss"}
    assert tags["images"] == ["val/preview"]
    assert [(one.step, one.value) for one in found.Scalars("train/loss")] == [(10, 1.5)]


def test_a_second_run_of_one_process_has_its_own_file(tmp_path: Path) -> None:
    use(logger(tmp_path))
    use(logger(tmp_path))
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 2


def test_a_name_that_is_no_unicode_is_a_setting_too(tmp_path: Path) -> None:
    use(logger(tmp_path), os.fsdecode(b"gr\xfcn.jpg"))
    (events,) = tmp_path.glob("events.out.tfevents.*")
    assert rb"gr\udcfcn.jpg" in events.read_bytes()


def full(*arguments: object, **options: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("good", [0, 2, 6])
def test_a_full_disk_ends_the_file_and_is_said_once(
    good: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    written: list[Event] = []

    def write(self: tensorboard_log._EventFile, event: Event) -> None:
        written.append(event)
        if len(written) > good:
            full()

    monkeypatch.setattr(tensorboard_log._EventFile, "_write_event", write)
    use(logger(tmp_path))
    assert len(written) == good + 1
    (line,) = [one.getMessage() for one in caplog.records]
    assert f"cannot write {tmp_path / 'events.out.tfevents.'}" in line
    assert "No space left on device" in line
    assert not capfd.readouterr().err


@pytest.mark.skipif(not FULL.exists(), reason="no full device here")
def test_a_file_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tensorboard_log, "_free", lambda path: FULL)
    use(logger(tmp_path))
    (line,) = [one.getMessage() for one in caplog.records]
    assert f"cannot write {FULL}: No space left on device" in line


def test_settings_that_do_not_fit_leave_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tensorboard_log, "save_hparams_to_yaml", full)
    use(logger(tmp_path))
    assert list(tmp_path.iterdir()) == []
    (line,) = [one.getMessage() for one in caplog.records]
    assert f"cannot write {tmp_path / 'hparams.yaml'}: No space left" in line


def test_a_folder_that_cannot_be_made_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    use(logger(tmp_path / "file" / "tensorboard"))
    (line,) = [one.getMessage() for one in caplog.records]
    assert "Not a directory" in line

"""Whole trainings of a tiny network: what they write, resume, interruption and errors."""

from __future__ import annotations

import copy
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock
from lightning_fabric.utilities.exceptions import MisconfigurationException
from PIL import Image
from support import TINY_TRAINING
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fast_style import stylize, train
from fast_style.models.losses import LossTerms
from fast_style.models.palette import palette_from_header
from fast_style.models.style_file import CKPT_KEY, load_style_model
from fast_style.system.resources import asset
from fast_style.training.callbacks import Preview
from fast_style.training.module import StyleModule
from fast_style.training.run import EARLIER

pytestmark = pytest.mark.usefixtures("quiet_globals")


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, photographs: Path, *extra: str) -> int:
    arguments = [*TINY_TRAINING, f"data.root={photographs}", f"hydra.run.dir={folder}", *extra]
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    return train.main()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, photographs: Path) -> Path:
    """Return the folder of a finished training."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert run(monkeypatch, folder, photographs) == 0
    return folder


def test_a_run_leaves_what_it_promises(finished: Path) -> None:
    files = {str(p.relative_to(finished)) for p in finished.rglob("*") if p.is_file()}
    assert {"starry.safetensors", "checkpoints/last.ckpt", "train.log"} <= files
    assert {".hydra/config.yaml", ".hydra/overrides.yaml"} <= files
    assert any(name.startswith("tensorboard/events.out.tfevents") for name in files)


def test_the_model_describes_itself(finished: Path, photographs: Path) -> None:
    description = load_style_model(finished / "starry.safetensors").description
    assert description["format_version"] == 1
    assert description["network"] == {
        "name": "johnson",
        "channels": [4, 4, 8],
        "residual_blocks": 1,
    }
    assert description["style"]["name"] == "starry"
    assert "van Gogh" in description["style"]["credit"]
    assert description["loss"]["vgg_weights"] == "bundled"
    assert description["loss"]["style_layers"] == ["relu1_2", "relu2_2"]
    assert description["data"]["image_size"] == 32
    assert description["data"]["photographs"] == 8
    assert description["steps"] == 6
    assert palette_from_header(description["palette"]).matrix != torch.eye(3).tolist()
    assert description["licence"] == "CC0-1.0"
    assert description["package_version"]
    text = str(description)
    assert str(finished) not in text
    assert str(photographs) not in text


def test_the_last_lines_say_what_to_do_next(finished: Path) -> None:
    lines = (finished / "train.log").read_text().splitlines()[-4:]
    model = finished / "starry.safetensors"
    assert "2 held-back photographs: style error" in lines[0]
    assert lines[1].endswith(f"style model: {model}")
    assert lines[2].endswith(f"python -m fast_style.stylize {model} PHOTO.jpg")
    assert lines[3].endswith(f"tensorboard --logdir {finished}")


def test_the_network_learns(finished: Path) -> None:
    scalars = events(finished)
    losses = [event.value for event in scalars.Scalars("train/loss")]
    assert losses[-1] < losses[0]


def events(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder / "tensorboard"))
    accumulator.Reload()
    return accumulator


def test_tensorboard(finished: Path) -> None:
    accumulator = events(finished)
    parts = {"loss", "content_loss", "style_loss", "total_variation_loss", "total_variation"}
    parts |= {"grid_loss", "grid"}
    layers = {
        f"{part}_{kind}/{layer}"
        for kind in ("loss", "error")
        for part, names in (("content", ["relu2_2"]), ("style", ["relu1_2", "relu2_2"]))
        for layer in names
    }
    expected = {f"{stage}/{name}" for stage in ("train", "val") for name in parts | layers}
    expected |= {"train/learning_rate", "train/output_min", "train/output_max"}
    expected |= {"train/gradient_norm"}
    expected |= {f"perf/{name}" for name in ("images_per_s", "data_s", "compute_s", "data_share")}
    tags = accumulator.Tags()
    assert expected <= set(tags["scalars"])
    assert "epoch" not in tags["scalars"]
    assert [event.step for event in accumulator.Scalars("train/loss")] == [1, 2, 3, 4, 5, 6]
    assert {event.step for event in accumulator.Scalars("val/loss")} == {4, 6}
    last = {tag: accumulator.Scalars(tag)[-1].value for tag in expected}
    assert last["train/loss"] == pytest.approx(
        sum(last[f"train/{part}_loss"] for part in ("content", "style", "total_variation", "grid")),
        rel=1e-4,
    )
    assert 0 <= last["perf/data_share"] <= 1
    assert last["train/gradient_norm"] > 0
    rates = [event.value for event in accumulator.Scalars("train/learning_rate")]
    assert max(rates) <= 1.0e-3
    assert rates[-1] < max(rates)
    assert [event.step for event in accumulator.Images("val/preview")] == [4, 6]
    preview = accumulator.Images("val/preview")[0]
    assert (preview.width, preview.height) == (4 * 32 + 5 * 4, 32 + 2 * 4)
    style = accumulator.Images("style")[0]
    assert min(style.width, style.height) == 64


def test_tensorboard_has_the_hyperparameters(finished: Path) -> None:
    text = b"".join(events(finished).PluginTagToContent("hparams").values())
    assert b"loss/style_weight" in text
    assert b"optimizer/learning_rate" in text


def test_the_checkpoint_is_plain_and_small(finished: Path) -> None:
    path = finished / "checkpoints" / "last.ckpt"
    loaded = torch.load(path, weights_only=True)
    assert all(key.startswith("network.") for key in loaded["state_dict"])
    assert path.stat().st_size < 300_000  # VGG16 alone would be 30 MB
    assert loaded["global_step"] == 6


def test_the_checkpoint_is_a_style_model_too(finished: Path) -> None:
    image = torch.rand(1, 3, 40, 40)
    exported = load_style_model(finished / "starry.safetensors").network(image)
    saved = load_style_model(finished / "checkpoints" / "last.ckpt")
    assert saved.description["steps"] == 6
    torch.testing.assert_close(saved.network(image), exported, atol=2e-3, rtol=0)


def test_train_then_stylize(finished: Path, tmp_path: Path) -> None:
    photograph = tmp_path / "photo.png"
    Image.fromarray(np.full((41, 50, 3), 90, np.uint8)).save(photograph)
    for model in ("starry.safetensors", "checkpoints/last.ckpt"):
        assert stylize.main([str(finished / model), str(photograph), "--overwrite"]) == 0
        with Image.open(tmp_path / "photo_starry.png") as result:
            assert result.size == (50, 41)


def test_the_same_seed_gives_the_same_network(
    finished: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(monkeypatch, tmp_path / "same", photographs) == 0
    assert run(monkeypatch, tmp_path / "other", photographs, "seed=1") == 0
    expected = (finished / "starry.safetensors").read_bytes()
    assert (tmp_path / "same" / "starry.safetensors").read_bytes() == expected
    assert (tmp_path / "other" / "starry.safetensors").read_bytes() != expected


def weights(folder: Path) -> dict[str, torch.Tensor]:
    loaded = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    state: dict[str, torch.Tensor] = loaded["state_dict"]
    return state


@pytest.fixture(scope="module")
def averaged(tmp_path_factory: pytest.TempPathFactory, photographs: Path) -> Path:
    """Return the folder of a finished training whose result is a mean of weights."""
    folder = tmp_path_factory.mktemp("averaged")
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert run(monkeypatch, folder, photographs, "optimizer.schedule=averaged") == 0
    return folder


@pytest.mark.parametrize("schedule", ["one_cycle", "averaged"])
def test_an_interrupted_run_goes_on_as_if_unbroken(
    finished: Path,
    averaged: Path,
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
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
    assert "stopped after step 4; go on with: python -m fast_style.train" in last_line
    assert last_line.endswith(f"hydra.run.dir={stopped} ckpt_path=last")
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


def test_scalars_are_computed_where_they_are_shown(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "shown"
    options = ["trainer.max_steps=12", "trainer.log_every_n_steps=4"]
    computed: list[int] = []
    calls: list[LossTerms] = []
    scalars, step = LossTerms.scalars, StyleModule.training_step

    def counted(terms: LossTerms) -> dict[str, torch.Tensor]:
        calls.append(terms)
        return scalars(terms)

    def watched(self: StyleModule, content: torch.Tensor, batch_idx: int) -> torch.Tensor:
        if self.global_step == 9 and not (folder / "checkpoints").exists():
            os.kill(os.getpid(), signal.SIGINT)
        calls.clear()
        loss = step(self, content, batch_idx)
        computed.extend([self.global_step + 1] * len(calls))
        return loss

    monkeypatch.setattr(LossTerms, "scalars", counted)
    monkeypatch.setattr(StyleModule, "training_step", watched)
    assert run(monkeypatch, folder, photographs, *options, "checkpoint.every_n_steps=50") == 130
    assert computed == [1, 4, 8]
    for tag in ("train/loss", "train/gradient_norm", "perf/images_per_s"):
        assert [event.step for event in events(folder).Scalars(tag)] == [4, 8]
    options = [*options, "ckpt_path=last"]
    assert run(monkeypatch, folder, photographs, *options) == 0
    assert computed == [1, 4, 8, 11, 12]
    assert [event.step for event in events(folder).Scalars("train/loss")] == [4, 8, 12]


def test_lines_say_early_how_long_it_takes(
    finished: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "lines"
    shutil.copytree(finished, folder)
    options = ["ckpt_path=last", "trainer.max_steps=12", "trainer.log_every_n_steps=4"]
    assert run(monkeypatch, folder, photographs, *options) == 0
    log = (folder / "train.log").read_text()
    assert re.findall(r"step (\d+)/12, .* left", log) == ["7", "8", "12"]


def test_the_mean_of_the_weights_is_what_is_shown_and_written(
    averaged: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[dict[str, torch.Tensor]] = []
    shown: list[torch.Tensor] = []
    take_step, grid = StyleModule.optimizer_step, Preview.grid

    def watched(self: StyleModule, *args: Any, **kwargs: Any) -> None:
        take_step(self, *args, **kwargs)
        steps.append({key: value.clone() for key, value in self.network.state_dict().items()})

    def watched_grid(self: Preview, module: Any) -> torch.Tensor:
        shown.append(grid(self, module))
        return shown[-1]

    monkeypatch.setattr(StyleModule, "optimizer_step", watched)
    monkeypatch.setattr(Preview, "grid", watched_grid)
    assert run(monkeypatch, tmp_path, photographs, "optimizer.schedule=averaged") == 0
    weight = torch.arange(1.0, 7)
    weight = weight * (weight + 1) * (weight + 2)  # falling powers, as t to the third
    weight /= weight.sum()
    checkpoint = load_style_model(tmp_path / "checkpoints" / "last.ckpt").network
    model = load_style_model(tmp_path / "starry.safetensors").network.state_dict()
    for key, found in checkpoint.state_dict().items():
        expected = sum(w * step[key] for w, step in zip(weight, steps, strict=True))
        torch.testing.assert_close(found, expected)
        assert torch.equal(model[key], found.half().float())
        assert not torch.equal(found, steps[-1][key])
    # The last pair of the last preview.
    assert len(shown) == 2
    photograph, preview = shown[-1][None, :, 4:36, 76:108], shown[-1][:, 4:36, 112:144]
    network = copy.deepcopy(checkpoint)
    network.load_state_dict(steps[-1])
    with torch.no_grad():
        mean, last = (
            (net(photograph).clamp(0, 1) - preview).abs() for net in (checkpoint, network)
        )
    assert mean.max() < 0.02  # the training's precision may be bfloat16
    assert last.max() > 0.04
    rates = [event.value for event in events(averaged).Scalars("train/learning_rate")]
    assert rates[1:] == pytest.approx([1e-3] * 5)


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


def steps(folder: Path) -> dict[str, list[int]]:
    """Return the steps of every scalar that TensorBoard shows."""
    accumulator = events(folder)
    tags = accumulator.Tags()["scalars"]
    return {tag: [event.step for event in accumulator.Scalars(tag)] for tag in tags}


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


def test_an_unknown_folder_is_not_known_after_it_was_refused(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        assert run(monkeypatch, tmp_path, photographs, "ckpt_path=last") == 2
        assert not list(tmp_path.iterdir())


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


def test_signals_are_given_back(finished: Path) -> None:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


TWO = ["data.batch_size=2", "trainer.devices=2", "trainer.strategy=ddp"]


def start(folder: Path, photographs: Path, *extra: str, **popen: Any) -> subprocess.Popen[str]:
    """Begin a training in a process of its own, which leads a group of its own."""
    command = [sys.executable, "-m", "fast_style.train", *TINY_TRAINING, f"data.root={photographs}"]
    return subprocess.Popen(
        [*command, f"hydra.run.dir={folder}", *extra],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **popen,
    )


def first_checkpoint(process: subprocess.Popen[str], folder: Path) -> Path:
    """Wait until a training has written one."""
    last = folder / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 120
    while not last.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    return last


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


def scalar(folder: Path, tag: str) -> list[float]:
    return [event.value for event in events(folder).Scalars(tag)]


@pytest.mark.slow
def test_two_processes_train_as_one(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes of two photographs a step, gloo on the CPU, against one of four."""
    shared = ["trainer.precision=32-true"]
    # Orthogonal steps make what rounding differs in the gradients' weak directions some 500 times
    # larger: at 1.0e-3 the last loss differs by 2e-4, at 2.0e-4 by 1.1e-4.
    shared += ["optimizer.learning_rate=1.0e-4", "optimizer.schedule=averaged"]

    def begin(name: str, *extra: str) -> subprocess.Popen[str]:
        return start(tmp_path / name, photographs, *shared, *TWO, *extra)

    def finish(process: subprocess.Popen[str]) -> str:
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        assert "Traceback" not in errors
        return output

    assert run(monkeypatch, tmp_path / "one", photographs, *shared, "data.batch_size=4") == 0
    output = finish(begin("two"))
    for tag in ("train/loss", "train/style_error/relu2_2", "val/loss"):
        alone, together = scalar(tmp_path / "one", tag), scalar(tmp_path / "two", tag)
        assert len(alone) == len(together)
        assert together == pytest.approx(alone, rel=1e-4)
    # Logs and files are written once.
    assert output.count("step 6/6") == 1
    assert [path.name for path in tmp_path.glob("two/*.log")] == ["train.log"]
    # Killed after a checkpoint, it goes on to the same weights.
    process = begin("killed")
    first_checkpoint(process, tmp_path / "killed")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    finish(begin("killed", "ckpt_path=last"))
    resumed = weights(tmp_path / "killed")
    for key, value in weights(tmp_path / "two").items():
        assert torch.equal(resumed[key], value), key


def stop_cleanly(process: subprocess.Popen[str], folder: Path, number: signal.Signals) -> None:
    """Send a signal to a training's whole group once it has a checkpoint; check how it ends."""
    last = first_checkpoint(process, folder)
    os.killpg(process.pid, number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    step = torch.load(last, weights_only=True)["global_step"]
    assert f"stopped after step {step}; go on with: python -m fast_style.train" in output


SLURM = {
    "SLURM_NTASKS": "1",
    "SLURM_JOB_NAME": "train",
    "SLURM_JOB_ID": "77",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURM_NNODES": "1",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_a_schedulers_signal_to_the_whole_group_stops_cleanly(
    name: str, photographs: Path, tmp_path: Path
) -> None:
    """The processes that decode get the signal too, and all that is written is the run's folder."""
    folder, options = tmp_path / "preempted", ["data.num_workers=1", "trainer.max_steps=2000"]
    environment = os.environ | (SLURM if name == "SIGUSR1" else {})
    process = start(folder, photographs, *options, cwd=tmp_path, env=environment)
    stop_cleanly(process, folder, signal.Signals[name])
    assert [path.name for path in tmp_path.iterdir()] == ["preempted"]


def test_a_state_of_slurms_requeueing_is_nobodys(
    finished: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning would begin from it, in whatever folder it takes for its own."""
    folder = tmp_path / "run"
    for place in (tmp_path, folder, folder / "checkpoints"):
        place.mkdir(exist_ok=True)
        shutil.copy(finished / "checkpoints" / "last.ckpt", place / "hpc_ckpt_1.ckpt")
    monkeypatch.chdir(tmp_path)
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    assert run(monkeypatch, folder, photographs, "trainer.max_steps=1") == 0
    assert load_style_model(folder / "starry.safetensors").description["steps"] == 1
    assert {path.name for path in tmp_path.iterdir()} == {"run", "hpc_ckpt_1.ckpt"}


@pytest.mark.slow
def test_ranks_that_no_launcher_has_given_lose_nothing(photographs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    left = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "NODE_RANK": "abc"}
    environment = os.environ | left | {"SLURM_PROCID": "3", "MASTER_PORT": "29999"}
    process = start(folder, photographs, "trainer.max_steps=1", cwd=tmp_path, env=environment)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "style model: run/starry.safetensors" in output
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {"starry.safetensors", "checkpoints/last.ckpt", ".hydra/config.yaml"} <= files
    assert events(folder).Scalars("train/loss")
    assert ".lock" not in files


@pytest.mark.slow
def test_torchrun_trains_one_network(photographs: Path, tmp_path: Path) -> None:
    """In a folder named by the time, which only the first process may make."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    options = [*TINY_TRAINING, f"data.root={photographs}", *TWO, "trainer.max_steps=2"]
    result = subprocess.run(
        [*command, "-m", "fast_style.train", *options],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("step 2/2") == 1
    (model,) = tmp_path.rglob("*.safetensors")
    assert load_style_model(model).description["trainer"]["processes"] == 2
    assert len(list((tmp_path / "outputs" / "starry").iterdir())) == 1


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


def is_running(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_a_process_that_fails_alone_takes_the_others_with_it(
    photographs: Path, tmp_path: Path
) -> None:
    """Only the first writes checkpoints, and where the folder should be there is a file."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "checkpoints").write_text("mine")
    process = start(folder, photographs, *TWO, "checkpoint.every_n_steps=2")
    _, errors = process.communicate(timeout=120)  # ends when all have closed it
    assert process.returncode == 2
    assert "fast_style.train: [Errno 17] File exists" in errors
    assert "Traceback" not in errors
    deadline = time.monotonic() + 30
    while is_running(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(process.pid)
    assert (folder / "checkpoints").read_text() == "mine"


@pytest.mark.slow
def test_two_processes_stop_together(photographs: Path, tmp_path: Path) -> None:
    """Ctrl-C reaches all that a terminal has started; the first says how to go on."""
    folder = tmp_path / "run"
    options = ["trainer.max_steps=2000", "checkpoint.every_n_steps=2"]
    process = start(folder, photographs, *TWO, *options)
    stop_cleanly(process, folder, signal.SIGINT)


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


def test_out_of_memory_says_what_needs_less(
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def fail(self: StyleModule, content: torch.Tensor, batch_idx: int) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(StyleModule, "training_step", fail)
    assert run(monkeypatch, tmp_path, photographs, "data.batch_size=4") == 2
    errors = capfd.readouterr().err
    assert "data.batch_size (now 4)" in errors
    assert "data.image_size (now 32)" in errors


def test_out_of_shared_memory_says_what_needs_less(
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def fail(self: StyleModule, content: torch.Tensor, batch_idx: int) -> None:
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1_2_3>: No sp")

    monkeypatch.setattr(StyleModule, "training_step", fail)
    assert run(monkeypatch, tmp_path, photographs) == 2
    errors = capfd.readouterr().err
    assert "data.num_workers (now 0)" in errors


def test_damaged_photographs_are_skipped_and_named(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "photographs"
    shutil.copytree(photographs, folder)
    for index in range(4):
        (folder / f"broken{index}.jpg").write_bytes(b"not a picture")
    assert run(monkeypatch, tmp_path / "run", folder) == 0
    text = (tmp_path / "run" / "train.log").read_text()
    assert "cannot be decoded" in text
    assert "broken" in text


def test_a_style_of_ones_own(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    painting = photographs / "3.png"
    extra = [f"style.image={painting}", "style.name=mine", "trainer.max_steps=2"]
    assert run(monkeypatch, tmp_path / "run", photographs, *extra) == 0
    description = load_style_model(tmp_path / "run" / "mine.safetensors").description
    assert description["style"] == {
        "name": "mine",
        "image": "3.png",
        "size": 64,
        "credit": None,
        "sha256": sha256(painting.read_bytes()).hexdigest(),
    }


@pytest.mark.parametrize("loss", ["johnson", "gatys"])
def test_the_classical_losses_train_too(
    loss: str, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = [text for text in TINY_TRAINING if not text.startswith("loss.")]
    monkeypatch.setattr(sys.modules[__name__], "TINY_TRAINING", without)
    extra = [f"loss={loss}", "trainer.max_steps=2"]
    assert run(monkeypatch, tmp_path / "run", photographs, *extra) == 0
    scalars = events(tmp_path / "run").Tags()["scalars"]
    deepest = "train/content_loss/relu5_1" if loss == "gatys" else "train/content_loss/relu3_3"
    assert deepest in scalars


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("style.image=nowhere.jpg", "cannot read nowhere.jpg: there is no such file"),
        ("style.name=a/b", "style.name names files"),
        ("style.size=0", "the style size must be at least 32 px, found 0"),
        ("style.size=999999", "makes .* megapixels of .*, at most 179 are allowed"),
        ("data.image_size=99999", "2 crops of 99999 px needs about .* use a smaller data.batch_"),
        ("data.root=nowhere", "there is no folder nowhere"),
        ("data.batch_size=0", "data.batch_size must be at least 1, found 0"),
        ("data.batch_size=many", "data.batch_size must be a whole number, found 'many'"),
        ("data.val_photographs=10", "leave 0 to train on"),
        ("trainer.max_steps=0", "trainer.max_steps must be at least 1, found 0"),
        ("trainer.precision=half", "trainer.precision is one of auto, bf16-mixed"),
        ("trainer.accelerator=tpux", "tpux"),
        ("trainer.accelerator=tpu", "torch_xla"),
        ("trainer.strategy=nonsense", "nonsense"),
        ("trainer.max_steps=99999999999999999999", "trainer.max_steps must be at most"),
        ("trainer.devices=0", "devices"),
        ("trainer.devices=x", "devices"),
        ("trainer.devices=-3", "devices"),
        ("network.name=[1]", "network.name must be johnson or slim"),
        ("optimizer.method=sgd", "optimizer.method is muon or adam, found 'sgd'"),
        ("optimizer.objective=max", "optimizer.objective is mean or mean_log, found 'max'"),
        ("optimizer.schedule=flat", "optimizer.schedule is one_cycle or averaged, found 'flat'"),
        ("optimizer.learning_rate=0", "optimizer.learning_rate .* at most 1, found 0"),
        ("optimizer.learning_rate=1.0e9", "optimizer.learning_rate .* at most 1, found 1000000000"),
        ("optimizer.warmup=1.5", r"optimizer.warmup must be in \[0, 1\), found 1.5"),
        ("loss.style_weight=-2", "loss.style_weight must be a number of 0 or more, found -2"),
        ("loss.normalization=sum", "loss.normalization is one of relative, mean"),
        (
            "loss.style_layers=[relu9_1,relu1_1]",
            "VGG16 has no layer 'relu9_1'; choose among relu1_1",
        ),
        ("loss.vgg_weights=nowhere.pth", "no VGG16 weights at nowhere.pth"),
        ("network.channels=[1,2]", "network.channels must be three widths"),
        ("ckpt_path=last", "there is no checkpoint .*; give the run's folder as hydra.run.dir"),
        ("ckpt_path=nowhere.ckpt", "there is no checkpoint nowhere.ckpt"),
    ],
)
def test_bad_values_are_one_line_and_exit_code_2(
    override: str,
    message: str,
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, tmp_path, photographs, override) == 2
    lines = capfd.readouterr().err.strip().splitlines()
    errors = [line for line in lines if line.startswith("fast_style.train: ")]
    assert len(errors) == 1
    assert "Traceback" not in "".join(lines)
    assert re.search(message, errors[0])
    assert not list(tmp_path.rglob("*.safetensors"))


def test_channels_last_trains_and_goes_on(
    finished: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["trainer.memory_format=channels_last", "trainer.precision=32-true"]
    assert run(monkeypatch, tmp_path, photographs, *options) == 0
    before = (tmp_path / "starry.safetensors").read_bytes()
    (tmp_path / "starry.safetensors").unlink()
    assert run(monkeypatch, tmp_path, photographs, *options, "ckpt_path=last") == 0
    assert (tmp_path / "starry.safetensors").read_bytes() == before


def test_a_new_style_starts_from_another_styles_network(
    finished: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = finished / "starry.safetensors"
    options = ["style.name=mine", f"init_from={model}", "trainer.max_steps=1"]
    # The one-cycle schedule begins at 1/25 of its rate: after one step hardly anything moved.
    assert run(monkeypatch, tmp_path, photographs, *options, "optimizer.learning_rate=1.0e-6") == 0
    before, after = load_style_model(model), load_style_model(tmp_path / "mine.safetensors")
    for key, value in after.network.state_dict().items():
        torch.testing.assert_close(value, before.network.state_dict()[key], atol=2e-4, rtol=2e-3)
    assert after.description["init_from"] == "starry.safetensors"


def test_another_network_to_start_from_is_refused(
    finished: Path,
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = [f"init_from={finished / 'starry.safetensors'}", "network.residual_blocks=2"]
    assert run(monkeypatch, tmp_path, photographs, *options) == 2
    assert "(residual_blocks: 1, now 2)" in capsys.readouterr().err


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


def test_a_loss_that_is_no_number_ends_the_run_before_it_is_saved(
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    training_step = StyleModule.training_step

    def diverging(self: StyleModule, content: torch.Tensor, batch_idx: int) -> torch.Tensor:
        loss = training_step(self, content, batch_idx)
        return loss * float("nan") if batch_idx == 4 else loss

    with monkeypatch.context() as patch:
        patch.setattr(StyleModule, "training_step", diverging)
        assert run(patch, tmp_path, photographs) == 2
    error = capfd.readouterr().err
    assert "not a finite number at step 5: " in error
    assert "optimizer.learning_rate" in error
    assert f"{tmp_path / 'checkpoints' / 'last.ckpt'} keeps step 3" in error
    kept = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert kept["global_step"] == 3
    assert all(value.isfinite().all() for value in kept["state_dict"].values())
    assert not list(tmp_path.rglob("*.safetensors"))


def test_pictures_that_are_no_numbers_are_not_exported(
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Finite weights, so large that the network's pictures are not."""

    def spoil(self: StyleModule, batch: object, batch_idx: int) -> None:
        with torch.no_grad():
            for parameter in self.network.parameters():
                parameter.fill_(1e30)

    monkeypatch.setattr(StyleModule, "on_validation_batch_start", spoil)
    assert run(monkeypatch, tmp_path, photographs, "trainer.max_steps=1") == 2
    assert "pictures are not finite numbers" in capfd.readouterr().err
    assert not list(tmp_path.rglob("*.safetensors"))


def test_lightnings_complaints_are_one_line_and_our_own_bugs_are_not(
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    errors: list[Exception] = [MisconfigurationException("no such\nthing"), RuntimeError("a bug")]

    def fail(*arguments: object) -> None:
        raise errors.pop(0)

    monkeypatch.setattr(train, "fit", fail)
    assert run(monkeypatch, tmp_path, photographs) == 2
    assert "fast_style.train: no such thing" in capfd.readouterr().err
    with pytest.raises(RuntimeError, match="a bug"):
        run(monkeypatch, tmp_path, photographs)


def test_the_command_that_goes_on_can_be_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["style.image=\"sea, storm & 'co'.jpg\"", "+ckpt_path=last", "loss.style_layers=[a,b]"]
    given += ["data.root=my_ckpt_path=.d", 'licence="CC BY"']
    folder = tmp_path / "a b"
    kept = [given[0], *given[2:], f'hydra.run.dir="{folder}"']
    assert shlex.split(train.resume_words(given, folder)) == kept
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    words = train.resume_words(given, folder)
    assert words.endswith(f""" "licence='CC BY'" "hydra.run.dir='{folder}'\"""")
    assert '"loss.style_layers=[a,b]"' in words
    assert "ckpt_path=last" not in words


def test_weights_that_are_no_numbers_are_not_saved(
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A finite loss whose gradient is not: the step before the loss shows it."""

    def spoil(self: StyleModule, optimizer: object) -> None:
        for parameter in self.network.parameters():
            assert parameter.grad is not None
            parameter.grad.fill_(float("inf"))

    monkeypatch.setattr(StyleModule, "on_before_optimizer_step", spoil)
    assert run(monkeypatch, tmp_path, photographs, "checkpoint.every_n_steps=1") == 2
    assert "not a finite number at step 1" in capfd.readouterr().err
    assert not list(tmp_path.rglob("*.ckpt"))


@pytest.mark.slow
def test_a_full_disk_ends_the_run_with_the_last_state_intact(
    finished: Path, photographs: Path, tmp_path: Path
) -> None:
    """The system refuses to write more, as on a full disk: a limit on the size of files."""
    folder = tmp_path / "full"
    shutil.copytree(finished, folder)
    last = folder / "checkpoints" / "last.ckpt"
    before = last.read_bytes()
    arguments = [
        *TINY_TRAINING,
        f"data.root={photographs}",
        f"hydra.run.dir={folder}",
        "ckpt_path=last",
    ]
    code = (
        "import resource, sys; from fast_style import train; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) // 2},) * 2); "
        "sys.exit(train.main())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments, "trainer.max_steps=12"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 2
    assert "fast_style.train: " in result.stderr
    assert "File too large" in result.stderr
    assert "Traceback" not in result.stderr
    assert last.read_bytes() == before
    assert not [path for path in folder.rglob("*") if path.name.startswith(".part-")]


def test_the_shortest_trainings_run(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A warm-up of one step exactly, and a training of one step."""
    for steps, warmup in ((2, 0.5), (1, 0.1)):
        options = [f"trainer.max_steps={steps}", f"optimizer.warmup={warmup}"]
        assert run(monkeypatch, tmp_path / str(steps), photographs, *options) == 0

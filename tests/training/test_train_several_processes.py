"""Trainings of several processes: one network, one end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from support import TINY_TRAINING
from trainings import events, first_checkpoint, run, scalar, start, stop_cleanly, weights

from fast_style.models.style_file import load_style_model

pytestmark = pytest.mark.usefixtures("quiet_globals")


TWO = ["data.batch_size=2", "trainer.devices=2", "trainer.strategy=ddp"]


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

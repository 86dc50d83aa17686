"""Trainings of a tiny network, in this process or another, for the tests of several files."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from support import TINY_TRAINING
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fast_style import train


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, photographs: Path, *extra: str) -> int:
    arguments = [*TINY_TRAINING, f"data.root={photographs}", f"hydra.run.dir={folder}", *extra]
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    return train.main()


def events(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder / "tensorboard"))
    accumulator.Reload()
    return accumulator


def weights(folder: Path) -> dict[str, torch.Tensor]:
    loaded = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    state: dict[str, torch.Tensor] = loaded["state_dict"]
    return state


def steps(folder: Path) -> dict[str, list[int]]:
    """Return the steps of every scalar that TensorBoard shows."""
    accumulator = events(folder)
    tags = accumulator.Tags()["scalars"]
    return {tag: [event.step for event in accumulator.Scalars(tag)] for tag in tags}


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


def scalar(folder: Path, tag: str) -> list[float]:
    return [event.value for event in events(folder).Scalars(tag)]


def stop_cleanly(process: subprocess.Popen[str], folder: Path, number: signal.Signals) -> None:
    """Send a signal to a training's whole group once it has a checkpoint; check how it ends."""
    last = first_checkpoint(process, folder)
    os.killpg(process.pid, number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    step = torch.load(last, weights_only=True)["global_step"]
    assert f"stopped after step {step}; " in output
    # Its own path, or the shorter one from where the command was typed.
    assert re.search(rf"python -m fast_style\.resume (\S*/)?{re.escape(folder.name)}\s", output)
    assert "stopping after this step" in errors

"""What several test files need: a tiny network, its file, a folder of small photographs."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator

# Tiny tensors: more threads only wait for each other. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path
from types import ModuleType

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from support import ROOT, TINY_NETWORK

from fast_style.models.network import build_network
from fast_style.models.style_file import load_style_model, save_style_model

# What a shell starts in the background ignores it, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def load_script() -> Callable[[str], ModuleType]:
    """Return a function from a script's name to its module; scripts/ is no package."""

    def load(name: str) -> ModuleType:
        path = ROOT / "scripts" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # where dataclasses look for it
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session", autouse=True)
def no_process_is_left() -> Iterator[None]:
    """End what a test has started and, since it failed, not ended."""
    yield
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


@pytest.fixture(autouse=True)
def log_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the log handlers from Hydra, which closes all: absl's would close pytest's stderr."""
    monkeypatch.setattr(logging, "_handlerList", [])


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of an untrained style model, small and fast."""
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    torch.manual_seed(0)
    network = build_network(TINY_NETWORK)
    save_style_model(path, network, {"network": TINY_NETWORK, "style": {"name": "tiny"}})
    return path


@pytest.fixture(scope="session")
def warmer(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the tiny model's file with a palette, which the tiny one does not have."""
    path = tmp_path_factory.mktemp("model") / "warmer.safetensors"
    model = load_style_model(tiny_model)
    matrix = [[1.2, 0.1, 0.0], [0.1, 1.3, -0.1], [0.0, -0.1, 1.5]]
    palette = {"matrix": matrix, "offset": [-0.1, 0.0, -0.15]}
    save_style_model(path, model.network, model.description | {"palette": palette})
    return path


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of ten small pictures, smooth and different from each other."""
    folder = tmp_path_factory.mktemp("photographs")
    y, x = np.mgrid[0:48, 0:64]
    for index in range(10):
        waves = [np.sin(x / (3 + index) + c) * np.cos(y / (5 + c) + index) for c in range(3)]
        levels = (np.stack(waves, axis=-1) * 100 + 128).astype(np.uint8)
        Image.fromarray(levels).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def quiet_globals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give back what Hydra and the command change in a process."""
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)

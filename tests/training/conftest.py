"""A finished training, and the process left as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from trainings import run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, photographs: Path) -> Path:
    """Return the folder of a finished training."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert run(monkeypatch, folder, photographs) == 0
    return folder


@pytest.fixture(scope="session")
def averaged(tmp_path_factory: pytest.TempPathFactory, photographs: Path) -> Path:
    """Return the folder of a finished training whose result is a mean of weights."""
    folder = tmp_path_factory.mktemp("averaged")
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert run(monkeypatch, folder, photographs, "optimizer.schedule=averaged") == 0
    return folder

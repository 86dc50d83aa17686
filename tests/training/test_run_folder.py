"""A run's folder: made for it alone, left as it was by a run that is refused."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from fast_style.training.run_folder import CONFIGURATION, Configuration, RunFolder, leave_refused

FILES = {"config.yaml", "hydra.yaml", "overrides.yaml"}


def hydra_config(folder: Path, *overrides: str, mode: str = "RUN") -> DictConfig:
    hydra = {
        "mode": mode,
        "output_subdir": ".hydra",
        "run": {"dir": str(folder)},
        "callbacks": {"run_folder": {}},
        "overrides": {"hydra": [f"hydra.run.dir={folder}", *overrides], "task": ["seed=1"]},
    }
    return OmegaConf.create({"hydra": hydra})


@pytest.fixture
def in_run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let Hydra's configuration be the given one."""

    def use(config: DictConfig) -> DictConfig:
        monkeypatch.setattr(HydraConfig, "get", lambda: config.hydra)
        return config

    return use


def write(folder: Path, text: str) -> None:
    (folder / CONFIGURATION).mkdir(parents=True)
    for name in FILES:
        (folder / CONFIGURATION / name).write_text(text)


def step(configuration: Configuration) -> None:
    configuration.on_train_batch_end(None, None, None, None, 0)  # type: ignore[arg-type]


def texts(folder: Path) -> set[str]:
    return {path.read_text() for path in (folder / CONFIGURATION).iterdir()}


def test_hydra_writes_nothing_itself(tmp_path: Path) -> None:
    config = hydra_config(tmp_path / "run")
    RunFolder().on_run_start(config)
    assert config.hydra.output_subdir is None
    config = hydra_config(tmp_path, "hydra.output_subdir=.hydra", "hydra.verbose=true")
    RunFolder().on_multirun_start(config)
    assert config.hydra.overrides.hydra == [f"hydra.run.dir={tmp_path}", "hydra.verbose=true"]


def test_a_refused_run_takes_away_the_folders_it_made(tmp_path: Path, in_run: Any) -> None:
    (tmp_path / "there").mkdir()
    run = tmp_path / "there" / "a" / "b"
    RunFolder().on_run_start(in_run(hydra_config(run)))
    assert run.is_dir()
    leave_refused(run)
    assert list((tmp_path / "there").iterdir()) == []


def test_a_refused_run_leaves_what_was_there(tmp_path: Path, in_run: Any) -> None:
    """An empty folder, too; what an earlier run of this process made is not this one's."""
    RunFolder().on_run_start(in_run(hydra_config(tmp_path / "first")))
    RunFolder().on_run_start(in_run(hydra_config(tmp_path / "first")))
    leave_refused(tmp_path / "first")
    assert (tmp_path / "first").is_dir()


def test_a_refused_run_of_a_sweep_leaves_no_empty_folder(tmp_path: Path, in_run: Any) -> None:
    in_run(hydra_config(tmp_path, mode="MULTIRUN"))
    HydraConfig.get().mode = RunMode.MULTIRUN
    (tmp_path / "0").mkdir()
    leave_refused(tmp_path / "0")
    assert not (tmp_path / "0").exists()


def test_a_new_run_has_its_configuration_at_once(tmp_path: Path, in_run: Any) -> None:
    in_run(hydra_config(tmp_path))
    Configuration(OmegaConf.create({"seed": 1}), tmp_path).accept()
    folder = tmp_path / CONFIGURATION
    assert {path.name for path in folder.iterdir()} == FILES
    assert OmegaConf.load(folder / "config.yaml") == {"seed": 1}
    assert OmegaConf.load(folder / "overrides.yaml") == ["seed=1"]
    assert OmegaConf.load(folder / "hydra.yaml").hydra.run.dir == str(tmp_path)


def test_an_earlier_runs_configuration_stays_until_the_first_step(
    tmp_path: Path, in_run: Any
) -> None:
    in_run(hydra_config(tmp_path))
    write(tmp_path, "earlier")
    configuration = Configuration(OmegaConf.create({"seed": 2}), tmp_path)
    configuration.accept()
    assert texts(tmp_path) == {"earlier"}
    step(configuration)
    assert OmegaConf.load(tmp_path / CONFIGURATION / "config.yaml") == {"seed": 2}


@pytest.mark.parametrize("good", [0, 1, 2])
def test_a_full_disk_replaces_no_file_of_three(
    good: int,
    tmp_path: Path,
    in_run: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    in_run(hydra_config(tmp_path))
    write(tmp_path / "earlier", "earlier")
    left = SimpleNamespace(number=good)
    whole = Path.write_text

    def write_text(self: Path, text: str, *arguments: Any, **options: Any) -> int:
        left.number -= 1
        if left.number < 0:
            whole(self, "")
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(self, text, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", write_text)
    step(Configuration(OmegaConf.create({"seed": 2}), tmp_path / "earlier"))
    assert texts(tmp_path / "earlier") == {"earlier"}
    assert "keeps the earlier run's: No space left on device" in caplog.text
    left.number = good
    with pytest.raises(OSError, match="No space left"):
        Configuration(OmegaConf.create({"seed": 2}), tmp_path / "new").accept()
    assert list((tmp_path / "new").iterdir()) == []

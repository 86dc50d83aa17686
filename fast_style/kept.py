"""What Hydra writes into a run's folder before our code runs, and a refused run leaves behind."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

WRITTEN = ("config.yaml", "hydra.yaml", "overrides.yaml")  # by Hydra, in the run's .hydra


class KeptConfiguration(Callback):
    """Remembers what a run's folder was before it.

    Named in configs/train.yaml as a callback of Hydra's, which replaces those files at once.
    """

    before: ClassVar[dict[Path, bytes]] = {}  # the configuration of an earlier run
    made: ClassVar[list[Path]] = []  # the folders that there were not, innermost first
    written: ClassVar[list[Path]] = []  # the files that Hydra writes into the first of them

    def on_run_start(self, config: DictConfig, **options: Any) -> None:
        """Read the files, if there are any; else make the folder, so that it is this run's."""
        self._forget()
        subfolder = config.hydra.output_subdir
        if subfolder is None:  # of all processes but the first, which has the folder
            return
        try:
            run = Path(config.hydra.run.dir).resolve()
            folder = (run / subfolder).resolve()
            for path in folder.glob("*.yaml"):
                self.before[path] = path.read_bytes()
            missing = [one for one in (run, *run.parents) if not one.exists()]
            if folder.parent == run and missing:
                run.parent.mkdir(parents=True, exist_ok=True)
                run.mkdir()
                self.made.extend([folder, *missing])
                log = run / f"{config.hydra.job.name}.log"
                self.written.extend([log, *(folder / name for name in WRITTEN)])
        except (OmegaConfBaseException, OSError):  # said when the run begins
            return

    def on_multirun_start(self, config: DictConfig, **options: Any) -> None:
        """A sweep's runs have folders of their own, which stay."""
        self._forget()

    @classmethod
    def restore(cls) -> None:
        """Leave the folder as it was: the run was refused."""
        for path, content in cls.before.items():
            path.write_bytes(content)
        for path in cls.written:
            with suppress(OSError):  # what cannot be removed stays: an open file on Windows
                path.unlink()
        for folder in cls.made:
            with suppress(OSError):
                folder.rmdir()  # if it is empty
        cls._forget()

    @classmethod
    def _forget(cls) -> None:
        cls.before.clear()
        cls.made.clear()
        cls.written.clear()

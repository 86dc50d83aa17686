"""What Hydra writes into a run's folder before our code runs, and a refused run leaves behind."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

WRITTEN = ("config.yaml", "hydra.yaml", "overrides.yaml")  # by Hydra, in the run's .hydra


def make_folder(path: Path, others: bool) -> Path | None:
    """Make a folder that there was not, and return it.

    Args:
        path: Its parent is there.
        others: If it is there already, make ``path-2`` or the next that is free; else return none.

    Raises:
        OSError: It can't be made.
    """
    number, free = 1, path
    while True:
        try:
            free.mkdir()
        except FileExistsError:
            if not others:
                return None
            number += 1
            free = path.with_name(f"{path.name}-{number}")
        else:
            return free


class KeptConfiguration(Callback):
    """Remembers what a run's folder was before it.

    Named in configs/train.yaml as a callback of Hydra's, which replaces those files at once.
    """

    before: ClassVar[dict[Path, bytes]] = {}  # the configuration of an earlier run
    made: ClassVar[list[Path]] = []  # the folders that there were not, innermost first
    written: ClassVar[list[Path]] = []  # the files that there were not, and Hydra writes

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
            if folder.parent != run:
                return
            missing = [one for one in run.parents if not one.exists()]
            run.parent.mkdir(parents=True, exist_ok=True)
            named = any(one.startswith("hydra.run.dir=") for one in config.hydra.overrides.hydra)
            made = make_folder(run, others=not named)
            if made is not None and made != run:  # another training began within the same second
                self.before.clear()
                OmegaConf.update(config, "hydra.run.dir", str(made))
            home = made or run
            folders = [home / subfolder, home, *missing] if made else [home / subfolder]
            log = home / f"{config.hydra.job.name}.log"
            files = [log, *(home / subfolder / name for name in WRITTEN)]
            self.made.extend(one for one in folders if made or not one.exists())
            self.written.extend(one for one in files if not one.exists())
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

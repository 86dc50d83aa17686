"""A run's folder and the configuration in it. Nothing is written before the run is accepted.

Hydra itself would write before our code runs, over the files of an earlier run.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fast_style.system.atomic import write_atomically
from fast_style.system.messages import reason
from fast_style.training.log_handlers import begin_log
from fast_style.training.processes import Processes

log = logging.getLogger(__name__)

CONFIGURATION = ".hydra"  # Hydra's name for its own folder in a run's folder
LAST = Path("checkpoints", "last.ckpt")  # in a run's folder: the state to go on from
CALLBACK = "run_folder"  # the name of RunFolder in configs/train.yaml
MADE_KEY = "made"  # where it notes the folders that it made


def make_folder(path: Path, others: bool) -> Path | None:
    """Make a folder that did not exist, and return it.

    Args:
        path: The folder. Its parent exists.
        others: What to do if it exists: make ``path-2`` or the next free one, or return none.

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


class RunFolder(Callback):
    """Makes a folder for this run alone, and keeps Hydra from writing there.

    A callback of Hydra's, named in configs/train.yaml. It notes the folders that it made in the
    configuration of the run, so that another run of this process knows nothing of them.
    """

    def on_run_start(self, config: DictConfig, **options: Any) -> None:
        """Make the folder, if it does not exist."""
        if Processes.rank > 0:  # the first process has made it
            return
        OmegaConf.update(config, "hydra.output_subdir", None)
        try:
            run = Path(config.hydra.run.dir).resolve()
            missing = [one for one in run.parents if not one.exists()]
            run.parent.mkdir(parents=True, exist_ok=True)
            named = any(one.startswith("hydra.run.dir=") for one in config.hydra.overrides.hydra)
            made = make_folder(run, others=not named)
        except (OmegaConfBaseException, OSError):  # reported when the run begins
            return
        if made is None:
            return
        if made != run:  # another training began within the same second
            OmegaConf.update(config, "hydra.run.dir", str(made))
        folders = [str(one) for one in (made, *missing)]
        OmegaConf.update(config, f"hydra.callbacks.{CALLBACK}.{MADE_KEY}", folders, force_add=True)

    def on_multirun_start(self, config: DictConfig, **options: Any) -> None:
        """Keep Hydra from writing into the folders of a sweep's runs."""
        overrides = config.hydra.overrides.hydra
        config.hydra.overrides.hydra = [one for one in overrides if "output_subdir=" not in one]


def leave_refused(folder: Path) -> None:
    """Remove the folders that were made for a run that is refused, as far as they are empty.

    Args:
        folder: The run's folder. In a sweep it is the only one that goes.
    """
    hydra = HydraConfig.get()
    made = (
        [str(folder)]
        if hydra.mode == RunMode.MULTIRUN
        else hydra.callbacks[CALLBACK].get(MADE_KEY, [])
    )
    for one in made:
        with suppress(OSError):
            Path(one).rmdir()  # only an empty folder can go


class Configuration(pl.Callback):
    """Writes the configuration that Hydra composed, the command line, and Hydra's own part.

    The files of an earlier run in the same folder stay until this run has done its first step.

    Args:
        config: The run's configuration, without Hydra's part.
        folder: The run's folder.
    """

    def __init__(self, config: DictConfig, folder: Path) -> None:
        hydra = HydraConfig.get()
        parts = {
            "config.yaml": config,
            "hydra.yaml": OmegaConf.create({"hydra": hydra}),
            "overrides.yaml": hydra.overrides.task,
        }
        self.texts = {name: OmegaConf.to_yaml(part) for name, part in parts.items()}
        self.folder = folder / CONFIGURATION
        self.is_written = False

    def accept(self) -> None:
        """Write the files, if there are none, and let the log begin: the run is accepted.

        Raises:
            OSError: The disk is full, or the folder can't be written.
        """
        if not any((self.folder / name).exists() for name in self.texts):
            self._write_files()
        begin_log()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Replace the files of an earlier run after the first step."""
        if self.is_written:
            return
        try:
            self._write_files()
        except OSError as error:
            self.is_written = True  # the earlier files fit: they are of the run that goes on
            log.warning("%s keeps the earlier run's: %s", self.folder, reason(error))

    def _write_files(self) -> None:
        """Write all files or none."""
        try:
            with ExitStack() as stack:
                for name, text in self.texts.items():
                    temporary = stack.enter_context(write_atomically(self.folder / name))
                    temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            with suppress(OSError):
                self.folder.rmdir()  # only an empty folder can go
            raise
        self.is_written = True

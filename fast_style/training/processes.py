"""Of the processes of one training the first writes; the others are silent."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import warnings
from typing import Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict

from fast_style.training.leftovers import GIVEN_WITH
from fast_style.training.trainer import bare_trainer

PLACE = ("accelerator", "devices", "num_nodes", "strategy")  # what decides on the processes


def process_rank(config: DictConfig) -> int:
    """Return which of the processes of its training this is, as Lightning will see it.

    A training of one process has none but its first, whatever a launcher says: of several that
    SLURM started, each may train something else.
    """
    try:
        options = {name: OmegaConf.select(config, f"trainer.{name}") for name in PLACE}
        if OmegaConf.is_list(options["devices"]):
            options["devices"] = list(options["devices"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return int(bare_trainer(**options).global_rank)
    except Exception:  # it is said when the run begins, by the first process
        ranks = [os.environ.get(name, "") for name in GIVEN_WITH]
        return max([int(rank) for rank in ranks if rank.isdecimal()], default=0)


class Processes(Callback):
    """Keeps all processes but the first from logging and from writing what Hydra writes.

    Named in configs/train.yaml, before all callbacks that look at folders.
    """

    rank: ClassVar[int] = 0  # of this process

    def on_run_start(self, config: DictConfig, **options: Any) -> None:
        """Find this process's place; silence it if it is not the first."""
        Processes.rank = process_rank(config)
        if self.rank == 0:
            return
        with open_dict(config.hydra):
            config.hydra.job_logging = {"version": 1, "root": {"level": "ERROR"}}
            if not _is_given(config, "hydra.run.dir"):
                # Started in another second, Hydra would make it a folder of its own name.
                config.hydra.run.dir = _temporary_folder()

    def on_multirun_start(self, config: DictConfig, **options: Any) -> None:
        """The same for a sweep, whose runs are composed from what is given on the command line."""
        Processes.rank = process_rank(config)
        if self.rank == 0:
            return
        with open_dict(config.hydra):
            config.hydra.overrides.hydra.append("hydra/job_logging=disabled")
            if not _is_given(config, "hydra.sweep.dir"):
                config.hydra.sweep.dir = _temporary_folder()


def _is_given(config: DictConfig, key: str) -> bool:
    return any(str(one).startswith(f"{key}=") for one in config.hydra.overrides.hydra)


def _temporary_folder() -> str:
    folder = tempfile.mkdtemp(prefix="fast_style_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder

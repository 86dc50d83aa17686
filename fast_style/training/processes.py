"""One training may have several processes: the first writes, the others are silent."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import warnings
from typing import Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict

from fast_style.training.trainer import bare_trainer

# The keys of the trainer section on which the number of processes depends.
PROCESS_KEYS = ("accelerator", "devices", "num_nodes", "strategy")
# Where launchers write a process's number: torchrun, Lightning, SLURM, LSF.
RANK_VARIABLES = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")


def process_rank(config: DictConfig) -> int:
    """Return the number of this process among those of its training, from 0, as Lightning counts.

    A training on one device has one process, whatever a launcher says: SLURM may have started
    several processes that each train something else.
    """
    try:
        options = {name: OmegaConf.select(config, f"trainer.{name}") for name in PROCESS_KEYS}
        if OmegaConf.is_list(options["devices"]):
            options["devices"] = list(options["devices"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return int(bare_trainer(**options).global_rank)
    except Exception:  # the first process reports it when the run begins
        ranks = [os.environ.get(name, "") for name in RANK_VARIABLES]
        return max([int(rank) for rank in ranks if rank.isdecimal()], default=0)


class Processes(Callback):
    """Keeps every process but the first from logging and from writing Hydra's files.

    A callback of Hydra's, named in configs/train.yaml before all callbacks that look at folders.
    """

    rank: ClassVar[int] = 0  # the number of this process

    def on_run_start(self, config: DictConfig, **options: Any) -> None:
        """Find the number of this process. Silence it if it is not the first."""
        Processes.rank = process_rank(config)
        if self.rank == 0:
            return
        with open_dict(config.hydra):
            config.hydra.job_logging = {"version": 1, "root": {"level": "ERROR"}}
            if not _is_given(config, "hydra.run.dir"):
                # Hydra names a folder by the second: this process may have begun in another.
                config.hydra.run.dir = _temporary_folder()

    def on_multirun_start(self, config: DictConfig, **options: Any) -> None:
        """Do the same for a sweep: Hydra composes its runs from the command line."""
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

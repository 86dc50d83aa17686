"""python -m fast_style.train style=starry: the command; what a run does is in run.py."""

from __future__ import annotations

import logging
import os
import platform
import re
import signal
import sys
import warnings
from collections.abc import Sequence
from contextlib import chdir, suppress
from pathlib import Path

from fast_style.training import leftovers  # noqa: F401, before Lightning, which reads them too

# isort: split
import hydra
import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from pytorch_lightning.strategies.launchers.subprocess_script import _SubprocessScriptLauncher
from yaml import YAMLError

from fast_style.cli.parser import usable_streams
from fast_style.models.style_file import ModelFileError
from fast_style.system.files import shell_join, short_path
from fast_style.system.hardware import is_out_of_memory
from fast_style.system.resources import config_folder
from fast_style.system.signals import STOPPING, interrupted_by
from fast_style.training.config import (
    CONFIG_NAME,
    ConfigError,
    checked_files,
    explain,
    override,
    plain,
)
from fast_style.training.lock import FolderInUse, hold, let_go, remove_parts
from fast_style.training.photographs import DataError
from fast_style.training.processes import Processes
from fast_style.training.run import fit, prepare
from fast_style.training.run_folder import Configuration, leave_refused
from fast_style.training.sweep import ContactSheet, is_sweep
from fast_style.training.trainer import NonFiniteLossError
from fast_style.training.words import readable

log = logging.getLogger(__name__)

INTERRUPTED = 130  # exit code, as of Ctrl-C
# Lightning's advice that does not hold here: StepSampler resumes at the step by itself, one
# process decodes fast enough for a CPU, and the seconds of a last validation are no bottleneck.
NOT_OUR_CASE = (
    ".*does not have many workers.*",
    ".*resuming from a checkpoint that ended before the epoch.*",
    ".*number of training batches .* is smaller than the logging interval.*",
    ".*isinstance.treespec, LeafSpec.. is deprecated.*",  # Lightning's own
)
# Errors of a training that are no fault of this program's.
EXPECTED: tuple[type[Exception], ...] = (
    OSError,
    DataError,
    NonFiniteLossError,
    ModelFileError,
    MisconfigurationException,
)
if torch.distributed.is_available():  # a port that is taken, a machine that does not answer
    EXPECTED += (torch.distributed.DistError,)


def _fail(error: BaseException) -> int:
    text = str(error).strip()
    if "Original Traceback" in text:  # from a process that decodes: its last line says it
        text = text.splitlines()[-1].partition(": ")[2]
    print(f"fast_style.train: {' '.join(text.split())}", file=sys.stderr)
    return 2


def _train(config: DictConfig) -> int:
    """Do one job of Hydra's, perhaps in a process of its launcher's, and return its exit code."""
    quieten()
    about = HydraConfig.get().runtime
    # Paths are those of where the command was typed, whatever hydra.job.chdir says.
    with warnings.catch_warnings(), chdir(about.cwd):
        for message in NOT_OUR_CASE:
            warnings.filterwarnings("ignore", message=message)
        try:
            return _quiet_train(config, Path(about.output_dir))
        finally:
            if is_sweep():  # whose own folder is held for longer
                let_go(Path(about.output_dir))


def quieten() -> None:
    """Have Lightning say what is wrong only."""
    for name in ("pytorch_lightning", "lightning_fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _quiet_train(config: DictConfig, folder: Path) -> int:
    try:
        is_held = Processes.rank == 0 and hold(folder)
        training = prepare(plain(config), folder)
        if Processes.rank == 0:
            configuration = Configuration(config, folder)
            configuration.accept()
            training.trainer.callbacks.insert(0, configuration)  # type: ignore[attr-defined]
    except FolderInUse as error:  # by a training that is none of this sweep's
        return _fail(error)
    except BaseException as error:
        if Processes.rank == 0:
            let_go(folder)
        leave_refused(folder)
        # Lightning answers an odd number of devices with a TypeError.
        if isinstance(error, ValueError | TypeError | OSError | MisconfigurationException):
            return _fail(error)
        raise
    if is_held:
        remove_parts(folder)
    trainer = training.trainer
    try:
        if fit(training, folder) is not None:
            return 0
        log.warning(
            "stopped after step %d; go on with: python -m fast_style.train %s ckpt_path=last",
            trainer.global_step,
            resume_words(HydraConfig.get().overrides.task, folder),
        )
        return INTERRUPTED
    except Exception as error:
        _leave_started(trainer, kill=True)  # they may be waiting for this process
        if isinstance(error, EXPECTED):
            return _fail(error)
        data = config["data"]
        if "shared memory" in str(error):
            return _fail(
                MemoryError(
                    "the processes that read photographs are out of shared memory: try a smaller "
                    f"data.num_workers (now {data['num_workers']}), or give a container more of it "
                    "(docker run --shm-size)"
                )
            )
        if is_out_of_memory(error):
            return _fail(
                MemoryError(
                    f"out of memory: try a smaller data.batch_size (now {data['batch_size']}) or "
                    f"data.image_size (now {data['image_size']})"
                )
            )
        raise
    except SystemExit as error:  # how Lightning answers an early Ctrl-C, and a second one
        early = isinstance(error.__context__, KeyboardInterrupt)  # before the first step
        if not (early or training.last_checkpoint.signalled):
            raise
        raise KeyboardInterrupt from error
    finally:
        _leave_started(trainer)
        if torch.distributed.is_initialized():  # Lightning leaves it to the end of the process
            torch.distributed.destroy_process_group()


def resume_words(given: Sequence[str], folder: Path) -> str:
    """Return the words of a command that goes on with a run, but for ``ckpt_path``.

    Args:
        given: The run's own, as Hydra knows them.
        folder: Of the run.
    """
    words = [one for one in given if not re.match(r"\+*ckpt_path=", one)]
    words.append(override("hydra.run.dir", Path(short_path(folder)).as_posix()))
    if platform.system() == "Windows":  # whose shells have no common way to write double quotes
        words = [re.sub(r"""="([^"'\\]*)"$""", r"='\1'", word) for word in words]
    return shell_join(words)


def _leave_started(trainer: pl.Trainer, kill: bool = False) -> None:
    """Let go of the processes that Lightning has started, dead or alive.

    As long as it watches them, it kills this process once one of them has ended with an error.
    """
    launcher = trainer.strategy.launcher
    if isinstance(launcher, _SubprocessScriptLauncher):
        if kill:
            launcher.kill(getattr(signal, "SIGKILL", signal.SIGTERM))
        launcher.procs.clear()


def main() -> int:
    """Run the command; return its exit code."""
    usable_streams()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra's errors come here instead of being printed
    quieten()
    ContactSheet.forget()
    begun: list[bool] = []
    codes: list[int] = []

    @hydra.main(config_path=str(config_folder()), config_name=CONFIG_NAME, version_base="1.3")
    def job(config: DictConfig) -> int:
        begun.append(True)
        codes.append(_train(config))
        if codes[-1] == INTERRUPTED and is_sweep():
            raise KeyboardInterrupt  # else Hydra starts the next run
        return codes[-1]

    try:
        sys.argv[1:] = readable(sys.argv[1:])
        with interrupted_by(*STOPPING), checked_files():
            job()
    except KeyboardInterrupt:  # a sweep; or before the first step, or for the second time
        with suppress(KeyboardInterrupt):
            ContactSheet.end_early()
        print("fast_style.train: interrupted", file=sys.stderr)
        return INTERRUPTED
    except FolderInUse as error:
        return _fail(error)
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        return _fail(ConfigError(explain(error)))
    except ValueError as error:
        if begun:
            raise
        if isinstance(error, ConfigError):  # of a file
            return _fail(error)
        return _fail(ConfigError(f"{error} in: {' '.join(sys.argv[1:])}"))  # Hydra's own, bare
    except OSError as error:
        if begun:
            raise
        return _fail(OSError(f"the run's folder cannot be made: {error}"))
    finally:
        let_go()
    code = max([*codes, *(2 for _ in ContactSheet.failed())], default=0)
    # All have stopped together. The first process says so: what starts them, as torchrun, takes
    # any other's exit code for a crash and ends the first before it has.
    return 0 if code == INTERRUPTED and Processes.rank > 0 else code


if __name__ == "__main__":
    sys.exit(main())

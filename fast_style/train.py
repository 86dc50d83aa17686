"""The command ``python -m fast_style.train style=starry``. What a run does stands in run.py."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from contextlib import chdir, suppress
from pathlib import Path

from fast_style.training import leftovers  # noqa: F401, before Lightning, which reads them too

# isort: split
import hydra
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from lightning_fabric.utilities.exceptions import MisconfigurationException
from lightning_fabric.utilities.warnings import PossibleUserWarning
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from fast_style.cli.console import INTERRUPTED, quiet, usable_streams
from fast_style.cli.parser import VERSION
from fast_style.models.style_file import ModelFileError
from fast_style.system.memory import is_out_of_memory
from fast_style.system.messages import command
from fast_style.system.paths import is_file
from fast_style.system.resources import config_folder
from fast_style.system.shell import shell_path
from fast_style.system.signals import STOPPING, interrupted_by
from fast_style.training.config import (
    CONFIG_NAME,
    ConfigError,
    checked_files,
    explain,
    plain,
)
from fast_style.training.lock import FolderInUse, hold, let_go, remove_parts
from fast_style.training.network_choice import follow_model
from fast_style.training.overrides import readable
from fast_style.training.photographs import DataError
from fast_style.training.processes import Processes
from fast_style.training.run import fit, prepare
from fast_style.training.run_folder import LAST, Configuration, leave_refused
from fast_style.training.sweep import ContactSheet, is_sweep
from fast_style.training.sweep_check import SweepRefused
from fast_style.training.trainer import NonFiniteLossError, let_processes_go

log = logging.getLogger(__name__)

# Warnings about which the person who trains can do nothing. Lightning's advice does not hold here:
# StepSampler goes on at the right step, and one process decodes fast enough for a CPU. The others
# are for those who write libraries.
NO_HELP = (PossibleUserWarning, FutureWarning)
# Errors of a training that are not faults of this program.
EXPECTED: tuple[type[Exception], ...] = (
    OSError,
    DataError,
    NonFiniteLossError,
    ModelFileError,
    MisconfigurationException,
)
if torch.distributed.is_available():  # a port is taken, a machine does not answer
    EXPECTED += (torch.distributed.DistError,)


def _say_error(error: BaseException) -> int:
    """Print an error in one line; return the exit code."""
    text = str(error).strip()
    if "Original Traceback" in text:  # of a process that decodes: only its last line is for people
        text = text.splitlines()[-1].partition(": ")[2]
    print(f"fast_style.train: {' '.join(text.split())}", file=sys.stderr)
    return 2


def _train(config: DictConfig) -> int:
    """Do one of Hydra's jobs, perhaps in a process of a Hydra launcher; return the exit code."""
    quieten()
    about = HydraConfig.get().runtime
    # Paths start where the command was typed, whatever hydra.job.chdir says.
    with warnings.catch_warnings(), chdir(about.cwd):
        for category in NO_HELP:
            warnings.simplefilter("ignore", category)
        try:
            return _quiet_train(config, Path(about.output_dir))
        finally:
            if is_sweep():  # the folder of the sweep itself is held for longer
                let_go(Path(about.output_dir))


def quieten() -> None:
    """Let Lightning report only what is wrong."""
    for name in ("pytorch_lightning", "lightning_fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _quiet_train(config: DictConfig, folder: Path) -> int:
    """Train in ``folder``, which this training holds; return the exit code."""
    try:
        is_held = Processes.rank == 0 and hold(folder)
        follow_model(config, HydraConfig.get().overrides.task, folder)
        training = prepare(plain(config), folder)
        if Processes.rank == 0:
            configuration = Configuration(config, folder)
            configuration.accept()
            training.trainer.callbacks.insert(0, configuration)  # type: ignore[attr-defined]
    except FolderInUse as error:  # by a training outside of this sweep
        return _say_error(error)
    except BaseException as error:
        if Processes.rank == 0:
            let_go(folder)
        leave_refused(folder)
        # Lightning answers an odd number of devices with a TypeError.
        if isinstance(error, ValueError | TypeError | OSError | MisconfigurationException):
            return _say_error(error)
        raise
    if is_held:
        remove_parts(folder)
    trainer = training.trainer
    log.info("folder:      %s", shell_path(folder))
    log.info("watch it:    tensorboard --logdir %s", shell_path(folder))
    try:
        if fit(training, folder) is not None:
            return 0
        log.warning("stopped after step %d; %s", trainer.global_step, _how_to_go_on(folder))
        return INTERRUPTED
    except KeyboardInterrupt:  # after the last step, or for the second time
        if is_file(folder / LAST):
            log.warning("stopped; %s", _how_to_go_on(folder))
        raise
    except Exception as error:
        let_processes_go(trainer, kill=True)
        if isinstance(error, EXPECTED):
            return _say_error(error)
        if advice := _memory_advice(error, config["data"]):
            return _say_error(MemoryError(advice))
        raise
    except SystemExit as error:  # Lightning's answer to an early Ctrl-C, and to a second one
        early = isinstance(error.__context__, KeyboardInterrupt)  # before the first step
        if not (early or training.last_checkpoint.signalled):
            raise
        if is_file(folder / LAST):
            log.warning("stopped; %s", _how_to_go_on(folder))
        raise KeyboardInterrupt from error
    finally:
        let_processes_go(trainer)
        if torch.distributed.is_initialized():  # Lightning leaves it to the end of the process
            torch.distributed.destroy_process_group()


def _how_to_go_on(folder: Path) -> str:
    """Return what to type to go on with a run."""
    return f"go on with: {command('resume')} {shell_path(folder)}"


def _memory_advice(error: Exception, data: DictConfig) -> str | None:
    """Return what to do if an error says that memory has run out."""
    if "shared memory" in str(error):  # PyTorch has no class of its own for it
        return (
            "the processes that read photographs are out of shared memory: try a smaller "
            f"data.num_workers (now {data['num_workers']}), or give a container more of it "
            "(docker run --shm-size)"
        )
    if is_out_of_memory(error):
        return (
            f"out of memory: try a smaller data.batch_size (now {data['batch_size']}) or "
            f"data.image_size (now {data['image_size']})"
        )
    return None


def main() -> int:
    """Run the command; return its exit code."""
    usable_streams()
    if "--version" in sys.argv[1:]:  # else Hydra prints its own
        print(VERSION)
        return 0
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises its errors instead of printing them
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
    except KeyboardInterrupt:  # in a sweep, before the first step, or for the second time
        with suppress(KeyboardInterrupt):
            ContactSheet.end_early()
        print("fast_style.train: interrupted", file=sys.stderr)
        return INTERRUPTED
    except (FolderInUse, SweepRefused) as error:
        return _say_error(error)
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        return _say_error(ConfigError(explain(error)))
    except ValueError as error:
        if begun:
            raise
        if isinstance(error, ConfigError):  # check_file names the file
            return _say_error(error)
        return _say_error(ConfigError(f"{error} in: {' '.join(sys.argv[1:])}"))  # Hydra's
    except OSError as error:
        if begun:
            raise
        if isinstance(error, BrokenPipeError):  # the reader of --help, such as `head`, has ended
            quiet(sys.stdout)
            return 0
        return _say_error(OSError(f"the run's folder cannot be made: {error}"))
    finally:
        let_go()
    code = max([*codes, *(2 for _ in ContactSheet.failed())], default=0)
    # All processes have stopped together, and the first says so. torchrun would take the exit code
    # of another for a crash, and would end the first before it has said so.
    return 0 if code == INTERRUPTED and Processes.rank > 0 else code


if __name__ == "__main__":
    sys.exit(main())

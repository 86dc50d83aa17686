"""python -m fast_style.train style=starry: the command; what a run does is in run.py."""

from __future__ import annotations

import atexit
import logging
import os
import shlex
import shutil
import signal
import sys
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

import hydra
import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from pytorch_lightning.strategies.launchers.subprocess_script import _SubprocessScriptLauncher

from fast_style.checkpoint import ModelFileError
from fast_style.config import CONFIG_NAME, ConfigError, explain, override, plain
from fast_style.files import short_path
from fast_style.hardware import is_out_of_memory
from fast_style.kept import KeptConfiguration
from fast_style.photographs import DataError
from fast_style.resources import config_folder
from fast_style.run import fit, prepare
from fast_style.sweep import ContactSheet, is_sweep
from fast_style.trainer import NonFiniteLossError

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


def _fail(error: Exception) -> int:
    text = str(error).strip()
    if "Original Traceback" in text:  # from a process that decodes: its last line says it
        text = text.splitlines()[-1].partition(": ")[2]
    print(f"fast_style.train: {' '.join(text.split())}", file=sys.stderr)
    return 2


def _train(config: DictConfig) -> int:
    """Do one job of Hydra's, perhaps in a process of its launcher's, and return its exit code."""
    for name in ("pytorch_lightning", "lightning_fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for message in NOT_OUR_CASE:
            warnings.filterwarnings("ignore", message=message)
        return _quiet_train(config)


def _quiet_train(config: DictConfig) -> int:
    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        training = prepare(plain(config), folder)
    except (ValueError, TypeError, OSError, MisconfigurationException) as error:
        # Lightning answers an odd number of devices with a TypeError.
        KeptConfiguration.restore()
        return _fail(error)
    trainer = training.trainer
    try:
        if fit(training, folder) is not None:
            return 0
        given = [one for one in HydraConfig.get().overrides.task if "ckpt_path=" not in one]
        log.warning(
            "stopped after step %d; go on with: python -m fast_style.train %s ckpt_path=last",
            trainer.global_step,
            shlex.join([*given, override("hydra.run.dir", short_path(folder))]),
        )
        return INTERRUPTED
    except Exception as error:
        _leave_started(trainer, kill=True)  # they may be waiting for this process
        if isinstance(error, OSError | DataError | NonFiniteLossError | ModelFileError):
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


def _leave_started(trainer: pl.Trainer, kill: bool = False) -> None:
    """Let go of the processes that Lightning has started, dead or alive.

    As long as it watches them, it kills this process once one of them has ended with an error.
    """
    launcher = trainer.strategy.launcher
    if isinstance(launcher, _SubprocessScriptLauncher):
        if kill:
            launcher.kill(getattr(signal, "SIGKILL", signal.SIGTERM))
        launcher.procs.clear()


def process_rank() -> int:
    """Return which of the processes of a training this is, as torchrun, SLURM or Lightning say."""
    for name in ("RANK", "SLURM_PROCID"):
        if name in os.environ:
            return int(os.environ[name])
    # Lightning's own launcher: any number but 0 for any process but the first.
    return int(os.environ.get("NODE_RANK", 0)) + int(os.environ.get("LOCAL_RANK", 0))


def silence() -> None:
    """Keep all processes but the first from logging and from writing what Hydra writes."""
    sys.argv += ["hydra.output_subdir=null", "hydra/job_logging=disabled"]
    if not any(argument.startswith("hydra.run.dir=") for argument in sys.argv):
        # Started in another second, Hydra would make it a folder of its own name.
        folder = tempfile.mkdtemp(prefix="fast_style_")
        sys.argv.append(f"hydra.run.dir={folder}")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


def main() -> int:
    """Run the command; return its exit code."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra's errors come here instead of being printed
    if process_rank() > 0:
        silence()
    begun: list[bool] = []
    codes: list[int] = []

    @hydra.main(config_path=str(config_folder()), config_name=CONFIG_NAME, version_base="1.3")
    def job(config: DictConfig) -> None:
        begun.append(True)
        codes.append(_train(config))
        if codes[-1] == INTERRUPTED and is_sweep():
            raise KeyboardInterrupt  # else Hydra starts the next run

    try:
        job()
    except KeyboardInterrupt:  # a sweep; or before the first step, or for the second time
        with suppress(KeyboardInterrupt):
            ContactSheet.finish()
        print("fast_style.train: interrupted", file=sys.stderr)
        return INTERRUPTED
    except (HydraException, OmegaConfBaseException) as error:
        return _fail(ConfigError(explain(error)))
    except ValueError as error:
        if begun:
            raise
        return _fail(ConfigError(f"{error} in: {' '.join(sys.argv[1:])}"))  # Hydra's own, bare
    except OSError as error:
        if begun:
            raise
        return _fail(OSError(f"the run's folder cannot be made: {error}"))
    code = max([*codes, *(2 for _ in ContactSheet.unfinished)], default=0)
    # All have stopped together. The first process says so: what starts them, as torchrun, takes
    # any other's exit code for a crash and ends the first before it has.
    return 0 if code == INTERRUPTED and process_rank() > 0 else code


if __name__ == "__main__":
    sys.exit(main())

"""The Lightning Trainer, built from the trainer section: devices, checkpoints, logs."""

from __future__ import annotations

import inspect
import io
import os
import signal
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import ClusterEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_utilities.core.rank_zero import rank_zero_only
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy
from torch.nn.parallel import DistributedDataParallel

from fast_style.system.atomic import write_atomically
from fast_style.system.signals import STOPPING
from fast_style.training.callbacks import (
    Duration,
    Preview,
    Threads,
    Throughput,
    TrainingBar,
    Validations,
    Waiting,
)
from fast_style.training.tensorboard_log import StepLogger

LOGS = "tensorboard"  # TensorBoard's files, in a run's folder
STRATEGIES = ("auto", "ddp")
MOST_STEPS = 10**9  # a century of training; PyTorch can't count the photographs of far more
STDERR = 2  # the number of the file
STOPPING_TEXT = b"fast_style.train: stopping after this step; again to stop now\n"
CHECK_EVERY_N_STEPS = 10  # steps between two checks that wait for a GPU or for other processes


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes Lightning's checkpoints under another name, and renames them when they are whole."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint, whole or not at all.

        Raises:
            OSError: The disk is full, or the folder can't be written.
        """
        buffer = io.BytesIO()  # PyTorch's writer hides the system's error about a full disk
        torch.save(checkpoint, buffer)
        with write_atomically(Path(path)) as temporary:
            temporary.write_bytes(buffer.getvalue())


class NonFiniteLossError(RuntimeError):
    """The loss is infinite or not a number. The message says since when, and what to do."""


class LastCheckpoint(Callback):
    """Keeps the state of the training in one file. On a signal it saves the state and stops.

    A state is never saved if its loss or weights are not finite numbers. It ends the training.

    Args:
        path: The file.
        every_n_steps: Steps between two writings. The state is written after the last step, too.

    Raises:
        ValueError: ``every_n_steps`` is below 1.
    """

    def __init__(self, path: Path, every_n_steps: int) -> None:
        if every_n_steps < 1:
            raise ValueError(f"checkpoint.every_n_steps must be at least 1, found {every_n_steps}")
        self.path = path
        self.every_n_steps = every_n_steps
        self.interrupted = False  # all processes agree that one was signalled
        self.signalled = False  # this process has had a signal
        self._bad_since = torch.empty(0)  # the first step of a non-finite loss, 0 for none
        self._saved_step = 0
        self._handlers: dict[signal.Signals, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take over the signals. Python lets only its main thread do so."""
        self._bad_since = torch.zeros((), dtype=torch.long, device=pl_module.device)
        self._saved_step = trainer.global_step
        if threading.current_thread() is threading.main_thread():
            for number in STOPPING:
                self._handlers[number] = signal.signal(number, self._stop)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save the state, if that is due. Stop, if a signal came during the step.

        Raises:
            NonFiniteLossError: The loss, or a weight, is not a finite number.
            OSError: The disk is full, or the folder can't be written.
        """
        step = trainer.global_step
        is_bad = ~torch.isfinite(outputs["loss"].detach()) & (self._bad_since == 0)
        self._bad_since = torch.where(is_bad, step, self._bad_since)
        due = step % self.every_n_steps == 0 or step == trainer.max_steps
        # To read a value from a GPU, or to ask other processes, delays the step.
        waits = trainer.world_size > 1 or self._bad_since.device.type != "cpu"
        if waits and not due and step % CHECK_EVERY_N_STEPS:
            return
        self._agree(trainer)
        self._check(trainer, pl_module, weights=due or self.interrupted)
        if due or self.interrupted:
            trainer.save_checkpoint(self.path)
            self._saved_step = step
        if self.interrupted:
            trainer.should_stop = True
            trainer.limit_val_batches = 0  # no time for that if the machine is taken away

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give the signals back. One may have come during the last validation."""
        self._restore()
        self._agree(trainer)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Give the signals back."""
        self._restore()

    def _agree(self, trainer: pl.Trainer) -> None:
        """Stop all processes together, though the signal may have reached only one of them."""
        self.interrupted = trainer.strategy.reduce_boolean_decision(self.signalled, all=False)

    def _check(self, trainer: pl.Trainer, pl_module: pl.LightningModule, weights: bool) -> None:
        since = int(self._bad_since)
        if weights and not since:
            finite = torch.stack([p.isfinite().all() for p in pl_module.parameters()])
            since = 0 if bool(finite.all()) else trainer.global_step
        if trainer.strategy.reduce_boolean_decision(bool(since), all=False):
            kept = f"; {self.path} keeps step {self._saved_step}" if self._saved_step else ""
            raise NonFiniteLossError(
                f"the loss is not a finite number at step {since or trainer.global_step}: try a "
                f"lower optimizer.learning_rate{kept}"
            )

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.signalled = True
        self._restore()  # a second Ctrl-C stops at once
        if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
            with suppress(OSError):  # not by `print`: the signal may have come while that writes
                begin = b"\n" if os.isatty(STDERR) else b""  # below the progress bar
                os.write(STDERR, begin + STOPPING_TEXT)

    def _restore(self) -> None:
        while self._handlers:
            signal.signal(*self._handlers.popitem())


def _ddp(accelerator: str) -> DDPStrategy:
    """Return Lightning's strategy, without sending buffers: VGG16's are the same everywhere."""
    known = inspect.signature(DistributedDataParallel).parameters
    sync = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    options: dict[str, Any] = {sync: False}
    return DDPStrategy(
        process_group_backend="gloo" if accelerator == "cpu" else None,
        gradient_as_bucket_view=True,
        **options,
    )


def _environments() -> list[SLURMEnvironment]:
    """Return SLURM's environment without requeueing, if Lightning would choose SLURM's.

    Requeueing would write a state into the working folder. Any later training there begins from it.
    """
    if TorchElasticEnvironment.detect() or not SLURMEnvironment.detect():
        return []
    return [SLURMEnvironment(auto_requeue=False)]


def bare_trainer(
    accelerator: str, devices: int | str | list[int], num_nodes: int, strategy: str, **more: Any
) -> pl.Trainer:
    """Return a Trainer that knows its hardware and the number of its process. It writes nothing.

    Args:
        accelerator: As for Lightning's ``Trainer``.
        devices: As for Lightning's ``Trainer``.
        num_nodes: The number of machines.
        strategy: One of ``STRATEGIES``. For several devices both are the same.
        more: Further options of Lightning's ``Trainer``.

    Raises:
        ValueError: Lightning has no such hardware, or the launcher's variables can't be used.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"trainer.strategy is {' or '.join(STRATEGIES)}, found {strategy!r}")
    hardware: dict[str, Any] = {
        "accelerator": accelerator,
        "devices": devices,
        "num_nodes": num_nodes,
        "logger": False,
        "enable_checkpointing": False,
        "enable_model_summary": False,
    }

    def build(strategy: str | DDPStrategy, **more: Any) -> pl.Trainer:
        plugins: list[Any] = [AtomicCheckpointIO(), *_environments()]
        return pl.Trainer(strategy=strategy, plugins=plugins, **hardware, **more)

    try:
        chosen: str | DDPStrategy = strategy
        if strategy == "ddp" or not isinstance(
            build("auto", enable_progress_bar=False).strategy, SingleDeviceStrategy
        ):
            chosen = _ddp(accelerator)
        trainer = build(chosen, **more)
    # SLURM's variables contradict each other, or a package for the accelerator is missing.
    except (RuntimeError, ImportError) as error:
        raise ValueError(str(error)) from error
    except KeyError as error:
        raise ValueError(f"the launcher of this process has not set {error}") from error
    rank_zero_only.rank = trainer.global_rank  # type: ignore[attr-defined]  # else the environment's
    return trainer


def _environment(trainer: pl.Trainer) -> ClusterEnvironment | None:
    """Return what tells several processes their places; none for a training of one device."""
    strategy = trainer.strategy
    return strategy.cluster_environment if isinstance(strategy, DDPStrategy) else None


def starts_processes(trainer: pl.Trainer) -> bool:
    """Whether Lightning starts further processes itself, since no launcher has started them."""
    environment = _environment(trainer)
    return environment is not None and not environment.creates_processes_externally


def let_processes_go(trainer: pl.Trainer, kill: bool = False) -> None:
    """Stop watching the processes that Lightning has started.

    Lightning kills this process some seconds after one of them fails. A person would then see no
    error message, and the exit code of a killed program. ``procs`` is where Lightning holds them.

    Args:
        trainer: Of this process.
        kill: End them first. They may be waiting for this process.
    """
    started: list[subprocess.Popen[bytes]] = getattr(trainer.strategy.launcher, "procs", [])
    for process in started if kill else ():
        process.kill()
    started.clear()


def check_launcher(trainer: pl.Trainer) -> None:
    """Check that a launcher has started as many processes as the training has devices.

    Raises:
        ValueError: There are more or fewer, or MASTER_PORT is not a number.
    """
    environment = _environment(trainer)
    if environment is not None:
        environment.validate_settings(trainer.num_devices, trainer.num_nodes)
        if "MASTER_PORT" in os.environ:
            environment.main_port  # noqa: B018, raises ValueError if it is no number
    elif TorchElasticEnvironment.detect():
        TorchElasticEnvironment().validate_settings(trainer.num_devices, trainer.num_nodes)
    if trainer.global_rank >= trainer.world_size:
        raise ValueError(
            f"this process would be number {trainer.global_rank} of {trainer.world_size}, counted "
            "from 0: give trainer.num_nodes=..., or unset NODE_RANK"
        )


def build_trainer(
    title: str,
    preview: Preview,
    last_checkpoint: LastCheckpoint,
    *,
    accelerator: str,
    devices: int | str | list[int],
    num_nodes: int,
    strategy: str,
    threads: int | str,
    precision: str,
    max_steps: int,
    validate_every_n_steps: int,
    log_every_n_steps: int,
) -> pl.Trainer:
    """Return a Trainer with all that a training needs but its log (``log_from``).

    The keywords are the keys of the trainer section.

    Args:
        title: What is trained, for the progress bar.
        preview: Shows pictures.
        last_checkpoint: Saves the state of the training.
        accelerator: As for ``bare_trainer``, with the three that follow.
        devices: See there.
        num_nodes: See there.
        strategy: See there.
        threads: As for ``Threads``.
        precision: One of Lightning's (``resolve_precision`` gives it).
        max_steps: The length of the training.
        validate_every_n_steps: How often to validate.
        log_every_n_steps: How often to write scalars.

    Raises:
        ValueError: A count outside 1 to ``MOST_STEPS``; or as ``bare_trainer``, ``check_launcher``.
    """
    _check_count("max_steps", max_steps)
    _check_count("num_nodes", num_nodes)
    _check_count("validate_every_n_steps", validate_every_n_steps)
    _check_count("log_every_n_steps", log_every_n_steps)
    _check_count("preview_every_n_steps", preview.every_n_steps)
    trainer = bare_trainer(
        accelerator,
        devices,
        num_nodes,
        strategy,
        precision=precision,
        max_steps=max_steps,
        val_check_interval=validate_every_n_steps,
        check_val_every_n_epoch=None,
        log_every_n_steps=log_every_n_steps,
        num_sanity_val_steps=0,
        callbacks=_callbacks(title, threads, log_every_n_steps, [preview, last_checkpoint]),
        # A file. In a folder Lightning would look for a state that SLURM's requeueing has left.
        default_root_dir=last_checkpoint.path,
        use_distributed_sampler=False,  # StepSampler shares out the photographs
    )
    check_launcher(trainer)
    return trainer


def _callbacks(
    title: str, threads: int | str, every_n_steps: int, writers: list[Callback]
) -> list[Callback]:
    """Return all callbacks, in the order in which they are called."""
    throughput = Throughput()
    bar = TrainingBar(title, throughput, line_every_n_steps=every_n_steps)
    first = [Threads(threads), throughput, bar, Duration(), Validations()]
    return [*first, *writers, Waiting(throughput)]


def _check_count(key: str, count: int) -> None:
    if not 1 <= count <= MOST_STEPS:
        bound = "least 1" if count < 1 else f"most {MOST_STEPS}"
        raise ValueError(f"trainer.{key} must be at {bound}, found {count}")


def log_from(trainer: pl.Trainer, folder: Path, done: int | None, ended: bool) -> None:
    """Let a trainer write into ``folder/tensorboard``.

    Args:
        trainer: As ``build_trainer`` makes it.
        folder: The run's folder.
        done: The number of steps done before this run; none for a new training. TensorBoard
            forgets what a killed run has written of later steps, so that each step stands once.
        ended: Whether an earlier run ended with that step, and has written all of it.
    """
    first = 0 if done is None else done + 1
    logger = StepLogger(folder / LOGS, purge_step=first)
    logger.steps_done = lambda: trainer.global_step
    logger.every_n_steps = trainer.log_every_n_steps  # type: ignore[attr-defined]
    logger.first_step = first if ended else 0
    trainer.logger = logger

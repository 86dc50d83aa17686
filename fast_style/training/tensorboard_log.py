"""The files of a training that TensorBoard reads. Their tags stand in tensorboard_tags.py.

A full disk does not end the training. The file that can't be written is named once, and nothing
more is written for TensorBoard.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BufferedWriter
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.core.saving import save_hparams_to_yaml
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import FileWriter, SummaryWriter

from fast_style.system.atomic import write_atomically
from fast_style.system.messages import printable, reason
from fast_style.training.tensorboard_tags import TRAIN, WORK

log = logging.getLogger(__name__)


class _Files:
    """A folder that is written into until something can't be written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.failed = False

    @contextmanager
    def attempt(self, path: Path) -> Iterator[None]:
        """Do the body. Log an error of the system's; it ends all writing."""
        try:
            yield
        except OSError as error:
            self.failed = True
            log.warning(
                "cannot write %s: %s; the training goes on without TensorBoard's files",
                path,
                reason(error),
            )


class _EventFile:
    """A file of events, each written at once.

    TensorBoard's own class writes in a thread, which prints a traceback if it fails, and stops.
    """

    def __init__(self, files: _Files) -> None:
        self.files = files
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}"
        self.path = _free(files.folder / name)
        self.file: BufferedWriter | None = None

    def get_logdir(self) -> str:
        """Return the folder."""
        return str(self.files.folder)

    def add_event(self, event: Event) -> None:
        """Write an event. The first one opens the file."""
        if self.files.failed:
            return
        with self.files.attempt(self.path):
            if self.file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.file = self.path.open("ab")
                if not self.file.tell():
                    self._write_event(Event(wall_time=time.time(), file_version="brain.Event:2"))
            self._write_event(event)
        if self.files.failed:
            self._let_go()

    def flush(self) -> None:
        """Do nothing: all is written already."""

    def close(self) -> None:
        """Close the file. A further event opens it again."""
        with self.files.attempt(self.path):
            if self.file is not None:
                self.file.close()
        self.file = None

    def _write_event(self, event: Event) -> None:
        assert self.file is not None
        RecordWriter(self.file).write(event.SerializeToString())
        self.file.flush()

    def _let_go(self) -> None:
        if self.file is not None:
            with suppress(OSError):  # closing tries again to write what is left
                self.file.close()
        self.file = None


class _Events(FileWriter):
    """PyTorch's writer of summaries, into an ``_EventFile``."""

    def __init__(self, files: _Files) -> None:
        self.event_writer = _EventFile(files)


class _Summaries(SummaryWriter):
    """PyTorch's writer of scalars and pictures, into one ``_EventFile``."""

    def __init__(self, files: _Files, purge_step: int) -> None:
        self.events = _Events(files)
        super().__init__(str(files.folder))
        start = SessionLog(status=SessionLog.START)
        self.events.add_event(Event(session_log=start), step=purge_step)

    def _get_file_writer(self) -> _Events:
        self.file_writer: Any = self.events
        self.all_writers: Any = {str(self.log_dir): self.events}
        return self.events


def _free(path: Path) -> Path:
    """Return ``path``, or the first ``path.NUMBER`` that does not exist."""
    number, free = 0, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free


class StepLogger(TensorBoardLogger):
    """Writes for TensorBoard, by the number of steps done, as checkpoints and pictures count.

    Lightning's own number is one less during the training. Its ``epoch`` means nothing here, since
    a training is one stretch of steps. Where a training stops, and at its end, Lightning would
    write the scalars of the last step that computed them once more. Each scalar is written once.

    Args:
        folder: Where the files go. It is made when the first file is written.
        purge_step: TensorBoard forgets what an earlier run has written there from this step on.
    """

    steps_done: Callable[[], int]
    every_n_steps: int
    first_step = 0  # the first step of which this run writes scalars

    def __init__(self, folder: Path, purge_step: int = 0) -> None:
        super().__init__(folder.parent, name=folder.name, version="", default_hp_metric=False)
        self.purge_step = purge_step
        self._files = _Files(folder)
        self._written: dict[str, int] = {}  # the last step of each scalar

    @property
    def log_dir(self) -> str:
        """The folder. Lightning's own property would expand ``$`` and ``~`` in its name."""
        return str(self._files.folder)

    @property
    @rank_zero_experiment
    def experiment(self) -> SummaryWriter:
        """The writer. It never raises an OSError."""
        if self._experiment is None:
            self._experiment = _Summaries(self._files, self.purge_step)
        return self._experiment

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write scalars."""
        steps = self.steps_done()
        if steps < self.first_step:
            return
        stale = () if steps % self.every_n_steps == 0 else (TRAIN, WORK)
        scalars = {
            name: value
            for name, value in metrics.items()
            if name != "epoch" and not name.startswith(stale) and self._written.get(name) != steps
        }
        self._written.update(dict.fromkeys(scalars, steps))
        super().log_metrics(scalars, steps)

    @rank_zero_only
    def save(self) -> None:
        """Write the hyperparameters into a file of their own, once."""
        path = Path(self.log_dir, self.NAME_HPARAMS_FILE)
        if self._files.failed or path.exists():
            return
        with self._files.attempt(path), write_atomically(path) as temporary:
            save_hparams_to_yaml(temporary, self.hparams)

    @staticmethod
    def _sanitize_params(params: dict[str, Any]) -> dict[str, Any]:
        """Return the hyperparameters as Unicode, as TensorBoard needs it; not every name is."""
        clean = TensorBoardLogger._sanitize_params(params)
        return {
            name: printable(value) if isinstance(value, str) else value
            for name, value in clean.items()
        }

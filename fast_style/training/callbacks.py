"""What a person sees of a training: pictures and speed in TensorBoard, and the progress bar."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ProgressBar
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor
from torchvision.utils import make_grid
from tqdm import tqdm

from fast_style.system.threads import FreeCores
from fast_style.training import tensorboard_tags as tags

log = logging.getLogger(__name__)

SHOW_EVERY_S = 0.5  # seconds after which the progress bar shows new losses
# How long the steps are measured before a person is told how long all will take. Many steps of a
# fast GPU, which runs behind the program; a few of a CPU.
MEASURE_S = 3.0
MEASURE_STEPS = 3
MOST_THREADS = 1024  # more is a slip
MINUTES_FROM_S, HOURS_FROM_S = 90, 90 * 60  # a duration in a larger unit says too little


def about(seconds: float) -> str:
    """Return a duration as people say it: ``about 6 minutes``."""
    if seconds < MINUTES_FROM_S:
        return f"about {max(1, round(seconds))} s"
    if seconds < HOURS_FROM_S:
        return f"about {round(seconds / 60)} minutes"
    return f"about {seconds / 3600:.2g} hours"


class Preview(Callback):
    """Shows held-back photographs beside their stylised versions, and the style picture once.

    Args:
        content: The photographs, ``(N, 3, H, W)`` in [0, 1].
        style: The painting, ``(1, 3, H, W)`` in [0, 1].
        every_n_steps: Steps between two previews. There is one after the last step, too.
    """

    def __init__(self, content: Tensor, style: Tensor, every_n_steps: int) -> None:
        self.content = content
        self.style = style
        self.every_n_steps = every_n_steps

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the painting."""
        self._add_image(trainer, tags.PAINTING, self.style[0])

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Stylise the photographs, if a preview is due."""
        step = trainer.global_step
        if trainer.is_global_zero and (step % self.every_n_steps == 0 or step == trainer.max_steps):
            self._add_image(trainer, tags.PREVIEW, self.grid(pl_module))

    def grid(self, module: pl.LightningModule) -> Tensor:
        """Return two pairs a row, photograph left and stylised right, ``(3, H', W')``."""
        with torch.no_grad():
            stylized = torch.cat(
                [module(x.to(module.device)) for x in torch.split(self.content, 1)]
            )
        pairs = torch.stack((self.content, stylized.clamp(0, 1).to(self.content)), dim=1)
        grid: Tensor = make_grid(pairs.flatten(0, 1), nrow=4, padding=4, pad_value=1.0)
        return grid

    @staticmethod
    def _add_image(trainer: pl.Trainer, tag: str, image: Tensor) -> None:
        if isinstance(trainer.logger, TensorBoardLogger):
            trainer.logger.experiment.add_image(tag, image, trainer.global_step)


class Throughput(Callback):
    """Measures photographs per second over all devices, and where a step's time goes.

    ``work/data_s`` is how long a step waits for its photographs, ``work/compute_s`` how long it
    computes. Previews and checkpoints count in ``work/images_per_s`` only. Validation does not
    count. A GPU computes while the program goes on: waiting for it may show in either.
    """

    def __init__(self) -> None:
        self.images_per_s = 0.0
        self.step_s = 0.0
        self._start_s = 0.0  # when the last step ended
        self._wait_s = 0.0  # when the waiting for a batch began
        self._compute_s = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._start_s = self._wait_s = time.perf_counter()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Tensor, batch_idx: int
    ) -> None:
        """Note when the batch came."""
        self._compute_s = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Tensor,
        batch_idx: int,
    ) -> None:
        """Take the time since the last batch, with the waiting for data."""
        now_s = time.perf_counter()
        step_s = now_s - self._start_s
        speed = len(batch) * trainer.world_size / step_s
        # About the mean of the last twenty steps: a single step varies with the machine's load.
        share = 0.05 if self.step_s else 1.0
        self.images_per_s += (speed - self.images_per_s) * share
        self.step_s += (step_s - self.step_s) * share
        data_s, compute_s = self._compute_s - self._wait_s, now_s - self._compute_s
        scalars = {
            tags.IMAGES_PER_S: self.images_per_s,
            tags.DATA_S: data_s,
            tags.COMPUTE_S: compute_s,
            tags.DATA_SHARE: data_s / (data_s + compute_s),
        }
        if pl_module.device.type == "cuda":
            scalars[tags.GPU_MEMORY_MB] = torch.cuda.max_memory_allocated() / 2**20
        if trainer.global_step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            pl_module.log_dict(scalars, rank_zero_only=True)
        self._start_s = self._wait_s = now_s

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave validation out of the time."""
        self._start_s = self._wait_s = time.perf_counter()

    def wait_for_data(self) -> None:
        """Note that from now on the program waits for the next batch."""
        self._wait_s = time.perf_counter()


class Duration(Callback):
    """Says, after the first few steps, how long the training will take."""

    def __init__(self) -> None:
        self._first_step = 0
        self._first_s = 0.0  # when the first step had ended, which is slower than the others
        self._is_said = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note where this run begins."""
        self._first_step = trainer.global_step + 1

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Tensor,
        batch_idx: int,
    ) -> None:
        """Say it, once, when enough is measured."""
        step = trainer.global_step
        if self._is_said or step >= trainer.max_steps or not trainer.is_global_zero:
            return
        now_s = time.perf_counter()
        if step == self._first_step:
            self._first_s = now_s
        elif step - self._first_step >= MEASURE_STEPS and now_s - self._first_s >= MEASURE_S:
            self._is_said = True
            step_s = (now_s - self._first_s) / (step - self._first_step)
            steps = trainer.max_steps - self._first_step + 1
            more = "more " if self._first_step > 1 else ""
            with tqdm.external_write_mode():
                log.info("%s: %d %ssteps at %.2g s", about(steps * step_s), steps, more, step_s)


class Validations(Callback):
    """Remembers the validation losses, also of the runs that this one goes on from."""

    def __init__(self) -> None:
        self.losses: list[tuple[int, float]] = []  # steps done, loss

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the loss."""
        earlier = [one for one in self.losses if one[0] < trainer.global_step]
        self.losses = [
            *earlier,
            (trainer.global_step, float(trainer.callback_metrics[tags.VAL_LOSS])),
        ]

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint holds of it."""
        return {"losses": [list(one) for one in self.losses]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what a checkpoint holds."""
        self.losses = [(int(step), float(loss)) for step, loss in state_dict["losses"]]


class Threads(Callback):
    """How many threads of the CPU compute; they are as before when the training ends.

    Args:
        count: ``auto`` (``FreeCores``), or a number.

    Raises:
        ValueError: Something else.
    """

    def __init__(self, count: int | str) -> None:
        is_count = type(count) is int and 1 <= count <= MOST_THREADS
        if count != "auto" and not is_count:
            raise ValueError(f"trainer.threads is auto or 1 to {MOST_THREADS}, found {count!r}")
        self.count = count
        self.before = torch.get_num_threads()
        self.cores: FreeCores | None = None
        self.is_told = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Set the number, or begin to look at the machine."""
        self.before = torch.get_num_threads()
        if isinstance(self.count, int):
            torch.set_num_threads(self.count)
        elif trainer.world_size == 1 and trainer.strategy.root_device.type == "cpu":
            self.cores = FreeCores()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Adapt the number to what other programs leave."""
        if self.cores is None or not self.cores.adapt() or self.is_told:
            return
        self.is_told = True  # once: other programs come and go
        with tqdm.external_write_mode():
            log.info(
                "threads:     %d of %d, as long as other programs use the machine",
                torch.get_num_threads(),
                self.cores.most,
            )

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Set the number that was before."""
        torch.set_num_threads(self.before)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Set the number that was before."""
        torch.set_num_threads(self.before)


class Waiting(Callback):
    """Tells ``throughput`` that a step is done. It is the last callback, so that all others are."""

    def __init__(self, throughput: Throughput) -> None:
        self.throughput = throughput

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Tensor,
        batch_idx: int,
    ) -> None:
        """Note that previews are made and checkpoints written."""
        self.throughput.wait_for_data()


class TrainingBar(ProgressBar):
    """A bar over all steps with losses, images/s and time left; lines where there is no terminal.

    The losses are those of the last step that computed scalars: every ``log_every_n_steps``.

    Args:
        title: What is trained.
        throughput: Where the speed is measured.
        line_every_n_steps: Steps between two lines, where the output is not a terminal.
    """

    def __init__(self, title: str, throughput: Throughput, line_every_n_steps: int) -> None:
        super().__init__()
        self.title = title
        self.throughput = throughput
        self.line_every_n_steps = line_every_n_steps
        self._bar: tqdm[Any] | None = None
        self._enabled = True
        self._shown_s = 0.0
        self._first_step = 0  # of this run; its line says early how long the run takes

    def disable(self) -> None:
        """Stay silent: Lightning asks every process but the first to."""
        self._enabled = False

    def enable(self) -> None:
        """Show progress."""
        self._enabled = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the bar, at the step from which the training starts."""
        self._first_step = trainer.global_step + 1
        self._bar = tqdm(
            desc=self.title,
            total=trainer.max_steps,
            initial=trainer.global_step,
            unit="step",
            dynamic_ncols=True,
            bar_format="{desc}: {n_fmt}/{total_fmt} |{bar}| {elapsed}<{remaining}{postfix}",
            disable=not (self._enabled and sys.stderr.isatty()),
        )

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Move the bar by a step, or log a line."""
        step = trainer.global_step
        assert self._bar is not None
        if not self._bar.disable:
            # Not at every step: to read a loss, the CPU waits for the GPU.
            if time.perf_counter() - self._shown_s > SHOW_EVERY_S or step == trainer.max_steps:
                self._bar.set_postfix_str(self._values(trainer), refresh=False)
                self._shown_s = time.perf_counter()
            self._bar.update(step - self._bar.n)
        elif self._enabled and (
            step % self.line_every_n_steps == 0 or step in (self._first_step, trainer.max_steps)
        ):
            left = tqdm.format_interval((trainer.max_steps - step) * self.throughput.step_s)
            log.info(
                "step %d/%d, %s, %s left", step, trainer.max_steps, self._values(trainer), left
            )

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Leave the bar where it stands."""
        self._close()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the finished bar on the screen."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _values(self, trainer: pl.Trainer) -> str:
        metrics = trainer.callback_metrics
        shown = {"loss": "loss", "content": "content_loss", "style": "style_loss"}
        losses = [f"{name} {float(metrics[tags.TRAIN + tag]):.4g}" for name, tag in shown.items()]
        return ", ".join([*losses, f"{self.throughput.images_per_s:.1f} images/s"])

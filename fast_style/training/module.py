"""StyleModule: a network and its loss as Lightning trains them, and the scalars that are logged."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from fast_style.images.picture import as_float
from fast_style.models.loss_terms import LossTerms
from fast_style.models.losses import PerceptualLoss
from fast_style.models.network import painted_inside
from fast_style.models.style_file import CKPT_KEY
from fast_style.painting.controls import grained
from fast_style.painting.options import GRAIN
from fast_style.training import tensorboard_tags as tags
from fast_style.training.muon import Muon
from fast_style.training.schedule import SCHEDULES

# By optimizer.method: from a network and a learning rate.
OPTIMIZERS: dict[str, Callable[[nn.Module, float], Optimizer]] = {
    "muon": Muon,
    "adam": lambda network, learning_rate: Adam(network.parameters(), lr=learning_rate),
}
SMALLEST_TOTAL = 1e-12  # keeps the logarithm of a perfect picture's loss finite
# By optimizer.objective: what is minimised, from the loss of each photograph, (N,).
OBJECTIVES: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda totals: totals.mean(),
    "mean_log": lambda totals: totals.clamp_min(SMALLEST_TOTAL).log().mean(),
}
# Deviation, levels of 255, below which a crop is plain, as an empty page is. On a plain crop each
# instance normalisation makes the gradient some 300 times larger. Twenty of them make it infinite.
PLAIN = 1.0
LENGTH_KEY = "schedule_steps"  # in a Lightning checkpoint
RECENCY = 3  # in the mean, the weights of step t count t**RECENCY


@torch.no_grad()
def take_into_mean(mean: nn.Module, network: nn.Module, count: int) -> None:
    """Add a network's weights to their mean over the steps. Later steps count for more.

    Args:
        mean: Its weights are those of the first ``count`` steps in the mean.
        network: Of the same kind, after one more step.
        count: Steps so far; at 0 the mean is the network.

    Source: Shamir & Zhang 2013, "Stochastic Gradient Descent for Non-smooth Optimization",
        arXiv:1212.1824, polynomial-decay averaging.
    """
    share = (RECENCY + 1) / (count + 1 + RECENCY)
    for old, new in zip(mean.parameters(), network.parameters(), strict=True):
        old.lerp_(new, share)


def is_plain(content: Tensor) -> Tensor:
    """Return which photographs of ``(N, 3, H, W)``, in [0, 1], are of one colour, ``(N,)``."""
    return (content.flatten(2).std(2) * 255 < PLAIN).all(1)


class _Shown(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, picture: Tensor) -> Tensor:
        ctx.save_for_backward(picture)
        return picture.clamp(0, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (picture,) = ctx.saved_tensors
        # A step goes against the gradient: further out where the two have opposite signs.
        outward = ((picture < 0) & (gradient > 0)) | ((picture > 1) & (gradient < 0))
        return gradient.masked_fill(outward, 0)


def as_shown(picture: Tensor) -> Tensor:
    """Return a picture, ``(N, 3, H, W)``, as it would be written: clamped to [0, 1].

    The gradient ignores the clamping, so that a value outside can come back. Only a gradient that
    would push it further out becomes 0.
    """
    shown: Tensor = _Shown.apply(picture)
    return shown


class StyleModule(pl.LightningModule):
    """Trains ``network`` to minimise ``loss`` on photographs.

    Args:
        network: ``(N, 3, H, W)`` in [0, 1] to the same shape.
        loss: Of the stylised picture and the photograph; holds the style.
        method: The optimiser, one of ``OPTIMIZERS``.
        objective: What it minimises, one of ``OBJECTIVES``. By ``mean`` the gradient is mostly
            that of the photographs with the largest losses; by ``mean_log`` each photograph's is
            divided by its loss, so that all have their say.
        schedule: One of ``SCHEDULES``. By ``one_cycle`` the learning rate falls to zero at the
            end. By ``averaged`` it stays, and the result is the mean of the weights
            (``take_into_mean``): so is what is validated and shown, and any step can be the last.
        learning_rate: The highest, of the weights that Adam trains.
        warmup: Share of the steps in which the learning rate rises to it.
        description: Plain data that describes the model; written into every checkpoint and,
            flattened, into TensorBoard's hyperparameters.

    Raises:
        ValueError: An unknown method, objective or schedule, a learning rate outside (0, 1],
            or a warm-up outside [0, 1).
    """

    def __init__(
        self,
        network: nn.Module,
        loss: PerceptualLoss,
        method: str,
        objective: str,
        schedule: str,
        learning_rate: float,
        warmup: float,
        description: dict[str, Any],
    ) -> None:
        super().__init__()
        choices: dict[str, tuple[str, dict[str, Any]]] = {
            "method": (method, OPTIMIZERS),
            "objective": (objective, OBJECTIVES),
            "schedule": (schedule, SCHEDULES),
        }
        for name, (found, known) in choices.items():
            if found not in known:
                raise ValueError(f"optimizer.{name} is {' or '.join(known)}, found {found!r}")
        if not 0 < learning_rate <= 1:  # a step moves weights by about as much: above 1 all is lost
            raise ValueError(
                f"optimizer.learning_rate must be above 0 and at most 1, found {learning_rate}"
            )
        if not 0 <= warmup < 1:
            raise ValueError(f"optimizer.warmup must be in [0, 1), found {warmup}")
        self.network = network
        self.average: nn.Module | None = None
        if schedule == "averaged":
            self.average = copy.deepcopy(network).requires_grad_(False)
        self.loss = loss
        self.method = method
        self.objective = objective
        self.schedule = schedule
        self.learning_rate = learning_rate
        self.warmup = warmup
        self.length: int | None = None  # of the schedule, in steps
        self.first_step = 0  # that this run begins after
        self.description = description
        self.save_hyperparameters(description)

    @property
    def trained(self) -> nn.Module:
        """The result so far: the network, or the mean of what it has been."""
        return self.network if self.average is None else self.average

    def forward(self, image: Tensor) -> Tensor:
        """Return photographs stylised by the result so far, ``(N, 3, H, W)``, not clamped.

        They are painted as they are written by default, but for the palette.
        """
        return painted_inside(self.trained, as_float(grained(image, GRAIN)))

    def training_step(self, content: Tensor, batch_idx: int) -> Tensor:
        """Return the objective of a batch of photographs, ``(N, 3, H, W)`` in [0, 1]."""
        seed = 1 + self.global_step  # the same in all processes: they train as one
        objective, stylized, terms = self.objective_of(content, seed)
        if self._is_written:  # fifty scalars take a GPU's program as long as half a network
            scalars = tags.of_stage(tags.TRAIN, terms.scalars())
            low, high = stylized.detach().aminmax()
            self.log_dict(self._mean_over_devices(scalars))
            self.log_dict({tags.OUTPUT_MIN: low, tags.OUTPUT_MAX: high})  # of this device
            self.log(tags.LEARNING_RATE, self.trainer.optimizers[0].param_groups[0]["lr"])
        return objective

    def objective_of(self, content: Tensor, seed: int = 0) -> tuple[Tensor, Tensor, LossTerms]:
        """Return what is minimised, of a batch of photographs.

        The loss is that of the pictures as they would be written: of a photograph with grain, with
        a margin that is cut off, and clamped (``as_shown``). Plain photographs count, but nothing
        is learned from them: they have no gradient.

        Args:
            content: ``(N, 3, H, W)`` in [0, 1].
            seed: Of the grain.

        Returns:
            The objective, the stylised pictures, ``(N, 3, H, W)``, not clamped, and their loss.
        """
        stylized = painted_inside(self.network, as_float(grained(content, GRAIN, seed)))
        terms: LossTerms = self.loss(as_shown(stylized), content)
        totals = torch.where(is_plain(content), terms.totals.detach(), terms.totals)
        return OBJECTIVES[self.objective](totals), stylized, terms

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Take a step, and add its weights to the mean."""
        super().optimizer_step(*args, **kwargs)
        if self.average is not None:
            take_into_mean(self.average, self.network, self.global_step)  # still without this one

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Log the length of the gradient over all weights."""
        if self._is_written:
            gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
            self.log(tags.GRADIENT_NORM, torch.nn.utils.get_total_norm(gradients))

    def on_train_start(self) -> None:
        """Remember where this run begins."""
        self.first_step = self.global_step

    @property
    def _is_written(self) -> bool:
        """Whether TensorBoard gets the scalars of this step, or the progress bar shows them."""
        step = self.global_step + 1
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        return step % every == 0 or step in (self.first_step + 1, self.trainer.max_steps)

    def _mean_over_devices(self, scalars: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the scalars as one batch over all devices would have them."""
        if self.trainer.world_size == 1:
            return scalars
        means = self.trainer.strategy.reduce(torch.stack(list(scalars.values())))
        return dict(zip(scalars, means, strict=True))

    def validation_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """Log the loss on held-back photographs, as a picture would be written: clamped."""
        (content,) = batch
        terms: LossTerms = self.loss(as_shown(self(content)), content)
        scalars = tags.of_stage(tags.VAL, terms.scalars())
        self.log_dict(scalars, batch_size=len(content), sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return the optimiser of the network and its schedule over the trainer's steps.

        Where the learning rate stays, a training that goes on with more steps keeps the length of
        its warm-up: it is over.
        """
        optimizer = OPTIMIZERS[self.method](self.network, self.learning_rate)
        if self.length is None or self.schedule == "one_cycle":
            self.length = self.trainer.max_steps
        length, share = self.length, SCHEDULES[self.schedule]
        scheduler = LambdaLR(optimizer, lambda step: share(step / length, self.warmup))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what ``models/style_file.py`` needs to use the checkpoint as a style model."""
        checkpoint[CKPT_KEY] = self.description | {"steps": self.global_step}
        checkpoint[LENGTH_KEY] = self.length

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over the length of the schedule, before there is an optimiser."""
        self.length = checkpoint.get(LENGTH_KEY)

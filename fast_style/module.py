"""StyleModule: a network and its loss as Lightning trains them: steps, optimiser, checkpoint."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import OneCycleLR

from fast_style.checkpoint import CKPT_KEY
from fast_style.losses import LossTerms, PerceptualLoss


class StyleModule(pl.LightningModule):
    """Trains ``network`` to minimise ``loss`` on photographs.

    Args:
        network: ``(N, 3, H, W)`` in [0, 1] to the same shape.
        loss: Of the stylised picture and the photograph; holds the style.
        learning_rate: The highest of the one-cycle schedule.
        warmup: Share of the steps in which the learning rate rises to it.
        description: Plain data that describes the model; written into every checkpoint and,
            flattened, into TensorBoard's hyperparameters.

    Raises:
        ValueError: A learning rate that is not positive, or a warm-up outside [0, 1).
    """

    def __init__(
        self,
        network: nn.Module,
        loss: PerceptualLoss,
        learning_rate: float,
        warmup: float,
        description: dict[str, Any],
    ) -> None:
        super().__init__()
        if not learning_rate > 0:
            raise ValueError(f"optimizer.learning_rate must be positive, found {learning_rate}")
        if not 0 <= warmup < 1:
            raise ValueError(f"optimizer.warmup must be in [0, 1), found {warmup}")
        self.network = network
        self.loss = loss
        self.learning_rate = learning_rate
        self.warmup = warmup
        self.description = description
        self.save_hyperparameters(description)

    def forward(self, image: Tensor) -> Tensor:
        """Return the stylised picture, ``(N, 3, H, W)``, not clamped."""
        stylized: Tensor = self.network(image)
        return stylized

    def training_step(self, content: Tensor, batch_idx: int) -> Tensor:
        """Return the loss of a batch of photographs, ``(N, 3, H, W)`` in [0, 1]."""
        stylized = self(content)
        terms: LossTerms = self.loss(stylized, content)
        scalars = {f"train/{name}": value for name, value in terms.scalars().items()}
        low, high = stylized.detach().aminmax()
        scalars |= {"train/output_min": low, "train/output_max": high}
        scalars["train/learning_rate"] = self.trainer.optimizers[0].param_groups[0]["lr"]
        self.log_dict(scalars)
        return terms.total

    def validation_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """Log the loss on held-back photographs, as a picture would be written: clamped."""
        (content,) = batch
        terms: LossTerms = self.loss(self(content).clamp(0, 1), content)
        scalars = {f"val/{name}": value for name, value in terms.scalars().items()}
        self.log_dict(scalars, batch_size=len(content), sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return Adam on the network and a one-cycle schedule over the trainer's steps."""
        optimizer = Adam(self.network.parameters(), lr=self.learning_rate)
        schedule = OneCycleLR(
            optimizer,
            max_lr=self.learning_rate,
            total_steps=self.trainer.max_steps,
            pct_start=self.warmup,
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what ``fast_style.checkpoint`` needs to use the checkpoint as a style model."""
        checkpoint[CKPT_KEY] = self.description | {"steps": self.global_step}

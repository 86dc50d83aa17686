"""The scalars and pictures of a training, as TensorBoard reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pytorch_lightning.loggers import TensorBoardLogger


class StepLogger(TensorBoardLogger):
    """TensorBoard by the number of steps done, as checkpoints and pictures count.

    Lightning's own number is one less while it trains, and its ``epoch`` means nothing here: a
    training is one stretch of steps. Where it is stopped, Lightning would write scalars once more:
    those of the last step that computed them.
    """

    steps_done: Callable[[], int]
    every_n_steps: int

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write scalars."""
        steps = self.steps_done()
        stale = () if steps % self.every_n_steps == 0 else ("train/", "perf/")
        scalars = {
            name: value
            for name, value in metrics.items()
            if name != "epoch" and not name.startswith(stale)
        }
        super().log_metrics(scalars, steps)

"""Style as the mean and the deviation of each of VGG16's channels: freer than a Gram matrix."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from fast_style.models.term import Seen, Term

SMALLEST_VARIANCE = 1e-6  # keeps the slope of the deviation of a dark channel finite


class Statistics(Term):
    """``|S(y) - S(s)|^2 / |S(s)|^2``, the mean over the layers.

    S is the mean and the deviation of each channel. A Gram matrix says also which channels occur
    together; by these numbers alone colours and density of strokes come over, and less of their
    shape.

    Source: Li, Wang, Liu & Hou 2017, "Demystifying Neural Style Transfer", arXiv:1701.01036,
        section 4.2; the statistics of Huang & Belongie 2017, arXiv:1703.06868.
    Departs: Relative to the painting's.
    """

    layers: ClassVar[tuple[str, ...]] = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")

    def __init__(self, painting: Seen) -> None:
        super().__init__(painting)
        for layer in self.layers:
            self.register_buffer(layer, mean_and_deviation(painting.features[layer]))

    def forward(self, painted: Seen, photograph: Seen) -> Tensor:
        """Return the error of each picture, ``(N,)``."""
        errors = []
        for layer in self.layers:
            wanted = self.get_buffer(layer)
            difference = mean_and_deviation(painted.features[layer]) - wanted
            errors.append(difference.square().sum(1) / wanted.square().sum(1))
        return torch.stack(errors).mean(0)


def mean_and_deviation(features: Tensor) -> Tensor:
    """Return the mean and the deviation of each channel, ``(N, 2 C)``, float32 or better."""
    exact = features.to(torch.promote_types(features.dtype, torch.float32))
    variance, mean = torch.var_mean(exact, (2, 3), correction=0)
    return torch.cat((mean, (variance + SMALLEST_VARIANCE).sqrt()), dim=1)

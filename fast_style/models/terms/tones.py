"""Light, dark and hues on the large scale are those of the painting."""

from __future__ import annotations

import torch
from torch import Tensor

from fast_style.images.color import statistics
from fast_style.models.palette import cell_means
from fast_style.models.term import Seen, Term

FAINT = (1 / 255) ** 2  # added to the painting's variance: one of a single colour divides by no 0


class Tones(Term):
    """How far the mean colours of 16 x 16 px are from the painting's, relative to their variance.

    Both are taken as normal distributions of RGB, with means m, n and covariances A, B. The error
    is their squared distance of optimal transport, over the painting's variance::

        (|m - n|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2)) / tr(B)

    So 0 has the painting's colours, and 1 has the right mean in one single colour. VGG16's
    features hardly see colours on this scale. What a network misses of them, the palette
    (``models/palette.py``) has to add to its pictures.

    Source: Dowson & Landau 1982, "The Frechet distance between multivariate normal distributions",
        for the distance.
    """

    def __init__(self, painting: Seen) -> None:
        super().__init__(painting)
        mean, root = statistics(cell_means(painting.image))
        self.register_buffer("mean", mean[:, 0].float())
        self.register_buffer("root", root.float())

    def forward(self, painted: Seen, photograph: Seen) -> Tensor:
        """Return the error of each picture, ``(N,)``."""
        image = painted.image
        cells = cell_means(image.to(torch.promote_types(image.dtype, torch.float32))).flatten(2)
        mean = cells.mean(2)  # (N, 3)
        spread = (cells - mean[..., None]) / cells.shape[2] ** 0.5  # (N, 3, cells)
        wanted_mean, wanted_root = self.get_buffer("mean"), self.get_buffer("root")
        variance, wanted_variance = spread.square().sum((1, 2)), wanted_root.square().sum()
        both = wanted_root @ spread  # its squared singular values are those of A^1/2 B A^1/2
        # Of what is no number there are no eigenvalues; the mean is none either, and tells it.
        squares = torch.linalg.eigvalsh((both @ both.mT).nan_to_num())
        common = squares.clamp_min(FAINT**2).sqrt().sum(1)
        distance = (mean - wanted_mean).square().sum(1) + variance + wanted_variance - 2 * common
        error: Tensor = distance / (wanted_variance + FAINT)
        return error

"""Edges stay where they are: the Laplacian of the photograph against that of the picture."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from fast_style.models.term import Seen, Term

# Of the mean squared Laplacian, for levels in [0, 1]: weaker edges than one level of 255 count as
# none, so that an empty page has a finite error.
FAINT = (1 / 255) ** 2


class Laplacian(Term):
    """``|D(y) - D(c)|^2 / |D(c)|^2``, the mean over the scales.

    D makes the picture grey, takes means of squares of 4 and of 16 px, and of these the Laplacian:
    the four neighbours less four times the middle. 0 keeps all edges, 1 has none.

    Source: Li, Xu, Nie & Liu 2017, "Laplacian-Steered Neural Style Transfer", arXiv:1707.01253.
    Departs: Relative to the photograph's edges; at its border a picture goes on as it ends.
    """

    scales: ClassVar[tuple[int, ...]] = (4, 16)  # px

    def forward(self, painted: Seen, photograph: Seen) -> Tensor:
        """Return the error of each picture, ``(N,)``."""
        errors = []
        for scale in self.scales:
            found, wanted = (laplacian(one.image, scale) for one in (painted, photograph))
            energy = wanted.square().mean((1, 2, 3)) + FAINT
            errors.append((found - wanted).square().mean((1, 2, 3)) / energy)
        return torch.stack(errors).mean(0)


def laplacian(image: Tensor, scale: int) -> Tensor:
    """Return the Laplacian of a picture's means, ``(N, 1, H / scale, W / scale)``, rounded up.

    Args:
        image: ``(N, 3, H, W)``, floating point.
        scale: Side of the squares that become one pixel, px.
    """
    grey = image.to(torch.promote_types(image.dtype, torch.float32)).mean(1, keepdim=True)
    means = F.avg_pool2d(grey, scale, ceil_mode=True)
    wide = F.pad(means, (1, 1, 1, 1), mode="replicate")
    across = wide[..., 1:-1, :-2] + wide[..., 1:-1, 2:]
    down = wide[..., :-2, 1:-1] + wide[..., 2:, 1:-1]
    return across + down - 4 * means

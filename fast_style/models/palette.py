"""Colours on the large scale: brought from a network's to its painting's.

VGG16's features see little of colour on the large scale. So the loss allows a network that uses
middling colours only. In pictures of the released networks, the mean colours of 16 x 16 px vary
0.62 (starry) to 0.95 (geometric) times as much as in the painting (docs/research/losses.md). A
``Palette`` is a map of mean colours that makes up for it.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fast_style.images.color import statistics
from fast_style.models.network import painted_inside

CELL = 16  # px, side of the squares that are averaged: larger than strokes, which stay as they are
# How far colours may be spread. Never below 1: a painting that is a single texture has no colours
# on the large scale, and all pictures would become flat. Not above 2.5: what an untrained network
# paints has hardly any colour to spread.
LEAST_GAIN, MOST_GAIN = 1.0, 2.5
ROWS = 16  # of cells at a time: a large picture is never held as floats in whole


class Palette(NamedTuple):
    """An affine map of mean colours, from a network's to its painting's, RGB in [0, 1]."""

    matrix: list[list[float]]  # 3 x 3
    offset: list[float]  # 3

    def shift(self, share: float) -> nn.Conv2d:
        """Return the 1 x 1 convolution that gives how far each mean colour in [0, 1] moves.

        Args:
            share: How far to go to the painting's colours, from 0 to 1, all the way.
        """
        # Made without random weights: drawing them would change the program's random numbers.
        unset = nn.Conv2d(3, 3, 1, device="meta", dtype=torch.float32)
        convolution = unset.to_empty(device="cpu").requires_grad_(False)
        weight, offset = (
            torch.tensor(one, dtype=torch.float32) for one in (self.matrix, self.offset)
        )
        weight = weight - torch.eye(3, dtype=torch.float32)
        convolution.weight.copy_(share * weight[..., None, None])
        assert convolution.bias is not None
        convolution.bias.copy_(share * offset)
        return convolution

    def shifted(self, levels: Tensor, share: float) -> Tensor:
        """Return a picture whose mean colours are moved; details stay.

        Args:
            levels: ``(1, 3, H, W)``, uint8, or float in [0, 1].
            share: As ``shift``'s.

        Returns:
            The shape, type and range of ``levels``.
        """
        white = 255 if levels.dtype == torch.uint8 else 1  # in the picture's own range
        parts = levels.split(ROWS * CELL, dim=-2)
        means = torch.cat([cell_means(_floats(part)) for part in parts], dim=-2) / white
        shifts = white * with_margin(self.shift(share).to(levels.device)(means))
        result = torch.empty_like(levels)
        for number, part in enumerate(parts):
            height, width = part.shape[-2:]
            cells = shifts[..., number * ROWS : number * ROWS + -(-height // CELL) + 2, :]
            colors = enlarged(cells)[..., CELL : CELL + height, CELL : CELL + width]
            colors.add_(part).clamp_(
                0, white
            )  # in place: of a large picture, memory traffic takes most of the time
            top = number * ROWS * CELL
            result[..., top : top + height, :] = colors.round_() if white == 255 else colors
        return result

    def header(self) -> dict[str, Any]:
        """Return plain data for a model file."""
        return {
            "matrix": [[round(value, 4) for value in row] for row in self.matrix],
            "offset": [round(value, 4) for value in self.offset],
        }


def palette_between(painted: Tensor, painting: Tensor) -> Palette:
    """Return the map from the mean colours of some pictures to those of another.

    It gives them the other's mean and covariance, within the limits on gains. Of all linear maps
    that do so it moves colours least, so hues stay where they can.

    Args:
        painted: ``(N, 3, H, W)`` in [0, 1].
        painting: ``(1, 3, H', W')`` in [0, 1].

    Source: Pitie & Kokaram 2007, "The linear Monge-Kantorovitch linear colour mapping for
        example-based colour transfer", there for all pixels.
    """
    mean, root = statistics(cell_means(painted))
    wanted_mean, wanted_root = statistics(cell_means(painting))
    inverse = torch.linalg.inv(root)
    matrix = inverse @ _root(root @ wanted_root @ wanted_root @ root) @ inverse  # symmetric
    gains, axes = torch.linalg.eigh((matrix + matrix.T) / 2)
    matrix = axes @ gains.clamp(LEAST_GAIN, MOST_GAIN).diag() @ axes.T
    offset = wanted_mean - matrix @ mean
    return Palette(matrix.tolist(), offset[:, 0].tolist())


@torch.no_grad()
def measure_palette(network: nn.Module, photographs: Tensor, painting: Tensor) -> Palette:
    """Return what brings the colours of a network's pictures to those of its painting.

    Args:
        network: Trained; it is left in eval mode.
        photographs: ``(N, 3, H, W)`` in [0, 1], that it was not trained on.
        painting: ``(1, 3, H', W')`` in [0, 1], at the size it was trained with.
    """
    network.eval()
    device = next(network.parameters()).device
    ones = photographs.split(1)
    # ``forward`` itself: a compiled network would be compiled again for these few pictures.
    painted = [painted_inside(network.forward, one.to(device)).clamp(0, 1).cpu() for one in ones]
    return palette_between(torch.cat(painted), painting.cpu())


def palette_from_header(found: Any) -> Palette:
    """Return the palette that ``Palette.header`` described.

    Raises:
        ValueError: It is not such a description.
    """
    try:
        matrix = [[float(value) for value in row] for row in found["matrix"]]
        offset = [float(value) for value in found["offset"]]
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise ValueError("its palette is no matrix and offset") from error
    values = [*offset, *(value for row in matrix for value in row)]
    fits = len(offset) == len(matrix) == 3 and all(len(row) == 3 for row in matrix)
    if not fits or not all(math.isfinite(value) and abs(value) <= 10 for value in values):
        raise ValueError("its palette is no 3 x 3 matrix and offset of small numbers")
    return Palette(matrix, offset)


def _floats(levels: Tensor) -> Tensor:
    return levels.to(torch.float32, memory_format=torch.contiguous_format)


def _root(matrix: Tensor) -> Tensor:
    """Return the symmetric root of a symmetric matrix that has no negative eigenvalue."""
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = vectors @ values.clamp_min(0).sqrt().diag() @ vectors.T
    return root


def cell_means(colors: Tensor) -> Tensor:
    """Return the mean colours of the cells; at the right and below they are filled by replication.

    Args:
        colors: ``(N, 3, H, W)``, float.

    Returns:
        ``(N, 3, H / CELL, W / CELL)``, rounded up.
    """
    height, width = colors.shape[-2:]
    whole = F.pad(colors, (0, -width % CELL, 0, -height % CELL), mode="replicate")
    return F.avg_pool2d(whole, CELL)


def with_margin(cells: Tensor) -> Tensor:
    """Return cells ``(N, 3, h, w)`` with the border repeated, ``(N, 3, h + 2, w + 2)``."""
    return F.pad(cells, (1, 1, 1, 1), mode="replicate")


def enlarged(cells: Tensor) -> Tensor:
    """Return cells ``(N, 3, h, w)`` enlarged ``CELL`` times each way, bilinearly."""
    return F.interpolate(cells, scale_factor=float(CELL), mode="bilinear")

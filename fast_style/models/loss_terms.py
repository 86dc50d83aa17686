"""The parts of the loss and their names: in TensorBoard, in ``evaluate`` and in ``optimize``.

A training puts ``train/`` or ``val/`` before them: fast_style/training/tensorboard_tags.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from fast_style.models.term import OWN_PARTS


class LossTerms(NamedTuple):
    """The loss of a batch and its parts, tensors of float32 or better, and the weights.

    ``totals``, ``(N,)``, has for each photograph the weighted sum of its content and style errors
    by layer, total variation, grid energy and further terms; ``total`` is their mean. The parts are
    scalars, unweighted means over the batch.
    """

    total: Tensor
    totals: Tensor
    content: dict[str, Tensor]
    style: dict[str, Tensor]
    total_variation: Tensor
    content_weights: dict[str, float]
    style_weights: dict[str, float]
    total_variation_weight: float
    grid: Tensor
    grid_weight: float
    further: Mapping[str, Tensor] = {}  # by name, the terms of ``loss.terms``
    further_weights: Mapping[str, float] = {}

    def scalars(self) -> dict[str, Tensor]:
        """Return what is worth logging, by its name, detached.

        - ``loss``: the total.
        - ``content_loss``, ``style_loss``, ``total_variation_loss``, ``grid_loss`` and, of each
          term of ``loss.terms``, ``NAME_loss``: the weighted parts, which add up to ``loss``.
        - ``content_error``, ``style_error``, ``total_variation``, ``grid``, ``NAME_error``: the
          same without weights.
        - ``content_loss/relu2_2``, ``style_error/relu4_3`` and so on: content and style by layer.
        """
        scalars = {"loss": self.total}
        nothing = torch.zeros_like(self.total)  # for a loss without content, or without style
        for part, errors, weights in (
            ("content", self.content, self.content_weights),
            ("style", self.style, self.style_weights),
        ):
            weighted = {layer: weights[layer] * error for layer, error in errors.items()}
            scalars[f"{part}_loss"] = sum(weighted.values(), nothing)
            scalars[f"{part}_error"] = sum(errors.values(), nothing)
            scalars |= {f"{part}_loss/{layer}": value for layer, value in weighted.items()}
            scalars |= {f"{part}_error/{layer}": value for layer, value in errors.items()}
        scalars["total_variation_loss"] = self.total_variation_weight * self.total_variation
        scalars["total_variation"] = self.total_variation
        scalars["grid_loss"] = self.grid_weight * self.grid
        scalars["grid"] = self.grid
        for name, error in self.further.items():
            scalars[f"{name}_loss"] = self.further_weights[name] * error
            scalars[f"{name}_error"] = error
        return {name: value.detach() for name, value in scalars.items()}


def further_terms(scalars: Iterable[str]) -> list[str]:
    """Return the names of the further terms, from the names that ``LossTerms.scalars`` gives."""
    ending = "_loss"
    parts = [name.removesuffix(ending) for name in scalars if name.endswith(ending)]
    return [part for part in parts if part not in OWN_PARTS]

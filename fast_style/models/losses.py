"""The perceptual loss: content, Gram matrices, total variation and their weighted sum.

All formulas are here; training, optimisation and evaluation call PerceptualLoss.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fast_style.models.loss_sums import self_product, squared_distance, sum_of_squares
from fast_style.models.loss_terms import LossTerms
from fast_style.models.term import Seen, Term, term_class
from fast_style.models.vgg import VGG16Features, canonical_layer
from fast_style.system.memory import check_memory
from fast_style.system.precision import exact_float32

Normalization = Literal["relative", "mean"]
NORMALIZATIONS: tuple[Normalization, ...] = ("relative", "mean")
GRID_CELL = 4  # px, a side of what two doublings make of one pixel
GRID_PATCH_CELLS = (
    15  # a side of the patches that are searched for a grid: it varies from place to place
)
STYLE_BYTES_PER_PIXEL = 550  # peak memory of a painting's Gram matrices: measured


def gram_matrix(features: Tensor) -> Tensor:
    """Return the Gram matrices ``F F^T / (C H W)`` of feature maps, at least in float32.

    Args:
        features: ``(N, C, H, W)``, floating point.

    Returns:
        ``(N, C, C)``, symmetric; float32, or float64 for float64 features.

    Raises:
        ValueError: ``features`` does not have four dimensions.

    Source: Gatys, Ecker & Bethge 2015, arXiv:1508.06576, with the normalisation of Johnson et al.
        2016, section 3.2.
    """
    if features.ndim != 4:
        raise ValueError(f"expected features (N, C, H, W), found {tuple(features.shape)}")
    n, c, h, w = features.shape
    # Positions first: a view of the channels-last features that VGG16Features returns.
    f = features.permute(0, 2, 3, 1).reshape(n, h * w, c)  # (N, HW, C)
    with torch.autocast(f.device.type, enabled=False), exact_float32(f.device):
        return self_product(f) / (c * h * w)  # (N, C, C)


def total_variation(image: Tensor) -> Tensor:
    """Return the anisotropic total variation: mean squared difference of neighbours, 0-255 units.

    The mean over all vertical neighbours plus the mean over all horizontal ones, so it depends
    neither on the size of the picture nor on the batch.

    Args:
        image: ``(N, 3, H, W)`` in [0, 1], H and W at least 2.

    Returns:
        A scalar, float32 or better; 0 for a flat picture, at most 2 * 255**2.

    Raises:
        ValueError: The image has another shape or a side of a single pixel.

    Source: Johnson et al. 2016, section 3.2; squared differences as in Mahendran & Vedaldi 2015,
        arXiv:1412.0035, with beta = 2.
    """
    if image.ndim != 4 or min(image.shape[-2:]) < 2:
        raise ValueError(f"expected (N, 3, H, W), H and W at least 2, found {tuple(image.shape)}")
    return _variations(image).mean()


def _variations(image: Tensor) -> Tensor:
    """Return the total variation of each picture, ``(N,)``."""
    x = image.to(torch.promote_types(image.dtype, torch.float32)) * 255
    vertical = (x[..., 1:, :] - x[..., :-1, :]).square().mean((1, 2, 3))
    horizontal = (x[..., 1:] - x[..., :-1]).square().mean((1, 2, 3))
    return vertical + horizontal


def grid_energy(image: Tensor) -> Tensor:
    """Return how much of a picture is a grid with a period of 4 or 2 px, in 0-255 units squared.

    Two doublings with a ReLU after each leave such a grid. The pixels that come from one pixel
    have different variances, so they have different means once negative values are cut off. A
    style loss that wants fine texture accepts the grid as texture.

    First each pixel loses the mean of the 4 x 4 px around it, which removes slopes and leaves the
    grid. Then each of the 16 places in a cell of 4 x 4 px is averaged over the cells of a patch.
    The result is the variance of these 16 means.

    Args:
        image: ``(N, 3, H, W)``, about [0, 1], H and W at least 7.

    Returns:
        A scalar, float32 or better: 0 for a plain or smooth picture. Paintings and photographs
        have 0.3 to 18, most below 5. Networks trained without it have 15 to 100, on every
        photograph.

    Raises:
        ValueError: The image has another shape or is too small.

    Source: Ours. Odena et al. 2016, "Deconvolution and Checkerboard Artifacts", on such grids.
    """
    if image.ndim != 4 or min(image.shape[-2:]) < GRID_CELL + 3:
        raise ValueError(f"expected (N, 3, H, W), H and W at least 7, found {tuple(image.shape)}")
    return _grid_energies(image).mean()


def _grid_energies(image: Tensor) -> Tensor:
    """Return the grid energy of each picture, ``(N,)``."""
    x = image.to(torch.promote_types(image.dtype, torch.float32)) * 255
    x = x[..., 3:, 3:] - F.avg_pool2d(x, GRID_CELL, stride=1)
    n, c, h, w = x.shape
    cells = min(GRID_PATCH_CELLS, h // GRID_CELL, w // GRID_CELL)
    side = cells * GRID_CELL
    rows, columns = h // side, w // side
    x = x[..., : rows * side, : columns * side]
    x = x.reshape(n, c, rows, cells, GRID_CELL, columns, cells, GRID_CELL)
    means = x.mean((3, 6))  # (N, C, rows, 4, columns, 4)
    return means.var((3, 5), correction=0).mean((1, 2, 3))


class PerceptualLoss(nn.Module):
    """Content, style and total-variation loss of a stylised picture, on VGG16's features.

    With ``normalization="mean"`` the classical errors: content is the mean squared difference of
    features, style the mean squared difference of Gram matrices. With ``"relative"`` each is
    divided by the energy of its target, so 0 is perfect, 1 as wrong as an empty picture::

        content  |F(y) - F(c)|^2 / |F(c)|^2      style  |G(y) - G(s)|^2 / |G(s)|^2

    per photograph and layer, averaged over the batch; a weight then means the same at every
    layer, for every painting and with any VGG weights.

    Args:
        style: The painting, ``(1, 3, H, W)``, float in [0, 1], or several; their Gram matrices
            are kept.
        content_layers: Names of the content taps; may be none.
        style_layers: Names of the style taps; may be none.
        content_layer_weights: One for each of ``content_layers``.
        style_layer_weights: One for each of ``style_layers``.
        content_weight: Multiplies all content terms.
        style_weight: Multiplies all style terms.
        total_variation_weight: Multiplies ``total_variation``.
        grid_weight: Multiplies ``grid_energy``; 0 leaves it out.
        normalization: ``relative`` or ``mean``.
        vgg_weights: As ``VGG16Features``'s ``weights``.
        dtype: In which VGG16 runs; Gram matrices and sums are float32 or better.
        style_shares: Of each of several paintings. The target is the mean of their Gram matrices
            by these shares (``relative``: divided by each one's energy), which has the same
            minimum as the sum of their errors by these shares.
        terms: Further terms, a file each in ``models/terms``, and their weights. One of weight 0 is
            measured, and no more.

    Raises:
        ValueError: No layer at all, an unknown one, one named twice, not one weight per layer, a
            weight that is negative or not finite, an unknown normalisation or term, a style picture
            of another shape, too small, or (``TooLittleMemoryError``) too large.
        VGGWeightsError: As ``VGG16Features``.

    Source: Gatys et al. 2015, arXiv:1508.06576; Johnson et al. 2016, arXiv:1603.08155.
    Departs: ``relative`` is ours; ``mean`` divides the style term by C^2 twice over (in the Gram
        matrix and in the mean), as all published weights assume.
    """

    def __init__(
        self,
        style: Tensor | Sequence[Tensor],
        content_layers: Sequence[str],
        style_layers: Sequence[str],
        content_layer_weights: Sequence[float],
        style_layer_weights: Sequence[float],
        content_weight: float = 1.0,
        style_weight: float = 1.0,
        total_variation_weight: float = 0.0,
        grid_weight: float = 0.0,
        normalization: str = "relative",
        vgg_weights: str = "bundled",
        dtype: torch.dtype = torch.float32,
        style_shares: Sequence[float] = (1.0,),
        terms: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        if normalization not in NORMALIZATIONS:
            raise ValueError(
                f"loss.normalization is one of {', '.join(NORMALIZATIONS)}, found {normalization!r}"
            )
        self.content_weights = _layer_weights(
            "content", content_layers, content_layer_weights, content_weight
        )
        self.style_weights = _layer_weights(
            "style", style_layers, style_layer_weights, style_weight
        )
        if not self.content_weights and not self.style_weights:
            raise ValueError("the loss needs at least one content or style layer, found none")
        self.total_variation_weight = _weight("total_variation_weight", total_variation_weight)
        self.grid_weight = _weight("grid_weight", grid_weight)
        self.normalization = normalization
        further = dict(terms or {})
        designs = {name: term_class(name) for name in further}
        self.term_weights = {name: _weight(f"terms.{name}", further[name]) for name in further}
        self.term_layers = _layers_of(designs.values())
        layers = {*self.content_weights, *self.style_weights, *self.term_layers}
        self.vgg = VGG16Features(layers, vgg_weights, dtype)
        styles = [style] if isinstance(style, Tensor) else list(style)
        self.style_shares = _checked_shares(style_shares, len(styles))
        self.terms = nn.ModuleDict({name: nn.ModuleList() for name in designs})
        self._look_at(styles, designs)

    @torch.no_grad()
    def _look_at(self, styles: list[Tensor], designs: Mapping[str, type[Term]]) -> None:
        """Keep of the paintings their Gram matrices, and a term for each of them and each name."""
        grams: dict[str, list[Tensor]] = {layer: [] for layer in self.style_weights}
        layers = {*self.style_weights, *self.term_layers}
        for style in styles:
            if style.ndim != 4 or style.shape[0] != 1:
                raise ValueError(f"expected one style (1, 3, H, W), found {tuple(style.shape)}")
            features = self._features_of_painting(style, layers) if layers else {}
            for layer, found in grams.items():
                found.append(gram_matrix(features[layer]))
            for name, design in designs.items():
                self._terms_of(name).append(design(Seen(style, features)))
        for layer, found in grams.items():
            gram = self._mean_gram(found, self.style_shares)
            if not gram.any():
                raise ValueError(f"the style picture leaves {layer} without any activation")
            self.register_buffer(f"style_gram_{layer}", gram, persistent=False)

    def _features_of_painting(self, style: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        pixels = style.shape[-2] * style.shape[-1]
        check_memory(
            f"a painting of {pixels / 1e6:.1f} megapixels",
            STYLE_BYTES_PER_PIXEL * pixels,
            style.device,
            "take it smaller: style.size, --style-scale",
        )
        return self.vgg(style, layers)  # type: ignore[no-any-return]

    def _terms_of(self, name: str) -> nn.ModuleList:
        """Return the terms of a name, one for each painting."""
        found = self.terms[name]
        assert isinstance(found, nn.ModuleList)
        return found

    def _mean_gram(self, grams: list[Tensor], shares: Sequence[float]) -> Tensor:
        """Return the Gram matrix with the least sum of errors to several, by their shares."""
        weights = list(shares)
        if self.normalization == "relative" and len(grams) > 1:
            energies = [max(float(gram.square().sum()), 1e-30) for gram in grams]
            weights = [share / energy for share, energy in zip(shares, energies, strict=True)]
        total = sum(weights)
        parts = [gram * (weight / total) for gram, weight in zip(grams, weights, strict=True)]
        return torch.stack(parts).sum(0)

    @torch.no_grad()
    def content_targets(self, content: Tensor) -> Seen:
        """Return what a picture of these photographs is compared with.

        Args:
            content: ``(N, 3, H, W)``, floating point, in [0, 1].

        Raises:
            ValueError: As ``VGG16Features.forward``.
        """
        layers = {*self.content_weights, *self.term_layers}
        return Seen(content, self.vgg(content, layers) if layers else {})

    def forward(self, stylized: Tensor, content: Tensor) -> LossTerms:
        """Return the loss of ``stylized`` as a picture of ``content`` in the style.

        Args:
            stylized: ``(N, 3, H, W)``, floating point, about [0, 1]; gradients flow into it.
            content: ``(N, 3, H, W)``, floating point, in [0, 1]; no gradient flows into it.

        Raises:
            ValueError: The two differ in shape, or as ``VGG16Features.forward``.
        """
        if stylized.shape != content.shape:
            found = f"{tuple(stylized.shape)} and {tuple(content.shape)}"
            raise ValueError(f"stylized and content must have the same shape, found {found}")
        return self.compare(stylized, self.content_targets(content))

    def compare(self, stylized: Tensor, targets: Seen) -> LossTerms:
        """Return the loss as ``forward`` does, for targets computed once.

        Args:
            stylized: ``(N, 3, H, W)``, floating point, about [0, 1]; gradients flow into it.
            targets: What ``content_targets`` gave for pictures of that shape.

        Raises:
            ValueError: As ``VGG16Features.forward``.
        """
        features = self.vgg(stylized)
        with torch.autocast(stylized.device.type, enabled=False):
            content_errors = {
                layer: self._error(features[layer], targets.features[layer])
                for layer in self.content_weights
            }
            style_errors = {
                layer: self._error(gram_matrix(features[layer]), self.style_gram(layer))
                for layer in self.style_weights
            }
            variation = _variations(stylized)
            totals = self.total_variation_weight * variation
            grid = self._grid(stylized)
            totals = totals + self.grid_weight * grid
            for layer, error in content_errors.items():
                totals = totals + self.content_weights[layer] * error
            for layer, error in style_errors.items():
                totals = totals + self.style_weights[layer] * error
            further = self._further(Seen(stylized, features), targets)
            for name, error in further.items():
                if self.term_weights[name]:
                    totals = totals + self.term_weights[name] * error
        return LossTerms(
            total=totals.mean(),
            totals=totals,
            content={layer: error.mean() for layer, error in content_errors.items()},
            style={layer: error.mean() for layer, error in style_errors.items()},
            total_variation=variation.mean(),
            content_weights=self.content_weights,
            style_weights=self.style_weights,
            total_variation_weight=self.total_variation_weight,
            grid=grid.mean(),
            grid_weight=self.grid_weight,
            further={name: error.mean() for name, error in further.items()},
            further_weights=self.term_weights,
        )

    def _further(self, stylized: Seen, targets: Seen) -> dict[str, Tensor]:
        """Return the errors of the further terms, ``(N,)`` each: their means over the paintings."""
        whole, found = sum(self.style_shares), {}
        for name, weight in self.term_weights.items():
            with nullcontext() if weight else torch.no_grad():
                parts = [
                    share / whole * term(stylized, targets)
                    for share, term in zip(self.style_shares, self._terms_of(name), strict=True)
                ]
            found[name] = torch.stack(parts).sum(0)
        return found

    def _grid(self, stylized: Tensor) -> Tensor:
        """Return the grid energies, ``(N,)``, without a gradient where they do not count."""
        if min(stylized.shape[-2:]) < GRID_CELL + 3:  # too small for a grid
            return stylized.new_zeros(len(stylized))
        with nullcontext() if self.grid_weight else torch.no_grad():
            return _grid_energies(stylized)

    def style_gram(self, layer: str) -> Tensor:
        """Return the painting's Gram matrix at ``layer``, ``(1, C, C)``."""
        return self.get_buffer(f"style_gram_{layer}")

    def _error(self, found: Tensor, target: Tensor) -> Tensor:
        """Return the squared error of each photograph, ``(N,)``, by the chosen normalisation."""
        squares = squared_distance(found, target)
        if self.normalization == "mean":
            return squares / found[0].numel()
        energy = sum_of_squares(target.to(squares.dtype))
        # A photograph may leave a deep layer without activations: then nothing is divided by zero.
        smallest = torch.finfo(torch.float32).tiny
        return squares / energy.clamp_min(smallest)


def _weight(name: str, value: float) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < 0:
        raise ValueError(f"loss.{name} must be a number of 0 or more, found {value}")
    return float(value)


def _layer_weights(
    part: str, layers: Sequence[str], layer_weights: Sequence[float], factor: float
) -> dict[str, float]:
    factor = _weight(f"{part}_weight", factor)
    for key, found in ((f"{part}_layers", layers), (f"{part}_layer_weights", layer_weights)):
        if isinstance(found, str) or not isinstance(found, Sequence):
            raise ValueError(f"loss.{key} must be a list, found {found!r}")
    names = [canonical_layer(name) for name in layers]
    if len(layers) != len(layer_weights):
        raise ValueError(
            f"loss.{part}_layers names {len(layers)} layers, but loss.{part}_layer_weights has "
            f"{len(layer_weights)} weights: give one for each layer"
        )
    weights: dict[str, float] = {}
    for layer, value in zip(names, layer_weights, strict=True):
        if layer in weights:
            raise ValueError(f"loss.{part}_layers names {layer} twice")
        weights[layer] = factor * _weight(f"{part}_layer_weights", value)
    return weights


def _checked_shares(shares: Sequence[float], styles: int) -> list[float]:
    if len(shares) != styles:
        raise ValueError(f"{styles} styles need as many shares, found {len(shares)}")
    checked = [_weight("style_shares", share) for share in shares]
    if not sum(checked) > 0:
        raise ValueError(f"the shares of the styles must not all be 0, found {checked}")
    return checked


def _layers_of(designs: Iterable[type[Term]]) -> set[str]:
    """Return the layers that terms look at."""
    return {canonical_layer(layer) for design in designs for layer in design.layers}

"""Further terms of the loss: each against a plain calculation, and what all have to keep to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fast_style.models import terms
from fast_style.models.loss_terms import further_terms
from fast_style.models.losses import PerceptualLoss
from fast_style.models.term import Seen, Term, term_class, term_names
from fast_style.models.terms.laplacian import FAINT, Laplacian, laplacian
from fast_style.models.terms.statistics import Statistics
from fast_style.models.terms.tones import Tones


def image(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def loss(**changes: Any) -> PerceptualLoss:
    arguments: dict[str, Any] = {
        "style": image(1, 3, 40, 48, seed=9),
        "content_layers": ["relu2_2"],
        "style_layers": ["relu1_2"],
        "content_layer_weights": [1.0],
        "style_layer_weights": [1.0],
    }
    return PerceptualLoss(**(arguments | changes))


PAINTED, PHOTOGRAPH = image(2, 3, 36, 40, seed=1), image(2, 3, 36, 40, seed=2)


# All terms


@pytest.mark.parametrize("name", term_names())
def test_a_term_adds_its_weighted_error(name: str) -> None:
    found = loss(terms={name: 0.5})(PAINTED, PHOTOGRAPH)
    without = loss()(PAINTED, PHOTOGRAPH)
    error = found.further[name]
    assert float(error) > 0
    torch.testing.assert_close(found.total, without.total + 0.5 * error)
    torch.testing.assert_close(found.total, found.totals.mean())
    scalars = found.scalars()
    torch.testing.assert_close(scalars[f"{name}_loss"], 0.5 * error.detach())
    torch.testing.assert_close(scalars[f"{name}_error"], error.detach())
    assert further_terms(scalars) == [name]


@pytest.mark.parametrize("name", term_names())
def test_each_picture_of_a_batch_has_its_own_error(name: str) -> None:
    perceptual = loss(terms={name: 1.0})
    whole = perceptual(PAINTED, PHOTOGRAPH).totals
    alone = [perceptual(PAINTED[i : i + 1], PHOTOGRAPH[i : i + 1]).total for i in range(2)]
    torch.testing.assert_close(whole, torch.stack(alone))


@pytest.mark.parametrize("name", term_names())
@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_gradient_reaches_the_picture_where_the_term_counts(name: str, weight: float) -> None:
    painted, photograph = PAINTED.clone().requires_grad_(), PHOTOGRAPH.clone().requires_grad_()
    nothing = {"content_weight": 0.0, "style_weight": 0.0}
    found = loss(**nothing, terms={name: weight})(painted, photograph)
    assert found.further[name] > 0  # measured all the same
    (gradient,) = torch.autograd.grad(found.total, painted)
    assert bool(gradient.any()) == bool(weight)
    assert torch.isfinite(gradient).all()
    assert photograph.grad is None


@pytest.mark.parametrize("name", term_names())
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_an_empty_page_has_a_finite_error_and_gradient(name: str, level: float) -> None:
    page = torch.full((1, 3, 32, 32), level)
    painted = image(1, 3, 32, 32).requires_grad_()
    for one in (painted, page.clone().requires_grad_()):
        found = loss(terms={name: 1.0})(one, page)
        (gradient,) = torch.autograd.grad(found.total, one)
        assert torch.isfinite(found.total)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", term_names())
@pytest.mark.parametrize("size", [(32, 32), (33, 71), (20, 15)])
def test_any_size_will_do(name: str, size: tuple[int, int]) -> None:
    found = loss(terms={name: 1.0})(image(1, 3, *size, seed=1), image(1, 3, *size, seed=2))
    assert torch.isfinite(found.total)


@pytest.mark.parametrize("name", term_names())
def test_in_bfloat16_it_is_about_the_same_and_float32(name: str) -> None:
    exact, rough = (
        loss(terms={name: 1.0}, dtype=dtype)(PAINTED, PHOTOGRAPH).further[name]
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, rtol=0.02, atol=0)


@pytest.mark.parametrize("name", term_names())
def test_of_several_paintings_it_is_the_mean_by_their_shares(name: str) -> None:
    first, second = image(1, 3, 40, 48, seed=9), image(1, 3, 36, 50, seed=10) ** 3
    mixed = loss(style=[first, second], style_shares=[3, 1], terms={name: 1.0})
    one, two = (
        loss(style=style, terms={name: 1.0})(PAINTED, PHOTOGRAPH).further[name]
        for style in (first, second)
    )
    found = mixed(PAINTED, PHOTOGRAPH).further[name]
    torch.testing.assert_close(found, 0.75 * one + 0.25 * two)


def test_no_term_is_in_a_checkpoint() -> None:
    perceptual = loss(terms=dict.fromkeys(term_names(), 1.0))
    assert perceptual.state_dict() == {}
    assert list(perceptual.parameters()) == []


def test_targets_computed_once_give_the_same_loss() -> None:
    perceptual = loss(terms=dict.fromkeys(term_names(), 1.0))
    expected = perceptual(PAINTED, PHOTOGRAPH).total
    targets = perceptual.content_targets(PHOTOGRAPH)
    assert torch.equal(perceptual.compare(PAINTED, targets).total, expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"laplacien": 1.0}, "'laplacien'; did you mean laplacian.*laplacian, statistics"),
        ({"unheard": 1.0}, "'unheard'; choose laplacian, statistics, tones"),
        ({"laplacian": -1.0}, r"terms\.laplacian .* found -1"),
        ({"laplacian": "much"}, r"terms\.laplacian .* found much"),
    ],
)
def test_terms_that_cannot_be(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loss(terms=given)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder in which terms are looked for, too."""
    monkeypatch.setattr(terms, "__path__", [*terms.__path__, str(tmp_path)])
    return tmp_path


def test_a_term_has_no_name_of_a_part_that_is_there(folder: Path) -> None:
    (folder / "grid.py").write_text("")
    with pytest.raises(ValueError, match="'grid'"):
        term_class("grid")


def test_a_term_gets_the_layers_it_asks_for_in_either_spelling() -> None:
    seen: list[Seen] = []

    class Curious(Term):
        layers = ("relu1_1", "relu3_1")

        def forward(self, painted: Seen, photograph: Seen) -> Tensor:
            seen.extend((painted, photograph))
            return painted.image.mean((1, 2, 3))

    perceptual = loss()
    layers = ("relu1_1", "relu1_2", "relu2_2", "relu3_1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fast_style.models.losses.term_class", lambda name: Curious)
        perceptual = loss(terms={"curious": 1.0})
    assert perceptual.vgg.layers == layers
    perceptual(PAINTED, PHOTOGRAPH)
    for one, picture in zip(seen, (PAINTED, PHOTOGRAPH), strict=True):
        assert torch.equal(one.image, picture)
        for layer in Curious.layers:
            assert torch.equal(one.features[layer], perceptual.vgg(picture)[layer])


# The Laplacian


def naive_laplacian(picture: np.ndarray[Any, Any], scale: int) -> np.ndarray[Any, Any]:
    """Return the Laplacian of ``(3, H, W)`` by its definition, pixel by pixel."""
    grey = picture.mean(0)
    height, width = (-(-side // scale) for side in grey.shape)
    means = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            means[y, x] = grey[y * scale : (y + 1) * scale, x * scale : (x + 1) * scale].mean()
    result = np.zeros_like(means)
    for y in range(height):
        for x in range(width):
            for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                at = min(max(y + down, 0), height - 1), min(max(x + right, 0), width - 1)
                result[y, x] += means[at] - means[y, x]
    return result


@pytest.mark.parametrize("scale", [1, 4, 16])
def test_the_laplacian_is_that_of_its_definition(scale: int) -> None:
    expected = naive_laplacian(PAINTED[0].double().numpy(), scale)
    found = laplacian(PAINTED[:1].double(), scale)[0, 0]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_the_error_of_edges_is_that_of_its_definition() -> None:
    expected = []
    for scale in Laplacian.scales:
        found = naive_laplacian(PAINTED[0].double().numpy(), scale)
        wanted = naive_laplacian(PHOTOGRAPH[0].double().numpy(), scale)
        expected.append(((found - wanted) ** 2).mean() / ((wanted**2).mean() + FAINT))
    error = loss(terms={"laplacian": 1.0})(PAINTED[:1], PHOTOGRAPH[:1]).further["laplacian"]
    assert float(error) == pytest.approx(np.mean(expected), rel=1e-5)


def test_edges_that_stay_are_no_error_and_those_that_go_a_whole_one() -> None:
    perceptual = loss(terms={"laplacian": 1.0})
    steep = (torch.arange(64) % 16 < 8).float().expand(1, 3, 64, 64)
    darker = steep * 0.999
    assert float(perceptual(steep, steep).further["laplacian"]) == 0
    assert float(perceptual(darker, steep).further["laplacian"]) < 1e-5
    flat = torch.full_like(steep, 0.5)
    board = (steep + steep.mT) / 2 + torch.linspace(0, 1, 64).square()  # at both scales
    assert float(perceptual(flat, board).further["laplacian"]) == pytest.approx(1, abs=0.01)


# The statistics


def test_the_error_of_statistics_is_that_of_its_definition() -> None:
    perceptual = loss(terms={"statistics": 1.0}, dtype=torch.float64)
    painting = image(1, 3, 40, 48, seed=9)
    errors = []
    for layer in Statistics.layers:
        numbers = []
        for picture in (PAINTED[:1], painting):
            channels = perceptual.vgg(picture)[layer][0].numpy()
            numbers.append(
                np.array([one.mean() for one in channels] + [one.std() for one in channels])
            )
        found, wanted = numbers
        errors.append(((found - wanted) ** 2).sum() / (wanted**2).sum())
    error = perceptual(PAINTED[:1], PHOTOGRAPH[:1]).further["statistics"]
    assert float(error) == pytest.approx(np.mean(errors), rel=1e-4)


def test_the_painting_itself_has_its_statistics() -> None:
    painting = image(1, 3, 40, 48, seed=9)
    found = loss(terms={"statistics": 1.0})(painting, painting).further["statistics"]
    assert float(found) == pytest.approx(0, abs=1e-8)
    turned = loss(terms={"statistics": 1.0})(painting.flip(-1), painting).further["statistics"]
    assert float(turned) < 0.05  # where things are does not count, but to the filters


# Tones


def test_the_error_of_tones_is_that_of_its_definition() -> None:
    """Roots of matrices by their eigenvalues."""

    def root(matrix: Any) -> Any:
        values, vectors = np.linalg.eigh(matrix)
        return vectors @ np.diag(np.sqrt(values.clip(0))) @ vectors.T

    painting = image(1, 3, 64, 96, seed=9)
    found, wanted = (
        one.double().numpy()[0].reshape(3, 4, 16, 6, 16).mean((2, 4)).reshape(3, -1)
        for one in (image(1, 3, 64, 96, seed=5) * 0.5, painting)
    )
    covariances = [np.cov(one, bias=True) for one in (found, wanted)]
    half = root(covariances[1])
    distance = (found.mean(1) - wanted.mean(1)) @ (found.mean(1) - wanted.mean(1))
    distance += np.trace(sum(covariances) - 2 * root(half @ covariances[0] @ half))
    expected = distance / np.trace(covariances[1])
    term = Tones(Seen(painting, {}))
    darker = Seen(image(1, 3, 64, 96, seed=5) * 0.5, {})
    assert float(term(darker, darker)) == pytest.approx(expected, rel=0.02)


def test_the_painting_has_its_tones_wherever_they_are() -> None:
    painting = image(1, 3, 4, 6, seed=9).repeat_interleave(16, 2).repeat_interleave(16, 3)
    term = Tones(Seen(painting, {}))
    for picture, expected in (
        (painting, 0),
        (painting.flip(2, 3), 0),
        (painting.mean((2, 3), keepdim=True).expand_as(painting).contiguous(), 1),
    ):
        seen = Seen(picture, {})
        assert float(term(seen, seen)) == pytest.approx(expected, abs=1e-3)

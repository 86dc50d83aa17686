from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fast_style.cli.loss_options import load_preset
from fast_style.models.losses import (
    NORMALIZATIONS,
    PerceptualLoss,
    gram_matrix,
    grid_energy,
    total_variation,
)
from fast_style.models.network import build_network
from fast_style.optimizing.descent import optimize_pixels
from fast_style.optimizing.start_picture import start_picture

LAYERS = ["relu1_2", "relu2_2"]


def image(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def loss(**changes: object) -> PerceptualLoss:
    arguments: dict[str, object] = {
        "style": image(1, 3, 40, 48, seed=9),
        "content_layers": ["relu2_2"],
        "style_layers": LAYERS,
        "content_layer_weights": [1.0],
        "style_layer_weights": [1.0, 1.0],
    }
    return PerceptualLoss(**(arguments | changes))  # type: ignore[arg-type]


def test_gram_matrix_equals_a_naive_loop() -> None:
    features = image(2, 3, 4, 5).double()
    n, c, h, w = features.shape
    expected = torch.zeros(n, c, c, dtype=torch.float64)
    for b in range(n):
        for i in range(c):
            for j in range(c):
                for y in range(h):
                    for x in range(w):
                        expected[b, i, j] += features[b, i, y, x] * features[b, j, y, x]
    torch.testing.assert_close(gram_matrix(features), expected / (c * h * w))


def test_gram_matrix_of_ones_is_one_over_channels() -> None:
    assert torch.equal(gram_matrix(torch.ones(1, 4, 8, 8)), torch.full((1, 4, 4), 0.25))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_gram_matrix_is_float32_whatever_the_features_and_autocast(dtype: torch.dtype) -> None:
    features = image(1, 8, 64, 64).to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        gram = gram_matrix(features)
    assert gram.dtype == torch.float32
    torch.testing.assert_close(gram.double(), gram_matrix(features.double()), rtol=1e-5, atol=0)


def test_gram_matrix_does_not_depend_on_the_memory_format() -> None:
    features = image(2, 6, 5, 7)
    channels_last = features.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(gram_matrix(features), gram_matrix(channels_last))


def test_gram_matrix_gradient() -> None:
    features = image(2, 3, 4, 5).double().requires_grad_()
    assert torch.autograd.gradcheck(gram_matrix, (features,))


def test_gram_matrix_taken_in_parts_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    features = image(2, 5, 6, 7).bfloat16()
    whole = gram_matrix(features.float())
    monkeypatch.setattr("fast_style.models.loss_sums.PRODUCT_ROWS", 10)
    torch.testing.assert_close(gram_matrix(features), whole)


def test_gram_matrix_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match=r"\(N, C, H, W\).* \(3, 4\)"):
        gram_matrix(torch.zeros(3, 4))


def test_total_variation_of_a_flat_picture_is_zero() -> None:
    assert total_variation(torch.full((2, 3, 8, 9), 0.4)) == 0


def test_total_variation_of_a_checkerboard_is_its_bound() -> None:
    y, x = torch.meshgrid(torch.arange(6), torch.arange(8), indexing="ij")
    board = ((y + x) % 2).float().expand(1, 3, 6, 8)
    assert total_variation(board).item() == 2 * 255**2


def test_total_variation_of_a_ramp() -> None:
    ramp = (torch.arange(5.0) / 255).expand(1, 3, 4, 5)  # one level a pixel, horizontally
    assert total_variation(ramp).item() == pytest.approx(1.0)


def grid(period: int, side: int = 63) -> torch.Tensor:
    """Return vertical lines, one in ``period`` px is 1."""
    lines = (torch.arange(side) % period == 0).double()
    return lines.expand(1, 3, side, side)


@pytest.mark.parametrize(("period", "share"), [(2, 1 / 2), (4, 1 / 4)])
def test_grid_energy_of_a_grid_is_its_variance(period: int, share: float) -> None:
    assert grid_energy(grid(period)).item() == pytest.approx(255**2 * share * (1 - share))
    assert grid_energy(grid(period).mT).item() == pytest.approx(grid_energy(grid(period)).item())


def test_grid_energy_sees_no_other_period_and_no_slope() -> None:
    x = torch.linspace(0, 1, 63, dtype=torch.float64)
    assert grid_energy((x[:, None] + x).expand(1, 3, 63, 63)).item() == pytest.approx(0, abs=1e-9)
    for period in (3, 5, 6):
        wave = torch.cos(2 * math.pi * torch.arange(63).double() / period).expand(1, 3, 63, 63)
        assert grid_energy(wave) < 0.01 * grid_energy(grid(4))


def test_grid_energy_sees_a_grid_that_turns_round() -> None:
    """The other way round in another patch, its mean over the picture would be nothing."""
    side = 3 + 2 * 60
    there = torch.where(
        torch.arange(side)[:, None] < 3 + 60, grid(4, side), grid(4, side).roll(2, -1)
    )
    assert grid_energy(there).item() == pytest.approx(grid_energy(grid(4)).item(), rel=0.1)


def test_grid_energy_takes_any_size_from_seven() -> None:
    for height, width in ((7, 7), (8, 200), (131, 77)):
        assert grid_energy(torch.rand(2, 3, height, width)) > 0
    with pytest.raises(ValueError, match="H and W .* 7"):
        grid_energy(torch.rand(1, 3, 6, 40))


def test_total_variation_refuses_a_single_row() -> None:
    with pytest.raises(ValueError, match=r"H and W .* 2.* \(1, 3, 1, 5\)"):
        total_variation(torch.zeros(1, 3, 1, 5))


@pytest.mark.parametrize("normalization", ["relative", "mean"])
def test_terms_follow_their_formulas(normalization: str) -> None:
    perceptual = loss(
        normalization=normalization,
        content_weight=2.0,
        style_weight=3.0,
        style_layer_weights=[1.0, 0.5],
        total_variation_weight=1e-4,
        dtype=torch.float64,
    )
    stylized, content = image(2, 3, 32, 36, seed=1).double(), image(2, 3, 32, 36, seed=2).double()
    painting = image(1, 3, 40, 48, seed=9).double()
    vgg = perceptual.vgg
    y, c, s = vgg(stylized), vgg(content), vgg(painting)

    def error(found: Tensor, target: Tensor) -> Tensor:
        if normalization == "mean":
            return ((found - target) ** 2).mean()
        per_photograph = [
            ((found[i] - target[i % len(target)]) ** 2).sum() / (target[i % len(target)] ** 2).sum()
            for i in range(len(found))
        ]
        return torch.stack(per_photograph).mean()

    content_error = error(y["relu2_2"], c["relu2_2"])
    style_errors = {k: error(gram_matrix(y[k]), gram_matrix(s[k])) for k in LAYERS}
    variation = total_variation(stylized)
    terms = perceptual(stylized, content)
    torch.testing.assert_close(terms.content["relu2_2"], content_error)
    for layer, expected in style_errors.items():
        torch.testing.assert_close(terms.style[layer], expected)
    total = (
        2 * content_error
        + 3 * (style_errors["relu1_2"] + 0.5 * style_errors["relu2_2"])
        + 1e-4 * variation
    )
    torch.testing.assert_close(terms.total, total)


def test_a_perfect_copy_has_no_content_error_and_the_painting_no_style_error() -> None:
    painting = image(1, 3, 40, 48, seed=9)
    terms = loss()(painting, painting)
    assert terms.content["relu2_2"] == 0
    assert all(error < 1e-10 for error in terms.style.values())


def test_relative_errors_of_an_empty_answer_are_one() -> None:
    """A network that leaves every feature dark is as wrong as a whole target."""
    perceptual = loss()
    target = image(2, 8, 4, 4)
    assert perceptual._error(torch.zeros_like(target), target).tolist() == [1, 1]


def test_relative_error_of_a_dark_target_is_finite() -> None:
    perceptual = loss()
    dark = torch.zeros(1, 8, 4, 4)
    assert perceptual._error(dark, dark) == 0
    assert torch.isfinite(perceptual._error(image(1, 8, 4, 4) * 1e-3, dark))


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_errors_do_not_depend_on_the_memory_format(normalization: str) -> None:
    perceptual = loss(normalization=normalization)
    found, target = image(2, 8, 6, 5).double(), image(2, 8, 6, 5, seed=1).double()
    error = perceptual._error(found, target)
    difference = (found - target).square().flatten(1)
    if normalization == "mean":
        expected = difference.mean(1)
    else:
        expected = difference.sum(1) / target.square().flatten(1).sum(1)
    torch.testing.assert_close(error, expected)
    last = found.to(memory_format=torch.channels_last).requires_grad_()
    again = perceptual._error(last, target.to(memory_format=torch.channels_last))
    torch.testing.assert_close(again, expected)
    (gradient,) = torch.autograd.grad(again.sum(), last)
    assert gradient.is_contiguous(memory_format=torch.channels_last)
    torch.autograd.gradcheck(lambda x: perceptual._error(x, target), last)


def test_errors_of_bfloat16_features_are_float32() -> None:
    """They differ in what bfloat16 could not add to their sum."""
    found, target = image(1, 8, 64, 64).bfloat16(), image(1, 8, 64, 64, seed=1).bfloat16()
    error = loss()._error(found.requires_grad_(), target)
    assert error.dtype == torch.float32
    exact = found.double() - target.double()
    expected = exact.square().sum() / target.double().square().sum()
    torch.testing.assert_close(error.double(), expected[None], rtol=1e-5, atol=0)
    (gradient,) = torch.autograd.grad(error, found)
    assert gradient.dtype == torch.bfloat16
    slope = 2 * exact / target.double().square().sum()
    torch.testing.assert_close(gradient.double(), slope, rtol=0.01, atol=0)


def test_scalars_add_up() -> None:
    terms = loss(style_weight=5.0, total_variation_weight=1e-3, grid_weight=1e-2)(
        image(1, 3, 32, 32, seed=3), image(1, 3, 32, 32, seed=4)
    )
    scalars = terms.scalars()
    parts = ("content_loss", "style_loss", "total_variation_loss", "grid_loss")
    torch.testing.assert_close(scalars["loss"], torch.stack([scalars[p] for p in parts]).sum())
    torch.testing.assert_close(
        scalars["style_loss"], scalars["style_loss/relu1_2"] + scalars["style_loss/relu2_2"]
    )
    torch.testing.assert_close(scalars["style_loss"], 5 * scalars["style_error"])
    assert not any(value.requires_grad for value in scalars.values())


def test_each_photograph_has_its_own_total() -> None:
    for normalization in NORMALIZATIONS:
        perceptual = loss(
            total_variation_weight=1e-3, grid_weight=1e-2, normalization=normalization
        )
        stylized, content = image(3, 3, 32, 40, seed=3), image(3, 3, 32, 40, seed=4)
        terms = perceptual(stylized, content)
        alone = [perceptual(stylized[i : i + 1], content[i : i + 1]).total for i in range(3)]
        torch.testing.assert_close(terms.totals, torch.stack(alone))
        torch.testing.assert_close(terms.total, terms.totals.mean())


def test_gradients_reach_the_picture_and_nothing_else() -> None:
    perceptual = loss(total_variation_weight=1e-3)
    stylized = image(1, 3, 32, 32).requires_grad_()
    content = image(1, 3, 32, 32, seed=5).requires_grad_()
    perceptual(stylized, content).total.backward()
    assert stylized.grad is not None
    assert stylized.grad.abs().sum() > 0
    assert content.grad is None
    assert list(perceptual.parameters()) == []


def test_gradient_agrees_with_finite_differences() -> None:
    perceptual = loss(total_variation_weight=1e-4, dtype=torch.float64)
    content = image(1, 3, 8, 8, seed=5).double()
    stylized = image(1, 3, 8, 8, seed=6).double().requires_grad_()
    perceptual(stylized, content).total.backward()
    assert stylized.grad is not None
    step = 1e-6
    for position in ((0, 0, 0, 0), (0, 1, 3, 4), (0, 2, 7, 7)):
        nudge = torch.zeros_like(stylized)
        nudge[position] = step
        with torch.no_grad():
            up = perceptual(stylized + nudge, content).total
            down = perceptual(stylized - nudge, content).total
        assert stylized.grad[position].item() == pytest.approx(
            ((up - down) / (2 * step)).item(), rel=1e-5
        )


def test_inputs_are_left_alone() -> None:
    stylized, content = image(1, 3, 32, 32), image(1, 3, 32, 32, seed=5)
    before = stylized.clone(), content.clone()
    loss()(stylized, content)
    assert torch.equal(stylized, before[0])
    assert torch.equal(content, before[1])


def test_bfloat16_features_give_the_same_loss_within_a_percent() -> None:
    stylized, content = image(2, 3, 64, 64, seed=1), image(2, 3, 64, 64, seed=2)
    exact = loss()(stylized, content)
    rough = loss(dtype=torch.bfloat16)(stylized, content)
    assert rough.total.dtype == torch.float32
    assert rough.total.item() == pytest.approx(exact.total.item(), rel=1e-2)


def test_nothing_of_the_loss_is_saved() -> None:
    assert loss().state_dict() == {}


def test_style_grams_belong_to_the_painting() -> None:
    perceptual = loss()
    expected = gram_matrix(perceptual.vgg(image(1, 3, 40, 48, seed=9))["relu1_2"])
    assert torch.equal(perceptual.style_gram("relu1_2"), expected)


def test_both_spellings_of_a_layer() -> None:
    assert loss(content_layers=["conv2_2"]).content_weights == {"relu2_2": 1.0}


def test_a_loss_without_content_never_looks_at_it() -> None:
    perceptual = loss(content_layers=[], content_layer_weights=[])
    terms = perceptual(image(1, 3, 32, 32), torch.full((1, 3, 32, 32), torch.nan))
    assert terms.content == {}
    assert torch.isfinite(terms.total)
    assert "content_loss/relu2_2" not in terms.scalars()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"normalization": "absolute"}, "relative, mean.* 'absolute'"),
        (
            {
                "content_layers": [],
                "style_layers": [],
                "content_layer_weights": [],
                "style_layer_weights": [],
            },
            "one content or style layer",
        ),
        ({"style_layers": ["relu9_9", "relu1_1"]}, "'relu9_9'"),
        ({"style_layers": ["relu1_1", "conv1_1"]}, "style_layers .*relu1_1 twice"),
        ({"style_layers": ["relu1_1"]}, "1 layers, .*loss.style_layer_weights has 2"),
        ({"style_weight": -1.0}, "loss.style_weight .*0 or more.* -1"),
        ({"content_weight": float("nan")}, "loss.content_weight .*nan"),
        ({"content_layer_weights": ["much"]}, "loss.content_layer_weights .* much$"),
        ({"content_layers": "relu2_2"}, "loss.content_layers .*list.* 'relu2_2'"),
        ({"content_layers": {"relu2_2": 1.0}}, "loss.content_layers .*list"),
        ({"total_variation_weight": float("inf")}, "loss.total_variation_weight .*inf"),
        ({"style": torch.rand(2, 3, 40, 40)}, r"\(1, 3, H, W\).* \(2, 3, 40, 40\)"),
        ({"style": torch.rand(1, 3, 1, 1)}, "1 x 1 px.* 2 x 2"),
        ({"vgg_weights": "nowhere.safetensors"}, "nowhere.safetensors"),
    ],
)
def test_bad_arguments(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loss(**changes)


def test_stylized_and_content_must_match() -> None:
    with pytest.raises(ValueError, match="same shape"):
        loss()(image(1, 3, 32, 32), image(1, 3, 32, 33))


# Several paintings, and targets computed once


def test_targets_computed_once_give_the_same_loss() -> None:
    objective = loss(total_variation_weight=1e-4)
    content, stylized = image(2, 3, 32, 40), image(2, 3, 32, 40, seed=1)
    expected = objective(stylized, content).scalars()
    found = objective.compare(stylized, objective.content_targets(content)).scalars()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert objective.content_targets(content).features["relu2_2"].grad_fn is None


def test_a_loss_of_style_alone_needs_no_content() -> None:
    objective = loss(content_layers=[], content_layer_weights=[])
    targets = objective.content_targets(image(1, 3, 32, 40))
    assert targets.features == {}
    picture = image(1, 3, 24, 24)  # of any size, then
    assert float(objective.compare(picture, targets).total) > 0


def test_several_paintings_share_one_target() -> None:
    first, second = image(1, 3, 40, 48, seed=9), image(1, 3, 50, 36, seed=10) ** 3
    mixed = loss(style=[first, second], style_shares=[3, 1], normalization="mean")
    one, two = loss(style=first), loss(style=second)
    for layer in LAYERS:
        expected = 0.75 * one.style_gram(layer) + 0.25 * two.style_gram(layer)
        torch.testing.assert_close(mixed.style_gram(layer), expected)


@pytest.mark.parametrize("normalization", ["mean", "relative"])
def test_the_shared_target_has_the_minimum_of_the_sum(normalization: str) -> None:
    """At the target, the sum of the paintings' own errors by their shares has no slope."""
    first, second = image(1, 3, 40, 48, seed=9), image(1, 3, 50, 36, seed=10) ** 3
    options = {"normalization": normalization}
    mixed = loss(style=[first, second], style_shares=[3, 1], **options)
    alone = [loss(style=first, **options), loss(style=second, **options)]
    for layer in LAYERS:
        gram = mixed.style_gram(layer).clone().requires_grad_()
        errors = [objective._error(gram, objective.style_gram(layer)) for objective in alone]
        (0.75 * errors[0] + 0.25 * errors[1]).backward()
        assert gram.grad is not None
        elsewhere = alone[0].style_gram(layer).clone().requires_grad_()
        alone[1]._error(elsewhere, alone[1].style_gram(layer)).backward()
        assert elsewhere.grad is not None
        assert gram.grad.norm() < 1e-4 * elsewhere.grad.norm()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"style_shares": [1, 2]}, "1 styles .*shares.* 2$"),
        ({"style_shares": [-1]}, "0 or more.* -1$"),
        ({"style_shares": [0]}, "not all be 0"),
        ({"style_shares": [True]}, "0 or more.* True$"),
        ({"style": [torch.zeros(3, 40, 40)]}, r"\(1, 3, H, W\).* \(3, 40, 40\)"),
    ],
)
def test_paintings_and_shares_that_do_not_fit(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loss(**changes)


def test_the_programs_default_type_changes_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    kind = {"generator": generator, "dtype": torch.float32}
    painting, content = torch.rand(1, 3, 32, 32, **kind), torch.rand(1, 3, 32, 32, **kind)  # type: ignore[call-overload]

    def found() -> tuple[Tensor, Tensor]:
        loss = PerceptualLoss(painting, **load_preset("crisp"))
        targets = loss.content_targets(content)
        start = start_picture("noise", content, [], 0)
        best = optimize_pixels(lambda one: loss.compare(one, targets), start, 2)
        return loss(content.flip(-1), content).totals, best

    expected = found()
    torch.set_default_dtype(torch.float64)
    try:
        again = found()
        network = build_network({"name": "slim", "channels": [4, 4, 8], "residual_blocks": 1})
    finally:
        torch.set_default_dtype(torch.float32)
    for one, other in zip(again, expected, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other)
    assert {weight.dtype for weight in network.parameters()} == {torch.float32}

"""What a finished training is told of itself: each verdict, and what to do next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fast_style.training.verdict import (
    GOOD,
    RELEASED,
    UNJUDGED,
    WEAK,
    Figures,
    Verdict,
    advice,
    fall,
    judge,
)

LOSS: dict[str, Any] = {"normalization": "relative", "style_layers": ["a", "b", "c", "d"]}
FLAT, FALLS = 0.01, 0.15
FOLDER = Path("outputs", "mine")


def verdict(style: float, content: float, fell: float | None = FLAT, **loss: Any) -> Verdict:
    """Judge errors on photographs on which the yardstick has 2."""
    return judge(Figures(style, content, 12, 256), 300, 2.0, LOSS | loss, fell)


# By scripts/measure_errors.py on the sample photographs, on which starry-slim has 1.86.
@pytest.mark.parametrize(
    ("style", "content"), [(0.205, 1.464), (0.33, 1.736), (0.358, 2.584), (0.351, 4.027)]
)
def test_released_styles_are_as_the_released_ones(style: float, content: float) -> None:
    found = judge(Figures(style, content, 12, 256), 300, 1.864, LOSS, FLAT)
    assert (found.word, found.cure) == (RELEASED, None)


@pytest.mark.parametrize(
    ("style", "content", "fell", "word", "cure"),
    [
        (0.41, 2.2, FALLS, GOOD, "longer"),  # the default training
        (0.41, 2.2, FLAT, GOOD, "longer"),
        (0.3, 2.2, FALLS, GOOD, "longer"),
        (0.3, 5.0, FLAT, GOOD, "longer"),
        (0.3, 2.2, None, RELEASED, None),
        (0.7, 1.0, FALLS, WEAK, "longer"),
        (0.7, 1.0, None, WEAK, "longer"),
        (0.7, 1.0, FLAT, WEAK, "more style"),
        (0.3, 7.0, FALLS, WEAK, "longer"),
        (0.3, 7.0, FLAT, WEAK, "less style"),
    ],
)
def test_verdicts(style: float, content: float, fell: float | None, word: str, cure: str) -> None:
    found = verdict(style, content, fell)
    assert (found.word, found.cure) == (word, cure)
    assert ("15%" in found.why) == (fell == FALLS)


def test_a_short_training_is_first_made_longer() -> None:
    assert judge(Figures(1.9, 2.0, 12, 256), 60, 2.0, LOSS, FLAT).cure == "longer"
    said = advice(Verdict(WEAK, "", "longer"), FOLDER, FOLDER / "mine.safetensors", 60, 5.0)
    assert said.endswith("trainer.max_steps=300")


def test_fewer_layers_make_a_smaller_error() -> None:
    assert verdict(0.35, 2.0, style_layers=["a", "b"]).word == WEAK


def test_errors_without_a_scale_are_not_judged() -> None:
    assert verdict(9000.0, 2.0, normalization="mean").word == UNJUDGED
    assert verdict(0.0, 2.0, style_layers=[]).word == UNJUDGED


def test_without_the_yardstick_the_style_is_judged() -> None:
    assert judge(Figures(0.3, 99.0, 12, 256), 300, None, LOSS, FLAT).word == RELEASED


def test_the_fall_is_that_of_the_last_third() -> None:
    assert fall([(100, 8.0), (200, 5.0), (300, 4.0)]) == pytest.approx(0.2)
    assert fall([(i * 100, 10.0 - i) for i in range(10)]) == pytest.approx(0.75)
    assert fall([(100, 4.0), (120, 5.0)]) == pytest.approx(-0.25)
    assert fall([(300, 4.0)]) is None
    assert fall([]) is None


@pytest.mark.parametrize(
    ("cure", "text"),
    [
        ("longer", f"python -m fast_style.resume {FOLDER} trainer.max_steps=600"),
        ("more style", f"loss.style_weight=10 init_from={FOLDER / 'mine.safetensors'}"),
        ("less style", "loss.style_weight=2.5"),
        (None, "more photographs"),
    ],
)
def test_what_to_do_next_can_be_typed(cure: str | None, text: str) -> None:
    said = advice(Verdict(GOOD, "", cure), FOLDER, FOLDER / "mine.safetensors", 300, 5.0)
    assert text in said

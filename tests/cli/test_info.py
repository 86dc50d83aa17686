"""``fast-style info``: what a model is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fast_style import info
from fast_style.system.resources import about_styles, shipped_styles


def test_a_released_style_says_its_look_painting_licence_and_worth(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert info.main(["starry"]) == 0
    said = capsys.readouterr().out
    about = about_styles()["starry"]
    for part in (about["look"], "Vincent van Gogh", "CC0", str(about["evaluations"]), "johnson"):
        assert part in said


def test_a_model_that_says_little_is_shown_as_far_as_it_goes(
    tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert info.main([str(tiny_model), "starry"]) == 0
    said = capsys.readouterr().out
    assert "tiny" in said
    assert info.UNKNOWN in said


def test_json_holds_all_that_the_file_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert info.main(["starry", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["network"]["channels"] == [32, 64, 128]
    assert found["loss"]["content_layers"]


def test_a_missing_model_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert info.main(["stary"]) == 2
    assert "starry" in capsys.readouterr().err


def test_every_released_style_says_how_it_looks() -> None:
    assert set(about_styles()) == set(shipped_styles())

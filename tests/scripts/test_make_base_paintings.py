"""scripts/make_base_paintings.py: variants of the shipped paintings, and drawn ones."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image
from support import ROOT


@pytest.fixture
def script(load_script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return load_script("make_base_paintings")


def run(script: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["make_base_paintings.py", *map(str, arguments)])
    script.main()


def test_half_are_variants_and_every_kind_takes_its_turn(script: ModuleType) -> None:
    names = [script.make(number, 0)[0] for number in range(180)]
    kinds = Counter(name.split("-")[0] for name in names)
    assert kinds == {"variant": 90, "drawn": 85, "redrawn": 5}
    assert min(Counter(names).values()) == 1  # redrawn: each of the five once
    assert len(set(names)) == 7 + len(script.GENERATORS) + 5


def test_the_same_number_and_seed_make_the_same_painting(script: ModuleType) -> None:
    first, again, other = (script.make(4, seed)[1]() for seed in (3, 3, 4))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_variants_have_sides_that_a_training_takes(script: ModuleType) -> None:
    for number in range(0, 28, 2):
        painting = script.make(number, 0)[1]()
        assert painting.mode == "RGB"
        assert min(painting.size) >= 256
        assert max(painting.size) <= 600


def test_a_hue_turned_once_around_comes_back_and_keeps_its_lightness(script: ModuleType) -> None:
    variants = import_module("paintings.variants")
    pixels = np.random.default_rng(0).uniform(0, 255, (5, 6, 3)).astype(np.float32)
    assert np.allclose(variants.hue_turned(pixels, 2 * np.pi), pixels, atol=0.01)
    turned = variants.hue_turned(pixels, 2.0)
    assert np.abs(turned - pixels).max() > 20
    assert np.allclose(turned @ variants.TO_LUMA, pixels @ variants.TO_LUMA, atol=0.01)


def test_a_file_that_is_there_stays(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out" / "variant-cafe-0000.jpg"
    run(script, monkeypatch, path.parent, "--count", 1)
    with Image.open(path) as painting:
        assert painting.format == "JPEG"
    path.write_bytes(b"mine")
    run(script, monkeypatch, path.parent, "--count", 1)
    assert path.read_bytes() == b"mine"
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(("option", "value"), [("--count", 0), ("--seed", -1)])
def test_wrong_numbers_are_refused(
    script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: str,
    value: int,
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(script, monkeypatch, tmp_path / "out", option, value)
    assert f"{option} is {value}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_every_generator_paints_light_and_shade(script: ModuleType) -> None:
    for paint in script.GENERATORS:
        pixels = np.asarray(paint(np.random.default_rng(1)), np.float32)
        assert pixels.shape == (512, 640, 3), paint.__name__
        assert pixels.std() > 12, paint.__name__

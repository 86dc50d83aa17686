"""scripts/average_models.py: the mean of two models' weights, with a palette of its own."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from support import TINY_NETWORK

from fast_style.models.network import build_network
from fast_style.models.palette import palette_from_header
from fast_style.models.style_file import load_style_model, save_style_model

STYLE = {"name": "mine", "image": "starry.jpg", "size": 64}


@pytest.fixture(scope="module")
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("average_models")


def model(path: Path, seed: int, **changes: Any) -> Path:
    torch.manual_seed(seed)
    description = {"network": TINY_NETWORK, "style": STYLE, "seed": seed} | changes
    save_style_model(path, build_network(description["network"]), description)
    return path


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    return model(tmp_path / "a.safetensors", 1), model(tmp_path / "b.safetensors", 2)


def test_the_mean_of_two(script: ModuleType, two: tuple[Path, Path], photographs: Path) -> None:
    first, second = two
    output = first.parent / "mean.safetensors"
    given = f"{first}:1,{second}:3"
    assert script.main([given, "-o", str(output), "--photos", str(photographs)]) == 0
    found = load_style_model(output)
    states = [load_style_model(path).network.state_dict() for path in two]
    for key, value in found.network.state_dict().items():
        expected = 0.25 * states[0][key] + 0.75 * states[1][key]
        torch.testing.assert_close(value, expected, atol=1e-3, rtol=1e-3)  # of float16
    assert found.description["seed"] == 1
    assert found.description["averaged"] == [
        {"name": path.name, "weight": weight, "sha256": sha256(path.read_bytes()).hexdigest()}
        for path, weight in zip(two, (0.25, 0.75), strict=True)
    ]
    assert palette_from_header(found.description["palette"]).matrix != torch.eye(3).tolist()


def test_a_file_that_exists_is_kept(
    script: ModuleType, two: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    before = two[1].read_bytes()
    assert script.main([f"{two[0]}:1,{two[1]}:1", "-o", str(two[1])]) == 2
    assert "--overwrite replaces it" in capsys.readouterr().err
    assert two[1].read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "weights", "message"),
    [
        (
            {"network": TINY_NETWORK | {"residual_blocks": 2}},
            (1, 1),
            "another network (residual_blocks",
        ),
        ({"style": STYLE | {"size": 96}}, (1, 1), "another style (size: 64, now 96)"),
        ({}, (1, -1), "must be 0 or more"),
    ],
)
def test_what_has_no_mean(
    script: ModuleType,
    two: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    weights: tuple[int, int],
    message: str,
) -> None:
    model(two[1], 2, **changes)
    output = two[0].parent / "mean.safetensors"
    given = f"{two[0]}:{weights[0]},{two[1]}:{weights[1]}"
    assert script.main([given, "-o", str(output)]) == 2
    assert message in capsys.readouterr().err
    assert not output.exists()

"""``import fast_style``: what it offers, and what it costs."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys

import pytest
from support import ENVIRONMENT, ROOT

import fast_style
from fast_style.models.losses import PerceptualLoss
from fast_style.models.vgg import VGG16Features
from fast_style.painting.blend import Blend, blend
from fast_style.painting.painter import paint_sheet
from fast_style.painting.style import Style, load
from fast_style.training.module import StyleModule

MOST_LINES = 60  # of a function
OFFERED = (
    Blend,
    PerceptualLoss,
    Style,
    StyleModule,
    VGG16Features,
    blend,
    load,
    paint_sheet,
)


@pytest.mark.parametrize("offered", OFFERED, ids=lambda one: one.__name__)
def test_a_name_is_that_of_its_module(offered: object) -> None:
    module = importlib.import_module(str(offered.__module__))
    assert getattr(module, offered.__name__) is offered  # type: ignore[attr-defined]


def test_what_is_offered_is_listed() -> None:
    assert {one.__name__ for one in OFFERED} <= set(dir(fast_style))
    assert set(fast_style.__all__) == {*(one.__name__ for one in OFFERED), "__version__"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="lode"):
        fast_style.lode  # noqa: B018


def test_the_import_loads_nothing_but_python() -> None:
    code = (
        "import sys, __future__, importlib, typing\n"
        "before = set(sys.modules)\nimport fast_style\ndir(fast_style)\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == ["fast_style"]


def test_no_function_is_longer_than_a_screen() -> None:
    long = [
        f"{path.name}: {node.name}, {node.end_lineno - node.lineno + 1} lines"
        for path in sorted((ROOT / "fast_style").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= MOST_LINES
    ]
    assert long == []

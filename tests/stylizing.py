"""The command ``stylize``, run on small pictures, for the tests of several files."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fast_style.images.picture import Picture
from fast_style.painting.style import Style
from fast_style.stylize import main

Capture = pytest.CaptureFixture[str]


ON_THE_WAY = re.compile(
    r"fast_style\.stylize: ((loading|reading|painting|writing) |\d+ pictures: )"
)
on_posix = pytest.mark.skipif(os.name != "posix", reason="Windows allows no such names")


# For programs run in a new interpreter, in any folder.
def photograph(path: Path, width: int = 47, height: int = 33, mode: str = "RGB") -> Path:
    """Write a picture; the same seed, so all of one size are alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rgba = np.random.default_rng(0).integers(0, 256, (height, width, 4), dtype=np.uint8)
    Image.fromarray(rgba).convert(mode).save(path)
    return path


def run(capsys: Capture, *arguments: object) -> tuple[int, str, list[str]]:
    """Run the command on the CPU; return its exit code, its output and its messages."""
    code, out, lines = run_to_the_end(capsys, *arguments)
    return code, out, messages(lines)


def run_to_the_end(capsys: Capture, *arguments: object) -> tuple[int, str, list[str]]:
    """Run the command as ``run``; return also what it says of how far it is, and the counts."""
    capsys.readouterr()
    code = main([*(str(argument) for argument in arguments), "--device", "cpu"])
    out, err = capsys.readouterr()
    return code, out, err.splitlines()


def messages(lines: list[str]) -> list[str]:
    """Return lines of stderr without those on the way, which slow machines see, and the counts."""
    return [line for line in lines if not ON_THE_WAY.match(line)]


def assert_one_line(lines: list[str], *parts: str) -> None:
    assert len(lines) == 1, lines
    assert lines[0].startswith("fast_style.stylize: ")
    for part in parts:
        assert part in lines[0]


def files_below(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir()}


def broken(folder: Path, kind: str) -> Path:
    """Return a file of this kind that can't be stylised."""
    path = folder / f"{kind}.png"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "words":
        path.write_text("no picture, only words\n" * 9)
    elif kind == "small":
        photograph(path, 31, 40)
    elif kind == "cut off":
        content = photograph(path, 64, 64).read_bytes()
        path.write_bytes(content[: len(content) // 2])
    return path


KINDS = ["missing", "folder", "empty", "words", "small", "cut off"]


def interrupt_at_width(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Ctrl-C come when a picture of so many pixels is to be painted."""
    paint = Style.paint_picture

    def interrupted(style: Style, picture: Picture, *arguments: Any) -> Picture:
        if picture.levels.shape[-1] == width:
            raise KeyboardInterrupt
        return paint(style, picture, *arguments)

    monkeypatch.setattr(Style, "paint_picture", interrupted)

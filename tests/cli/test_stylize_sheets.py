"""Sheets that ``stylize`` makes of several styles."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
from PIL import Image
from stylizing import Capture, assert_one_line, photograph, run

from fast_style import sheet
from fast_style.images.reading import read_picture
from fast_style.painting.style import Style
from fast_style.system.resources import shipped_styles


def test_a_sheet_of_all_styles(
    tmp_path: Path, tiny_model: Path, second_model: Path, capsys: Capture
) -> None:
    images = [photograph(tmp_path / "a.png"), photograph(tmp_path / "b.png", 40, 50)]
    sheet = tmp_path / "sheet.png"
    styles = f"{tiny_model},{second_model}"
    arguments = ("--sheet", sheet, "--style", styles, *images, "--size", "64")
    assert run(capsys, *arguments) == (0, f"{sheet}\n", [])
    assert read_picture(sheet).rgb.shape == (1, 3, 24 + 45 + 8 + 64, 3 * 64 + 2 * 8)
    assert run(capsys, *arguments)[0] == 2  # it exists
    released = tmp_path / "released.png"
    assert run(capsys, "--sheet", released, images[0], "--size", "64")[0] == 0
    shown = 1 + sum(not name.endswith("-slim") for name in shipped_styles())
    columns = math.ceil(math.sqrt(shown))
    assert read_picture(released).rgb.shape[-1] == columns * (64 + 8) - 8


def test_a_sheet_compares_two_models_of_one_name(
    tmp_path: Path, tiny_model: Path, second_model: Path, capsys: Capture
) -> None:
    other = shutil.copy(tiny_model, tmp_path / "other.safetensors")
    sheet, image = tmp_path / "sheet.png", photograph(tmp_path / "a.png")
    models = f"{tiny_model},{second_model},{other}"
    code, out, err = run(capsys, "--sheet", sheet, "--style", models, image, "--json")
    assert (code, err) == (0, [])
    styles = [str(tiny_model), "second", str(other)]
    assert json.loads(out) == {"output": str(sheet), "pictures": 1, "styles": styles}


def test_a_sheet_of_a_folder(tmp_path: Path, tiny_model: Path, capsys: Capture) -> None:
    for name in ("a.png", "b.png"):
        photograph(tmp_path / "photos" / name)
    sheet = tmp_path / "photos" / "sheet.png"
    assert run(capsys, "--sheet", sheet, "--style", tiny_model, tmp_path / "photos")[0] == 0
    assert read_picture(sheet).rgb.shape[-1] == 2 * 512 + 8
    assert run(capsys, "--sheet", sheet, "--style", tiny_model, tmp_path / "photos")[0] == 2


def test_a_sheet_names_the_picture_that_failed(
    tmp_path: Path, tiny_model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("not enough memory: you tried to allocate 9 GB")

    monkeypatch.setattr(Style, "paint_picture", fail)
    image = photograph(tmp_path / "a.png")
    code, _, err = run(capsys, "--sheet", tmp_path / "s.png", "--style", tiny_model, image)
    assert code == 1
    assert_one_line(err, f"cannot stylise {image}: not enough memory")


def test_the_command_sheet_speaks_under_its_own_name(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    for words, code in (["--size", "0"], 2), ([], 1):  # refused, and without a photograph
        given = ["--style", str(tiny_model), str(tmp_path / "none.png"), *words]
        assert sheet.main(given) == code
        lines = capsys.readouterr().err.splitlines()
        assert lines
        assert all(line.startswith("fast_style.sheet: ") for line in lines)


def test_a_sheet_shows_transparent_parts_white(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    Image.new("RGBA", (40, 40), (200, 0, 0, 0)).save(tmp_path / "a.png")
    sheet = tmp_path / "sheet.png"
    assert run(capsys, "--sheet", sheet, "--style", tiny_model, tmp_path / "a.png")[0] == 0
    shown = read_picture(sheet).rgb[..., -512:, :]  # below the labels
    assert (shown == 1).all()

"""What ``stylize`` says of many pictures: counts, and lines of JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from stylizing import (
    Capture,
    assert_one_line,
    broken,
    interrupt_at_width,
    photograph,
    run,
    run_to_the_end,
)


def lines_of_json(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_the_last_line_counts_painted_kept_and_failed_pictures(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    images = [photograph(tmp_path / f"{name}.png") for name in "abc"]
    assert run(capsys, tiny_model, images[1])[0] == 0
    code, _, err = run_to_the_end(capsys, tiny_model, *images, broken(tmp_path, "words"))
    assert code == 1
    assert "4 pictures: 2 painted, 1 kept, 1 failed" in err[-1]
    code, out, err = run_to_the_end(capsys, tiny_model, *images)
    assert (code, out) == (0, "")
    assert_one_line(err, "3 pictures: 0 painted, 3 kept", "--overwrite")


def test_a_single_picture_is_not_counted(tmp_path: Path, tiny_model: Path, capsys: Capture) -> None:
    image = photograph(tmp_path / "in" / "a.png")
    assert run_to_the_end(capsys, tiny_model, image)[2] == []
    out = tmp_path / "out"
    assert run_to_the_end(capsys, tiny_model, tmp_path / "in", image, "-o", out)[0] == 0


def test_a_single_result_that_is_kept_is_said(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    photograph(tmp_path / "in" / "a.png")
    folder = (tiny_model, tmp_path / "in", "-o", tmp_path / "out")
    assert run_to_the_end(capsys, *folder)[2] == []
    code, _, err = run_to_the_end(capsys, *folder)
    assert code == 0
    assert_one_line(err, str(tmp_path / "out" / "a_tiny.png"), "kept", "--overwrite")


def test_a_picture_of_several_styles_counts_once(
    tmp_path: Path, tiny_model: Path, second_model: Path, capsys: Capture
) -> None:
    images = [photograph(tmp_path / f"{name}.png") for name in "ab"]
    assert run(capsys, tiny_model, *images)[0] == 0
    styles = f"{tiny_model},{second_model}"
    _, out, err = run_to_the_end(capsys, "--style", styles, *images, "--json")
    assert_one_line(err, "2 pictures: 2 painted")
    assert [one.get("kept", False) for one in lines_of_json(out)].count(True) == 2


def test_json_has_a_line_for_failures_and_for_results_kept(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    image, missing = photograph(tmp_path / "a.png"), tmp_path / "missing.png"
    assert run(capsys, tiny_model, image)[0] == 0
    arguments = (tiny_model, image, missing, tmp_path / "*.tif", "--json")
    code, out, err = run(capsys, *arguments)
    assert code == 1
    found = {one["input"]: one for one in lines_of_json(out)}
    assert found[str(image)] == {
        "input": str(image),
        "output": str(tmp_path / "a_tiny.png"),
        "kept": True,
    }
    assert set(found[str(missing)]) == {"input", "error"}
    assert "no such file" in found[str(missing)]["error"]
    assert "no file matches" in found[str(tmp_path / "*.tif")]["error"]
    assert len(err) == 2  # the messages stay


@pytest.mark.parametrize("way", ["beside", "-o", "--sheet"])
def test_json_says_what_is_wrong_with_a_single_picture(
    tmp_path: Path, tiny_model: Path, capsys: Capture, way: str
) -> None:
    image = photograph(tmp_path / "a.png")
    options: dict[str, list[object]] = {
        "beside": [],
        "-o": ["-o", photograph(tmp_path / "there.png")],
        "--sheet": ["--sheet", tmp_path / "sheet.png"],
    }
    if way != "-o":
        image.write_bytes(b"no picture")
    code, out, err = run(capsys, "--style", tiny_model, image, "--json", *options[way])
    (line,) = lines_of_json(out)
    assert (code, line["input"]) == (1, str(image))
    assert_one_line(err, line["error"])


def test_an_interrupted_batch_says_how_far_it_came(
    tmp_path: Path, tiny_model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_at_width(60, monkeypatch)
    images = [photograph(tmp_path / "a.png"), photograph(tmp_path / "b.png", 60)]
    code, _, err = run(capsys, tiny_model, *images)
    assert code == 130
    assert_one_line(err, "interrupted; 2 pictures: 1 painted, 1 not done")
    assert not list(tmp_path.rglob(".*"))

"""Names of files and folders that are unusual, by pattern, or linked."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from stylizing import (
    Capture,
    assert_one_line,
    files_below,
    messages,
    on_posix,
    photograph,
    run,
    run_to_the_end,
)
from support import ENVIRONMENT

from fast_style.cli import batch
from fast_style.images.reading import read_picture
from fast_style.stylize import main


@pytest.mark.parametrize(
    "name",
    [
        "with space.png",
        " leading and trailing .png",
        "grüße 東京 🎨.png",
        "100%s {braces} $HOME;&.png",
        pytest.param("quo'te\"d <|*?>.png", marks=on_posix),
        "-o.png",
        "..hidden.png",
        ".hidden.png",
    ],
)
def test_unusual_names(tmp_path: Path, tiny_model: Path, capsys: Capture, name: str) -> None:
    image = photograph(tmp_path / "a folder é" / name)
    expected = image.with_name(f"{name.removesuffix('.png')}_tiny.png")
    assert run(capsys, tiny_model, image) == (0, f"{expected}\n", [])
    assert read_picture(expected).rgb.shape == (1, 3, 33, 47)
    code, _, err = run(capsys, tiny_model, image)
    assert code == 1
    assert_one_line(err, " ".join(str(expected).split()))


@on_posix
def test_a_name_with_a_newline(tmp_path: Path, tiny_model: Path, capsys: Capture) -> None:
    image = photograph(tmp_path / "two\nlines.png")
    code, out, err = run(capsys, tiny_model, image)
    assert (code, out, err) == (0, f"{tmp_path}/two\nlines_tiny.png\n", [])
    assert (tmp_path / "two\nlines_tiny.png").is_file()
    code, out, err = run(capsys, tiny_model, tmp_path / "not\nthere\r\n.png")
    assert (code, out) == (1, "")
    assert_one_line(err, "not there")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux allows such names")
def test_a_name_that_is_not_unicode(tmp_path: Path, tiny_model: Path) -> None:
    folder = os.fsencode(tmp_path)
    shutil.move(photograph(tmp_path / "plain.png"), os.fsdecode(folder + b"/caf\xe9.png"))
    done = subprocess.run(
        [sys.executable, "-m", "fast_style.stylize", tiny_model, folder + b"/caf\xe9.png"],
        capture_output=True,
        env={**ENVIRONMENT, "PYTHONIOENCODING": "utf-8:strict"},  # as in most terminals
        timeout=120,
        check=False,
    )
    assert (done.returncode, messages(done.stderr.decode().splitlines())) == (0, [])
    assert done.stdout.startswith(folder + b"/caf")
    assert done.stdout.endswith(b"_tiny.png\n")
    assert Path(os.fsdecode(folder + b"/caf\xe9_tiny.png")).is_file()


@on_posix
@pytest.mark.parametrize("what", ["model", "image", "output", "result"])
def test_a_name_longer_than_the_file_system_allows(
    tmp_path: Path, tiny_model: Path, capsys: Capture, what: str
) -> None:
    long = f"{'x' * 300}.png"
    image = photograph(tmp_path / "photo.png")
    arguments: dict[str, list[object]] = {
        "model": [tmp_path / long, image],
        "image": [tiny_model, tmp_path / long],
        "output": [tiny_model, image, "-o", tmp_path / long],
        # The photograph's name fits, but not with the style's name added.
        "result": [tiny_model, photograph(tmp_path / f"{'x' * 251}.png")],
    }
    code, out, err = run(capsys, *arguments[what])
    assert (code, out) == (1 if what in ("image", "result") else 2, "")
    assert_one_line(err, "xxx")


def test_a_pattern_that_the_shell_left_alone(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    for name in ("a.png", "b.png", "c.jpg", "odd[1].png"):
        photograph(tmp_path / name)
    code, out, _ = run(capsys, tiny_model, tmp_path / "[ab].png")
    assert (code, len(out.splitlines())) == (0, 2)
    # A name with brackets that is a file is that file.
    code, out, _ = run(capsys, tiny_model, tmp_path / "odd[1].png")
    assert (code, out.strip()) == (0, str(tmp_path / "odd[1]_tiny.png"))
    code, _, err = run(capsys, tiny_model, tmp_path / "*.tif")
    assert code == 2
    assert_one_line(err, "no file matches")


def test_a_folder_may_be_called_as_a_style(
    tmp_path: Path, tiny_model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    photograph(tmp_path / "starry" / "a.png")
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "--style", tiny_model, "starry", "-o", "out")[0] == 0


def test_the_same_file_by_two_names_is_painted_once(
    tmp_path: Path, tiny_model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    photograph(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, tiny_model, "a.png", tmp_path / "a.png", "./a.png", "-o", "out")
    assert (code, out, err) == (0, "out/a_tiny.png\n", [])


def test_names_that_differ_in_case_are_one_file_where_the_system_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert (batch.file_name(Path("out/A.png")) == batch.file_name(Path("out/a.png"))) == (
        sys.platform in ("win32", "darwin")
    )
    monkeypatch.setattr(sys, "platform", "darwin")
    assert batch.file_name(Path("out/A.png")) == batch.file_name(Path("out/a.png"))


@pytest.mark.parametrize("name", ["*.png", "[ab].png", "b.png", "c*.png"])
def test_brackets_of_a_folder_are_its_name(
    tmp_path: Path, tiny_model: Path, capsys: Capture, name: str
) -> None:
    folder = tmp_path / "Trip [2024]" / "day [1]"
    for one in ("a.png", "b.png"):
        photograph(folder / one)
    code, out, err = run(capsys, tiny_model, folder / name)
    expected = {"*.png": "ab", "[ab].png": "ab", "b.png": "b", "c*.png": ""}[name]
    assert [Path(line).stem[0] for line in out.splitlines()] == list(expected)
    assert (code, len(err)) == ((0, 0) if expected else (2, 1))


def test_a_missing_file_in_a_folder_with_brackets_is_no_pattern(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    (tmp_path / "Trip [2024]").mkdir()
    code, _, err = run(capsys, tiny_model, tmp_path / "Trip [2024]" / "a.png")
    assert code == 1
    assert_one_line(err, "a.png: ", "no such file")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--strength", "0", "--", "{}", "-a.png"],
        ["{}", "--strength", "0", "--", "-a.png"],
        ["--", "{}", "-a.png"],
        ["--style", "{}", "--", "-a.png", "--preserve-color"],
        ["{}", "b.png", "--", "-a.png"],
    ],
)
def test_what_follows_two_dashes_is_a_name(
    tmp_path: Path,
    tiny_model: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("-a.png", "b.png", "c.png"):
        photograph(tmp_path / name)
    (tmp_path / "c.png").rename(tmp_path / "--preserve-color")
    named = [one for one in arguments if one in ("-a.png", "b.png", "--preserve-color")]
    capsys.readouterr()
    code = main([one.replace("{}", str(tiny_model)) for one in arguments])
    out, err = capsys.readouterr()
    assert (code, messages(err.splitlines())) == (0, [])
    assert len(out.splitlines()) == len(named)
    assert (tmp_path / "-a_tiny.png").is_file()


@on_posix
def test_linked_folders_are_painted_each_once(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    photograph(tmp_path / "elsewhere" / "x.png")
    photograph(tmp_path / "photos" / "y.png")
    for name in ("linked", "again"):
        (tmp_path / "photos" / name).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos" / "round").symlink_to(tmp_path / "photos")
    out = tmp_path / "photos" / "out"
    code, _, err = run(capsys, tiny_model, tmp_path / "photos", "-o", out)
    assert (code, err) == (0, [])
    assert files_below(out) == {Path("y_tiny.png"), Path("again/x_tiny.png")}
    # Not its own results.
    code, _, err = run_to_the_end(capsys, tiny_model, tmp_path / "photos", "-o", out)
    assert code == 0
    assert_one_line(err, "0 painted, 2 kept")


def test_a_folder_that_cannot_be_looked_into_is_named(
    tmp_path: Path, tiny_model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    photograph(tmp_path / "photos" / "a.png")
    photograph(tmp_path / "photos" / "closed" / "b.png")
    scandir = os.scandir

    def closed(path: Any = ".") -> Any:
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    code, out, err = run(capsys, tiny_model, tmp_path / "photos", "-o", tmp_path / "out")
    assert (code, len(out.splitlines())) == (1, 1)
    assert_one_line(err, f"cannot read folder {tmp_path / 'photos' / 'closed'}: Permission denied")


@on_posix
def test_a_pipe_in_a_folder_is_one_line_and_no_hang(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    photograph(tmp_path / "photos" / "z.png")
    os.mkfifo(tmp_path / "photos" / "a.png")
    code, _, err = run(capsys, tiny_model, tmp_path / "photos", "-o", tmp_path / "out")
    assert code == 1
    assert_one_line(err, "a.png: it is a pipe")
    assert files_below(tmp_path / "out") == {Path("z_tiny.png")}

"""Standard input and output of ``stylize``."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from stylizing import Capture, assert_one_line, messages, on_posix, photograph, run
from support import ENVIRONMENT

from fast_style.images.reading import read_picture


def test_standard_input_and_output(tmp_path: Path, tiny_model: Path) -> None:
    image = photograph(tmp_path / "photo.png")
    command = [sys.executable, "-m", "fast_style.stylize", str(tiny_model), "-"]
    result = subprocess.run(
        command, input=image.read_bytes(), capture_output=True, env=ENVIRONMENT, check=True
    )
    (tmp_path / "out.png").write_bytes(result.stdout)
    assert read_picture(tmp_path / "out.png").rgb.shape == (1, 3, 33, 47)
    broken = subprocess.run(
        command, input=b"no picture", capture_output=True, env=ENVIRONMENT, check=False
    )
    assert (broken.returncode, broken.stdout) == (1, b"")
    assert b"cannot read the stream: not a picture" in broken.stderr


def test_standard_input_to_a_file(
    tmp_path: Path, tiny_model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = photograph(tmp_path / "a.png").read_bytes()
    output = tmp_path / "out.jpg"

    def given() -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))

    given()
    assert run(capsys, tiny_model, "-", "-o", output) == (0, f"{output}\n", [])
    assert read_picture(output).rgb.shape == (1, 3, 33, 47)
    given()
    code, out, _ = run(capsys, tiny_model, "-", "-o", output, "--overwrite", "--json")
    assert code == 0
    assert json.loads(out)["output"] == str(output)
    assert (json.loads(out)["style"], json.loads(out)["width"]) == ("tiny", 47)
    given()
    code, _, err = run(capsys, tiny_model, "-", "-o", output)
    assert code == 1
    assert_one_line(err, "out.jpg exists; --overwrite replaces it")
    code, _, err = run(capsys, "--sheet", tmp_path / "sheet.png", "-")
    assert code == 2
    assert_one_line(err, "a sheet is made of files")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_standard_output_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "fast_style.stylize", "--list"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            text=True,
            check=False,
        )
    assert result.returncode == 1
    assert_one_line(result.stderr.splitlines(), "No space left on device")


@pytest.mark.slow
@pytest.mark.parametrize("pictures", ["", "abc"])
def test_a_reader_that_has_seen_enough_is_no_error(
    tmp_path: Path, tiny_model: Path, pictures: str
) -> None:
    """Neither of the command's nor of a picture."""
    images = [str(photograph(tmp_path / f"{name}.png")) for name in pictures]
    arguments = [str(tiny_model), *images] if images else ["--list"]
    with subprocess.Popen(
        [sys.executable, "-m", "fast_style.stylize", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert messages(process.stderr.read().splitlines()) == []
    assert process.returncode == 1


@pytest.mark.slow
@on_posix
@pytest.mark.parametrize("closed", [">&- <&-", "2>&-", "<&- >&- 2>&-"])
def test_it_paints_without_standard_streams(tmp_path: Path, tiny_model: Path, closed: str) -> None:
    image, target = photograph(tmp_path / "photo.png"), tmp_path / "out.png"
    command = f'exec "$@" {closed}'
    arguments = ["-m", "fast_style.stylize", tiny_model, image, "-o", target, "--backend", "torch"]
    code = subprocess.call(["sh", "-c", command, "sh", sys.executable, *map(str, arguments)])
    assert code == 0
    assert read_picture(target).rgb.shape == (1, 3, 33, 47)


def test_a_closed_stream_is_no_place_for_a_picture(
    tmp_path: Path, tiny_model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = photograph(tmp_path / "photo.png")
    monkeypatch.setattr("fast_style.stylize.usable_streams", lambda: {"stdin", "stdout"})
    code, _, err = run(capsys, tiny_model, image, "-o", "-")
    assert code == 2
    assert_one_line(err, "standard output is closed")
    code, _, err = run(capsys, tiny_model, "-", "-o", tmp_path / "out.png")
    assert code == 2
    assert_one_line(err, "standard input is closed")

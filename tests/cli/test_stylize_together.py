"""Several processes of ``stylize`` that share the pictures of one folder."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stylizing import Capture, assert_one_line, files_below, photograph, run, run_to_the_end
from support import ENVIRONMENT

from fast_style.system.atomic import write_atomically
from fast_style.system.locked_files import Claims

PICTURES = 30


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fast_style.stylize", *map(str, arguments)]
    return subprocess.Popen(
        [*command, "--backend", "torch", "--device", "cpu", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT | {"OMP_NUM_THREADS": "1"},
    )


def results(said: str) -> list[str]:
    """Return what was painted, from lines of JSON."""
    return [one["output"] for one in map(json.loads, said.splitlines()) if "seconds" in one]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(PICTURES):
        photograph(tmp_path / "in" / f"{number:02}.png")
    return tmp_path / "in"


@pytest.mark.slow
@pytest.mark.parametrize("beside", [False, True], ids=["-o", "beside"])
def test_three_processes_make_each_result_once(
    tmp_path: Path, tiny_model: Path, photos: Path, beside: bool
) -> None:
    out = photos if beside else tmp_path / "out"
    named = [photos / "??.png"] if beside else [photos, "-o", out]
    processes = [start(tiny_model, *named) for _ in range(3)]
    said = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], said
    painted = [one for lines, _ in said for one in results(lines)]
    assert sorted(painted) == [str(out / f"{number:02}_tiny.png") for number in range(PICTURES)]
    assert {str(out / name) for name in files_below(out)} >= set(painted)
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.slow
def test_after_a_killed_process_the_same_command_makes_the_rest(
    tmp_path: Path, tiny_model: Path, photos: Path
) -> None:
    arguments = (tiny_model, photos, "-o", tmp_path / "out")
    processes = [start(*arguments, "--size", "300") for _ in range(3)]
    while not list(tmp_path.glob("out/*_tiny.png")):
        time.sleep(0.02)
    processes[0].kill()
    for process in processes:
        process.communicate(timeout=120)
    again = start(*arguments, "--size", "300")
    again.communicate(timeout=120)
    assert again.returncode == 0
    expected = {Path(f"{number:02}_tiny.png") for number in range(PICTURES)}
    assert files_below(tmp_path / "out") == expected  # and no claim


def test_what_another_process_paints_is_left_to_it(
    tmp_path: Path, tiny_model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fast_style.cli.batch.CLAIM_WAIT_S", 0)
    images = [photograph(tmp_path / f"{name}.png") for name in "abc"]
    other = Claims()
    assert other.take(tmp_path / "b_tiny.png")
    code, out, _ = run(capsys, tiny_model, *images, "--json")
    lines = {Path(one["input"]).stem: one for one in map(json.loads, out.splitlines())}
    assert (code, len(results(out)), len(lines)) == (0, 2, 3)
    assert lines["b"]["elsewhere"]
    other.close()
    assert run(capsys, tiny_model, *images)[1] == f"{tmp_path / 'b_tiny.png'}\n"
    assert not list(tmp_path.rglob(".*"))


def test_what_killed_processes_left_goes_also_when_nothing_is_left_to_paint(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    images = [photograph(tmp_path / f"{name}.png") for name in "ab"]
    run(capsys, tiny_model, *images)
    with write_atomically(tmp_path / "other.png") as mine:
        machine, mine_id = mine.name.removeprefix(".part-").split("-")[:2]
        left = tmp_path / f".part-{machine}-999999999-0123456789abcdef.png"
        living = tmp_path / f".part-{machine}-{mine_id}-0123456789abcdef.png"
        left.touch()
        living.touch()
        code, out, lines = run_to_the_end(capsys, tiny_model, *images)
        assert (code, out) == (0, ""), lines
        assert_one_line(lines, "0 painted, 2 kept")
        assert (left.exists(), living.exists(), mine.exists()) == (False, True, True)


def test_with_overwrite_nothing_is_claimed(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    images = [photograph(tmp_path / f"{name}.png") for name in "ab"]
    other = Claims()
    assert other.take(tmp_path / "b_tiny.png")
    assert len(run(capsys, tiny_model, *images, "--overwrite")[1].splitlines()) == 2
    other.close()

"""What is shown of work that takes long."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stylizing import on_posix, photograph
from support import ENVIRONMENT

from fast_style.cli import work_bar
from fast_style.cli.work_bar import WorkBar, beside_bar, short_name


class Terminal(io.StringIO):
    """Standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have seconds pass in hundredths."""
    monkeypatch.setattr(work_bar, "SLOW_S", 0.02)
    monkeypatch.setattr(work_bar, "TICK_S", 0.01)


def test_what_is_done_at_once_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    with WorkBar("test") as bar:
        bar.begin("painting", total=2)
        bar.advance(1)
    assert capsys.readouterr() == ("", "")


def test_without_a_terminal_there_are_a_few_lines(
    capsys: pytest.CaptureFixture[str], quick: None
) -> None:
    with WorkBar("test") as bar:
        bar.begin("loading starry")
        time.sleep(0.1)
        bar.begin("painting", total=100)
        for number in range(100):
            bar.show(f"painting {number}.jpg")
            time.sleep(0.01)
            bar.advance(1)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[0] == "fast_style.test: loading starry"
    assert 2 <= len(lines[1:]) <= work_bar.LINES
    assert all(line.startswith("fast_style.test: painting ") for line in lines[1:])


def test_on_a_terminal_it_lives_while_nothing_is_told(
    monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with WorkBar("test") as bar:
        bar.begin("painting 1/2 a.jpg", total=2)
        time.sleep(0.1)
        assert "painting 1/2 a.jpg [00:00]" in terminal.getvalue()
        bar.reach(1)
        time.sleep(0.1)
        assert "painting 1/2 a.jpg  50% |" in terminal.getvalue()
        with beside_bar():
            assert terminal.getvalue().endswith("\r")  # there is room for a line
    assert terminal.getvalue().endswith("\r")


@on_posix
@pytest.mark.slow
def test_the_command_shows_its_bar_from_the_first_second(tmp_path: Path, tiny_model: Path) -> None:
    pty = pytest.importorskip("pty")
    image = photograph(tmp_path / "photo.png", 3000, 3000)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "fast_style.stylize", tiny_model, image, "--device", "cpu"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=ENVIRONMENT | {"OMP_NUM_THREADS": "1"},
        text=True,
    ) as command:
        os.close(theirs)
        shown = _all_of(ours).decode()  # to the end: a terminal holds 4 KiB and then blocks
        told, _ = command.communicate()
    assert command.returncode == 0
    assert work_bar.STARTING in shown
    assert "painting photo.png" in shown
    assert told == f"{tmp_path / 'photo_tiny.png'}\n"


def _all_of(terminal: int) -> bytes:
    """Return all that is written into a terminal until its other end is closed."""
    read = b""
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # Linux' word for the end
            return read
        if not part:
            return read
        read += part


def test_a_name_beside_the_bar_is_short_and_printable() -> None:
    assert short_name(Path("in") / "a.jpg") == "a.jpg"
    assert "\n" not in short_name(Path("two\nlines\x1b[2J.jpg"))
    assert len(short_name(Path("x" * 250))) <= work_bar.MOST_LETTERS


def test_the_time_that_is_left_falls_while_a_long_step_is_done(
    monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    clock = [100.0]
    monkeypatch.setattr("fast_style.cli.work_bar.time.monotonic", lambda: clock[0])
    with WorkBar("test") as bar:
        bar.begin("painting", total=1)
        clock[0] += 10
        bar.advance(0.25)  # so the whole takes 40 s
        for passed_s in (0, 20, 30):
            clock[0] += passed_s
            time.sleep(0.1)
    assert "<00:30]" in terminal.getvalue()
    assert "<00:10]" in terminal.getvalue()
    assert "<00:00]" in terminal.getvalue()


def test_without_a_terminal_a_line_says_how_long_the_rest_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], quick: None
) -> None:
    clock = [100.0]
    monkeypatch.setattr("fast_style.cli.work_bar.time.monotonic", lambda: clock[0])
    with WorkBar("test") as bar:
        bar.begin("painting", total=1)
        clock[0] += 20
        time.sleep(0.1)
        bar.advance(0.2)
        time.sleep(0.1)
    expected = ["fast_style.test: painting", "fast_style.test: painting, 20%, 01:20 left"]
    assert capsys.readouterr().err.splitlines() == expected

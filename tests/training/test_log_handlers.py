"""The log's lines: on a full disk, on screens without all letters, and before a run is accepted."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fast_style.training.log_handlers import (
    Screen,
    TrainLog,
    begin_log,
    printable,
    printable_values,
)

NOT_UNICODE = os.fsdecode(b"gr\xfcn.jpg")
FULL = Path("/dev/full")


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """Return a logger of its own, whose handlers are closed afterwards."""
    logger = logging.Logger("test", logging.INFO)
    yield logger
    for handler in logger.handlers:
        handler.close()


def test_bytes_of_a_name_that_are_no_unicode_are_shown() -> None:
    assert printable(f"für {NOT_UNICODE}") == r"für gr\udcfcn.jpg"


def test_values_that_describe_a_model_are_unicode() -> None:
    given = {"style": {"image": NOT_UNICODE, "size": 64}, "names": [NOT_UNICODE], "none": None}
    shown = r"gr\udcfcn.jpg"
    expected = {"style": {"image": shown, "size": 64}, "names": [shown], "none": None}
    assert printable_values(given) == expected


def test_the_file_is_utf_8_and_takes_any_name(log: logging.Logger, tmp_path: Path) -> None:
    handler = TrainLog(str(tmp_path / "train.log"))
    log.addHandler(handler)
    handler.begin()
    log.info("für %s", NOT_UNICODE)
    assert (tmp_path / "train.log").read_bytes() == "für gr\\udcfcn.jpg\n".encode()


def test_nothing_is_written_before_the_run_is_accepted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "train.log"
    root = logging.Logger("root", logging.INFO)
    monkeypatch.setattr(logging, "root", root)
    root.addHandler(TrainLog(str(path)))
    root.info("held")
    assert not path.exists()
    begin_log()
    root.info("next")
    root.handlers[0].close()
    assert path.read_text() == "held\nnext\n"


@pytest.mark.skipif(not FULL.exists(), reason="no full device here")
def test_a_full_disk_is_said_once_and_ends_the_file_only(
    log: logging.Logger, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train.log").symlink_to(FULL)
    handler = TrainLog(str(tmp_path / "train.log"))
    log.addHandler(handler)
    handler.begin()
    for number in range(3):
        log.info("line %d", number)
    (line,) = capfd.readouterr().err.splitlines()
    assert f"cannot write {tmp_path / 'train.log'}: No space left on device" in line


def test_a_folder_that_cannot_be_written_is_said_once(
    log: logging.Logger, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    handler = TrainLog(str(tmp_path / "missing" / "train.log"))
    log.addHandler(handler)
    handler.begin()
    log.info("one")
    log.info("two")
    (line,) = capfd.readouterr().err.splitlines()
    assert "No such file or directory" in line


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_screen_shows_letters_that_it_lacks_with_backslashes(
    log: logging.Logger, encoding: str, capfd: pytest.CaptureFixture[str]
) -> None:
    written = io.BytesIO()
    shown = io.TextIOWrapper(written, encoding=encoding)
    log.addHandler(Screen(shown))
    log.info("%s 東", NOT_UNICODE)
    shown.flush()
    assert written.getvalue() == rb"gr\udcfcn.jpg \u6771" + b"\n"
    assert not capfd.readouterr().err


def test_a_screen_that_is_gone_is_said_once(
    log: logging.Logger, capfd: pytest.CaptureFixture[str]
) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    log.addHandler(Screen(Gone()))
    log.info("one")
    log.info("two")
    (line,) = capfd.readouterr().err.splitlines()
    assert "cannot write standard output: Broken pipe" in line


def test_a_mistake_in_a_call_is_shown_as_ever(
    log: logging.Logger, capfd: pytest.CaptureFixture[str]
) -> None:
    log.addHandler(Screen(sys.stdout))
    log.info("%d", "text")
    assert "TypeError" in capfd.readouterr().err

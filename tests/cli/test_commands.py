"""What the commands share."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fast_style import evaluate, export, optimize, reconstruct
from fast_style.cli.command import end


@pytest.mark.parametrize(
    ("main", "arguments"),
    [
        (optimize.main, ["no.jpg", "no.jpg", "-o", "OUT/a.png"]),
        (evaluate.main, ["starry", "--content", "OUT/none", "-o", "OUT/a.json"]),
        (reconstruct.main, ["style", "no.jpg", "-o", "OUT/a.png"]),
        (export.main, ["nothing", "OUT/a.pt"]),
    ],
    ids=["optimize", "evaluate", "reconstruct", "export"],
)
def test_a_command_outside_the_main_thread(
    main: Callable[[Sequence[str]], int],
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [argument.replace("OUT", str(tmp_path)) for argument in arguments]
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(main, given).result() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "signal" not in line


def test_a_signal_is_handled_as_before_when_a_command_has_ended() -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert end("test", lambda: int(signal.getsignal(signal.SIGTERM) == before)) == 0
    assert signal.getsignal(signal.SIGTERM) == before
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(end, "test", lambda: 7).result() == 7

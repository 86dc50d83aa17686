"""What one process makes, others leave to it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from support import ENVIRONMENT

from fast_style.system.locked_files import CLAIM_PREFIX, Claims, lock_file

HOLD = """
import sys, time
from pathlib import Path
from fast_style.system.locked_files import Claims
claims = Claims()
print(claims.take(Path(sys.argv[1])), flush=True)
time.sleep(60)
"""


def claims_below(folder: Path) -> list[Path]:
    return list(folder.rglob(f"{CLAIM_PREFIX}*"))


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Return another process that has claimed ``out/a.png``."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "out" / "a.png")],
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        yield process
        process.kill()


def test_a_result_is_one_processs(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    target, claims = tmp_path / "out" / "a.png", Claims()
    assert not claims.take(target)
    assert claims.take(target.with_name("b.png"))
    claims.close()
    assert len(claims_below(tmp_path)) == 1  # the other's
    holder.kill()
    holder.wait()
    assert claims.take(target)
    claims.let_go(target)
    assert not claims_below(tmp_path)


def test_what_a_killed_process_has_left_goes(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    assert len(claims_below(tmp_path)) == 1
    claims = Claims()
    claims.visit(tmp_path / "out" / "b.png")
    claims.close()
    assert not claims_below(tmp_path)


def test_a_claim_of_a_machine_that_is_gone_counts_for_a_day(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    (left,) = claims_below(tmp_path)
    os.utime(left, (0, 0))
    claims = Claims()
    assert claims.take(tmp_path / "out" / "a.png")
    claims.close()
    assert not claims_below(tmp_path)


def test_where_there_are_no_locks_everything_may_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def flock(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, "no locks here")

    monkeypatch.setattr(fcntl, "flock", flock)
    assert all(one.take(tmp_path / "a.png") for one in (Claims(), Claims()))
    assert not claims_below(tmp_path)
    (tmp_path / "file").touch()
    assert Claims().take(tmp_path / "file" / "a.png")


def test_a_claim_that_cannot_be_opened_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be another person's, who is at work."""
    path = tmp_path / "lock"
    path.touch()

    def refused(self: FileLock) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(FileLock, "acquire", refused)
    assert lock_file(path) is None
    assert path.is_file()

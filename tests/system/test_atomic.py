"""A file is there whole, or as it was."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

import pytest
from support import ENVIRONMENT

from fast_style.system.atomic import (
    TargetExistsError,
    UnwritableFolderError,
    _machine,
    check_folder,
    check_free,
    write_atomically,
)

on_posix = pytest.mark.skipif(os.name != "posix", reason="POSIX's")


def write(path: Path, text: str = "new", replace: bool = True) -> None:
    with write_atomically(path, replace) as temporary:
        temporary.write_text(text)


def refusing(number: int) -> object:
    """Return a function that fails as the system's calls do."""

    def refuse(*arguments: object, **options: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return refuse


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# What is there already


@pytest.mark.parametrize("links", [True, False])
def test_what_appears_during_the_work_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", refusing(errno.EPERM))
    path = tmp_path / "a.txt"
    with pytest.raises(TargetExistsError, match=r"a\.txt exists; --overwrite"):  # noqa: PT012, SIM117
        with write_atomically(path, replace=False) as temporary:
            temporary.write_text("new")
            path.write_text("dear")
    assert path.read_text() == "dear"
    assert names(tmp_path) == {"a.txt"}
    write(path)
    assert path.read_text() == "new"


@pytest.mark.parametrize("links", [True, False])
def test_a_free_name_is_written_without_replacing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", refusing(errno.EOPNOTSUPP))
    write(tmp_path / "a.txt", replace=False)
    assert (tmp_path / "a.txt").read_text() == "new"
    assert names(tmp_path) == {"a.txt"}


def test_a_name_that_was_taken_for_a_file_is_free_again_if_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", refusing(errno.EPERM))
    monkeypatch.setattr(Path, "replace", refusing(errno.EIO))
    with pytest.raises(OSError, match=r"a\.txt"):
        write(tmp_path / "a.txt", replace=False)
    assert not names(tmp_path)


def test_a_check_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_free(tmp_path / "new" / "folder" / "a.txt", overwrite=False)
    write(tmp_path / "a.txt")
    with pytest.raises(ValueError, match="--overwrite replaces it"):
        check_free(tmp_path / "a.txt", overwrite=False)
    check_free(tmp_path / "a.txt", overwrite=True)
    with pytest.raises(ValueError, match=r"a\.txt is no folder that can be written"):
        check_free(tmp_path / "a.txt" / "b.txt", overwrite=False)
    monkeypatch.setattr(os, "access", lambda *arguments: False)  # a disk for reading only
    with pytest.raises(ValueError, match=f"{tmp_path.name} is no folder that can be written"):
        check_free(tmp_path / "new.txt", overwrite=False)


# File systems


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_modes_and_flushing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    for call in ("chmod", "fsync"):
        monkeypatch.setattr(os, call, refusing(number))
    monkeypatch.setattr(os, "chmod", refusing(errno.EPERM))
    write(tmp_path / "a.txt")
    assert names(tmp_path) == {"a.txt"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_flush_that_fails_is_an_error_that_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    write(tmp_path / "a.txt", "old")
    monkeypatch.setattr(os, "fsync", refusing(number))
    with pytest.raises(OSError, match=r"a\.txt") as caught:
        write(tmp_path / "a.txt")
    expected = f"[Errno {number}] {os.strerror(number)}: {str(tmp_path / 'a.txt')!r}"
    assert str(caught.value) == expected
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == {"a.txt"}


@pytest.mark.parametrize("call", ["close", "open"])
def test_a_file_that_cannot_be_begun_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, call, refusing(errno.EDQUOT))
        with pytest.raises(OSError, match=r"a\.txt"):
            write(tmp_path / "a.txt")
    assert not names(tmp_path)


def test_a_rename_that_fails_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(OSError, match=r"a\.txt") as caught:
        write(tmp_path / "a.txt")
    assert ".part" not in str(caught.value)
    assert "->" not in str(caught.value)
    assert names(tmp_path) == {"a.txt"}


def test_the_first_error_is_said_if_clearing_up_fails_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", refusing(errno.EIO))
    monkeypatch.setattr(Path, "unlink", refusing(errno.EROFS))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        write(tmp_path / "a.txt")


def test_the_umask_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # It is the process's: another thread's file would be made without it.
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the umask was changed"))
    write(tmp_path / "a.txt")


# What is left behind


@on_posix
def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\n"
        "from fast_style.system.atomic import write_atomically\n"
        "with write_atomically(Path(sys.argv[1])):\n    os.kill(os.getpid(), 9)"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path / "a.txt")]
    done = subprocess.run(arguments, env=ENVIRONMENT, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert [name.startswith(".part-") for name in names(tmp_path)] == [True]
    write(tmp_path / "b.txt")
    assert names(tmp_path) == {"b.txt"}


def test_what_a_living_process_writes_is_kept(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from fast_style.system.atomic import write_atomically\n"
        "with write_atomically(Path(sys.argv[1])) as temporary:\n"
        "    print('begun', flush=True)\n    sys.stdin.readline()\n"
        "    temporary.write_text('whole')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "a.txt")],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        for part in tmp_path.iterdir():
            os.utime(part, (0, 0))
        before = names(tmp_path)
        write(tmp_path / "b.txt")
        assert names(tmp_path) == before | {"b.txt"}
        process.communicate("\n", timeout=60)
    assert (tmp_path / "a.txt").read_text() == "whole"
    assert names(tmp_path) == {"a.txt", "b.txt"}


def test_another_machines_are_kept_for_a_day(tmp_path: Path) -> None:
    number = "0123456789abcdef"
    new, old = (tmp_path / f".part-{machine}-7-{number}.png" for machine in ("0" * 8, "1" * 8))
    others = [tmp_path / ".part-mine", tmp_path / f"part-{'0' * 8}-7-{number}.png"]
    for path in (new, old, *others):
        path.write_text("half")
    for path in (old, *others):
        long_ago_s = time.time() - 90000
        os.utime(path, (long_ago_s, long_ago_s))
    write(tmp_path / "a.txt")
    assert names(tmp_path) == {"a.txt", new.name, *(other.name for other in others)}


def test_a_number_that_no_process_has_is_no_error(tmp_path: Path) -> None:
    left = tmp_path / f".part-{_machine()}-9999999999-0123456789abcdef"
    left.write_text("half")
    write(tmp_path / "a.txt")
    assert "a.txt" in names(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="of /proc")
def test_a_file_system_that_takes_no_files_is_told_before_the_work() -> None:
    """An administrator may write there by its permissions."""
    with pytest.raises(UnwritableFolderError, match="/proc"):
        check_folder(Path("/proc/out/a.png"), Path("/proc/out"))


def test_a_folder_is_tried_without_leaving_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = os.close

    def full_disk(number: int) -> None:
        close(number)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "close", full_disk)
    with pytest.raises(UnwritableFolderError, match="takes no files: Input/output error"):
        check_folder(tmp_path / "a.png", tmp_path)
    monkeypatch.undo()
    check_folder(tmp_path / "a.png", tmp_path)
    assert list(tmp_path.iterdir()) == []

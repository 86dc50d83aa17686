from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import filelock
import pytest

from fast_style.training.lock import LOCK, FolderInUse, hold, let_go, remove_parts


@pytest.fixture(autouse=True)
def none_is_held() -> Iterator[None]:
    yield
    let_go()


def test_a_folder_is_one_holders(tmp_path: Path) -> None:
    assert hold(tmp_path)
    assert hold(tmp_path / "." / ".." / tmp_path.name)  # this one's
    with pytest.raises(filelock.Timeout):
        filelock.FileLock(tmp_path / LOCK, timeout=0).acquire()
    let_go()
    assert not list(tmp_path.iterdir())
    with (
        filelock.FileLock(tmp_path / LOCK, timeout=0),
        pytest.raises(FolderInUse, match=re.escape(str(tmp_path))),
    ):
        hold(tmp_path)


def test_a_folder_that_is_let_go_of_alone(tmp_path: Path) -> None:
    for name in ("sweep", "run"):
        (tmp_path / name).mkdir()
        hold(tmp_path / name)
    let_go(tmp_path / "run")
    assert [path.parent.name for path in tmp_path.glob(f"*/{LOCK}")] == ["sweep"]


def test_what_a_killed_process_has_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / LOCK).touch()
    assert hold(tmp_path)


@pytest.mark.parametrize("number", ["ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def test_without_locks_nothing_is_held(
    number: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")
    errno = pytest.importorskip("errno")

    def flock(*arguments: object) -> None:
        raise OSError(getattr(errno, number), "no locks here")

    monkeypatch.setattr(fcntl, "flock", flock)
    assert not hold(tmp_path)
    assert not hold(tmp_path / "nowhere")


def test_half_written_files_are_removed_and_no_others(tmp_path: Path) -> None:
    names = [".part-a.ckpt", "checkpoints/.part-b.ckpt", "tensorboard/.part-c", ".hydra/.part-d"]
    others = ["a.part-x", "mine.safetensors", "checkpoints/last.ckpt", "deep/er/.part-e"]
    for name in (*names, *others, ".part-folder/mine"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    remove_parts(tmp_path)
    assert not any((tmp_path / name).exists() for name in names)
    assert all((tmp_path / name).exists() for name in (*others, ".part-folder/mine"))

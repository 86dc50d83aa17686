"""Which files are found in a folder."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from fast_style.system.folders import walk_folders

on_posix = pytest.mark.skipif(os.name != "posix", reason="POSIX's")


def found(folder: Path, *skip: Path) -> list[str]:
    """Return the files of ``walk_folders``, in its order, below ``folder``."""
    return [
        (here / name).relative_to(folder).as_posix()
        for here, listed in walk_folders(folder, skip)
        for name in listed
    ]


def test_files_come_by_name_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b/2", "b/c/3", "a/1", "0", "z", ".hidden", ".folder/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert found(tmp_path) == ["0", "z", "a/1", "b/2", "b/c/3"]
    assert found(tmp_path, tmp_path / "b") == ["0", "z", "a/1"]
    assert found(tmp_path / ".folder") == ["x"]
    assert found(tmp_path, tmp_path)  # where it begins is looked into in any case


@on_posix
def test_links_are_followed_each_folder_once(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x").write_bytes(b"")
    inside = tmp_path / "photos" / "real"
    inside.mkdir(parents=True)
    (inside / "y").write_bytes(b"")
    (tmp_path / "photos" / "a_link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos" / "again").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos" / "a_real").symlink_to(inside)  # the real folder's own name is used
    (inside / "round").symlink_to(tmp_path / "photos")
    (inside / "itself").symlink_to(inside / "itself")
    assert found(tmp_path / "photos") == ["real/itself", "real/y", "a_link/x"]


def test_a_folder_that_cannot_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(b"")
    scandir = os.scandir

    def closed(path: Path) -> object:
        if Path(path).name == "a":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    errors: list[OSError] = []
    walked = list(walk_folders(tmp_path, (), errors.append))
    assert [listed for _, listed in walked] == [[], ["file"]]
    assert [error.filename for error in errors] == [str(tmp_path / "a")]


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    errors: list[OSError] = []
    assert list(walk_folders(tmp_path / "none", (), errors.append)) == []
    assert len(errors) == 1

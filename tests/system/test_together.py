"""Files that belong together: all new, or all as they were."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fast_style.system.together import write_together


@pytest.fixture
def drafts(tmp_path: Path) -> list[Path]:
    """Return two finished files that are to replace two of an older pair."""
    folder = tmp_path / "drafts"
    folder.mkdir()
    result = [folder / "m.bin", folder / "m.xml"]
    for draft in result:
        draft.write_text(f"new {draft.suffix}")
    return result


def pair(folder: Path, age: str) -> Path:
    folder.mkdir()
    for name in ("m.bin", "m.xml"):
        (folder / name).write_text(f"{age} {Path(name).suffix}")
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


OLD, NEW = ({f"m{end}": f"{age} {end}" for end in (".bin", ".xml")} for age in ("old", "new"))


def test_a_pair_replaces_a_pair(tmp_path: Path, drafts: list[Path]) -> None:
    folder = pair(tmp_path / "models", "old")
    write_together(drafts, folder, overwrite=True)
    assert contents(folder) == NEW


@pytest.mark.parametrize("linked", [True, False])
@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_renaming_that_fails(
    failing: int, linked: bool, tmp_path: Path, drafts: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, empty = pair(tmp_path / "models", "old"), tmp_path / "empty"
    empty.mkdir()
    replace, done = Path.replace, []

    def fails(path: Path, target: Path) -> Path:
        if target.name.startswith("m.") and path.name.startswith(".part-"):
            done.append(target)
            if len(done) == failing + 1:
                raise OSError(5, "Input/output error")
        return replace(path, target)

    def refuse(*paths: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "replace", fails)
    if not linked:
        monkeypatch.setattr(os, "link", refuse)
    if failing < len(drafts):
        with pytest.raises(OSError, match="Input/output error"):
            write_together(drafts, folder, overwrite=True)
        assert contents(folder) == OLD
        done.clear()
        with pytest.raises(OSError, match="Input/output error"):
            write_together(drafts, empty, overwrite=True)
        assert contents(empty) == {}
    else:
        write_together(drafts, folder, overwrite=True)
        assert contents(folder) == NEW


def test_killed_between_two_renamings(
    tmp_path: Path, drafts: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pair(tmp_path / "models", "old")
    seen: list[dict[str, str]] = []
    replace = Path.replace

    def looks(path: Path, target: Path) -> Path:
        seen.append(contents_below(folder))
        result = replace(path, target)
        seen.append(contents_below(folder))
        return result

    monkeypatch.setattr(Path, "replace", looks)
    write_together(drafts, folder, overwrite=True)
    assert len(seen) == 4
    for state in seen:
        here = {name: text for name, text in state.items() if "/" not in name}
        assert here == NEW or "m.xml" not in here  # never another's .bin beside an .xml
        # The old pair is there by its own names in a folder, whole.
        kept = {name.rpartition("/")[2]: text for name, text in state.items() if "/" in name}
        assert kept == OLD


def contents_below(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".part-")
    }


def test_a_file_that_has_appeared_is_kept(tmp_path: Path, drafts: list[Path]) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "m.xml").write_text("another's")
    with pytest.raises(FileExistsError, match="m.xml exists; --overwrite replaces it"):
        write_together(drafts, folder, overwrite=False)
    assert contents(folder) == {"m.xml": "another's"}


def test_links_stay(tmp_path: Path, drafts: list[Path]) -> None:
    folder, names = pair(tmp_path / "models", "old"), tmp_path / "names"
    names.mkdir()
    for name in OLD:
        (names / name).symlink_to(folder / name)
    write_together(drafts, names, overwrite=True)
    assert all((names / name).is_symlink() for name in OLD)
    assert contents(folder) == NEW

"""What ``stylize`` does when a picture fails, the disk is full, or it is interrupted."""

from __future__ import annotations

import errno
import io
import os
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from stylizing import (
    KINDS,
    Capture,
    assert_one_line,
    broken,
    files_below,
    interrupt_at_width,
    photograph,
    run,
)

from fast_style.cli import batch
from fast_style.images.picture import Picture
from fast_style.images.writing import write_clip
from fast_style.painting import painter
from fast_style.painting.style import Style
from fast_style.stylize import main


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_that_cannot_be_done(
    tmp_path: Path, tiny_model: Path, capsys: Capture, kind: str
) -> None:
    path = broken(tmp_path, kind)
    before = files_below(tmp_path)
    code, out, err = run(capsys, tiny_model, path)
    # A folder without -o is wrong use: its results would lie between its pictures.
    assert (code, out) == (2 if kind == "folder" else 1, "")
    assert_one_line(err, str(path))
    assert files_below(tmp_path) == before


def test_one_failure_does_not_stop_the_others(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    good = [photograph(tmp_path / "first.png"), photograph(tmp_path / "last.png")]
    code, out, err = run(capsys, tiny_model, good[0], broken(tmp_path, "words"), good[1])
    assert code == 1
    assert out.splitlines() == [str(tmp_path / f"{name}_tiny.png") for name in ("first", "last")]
    assert_one_line(err, "words.png")


def test_all_failures_are_told(tmp_path: Path, tiny_model: Path, capsys: Capture) -> None:
    paths = [broken(tmp_path, kind) for kind in KINDS if kind != "folder"]
    code, out, err = run(capsys, tiny_model, *paths)
    assert (code, out) == (1, "")
    assert len(err) == len(paths)
    for path, line in zip(paths, err, strict=True):
        assert line.startswith("fast_style.stylize: ")
        assert str(path) in line


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA out of memory.\nTried to allocate 20 GiB.\n"),
        MemoryError("Unable to allocate 20 GiB"),
    ],
)
def test_memory_that_runs_out_at_one_picture(
    tmp_path: Path,
    tiny_model: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    large = photograph(tmp_path / "large.png", 60, 40)
    small = photograph(tmp_path / "small.png", 40, 40)
    paint = Style.paint_picture

    def paint_small(style: Style, picture: Picture, *arguments: Any) -> Picture:
        if picture.levels.shape[-1] == 60:
            raise error
        return paint(style, picture, *arguments)

    monkeypatch.setattr(Style, "paint_picture", paint_small)
    code, out, err = run(capsys, tiny_model, large, small)
    assert (code, out) == (1, f"{tmp_path / 'small_tiny.png'}\n")
    assert_one_line(err, "cannot stylise", str(large), "llocate 20 GiB")


def test_a_full_disk(
    tmp_path: Path, tiny_model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = photograph(tmp_path / "photo.png")

    def full_disk(image: Image.Image, target: Path, **options: object) -> None:
        Path(target).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    code, out, err = run(capsys, tiny_model, image)
    assert (code, out) == (1, "")
    assert_one_line(err, "photo_tiny.png", "No space left on device")
    assert files_below(tmp_path) == {Path("photo.png")}


def test_a_folder_that_cannot_be_written(tmp_path: Path, tiny_model: Path, capsys: Capture) -> None:
    image = photograph(tmp_path / "photo.png")
    (tmp_path / "file").write_bytes(b"kept")
    for target in ("file/out.png", "file/folder"):
        code, out, err = run(capsys, tiny_model, image, "-o", tmp_path / target)
        assert (code, out) == (1, "")
        assert_one_line(err, "cannot write", str(tmp_path / target))
    assert files_below(tmp_path) == {Path("photo.png"), Path("file")}


def test_a_folder_that_cannot_be_written_is_told_once_before_the_work(
    tmp_path: Path, tiny_model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Style, "paint_picture", lambda *_: pytest.fail("the work was begun"))
    images = [photograph(tmp_path / f"{name}.png") for name in "abc"]
    (tmp_path / "file").write_bytes(b"kept")
    for target in ("file", "file/folder"):
        code, out, err = run(capsys, tiny_model, *images, "-o", f"{tmp_path / target}/")
        assert (code, out) == (2 if target == "file" else 1, "")
        assert_one_line(err, str(tmp_path / "file"))


def test_folders_beside_that_cannot_be_written_are_told_before_the_work(
    tmp_path: Path, tiny_model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed, image = photograph(tmp_path / "closed" / "a.png"), photograph(tmp_path / "b.png")
    access, paint = os.access, Style.paint_picture
    monkeypatch.setattr(
        os, "access", lambda path, mode: Path(path).name != "closed" and access(path, mode)
    )
    painted: list[Picture] = []

    def paint_one(style: Style, picture: Picture, *arguments: Any) -> Picture:
        painted.append(picture)
        return paint(style, picture, *arguments)

    monkeypatch.setattr(Style, "paint_picture", paint_one)
    code, out, err = run(capsys, tiny_model, closed, image)
    assert (code, out, len(painted)) == (1, f"{tmp_path / 'b_tiny.png'}\n", 1)
    assert_one_line(err, "cannot write", str(tmp_path / "closed" / "a_tiny.png"))


def test_a_message_keeps_the_spaces_of_a_name(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    code, _, err = run(capsys, tiny_model, tmp_path / "two  spaces.png")
    assert code == 1
    assert_one_line(err, "two  spaces.png")


@pytest.mark.parametrize("name", ["out.psd", "out.txt", "out.bmp"])
def test_an_extension_that_cannot_be_written_is_told_before_the_work(
    tmp_path: Path,
    tiny_model: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setattr(Style, "paint", lambda style, rgb: pytest.fail("the work was begun"))
    image = photograph(tmp_path / "photo.png")
    code, out, err = run(capsys, tiny_model, image, "-o", tmp_path / name)
    assert (code, out) == (2, "")
    assert_one_line(err, name, ".png, .jpg, .jpeg, .webp")
    assert files_below(tmp_path) == {Path("photo.png")}


def appearing(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Have somebody write ``path`` while a picture is painted."""
    paint = Style.paint_picture

    def paint_late(style: Style, *arguments: Any) -> Picture:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"dear to me")
        return paint(style, *arguments)

    monkeypatch.setattr(Style, "paint_picture", paint_late)


@pytest.mark.parametrize("way", ["beside", "-o", "--sheet", "stream", "folder"])
def test_a_file_that_appears_during_the_work_is_kept(
    tmp_path: Path,
    tiny_model: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    image, target = photograph(tmp_path / "in" / "photo.png"), tmp_path / "out.png"
    arguments: list[object] = [tiny_model, image, "-o", target]
    if way == "beside":
        arguments, target = [tiny_model, image], tmp_path / "in" / "photo_tiny.png"
    elif way == "--sheet":
        arguments = ["--sheet", target, "--style", tiny_model, image]
    elif way == "folder":
        target = tmp_path / "out" / "photo_tiny.png"
        arguments = [tiny_model, tmp_path / "in", "-o", tmp_path / "out"]
    elif way == "stream":
        data = image.read_bytes()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        arguments = [tiny_model, "-", "-o", target]
    appearing(monkeypatch, target)
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (1, "")
    assert_one_line(err, f"{target} exists; --overwrite replaces it")
    assert target.read_bytes() == b"dear to me"
    assert not [path for path in files_below(tmp_path) if path.name.startswith(".")]
    if way != "stream":
        assert run(capsys, *arguments, "--overwrite")[0] == 0
        assert target.read_bytes() != b"dear to me"


class DecoderError(Exception):
    """Of no kind that could be foreseen."""


@pytest.mark.parametrize(
    "error",
    [
        DecoderError("bad block"),
        AssertionError(),
        zlib.error("incorrect data check"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        RecursionError("maximum recursion depth exceeded"),
        OverflowError("too large"),
        KeyError("colour"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("job", ["read_clip", "write_clip"])
def test_an_error_of_any_kind_at_one_picture_leaves_the_others(
    tmp_path: Path,
    tiny_model: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    job: str,
) -> None:
    images = [photograph(tmp_path / f"{name}.png") for name in "abc"]
    home = painter if job == "read_clip" else batch
    do = getattr(home, job)

    def failing(path: Path, *arguments: object, **options: object) -> object:
        if path.name.startswith("b"):
            raise error
        return do(path, *arguments, **options)

    monkeypatch.setattr(home, job, failing)
    code, out, err = run(capsys, tiny_model, *images)
    assert (code, len(out.splitlines())) == (1, 2)
    assert_one_line(err, str(images[1]), str(error) or type(error).__name__)


def test_a_runtimes_own_error_at_one_picture_leaves_the_others(
    tmp_path: Path, tiny_model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint = Style.paint_picture

    def failing(style: Style, picture: Picture, *arguments: Any) -> Picture:
        if picture.levels.shape[-1] == 60:
            raise DecoderError("no memory in the runtime")
        return paint(style, picture, *arguments)

    monkeypatch.setattr(Style, "paint_picture", failing)
    images = [photograph(tmp_path / "a.png", 60), photograph(tmp_path / "b.png")]
    code, out, err = run(capsys, tiny_model, *images)
    assert (code, out) == (1, f"{tmp_path / 'b_tiny.png'}\n")
    assert_one_line(err, str(images[0]), "DecoderError no memory in the runtime")


def test_a_fault_of_the_program_is_not_taken_for_a_pictures(
    tmp_path: Path, tiny_model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint = Style.paint_picture

    def faulty(style: Style, picture: Picture, *arguments: Any) -> Picture:
        if picture.levels.shape[-1] == 60:
            raise AttributeError("no such attribute")
        return paint(style, picture, *arguments)

    monkeypatch.setattr(Style, "paint_picture", faulty)
    images = [photograph(tmp_path / "a.png"), photograph(tmp_path / "b.png", 60)]
    capsys.readouterr()
    with pytest.raises(AttributeError):
        main([str(tiny_model), *map(str, images), "--device", "cpu"])
    assert capsys.readouterr().out == f"{tmp_path / 'a_tiny.png'}\n"  # it was done, and is said


def test_what_is_done_when_it_is_interrupted_is_shown(
    tmp_path: Path, tiny_model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_at_width(60, monkeypatch)

    def slow(*arguments: Any) -> None:
        time.sleep(0.3)
        write_clip(*arguments)

    monkeypatch.setattr(batch, "write_clip", slow)
    images = [photograph(tmp_path / "a.png"), photograph(tmp_path / "b.png", 60)]
    code, out, err = run(capsys, tiny_model, *images)
    assert (code, out) == (130, f"{tmp_path / 'a_tiny.png'}\n")
    assert_one_line(err, "interrupted")

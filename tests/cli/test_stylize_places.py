"""Where ``stylize`` puts its pictures, in which order, and which files it keeps."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from stylizing import (
    Capture,
    assert_one_line,
    files_below,
    on_posix,
    photograph,
    run,
    run_to_the_end,
)
from support import TINY_NETWORK

from fast_style.cli.inputs import Input, result_path
from fast_style.images.picture import Picture
from fast_style.images.reading import read_picture
from fast_style.models.network import build_network
from fast_style.models.style_file import save_style_model
from fast_style.painting.style import Style


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("photo.png", "photo_tiny.png"),
        ("photo.jpg", "photo_tiny.jpg"),
        ("PHOTO.JPG", "PHOTO_tiny.JPG"),
        ("photo.jpeg", "photo_tiny.jpeg"),
        ("photo.webp", "photo_tiny.webp"),
        ("photo.gif", "photo_tiny.gif"),
        ("photo.bmp", "photo_tiny.png"),
        ("photo.tiff", "photo_tiny.tiff"),
        ("my.photo.png", "my.photo_tiny.png"),
    ],
)
def test_a_picture_goes_beside_its_photograph(
    tmp_path: Path, tiny_model: Path, capsys: Capture, name: str, expected: str
) -> None:
    image = photograph(tmp_path / "folder" / name)
    code, out, err = run(capsys, tiny_model, image)
    assert (code, err) == (0, [])
    assert out == f"{tmp_path / 'folder' / expected}\n"
    assert files_below(tmp_path) == {Path("folder") / name, Path("folder") / expected}
    with Image.open(tmp_path / "folder" / expected) as stylized:
        assert stylized.size == (47, 33)
        kinds = {".png": "PNG", ".webp": "WEBP", ".tiff": "TIFF", ".gif": "GIF"}
        assert stylized.format == kinds.get(Path(expected).suffix, "JPEG")


def test_a_relative_path(
    tmp_path: Path, tiny_model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    photograph(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    assert run(capsys, tiny_model, "photo.png") == (0, "photo_tiny.png\n", [])
    assert (tmp_path / "photo_tiny.png").is_file()


@pytest.mark.parametrize("name", ["out.png", "out.jpg", "out.WEBP", "new/folder/out.jpeg"])
def test_a_named_file(tmp_path: Path, tiny_model: Path, capsys: Capture, name: str) -> None:
    image = photograph(tmp_path / "photo.png")
    code, out, err = run(capsys, tiny_model, image, "-o", tmp_path / name)
    assert (code, out, err) == (0, f"{tmp_path / name}\n", [])
    assert files_below(tmp_path) == {Path("photo.png"), Path(name)}
    assert read_picture(tmp_path / name).rgb.shape == (1, 3, 33, 47)


def test_options_may_stand_anywhere(tmp_path: Path, tiny_model: Path, capsys: Capture) -> None:
    image = photograph(tmp_path / "photo.png")
    code, out, err = run(capsys, tiny_model, "--overwrite", image, "--strength", "0.5")
    assert (code, out, err) == (0, f"{tmp_path / 'photo_tiny.png'}\n", [])


@pytest.mark.parametrize(("name", "exists"), [("out", True), ("out.d", True), ("new/out", False)])
@pytest.mark.parametrize("many", [False, True])
def test_a_named_folder(
    tmp_path: Path, tiny_model: Path, capsys: Capture, name: str, exists: bool, many: bool
) -> None:
    images = [photograph(tmp_path / "a.png"), photograph(tmp_path / "b.gif")][: 1 + many]
    folder = tmp_path / name
    if exists:
        folder.mkdir(parents=True)
    code, out, err = run(capsys, tiny_model, *images, "--output", folder)
    expected = ["a_tiny.png", "b_tiny.gif"][: 1 + many]
    assert (code, err) == (0, [])
    assert out.splitlines() == [str(folder / file) for file in expected]
    assert {path.name for path in folder.iterdir()} == set(expected)


def test_several_pictures_make_any_new_name_a_folder(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    images = [photograph(tmp_path / "a.png"), photograph(tmp_path / "b.png")]
    code, out, err = run(capsys, tiny_model, *images, "-o", tmp_path / "out.d")
    assert (code, err) == (0, [])
    assert out.splitlines() == [str(tmp_path / "out.d" / f"{name}_tiny.png") for name in "ab"]


def test_several_pictures_are_done_in_order(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    images = [photograph(tmp_path / f"{name}.png", 40 + i) for i, name in enumerate("cab")]
    code, out, err = run(capsys, tiny_model, *images)
    assert (code, err) == (0, [])
    assert out.splitlines() == [str(tmp_path / f"{name}_tiny.png") for name in "cab"]
    for i, path in enumerate(out.splitlines()):
        assert read_picture(path).rgb.shape[-1] == 40 + i


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_pictures_of_the_same_name_do_not_replace_each_other(
    tmp_path: Path, tiny_model: Path, capsys: Capture, overwrite: list[str]
) -> None:
    images = [
        photograph(tmp_path / "x" / "photo.png", 40),
        photograph(tmp_path / "y" / "photo.png", 50),
    ]
    result = tmp_path / "out" / "photo_tiny.png"
    code, out, err = run(capsys, tiny_model, *images, "-o", tmp_path / "out", *overwrite)
    assert (code, out) == (1, f"{result}\n")
    assert_one_line(
        err, f"cannot stylise {images[1]}: its result would be {result}", str(images[0])
    )
    assert read_picture(result).rgb.shape[-1] == 40


def test_a_folder_that_goes_on_still_names_the_pictures_of_the_same_name(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    for name in "xy":
        photograph(tmp_path / name / "photo.png")
    for done in (1, 0):
        folders = (tmp_path / "x", tmp_path / "y", "-o", tmp_path / "out")
        code, out, err = run(capsys, tiny_model, *folders)
        assert (code, len(out.splitlines())) == (1, done)
        assert_one_line(err, f"cannot stylise {tmp_path / 'y' / 'photo.png'}: ")


def test_result_path() -> None:
    photo = Input(Path("in/a/photo.bmp"), Path("a"))
    assert result_path(photo, None, "tiny", False) == Path("in/a/photo_tiny.png")
    assert result_path(photo, Path("out"), "tiny", True) == Path("out/a/photo_tiny.png")
    assert result_path(photo, Path("out.jpg"), "tiny", False) == Path("out.jpg")


@pytest.mark.parametrize("name", ["a/b", "/../../evil", "../evil", "..", "/", "a\\b", "a\nb"])
def test_a_styles_name_cannot_lead_out_of_the_folder(
    tmp_path: Path, capsys: Capture, name: str
) -> None:
    """The name comes from the model file, which may be a stranger's."""
    model = tmp_path / "models" / "stranger.safetensors"
    save_style_model(
        model, build_network(TINY_NETWORK), {"network": TINY_NETWORK, "style": {"name": name}}
    )
    image = photograph(tmp_path / "deep" / "folder" / "photo.png")
    before = set(tmp_path.rglob("*"))
    code, _, err = run(capsys, model, image)
    assert {path.parent for path in set(tmp_path.rglob("*")) - before} <= {image.parent}
    if code != 0:
        assert_one_line(err)


def test_a_file_that_exists_is_kept(tmp_path: Path, tiny_model: Path, capsys: Capture) -> None:
    image = photograph(tmp_path / "photo.png")
    target = tmp_path / "photo_tiny.png"
    target.write_bytes(b"dear to me")
    code, out, err = run(capsys, tiny_model, image)
    assert (code, out) == (1, "")
    assert_one_line(err, str(target), "--overwrite")
    assert target.read_bytes() == b"dear to me"
    code, out, err = run(capsys, tiny_model, image, "-o", target)
    assert (code, out) == (1, "")
    assert_one_line(err, str(target), "--overwrite")
    assert target.read_bytes() == b"dear to me"


def test_overwrite_replaces_it(tmp_path: Path, tiny_model: Path, capsys: Capture) -> None:
    image = photograph(tmp_path / "photo.png")
    target = tmp_path / "photo_tiny.png"
    target.write_bytes(b"no longer dear")
    assert run(capsys, tiny_model, image, "--overwrite") == (0, f"{target}\n", [])
    assert read_picture(target).rgb.shape == (1, 3, 33, 47)
    assert files_below(tmp_path) == {Path("photo.png"), Path("photo_tiny.png")}


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
@pytest.mark.parametrize("option", ["-o", "--sheet"])
def test_a_photograph_is_not_overwritten_by_its_result(
    tmp_path: Path, tiny_model: Path, capsys: Capture, overwrite: list[str], option: str
) -> None:
    image = photograph(tmp_path / "photo.png")
    before = image.read_bytes()
    link = tmp_path / "link.png"
    link.symlink_to(image)
    for target in (image, link):
        arguments = ("--style", tiny_model, image, option, target, *overwrite)
        code, _, err = run(capsys, *arguments)
        assert code == 2
        if overwrite or option == "-o":
            assert_one_line(err, "would replace")
        assert image.read_bytes() == before


def test_a_photograph_is_not_overwritten_by_anothers_result(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    images = [photograph(tmp_path / "a.png"), photograph(tmp_path / "a_tiny.png", 40)]
    before = images[1].read_bytes()
    code, out, err = run(capsys, tiny_model, *images, "--overwrite")
    assert (code, out) == (1, f"{tmp_path / 'a_tiny_tiny.png'}\n")
    assert_one_line(err, f"would replace the photograph {images[1]}")
    assert images[1].read_bytes() == before


def test_a_folder_keeps_its_structure(tmp_path: Path, tiny_model: Path, capsys: Capture) -> None:
    photos = tmp_path / "photos"
    for name in ("a.png", "deep/er/b.jpg", ".hidden/c.png", "deep/.d.png"):
        photograph(photos / name)
    (photos / "notes.txt").write_text("no picture")
    (photos / "deep" / "loop").symlink_to(photos, target_is_directory=True)
    results = photos / "results"  # inside: a second run must not paint the first one's results
    for _ in range(2):
        code, _, err = run_to_the_end(capsys, tiny_model, photos, "-o", results)
        assert code == 0
        found = {path.relative_to(results) for path in results.rglob("*") if path.is_file()}
        assert found == {Path("a_tiny.png"), Path("deep/er/b_tiny.jpg")}
    assert_one_line(err, "0 painted, 2 kept")


def test_results_may_go_into_the_photographs_own_folder(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    photograph(tmp_path / "a.png")
    photograph(tmp_path / "deep" / "b_tiny.png")  # no result: there is no b.png
    for _ in range(2):
        assert run(capsys, tiny_model, tmp_path, "-o", tmp_path)[0] == 0
        names = {"a.png", "a_tiny.png", "deep/b_tiny.png", "deep/b_tiny_tiny.png"}
        assert files_below(tmp_path) == {Path(name) for name in names}
    (tmp_path / "deep").joinpath("b_tiny.png").unlink()
    (tmp_path / "link").symlink_to(tmp_path)
    photograph(tmp_path / "a_ink.png")  # perhaps a released style's result
    assert run(capsys, tiny_model, tmp_path / "link", "-o", tmp_path / "deep" / "..")[0] == 0
    assert not (tmp_path / "a_ink_tiny.png").exists()
    before = (tmp_path / "a_tiny.png").read_bytes()
    code, _, err = run(capsys, tiny_model, tmp_path, "-o", tmp_path, "--overwrite")
    assert code == 2
    assert_one_line(err, "--overwrite ")
    assert (tmp_path / "a_tiny.png").read_bytes() == before
    # What is named by itself is a photograph.
    named = (tmp_path, tmp_path / "a_ink.png", "-o", tmp_path)
    assert run(capsys, tiny_model, *named)[0] == 0
    assert (tmp_path / "a_ink_tiny.png").exists()


def test_names_that_stand_for_nothing_do_not_stop_the_others(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    photograph(tmp_path / "full" / "a.png")
    (tmp_path / "empty").mkdir()
    named = (tmp_path / "empty", tmp_path / "*.tif", tmp_path / "full")
    code, out, err = run(capsys, tiny_model, *named, "-o", tmp_path / "out")
    assert (code, out) == (1, f"{tmp_path / 'out' / 'a_tiny.png'}\n")
    assert len(err) == 2
    assert f"no picture in {tmp_path / 'empty'}" in err[0]
    assert f"no file matches {tmp_path / '*.tif'}" in err[1]
    assert run(capsys, tiny_model, *named[:2], "-o", tmp_path / "none")[0] == 2
    code, _, err = run(capsys, tiny_model, tmp_path / "f*")  # a folder only
    assert code == 2
    assert_one_line(err, f"no file matches {tmp_path / 'f*'}")


@on_posix
def test_a_pipe_is_no_picture(tmp_path: Path, tiny_model: Path, capsys: Capture) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    code, _, err = run(capsys, tiny_model, tmp_path / "pipe.png")
    assert code == 1
    assert_one_line(err, "pipe.png: it is a pipe")


def test_an_interrupted_folder_goes_on(
    tmp_path: Path, tiny_model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        photograph(tmp_path / "photos" / f"{number}.png")
    paint = Style.paint_picture
    painted: list[int] = []

    def interrupted(style: Style, *arguments: Any) -> Picture:
        painted.append(1)
        if len(painted) == 3:
            raise KeyboardInterrupt
        return paint(style, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Style, "paint_picture", interrupted)
        assert run(capsys, tiny_model, tmp_path / "photos", "-o", tmp_path / "out")[0] == 130
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert len(before) == 2
    assert run(capsys, tiny_model, tmp_path / "photos", "-o", tmp_path / "out")[0] == 0
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert len(after) == 4
    assert before.items() <= after.items()

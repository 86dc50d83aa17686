from __future__ import annotations

import errno
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
import time
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from support import ENVIRONMENT, TINY_NETWORK

import fast_style
from fast_style.cli import batch
from fast_style.cli.inputs import Input, result_path
from fast_style.cli.stylize_options import blend_weights, parser
from fast_style.images.picture import Picture, to_pil
from fast_style.images.reading import read_picture
from fast_style.images.writing import write_clip
from fast_style.models.network import build_network
from fast_style.models.style_file import save_style_model
from fast_style.painting import painter
from fast_style.painting.style import Style, load
from fast_style.stylize import main
from fast_style.system.resources import shipped_styles

Capture = pytest.CaptureFixture[str]

on_posix = pytest.mark.skipif(os.name != "posix", reason="Windows allows no such names")
# For programs run in a new interpreter, in any folder.


def photograph(path: Path, width: int = 47, height: int = 33, mode: str = "RGB") -> Path:
    """Write a picture; the same seed, so all of one size are alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rgba = np.random.default_rng(0).integers(0, 256, (height, width, 4), dtype=np.uint8)
    Image.fromarray(rgba).convert(mode).save(path)
    return path


def run(capsys: Capture, *arguments: object) -> tuple[int, str, list[str]]:
    """Run the command on the CPU; return its exit code, its output and its lines on stderr."""
    capsys.readouterr()
    code = main([*(str(argument) for argument in arguments), "--device", "cpu"])
    out, err = capsys.readouterr()
    return code, out, err.splitlines()


def assert_one_line(lines: list[str], *parts: str) -> None:
    assert len(lines) == 1, lines
    assert lines[0].startswith("fast_style.stylize: ")
    for part in parts:
        assert part in lines[0]


def files_below(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir()}


# Where the pictures go


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
        assert f"cannot stylise {tmp_path / 'y' / 'photo.png'}: " in err[0]
        assert len(err) == 2 - done
    assert "1 results " in err[1]


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


# What is in the pictures


def test_the_picture_is_what_the_style_gives(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    image = photograph(tmp_path / "photo.png")
    assert run(capsys, tiny_model, image, "--grain", "0")[0] == 0
    picture = Picture(read_picture(image).rgb, None)
    expected = load(tiny_model, "cpu", backend="torch").paint_picture(picture).rgb
    with Image.open(tmp_path / "photo_tiny.png") as stylized:
        assert stylized.mode == "RGB"
        assert np.array_equal(np.asarray(stylized), np.asarray(to_pil(expected)))


def test_transparency_is_kept(tmp_path: Path, tiny_model: Path, capsys: Capture) -> None:
    image = photograph(tmp_path / "photo.png", mode="RGBA")
    assert run(capsys, tiny_model, image)[0] == 0
    with Image.open(image) as given, Image.open(tmp_path / "photo_tiny.png") as stylized:
        assert stylized.mode == "RGBA"
        assert stylized.getchannel("A").tobytes() == given.getchannel("A").tobytes()
    assert run(capsys, tiny_model, image, "-o", tmp_path / "flat.jpg")[0] == 0
    assert read_picture(tmp_path / "flat.jpg").alpha is None


def test_a_turned_photograph_comes_out_upright(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (47, 33), "red").save(tmp_path / "photo.jpg", exif=exif)
    assert run(capsys, tiny_model, tmp_path / "photo.jpg")[0] == 0
    with Image.open(tmp_path / "photo_tiny.jpg") as stylized:
        assert stylized.size == (33, 47)
        assert stylized.getexif().get(0x0112, 1) == 1


def test_a_checkpoint_of_a_training(tmp_path: Path, capsys: Capture) -> None:
    network = build_network(TINY_NETWORK)
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    description = {"network": TINY_NETWORK, "style": {"name": "half-done"}}
    torch.save({"state_dict": state, "fast_style": description}, tmp_path / "last.ckpt")
    image = photograph(tmp_path / "photo.png")
    assert run(capsys, tmp_path / "last.ckpt", image)[0] == 0
    assert (tmp_path / "photo_half-done.png").is_file()


def test_a_released_style_by_name(
    tmp_path: Path, tiny_model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fast_style.models.style_file.shipped_styles", lambda: {"tiny": tiny_model})
    image = photograph(tmp_path / "photo.png")
    code, out, err = run(capsys, "tiny", image)
    assert (code, out, err) == (0, f"{tmp_path / 'photo_tiny.png'}\n", [])


# Files that exist


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


# Exit codes and errors


def broken(folder: Path, kind: str) -> Path:
    """Return a file of this kind that can't be stylised."""
    path = folder / f"{kind}.png"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "words":
        path.write_text("no picture, only words\n" * 9)
    elif kind == "small":
        photograph(path, 31, 40)
    elif kind == "cut off":
        content = photograph(path, 64, 64).read_bytes()
        path.write_bytes(content[: len(content) // 2])
    return path


KINDS = ["missing", "folder", "empty", "words", "small", "cut off"]


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


# Names


@pytest.mark.parametrize(
    "name",
    [
        "with space.png",
        " leading and trailing .png",
        "grüße 東京 🎨.png",
        "100%s {braces} $HOME;&.png",
        pytest.param("quo'te\"d <|*?>.png", marks=on_posix),
        "-o.png",
        "..hidden.png",
        ".hidden.png",
    ],
)
def test_unusual_names(tmp_path: Path, tiny_model: Path, capsys: Capture, name: str) -> None:
    image = photograph(tmp_path / "a folder é" / name)
    expected = image.with_name(f"{name.removesuffix('.png')}_tiny.png")
    assert run(capsys, tiny_model, image) == (0, f"{expected}\n", [])
    assert read_picture(expected).rgb.shape == (1, 3, 33, 47)
    code, _, err = run(capsys, tiny_model, image)
    assert code == 1
    assert_one_line(err, " ".join(str(expected).split()))


@on_posix
def test_a_name_with_a_newline(tmp_path: Path, tiny_model: Path, capsys: Capture) -> None:
    image = photograph(tmp_path / "two\nlines.png")
    code, out, err = run(capsys, tiny_model, image)
    assert (code, out, err) == (0, f"{tmp_path}/two\nlines_tiny.png\n", [])
    assert (tmp_path / "two\nlines_tiny.png").is_file()
    code, out, err = run(capsys, tiny_model, tmp_path / "not\nthere\r\n.png")
    assert (code, out) == (1, "")
    assert_one_line(err, "not there")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux allows such names")
def test_a_name_that_is_not_unicode(tmp_path: Path, tiny_model: Path) -> None:
    folder = os.fsencode(tmp_path)
    shutil.move(photograph(tmp_path / "plain.png"), os.fsdecode(folder + b"/caf\xe9.png"))
    done = subprocess.run(
        [sys.executable, "-m", "fast_style.stylize", tiny_model, folder + b"/caf\xe9.png"],
        capture_output=True,
        env={**ENVIRONMENT, "PYTHONIOENCODING": "utf-8:strict"},  # as in most terminals
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(folder + b"/caf")
    assert done.stdout.endswith(b"_tiny.png\n")
    assert Path(os.fsdecode(folder + b"/caf\xe9_tiny.png")).is_file()


@on_posix
@pytest.mark.parametrize("what", ["model", "image", "output", "result"])
def test_a_name_longer_than_the_file_system_allows(
    tmp_path: Path, tiny_model: Path, capsys: Capture, what: str
) -> None:
    long = f"{'x' * 300}.png"
    image = photograph(tmp_path / "photo.png")
    arguments: dict[str, list[object]] = {
        "model": [tmp_path / long, image],
        "image": [tiny_model, tmp_path / long],
        "output": [tiny_model, image, "-o", tmp_path / long],
        # The photograph's name fits, but not with the style's name added.
        "result": [tiny_model, photograph(tmp_path / f"{'x' * 251}.png")],
    }
    code, out, err = run(capsys, *arguments[what])
    assert (code, out) == (1 if what in ("image", "result") else 2, "")
    assert_one_line(err, "xxx")


# Models


def foreign_model(folder: Path, kind: str) -> Path:
    """Return a file of this kind that is not a style model."""
    path = folder / f"{kind}.{'ckpt' if kind.endswith('checkpoint') else 'safetensors'}"
    tensors = {"weight": torch.zeros(3)}
    if kind in ("words", "words checkpoint"):
        path.write_text("no model, only words")
    elif kind in ("empty", "empty checkpoint"):
        path.write_bytes(b"")
    elif kind == "foreign":
        save_file(tensors, path)
    elif kind == "foreign checkpoint":
        torch.save({"state_dict": tensors, "epoch": 3}, path)
    elif kind == "list checkpoint":
        torch.save([tensors], path)
    elif kind == "code checkpoint":
        torch.save({"state_dict": tensors, "fast_style": Path("/")}, path)
    elif kind == "later":
        description = {"format_version": 99, "network": TINY_NETWORK, "style": {"name": "later"}}
        save_file(
            build_network(TINY_NETWORK).state_dict(), path, {"fast_style": json.dumps(description)}
        )
    elif kind == "folder":
        path.mkdir()
    return path


@pytest.mark.parametrize(
    "kind",
    [
        "missing",
        "folder",
        "words",
        "empty",
        "foreign",
        "later",
        "missing checkpoint",
        "words checkpoint",
        "empty checkpoint",
        "foreign checkpoint",
        "list checkpoint",
        "code checkpoint",
    ],
)
def test_a_file_that_is_no_style_model(tmp_path: Path, capsys: Capture, kind: str) -> None:
    image = photograph(tmp_path / "pictures" / "photo.png")
    model = foreign_model(tmp_path, kind)
    code, out, err = run(capsys, model, image)
    assert (code, out) == (2, "")
    assert_one_line(err, str(model))
    assert files_below(tmp_path / "pictures") == {Path("photo.png")}


@pytest.mark.parametrize("name", ["no-such-style", "~no-such-user/style", ""])
def test_a_released_style_that_is_not_there(tmp_path: Path, capsys: Capture, name: str) -> None:
    image = photograph(tmp_path / "photo.png")
    code, out, err = run(capsys, name, image)
    assert (code, out) == (2, "")
    assert_one_line(err, name, "released style")


def test_an_unknown_released_style_is_told_the_known_ones(
    tmp_path: Path, tiny_model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    styles = {"fire": tiny_model, "water": tiny_model}
    monkeypatch.setattr("fast_style.models.style_file.shipped_styles", lambda: styles)
    code, _, err = run(capsys, "earth", photograph(tmp_path / "photo.png"))
    assert code == 2
    assert_one_line(err, "earth", "fire, water")


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_a_device_that_is_not_here(
    tmp_path: Path, tiny_model: Path, capsys: Capture, device: str
) -> None:
    image = photograph(tmp_path / "photo.png")
    code = main([str(tiny_model), str(image), "--device", device])
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert_one_line(err.splitlines(), device)


# The command line


def test_an_unknown_option(capsys: Capture) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["model", "photo.png", "--nonsense"])
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: python -m fast_style.stylize")


def test_a_misspelt_option(capsys: Capture) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["model", "photo.png", "--strenght", "1"])
    assert "--strenght 1; did you mean --strength?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no style: "),
        (["model"], "no picture: .*model"),
        (["a.png", "--style", "model", "--blend", "model"], "--style or --blend"),
        (["a.png", "--blend", "model"], "--blend .*two.* 'model'"),
        (["stary", "a.png"], r"did you mean starry\?"),
        (["a.png"], "no style for a.png"),
        (["a.png", "--blend", "model:x"], "--blend .*NAME:WEIGHT.* 'model:x'"),
        (["model", "a.png", "--tile", "0"], "--tile .*auto, off .* 0$"),
        (["model", "a.png", "--quality", "101"], "--quality .*1 to 100.* 101$"),
        (["model", "a.png", "--strength", "2"], "strength .*0 to 1.* 2.0$"),
        (["model", "a.png", "--grain", "-1"], "grain .*0 to 64.* -1.0$"),
        (["model", "a.png", "--palette", "-1"], "palette .*0 to 1.* -1.0$"),
        (["model", "a.png", "--stroke", "0"], "stroke .*0.1 to 10.* 0.0$"),
        (["model", "a.png", "--size", "0"], "size .*32 px.* 0$"),
        (["model", "a.png", "--preserve-color=hue"], "preserve_color .*luminance.*match.* 'hue'"),
        (["starry", ""], "empty name"),
        (["model", "-", "a.png"], "standard input .*one picture"),
        (["model", "a.png", "--sheet", "sheet.xyz"], r"sheet\.xyz: .*\.png, \.jpg"),
        (["starry", "a.png", "--sheet", "s.png"], "starry is a style, .*--sheet"),
        (["a.png", "m.ckpt", "--style", "starry"], "m.ckpt is a style, .*--style"),
        (["starry", "--blend", "ink,glass"], "use --blend"),
        (["ink", "a.png", "--style", "starry"], "use --style ink,starry"),
        (["model", "a.png", "--preserve-color", "macth"], r"'macth'; did you mean match\?"),
        (["model", "-", "-o", "folder"], "standard input .*: folder "),
        (["model", "-", "--json"], "--json .*standard output"),
        (["a.png", "--sheet", "s.png", "-o", "out"], "--sheet .* or -o"),
        (["starry", "a.png", "--max-megapixels", "inf"], "--max-megapixels .*above 0.* inf$"),
    ],
)
def test_wrong_use_is_one_line_and_code_2(
    capsys: Capture, arguments: list[str], message: str
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert re.search(message, line)


def test_styles_may_be_named_one_by_one(
    tmp_path: Path, tiny_model: Path, second_model: Path, capsys: Capture
) -> None:
    image = photograph(tmp_path / "a.png")
    code, _, _ = run(capsys, "--style", tiny_model, "--style", second_model, image)
    assert code == 0
    assert files_below(tmp_path) == {Path(f"a{end}.png") for end in ("", "_tiny", "_second")}


def test_a_style_file_whose_name_has_a_comma(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    model = tmp_path / "first, second.safetensors"
    shutil.copy(tiny_model, model)
    image, output = photograph(tmp_path / "a.png"), tmp_path / "b.png"
    assert run(capsys, "--style", model, image, "-o", output)[0] == 0
    assert output.exists()


def test_a_picture_in_the_place_of_the_style(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    image = photograph(tmp_path / "a.png")
    code, _, err = run(capsys, image, tiny_model)
    assert code == 2
    assert_one_line(err, f"{image} is a picture")


def test_the_version(capsys: Capture) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"fast_style {fast_style.__version__}\n"


def test_help(capsys: Capture) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    out, err = capsys.readouterr()
    assert err == ""
    unwrapped = re.sub(r"-\n +", "-", out)  # lines break behind a hyphen
    for word in ("CKPT", "IMG", "--output", "--device", "--overwrite", *shipped_styles()):
        assert word in unwrapped


def python(code: str, *arguments: object) -> dict[str, Any]:
    """Run code in a new interpreter; return what it prints last, as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", code, *(str(argument) for argument in arguments)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_arguments_are_there_without_waiting_for_torch() -> None:
    found = python(
        "import json, sys\n"
        "import fast_style.stylize\n"
        "from fast_style.cli.stylize_options import parser\n"
        "help = parser().format_help()\n"
        "print(json.dumps({'help': help, 'modules': list(sys.modules)}))"
    )
    assert "CKPT" in found["help"]
    assert "fast_style.cli.stylize_options" in found["modules"]
    assert not {"torch", "numpy", "PIL"} & set(found["modules"])


def test_the_program_needs_nothing_of_the_training(tmp_path: Path, tiny_model: Path) -> None:
    image = photograph(tmp_path / "photo.png")
    found = python(
        "import json, runpy, sys\n"
        "try:\n"
        "    runpy.run_module('fast_style.stylize', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end:\n"
        "    print(json.dumps({'code': end.code, 'modules': list(sys.modules)}))",
        tiny_model,
        image,
    )
    assert found["code"] == 0
    assert (tmp_path / "photo_tiny.png").is_file()
    modules = set(found["modules"])
    assert {"torch", "fast_style.painting.style", "fast_style.models.network"} <= modules
    foreign = {"pytorch_lightning", "hydra", "omegaconf", "torchvision", "tensorboard"}
    assert all(find_spec(name) for name in foreign)
    ours = ("models.vgg", "models.losses", "training", "optimizing", "train")
    assert all(find_spec(f"fast_style.{name}") for name in ours)
    assert not (foreign | {f"fast_style.{name}" for name in ours}) & modules


def test_the_programs_exit_code(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fast_style.stylize", "no-such-style", tmp_path / "photo.png"],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert_one_line(done.stderr.splitlines(), "no-such-style")


def test_parser_defaults() -> None:
    arguments = parser().parse_args(["model", "a.png", "b.png"])
    assert arguments.names == ["model", "a.png", "b.png"]
    assert arguments.output is None
    assert arguments.device == "auto"
    assert not arguments.overwrite


def test_several_pictures_need_a_folder(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "b.png"):
        Image.new("RGB", (40, 40)).save(tmp_path / name)
    output = tmp_path / "out.png"
    pictures = [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    assert main([str(tiny_model), *pictures, "-o", str(output)]) == 2
    assert "out.png " in capsys.readouterr().err
    assert not output.exists()
    output = tmp_path / "notes"
    output.write_text("kept")
    assert main([str(tiny_model), *pictures, "-o", str(output)]) == 2
    assert "notes is a file" in capsys.readouterr().err
    assert output.read_text() == "kept"


# Folders, several styles, streams, sheets


@pytest.fixture
def second_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model of another name."""
    path = tmp_path_factory.mktemp("second") / "second.safetensors"
    torch.manual_seed(1)
    save_style_model(
        path, build_network(TINY_NETWORK), {"network": TINY_NETWORK, "style": {"name": "second"}}
    )
    return path


def test_a_folder_keeps_its_structure(tmp_path: Path, tiny_model: Path, capsys: Capture) -> None:
    photos = tmp_path / "photos"
    for name in ("a.png", "deep/er/b.jpg", ".hidden/c.png", "deep/.d.png"):
        photograph(photos / name)
    (photos / "notes.txt").write_text("no picture")
    (photos / "deep" / "loop").symlink_to(photos, target_is_directory=True)
    results = photos / "results"  # inside: a second run must not paint the first one's results
    for _ in range(2):
        code, _, err = run(capsys, tiny_model, photos, "-o", results)
        assert code == 0
        found = {path.relative_to(results) for path in results.rglob("*") if path.is_file()}
        assert found == {Path("a_tiny.png"), Path("deep/er/b_tiny.jpg")}
    assert_one_line(err, "2 results ")


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


def test_a_pattern_that_the_shell_left_alone(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    for name in ("a.png", "b.png", "c.jpg", "odd[1].png"):
        photograph(tmp_path / name)
    code, out, _ = run(capsys, tiny_model, tmp_path / "[ab].png")
    assert (code, len(out.splitlines())) == (0, 2)
    # A name with brackets that is a file is that file.
    code, out, _ = run(capsys, tiny_model, tmp_path / "odd[1].png")
    assert (code, out.strip()) == (0, str(tmp_path / "odd[1]_tiny.png"))
    code, _, err = run(capsys, tiny_model, tmp_path / "*.tif")
    assert code == 2
    assert_one_line(err, "no file matches")


def test_every_style_gives_a_result(
    tmp_path: Path, tiny_model: Path, second_model: Path, capsys: Capture
) -> None:
    image = photograph(tmp_path / "photo.png")
    styles = f"{tiny_model},{second_model}"
    code, out, _ = run(capsys, "--style", styles, image, "-o", tmp_path / "out", "--json")
    assert code == 0
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["style"] for record in records] == ["tiny", "second"]
    for record in records:
        assert record["input"] == str(image)
        assert Path(record["output"]).name == f"photo_{record['style']}.png"
        assert read_picture(record["output"]).rgb.shape == (1, 3, 33, 47)
        assert (record["width"], record["height"], record["device"]) == (47, 33, "cpu")
        assert record["seconds"] > 0
    one, two = (Path(record["output"]).read_bytes() for record in records)
    assert one != two


def test_a_blend_lies_between(
    tmp_path: Path, tiny_model: Path, second_model: Path, capsys: Capture
) -> None:
    image = photograph(tmp_path / "photo.png")
    pictures = {}
    for name, weights in (("first", (1, 0)), ("second", (0, 2)), ("both", (3, 1))):
        blend = f"{tiny_model}:{weights[0]},{second_model}:{weights[1]}"
        target = tmp_path / f"{name}.png"
        assert run(capsys, "--blend", blend, image, "-o", target)[0] == 0
        pictures[name] = read_picture(target).rgb
    expected = 0.75 * pictures["first"] + 0.25 * pictures["second"]
    assert (pictures["both"] - expected).abs().max() < 1.01 / 255


@pytest.mark.parametrize(
    ("options", "backend"),
    [
        ((), "torch"),
        (("--size", "700"), "chosen"),
        (("--stroke", "0.1", "--size", "65"), "chosen"),
        (("--backend", "openvino"), "openvino"),
    ],
)
def test_one_small_picture_waits_for_no_other_backend(
    tmp_path: Path,
    tiny_model: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    backend: str,
) -> None:
    asked: list[str] = []

    def remembered(name: str, *arguments: object) -> str:
        asked.append("chosen" if name == "auto" else name)
        return "torch"

    monkeypatch.setattr("fast_style.painting.style.resolve_backend", remembered)
    run(capsys, tiny_model, photograph(tmp_path / "photo.png"), *options, "-o", tmp_path / "o.png")
    assert asked == [backend]


def test_controls_reach_the_picture(tmp_path: Path, tiny_model: Path, capsys: Capture) -> None:
    image = photograph(tmp_path / "photo.png", 80, 60)
    target = tmp_path / "out.png"
    arguments = (tiny_model, image, "-o", target, "--overwrite")
    assert run(capsys, *arguments, "--strength", "0")[0] == 0
    assert torch.equal(read_picture(target).levels, read_picture(image).levels)
    assert run(capsys, *arguments, "--size", "40", "--stroke", "0.5")[0] == 0
    assert read_picture(target).levels.shape == (1, 3, 30, 40)
    assert run(capsys, "--preserve-color", *arguments)[0] == 0
    assert run(capsys, "--preserve-color=match", *arguments)[0] == 0
    assert run(capsys, "--preserve-color", "match", *arguments)[0] == 0


def test_standard_input_and_output(tmp_path: Path, tiny_model: Path) -> None:
    image = photograph(tmp_path / "photo.png")
    command = [sys.executable, "-m", "fast_style.stylize", str(tiny_model), "-"]
    result = subprocess.run(
        command, input=image.read_bytes(), capture_output=True, env=ENVIRONMENT, check=True
    )
    (tmp_path / "out.png").write_bytes(result.stdout)
    assert read_picture(tmp_path / "out.png").rgb.shape == (1, 3, 33, 47)
    broken = subprocess.run(
        command, input=b"no picture", capture_output=True, env=ENVIRONMENT, check=False
    )
    assert (broken.returncode, broken.stdout) == (1, b"")
    assert b"cannot read the stream: not a picture" in broken.stderr


def test_standard_input_to_a_file(
    tmp_path: Path, tiny_model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = photograph(tmp_path / "a.png").read_bytes()
    output = tmp_path / "out.jpg"

    def given() -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))

    given()
    assert run(capsys, tiny_model, "-", "-o", output) == (0, f"{output}\n", [])
    assert read_picture(output).rgb.shape == (1, 3, 33, 47)
    given()
    code, out, _ = run(capsys, tiny_model, "-", "-o", output, "--overwrite", "--json")
    assert code == 0
    assert json.loads(out)["output"] == str(output)
    assert (json.loads(out)["style"], json.loads(out)["width"]) == ("tiny", 47)
    given()
    code, _, err = run(capsys, tiny_model, "-", "-o", output)
    assert code == 1
    assert_one_line(err, "out.jpg exists; --overwrite replaces it")
    code, _, err = run(capsys, "--sheet", tmp_path / "sheet.png", "-")
    assert code == 2
    assert_one_line(err, "a sheet is made of files")


def test_a_sheet_of_all_styles(
    tmp_path: Path, tiny_model: Path, second_model: Path, capsys: Capture
) -> None:
    images = [photograph(tmp_path / "a.png"), photograph(tmp_path / "b.png", 40, 50)]
    sheet = tmp_path / "sheet.png"
    styles = f"{tiny_model},{second_model}"
    arguments = ("--sheet", sheet, "--style", styles, *images, "--size", "64")
    assert run(capsys, *arguments) == (0, f"{sheet}\n", [])
    assert read_picture(sheet).rgb.shape == (1, 3, 24 + 45 + 8 + 64, 3 * 64 + 2 * 8)
    assert run(capsys, *arguments)[0] == 2  # it exists
    released = tmp_path / "released.png"
    assert run(capsys, "--sheet", released, images[0], "--size", "64")[0] == 0
    shown = 1 + sum(not name.endswith("-slim") for name in shipped_styles())
    columns = math.ceil(math.sqrt(shown))
    assert read_picture(released).rgb.shape[-1] == columns * (64 + 8) - 8


def test_a_sheet_compares_two_models_of_one_name(
    tmp_path: Path, tiny_model: Path, second_model: Path, capsys: Capture
) -> None:
    other = shutil.copy(tiny_model, tmp_path / "other.safetensors")
    sheet, image = tmp_path / "sheet.png", photograph(tmp_path / "a.png")
    models = f"{tiny_model},{second_model},{other}"
    code, out, err = run(capsys, "--sheet", sheet, "--style", models, image, "--json")
    assert (code, err) == (0, [])
    styles = [str(tiny_model), "second", str(other)]
    assert json.loads(out) == {"output": str(sheet), "pictures": 1, "styles": styles}


def test_a_sheet_of_a_folder(tmp_path: Path, tiny_model: Path, capsys: Capture) -> None:
    for name in ("a.png", "b.png"):
        photograph(tmp_path / "photos" / name)
    sheet = tmp_path / "photos" / "sheet.png"
    assert run(capsys, "--sheet", sheet, "--style", tiny_model, tmp_path / "photos")[0] == 0
    assert read_picture(sheet).rgb.shape[-1] == 2 * 512 + 8
    assert run(capsys, "--sheet", sheet, "--style", tiny_model, tmp_path / "photos")[0] == 2


def test_a_sheet_names_the_picture_that_failed(
    tmp_path: Path, tiny_model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("not enough memory: you tried to allocate 9 GB")

    monkeypatch.setattr(Style, "paint_picture", fail)
    image = photograph(tmp_path / "a.png")
    code, _, err = run(capsys, "--sheet", tmp_path / "s.png", "--style", tiny_model, image)
    assert code == 1
    assert_one_line(err, f"cannot stylise {image}: not enough memory")


def test_a_sheet_shows_transparent_parts_white(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    Image.new("RGBA", (40, 40), (200, 0, 0, 0)).save(tmp_path / "a.png")
    sheet = tmp_path / "sheet.png"
    assert run(capsys, "--sheet", sheet, "--style", tiny_model, tmp_path / "a.png")[0] == 0
    shown = read_picture(sheet).rgb[..., -512:, :]  # below the labels
    assert (shown == 1).all()


def test_a_folder_may_be_called_as_a_style(
    tmp_path: Path, tiny_model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    photograph(tmp_path / "starry" / "a.png")
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "--style", tiny_model, "starry", "-o", "out")[0] == 0


def test_pages_that_are_not_painted_are_told(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    pages = [Image.new("RGB", (40, 40), color) for color in ("red", "green", "blue")]
    scan = tmp_path / "scan.tif"
    pages[0].save(scan, save_all=True, append_images=pages[1:])
    code, out, err = run(capsys, tiny_model, scan)
    assert (code, out) == (0, f"{tmp_path / 'scan_tiny.tif'}\n")
    assert_one_line(err, f"{scan} has 3 pages")


def test_a_palette_that_a_model_does_not_have(
    tmp_path: Path, tiny_model: Path, warmer: Path, capsys: Capture
) -> None:
    image = photograph(tmp_path / "a.png")
    arguments = ("--style", f"{tiny_model},{warmer}", image)
    code, _, err = run(capsys, *arguments, "--palette", "0.5")
    assert code == 2  # both are named tiny
    code, _, err = run(capsys, tiny_model, image, "--palette", "0.5")
    assert code == 0
    assert_one_line(err, "tiny ", "--palette")
    assert run(capsys, warmer, image, "--palette", "0.5", "--overwrite")[2] == []
    assert run(capsys, tiny_model, image, "--overwrite")[2] == []


def test_the_same_file_by_two_names_is_painted_once(
    tmp_path: Path, tiny_model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    photograph(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, tiny_model, "a.png", tmp_path / "a.png", "./a.png", "-o", "out")
    assert (code, out, err) == (0, "out/a_tiny.png\n", [])


def test_the_released_styles_are_listed(capsys: Capture) -> None:
    code, out, _ = run(capsys, "--list")
    assert code == 0
    assert [line.split("\t")[0] for line in out.splitlines()] == list(shipped_styles())
    assert "Starry Night" in out
    code, out, _ = run(capsys, "--list", "--json")
    assert code == 0
    listed = [json.loads(line) for line in out.splitlines()]
    assert [one["style"] for one in listed] == list(shipped_styles())
    assert "Starry Night" in next(one["credit"] for one in listed if one["style"] == "starry")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_standard_output_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "fast_style.stylize", "--list"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            text=True,
            check=False,
        )
    assert result.returncode == 1
    assert_one_line(result.stderr.splitlines(), "No space left on device")


def test_names_that_differ_in_case_are_one_file_where_the_system_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert (batch.file_name(Path("out/A.png")) == batch.file_name(Path("out/a.png"))) == (
        sys.platform in ("win32", "darwin")
    )
    monkeypatch.setattr(sys, "platform", "darwin")
    assert batch.file_name(Path("out/A.png")) == batch.file_name(Path("out/a.png"))


def test_a_blend_of_paths_with_colons(tmp_path: Path, tiny_model: Path) -> None:
    model = tmp_path / "C:mine.safetensors"
    shutil.copy(tiny_model, model)
    assert blend_weights(f"{model},starry") == {str(model): 1.0, "starry": 1.0}
    assert blend_weights(f"{model}:0.3,starry") == {str(model): 0.3, "starry": 1.0}


@pytest.mark.parametrize("pictures", ["", "abc"])
def test_a_reader_that_has_seen_enough_is_no_error(
    tmp_path: Path, tiny_model: Path, pictures: str
) -> None:
    """Neither of the command's nor of a picture."""
    images = [str(photograph(tmp_path / f"{name}.png")) for name in pictures]
    arguments = [str(tiny_model), *images] if images else ["--list"]
    with subprocess.Popen(
        [sys.executable, "-m", "fast_style.stylize", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


# What happens meanwhile


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
    paint = Style.paint_picture

    def interrupted(style: Style, picture: Picture, *arguments: Any) -> Picture:
        if picture.levels.shape[-1] == 60:
            raise KeyboardInterrupt
        return paint(style, picture, *arguments)

    def slow(*arguments: Any) -> None:
        time.sleep(0.3)
        write_clip(*arguments)

    monkeypatch.setattr(Style, "paint_picture", interrupted)
    monkeypatch.setattr(batch, "write_clip", slow)
    images = [photograph(tmp_path / "a.png"), photograph(tmp_path / "b.png", 60)]
    code, out, err = run(capsys, tiny_model, *images)
    assert (code, out) == (130, f"{tmp_path / 'a_tiny.png'}\n")
    assert_one_line(err, "interrupted")


# More names


@pytest.mark.parametrize("name", ["*.png", "[ab].png", "b.png", "c*.png"])
def test_brackets_of_a_folder_are_its_name(
    tmp_path: Path, tiny_model: Path, capsys: Capture, name: str
) -> None:
    folder = tmp_path / "Trip [2024]" / "day [1]"
    for one in ("a.png", "b.png"):
        photograph(folder / one)
    code, out, err = run(capsys, tiny_model, folder / name)
    expected = {"*.png": "ab", "[ab].png": "ab", "b.png": "b", "c*.png": ""}[name]
    assert [Path(line).stem[0] for line in out.splitlines()] == list(expected)
    assert (code, len(err)) == ((0, 0) if expected else (2, 1))


def test_a_missing_file_in_a_folder_with_brackets_is_no_pattern(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    (tmp_path / "Trip [2024]").mkdir()
    code, _, err = run(capsys, tiny_model, tmp_path / "Trip [2024]" / "a.png")
    assert code == 1
    assert_one_line(err, "a.png: ", "no such file")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--strength", "0", "--", "{}", "-a.png"],
        ["{}", "--strength", "0", "--", "-a.png"],
        ["--", "{}", "-a.png"],
        ["--style", "{}", "--", "-a.png", "--preserve-color"],
        ["{}", "b.png", "--", "-a.png"],
    ],
)
def test_what_follows_two_dashes_is_a_name(
    tmp_path: Path,
    tiny_model: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("-a.png", "b.png", "c.png"):
        photograph(tmp_path / name)
    (tmp_path / "c.png").rename(tmp_path / "--preserve-color")
    named = [one for one in arguments if one in ("-a.png", "b.png", "--preserve-color")]
    capsys.readouterr()
    code = main([one.replace("{}", str(tiny_model)) for one in arguments])
    out, err = capsys.readouterr()
    assert (code, err, len(out.splitlines())) == (0, "", len(named))
    assert (tmp_path / "-a_tiny.png").is_file()


@on_posix
def test_linked_folders_are_painted_each_once(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    photograph(tmp_path / "elsewhere" / "x.png")
    photograph(tmp_path / "photos" / "y.png")
    for name in ("linked", "again"):
        (tmp_path / "photos" / name).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos" / "round").symlink_to(tmp_path / "photos")
    out = tmp_path / "photos" / "out"
    code, _, err = run(capsys, tiny_model, tmp_path / "photos", "-o", out)
    assert (code, err) == (0, [])
    assert files_below(out) == {Path("y_tiny.png"), Path("again/x_tiny.png")}
    code, _, err = run(capsys, tiny_model, tmp_path / "photos", "-o", out)  # not its own results
    assert code == 0
    assert_one_line(err, "2 results ")


def test_a_folder_that_cannot_be_looked_into_is_named(
    tmp_path: Path, tiny_model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    photograph(tmp_path / "photos" / "a.png")
    photograph(tmp_path / "photos" / "closed" / "b.png")
    scandir = os.scandir

    def closed(path: Any = ".") -> Any:
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    code, out, err = run(capsys, tiny_model, tmp_path / "photos", "-o", tmp_path / "out")
    assert (code, len(out.splitlines())) == (1, 1)
    assert_one_line(err, f"cannot read folder {tmp_path / 'photos' / 'closed'}: Permission denied")


@on_posix
def test_a_pipe_in_a_folder_is_one_line_and_no_hang(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    photograph(tmp_path / "photos" / "z.png")
    os.mkfifo(tmp_path / "photos" / "a.png")
    code, _, err = run(capsys, tiny_model, tmp_path / "photos", "-o", tmp_path / "out")
    assert code == 1
    assert_one_line(err, "a.png: it is a pipe")
    assert files_below(tmp_path / "out") == {Path("z_tiny.png")}


@on_posix
def test_a_pipe_or_a_device_is_no_model(tmp_path: Path, capsys: Capture) -> None:
    image = photograph(tmp_path / "photo.png")
    os.mkfifo(tmp_path / "pipe.safetensors")
    for model in (tmp_path / "pipe.safetensors", "/dev/zero"):
        code, _, err = run(capsys, model, image)
        assert code == 2
        assert_one_line(err, f"no style model {model}")


@on_posix
@pytest.mark.parametrize("closed", [">&- <&-", "2>&-", "<&- >&- 2>&-"])
def test_it_paints_without_standard_streams(tmp_path: Path, tiny_model: Path, closed: str) -> None:
    image, target = photograph(tmp_path / "photo.png"), tmp_path / "out.png"
    command = f'exec "$@" {closed}'
    arguments = ["-m", "fast_style.stylize", tiny_model, image, "-o", target, "--backend", "torch"]
    code = subprocess.call(["sh", "-c", command, "sh", sys.executable, *map(str, arguments)])
    assert code == 0
    assert read_picture(target).rgb.shape == (1, 3, 33, 47)


def test_a_closed_stream_is_no_place_for_a_picture(
    tmp_path: Path, tiny_model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = photograph(tmp_path / "photo.png")
    monkeypatch.setattr("fast_style.stylize.usable_streams", lambda: {"stdin", "stdout"})
    code, _, err = run(capsys, tiny_model, image, "-o", "-")
    assert code == 2
    assert_one_line(err, "standard output is closed")
    code, _, err = run(capsys, tiny_model, "-", "-o", tmp_path / "out.png")
    assert code == 2
    assert_one_line(err, "standard input is closed")

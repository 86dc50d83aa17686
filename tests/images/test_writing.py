"""Pictures written: exact levels, whole files, and what is refused."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import WHITE, colours, constant, levels, smooth, stored_mode
from PIL import Image, JpegImagePlugin

from fast_style.images.formats import WRITABLE
from fast_style.images.picture import PictureError, to_pil
from fast_style.images.reading import (
    read_picture,
)
from fast_style.images.writing import write_picture
from fast_style.system.atomic import write_atomically


def test_png_is_exact(tmp_path: Path) -> None:
    rgb = torch.from_numpy(colours(33, 47)).permute(2, 0, 1)[None] / 255
    write_picture(tmp_path / "a.png", rgb)
    picture = read_picture(tmp_path / "a.png")
    assert torch.equal(picture.rgb, rgb)
    assert picture.alpha is None


@pytest.mark.parametrize("extension", [".jpg", ".jpeg", ".webp"])
def test_jpeg_and_webp_are_close(tmp_path: Path, extension: str) -> None:
    write_picture(tmp_path / f"a{extension}", smooth())
    picture = read_picture(tmp_path / f"a{extension}")
    torch.testing.assert_close(picture.rgb, smooth(), atol=0.04, rtol=0)
    assert (picture.rgb - smooth()).abs().mean() < 0.01


def test_jpeg_keeps_the_resolution_of_colour(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.jpg", smooth())
    with Image.open(tmp_path / "a.jpg") as image:
        assert JpegImagePlugin.get_sampling(image) == 0  # 4:4:4


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.png", "PNG"),
        ("a.PNG", "PNG"),
        ("a.jpg", "JPEG"),
        ("a.JPEG", "JPEG"),
        ("a.webp", "WEBP"),
        ("a.b.Webp", "WEBP"),
    ],
)
def test_the_extension_says_the_format(tmp_path: Path, name: str, kind: str) -> None:
    write_picture(tmp_path / name, smooth())
    with Image.open(tmp_path / name) as image:
        assert image.format == kind
        assert image.size == (47, 33)


def test_colours_are_clamped_and_rounded_to_the_nearest_level(tmp_path: Path) -> None:
    row = torch.tensor([-1.0, 2.0, 100.4 / 255, 100.6 / 255])
    write_picture(tmp_path / "a.png", row.expand(1, 3, 1, 4))
    with Image.open(tmp_path / "a.png") as image:
        assert np.asarray(image)[0, :, 0].tolist() == [0, 255, 100, 101]


@pytest.mark.parametrize("extension", [".png", ".webp"])
def test_alpha_is_kept_exactly(tmp_path: Path, extension: str) -> None:
    alpha = torch.arange(1024).remainder(256).view(1, 1, 32, 32) / 255
    write_picture(tmp_path / f"a{extension}", smooth(32, 32), alpha)
    picture = read_picture(tmp_path / f"a{extension}")
    assert picture.alpha is not None
    assert torch.equal(picture.alpha, alpha)


@pytest.mark.parametrize("extension", [".jpg", ".jpeg", ".JPG"])
def test_jpeg_lays_alpha_on_white(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a{extension}"
    write_picture(path, constant((200, 0, 100), 16, 16), torch.full((1, 1, 16, 16), 0.2))
    expected = constant((244, 204, 224), 16, 16)
    torch.testing.assert_close(read_picture(path).rgb, expected, atol=0.02, rtol=0)
    write_picture(path, constant((200, 0, 100), 16, 16), torch.zeros(1, 1, 16, 16))
    white = constant(WHITE, 16, 16)
    torch.testing.assert_close(read_picture(path).rgb, white, atol=0.01, rtol=0)


@pytest.mark.parametrize(("level", "expected"), [(-1.0, 0.5), (0.0, 0.5), (3.0, 1.0)])
def test_colours_are_clamped_before_they_are_laid_on_white(
    tmp_path: Path, level: float, expected: float
) -> None:
    rgb, alpha = torch.full((1, 3, 16, 16), level), torch.full((1, 1, 16, 16), 0.5)
    write_picture(tmp_path / "a.jpg", rgb, alpha)
    found = read_picture(tmp_path / "a.jpg").rgb
    torch.testing.assert_close(found, torch.full_like(rgb, expected), atol=0.01, rtol=0)


@pytest.mark.parametrize("extension", WRITABLE)
def test_writing_leaves_the_tensors_alone(tmp_path: Path, extension: str) -> None:
    rgb, alpha = smooth() * 1.5 - 0.2, smooth()[:, :1].clone()
    before = rgb.clone(), alpha.clone()
    write_picture(tmp_path / f"a{extension}", rgb, alpha)
    assert torch.equal(rgb, before[0])
    assert torch.equal(alpha, before[1])


def test_folders_are_created(tmp_path: Path) -> None:
    write_picture(tmp_path / "new" / "folder" / "a.png", smooth())
    assert read_picture(tmp_path / "new" / "folder" / "a.png").rgb.shape == (1, 3, 33, 47)


def test_a_path_may_be_text(tmp_path: Path) -> None:
    write_picture(str(tmp_path / "a.png"), smooth())
    assert torch.equal(read_picture(str(tmp_path / "a.png")).rgb, smooth())


@pytest.mark.skipif(os.name != "posix", reason="Windows limits the whole path")
def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    path = tmp_path / f"{'x' * 251}.png"
    path.write_bytes(b"")  # 255 bytes are allowed
    write_picture(path, smooth())
    assert read_picture(path).rgb.shape == (1, 3, 33, 47)


@pytest.mark.parametrize("name", ["a.psd", "a.txt", "a", ".png", "a.png.bak", "a.bmp"])
def test_an_extension_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(PictureError, match=rf"{name}: .*\.png, \.jpg, \.jpeg, \.webp"):
        write_picture(tmp_path / name, smooth())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    rgb = smooth().clone()
    rgb[0, 1, 2, 3] = value
    with pytest.raises(PictureError, match="not finite"):
        to_pil(rgb)
    with pytest.raises(PictureError, match=r"a\.png.*not finite"):
        write_picture(tmp_path / "a.png", rgb)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"kept")
    with pytest.raises(PictureError, match=r"cannot write .*file.a\.png: "):
        write_picture(tmp_path / "file" / "a.png", smooth())
    assert (tmp_path / "file").read_bytes() == b"kept"


def test_a_folder_of_the_pictures_name(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(PictureError, match=r"cannot write .*a\.png: "):
        write_picture(tmp_path / "a.png", smooth())
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_disk_that_fails_at_the_last_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(handle: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(PictureError, match=r"a\.png: Input/output error"):
        write_picture(tmp_path / "a.png", smooth())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("old", [b"the old file", None])
def test_an_interrupted_write_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: bytes | None
) -> None:
    path = tmp_path / "a.png"
    if old is not None:
        path.write_bytes(old)

    def interrupted(image: Image.Image, target: Path, **options: object) -> None:
        Path(target).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_picture(path, smooth())
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == (
        {} if old is None else {"a.png": old}
    )


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_the_files_mode_follows_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_picture(tmp_path / "a.png", smooth())
    finally:
        after = os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o666 & ~umask
    assert after == umask


def test_a_file_is_renamed_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.txt"
    with write_atomically(path) as temporary:
        assert temporary.parent == path.parent.resolve()
        assert temporary.suffix == ".txt"
        assert not path.exists()
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_stays_if_its_writer_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write() -> None:
        with write_atomically(path) as temporary:
            temporary.write_text("half")
            assert path.read_text() == "old"
            raise RuntimeError("out of ink")

    with pytest.raises(RuntimeError, match="out of ink"):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: Path, exists: bool) -> None:
    target, link = tmp_path / "store" / "0017", tmp_path / "a.txt"
    if exists:
        target.parent.mkdir()
        target.write_text("old")
    link.symlink_to(target)
    with write_atomically(link) as temporary:
        assert temporary.suffix == ".txt"
        temporary.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_grey_with_alpha(tmp_path: Path) -> None:
    grey, alpha = colours()[..., 2], colours()[..., 0]
    Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)]).save(tmp_path / "a.png")
    assert stored_mode(tmp_path / "a.png") == "LA"
    picture = read_picture(tmp_path / "a.png")
    assert picture.alpha is not None
    assert picture.alpha.shape == (1, 1, 6, 9)
    assert np.array_equal(levels(picture.rgb), np.repeat(grey[..., None], 3, axis=-1))
    assert np.array_equal(levels(picture.alpha)[..., 0], alpha)

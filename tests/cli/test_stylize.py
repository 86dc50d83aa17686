"""What ``stylize`` paints: the picture that the style gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from stylizing import Capture, assert_one_line, photograph, run

from fast_style.images.picture import Picture, to_pil
from fast_style.images.reading import read_picture
from fast_style.painting.style import load


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


def test_pages_that_are_not_painted_are_told(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    pages = [Image.new("RGB", (40, 40), color) for color in ("red", "green", "blue")]
    scan = tmp_path / "scan.tif"
    pages[0].save(scan, save_all=True, append_images=pages[1:])
    code, out, err = run(capsys, tiny_model, scan)
    assert (code, out) == (0, f"{tmp_path / 'scan_tiny.tif'}\n")
    assert_one_line(err, f"{scan} has 3 pages")

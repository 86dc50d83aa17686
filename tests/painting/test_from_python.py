"""What the package offers from Python is what the commands make, byte for byte."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support import small_film

import fast_style
from fast_style import sheet, stylize
from fast_style.images.picture import PictureError
from fast_style.system.resources import main_styles

STYLES = ("starry-slim", "ink-slim")
MACHINE = ["--device", "cpu", "--backend", "torch"]


@pytest.fixture(scope="module")
def styles() -> list[fast_style.Style]:
    return [fast_style.load(name, "cpu", backend="torch") for name in STYLES]


@pytest.fixture(scope="module")
def photo(photographs: Path) -> Path:
    return photographs / "3.png"


def pixels(image: Image.Image | Path) -> Any:
    return np.asarray(Image.open(image) if isinstance(image, Path) else image)


def run(*arguments: object) -> None:
    assert stylize.main([str(one) for one in (*arguments, *MACHINE)]) == 0


@pytest.mark.parametrize(
    ("options", "controls"),
    [
        ([], {}),
        (
            ["--size", 80, "--stroke", 1.2, "--strength", 0.7, "--preserve-color", "match"],
            {"size": 80, "stroke": 1.2, "strength": 0.7, "preserve_color": "match"},
        ),
    ],
)
def test_a_blend_is_that_of_the_command(
    options: list[object],
    controls: dict[str, Any],
    photo: Path,
    tmp_path: Path,
    styles: list[fast_style.Style],
) -> None:
    run("--blend", "starry-slim:0.7,ink-slim:0.3", photo, *options, "-o", tmp_path / "out.png")
    expected = pixels(tmp_path / "out.png")
    weights = dict(zip(STYLES, (0.7, 0.3), strict=True))
    named = fast_style.blend(weights, "cpu", backend="torch")
    loaded = fast_style.blend(dict(zip(styles, (0.7, 0.3), strict=True)))
    for blended in (named, loaded, pickle.loads(pickle.dumps(loaded))):
        assert np.array_equal(pixels(blended(Image.open(photo), **controls)), expected)


def test_a_blend_takes_what_a_style_takes(styles: list[fast_style.Style]) -> None:
    blended = fast_style.blend(dict.fromkeys(styles, 2.0))
    batch = torch.rand(2, 3, 33, 47)
    expected = (styles[0](batch) + styles[1](batch)) / 2
    torch.testing.assert_close(blended(batch), expected, atol=1e-6, rtol=0)
    assert blended((batch[0].permute(1, 2, 0) * 255).byte().numpy()).shape == (33, 47, 3)
    assert "starry-slim" in repr(blended)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({}, "found none"),
        ({"starry-slim": -1.0}, "0 or more"),
        ({"starry-slim": 0.0, "ink-slim": 0.0}, "all 0"),
        ({"stary": 1.0}, "starry"),
    ],
)
def test_a_blend_that_cannot_be(weights: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fast_style.blend(weights, "cpu")


@pytest.mark.parametrize("count", [1, 2])
def test_a_sheet_is_that_of_the_command(
    count: int, photographs: Path, tmp_path: Path, styles: list[fast_style.Style]
) -> None:
    photos = [photographs / f"{index}.png" for index in range(count)]
    options = ["--style", ",".join(STYLES), "--size", "90", "--stroke", "1.2", *MACHINE]
    arguments = [*map(str, photos), *options, "-o", str(tmp_path / "sheet.png")]
    assert sheet.main(arguments) == 0
    expected = pixels(tmp_path / "sheet.png")
    made = fast_style.paint_sheet(photos, styles, size=90, stroke=1.2)
    assert np.array_equal(pixels(made), expected)
    images = [Image.open(path) for path in photos]
    named = fast_style.paint_sheet(
        images, STYLES, device="cpu", backend="torch", size=90, stroke=1.2
    )
    assert np.array_equal(pixels(named), expected)
    arrays = [np.asarray(image) for image in images]
    assert np.array_equal(
        pixels(fast_style.paint_sheet(arrays, styles, size=90, stroke=1.2)), expected
    )


def test_a_sheet_that_cannot_be(styles: list[fast_style.Style], photo: Path) -> None:
    with pytest.raises(ValueError, match="photograph"):
        fast_style.paint_sheet([], styles)
    with pytest.raises(ValueError, match="style"):
        fast_style.paint_sheet([photo], [])
    with pytest.raises(ValueError, match="starry-slim"):
        fast_style.paint_sheet([photo], [styles[0], styles[0]])
    with pytest.raises(PictureError, match=r"nowhere\.png"):
        fast_style.paint_sheet([photo.with_name("nowhere.png")], styles)
    with pytest.raises(TypeError, match="strokes"):
        fast_style.paint_sheet([photo], styles, strokes=2)  # type: ignore[call-arg]


def test_a_video_is_that_of_the_command(tmp_path: Path, styles: list[fast_style.Style]) -> None:
    source = small_film(tmp_path / "in.mp4")
    run(STYLES[0], source, "--size", 80, "--steady", 0.5, "-o", tmp_path / "command.mp4")
    told: list[float] = []
    made = styles[0].video(
        source, str(tmp_path / "python.mp4"), size=80, steady=0.5, progress=told.append
    )
    assert (tmp_path / "python.mp4").read_bytes() == (tmp_path / "command.mp4").read_bytes()
    assert (made.frames, made.width, made.height) == (3, 80, 60)
    assert sum(told) == pytest.approx(1)


def test_a_blended_video_is_that_of_the_command(
    tmp_path: Path, styles: list[fast_style.Style]
) -> None:
    source = small_film(tmp_path / "in.mp4")
    run("--blend", "starry-slim:3,ink-slim:1", source, "-o", tmp_path / "command.mp4")
    blended = fast_style.blend({styles[0]: 3.0, styles[1]: 1.0})
    blended.video(source, tmp_path / "python.mp4")
    assert (tmp_path / "python.mp4").read_bytes() == (tmp_path / "command.mp4").read_bytes()


def test_a_video_that_cannot_be_is_told_before_it_is_painted(
    tmp_path: Path, styles: list[fast_style.Style], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = small_film(tmp_path / "in.mp4")
    (tmp_path / "there.mp4").write_text("dear to me")
    style = styles[0]
    monkeypatch.setattr(style, "painter", lambda *_: pytest.fail("it was painted"))
    for target, message in (("there.mp4", "exists"), ("out.png", "out.png"), ("in.mp4", "replace")):
        with pytest.raises(ValueError, match=message):
            style.video(source, tmp_path / target)
    for wrong in ({"steady": 1}, {"quality": 0}, {"stroke": 99}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            style.video(source, tmp_path / "out.mp4", **wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="strokes"):
        style.video(source, tmp_path / "out.mp4", strokes=2)  # type: ignore[call-arg]
    assert (tmp_path / "there.mp4").read_text() == "dear to me"


def test_the_help_of_load_names_every_released_style() -> None:
    text = fast_style.load.__doc__ or ""
    assert all(f"``{name}``" in text for name in main_styles())
    assert ".safetensors" in text

"""Animations: frame by frame, with their timing; and files of other types for a still."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from fast_style import stylize
from fast_style.images import heif
from fast_style.images.formats import WRITABLE
from fast_style.images.limits import allow_megapixels
from fast_style.images.picture import Clip, PictureError
from fast_style.images.reading import from_pil, read_clip
from fast_style.images.writing import encode_clip, write_clip
from fast_style.painting.style import Style

WIDTH, HEIGHT = 48, 40
DURATIONS = [80, 240, 120]


def animation(path: Path, mode: str = "RGB", loop: int = 0) -> Path:
    """Write three frames, a bright bar that moves to the right."""
    frames = []
    for number in range(3):
        levels = np.full((HEIGHT, WIDTH, 4), 40, np.uint8)
        levels[..., 3] = 255
        levels[:, 16 * number : 16 * (number + 1), :3] = (250, 200, 90)
        levels[:8, :, 3] = 0
        frames.append(Image.fromarray(levels).convert(mode))
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=DURATIONS, loop=loop, lossless=True
    )
    return path


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_every_frame_is_painted_and_keeps_its_time(
    suffix: str, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = animation(tmp_path / f"in{suffix}")
    assert stylize.main([str(tiny_model), str(source)]) == 0
    result = tmp_path / f"in_tiny{suffix}"
    assert capsys.readouterr().out == f"{result}\n"
    clip = read_clip(result)
    assert clip.durations_ms == DURATIONS
    assert clip.loop == 0
    pictures = [one.rgb for one in clip.frames]
    assert [one.shape[-2:] for one in pictures] == [(HEIGHT, WIDTH)] * 3
    assert all((a - b).abs().mean() > 0.005 for a, b in pairwise(pictures))


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_transparency_of_frames_stays(suffix: str, tiny_model: Path, tmp_path: Path) -> None:
    source = animation(tmp_path / f"in{suffix}", mode="RGBA")
    assert stylize.main([str(tiny_model), str(source)]) == 0
    with Image.open(tmp_path / f"in_tiny{suffix}") as image:
        for frame in ImageSequence.Iterator(image):
            alpha = np.asarray(frame.convert("RGBA"))[..., 3]
            assert (alpha[:8] == 0).all()
            assert (alpha[8:] == 255).all()


def test_how_often_it_is_shown_stays(tmp_path: Path) -> None:
    for loop in (0, 3):
        clip = read_clip(animation(tmp_path / "in.gif", loop=loop))
        write_clip(tmp_path / "out.gif", clip)
        with Image.open(tmp_path / "out.gif") as image:
            assert image.info["loop"] == loop


def test_a_type_without_animations_is_refused(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = animation(tmp_path / "in.gif")
    assert stylize.main([str(tiny_model), str(source), "-o", str(tmp_path / "out.jpg")]) == 1
    assert ".gif, .webp, .png, .avif" in capsys.readouterr().err
    assert not (tmp_path / "out.jpg").exists()


def test_it_is_refused_before_hours_are_spent(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Style, "paint_picture", lambda *_: pytest.fail("painted"))
    source = animation(tmp_path / "in.gif")
    assert stylize.main([str(tiny_model), str(source), "-o", str(tmp_path / "out.jpg")]) == 1


@pytest.mark.parametrize("suffix", [".webp", ".png", ".avif"])
def test_transparency_that_only_some_frames_have(suffix: str, tmp_path: Path) -> None:
    if suffix not in WRITABLE:
        pytest.skip("this Pillow has no AVIF")
    opaque = Image.new("RGB", (WIDTH, HEIGHT), "red")
    holed = Image.new("RGBA", (WIDTH, HEIGHT), "blue")
    holed.putalpha(
        Image.linear_gradient("L").resize((WIDTH, HEIGHT)).point(lambda v: 255 * (v > 99))
    )
    whole = from_pil(opaque)._replace(alpha=torch.ones(1, 1, HEIGHT, WIDTH))
    write_clip(tmp_path / f"a{suffix}", Clip([whole, from_pil(holed)], [100, 100]))
    first, second = (frame.alpha for frame in read_clip(tmp_path / f"a{suffix}").frames)
    assert first is not None
    assert second is not None
    assert float(first.min()) > 0.9
    assert float(second.min()) < 0.1


def test_the_still_picture_before_an_animated_png_is_no_frame(tmp_path: Path) -> None:
    still, *frames = (Image.new("RGB", (WIDTH, HEIGHT), c) for c in ("red", "green", "blue"))
    still.save(
        tmp_path / "a.png", save_all=True, append_images=frames, default_image=True, duration=80
    )
    clip = read_clip(tmp_path / "a.png")
    assert clip.durations_ms == [80, 80]
    assert float(clip.frames[0].rgb[0, 0].max()) == 0  # green, not red


def test_all_frames_count_for_the_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # set back afterwards
    path = animation(tmp_path / "in.gif")
    allow_megapixels(3 * WIDTH * HEIGHT / 1e6)
    assert len(read_clip(path).frames) == 3
    allow_megapixels((3 * WIDTH * HEIGHT - 2) / 1e6)
    with pytest.raises(PictureError, match=r"in\.gif: .*megapixels"):
        read_clip(path)


def test_the_second_picture_of_a_tiff_is_no_frame(tmp_path: Path) -> None:
    pages = [Image.new("RGB", (40, 40), color) for color in ("red", "blue")]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    assert len(read_clip(tmp_path / "pages.tif").frames) == 1


def test_heif(tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif")
    source = tmp_path / "in.heic"
    levels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    levels[:, : WIDTH // 2] = (220, 120, 60)
    Image.fromarray(levels).save(source, quality=95)
    painted = read_clip(source).frames[0].rgb
    assert abs(float(painted[0, 0, 20, 10]) * 255 - 220) < 6
    assert stylize.main([str(tiny_model), str(source)]) == 0
    with Image.open(tmp_path / "in_tiny.heic") as image:
        assert (image.format, image.size) == ("HEIF", (WIDTH, HEIGHT))


def test_heif_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heif, "find_spec", lambda name: None)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypnone")
    with pytest.raises(PictureError, match=r"pip install .*\[heif\]"):
        read_clip(tmp_path / "a.heic")


def test_heif_is_written_by_itself(tmp_path: Path) -> None:
    """In a new process, where nothing has been read yet."""
    pytest.importorskip("pillow_heif")
    code = (
        "import torch; from pathlib import Path; "
        "from fast_style.images.writing import write_picture; "
        f"write_picture(Path({str(tmp_path / 'a.heic')!r}), torch.rand(1, 3, 40, 48))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert read_clip(tmp_path / "a.heic").frames[0].rgb.shape == (1, 3, 40, 48)


def test_an_unknown_type_of_stream_is_refused() -> None:
    with pytest.raises(PictureError, match=r"\.png, \.jpg"):
        encode_clip(Clip([from_pil(Image.new("RGB", (8, 8)))]), ".xyz")


def test_a_frame_that_reaches_beyond_the_picture_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    frames = [Image.new("P", (40, 36), color) for color in (1, 2, 3)]
    frames[0].putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    frames[0].save(path, save_all=True, append_images=frames[1:])
    data = bytearray(path.read_bytes())
    last = data.rindex(b"\x2c" + bytes(4))  # the last frame, and its place
    data[last + 2] = 1  # 256 px to the right
    path.write_bytes(data)
    clip = read_clip(path)
    assert len(clip.frames) > 1
    assert {frame.levels.shape for frame in clip.frames} == {(1, 3, 36, 40)}

"""Crops for training: what the box says, reduced while it is decoded."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import GREEN, RED, UPRIGHT, WHITE, colours, constant, exif, levels, waves, whole
from PIL import Image, JpegImagePlugin

from fast_style.images.reading import (
    Box,
    read_crop,
    read_style,
)


def always(box: Box) -> Callable[[int, int], Box]:
    """Return what chooses this box of any picture."""
    return lambda width, height: box


@pytest.mark.parametrize(
    ("box", "colour"),
    [
        ((0, 0, 32, 24), RED),
        ((32, 0, 64, 24), GREEN),
        ((0, 24, 32, 48), WHITE),
        ((40, 30, 60, 46), (10, 20, 30)),
    ],
)
def test_a_crop_is_what_its_box_says(
    tmp_path: Path, box: Box, colour: tuple[int, int, int]
) -> None:
    quarters = np.zeros((48, 64, 3), np.uint8)
    quarters[:24, :32], quarters[:24, 32:] = RED, GREEN
    quarters[24:, :32], quarters[24:, 32:] = WHITE, (10, 20, 30)
    Image.fromarray(quarters).save(tmp_path / "a.png")
    crop = read_crop(tmp_path / "a.png", 16, lambda width, height: box)
    inner = levels(crop)[2:-2, 2:-2]  # the filter reaches over the box's edge
    assert np.array_equal(inner, np.broadcast_to(colour, inner.shape))


def test_a_crops_box_may_lie_between_pixels(tmp_path: Path) -> None:
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None] * 4, 48, axis=0)
    Image.fromarray(np.repeat(ramp, 3, axis=-1)).save(tmp_path / "a.png")
    crop = read_crop(tmp_path / "a.png", 16, lambda width, height: (10.5, 3.25, 42.5, 35.25))
    middles = 10.5 + 2 * (torch.arange(16) + 0.5)  # in pixels, pixel i spanning i to i + 1
    expected = 4 * (middles - 0.5) / 255
    torch.testing.assert_close(crop, expected.expand(3, 16, 16), atol=1.01 / 255, rtol=0)


def test_the_box_is_chosen_by_the_upright_size(tmp_path: Path) -> None:
    for name, orientation in (("flat", 3), ("turned", 6)):
        Image.fromarray(colours()).save(tmp_path / f"{name}.png", exif=exif(orientation))
    asked: list[tuple[int, int]] = []

    def choose_box(width: int, height: int) -> Box:
        asked.append((width, height))
        return (0, 0, 5, 5)

    read_crop(tmp_path / "flat.png", 8, choose_box)
    read_crop(tmp_path / "turned.png", 8, choose_box)
    assert asked == [(9, 6), (6, 9)]


@pytest.mark.parametrize("shape", [(257, 257), (384, 512), (333, 401)])
def test_reduced_decoding_agrees_with_full_decoding(tmp_path: Path, shape: tuple[int, int]) -> None:
    height, width = shape
    Image.fromarray(waves(height, width)).save(tmp_path / "a.jpg", quality=95)
    with Image.open(tmp_path / "a.jpg") as image:
        image.save(tmp_path / "a.png")
    boxes: list[Box] = [
        (0, 0, 200, 200),
        (width - 200.5, height - 200.5, width, height),
        (31.3, 40.7, 251, 250),
    ]
    for box in boxes:
        for size in (8, 24, 48):
            reduced = read_crop(tmp_path / "a.jpg", size, always(box))
            full = read_crop(tmp_path / "a.png", size, always(box))
            torch.testing.assert_close(reduced, full, atol=0.025, rtol=0)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_is_decoded_reduced_but_never_below_the_crop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, orientation: int
) -> None:
    image = Image.fromarray(waves(320, 480)).convert(mode)
    image.save(tmp_path / "a.jpg", exif=exif(orientation))
    decoded: list[tuple[int, int]] = []
    load = JpegImagePlugin.JpegImageFile.load

    def spy(image: JpegImagePlugin.JpegImageFile) -> object:
        decoded.append(image.size)
        return load(image)

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load", spy)
    read_crop(tmp_path / "a.jpg", 64, whole)
    assert set(decoded) == {(120, 80)}
    decoded.clear()
    read_crop(tmp_path / "a.jpg", 64, lambda width, height: (0, 0, 64, 64))
    assert set(decoded) == {(480, 320)}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("extension", [".png", ".jpg"])
def test_a_crop_of_a_turned_photograph(tmp_path: Path, extension: str, orientation: int) -> None:
    stored = waves(256, 384)
    turned, upright = tmp_path / f"turned{extension}", tmp_path / "upright.png"
    Image.fromarray(stored).save(turned, quality=95, exif=exif(orientation))
    expected = np.ascontiguousarray(UPRIGHT[orientation](stored))
    Image.fromarray(expected).save(upright)
    height, width = expected.shape[:2]

    def choose_box(found_width: int, found_height: int) -> Box:
        assert (found_width, found_height) == (width, height)
        return (width * 0.3, height * 0.1, width * 0.9, height * 0.6)

    found, wanted = (read_crop(path, 32, choose_box) for path in (turned, upright))
    # PNG is exact but for the order of the two passes; JPEG has noise of its own.
    torch.testing.assert_close(found, wanted, atol=0.005 if extension == ".png" else 0.03, rtol=0)


@pytest.mark.parametrize("size", [(5, 3), (1, 1), (3, 70)])
@pytest.mark.parametrize("extension", [".png", ".jpg"])
def test_a_tiny_photograph_is_enlarged(
    tmp_path: Path, extension: str, size: tuple[int, int]
) -> None:
    Image.new("RGB", size, (200, 100, 50)).save(tmp_path / f"a{extension}")
    crop = read_crop(tmp_path / f"a{extension}", 48, whole)
    torch.testing.assert_close(crop, constant((200, 100, 50), 48, 48)[0], atol=0.02, rtol=0)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_a_crop_is_a_square_of_the_one_convention(tmp_path: Path, mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.arange(2000, dtype=np.uint16).reshape(40, 50) * 32)
    else:
        image = Image.fromarray(colours(40, 50)).convert(mode)
    image.save(tmp_path / "a.png")
    crop = read_crop(tmp_path / "a.png", 21, lambda width, height: (1, 2, 33, 18))
    assert crop.shape == (3, 21, 21)
    assert crop.dtype == torch.float32
    assert crop.is_contiguous()
    assert crop.min() >= 0
    assert crop.max() <= 1
    assert crop.std() > 0.05


def translucent(path: Path, mode: str) -> tuple[int, int, int]:
    """Write a picture of one colour, partly transparent; return what it is on white."""
    if mode == "RGBA":
        Image.new("RGBA", (40, 50), (255, 0, 0, 51)).save(path)
        return (255, 204, 204)
    if mode == "LA":
        Image.new("LA", (40, 50), (0, 51)).save(path)
        return (204, 204, 204)
    if mode == "P":
        Image.new("P", (40, 50), 0).save(path, transparency=0)
    else:
        black = (0, 0, 0) if mode == "RGB" else 0
        Image.new(mode, (40, 50), black).save(path, transparency=black)
    return WHITE


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB", "L"])
def test_transparent_parts_are_taken_as_white(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.png"
    colour = translucent(path, mode)
    style = read_style(path, 32)
    torch.testing.assert_close(style, constant(colour, 40, 32), atol=1.01 / 255, rtol=0)
    crop = read_crop(path, 16, whole)
    torch.testing.assert_close(crop, constant(colour, 16, 16)[0], atol=1.01 / 255, rtol=0)


def test_reading_in_threads_leaves_the_warning_filters_as_they_were(tmp_path: Path) -> None:
    """Two readers that overlap, the first to come the first to go."""
    Image.fromarray(colours()).save(tmp_path / "a.png")
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))

    def first(width: int, height: int) -> Box:
        first_is_in.set()
        assert second_is_in.wait(10)
        return (0, 0, width, height)

    def second(width: int, height: int) -> Box:
        second_is_in.set()
        assert first_is_out.wait(10)
        return (0, 0, width, height)

    def read_first() -> None:
        read_crop(tmp_path / "a.png", 8, first)
        first_is_out.set()

    def read_second() -> None:
        assert first_is_in.wait(10)
        read_crop(tmp_path / "a.png", 8, second)

    with warnings.catch_warnings():
        before = list(warnings.filters)
        threads = [threading.Thread(target=read_first), threading.Thread(target=read_second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        after = list(warnings.filters)
    assert after == before

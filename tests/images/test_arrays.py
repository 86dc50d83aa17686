"""Pictures from arrays, tensors, Pillow's images and streams."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from pictures import ORIENTATION, colours, levels
from PIL import Image

from fast_style.images.picture import array_like, from_array, to_pil
from fast_style.images.reading import (
    from_pil,
)


def test_from_pil_leaves_the_image_alone() -> None:
    image = Image.fromarray(colours())
    image.getexif()[ORIENTATION] = 6
    before = image.tobytes()
    picture = from_pil(image)
    picture.rgb.zero_()
    assert image.tobytes() == before
    assert image.size == (9, 6)
    assert image.getexif()[ORIENTATION] == 6


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4)])
@pytest.mark.parametrize("kind", ["uint8", "float16", "float32", "float64"])
def test_arrays(shape: tuple[int, ...], kind: str) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    given = array if kind == "uint8" else (array / 255).astype(kind)
    before = given.copy()
    picture = from_array(given)
    rgb, alpha = picture.rgb, picture.alpha
    assert picture.bits == (8 if kind == "uint8" else 16)
    assert rgb.shape == (1, 3, 5, 7)
    assert rgb.dtype == torch.float32
    expected = np.repeat(array[..., None], 3, axis=-1) if len(shape) == 2 else array[..., :3]
    assert np.array_equal(levels(rgb), expected)
    assert (alpha is not None) == (shape[-1] == 4)
    if alpha is not None:
        assert np.array_equal(levels(alpha)[..., 0], array[..., 3])
    back = array_like(given, picture)
    assert back.dtype == given.dtype
    wanted = np.repeat(given[..., None], 3, axis=-1) if len(shape) == 2 else given
    np.testing.assert_allclose(back, wanted, atol=1e-3 if kind == "float16" else 1e-7)
    picture.levels.zero_()
    assert np.array_equal(given, before)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((5,), np.uint8),
        np.zeros((5, 7, 1), np.uint8),
        np.zeros((5, 7, 2), np.float32),
        np.zeros((3, 5, 7), np.float32),
        np.zeros((1, 5, 7, 3), np.float32),
        np.zeros((5, 7, 3), np.int64),
        np.zeros((5, 7, 3), bool),
        np.zeros((5, 7, 3), np.uint16),
        np.zeros((5, 7, 3), np.complex64),
        np.zeros((5, 7, 3), object),
    ],
    ids=lambda array: f"{array.shape} {array.dtype}",
)
def test_other_arrays_are_refused(array: npt.NDArray[Any]) -> None:
    with pytest.raises(ValueError, match=r"array \(H, W\).* found \(.*\), \w+"):
        from_array(array)


def test_to_pil() -> None:
    rgb = torch.from_numpy(colours()).permute(2, 0, 1)[None] / 255
    image = to_pil(rgb)
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), colours())
    image = to_pil(rgb.double().requires_grad_(), rgb[:, :1])
    assert image.mode == "RGBA"
    assert np.array_equal(np.asarray(image), colours()[..., [0, 1, 2, 0]])


def test_pictures_come_from_streams_too() -> None:
    stream = io.BytesIO()
    Image.fromarray(colours()).save(stream, "PNG")
    with Image.open(stream) as image:
        assert np.array_equal(levels(from_pil(image).rgb), colours())

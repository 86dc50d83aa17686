from __future__ import annotations

import copy
import os
import pickle
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

import fast_style
from fast_style import stylize
from fast_style.images.picture import Picture, as_bytes, to_pil
from fast_style.images.reading import from_pil
from fast_style.models.network import MARGIN, StyleNetwork
from fast_style.models.style_file import ModelFileError, StyleModel, load_style_model
from fast_style.painting.controls import PaintJob
from fast_style.painting.strips import StripPainter, reflected
from fast_style.painting.style import Style, load
from fast_style.system.resources import asset

HEIGHT, WIDTH = 33, 47


@pytest.fixture(scope="module")
def style(tiny_model: Path) -> Style:
    return load(tiny_model, "cpu", precision="float32")


class PerPixel(StyleNetwork):
    multiple = 1

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 1)

    def body(self, x: Tensor) -> Tensor:
        painted: Tensor = self.convolution(x)
        return painted

    def forward(self, image: Tensor) -> Tensor:
        return self.body(image)


def per_pixel(scale: float, shift: float) -> Style:
    """Return a style that gives scale * x + shift: what it does can be told exactly."""
    network = PerPixel()
    with torch.no_grad():
        network.convolution.weight.copy_(scale * torch.eye(3).view(3, 3, 1, 1))
        nn.init.constant_(network.get_parameter("convolution.bias"), shift)
    model = StyleModel(network.requires_grad_(False), {"style": {"name": "plain"}})
    return Style(model, "cpu", precision="float32", backend="torch")


def pixels(*shape: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


# Kinds in, kinds out


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("RGB", "RGB"),
        ("RGBA", "RGBA"),
        ("L", "RGB"),
        ("LA", "RGBA"),
        ("P", "RGB"),
        ("PA", "RGBA"),
        ("1", "RGB"),
        ("CMYK", "RGB"),
        ("I", "RGB"),
        ("F", "RGB"),
    ],
)
def test_a_pillow_image_in_a_pillow_image_out(style: Style, mode: str, expected: str) -> None:
    image = Image.fromarray(pixels(HEIGHT, WIDTH, 3))
    image = image.convert("P").convert(mode) if mode == "PA" else image.convert(mode)
    before = image.tobytes()
    stylized = style(image)
    assert isinstance(stylized, Image.Image)
    assert stylized is not image
    assert stylized.mode == expected
    assert stylized.size == (WIDTH, HEIGHT)
    assert image.mode == mode
    assert image.tobytes() == before


def test_a_pillow_image_of_sixteen_bits(style: Style) -> None:
    grey = pixels(HEIGHT, WIDTH).astype(np.uint16) * 257
    expected = style(np.repeat(pixels(HEIGHT, WIDTH)[..., None], 3, axis=-1))
    found = np.asarray(style(Image.fromarray(grey)))
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_a_pillow_images_transparency_is_kept(style: Style) -> None:
    rgba = pixels(HEIGHT, WIDTH, 4)
    rgba[..., 3] = rgba[..., 3].clip(16)  # what is hardly there is seen in the colours around it
    stylized = np.asarray(style(Image.fromarray(rgba)))
    assert np.array_equal(stylized[..., 3], rgba[..., 3])
    opaque = np.asarray(style(Image.fromarray(rgba[..., :3].copy())))
    assert np.array_equal(stylized[..., :3], opaque)


def test_a_turned_pillow_image_comes_back_upright() -> None:
    array = pixels(HEIGHT, WIDTH, 3)
    image = Image.fromarray(array)
    image.getexif()[0x0112] = 6
    assert np.array_equal(np.asarray(per_pixel(1, 0)(image, grain=0)), np.rot90(array, -1))


@pytest.mark.parametrize("shape", [(HEIGHT, WIDTH), (HEIGHT, WIDTH, 3), (HEIGHT, WIDTH, 4)])
@pytest.mark.parametrize("kind", ["uint8", "float16", "float32", "float64"])
def test_an_array_in_an_array_out(style: Style, shape: tuple[int, ...], kind: str) -> None:
    array = pixels(*shape) if kind == "uint8" else (pixels(*shape) / 255).astype(kind)
    before = array.copy()
    stylized = style(array)
    assert isinstance(stylized, np.ndarray)
    assert stylized.dtype == array.dtype
    assert stylized.shape == (HEIGHT, WIDTH, 4 if shape[-1] == 4 else 3)
    assert np.array_equal(array, before)
    if shape[-1] == 4:
        atol = 1e-3 if kind == "float16" else 1e-7
        np.testing.assert_allclose(stylized[..., 3], array[..., 3], atol=atol)


@pytest.mark.parametrize("shape", [(3, HEIGHT, WIDTH), (1, 3, HEIGHT, WIDTH), (3, 3, 40, 36)])
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_tensor_in_a_tensor_out(style: Style, shape: tuple[int, ...], kind: torch.dtype) -> None:
    tensor = torch.rand(shape).to(kind)
    before = tensor.clone()
    stylized = style(tensor)
    assert isinstance(stylized, torch.Tensor)
    assert stylized.shape == shape
    assert stylized.dtype == kind
    assert stylized.device == tensor.device
    assert torch.equal(tensor, before)


def test_all_kinds_give_the_same_picture(style: Style) -> None:
    array = pixels(HEIGHT, WIDTH, 3)
    tensor = torch.from_numpy(array).permute(2, 0, 1) / 255
    from_tensor = style(tensor)
    torch.testing.assert_close(style(tensor[None])[0], from_tensor, atol=1e-6, rtol=0)
    expected = from_tensor.permute(1, 2, 0).numpy()
    np.testing.assert_allclose(style(array.astype(np.float32) / 255), expected, atol=1e-5)
    bytes_expected = np.asarray(to_pil(from_tensor[None]))
    for found in (style(array), np.asarray(style(Image.fromarray(array)))):
        assert np.abs(found.astype(int) - bytes_expected).max() <= 1


EVERY_CONTROL: list[dict[str, Any]] = [
    {},
    {"size": 90},
    {"stroke": 1.4},
    {"strength": 0.6},
    {"grain": 0},
    {"grain": 0, "size": 90},
    {"grain": 7.5},
    {"palette": 0},
    {"palette": 0.5, "tile": 64},
    {"preserve_color": "luminance"},
    {"preserve_color": "match"},
    {"size": 90, "stroke": 1.3, "strength": 0.8, "palette": 0.5, "preserve_color": "match"},
]


@pytest.fixture(scope="module")
def slim() -> Style:
    """Return a released style: it makes strokes of what an untrained one would hardly show."""
    return load("starry-slim", "cpu", backend="torch")


def sky(channels: int) -> npt.NDArray[np.uint8]:
    """Return a plain piece of a photograph, where every level counts; a disc of it, with alpha."""
    image = Image.open(asset("photos/val/castle_neuschwanstein.jpg")).crop((0, 0, 112, 96))
    y, x = np.mgrid[0:96, 0:112]
    away = np.hypot(y - 48, x - 56)
    alpha = ((56 - away) * 16).clip(0, 255).astype(np.uint8)
    return np.dstack([np.asarray(image.convert("RGB")), *([alpha] * (channels - 3))])


@pytest.mark.parametrize("controls", EVERY_CONTROL, ids=str)
@pytest.mark.parametrize("channels", [3, 4])
def test_the_same_values_are_the_same_picture_whatever_holds_them(
    slim: Style, controls: dict[str, Any], channels: int
) -> None:
    array = sky(channels)
    expected = slim(array, **controls)
    assert np.array_equal(np.asarray(slim(Image.fromarray(array), **controls)), expected)
    for kind in (np.float32, np.float64):
        floats = slim(array / kind(255), **controls) * 255
        # Of a picture that is painted over, bytes are rounded twice.
        most = 1.6 if "stroke" in controls else 1.1
        assert np.abs(floats - expected).max() < most, kind
    if channels == 3:
        tensor = torch.from_numpy(array / np.float32(255)).permute(2, 0, 1)
        for painted in (slim(tensor, **controls), slim(tensor[None], **controls)[0]):
            assert np.abs(painted.permute(1, 2, 0).numpy() * 255 - expected).max() < 1.1


@pytest.mark.parametrize("channels", [3, 4])
def test_a_file_gives_what_its_array_gives(slim: Style, channels: int, tmp_path: Path) -> None:
    Image.fromarray(sky(channels)).save(tmp_path / "sky.png")
    options = ["--size", "90", "--stroke", "1.3", "--strength", "0.8", "--preserve-color"]
    common = ["--device", "cpu", "--backend", "torch", "-o"]
    for given, controls in (
        ([], {}),
        (options, {"size": 90, "stroke": 1.3, "strength": 0.8, "preserve_color": "luminance"}),
    ):
        target = tmp_path / f"painted{len(given)}.png"
        source = str(tmp_path / "sky.png")
        assert stylize.main(["starry-slim", source, *given, *common, str(target)]) == 0
        expected = slim(sky(channels), **controls)  # type: ignore[arg-type]
        assert np.array_equal(np.asarray(Image.open(target)), expected)


def test_a_grey_array_is_a_picture_of_three_equal_channels(style: Style) -> None:
    grey = pixels(HEIGHT, WIDTH)
    assert np.array_equal(style(grey), style(np.stack([grey] * 3, axis=-1)))
    pillow = np.asarray(style(Image.fromarray(grey), grain=0))
    assert np.array_equal(pillow, style(grey, grain=0))


def test_colours_stay_in_their_places() -> None:
    """Nothing is transposed, mirrored or exchanged on the way in and out."""
    plain = per_pixel(1, 0)
    rgba = pixels(HEIGHT, WIDTH, 4)
    rgba[..., 3] = rgba[..., 3].clip(16)
    assert np.array_equal(plain(rgba, grain=0), rgba)
    assert np.array_equal(np.asarray(plain(Image.fromarray(rgba), grain=0)), rgba)
    tensor = torch.rand(2, 3, HEIGHT, WIDTH)
    assert torch.equal(plain(tensor, grain=0), tensor)
    assert torch.equal(plain(tensor[0], grain=0), tensor[0])


@pytest.mark.parametrize("kind", ["mirrored", "read-only", "Fortran", "big-endian", "cut out"])
def test_arrays_of_any_layout(style: Style, kind: str) -> None:
    array = (pixels(HEIGHT, WIDTH, 3) / 255).astype(np.float32)
    given: npt.NDArray[Any] = {
        "mirrored": array[::-1, ::-1],
        "read-only": np.broadcast_to(array[:1], array.shape),
        "Fortran": np.asfortranarray(array),
        "big-endian": array.astype(">f4"),
        "cut out": np.pad(array, ((3, 5), (2, 4), (0, 0)))[3:-5, 2:-4],
    }[kind]
    expected = style(np.ascontiguousarray(given, dtype=np.float32))
    np.testing.assert_allclose(style(given), expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["channels last", "expanded", "cut out", "with gradient"])
def test_tensors_of_any_layout(style: Style, kind: str) -> None:
    tensor = torch.rand(2, 3, HEIGHT, WIDTH)
    given = {
        "channels last": tensor.to(memory_format=torch.channels_last),
        "expanded": tensor[:1, :, :, :1].expand(2, 3, HEIGHT, WIDTH),
        "cut out": nn.functional.pad(tensor, (3, 5, 2, 4))[..., 2:-4, 3:-5],
        "with gradient": tensor.clone().requires_grad_(),
    }[kind]
    expected = style(given.detach().clone(memory_format=torch.contiguous_format))
    stylized = style(given)
    torch.testing.assert_close(stylized, expected, atol=1e-5, rtol=0)
    assert not stylized.requires_grad
    assert given.grad is None


@pytest.mark.parametrize("kind", ["uint8", "float16", "float32", "float64"])
def test_the_array_that_comes_back_is_the_callers_own(style: Style, kind: str) -> None:
    scale = 1 if kind == "uint8" else 255
    array = (pixels(HEIGHT, WIDTH, 4) / scale).astype(kind)
    stylized = style(array)
    stylized[:] = 0
    assert np.array_equal(array, (pixels(HEIGHT, WIDTH, 4) / scale).astype(kind))


@pytest.mark.parametrize("of", [np.asarray, torch.from_numpy])
def test_another_range_is_refused(style: Style, of: Callable[..., Any]) -> None:
    levels = pixels(HEIGHT, WIDTH, 3).astype("float32")
    given = of(levels if of is np.asarray else levels.transpose(2, 0, 1).copy())
    with pytest.raises(ValueError, match=r"\[0, 1\], .* 0 to 255"):
        style(given)


def test_the_tensor_that_comes_back_is_like_any_other(style: Style) -> None:
    """It can be changed in place, and used where gradients are recorded."""
    weight = torch.ones(1, requires_grad=True)
    for given in (torch.rand(3, HEIGHT, WIDTH), torch.rand(1, 3, HEIGHT, WIDTH)):
        stylized = style(given)
        (weight * stylized).sum().backward()
        total = stylized.sum()
        stylized.mul_(2)
        torch.testing.assert_close(stylized.sum(), 2 * total)
    assert weight.grad is not None


# What the pictures are


def test_it_does_something(style: Style) -> None:
    tensor = torch.rand(1, 3, HEIGHT, WIDTH)
    stylized = style(tensor)
    assert (stylized - tensor).abs().mean() > 0.05
    assert stylized.std() > 0.001


def with_margin(rgb: Tensor) -> Tensor:
    return F.pad(rgb, (MARGIN,) * 4, mode="reflect")


def without_margin(painted: Tensor) -> Tensor:
    return painted[..., MARGIN:-MARGIN, MARGIN:-MARGIN]


def test_it_is_what_the_network_gives(style: Style, tiny_model: Path) -> None:
    tensor = torch.rand(2, 3, HEIGHT, WIDTH)
    network = load_style_model(tiny_model).network
    torch.testing.assert_close(style.paint(tensor), network(tensor).clamp(0, 1))
    expected = without_margin(network(with_margin(tensor)).clamp(0, 1))
    torch.testing.assert_close(style(tensor, grain=0), expected)
    assert 0 < float((style(tensor) - expected).abs().mean()) < 0.1  # what is not asked for


@pytest.mark.parametrize(("side", "margin"), [(1, 0), (7, 3), (7, 6), (40, 16)])
def test_a_margin_is_reflected(side: int, margin: int) -> None:
    row = torch.rand(1, 1, side)
    expected = F.pad(row, (margin, margin), mode="reflect")
    assert torch.equal(row[..., reflected((0, side + 2 * margin), margin, side)], expected)


@pytest.mark.parametrize("tile", ["off", 4, 12, 64])
@pytest.mark.parametrize("height", [32, 45])
def test_the_margin_is_cut_off_in_strips_too(height: int, tile: str | int, style: Style) -> None:
    picture = Picture(torch.rand(1, 3, height, 53), None)
    painted = style.paint_picture(picture, PaintJob(tile=tile)).levels
    expected = without_margin(style.paint(with_margin(picture.levels)))
    torch.testing.assert_close(painted, expected, atol=5e-3, rtol=0)  # float16 between layers


def test_the_result_is_clamped() -> None:
    style = per_pixel(3, -1)
    ramp = torch.linspace(0, 1, 40).expand(1, 3, 36, 40)
    stylized = style(ramp, grain=0)
    torch.testing.assert_close(stylized, (3 * ramp - 1).clamp(0, 1))
    assert (float(stylized.min()), float(stylized.max())) == (0, 1)
    array = np.ascontiguousarray(ramp[0].permute(1, 2, 0).numpy())
    assert (style(array).min(), style(array).max()) == (0, 1)
    levels = (array * 255).round().astype(np.uint8)
    expected = (levels.astype(int) * 3 - 255).clip(0, 255)
    assert np.abs(style(levels, grain=0).astype(int) - expected).max() <= 1


def test_a_batch_equals_its_pictures_one_by_one(style: Style) -> None:
    batch = torch.rand(4, 3, HEIGHT, WIDTH)
    singles = torch.stack([style(picture) for picture in batch])
    torch.testing.assert_close(style(batch), singles, atol=1e-5, rtol=0)


def test_the_same_picture_gives_the_same_result(style: Style) -> None:
    tensor = torch.rand(1, 3, HEIGHT, WIDTH)
    assert torch.equal(style(tensor), style(tensor))


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (34, 61), (64, 35)])
def test_any_size_is_kept(style: Style, size: tuple[int, int]) -> None:
    assert style(pixels(*size, 3)).shape == (*size, 3)
    assert style(Image.fromarray(pixels(*size, 3))).size == size[::-1]
    assert style(torch.rand(3, *size)).shape == (3, *size)


def test_a_picture_keeps_its_alpha(style: Style) -> None:
    picture = from_pil(Image.fromarray(pixels(HEIGHT, WIDTH, 4)))
    assert picture.alpha is not None
    stylized = style.paint_picture(picture)
    assert isinstance(stylized, Picture)
    assert stylized.alpha is not None
    assert torch.equal(stylized.alpha, picture.alpha)
    painted = without_margin(style.paint(with_margin(picture.rgb)))
    assert torch.equal(stylized.levels, as_bytes(painted))
    assert style.paint_picture(Picture(picture.rgb, None)).alpha is None


# Controls


@pytest.mark.parametrize("kind", ["array", "floats", "image", "tensor", "batch"])
def test_controls_work_for_every_kind(style: Style, kind: str) -> None:
    array = pixels(60, 80, 3)
    kinds: dict[str, Callable[[], Any]] = {
        "array": lambda: array,
        "floats": lambda: array / np.float64(255),
        "image": lambda: Image.fromarray(array),
        "tensor": lambda: torch.from_numpy(array / np.float32(255)).permute(2, 0, 1),
        "batch": lambda: torch.rand(2, 3, 60, 80),
    }
    given = kinds[kind]()
    shrunk: Any = style(given, size=40, stroke=0.5)
    untouched: Any = style(given, strength=0)
    if kind == "image":
        assert shrunk.size == (40, 30)
        assert np.array_equal(np.asarray(untouched), array)
        return
    shape = {"array": (30, 40, 3), "floats": (30, 40, 3), "tensor": (3, 30, 40)}
    assert tuple(shrunk.shape) == shape.get(kind, (2, 3, 30, 40))
    assert shrunk.dtype == given.dtype
    assert np.allclose(np.asarray(untouched), np.asarray(given), atol=1e-6)
    kept = style(given, preserve_color="luminance")
    assert not np.allclose(np.asarray(kept), np.asarray(style(given)), atol=0.02)


def test_a_control_out_of_range(style: Style) -> None:
    with pytest.raises(ValueError, match="strength .*0 to 1.* 2$"):
        style(pixels(HEIGHT, WIDTH, 3), strength=2)


# Sizes and precision


@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_strips_give_the_same_picture(style: Style, kind: str) -> None:
    array = pixels(150, 70, 3)
    image = array if kind == "uint8" else (array / np.float32(255))
    whole, in_strips = style(image, tile="off"), style(image, tile=32)
    scale = 1 if kind == "uint8" else 255
    difference = np.abs(whole.astype(float) - in_strips.astype(float)) * scale
    assert difference.mean() < 0.2
    assert difference.max() <= 2


def test_a_picture_too_large_for_the_memory_is_done_in_strips(
    style: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []
    paint = StripPainter.paint

    def spy(self: StripPainter, *arguments: Any) -> None:
        used.append(self.strip // 4)
        paint(self, *arguments)

    monkeypatch.setattr(StripPainter, "paint", spy)
    image = pixels(150, 70, 3)
    style(image)
    assert not used
    monkeypatch.setattr("fast_style.painting.strips.free_memory", lambda device: 150 * 70 * 100)
    style(image)
    assert len(used) == 1
    style(image, tile="off")
    assert len(used) == 1


@pytest.mark.parametrize("tile", [0, -4, "yes", True, 1.5])
def test_other_tiles_are_refused(style: Style, tile: Any) -> None:
    with pytest.raises(ValueError, match=f"tile .*auto, off .*{tile}"):
        style(pixels(HEIGHT, WIDTH, 3), tile=tile)


def test_bfloat16_is_as_good(tiny_model: Path) -> None:
    """Results agree within 2 levels of 255 on average."""
    image = pixels(96, 64, 3)
    # By PyTorch, which computes in it on any CPU; OpenVINO only where the CPU does.
    exact, reduced = (
        load(tiny_model, "cpu", precision=precision, backend="torch")(image).astype(float)
        for precision in ("float32", "bfloat16")
    )
    assert 0 < np.abs(exact - reduced).mean() < 2


def test_another_precision_is_refused(tiny_model: Path) -> None:
    with pytest.raises(ValueError, match="auto, float32, bfloat16.* 'float8'"):
        load(tiny_model, "cpu", precision="float8")


def test_four_threads_get_what_one_gets(style: Style) -> None:
    images = [pixels(HEIGHT + i, WIDTH, 3) for i in range(4)]
    expected = [style(image) for image in images]
    barrier = threading.Barrier(4)

    def paint(i: int) -> bool:
        barrier.wait(10)
        results = [style(images[(i + step) % 4]) for step in range(8)]
        return all(
            np.array_equal(result, expected[(i + step) % 4]) for step, result in enumerate(results)
        )

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(paint, range(4))) == [True] * 4


def test_painting_leaves_torchs_modes_as_they_were(style: Style) -> None:
    assert torch.is_grad_enabled()
    style(torch.rand(3, HEIGHT, WIDTH))
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


# What is refused


@pytest.mark.parametrize("size", [(31, 47), (47, 31), (1, 1), (31, 31)])
def test_a_picture_that_is_too_small(style: Style, size: tuple[int, int]) -> None:
    height, width = size
    message = f"{width} x {height} px.* 32 x 32 px"
    with pytest.raises(ValueError, match=message):
        style(pixels(*size, 3))
    with pytest.raises(ValueError, match=message):
        style(Image.fromarray(pixels(*size, 3)))
    with pytest.raises(ValueError, match=message):
        style(torch.rand(1, 3, *size))


def test_a_batch_without_pictures(style: Style) -> None:
    with pytest.raises(ValueError, match="empty batch"):
        style(torch.rand(0, 3, 40, 40))


@pytest.mark.parametrize("shape", [(0, 0), (0, 40), (40, 0, 3), (0, 40, 4)])
def test_an_array_without_pixels(style: Style, shape: tuple[int, ...]) -> None:
    for kind in (np.uint8, np.float32):
        with pytest.raises(ValueError, match=r"32 x 32 px|array \(H, W\)"):
            style(np.zeros(shape, kind))


@pytest.mark.parametrize(
    "shape", [(), (40,), (40, 40, 1), (40, 40, 2), (3, 40, 40), (1, 40, 40, 3)]
)
def test_an_array_of_another_shape(style: Style, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"array \(H, W\).*" + re.escape(str(shape))):
        style(np.zeros(shape, np.float32))


@pytest.mark.parametrize("kind", ["int32", "int64", "uint16", "bool", "complex64", "object"])
def test_an_array_of_another_type(style: Style, kind: str) -> None:
    with pytest.raises(ValueError, match=rf"array .*{kind}"):
        style(np.zeros((40, 40, 3), kind))


@pytest.mark.parametrize(
    "shape",
    [(40,), (40, 40), (40, 40, 3), (1, 40, 40), (2, 1, 40, 40), (1, 4, 40, 40), (1, 1, 3, 40, 40)],
)
def test_a_tensor_of_another_shape(style: Style, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"3, H, W\).*" + re.escape(str(shape)[1:])):
        style(torch.zeros(shape))


@pytest.mark.parametrize("kind", [torch.uint8, torch.int64, torch.bool, torch.complex64])
def test_a_tensor_of_another_type(style: Style, kind: torch.dtype) -> None:
    with pytest.raises(ValueError, match=f"floating-point .*{kind}"):
        style(torch.zeros(1, 3, 40, 40, dtype=kind))


@pytest.mark.parametrize("thing", ["photo.jpg", Path("photo.jpg"), [[0.5]], None, 3, b"bytes"])
def test_another_kind_of_thing(style: Style, thing: Any) -> None:
    with pytest.raises(ValueError, match=f"array.*tensor.*{type(thing).__name__}'"):
        style(thing)


# Loading


@pytest.mark.parametrize("device", ["nonsense", "", "cuda:99", "cpu:-1", "hpu", "vulkan"])
def test_a_device_that_is_not_here(tiny_model: Path, device: str) -> None:
    with pytest.raises(ValueError, match=f"device '{device}'"):
        load(tiny_model, device)


def test_a_style_says_what_it_is(tiny_model: Path) -> None:
    style = load(tiny_model, "cpu")
    assert style.name == "tiny"
    assert style.description["style"] == {"name": "tiny"}
    assert style.device == torch.device("cpu")
    assert not style.network.training
    assert repr(style) == f"Style('tiny', device='cpu', backend={style.backend!r})"


def test_auto_is_the_cpu_where_there_is_no_gpu(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert load(tiny_model).device == torch.device("cpu")


def test_a_path_may_be_text(tiny_model: Path) -> None:
    assert load(str(tiny_model), "cpu").name == "tiny"


def test_a_style_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="nowhere.safetensors"):
        load(tmp_path / "nowhere.safetensors")
    with pytest.raises(ModelFileError, match="no-such-style"):
        load("no-such-style")


def test_the_packages_own_names(tiny_model: Path) -> None:
    assert fast_style.Style is Style
    assert fast_style.load is load
    assert fast_style.load(tiny_model, "cpu")(pixels(40, 40, 3)).shape == (40, 40, 3)
    with pytest.raises(AttributeError, match="'nonsense'"):
        fast_style.nonsense  # noqa: B018


# Memory that is too small, copies, forks, other defaults


class Hungry(StyleNetwork):
    """A network for which there is no memory, the first ``times`` that it paints."""

    def __init__(self, network: StyleNetwork, times: int, error: Exception) -> None:
        super().__init__()
        self.network, self.times, self.error = network, times, error

    def body(self, x: Tensor) -> Tensor:
        return self.network.body(x)

    def forward(self, x: Tensor) -> Tensor:
        if self.times:
            self.times -= 1
            raise self.error
        result: Tensor = self.network(x)
        return result


NO_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory."),
    RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
]


def hungry(path: Path, error: Exception) -> Style:
    model = load_style_model(path)
    network: Any = Hungry(model.network, 1, error)
    return Style(model._replace(network=network), "cpu", "float32", "torch")


@pytest.mark.parametrize("error", NO_MEMORY)
def test_out_of_memory_is_done_in_strips(
    tiny_model: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    paint = StripPainter.paint

    def spy(painter: StripPainter, *arguments: Any) -> None:
        asked.append(painter.strip // 4)
        if len(asked) == 1:  # and even a strip is too large
            arguments[2](0.25)
            raise error
        paint(painter, *arguments)

    monkeypatch.setattr(StripPainter, "paint", spy)
    picture = Picture(torch.rand(1, 3, 64, 50), None)
    shares: list[float] = []
    painted = hungry(tiny_model, error).paint_picture(picture, PaintJob(progress=shares.append))
    assert len(asked) == 2
    assert asked[1] < asked[0]
    assert sum(shares) == pytest.approx(1)
    expected = load(tiny_model, "cpu", "float32", "torch").paint_picture(picture)
    assert (painted.levels - expected.levels).abs().mean() < 0.2 / 255


def test_other_errors_and_other_tiles_are_not_tried_again(tiny_model: Path) -> None:
    picture = Picture(torch.rand(1, 3, 64, 50), None)
    with pytest.raises(torch.OutOfMemoryError):
        hungry(tiny_model, NO_MEMORY[0]).paint_picture(picture, PaintJob(tile="off"))
    with pytest.raises(RuntimeError, match="a bug"):
        hungry(tiny_model, RuntimeError("a bug")).paint_picture(picture)


def test_the_callers_model_stays_as_and_where_it_is(tiny_model: Path) -> None:
    model = load_style_model(tiny_model)
    style = Style(model, "meta", "float32")
    assert {p.device.type for p in style.network.parameters()} == {"meta"}
    assert {p.device.type for p in model.network.parameters()} == {"cpu"}


@pytest.mark.parametrize("backend", ["auto", "torch"])
@pytest.mark.parametrize(
    "again", [copy.deepcopy, copy.copy, lambda style: pickle.loads(pickle.dumps(style))]
)
def test_a_style_can_be_copied_and_pickled(
    tiny_model: Path, again: Callable[[Style], Style], backend: str
) -> None:
    style = load(tiny_model, "cpu", "float32", backend)
    picture = torch.rand(3, 40, 50)
    expected = style(picture)
    found = again(style)
    assert repr(found) == repr(style)
    assert found.description == style.description
    torch.testing.assert_close(found(picture), expected, atol=1e-6, rtol=0)


def run_alone(program: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-W", "ignore", "-c", program]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=environment, check=False
    )


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="is for systems that fork")
@pytest.mark.parametrize("backend", ["torch", "openvino", "onnxruntime"])
def test_a_process_forked_after_painting_paints(backend: str) -> None:
    if backend != "torch":
        pytest.importorskip(backend)
    program = f"""
import multiprocessing, torch
from fast_style import load
torch.set_num_threads(2)
style = load("starry-slim", "cpu", backend={backend!r})
picture = torch.rand(3, 96, 96)
expected = style(picture)
def paint(queue):
    queue.put(float((style(picture) - expected).abs().mean()))
context = multiprocessing.get_context("fork")
queue = context.SimpleQueue()
process = context.Process(target=paint, args=(queue,), daemon=True)
process.start()
process.join(60)
print(process.exitcode, queue.get() < 2 / 255 if process.exitcode == 0 else "")
"""
    assert run_alone(program).stdout == "0 True\n"


def test_openvino_is_refused_in_a_fork_of_a_process_that_has_used_it(tiny_model: Path) -> None:
    pytest.importorskip("openvino")
    program = f"""
import os
from fast_style import load
load({str(tiny_model)!r}, "cpu", backend="openvino")
if os.fork() == 0:
    try:
        load({str(tiny_model)!r}, "cpu", backend="openvino")
    except ValueError as error:
        print(error, flush=True)
    os._exit(0)
os.wait()
"""
    assert "forked from one that has used it" in run_alone(program).stdout


@pytest.mark.parametrize("backend", ["torch", "openvino", "onnxruntime"])
def test_the_programs_default_type_changes_nothing(backend: str, warmer: Path) -> None:
    if backend != "torch":
        pytest.importorskip(backend)
    picture = torch.rand(3, 48, 60)
    controls: dict[str, Any] = {"stroke": 1.3, "strength": 0.7, "preserve_color": "match"}
    for tile in ("off", 24):
        expected = load(warmer, "cpu", "float32", backend)(picture, **controls, tile=tile)
        torch.set_default_dtype(torch.float64)
        try:
            found = load(warmer, "cpu", "float32", backend)(picture, **controls, tile=tile)
        finally:
            torch.set_default_dtype(torch.float32)
        assert found.dtype == torch.float32
        # What is painted over is bytes: a millionth may round to another level.
        difference = (found - expected).abs()
        assert difference.mean() < 1e-5
        assert difference.max() < 2 / 255

"""Strips against the whole: the same picture, whatever the sizes, and in bounded memory."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fast_style.models.network import StyleNetwork, build_network, network_names
from fast_style.painting.strips import (
    Scratch,
    Statistics,
    StripPainter,
    in_order,
    strip_heights,
)


@pytest.fixture(scope="module", params=network_names())
def network(request: pytest.FixtureRequest) -> StyleNetwork:
    """Return a network whose output depends on its input as much as a trained one's."""
    torch.manual_seed(0)
    network = build_network(
        {"name": request.param, "channels": [8, 8, 16], "residual_blocks": 2}
    ).eval()
    nn.init.normal_(network.get_parameter("output.1.weight"), std=0.05)
    return network


def picture(height: int, width: int) -> Tensor:
    """Return a picture that differs from end to end, so that statistics of a part are wrong."""
    generator = torch.Generator().manual_seed(height)
    noise = torch.rand(1, 3, height, width, generator=generator)
    return noise * torch.linspace(0.1, 1, height).view(1, 1, -1, 1)


def in_strips(network: StyleNetwork, image: Tensor, strip: int, on_disk: bool) -> Tensor:
    height, width = image.shape[-2:]
    result = torch.full_like(image, float("nan"))
    asked: list[int] = []

    def rows(first: int, end: int) -> Tensor:
        asked.append(end - first)
        return image[..., first:end, :]

    def put(top: int, piece: Tensor) -> None:
        result[..., top : top + piece.shape[-2], :] = piece

    StripPainter(network, height, width, strip, on_disk=on_disk).paint(rows, put)
    assert max(asked) <= max(4, strip) + 2 * 8
    return result


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (131, 66), (200, 35)])
@pytest.mark.parametrize(("strip", "on_disk"), [(1, False), (20, True), (64, False), (999, True)])
def test_strips_and_whole_agree(
    network: StyleNetwork, size: tuple[int, int], strip: int, on_disk: bool
) -> None:
    image = picture(*size)
    with torch.no_grad():
        whole = network(image).clamp(0, 1)
    difference = (in_strips(network, image, strip, on_disk) - whole).abs() * 255
    # What float16 between the layers does; one level on average would be visible nowhere.
    assert float(difference.mean()) < 0.2
    assert float(difference.max()) < 3
    assert float(whole.std()) > 0.02


def test_there_is_no_seam(network: StyleNetwork) -> None:
    """The difference along the borders of strips is that of everywhere."""
    image = picture(160, 64)
    with torch.no_grad():
        whole = network(image).clamp(0, 1)
    difference = (in_strips(network, image, 40, on_disk=False) - whole).abs().mean((0, 1, 3))
    borders = torch.zeros(160, dtype=torch.bool)
    for row in (40, 80, 120):
        borders[row - 1 : row + 1] = True
    assert difference[borders].mean() < 2 * difference[~borders].mean() + 1e-4


def test_pieces_by_themselves_would_show(network: StyleNetwork) -> None:
    """What the strips are for: normalised alone, the halves of a picture differ from the whole."""
    image = picture(160, 64)
    with torch.no_grad():
        whole = network(image)
        halves = torch.cat([network(half) for half in image.chunk(2, dim=-2)], dim=-2)
    assert (halves - whole).abs().mean() > 10 / 255


def test_statistics_of_strips_are_those_of_the_whole() -> None:
    x = picture(50, 20).repeat(1, 2, 1, 1) * 1000 + 5000
    gathered = Statistics()
    for strip in x.split([7, 1, 30, 12], dim=-2):
        gathered.add(strip)
    norm = nn.InstanceNorm2d(6, affine=True)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    with torch.no_grad():
        torch.testing.assert_close(gathered.normalize(x, norm), norm(x), atol=1e-4, rtol=1e-4)


def test_scratch_keeps_rows(tmp_path: Path) -> None:
    rows = torch.arange(2 * 3 * 5 * 7, dtype=torch.float32).view(2, 3, 5, 7)[:1]
    for on_disk in (False, True):
        scratch = Scratch(3, 9, 7, on_disk)
        scratch.write(2, rows)
        assert torch.equal(scratch.read((2, 7)), rows)
        assert torch.equal(scratch.read((4, 6)), rows[..., 2:4, :])
        scratch.close()


def test_the_temporary_file_is_given_back(
    network: StyleNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def fail(top: int, piece: Tensor) -> None:
        raise KeyboardInterrupt

    image = picture(64, 64)
    painter = StripPainter(network, 64, 64, 16, on_disk=True)
    with pytest.raises(KeyboardInterrupt):
        painter.paint(lambda first, end: image[..., first:end, :], fail)
    assert not list(tmp_path.iterdir())


# How many rows a strip has

CPU = torch.device("cpu")


def heights(tile: Any, height: int, width: int) -> list[int | None]:
    return strip_heights(tile, height, width, lambda: 1000, CPU)


def test_a_picture_that_fits_is_painted_at_once_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fast_style.painting.strips.free_memory", lambda device: 2 * 10**8)
    assert heights("auto", 300, 300) == [None, 447, 111]
    assert heights("auto", 400, 300) == [447, 111]


def test_strips_of_a_wider_picture_have_fewer_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fast_style.painting.strips.free_memory", lambda device: 0)
    assert heights("auto", 100, 3000) == [44, 11]
    assert heights("auto", 100, 10**6) == [4]  # a row of what is stored


@pytest.mark.parametrize(("tile", "rows"), [("off", None), (1, 1), (64, 64)])
def test_what_is_asked_for_is_the_only_try(tile: str | int, rows: int | None) -> None:
    def unasked() -> int:
        raise AssertionError("a network may be one that strips do not know")

    assert strip_heights(tile, 10**6, 10**6, unasked, CPU) == [rows]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_height() -> None:
    """Peak memory of half and of four megapixels in strips, rows made up on the way."""
    code = """
import resource, sys, torch
from fast_style.models.network import build_network
from fast_style.painting.strips import StripPainter
height = int(sys.argv[1])
network = build_network({"name": "johnson", "channels": [4, 4, 8], "residual_blocks": 1}).eval()
painter = StripPainter(network, height, 1000, 64, on_disk=True)
rows = lambda first, end: torch.rand(1, 3, end - first, 1000)
painter.paint(rows, lambda top, piece: None)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    kilobytes = [
        int(subprocess.check_output([sys.executable, "-c", code, str(height)], text=True))
        for height in (500, 4000)
    ]
    assert kilobytes[1] < kilobytes[0] + 20_000


def test_progress_comes_to_the_whole(network: StyleNetwork) -> None:
    image = picture(70, 40)
    shares: list[float] = []
    painter = StripPainter(network, 70, 40, strip=16)
    painter.paint(
        lambda first, end: image[..., first:end, :], lambda top, piece: None, shares.append
    )
    assert len(shares) >= 5 * 10  # five strips in ten layers or more
    assert sum(shares) == pytest.approx(1)


@pytest.mark.parametrize(
    "places",
    [[0], [3, 2, 1, 0, 1, 2, 3], [2, 1, 0, 1], [0, 0, 0, 1, 2, 2, 2], [5, 1, 3], [4, 5, 4, 3]],
)
@pytest.mark.parametrize("dim", [-2, -1])
def test_rows_and_columns_in_another_order_are_those_that_were_asked_for(
    places: list[int], dim: int
) -> None:
    x = torch.arange(2 * 3 * 6 * 6).view(2, 3, 6, 6)
    at = torch.tensor(places)
    assert torch.equal(in_order(x, at, dim), x.index_select(dim, at))

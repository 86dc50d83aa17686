from __future__ import annotations

import errno
import logging
import os
import random
import re
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from fast_style.images import heif
from fast_style.images.formats import READABLE
from fast_style.images.reading import read_crop, read_levels
from fast_style.system.folders import find_files
from fast_style.training.photographs import (
    DataError,
    Draw,
    Photographs,
    StepSampler,
    cause,
    centre_box,
    find_photographs,
    random_box,
    split_folder,
)
from fast_style.training.source import Source

WIDTH, HEIGHT = 200, 120


def touch(folder: Path, *names: str) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return paths


def ramp(path: Path, blue: int = 0, width: int = WIDTH, height: int = HEIGHT) -> Path:
    """Write a picture whose red level is the column, whose green level is the row."""
    y, x = np.mgrid[0:height, 0:width]
    levels = np.stack([x, y, np.full_like(x, blue)], axis=-1).astype(np.uint8)
    Image.fromarray(levels).save(path)
    return path


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [ramp(tmp_path / f"{index}.png", blue=40 * index) for index in range(4)]


class Listed(Source):
    """Pictures whose paths are given."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = list(files)

    def __len__(self) -> int:
        return len(self.files)

    def photograph(self, index: int) -> Path | bytes:
        return self.files[index]

    def label(self, index: int) -> str:
        return str(self.files[index])


class InMemory(Listed):
    """The same, as bytes."""

    def photograph(self, index: int) -> bytes:
        return self.files[index].read_bytes()


def crops_of(files: Sequence[Path], smallest_crop: float, seed: int) -> Photographs:
    return Photographs(Listed(files), range(len(files)), smallest_crop, seed)


def steps(
    photographs: int,
    batch_size: int,
    last: int,
    *,
    first: int = 0,
    seed: int = 0,
    rank: int = 0,
    world_size: int = 1,
    sizes: Sequence[int] = (32,),
) -> list[list[Draw]]:
    return list(
        StepSampler(photographs, sizes, batch_size, range(first, last), seed, rank, world_size)
    )


def draws(
    photographs: int, batch_size: int, last: int, *, first: int = 0, seed: int = 0
) -> list[Draw]:
    batches = steps(photographs, batch_size, last, first=first, seed=seed)
    return [draw for batch in batches for draw in batch]


# Finding files


def test_photographs_in_a_flat_folder_come_sorted(tmp_path: Path) -> None:
    paths = touch(tmp_path, "c.jpg", "a.png", "b.webp")
    assert find_photographs(tmp_path) == sorted(paths)


def test_photographs_in_subfolders_are_found_too(tmp_path: Path) -> None:
    paths = touch(tmp_path, "z.jpg", "b/2.jpg", "b/deeper/still/1.jpg", "a/9.jpg")
    assert find_photographs(tmp_path) == sorted(paths)


def test_the_order_does_not_depend_on_the_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = touch(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    entries = sorted(os.scandir(tmp_path), key=lambda entry: entry.name, reverse=True)
    monkeypatch.setattr("os.scandir", lambda folder: nullcontext(entries))
    assert find_photographs(tmp_path) == paths


@pytest.mark.parametrize("suffix", READABLE)
def test_every_readable_extension_in_either_case(suffix: str, tmp_path: Path) -> None:
    paths = touch(tmp_path, f"a{suffix}", f"b{suffix.upper()}", f"c{suffix.title()}")
    assert find_photographs(tmp_path) == paths


def test_what_is_no_picture_is_left_out(tmp_path: Path) -> None:
    (expected,) = touch(tmp_path, "a.jpg")
    touch(tmp_path, "notes.txt", "annotations.json", "jpg", "a.jpg.part", "b.mp4", "Thumbs.db")
    assert find_photographs(tmp_path) == [expected]


def test_a_folder_named_like_a_picture_is_a_folder(tmp_path: Path) -> None:
    (expected,) = touch(tmp_path, "album.jpg/a.png")
    assert find_photographs(tmp_path) == [expected]


def test_linked_folders_are_followed_each_once(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere", "a.jpg", "deeper/b.jpg")
    root = tmp_path / "root"
    expected = [*touch(root, "0.jpg"), root / "link" / "a.jpg", root / "link" / "deeper" / "b.jpg"]
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (root / "twin").symlink_to(tmp_path / "elsewhere")
    (root / "deep").mkdir()
    (root / "deep" / "round").symlink_to(root)
    (tmp_path / "elsewhere" / "round").symlink_to(tmp_path / "elsewhere")
    assert find_photographs(root) == expected
    (tmp_path / "door").symlink_to(root)
    assert len(find_photographs(tmp_path / "door")) == 3


def test_what_is_left_out_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def scandir(path: Path) -> Iterator[os.DirEntry[str]]:
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return whole(path)

    whole = os.scandir
    (expected,) = touch(tmp_path, "a.jpg")
    (tmp_path / "closed").mkdir()
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "itself.jpg").symlink_to(tmp_path / "itself.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(os, "scandir", scandir)
    with caplog.at_level(logging.WARNING):
        assert find_photographs(tmp_path) == [expected]
    assert [record.getMessage() for record in caplog.records] == [
        f"left out {tmp_path / 'gone'}: a link that leads nowhere",
        f"left out {tmp_path / 'itself.jpg'}: a link that leads nowhere",
        f"left out {tmp_path / 'pipe.jpg'}: it is no file",
        f"left out {tmp_path / 'closed'}: Permission denied",
    ]


def test_the_folder_of_the_results_is_left_out_unless_it_is_the_one(tmp_path: Path) -> None:
    (first, second) = touch(tmp_path, "a.jpg", "b/c.jpg")
    (tmp_path / "results").symlink_to(tmp_path / "b")
    assert find_files(tmp_path, READABLE, tmp_path / "results").files == [first]
    assert find_files(tmp_path, READABLE, tmp_path).files == [first, second]
    assert find_files(tmp_path, READABLE, tmp_path / "new").files == [first, second]


def test_what_lets_heif_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heif, "is_available", lambda: False)
    paths = touch(tmp_path, "a.HEIC", "b.jpg", "c.heif")
    with pytest.raises(DataError, match=f"none of the 3 .*; 2 more .*{re.escape(heif.NEEDED)}"):
        crops_of(paths, 1.0, 0)[(0, 0, 32)]
    assert cause(paths[0]) == heif.NEEDED
    assert "pip" not in cause(paths[1])
    monkeypatch.setattr(heif, "is_available", lambda: True)
    assert "pip" not in cause(paths[0])


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    (expected,) = touch(tmp_path, "seen/a.jpg")
    touch(tmp_path, ".hidden.jpg", "seen/._a.jpg", ".thumbnails/a.jpg", "seen/.cache/deep/b.jpg")
    assert find_photographs(tmp_path) == [expected]


def test_a_hidden_folder_can_be_the_root(tmp_path: Path) -> None:
    (expected,) = touch(tmp_path, ".data/a.jpg")
    assert find_photographs(tmp_path / ".data") == [expected]


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    (expected,) = touch(tmp_path, "photos/inner/a.jpg")
    (tmp_path / "photos" / "inner" / "back").symlink_to(tmp_path / "photos")
    assert find_photographs(tmp_path / "photos") == [expected]


def test_the_root_may_be_a_link(tmp_path: Path) -> None:
    touch(tmp_path, "photos/a.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    assert find_photographs(tmp_path / "link") == [tmp_path / "link" / "a.jpg"]


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder .*nowhere; data\.root "):
        find_photographs(tmp_path / "nowhere")
    (file,) = touch(tmp_path, "a.jpg")
    with pytest.raises(DataError, match=r"no folder .*a\.jpg"):
        find_photographs(file)


def test_a_folder_without_photographs(tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt", ".hidden.jpg")
    with pytest.raises(DataError, match=rf"{re.escape(str(tmp_path))}.*\.jpg, \.jpeg, \.png"):
        find_photographs(tmp_path)


@pytest.mark.parametrize("inside", ["train", "images/train"])
def test_a_split_lies_in_the_root_or_in_its_images(inside: str, tmp_path: Path) -> None:
    (tmp_path / inside).mkdir(parents=True)
    assert split_folder(tmp_path, "train") == tmp_path / inside


def test_the_root_may_be_the_split_already(tmp_path: Path) -> None:
    root = tmp_path / "train"
    root.mkdir()
    assert split_folder(root, "train") == root


def test_no_split_is_the_root(tmp_path: Path) -> None:
    (tmp_path / "images" / "train").mkdir(parents=True)
    assert split_folder(tmp_path, None) == tmp_path


def test_an_absent_split_is_named_where_it_was_looked_for(tmp_path: Path) -> None:
    assert split_folder(tmp_path, "val") == tmp_path / "val"


# Boxes


@pytest.mark.parametrize("smallest", [0.001, 0.3, 0.85, 1.0])
def test_a_random_box_is_a_square_inside_the_picture(smallest: float) -> None:
    generator = random.Random(1)
    for _ in range(500):
        width, height = generator.randint(1, 4000), generator.randint(1, 4000)
        left, upper, right, lower = random_box(width, height, smallest, generator)
        side = right - left
        assert lower - upper == pytest.approx(side)
        shorter = min(width, height)
        assert smallest * shorter * (1 - 1e-9) <= side <= shorter * (1 + 1e-9)
        assert min(left, upper) >= 0
        assert right <= width + 1e-9
        assert lower <= height + 1e-9


def test_random_boxes_reach_all_sizes_and_places() -> None:
    generator = random.Random(2)
    boxes = [random_box(300, 100, 0.5, generator) for _ in range(500)]
    sides = [right - left for left, _, right, _ in boxes]
    assert min(sides) < 52
    assert max(sides) > 98
    # Where the box lies in the room it has, 0 to 1.
    across = [left / (300 - side) for (left, *_), side in zip(boxes, sides, strict=True)]
    down = [box[1] / (100 - side) for box, side in zip(boxes, sides, strict=True)]
    for places in (across, down):
        assert min(places) < 0.02
        assert max(places) > 0.98
        assert sum(places) / len(places) == pytest.approx(0.5, abs=0.05)


def test_the_largest_random_box_is_the_whole_square() -> None:
    assert random_box(64, 64, 1.0, random.Random(0)) == (0, 0, 64, 64)


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (64, 64, (0, 0, 64, 64)),
        (100, 60, (20, 0, 80, 60)),
        (60, 100, (0, 20, 60, 80)),
        (5, 2, (1.5, 0, 3.5, 2)),
        (1, 1, (0, 0, 1, 1)),
    ],
)
def test_the_centre_box(width: int, height: int, expected: tuple[float, ...]) -> None:
    assert centre_box(width, height) == expected


# Crops


def test_a_crop_is_a_small_picture(files: list[Path]) -> None:
    photographs = crops_of(files, 0.5, 0)
    assert len(photographs) == 4
    crop = photographs[0, 1, 32]
    assert crop.shape == (3, 32, 32)
    assert crop.dtype == torch.uint8
    assert (crop[2] == 40).all()  # that very file


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (37, 5), (6, 61)])
def test_any_picture_gives_a_crop(mode: str, width: int, height: int, tmp_path: Path) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    if mode == "I;16":
        Image.fromarray(levels[..., 0].astype(np.uint16) * 257).save(path)
    else:
        Image.fromarray(levels).convert(mode).save(path)
    photographs = crops_of([path], 0.1, 0)
    for number in range(5):
        crop = photographs[number, 0, 32]
        assert crop.shape == (3, 32, 32)
        assert crop.dtype == torch.uint8
    assert not photographs.damaged.any()


def extent(channel: Tensor) -> tuple[float, float]:
    """Return where the crop of a ramp begins and ends, px, from its outermost samples."""
    size = len(channel)
    first, last = sorted((float(channel[0]), float(channel[-1])))
    side = (last - first) * size / (size - 1)
    middle = (first + last) / 2 + 0.5  # the level of a column is its left edge
    return middle - side / 2, middle + side / 2


def test_crops_are_squares_of_all_sizes_inside_the_photograph(files: list[Path]) -> None:
    photographs = crops_of(files[:1], 0.5, 0)
    sides = []
    for number in range(60):
        crop = photographs[number, 0, 32]
        left, right = extent(crop[0, 16])
        upper, lower = extent(crop[1, :, 16])
        assert min(left, upper) > -2
        assert right < WIDTH + 2
        assert lower < HEIGHT + 2
        assert lower - upper == pytest.approx(right - left, abs=3)  # no distortion
        sides.append(right - left)
    assert 0.5 * HEIGHT - 2 < min(sides) < 0.6 * HEIGHT
    assert 0.9 * HEIGHT < max(sides) < HEIGHT + 2


def test_the_same_draw_gives_the_same_crop(files: list[Path]) -> None:
    photographs = crops_of(files, 0.5, 3)
    first = photographs[7, 2, 32]
    photographs[8, 0, 32]
    random.seed(1)
    torch.manual_seed(1)
    assert torch.equal(photographs[7, 2, 32], first)
    assert torch.equal(crops_of(files, 0.5, 3)[7, 2, 32], first)


def test_a_crop_leaves_the_global_generators_alone(files: list[Path]) -> None:
    python, pytorch = random.getstate(), torch.get_rng_state()
    numpy = np.random.get_state(legacy=False)
    crops_of(files, 0.5, 3)[0, 0, 32]
    assert random.getstate() == python
    assert torch.equal(torch.get_rng_state(), pytorch)
    assert str(np.random.get_state(legacy=False)) == str(numpy)


def test_other_draws_and_other_seeds_give_other_crops(files: list[Path]) -> None:
    crops = [crops_of(files, 0.5, seed)[number, 0, 32] for seed in (0, 1) for number in (0, 1)]
    for i, crop in enumerate(crops):
        assert not any(torch.equal(crop, other) for other in crops[:i])


def test_half_of_the_crops_are_flipped(files: list[Path]) -> None:
    photographs = crops_of(files[:1], 0.5, 0)
    flipped = 0
    for number in range(200):
        crop = photographs[number, 0, 32]
        assert crop[1, 0, 0] < crop[1, -1, 0]  # never upside down
        flipped += bool(crop[0, 0, 0] > crop[0, 0, -1])
    assert 75 <= flipped <= 125


def test_bytes_in_memory_give_the_crops_of_the_file(files: list[Path]) -> None:
    expected = crops_of(files, 0.5, 0)
    found = Photographs(InMemory(files), range(4), 0.5, 0)
    for number in range(4):
        assert torch.equal(found[number, number, 32], expected[number, number, 32])
    files[0].write_bytes(b"not a picture")
    found[0, 0, 32]
    assert found.damaged_labels() == [str(files[0])]


def test_only_the_chosen_are_drawn(files: list[Path]) -> None:
    some = Photographs(Listed(files), [3, 1], 0.5, 0)
    assert len(some) == 2
    assert [int(some[0, index, 32][2, 0, 0]) for index in range(2)] == [120, 40]


def test_a_crop_has_lost_nothing_to_floats(files: list[Path]) -> None:
    path, box = files[1], (10.5, 3.25, 90.5, 83.25)
    levels = read_levels(path, 32, lambda width, height: box)
    assert levels.dtype == torch.uint8
    assert levels.is_contiguous()
    assert torch.equal(read_crop(path, 32, lambda width, height: box), levels / 255)


def broken(kind: str, path: Path) -> None:
    if kind == "missing":
        path.unlink()
    elif kind == "text":
        path.write_text("not a picture")
    elif kind == "empty":
        path.write_bytes(b"")
    else:
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize("kind", ["missing", "text", "empty", "truncated"])
@pytest.mark.parametrize(("index", "replacement"), [(1, 2), (3, 0)])
def test_a_damaged_file_is_replaced_by_the_next_one(
    kind: str, index: int, replacement: int, files: list[Path]
) -> None:
    broken(kind, files[index])
    photographs = crops_of(files, 0.5, 0)
    assert torch.equal(photographs[5, index, 32], photographs[5, replacement, 32])
    assert photographs.damaged.tolist() == [at == index for at in range(4)]


def test_damaged_neighbours_are_passed_over(files: list[Path]) -> None:
    for index in (0, 2, 3):
        broken("text", files[index])
    photographs = crops_of(files, 0.5, 0)
    assert torch.equal(photographs[5, 2, 32], photographs[5, 1, 32])
    assert photographs.damaged.tolist() == [True, False, True, True]


def test_no_file_is_marked_before_it_is_drawn(files: list[Path]) -> None:
    broken("text", files[3])
    photographs = crops_of(files, 0.5, 0)
    photographs[0, 0, 32]
    assert photographs.damaged.tolist() == [False] * 4
    assert photographs.damaged.is_shared()


def test_only_damaged_files(files: list[Path]) -> None:
    for path in files:
        broken("text", path)
    photographs = crops_of(files, 0.5, 0)
    with pytest.raises(DataError, match="none of the 4 "):
        photographs[0, 2, 32]
    assert photographs.damaged.all()


# The order


@pytest.mark.parametrize(
    ("photographs", "batch_size"), [(12, 4), (10, 3), (7, 7), (5, 8), (3, 10), (1, 4), (9, 1)]
)
def test_each_photograph_once_before_any_comes_again(photographs: int, batch_size: int) -> None:
    laps = 5
    last = -(-laps * photographs // batch_size)
    batches = steps(photographs, batch_size, last)
    assert [len(batch) for batch in batches] == [batch_size] * last
    drawn = [draw for batch in batches for draw in batch]
    assert [number for number, _, _ in drawn] == list(range(last * batch_size))
    for lap in range(laps):
        indices = [index for _, index, _ in drawn[lap * photographs : (lap + 1) * photographs]]
        assert sorted(indices) == list(range(photographs))


def test_every_lap_has_an_order_of_its_own() -> None:
    indices = [index for _, index, _ in draws(20, 4, 20)]
    laps = [tuple(indices[at : at + 20]) for at in range(0, 80, 20)]
    assert len(set(laps)) == 4
    assert tuple(range(20)) not in laps


def test_every_seed_has_an_order_of_its_own() -> None:
    assert len({tuple(draws(20, 4, 10, seed=seed)) for seed in range(5)}) == 5


def test_the_order_is_the_same_every_time() -> None:
    sampler = StepSampler(10, [32], 3, range(12), 4)
    expected = list(sampler)
    torch.manual_seed(9)
    assert list(sampler) == expected
    assert steps(10, 3, 12, seed=4) == expected


@pytest.mark.parametrize("first", [0, 1, 3, 4, 17, 30])
def test_a_run_that_starts_later_gives_the_tail(first: int) -> None:
    whole = steps(10, 3, 30, seed=5)
    assert steps(10, 3, 30, first=first, seed=5) == whole[first:]


def test_a_longer_run_begins_like_a_shorter_one() -> None:
    assert steps(10, 3, 30)[:12] == steps(10, 3, 12)


@pytest.mark.parametrize("first", [0, 4])
@pytest.mark.parametrize(("world_size", "photographs"), [(2, 12), (3, 10), (4, 5)])
def test_processes_share_the_steps_of_one(world_size: int, photographs: int, first: int) -> None:
    alone = steps(photographs, 2 * world_size, 15, first=first)
    shares = [
        steps(photographs, 2, 15, first=first, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    several = steps(photographs, 8 * world_size, 15, first=first, sizes=[32, 64])
    parts = [
        steps(photographs, 8, 15, first=first, sizes=[32, 64], rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    assert several == [[draw for share in parts for draw in share[k]] for k in range(15 - first)]
    for step, together in enumerate(alone):
        joined = [draw for share in shares for draw in share[step]]
        assert joined == together
    numbers = [number for share in shares for batch in share for number, _, _ in batch]
    assert len(set(numbers)) == len(numbers) == (15 - first) * 2 * world_size


def test_a_step_takes_one_of_the_sizes_and_of_larger_crops_fewer() -> None:
    batches = steps(50, 8, 300, sizes=[32, 48, 64, 200])
    counts = {32: 8, 48: 4, 64: 2, 200: 1}
    sizes = []
    for batch in batches:
        (size,) = {size for _, _, size in batch}
        assert len(batch) == counts[size]
        sizes.append(size)
    assert all(50 < sizes.count(size) < 100 for size in counts)
    numbers = [number for batch in batches for number, _, _ in batch]
    assert len(set(numbers)) == len(numbers)
    assert steps(50, 8, 300, first=120, sizes=[32, 48, 64, 200]) == batches[120:]
    smaller = steps(50, 1, 40, sizes=[64, 32])
    assert {(batch[0][2], len(batch)) for batch in smaller} == {(64, 1), (32, 4)}


@pytest.mark.parametrize("first", [0, 5])
def test_the_length_counts_all_steps(first: int) -> None:
    assert len(StepSampler(10, [32], 3, range(first, 12), 0)) == 12

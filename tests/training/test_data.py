from __future__ import annotations

import logging
import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from fast_style.images import heif
from fast_style.images.reading import picture_size
from fast_style.system.resources import asset
from fast_style.training.data import PhotographData, photograph_data
from fast_style.training.photographs import DataError, find_photographs

COCO = Path(os.environ.get("FAST_STYLE_COCO", "coco"))
STEP = 12  # between the grey levels that tell the pictures apart
# Python 3.12 warns when a process with threads, of any library, forks a worker.
may_fork = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def photographs(folder: Path, count: int, first: int = 0) -> Path:
    """Fill a folder with grey pictures, ``first`` and so on their levels in ``STEP``s."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(first, first + count):
        level = STEP * index
        Image.new("RGB", (50, 40), (level, level, level)).save(folder / f"{index:02}.jpg")
    return folder


def damaged(folder: Path, count: int) -> Path:
    for index in range(count):
        (folder / f"broken{index}.jpg").write_bytes(b"not a picture")
    return folder


def new_data(root: Path | str, **changes: Any) -> PhotographData:
    arguments: dict[str, Any] = {
        "source": "folder",
        "root": str(root),
        "split": None,
        "val_split": None,
        "image_size": 32,
        "other_sizes": [],
        "batch_size": 2,
        "smallest_crop": 0.5,
        "val_photographs": 3,
        "num_workers": 0,
        "seed": 0,
    }
    arguments |= changes
    return photograph_data(arguments, arguments.pop("seed"))


def ready(root: Path | str, **changes: Any) -> PhotographData:
    data = new_data(root, **changes)
    data.setup()
    return data


def trained_on(data: PhotographData) -> list[Path]:
    assert data.train_set is not None
    files = [data.source.photograph(index) for index in data.train_set.chosen.tolist()]
    return [path for path in files if isinstance(path, Path)]


def damaged_paths(data: PhotographData) -> list[Path]:
    assert data.train_set is not None
    return [Path(label) for label in data.train_set.damaged_labels()]


def numbers(images: Tensor) -> list[int]:
    """Return which of the grey pictures these are."""
    return [round(float(image.mean()) * 255 / STEP) for image in images]


def batches(data: PhotographData, **changes: Any) -> list[Tensor]:
    read: list[Any] = list(loader(data, **changes))
    return [data.on_after_batch_transfer(batch, 0) for batch in read]  # type: ignore[misc]


def loader(data: PhotographData, **changes: Any) -> DataLoader[Tensor]:
    device = changes.pop("device", "cpu")
    trainer: dict[str, Any] = {
        "global_step": 0,
        "max_steps": 6,
        "global_rank": 0,
        "world_size": 1,
        "num_devices": 1,
        "strategy": SimpleNamespace(root_device=torch.device(device)),
    }
    data.trainer = SimpleNamespace(**(trainer | changes))  # type: ignore[assignment]
    return data.train_dataloader()


def same(found: list[Tensor], expected: list[Tensor]) -> bool:
    return len(found) == len(expected) and all(map(torch.equal, found, expected))


# Arguments


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("image_size", 31, "data.image_size .*32 px.* 31$"),
        ("other_sizes", [48, 31], r"data.other_sizes .*32 px.* 31\]$"),
        ("other_sizes", ["48"], r"data.other_sizes .*32 px.*'48'"),
        ("batch_size", 0, "data.batch_size .* 1.* 0$"),
        ("smallest_crop", 0.0, r"data.smallest_crop .*\(0, 1\].* 0.0$"),
        ("smallest_crop", -0.5, r"data.smallest_crop .*\(0, 1\].* -0.5$"),
        ("smallest_crop", 1.01, r"data.smallest_crop .*\(0, 1\].* 1.01$"),
        ("smallest_crop", float("nan"), r"data.smallest_crop .*\(0, 1\].* nan$"),
        ("val_photographs", 0, "data.val_photographs .* 1.* 0$"),
        ("num_workers", -1, "data.num_workers .*auto.* -1$"),
        ("num_workers", "many", "data.num_workers .*auto.* 'many'$"),
        ("num_workers", "4", "data.num_workers .*auto.* '4'$"),
        ("num_workers", 1.5, "data.num_workers .*auto.* 1.5$"),
        ("num_workers", None, "data.num_workers .*auto.* None$"),
    ],
)
def test_an_argument_out_of_its_range(
    name: str, value: object, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        new_data(tmp_path, **{name: value})


def test_the_extreme_arguments_are_allowed(tmp_path: Path) -> None:
    root = photographs(tmp_path, 2)
    smallest = ready(root, image_size=32, batch_size=1, smallest_crop=1.0, val_photographs=1)
    assert len(trained_on(smallest)) == len(smallest.val_images) == 1
    assert [batch.shape for batch in batches(smallest, max_steps=1)] == [(1, 3, 32, 32)]


def test_steps_of_several_sizes(tmp_path: Path) -> None:
    data = ready(photographs(tmp_path, 8), other_sizes=[64], batch_size=4)
    shapes = {batch.shape for batch in batches(data, max_steps=12)}
    assert shapes == {(4, 3, 32, 32), (1, 3, 64, 64)}
    assert data.val_images.shape == (3, 3, 32, 32)


def test_the_root_may_be_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs(tmp_path / "pictures", 6)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert trained_on(ready("~/pictures"))[0].is_relative_to(tmp_path)


# What is trained and what is validated on


def test_a_held_back_photograph_is_never_trained_on(tmp_path: Path) -> None:
    data = ready(photographs(tmp_path, 10), val_photographs=4)
    held_back = numbers(data.val_images)
    assert len(set(held_back)) == 4
    trained = [int(path.stem) for path in trained_on(data)]
    assert sorted(trained + held_back) == list(range(10))
    drawn = {number for batch in batches(data, max_steps=12) for number in numbers(batch)}
    assert drawn == set(trained)  # two laps: each of them comes, no other


def test_what_is_held_back_is_spread_over_the_folder(tmp_path: Path) -> None:
    held_back = numbers(ready(photographs(tmp_path, 20), val_photographs=5).val_images)
    assert max(held_back) - min(held_back) > 8
    assert held_back != sorted(held_back)


def test_the_same_photographs_are_held_back_whatever_the_seed(tmp_path: Path) -> None:
    root = photographs(tmp_path / "here", 10)
    expected = ready(root, seed=0)
    for seed in (1, 2**31):
        data = ready(root, seed=seed)
        assert torch.equal(data.val_images, expected.val_images)
        assert trained_on(data) == trained_on(expected)
    moved = ready(photographs(tmp_path / "there", 10))
    assert torch.equal(moved.val_images, expected.val_images)


@pytest.mark.parametrize("inside", ["", "images"])
def test_a_validation_split_is_used_where_there_is_one(inside: str, tmp_path: Path) -> None:
    photographs(tmp_path / inside / "train2017", 6)
    photographs(tmp_path / inside / "val2017", 4, first=10)
    data = ready(tmp_path, split="train2017", val_split="val2017")
    assert trained_on(data) == find_photographs(tmp_path / inside / "train2017")
    held_back = numbers(data.val_images)
    assert len(set(held_back)) == 3
    assert set(held_back) <= {10, 11, 12, 13}


@pytest.mark.parametrize("inside", ["", "images"])
def test_photographs_are_held_back_where_the_validation_split_is_absent(
    inside: str, tmp_path: Path
) -> None:
    photographs(tmp_path / inside / "train2017", 8)
    photographs(tmp_path / inside / "test2017", 4, first=10)
    data = ready(tmp_path, split="train2017", val_split="val2017")
    trained = [int(path.stem) for path in trained_on(data)]
    assert sorted(trained + numbers(data.val_images)) == list(range(8))


def test_the_root_may_be_the_split_itself(tmp_path: Path) -> None:
    root = photographs(tmp_path / "train2017", 6)
    assert len(trained_on(ready(root, split="train2017", val_split="val2017"))) == 3


def test_a_validation_split_inside_what_is_trained_on(tmp_path: Path) -> None:
    photographs(tmp_path, 4)
    photographs(tmp_path / "val", 3, first=10)
    data = ready(tmp_path, val_split="val")
    assert sorted(numbers(data.val_images)) == [10, 11, 12]
    assert [int(path.stem) for path in trained_on(data)] == [0, 1, 2, 3]


def test_a_validation_photograph_is_the_square_in_the_middle(tmp_path: Path) -> None:
    for index in range(2):
        image = Image.new("RGB", (120, 40), (255, 0, 0))
        image.paste((0, 255, 0), (40, 0, 80, 40))
        image.save(tmp_path / f"{index}.png")
    data = ready(tmp_path, val_photographs=1)
    assert data.val_images.shape == (1, 3, 32, 32)
    assert data.val_images.dtype == torch.float32
    green = torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    torch.testing.assert_close(data.val_images, green, atol=0.05, rtol=0)


def test_validation_batches_come_in_order(tmp_path: Path) -> None:
    data = ready(photographs(tmp_path, 10), val_photographs=5)
    found = [batch for (batch,) in data.val_dataloader()]
    assert [len(batch) for batch in found] == [2, 2, 1]
    assert torch.equal(torch.cat(found), data.val_images)


def test_a_second_setup_changes_nothing(tmp_path: Path) -> None:
    data = ready(photographs(tmp_path, 6))
    train_set, val_images = data.train_set, data.val_images
    photographs(tmp_path, 3, first=10)
    data.setup("fit")
    assert data.train_set is train_set
    assert data.val_images is val_images


def test_damaged_validation_files_are_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photographs(tmp_path / "train", 4)
    damaged(photographs(tmp_path / "val", 3, first=10), 4)
    data = ready(tmp_path, split="train", val_split="val")
    assert sorted(numbers(data.val_images)) == [10, 11, 12]
    skipped = [text for text in caplog.messages if text.endswith("it cannot be decoded")]
    assert skipped
    assert all(str(tmp_path / "val" / "broken") in text for text in skipped)


def test_damaged_files_found_while_holding_back_are_not_trained_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = ready(damaged(photographs(tmp_path, 10), 10), val_photographs=5)
    skipped = {
        path for path in find_photographs(tmp_path) if any(str(path) in m for m in caplog.messages)
    }
    assert skipped
    assert all(path.name.startswith("broken") for path in skipped)
    assert skipped.isdisjoint(trained_on(data))
    assert len(trained_on(data)) == 20 - len(skipped) - 5


def test_too_few_photographs_to_hold_back(tmp_path: Path) -> None:
    message = r"2 readable .* \(data\.val_photographs=3\) leave 0 to .* data.val_photographs=1$"
    with pytest.raises(DataError, match=message):
        ready(photographs(tmp_path, 2))


def test_nothing_left_to_train_on(tmp_path: Path) -> None:
    message = r"3 readable .* leave 0 .* use fewer"
    with pytest.raises(DataError, match=message):
        ready(photographs(tmp_path, 3))


def test_a_single_photograph_is_never_enough(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"leave 0 to train on; add photographs$"):
        ready(photographs(tmp_path, 1), val_photographs=1)


def test_no_more_are_held_back_than_are_left(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="3 readable .* leave 2 "):
        ready(photographs(tmp_path / "five", 5))
    assert len(trained_on(ready(photographs(tmp_path / "six", 6)))) == 3


def test_a_held_back_photograph_is_not_trained_on_by_another_name(tmp_path: Path) -> None:
    photographs(tmp_path / "root" / "train", 6)
    photographs(tmp_path / "root" / "val", 3, first=10)
    (tmp_path / "root" / "train" / "all").symlink_to(tmp_path / "root" / "val")
    found = ready(tmp_path / "root", split="train", val_split="val", val_photographs=2)
    assert len(trained_on(found)) == 7


def test_photographs_that_need_heif_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(heif, "is_available", lambda: False)
    photographs(tmp_path, 2)
    for number in range(3):
        (tmp_path / f"phone{number}.heic").write_bytes(b"heic")
    with pytest.raises(DataError, match="3 more .*HEIF .*pillow-heif: pip "):
        ready(tmp_path)
    assert caplog.text.count("pillow-heif: pip install") == 3


def test_too_few_readable_photographs_in_the_validation_split(tmp_path: Path) -> None:
    photographs(tmp_path / "train", 5)
    damaged(photographs(tmp_path / "val", 2, first=10), 3)
    with pytest.raises(
        DataError, match=r"val has too few .* 2 readable .* leave 5 to .*val_photographs=2$"
    ):
        ready(tmp_path, split="train", val_split="val")


@pytest.mark.parametrize("split", [None, "train"])
def test_a_missing_folder_is_an_error_of_setup(split: str | None, tmp_path: Path) -> None:
    data = new_data(tmp_path / "nowhere", split=split)
    with pytest.raises(DataError, match=re.escape(str(tmp_path / "nowhere"))):
        data.setup()


@pytest.mark.parametrize("empty", ["train", "val"])
def test_an_empty_split(empty: str, tmp_path: Path) -> None:
    for name in ("train", "val"):
        photographs(tmp_path / name, 0 if name == empty else 5)
    with pytest.raises(DataError, match=re.escape(str(tmp_path / empty))):
        ready(tmp_path, split="train", val_split="val")


# Batches


@may_fork
@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a single CPU
def test_the_number_of_workers_does_not_change_the_batches(tmp_path: Path) -> None:
    root = photographs(tmp_path, 8)
    expected = batches(ready(root, num_workers=0))
    assert [batch.shape for batch in expected] == [(2, 3, 32, 32)] * 6
    assert all(batch.dtype == torch.float32 for batch in expected)
    data = ready(root)
    assert all(batch.dtype == torch.uint8 for batch in loader(data))
    assert same(batches(ready(root, num_workers=2)), expected)


def test_other_seeds_give_other_batches(tmp_path: Path) -> None:
    root = photographs(tmp_path, 12)
    orders = {tuple(map(tuple, map(numbers, batches(ready(root, seed=s))))) for s in range(4)}
    assert len(orders) == 4


def test_a_resumed_run_gets_the_tail_of_the_batches(tmp_path: Path) -> None:
    data = ready(photographs(tmp_path, 8))
    whole = batches(data)
    assert same(batches(data, global_step=4), whole[4:])
    assert len(loader(data, global_step=4)) == 6  # Lightning counts the steps before, too


def test_two_processes_share_the_batches_of_one(tmp_path: Path) -> None:
    root = photographs(tmp_path, 9)
    alone = batches(ready(root, batch_size=4))
    data = ready(root, batch_size=2)
    shares = [batches(data, global_rank=rank, world_size=2) for rank in range(2)]
    assert same([torch.cat(pair) for pair in zip(*shares, strict=True)], alone)


@pytest.mark.parametrize(
    ("device", "processors", "devices", "expected"),
    [
        ("cpu", 16, 1, 1),
        ("cuda", 16, 1, 8),
        ("cuda", 3, 1, 3),
        ("cuda", None, 1, 1),
        ("cuda", 16, 8, 2),
        ("cuda", 4, 8, 1),
    ],
)
def test_auto_workers_suit_what_trains(
    device: str,
    processors: int | None,
    devices: int,
    expected: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    available = set(range(processors or 1))
    data = ready(photographs(tmp_path, 6), num_workers="auto")
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: available, raising=False)
    found = loader(data, device=device, num_devices=devices)
    assert found.num_workers == expected
    assert found.pin_memory == (device == "cuda")


def test_the_given_number_of_workers_is_kept(tmp_path: Path) -> None:
    data = ready(photographs(tmp_path, 6), num_workers=1)
    assert loader(data, device="cpu").num_workers == 1


# Damaged files


@pytest.fixture
def partly_damaged(tmp_path: Path) -> PhotographData:
    """Return data of which two training files break after it is set up."""
    data = ready(photographs(tmp_path, 8))
    for path in trained_on(data)[1:3]:
        path.write_bytes(b"not a picture")
    return data


@may_fork
@pytest.mark.parametrize("num_workers", [0, 1])
def test_damaged_files_are_logged_by_name(
    num_workers: int, partly_damaged: PhotographData, caplog: pytest.LogCaptureFixture
) -> None:
    data = partly_damaged
    data.num_workers = num_workers
    assert damaged_paths(data) == []
    found: list[Any] = list(loader(data))
    assert damaged_paths(data) == trained_on(data)[1:3]
    caplog.clear()
    data.on_after_batch_transfer(found[0], 0)
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert caplog.messages == [
        f"skipped {path}: it cannot be decoded" for path in trained_on(data)[1:3]
    ]
    data.on_after_batch_transfer(found[1], 0)
    assert len(caplog.records) == 2  # said once


def test_a_file_found_damaged_later_is_logged_then(
    partly_damaged: PhotographData, caplog: pytest.LogCaptureFixture
) -> None:
    data = partly_damaged
    assert data.train_set is not None
    first, second = trained_on(data)[1:3]
    data.train_set[0, 2, 32]
    data.on_after_batch_transfer(torch.empty(0), 0)
    data.train_set[1, 1, 32]
    data.on_after_batch_transfer(torch.empty(0), 0)
    texts = [text for text in caplog.messages if "cannot be decoded" in text]
    assert len(texts) == 2
    assert str(second) in texts[0]
    assert str(first) not in texts[0]
    assert str(first) in texts[1]


def test_a_file_is_logged_once(
    partly_damaged: PhotographData, caplog: pytest.LogCaptureFixture
) -> None:
    data = partly_damaged
    assert data.train_set is not None
    for number, index in enumerate((2, 1)):
        data.train_set[number, index, 32]
        data.on_after_batch_transfer(torch.empty(0), 0)
    assert sum(str(trained_on(data)[2]) in text for text in caplog.messages) == 1


def test_sound_files_are_not_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = new_data(photographs(tmp_path, 8))
    batch = torch.empty(0)
    assert data.on_after_batch_transfer(batch, 0) is batch  # before setup, too
    data.setup()
    caplog.clear()
    for found in batches(data):
        data.on_after_batch_transfer(found, 0)
    assert caplog.messages == []


# Real photographs


@pytest.mark.skipif(not COCO.is_dir(), reason="FAST_STYLE_COCO names no folder of COCO photographs")
def test_photographs_of_coco() -> None:
    data = ready(COCO, split="train2017", val_split="val2017", image_size=64, val_photographs=4)
    everything = find_photographs(COCO / "train2017")
    assert len(trained_on(data)) == len(everything) - 4
    assert set(trained_on(data)) < set(everything)
    assert data.val_images.shape == (4, 3, 64, 64)
    for batch in batches(data, max_steps=3):
        assert batch.shape == (2, 3, 64, 64)
        assert 0 <= batch.min() < batch.max() <= 1
    assert damaged_paths(data) == []


def bundled(split: str) -> list[Path]:
    return find_photographs(asset("photos") / split)


def test_the_bundled_photographs_are_enough() -> None:
    assert len(bundled("train")) >= 40
    assert len(bundled("val")) >= 12
    names = [path.name for split in ("train", "val") for path in bundled(split)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_bundled_photographs_are_large_enough(split: str) -> None:
    small = [path.name for path in bundled(split) if min(picture_size(path)) < 320]
    assert small == []


def test_the_bundled_photographs_are_not_too_much_to_carry() -> None:
    files = [path for path in asset("photos").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 6_000_000


def test_the_bundled_photographs_can_be_used() -> None:
    data = ready("bundled", split="train", val_split="val", image_size=64, val_photographs=12)
    assert trained_on(data) == bundled("train")
    assert data.val_images.shape == (12, 3, 64, 64)
    assert data.train_set is not None
    crops = [data.train_set[index, index, 64] for index in range(len(data.train_set))]
    assert all(crop.float().std() > 2.5 for crop in crops)  # pictures, not blanks
    assert damaged_paths(data) == []


def credits_of_photographs() -> list[list[str]]:
    text = (asset("photos") / "SOURCES.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if re.match(r"\| *(train|val)/", line)]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def test_every_bundled_photograph_is_credited_and_no_other() -> None:
    folder = asset("photos")
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "SOURCES.md"]
    carried = sorted(path.relative_to(folder).as_posix() for path in files)
    assert sorted(row[0] for row in credits_of_photographs()) == carried


@pytest.mark.parametrize("row", credits_of_photographs(), ids=lambda row: row[0])
def test_a_credit_is_complete_and_its_licence_free(row: list[str]) -> None:
    _, shows, author, licence, source, changed = row
    assert all((shows, author, source, changed))
    assert re.match(r"\[(CC0-1\.0|Public domain|CC-BY(-SA)?-\d\.\d)\]\(https://", licence)


def test_a_copy_of_the_bundled_photographs_holds_back_the_same(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for path in bundled("val"):
        copy.mkdir(exist_ok=True)
        shutil.copy(path, copy)
    original = ready(asset("photos") / "val", val_photographs=2)
    assert torch.equal(ready(copy, val_photographs=2).val_images, original.val_images)

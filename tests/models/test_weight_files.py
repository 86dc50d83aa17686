"""Files of weights that want far more than they are large are refused before they are loaded."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from fast_style.models.network import build_network
from fast_style.models.style_file import ModelFileError, load_style_model
from fast_style.models.vgg import VGGWeightsError, load_weights
from fast_style.models.weight_files import (
    MOST_BYTES,
    MOST_HEAD_BYTES,
    WeightFileError,
    load_safetensors,
    load_torch,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # PyTorch's, of old and rare kinds of tensors


def saved(content: object) -> dict[str, bytes]:
    """Return the records that torch.save writes, by their names."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with zipfile.ZipFile(buffer) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(path: Path, records: dict[str, bytes], **options: Any) -> Path:
    """Write records into a zip file, as torch.save does if no options are given."""
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in records.items():
            archive.writestr(name, data)
    return path


def pickled(path: Path, data: bytes, legacy: bool) -> Path:
    """Write a file of torch.save's, today's kind or that of before 2020, around a pickle."""
    if not legacy:
        return packed(path, saved({}) | {"archive/data.pkl": data})
    values: list[object] = [0x1950A86A20F9469CFC6C, 1001, {}]
    start = [pickle.dumps(value, 2) for value in values]
    path.write_bytes(b"".join([*start, data, pickle.dumps([], 2)]))
    return path


def tuples_in_tuples(depth: int) -> bytes:
    """Return a pickle of a dictionary whose one key takes 2 ** depth steps to hash."""
    twice = b"".join(b"q%ch%c\x86" % (number, number) for number in range(depth))
    return b"\x80\x02}(" + b")" + twice + b"K\x01u."


@pytest.mark.parametrize("legacy", [False, True])
def test_what_is_right_is_loaded(tmp_path: Path, legacy: bool) -> None:
    linear = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(linear.parameters())
    linear(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    shared = torch.arange(6)
    content = {
        "state": linear.state_dict(),
        "optimizer": optimizer.state_dict(),
        "parameter": torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16)),
        "views": [shared[:3], shared[3:]],
        "plain": {"a": [1, None, True, 2.5, "x" * 300, (1, 2)], "size": torch.Size([1, 2])},
    }
    path = tmp_path / "file.pth"
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    found: Any = load_torch(path)
    assert found["plain"] == content["plain"]
    assert torch.equal(found["state"]["weight"], linear.weight)
    assert torch.equal(found["views"][1], shared[3:])
    assert isinstance(found["state"], OrderedDict)


def test_compressed_records(tmp_path: Path) -> None:
    records = saved({"x": torch.zeros(1_000_000)})
    path = packed(tmp_path / "bomb.ckpt", records, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 10_000
    with pytest.raises(ModelFileError, match="bomb.ckpt .*compressed records"):
        load_style_model(path)
    with pytest.raises(VGGWeightsError, match="bomb.ckpt: .*compressed records"):
        load_weights(str(path))


def test_records_that_lie_in_one_place(tmp_path: Path) -> None:
    path = tmp_path / "bomb.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in saved({"x": torch.zeros(1000)}).items():
            archive.writestr(name, data)
        for number in range(100):
            again = zipfile.ZipInfo(f"archive/data/{number + 1}")
            once = archive.getinfo("archive/data/0")
            again.header_offset, again.CRC = once.header_offset, once.CRC
            again.file_size = again.compress_size = once.file_size
            archive.filelist.append(again)
            archive.NameToInfo[again.filename] = again
    with pytest.raises(WeightFileError, match="records .*larger"):
        load_torch(path)


def test_a_directory_of_very_many_records(tmp_path: Path) -> None:
    records = {f"archive/data/{number}": b"" for number in range(20_000)}
    path = packed(tmp_path / "many.ckpt", saved({}) | records)
    with pytest.raises(WeightFileError, match=r"directory .*\d{7} bytes"):
        load_torch(path)


def test_records_of_another_size_than_the_pickle_says(tmp_path: Path) -> None:
    records = saved({"x": torch.zeros(1000)})
    for data in (records["archive/data/0"][:-4], records["archive/data/0"] * 2):
        path = packed(tmp_path / "cut.ckpt", records | {"archive/data/0": data})
        with pytest.raises(WeightFileError, match="record 0 "):
            load_torch(path)
    del records["archive/data/0"]
    with pytest.raises(WeightFileError, match="record 0 "):
        load_torch(packed(tmp_path / "cut.ckpt", records))


@pytest.mark.parametrize("legacy", [False, True])
def test_pickles_of_very_many_objects(tmp_path: Path, legacy: bool) -> None:
    long = pickle.dumps(["x" * MOST_HEAD_BYTES], 2)
    many = b"\x80\x02](" + b"\x8f" * (MOST_HEAD_BYTES - 100) + b"e."  # 200 MB of empty sets
    deep = b"\x80\x02" + b"]q\x00" + b"h\x00a" * 10  # never ends
    for data in (long, many * 3, deep, tuples_in_tuples(60)):
        started_s = time.perf_counter()
        with pytest.raises(WeightFileError):
            load_torch(pickled(tmp_path / "bomb.ckpt", data, legacy))
        assert time.perf_counter() - started_s < 5
    assert load_torch(pickled(tmp_path / "few.ckpt", tuples_in_tuples(8), legacy))


def test_many_large_keys(tmp_path: Path) -> None:
    """Each takes a moment to hash, and none is held by another."""
    key = b"".join(b"q%ch%c\x86" % (number, number) for number in range(17))
    data = b"\x80\x02(" + b")" + key + b"}h\x10K\x01s" * 10_000 + b"t."
    started_s = time.perf_counter()
    with pytest.raises(WeightFileError, match="objects"):
        load_torch(pickled(tmp_path / "bomb.ckpt", data, legacy=False))
    assert time.perf_counter() - started_s < 5


class Calls:
    """Is pickled as the call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.mark.parametrize("legacy", [False, True])
def test_what_makes_much_of_little(tmp_path: Path, legacy: bool) -> None:
    for call in (Calls(bytearray, 10**10), Calls(torch.Tensor, 10**9), Calls(complex, 1, 2)):
        path = pickled(tmp_path / "bomb.ckpt", pickle.dumps({"state_dict": call}, 2), legacy)
        with pytest.raises(WeightFileError, match="holds .*plain data"):
            load_torch(path)


# Tensors that no weights are.
ODD: dict[str, Callable[[], torch.Tensor]] = {
    "sparse": lambda: torch.eye(3).to_sparse(),
    "rows": lambda: torch.eye(3).to_sparse_csr(),
    "nested": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    "meta": lambda: torch.zeros(10**6, 10**6, device="meta"),
    "complex": lambda: torch.zeros(3, dtype=torch.complex64),
    "float8": lambda: torch.zeros(3).to(torch.float8_e4m3fn),
    "quantised": lambda: torch.quantize_per_tensor(torch.rand(3), 0.1, 0, torch.qint8),
}


@pytest.mark.parametrize("kind", ODD)
def test_tensors_that_no_weights_are(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "odd.ckpt"
    torch.save({"state_dict": {"network.x": ODD[kind]()}, "fast_style": {}}, path)
    with pytest.raises(ModelFileError, match="odd.ckpt .*plain data"):
        load_style_model(path)


def test_float8_in_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "odd.safetensors"
    save_file({"x": torch.zeros(3).to(torch.float8_e4m3fn)}, path)
    with pytest.raises(WeightFileError, match="'x', .*floating-point"):
        load_safetensors(path)


def test_a_view_of_one_number_is_no_large_tensor(tmp_path: Path, tiny_model: Path) -> None:
    model = load_style_model(tiny_model)
    state = {f"network.{key}": value for key, value in model.network.state_dict().items()}
    network = model.description["network"] | {"channels": [2048, 2048, 2048]}
    with torch.device("meta"):
        wide = build_network(network).state_dict()
    one = torch.zeros(1)
    state = {f"network.{key}": one.expand(value.shape) for key, value in wide.items()}
    path = tmp_path / "views.ckpt"
    torch.save({"state_dict": state, "fast_style": model.description | {"network": network}}, path)
    with pytest.raises(ModelFileError, match="views.ckpt .*tensors share"):
        load_style_model(path)


def test_weights_of_vgg_are_checked_before_they_are_converted(tmp_path: Path) -> None:
    path = tmp_path / "vgg.pth"
    for value, message in (
        (torch.zeros(1, dtype=torch.half).expand(10**6, 10**6), ".*shape"),
        (torch.zeros(64, 3, 3, 3, dtype=torch.int8), ".*floating-point"),
    ):
        torch.save({"features.0.weight": value}, path)
        with pytest.raises(VGGWeightsError, match=f"conv1_1.weight {message}"):
            load_weights(str(path))


def test_headers_of_safetensors_that_are_too_long(tmp_path: Path) -> None:
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({f"{number}": entry for number in range(20_000)}).encode()
    path = tmp_path / "many.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(WeightFileError, match=f"header .*{len(header)} bytes"):
        load_safetensors(path)
    with pytest.raises(VGGWeightsError, match="many.safetensors: .*header "):
        load_weights(str(path))


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_a_file_that_is_too_large(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"large{suffix}"
    path.touch()
    os.truncate(path, MOST_BYTES + 1)
    with pytest.raises(ModelFileError, match=f"{MOST_BYTES + 1} bytes.* {MOST_BYTES}"):
        load_style_model(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors", ".pth"])
def test_a_pipe_is_no_model(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"pipe{suffix}"
    os.mkfifo(path)
    with pytest.raises(ModelFileError, match=f"pipe{suffix}.* pipe"):
        load_style_model(path)
    with pytest.raises(VGGWeightsError, match=f"pipe{suffix}"):
        load_weights(str(path))
    for load in (load_torch, load_safetensors):  # did it become one since it was looked for
        with pytest.raises(WeightFileError, match="pipe.*device"):
            load(path)


def test_errors_are_one_line_and_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: object, **options: object) -> None:
        raise RuntimeError("a page of text\n" * 100)

    monkeypatch.setattr(torch, "load", fails)
    path = packed(tmp_path / "file.ckpt", saved({}))
    with pytest.raises(ModelFileError) as caught:
        load_style_model(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500

"""Weights in files of torch.save and safetensors, checked before anything is loaded.

A small file can take gigabytes or hours to load: by compressed records, by millions of objects or
names, by tuples within tuples that take forever to hash. What is loaded here is no larger than its
file.
"""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import re
import stat
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from fast_style.system.messages import one_line

# Limit on what a file holds beside its numbers: a pickle, a zip file's directory, safetensors'
# header. The pickle of a training has 41 kB; for the widest network allowed, half the limit.
MOST_HEAD_BYTES = 2**20
# Limit on the objects in a pickle, each counted as often as it is used; our trainings have 64,000.
MOST_OBJECTS = 2**21
MOST_BYTES = 2**31  # of a file; the largest in use, VGG16 with all its layers, has 553 MB
LEGACY_PICKLES = 5  # magic number, version, machine, data, names of storages; numbers follow
ZIP_START = b"PK\x03\x04"
# The types of storages that a pickle may name, and their bytes for each number.
STORAGES = {
    **dict.fromkeys(("DoubleStorage", "LongStorage"), 8),
    **dict.fromkeys(("FloatStorage", "IntStorage"), 4),
    **dict.fromkeys(("HalfStorage", "BFloat16Storage", "ShortStorage"), 2),
    **dict.fromkeys(("CharStorage", "ByteStorage", "BoolStorage"), 1),
}
# All that a pickle may name. torch.load allows more, such as what makes an array of any size.
ALLOWED = re.compile(
    rf"torch ({'|'.join(STORAGES)}|Size)|torch\._utils _rebuild_(tensor(_v2)?|parameter)"
    r"|collections OrderedDict"
)
# safetensors' names of the types that weights may have.
FLOATS = ("F16", "BF16", "F32", "F64")


class WeightFileError(ValueError):
    """A file that can't be loaded; the message goes on from the file's name: "is damaged: ..."."""


class _Storage(NamedTuple):
    """A block of numbers elsewhere in the file, as a pickle refers to it."""

    key: str
    size: int  # bytes


def load_torch(path: Path) -> object:
    """Return what ``torch.save`` wrote: plain data and dense tensors. Nothing in it is executed.

    Raises:
        WeightFileError: The file is damaged, holds anything else, or would take far more memory
            than its size.
    """
    size = _checked_size(path)
    try:
        with path.open("rb") as file:
            is_zip = file.read(len(ZIP_START)) == ZIP_START
        storages = _check_zip(path, size) if is_zip else _check_legacy(path)
        if sum(one.size for one in set(storages)) > size:
            raise WeightFileError("is damaged: it has fewer numbers than it says")
        return torch.load(path, map_location="cpu", weights_only=True)
    except WeightFileError:
        raise
    except OSError as error:
        raise WeightFileError(f"cannot be read: {error.strerror or error}") from error
    except pickle.UnpicklingError as error:
        raise WeightFileError("is damaged, or holds more than plain data") from error
    except Exception as error:  # damaged files raise errors of many kinds
        raise WeightFileError(
            f"is damaged, or not what torch.save writes: {one_line(error)}"
        ) from error


def load_safetensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Return the metadata and the tensors of a safetensors file.

    Raises:
        WeightFileError: The file is damaged, or holds other than floating-point numbers.
    """
    size = _checked_size(path)
    try:
        with path.open("rb") as file:
            start = file.read(8)
        if len(start) < 8:
            raise WeightFileError("is damaged: it ends before its header")
        (length,) = struct.unpack("<Q", start)
        if length > min(size, MOST_HEAD_BYTES):
            raise WeightFileError(
                f"is damaged: its header has {length} bytes, at most {min(size, MOST_HEAD_BYTES)} "
                "were expected"
            )
        with safe_open(path, framework="pt") as opened:
            names = list(opened.keys())
            for name in names:
                if opened.get_slice(name).get_dtype() not in FLOATS:
                    found = repr(name[:60])
                    raise WeightFileError(f"holds {found}, which is not a floating-point tensor")
            return dict(opened.metadata() or {}), {name: opened.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise WeightFileError(
            f"is damaged, or not what safetensors writes: {one_line(error)}"
        ) from error


def check_views(state: Mapping[str, Tensor]) -> None:
    """Check that tensors have numbers of their own, and are not views of the same few.

    A tensor of any shape can be a view of a single number. It takes the memory of its shape once
    it is computed with.

    Raises:
        WeightFileError: They are not.
    """
    storages = {
        value.untyped_storage().data_ptr(): value.untyped_storage() for value in state.values()
    }
    there = sum(storage.nbytes() for storage in storages.values())
    if sum(value.numel() * value.itemsize for value in state.values()) > there:
        raise WeightFileError("is damaged: its tensors share their numbers")


def _checked_size(path: Path) -> int:
    """Return the size, bytes, of a file that can be read twice and is not too large."""
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        raise WeightFileError(f"cannot be read: {one_line(error)}") from error
    if not stat.S_ISREG(found.st_mode):
        raise WeightFileError("is a pipe, a folder or a device, expected a file")
    if found.st_size > MOST_BYTES:
        raise WeightFileError(f"has {found.st_size} bytes, at most {MOST_BYTES} are read")
    return found.st_size


class _SmallReads(io.FileIO):
    """A file that refuses large reads: zipfile reads a directory of any size in one piece."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return so many bytes."""
        if size is not None and size > MOST_HEAD_BYTES:
            raise WeightFileError(f"is damaged: its directory has {size} bytes")
        return super().read(MOST_HEAD_BYTES if size is None or size < 0 else size) or b""


def _check_zip(path: Path, size: int) -> list[_Storage]:
    """Check a file as torch.save writes it since 2020, a zip; return its pickle's storages."""
    with _SmallReads(os.fspath(path)) as file, zipfile.ZipFile(file) as archive:
        records = {record.filename: record for record in archive.infolist()}
        if len(records) < len(archive.infolist()):
            raise WeightFileError("is damaged: it has two records of one name")
        for record in records.values():
            if record.compress_type != zipfile.ZIP_STORED or record.flag_bits & 1:
                raise WeightFileError("has compressed records, which torch.save does not write")
        if sum(record.file_size for record in records.values()) > size:
            raise WeightFileError("is damaged: its records are larger than the file")
        pickles = [name for name in records if name.endswith(".pkl")]
        if len(pickles) != 1 or pickles[0].count("/") != 1 or not pickles[0].endswith("/data.pkl"):
            raise WeightFileError(
                "is a zip file, but not what torch.save writes: no data.pkl, or not it alone"
            )
        if records[pickles[0]].file_size > MOST_HEAD_BYTES:
            raise WeightFileError(
                f"has {records[pickles[0]].file_size} bytes beside its numbers, at most "
                f"{MOST_HEAD_BYTES} are read"
            )
        storages = _storages(io.BytesIO(archive.read(pickles[0])))
        folder = pickles[0].removesuffix("data.pkl")
        for storage in storages:
            numbers = records.get(f"{folder}data/{storage.key}")
            if numbers is None or numbers.file_size != storage.size:
                raise WeightFileError(f"is damaged: its record {storage.key[:20]} is not whole")
        return storages


def _check_legacy(path: Path) -> list[_Storage]:
    """Check a file as torch.save wrote it before: pickles, then numbers; return their storages."""
    with path.open("rb") as file:
        head = io.BytesIO(file.read(MOST_HEAD_BYTES))
    return [storage for _ in range(LEGACY_PICKLES) for storage in _storages(head)]


def _storages(file: io.BytesIO) -> list[_Storage]:
    """Check the next pickle in a file, leave the file behind it, and return its storages."""
    start = file.tell()
    _check_objects(file)
    end = file.tell()
    inspector = _Inspector(io.BytesIO(file.getvalue()[start:end]))
    inspector.load()
    return inspector.storages


def _check_objects(file: io.BytesIO) -> None:
    """Check how many objects a pickle makes, by following its instructions on a stack of counts.

    An object counts as often as it is used: a pair of one tuple, thirty times nested, is a hundred
    bytes that take an hour to hash.
    """
    total = 0
    stack: list[int | None] = []  # how many objects each entry holds; None is a mark
    kept: dict[int, int | None] = {}
    argument: Any
    for code, argument, _ in pickletools.genops(file):
        held = 1
        if "GLOBAL" in code.name and not ALLOWED.fullmatch(str(argument)):
            raise WeightFileError(f"holds {str(argument)[:60]!r}, more than plain data and tensors")
        if code.name.endswith("PUT") or code.name == "MEMOIZE":
            kept[len(kept) if argument is None else argument] = stack[-1]
            continue
        if code.name.endswith("GET"):
            held = kept[int(argument)] or 1
        taken = list(code.stack_before)
        if pickletools.markobject in taken:
            while (count := stack.pop()) is not None:
                held += count
            del taken[taken.index(pickletools.markobject) :]
        held += sum(stack.pop() or 1 for _ in taken)
        is_mark = code.stack_after == [pickletools.markobject]
        stack += [None if is_mark else held] * len(code.stack_after)
        total += held
        if total > MOST_OBJECTS:
            raise WeightFileError(f"holds more than {MOST_OBJECTS} objects")


class _Inspector(pickle.Unpickler):
    """Reads a pickle without making any of the objects it names, and notes its storages."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, encoding="latin-1")
        self.storages: list[_Storage] = []

    def find_class(self, module: str, name: str) -> Any:
        """Return a harmless stand-in for what the pickle names."""
        if not ALLOWED.fullmatch(f"{module} {name}"):
            raise WeightFileError(f"holds {module}.{name}, more than plain data and tensors")
        if name == "OrderedDict":
            return OrderedDict
        return name if name in STORAGES else _nothing

    def persistent_load(self, pid: Any) -> None:
        """Note a storage."""
        kind, type_name, key, _, count = pid[:5]
        if kind != "storage" or type_name not in STORAGES or type(count) is not int or count < 0:
            raise WeightFileError("is damaged: it refers to what is no storage")
        self.storages.append(_Storage(str(key), count * STORAGES[type_name]))


def _nothing(*arguments: object) -> None:
    """Stand in for the functions that make tensors."""

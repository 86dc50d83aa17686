"""Damage done to files: flipped bits, lengths that lie, blocks cut, doubled or of another file."""

from __future__ import annotations

import io
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable

BYTES = (b"\0", b"\x01", b"\x7f", b"\x80", b"\xfe", b"\xff")
NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
HEAD = 256  # bytes, where formats say what follows: half of the changes are made there
BLOCK = 64  # bytes, the most that is cut, doubled or put in at a time
CHANGED = (1, 1, 1, 2, 4)  # places of a file: after many changes the first error hides the rest
PNG_START = b"\x89PNG\r\n\x1a\n"
ZIP_START = b"PK\x03\x04"
# What YAML and OmegaConf give a meaning to.
TOKENS = (
    *("&a ", "*a", "<<: *a\n", "!!python/object:os.system ", "!!binary ", "!!set ", "? ", "- "),
    *("${", "${a}", "${oc.env:HOME}", "${style_name:}", "???", "null", "~", ".nan", ".inf"),
    *("[", "]", "{", "}", "[" * 300, "{a: " * 100, ": ", "\t", "\0", "\ufeff", "\u2028", "#", "'"),
    *("9" * 400, "0x", "0o9", "1_000", "2024-01-01", "yes", "|\n", ">\n", "%YAML 9.9\n", "-1"),
    *("defaults:\n  - nowhere\n", "defaults: 3\n", "# @package _global_\n", "---", "1e999", '"'),
    *("_target_: os.abort\n", "@a"),
)
JSON_WORDS = (
    *(b"NaN", b"Infinity", b"-1", b"0", b"1", b"2", b"4096", b"4097", b"1e999", b"true", b"null"),
    *(b"18446744073709551615", b"9" * 400, b"F64", b"F8_E4M3", b"I64", b"C64", b"slim", b"../up"),
    *(b"[" * 200, b"]", b"{}", b"name", b"x" * 300, b"\\u0000", b"\\ud800", b"\xff", b"shape", b""),
)
Change = Callable[[bytearray, random.Random], None]


def mutated(data: bytes, other: bytes, random_: random.Random) -> bytes:
    """Return a file's bytes, damaged in a few places.

    Args:
        data: The file.
        other: One of the same kind, to take parts of.
        random_: Says how.
    """
    if data.startswith(ZIP_START) and random_.random() < 0.6:
        return _with_a_record_damaged(data, random_)
    if data[8:9] == b"{" and random_.random() < 0.4:
        return _with_a_header_damaged(data, random_)
    changed = bytearray(data)
    for _ in range(random_.choice(CHANGED)):
        if random_.random() < 0.05:
            at, start = _place(changed, random_), random_.randrange(len(other))
            changed[at:] = other[start:]
        else:
            random_.choice(CHANGES)(changed, random_)
    if data.startswith(PNG_START) and random_.random() < 0.8:
        changed = _with_right_sums(changed)
    return bytes(changed)


def mutated_text(data: bytes, other: bytes, random_: random.Random) -> bytes:
    """Return a text, damaged: by its words and lines, mostly."""
    if random_.random() < 0.3:
        return mutated(data, other, random_)
    lines = data.decode().splitlines(keepends=True)
    for _ in range(random_.choice(CHANGED)):
        at = random_.randrange(len(lines))
        match random_.randrange(5):
            case 0:
                lines[at] = lines[at][: random_.randint(0, len(lines[at]))]
            case 1:
                lines.insert(at, random_.choice(other.decode().splitlines(keepends=True) or [""]))
            case 2:
                lines[at] = " " * random_.randint(1, 4) + lines[at]
            case 3:
                key, colon, _ = lines[at].partition(":")
                lines[at] = f"{key}{colon} {random_.choice(TOKENS)}\n"
            case 4:
                cut = random_.randint(0, len(lines[at]))
                lines[at] = lines[at][:cut] + random_.choice(TOKENS) + lines[at][cut:]
    return "".join(lines).encode()


def _place(data: bytearray, random_: random.Random) -> int:
    """Return a place in the data, or at its end."""
    most = min(len(data), HEAD) if random_.random() < 0.5 else len(data)
    return random_.randint(0, most)


def _flip(data: bytearray, random_: random.Random) -> None:
    for _ in range(random_.choice((1, 1, 4, 16))):
        at = _place(data, random_)
        data[at : at + 1] = bytes(byte ^ 1 << random_.randrange(8) for byte in data[at : at + 1])


def _replace(data: bytearray, random_: random.Random) -> None:
    at = _place(data, random_)
    for inner in range(at, min(len(data), at + random_.randint(1, 8))):
        data[inner : inner + 1] = random_.choice(BYTES)


def _truncate(data: bytearray, random_: random.Random) -> None:
    del data[_place(data, random_) :]


def _delete(data: bytearray, random_: random.Random) -> None:
    at = _place(data, random_)
    del data[at : at + random_.randint(1, BLOCK)]


def _double(data: bytearray, random_: random.Random) -> None:
    at = _place(data, random_)
    data[at:at] = data[at : at + random_.randint(1, BLOCK)] * random_.randint(1, 3)


def _insert(data: bytearray, random_: random.Random) -> None:
    at = _place(data, random_)
    data[at:at] = random_.randbytes(random_.randint(1, BLOCK))


def _lie_about_a_length(data: bytearray, random_: random.Random) -> None:
    """Replace a number of 16 or 32 bits: one that is small, as lengths, sizes and counts are."""
    code = random_.choice((">L", "<L", ">L", "<L", ">H", "<H"))
    width = struct.calcsize(code)
    start = _place(data, random_)
    for at in range(start, min(start + 64, len(data) - width + 1)):
        (number,) = struct.unpack_from(code, data, at)
        if 0 < number <= 2 * len(data):
            near = (number + 1, number - 1, 2 * number, number // 2, len(data))
            lie = random_.choice((*NUMBERS, *near))
            struct.pack_into(code, data, at, lie & (1 << 8 * width) - 1)
            return


CHANGES: tuple[Change, ...] = (
    *(_flip, _replace, _replace, _delete, _double, _insert, _truncate),
    *(_lie_about_a_length, _lie_about_a_length, _lie_about_a_length),
)


def _with_right_sums(data: bytearray) -> bytearray:
    """Return a PNG with each chunk's sum made right, as far as there are chunks."""
    at = len(PNG_START)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">L", data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            break
        struct.pack_into(">L", data, end, zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return data


def _with_a_header_damaged(data: bytes, random_: random.Random) -> bytes:
    """Return a file of safetensors with some of its header's words replaced, its length right."""
    (length,) = struct.unpack_from("<Q", data)
    words = re.split(rb'([\w.-]+|[][{},:"\\])', data[8 : 8 + length])
    for _ in range(random_.choice(CHANGED)):
        at = random_.randrange(len(words))
        word = random_.choice(JSON_WORDS) if random_.random() < 0.7 else random_.choice(words)
        # Mostly a word for a word, so that it stays JSON.
        while random_.random() < 0.8 and not re.fullmatch(rb"[\w.-]+", words[at]):
            at = random_.randrange(len(words))
        words[at] = word
    header = b"".join(words)
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


def _with_a_record_damaged(data: bytes, random_: random.Random) -> bytes:
    """Return a zip file with a record's bytes changed, and its sum right."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as read, zipfile.ZipFile(buffer, "w") as written:
        names = read.namelist()
        # Mostly what says what is in the others.
        pickles = [name for name in names if name.endswith(".pkl")]
        chosen = random_.choice(pickles if pickles and random_.random() < 0.5 else names)
        for name in names:
            record = bytearray(read.read(name))
            if name == chosen:
                for _ in range(random_.choice(CHANGED)):
                    random_.choice(CHANGES)(record, random_)
            written.writestr(name, bytes(record))
    return buffer.getvalue()

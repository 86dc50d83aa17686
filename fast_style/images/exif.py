"""EXIF taken apart into its tags and put together again, each value byte for byte as it stood.

Pillow's own way through Python's numbers and texts loses what is not ASCII, and types of tags.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Container
from typing import IO, Literal, NamedTuple

from PIL.ExifTags import IFD

# Bytes of one value, by the number of its type.
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 129: 1}
LONG = 4
POINTERS = (IFD.Exif, IFD.GPSInfo)  # tags that say where the other directories begin
POINTER_SIZES = {LONG: 4, 13: 4, 16: 8, 18: 8}  # the last two are BigTIFF's
# Bytes of all values of a directory; a hostile file may point at the same bytes many times.
MOST = 2**22
Order = Literal["<", ">"]  # of bytes, as struct writes it
# What Pillow raises where EXIF is damaged, which is no reason to lose a picture.
DAMAGED_EXIF = (
    ValueError,
    TypeError,
    KeyError,
    OSError,
    SyntaxError,
    struct.error,
    OverflowError,
)
PREFIX = b"Exif\0\0"
HEADERS: dict[Order, bytes] = {"<": b"II*\0\x08\0\0\0", ">": b"MM\0*\0\0\0\x08"}


class Tag(NamedTuple):
    """A tag's value as it is stored."""

    kind: int  # the number of its type, a key of SIZES
    data: bytes  # in the byte order of the whole


Tags = dict[int, Tag]


class Exif(NamedTuple):
    """EXIF's three directories: about the picture, the camera and the place."""

    order: Order
    main: Tags
    camera: Tags
    place: Tags

    @property
    def is_empty(self) -> bool:
        """Whether there is no tag."""
        return not (self.main or self.camera or self.place)

    def tobytes(self) -> bytes:
        """Return the block that most picture files hold."""
        header = HEADERS[self.order]
        end = len(header) + directory_size(self.main | pointers_to(self, 0))
        main = directory(self.main | pointers_to(self, end), self.order, len(header))
        return PREFIX + header + main + subdirectories(self, end)


def read_block(block: bytes) -> Exif:
    """Return a block, as ``Exif.tobytes`` gives it, taken apart."""
    data = block.removeprefix(PREFIX)
    order: Order = "<" if data.startswith(b"II") else ">"
    file = io.BytesIO(data)
    main = read_directory(file, int(struct.unpack_from(order + "L", data, 4)[0]), order)
    camera, place = (number(main.pop(tag, None), order) for tag in POINTERS)
    return Exif(
        order, main, read_directory(file, camera, order), read_directory(file, place, order)
    )


def read_directory(
    file: IO[bytes],
    at: int | None,
    order: Order,
    wanted: Container[int] | None = None,
    big: bool = False,
) -> Tags:
    """Return the tags of a directory; what is damaged or of an unknown type is left out.

    Args:
        file: A block of EXIF without its prefix, or a TIFF file.
        at: Where the directory begins in it, bytes; none: there is no directory.
        order: Of its bytes.
        wanted: Which tags to read; all if none.
        big: Whether it is a BigTIFF file.
    """
    tags: Tags = {}
    if at is None:
        return tags
    try:
        file.seek(at)
        count_form, form = (order + "Q", order + "HHQ8s") if big else (order + "H", order + "HHL4s")
        (count,) = struct.unpack(count_form, file.read(struct.calcsize(count_form)))
        entries = file.read(min(count, 65_535) * struct.calcsize(form))
        whole = len(entries) // struct.calcsize(form) * struct.calcsize(form)
        room = MOST
        for tag, kind, length, value in struct.iter_unpack(form, entries[:whole]):
            size = length * (POINTER_SIZES if tag in POINTERS else SIZES).get(kind, 0)
            if tag in tags or not 0 < size <= room or (wanted is not None and tag not in wanted):
                continue
            if size > len(value):
                (where,) = struct.unpack(order + ("Q" if big else "L"), value)
                file.seek(min(where, 2**62))  # beyond the end there is nothing to read
                value = file.read(size)
            if len(value) >= size:
                tags[tag] = Tag(kind, value[:size])
                room -= size
    except (struct.error, OSError, ValueError):
        pass  # what was read so far is whole
    return tags


def number(tag: Tag | None, order: Order) -> int | None:
    """Return the number in a tag that points at a directory; none if there is no tag."""
    if tag is None:
        return None
    first = tag.data[: POINTER_SIZES[tag.kind]]
    return int.from_bytes(first, "little" if order == "<" else "big")


def directory(tags: Tags, order: Order, at: int) -> bytes:
    """Return a directory that is to begin at byte ``at``, the values behind it."""
    result, values = struct.pack(order + "H", len(tags)), b""
    start = at + len(result) + 12 * len(tags) + 4
    for tag, (kind, data) in sorted(tags.items()):
        value = data.ljust(4, b"\0")
        if len(data) > 4:
            value = struct.pack(order + "L", start + len(values))
            values += data + bytes(len(data) % 2)  # values begin at even bytes
        result += struct.pack(order + "HHL", tag, kind, len(data) // SIZES[kind]) + value
    return result + bytes(4) + values  # no further directory


def directory_size(tags: Tags) -> int:
    """Return how many bytes ``directory`` takes."""
    return len(directory(tags, "<", 0))


def pointers_to(exif: Exif, at: int) -> Tags:
    """Return the main directory's tags that say where ``subdirectories`` from ``at`` on are."""
    places = {}
    for pointer, tags in zip(POINTERS, (exif.camera, exif.place), strict=True):
        if tags:
            places[int(pointer)] = Tag(LONG, struct.pack(exif.order + "L", at))
            at += directory_size(tags)
    return places


def subdirectories(exif: Exif, at: int) -> bytes:
    """Return the directories of camera and place, to begin at byte ``at``."""
    result = b""
    for tags in (exif.camera, exif.place):
        if tags:
            result += directory(tags, exif.order, at + len(result))
    return result

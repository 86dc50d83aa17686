"""What a picture file says beside its pixels, read without decoding them."""

from __future__ import annotations

import io
import os
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from PIL.TiffImagePlugin import ImageFileDirectory_v2

MOST_PAGES = 1000  # of a TIFF that are counted
MOST_SCANS = 100  # of a progressive JPEG; encoders make 10, the most thorough some 30
LARGEST_CHUNK = 2**24  # bytes of a PNG's chunk, or of the boxes of a HEIF, that are looked at
XMP = b"XML:com.adobe.xmp"
CUT = b"cut off"  # the key for a chunk that is cut off; real names have four letters
JPEG_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")  # beside those within a scan's data
SOS, EOI = 0xDA, 0xD9
# Tags of TIFF 6.0, of its technical notes and of DNG.
SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
SAMPLES, STRIP_ROWS, TILE_HEIGHT, SUB_DIRECTORIES, EXTRA, FORMAT = 277, 278, 323, 330, 338, 339
XMP_TAG, PROFILE, DNG_VERSION = 700, 34675, 50706
X_RESOLUTION, Y_RESOLUTION, PLANAR, RESOLUTION_UNIT = 282, 283, 284, 296
REDUCED = 1  # a bit of SUBFILE
SENSOR = (32803, 34892)  # values of PHOTOMETRIC in raw photographs of cameras
CM_PER_INCH = 2.54
RAW = (
    "it is a raw photograph of a camera, or the preview of one; export a TIFF or JPEG of it with "
    "the program that develops it"
)


class Coding(NamedTuple):
    """What colours mean, in the numbers of ITU-T H.273."""

    primaries: int
    transfer: int


class Tiff(NamedTuple):
    """What the first directory of a TIFF says, ``tags`` by their numbers."""

    tags: dict[int, Any]
    at: int = 0  # where in the file it is
    order: str = "<"
    is_big: bool = False
    link: tuple[int, int] = (0, 0)  # where the next directory's position stands, in how many bytes

    def number(self, tag: int, default: int = 0) -> int:
        """Return a whole number, the first if there are several."""
        found = self.numbers(tag)
        return found[0] if found else default

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Return whole numbers; none if there are none, or others."""
        found = self.tags.get(tag, ())
        found = found if isinstance(found, tuple) else (found,)
        return found if all(isinstance(one, int) for one in found) else ()

    def data(self, tag: int) -> bytes | None:
        """Return bytes; none if there are none."""
        found = self.tags.get(tag)
        return found if isinstance(found, bytes) and found else None

    @property
    def is_raw(self) -> bool:
        """Whether it is a camera's raw photograph: the directory holds a preview or sensor data.

        A preview comes first. The photograph is then in a subdirectory.
        """
        is_preview = bool(self.number(SUBFILE) & REDUCED) and SUB_DIRECTORIES in self.tags
        is_sensor = self.number(PHOTOMETRIC) in SENSOR
        return is_preview or is_sensor or DNG_VERSION in self.tags

    @property
    def dpi(self) -> tuple[float, float] | None:
        """Pixels an inch in print, across and down."""
        factor = {2: 1.0, 3: CM_PER_INCH}.get(self.number(RESOLUTION_UNIT, 2))
        try:
            across, down = (float(self.tags[tag]) for tag in (X_RESOLUTION, Y_RESOLUTION))
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            return None
        return None if factor is None else (across * factor, down * factor)


def is_tiff(start: bytes) -> bool:
    """Whether a file that starts so is a TIFF, or what cameras make of one."""
    return start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_tiff(file: BinaryIO) -> Tiff:
    """Return what the first directory of a TIFF says.

    Raises:
        ValueError: It is a raw photograph of a camera, or damaged.
    """
    file.seek(0)
    start = file.read(16)
    if start[8:10] == b"CR":  # Canon's: its first directory is a JPEG
        raise ValueError(RAW)
    directory = ImageFileDirectory_v2(start if b"+" in start[:4] else start[:8])
    at = _first(start)
    file.seek(at)
    directory.load(file)
    order, is_big = _byte_order(start)
    link, size = _link(file, at, order, is_big), 8 if is_big else 4
    follows = link >= 0 and any(file.read(size))
    found = Tiff(dict(directory), at, order, is_big, (link, size) if follows else (0, 0))
    if found.is_raw:
        raise ValueError(RAW)
    if min(found.number(WIDTH), found.number(HEIGHT)) < 1:
        raise ValueError("it is a TIFF without a picture")
    return found


def pages(file: BinaryIO) -> int:
    """Return how many pages a TIFF has, or ``MOST_PAGES`` + 1 if more; damaged ones do not count.

    Pages are not decoded. Their directories form a chain, which in a damaged file may go round.
    """
    file.seek(0)
    start = file.read(16)
    order, is_big = _byte_order(start)
    at = _first(start)
    seen: set[int] = set()
    while at and at not in seen and len(seen) <= MOST_PAGES:
        link = _link(file, at, order, is_big)
        if link < 0:
            break
        seen.add(at)
        size = 8 if is_big else 4
        at = int.from_bytes(file.read(size), "little" if order == "<" else "big")
    return len(seen)


def _byte_order(start: bytes) -> tuple[str, bool]:
    """Return the order of the bytes of a TIFF that starts so, and whether it is a BigTIFF."""
    return ("<" if start[:2] == b"II" else ">"), b"+" in start[:4]


def _first(start: bytes) -> int:
    """Return where the first directory of a TIFF is."""
    order, is_big = _byte_order(start)
    return int(struct.unpack_from(order + ("Q" if is_big else "L"), start, 8 if is_big else 4)[0])


def _link(file: BinaryIO, at: int, order: str, is_big: bool) -> int:
    """Seek to where the next directory's position stands, and return that; -1 if it is cut off."""
    size, entry = (8, 20) if is_big else (2, 12)
    file.seek(at)
    head = file.read(size)
    if len(head) < size:
        return -1
    (entries,) = struct.unpack(order + ("Q" if is_big else "H"), head)
    return file.seek(at + size + entries * entry)


def png_chunks(file: BinaryIO) -> dict[bytes, bytes]:
    """Return a PNG's head (IHDR), EXIF (eXIf), colours (cICP) and XMP, by name, from all of it.

    ``CUT`` is there too if a chunk says that it is longer than what is left of the file.
    """
    found: dict[bytes, bytes] = {}
    end = file.seek(0, os.SEEK_END)
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">L4s", head)
        if name == b"IEND":
            break
        if file.tell() + length > end:
            found[CUT] = b""
        if name in (b"IHDR", b"eXIf", b"cICP", b"iTXt") and length <= LARGEST_CHUNK:
            data = file.read(length)
            if name != b"iTXt":
                found.setdefault(name, data)
            elif data.startswith(XMP + b"\0"):
                found.setdefault(XMP, _itxt_text(data))
            length = 0
        file.seek(length + 4, os.SEEK_CUR)  # past the data and its checksum
    return found


def _itxt_text(chunk: bytes) -> bytes:
    """Return the text of an iTXt chunk."""
    keyword = chunk.index(b"\0")
    fields = chunk[keyword + 3 :].split(b"\0", 2)  # of a language, twice, and the text
    text = fields[-1]
    if chunk[keyword + 1 : keyword + 2] != b"\1":
        return text
    try:
        return zlib.decompressobj().decompress(text, LARGEST_CHUNK)
    except zlib.error:
        return b""


def png_coding(chunks: dict[bytes, bytes]) -> Coding | None:
    """Return what a PNG's cICP says of its colours."""
    found = chunks.get(b"cICP", b"")
    return Coding(found[0], found[1]) if len(found) == 4 else None


def heif_coding(file: BinaryIO) -> Coding | None:
    """Return what the colr box of an AVIF or a HEIF says in numbers."""
    for kind, body in _boxes(_meta(file)):
        if kind == b"iprp":
            for inner, properties in _boxes(body):
                if inner != b"ipco":
                    continue
                for name, data in _boxes(properties):
                    if name == b"colr" and data[:4] == b"nclx" and len(data) >= 8:
                        return Coding(*struct.unpack(">HH", data[4:8]))
    return None


def _meta(file: BinaryIO) -> bytes:
    """Return the content of the meta box of an AVIF or a HEIF."""
    file.seek(0)
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">L4s", head)
        if kind == b"meta":
            return file.read(min(max(size - 8, 0), LARGEST_CHUNK))[4:]
        if size < 8:  # up to the file's end, or a size of 64 bits: only pixels take so much
            break
        file.seek(size - 8, os.SEEK_CUR)
    return b""


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">L4s", data, at)
        if size < 8:
            return
        yield kind, data[at + 8 : at + size]
        at += size


def is_heif(start: bytes) -> bool:
    """Whether a file that starts so is a HEIF."""
    brands = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
    return start[4:8] == b"ftyp" and start[8:12] in brands


def jpeg_scans(file: BinaryIO) -> int:
    """Return how many scans a JPEG has; a progressive one has several."""
    file.seek(0)
    data = file.read()
    scans, at = 0, 2
    while found := JPEG_MARKER.search(data, at):
        at, marker = found.end(), found[1][0]
        if marker == EOI:
            break
        scans += marker == SOS
        at += int.from_bytes(data[at : at + 2], "big")
    return scans


def open_binary(path: os.PathLike[str] | str | io.BytesIO) -> BinaryIO:
    """Open a file, or bytes, for reading; the caller closes it."""
    if isinstance(path, io.BytesIO):
        return io.BytesIO(path.getvalue())
    return open(path, "rb")  # noqa: PTH123, the path may be a string

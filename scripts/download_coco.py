"""Download a split of COCO and unpack it to ROOT/SPLIT/*.jpg; train2017 has 19 GB: an hour.

    python scripts/download_coco.py --root data/coco --split train2017

The same command resumes a download that was interrupted. Checksums are checked.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import shlex
import shutil
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

Log = Callable[[str], None]


@dataclass(frozen=True)
class Split:
    """The zip of one split, as published: its MD5 and its size in bytes."""

    md5: str
    size: int


# COCO publishes no checksums itself. These MD5s are in the public repositories
#   twsl/pytorchcocotools, src/pytorchcocotools/utils/coco/files.py: all six;
#   PaddlePaddle/PaddleDetection, ppdet/utils/download.py: train2017, val2017;
#   salesforce/LAVIS, lavis/datasets/download_scripts/download_coco.py: train2014, val2014;
#   pystiche/papers, replication/johnson_alahi_li_2016/download_images.py: train2014.
# The sizes are the Content-Length that the official server gives.
SPLITS = {
    "train2017": Split("cced6f7f71b7629ddf16f17bbcfab6b2", 19_336_861_798),
    "val2017": Split("442b8da7639aecaf257c1dceb8ba8c80", 815_585_330),
    "test2017": Split("77ad2c53ac5d0aea611d422c0938fb35", 6_646_970_404),
    "train2014": Split("0da8c0bd3d6becc4dcb32757491aca88", 13_510_573_713),
    "val2014": Split("a3d79f5ed8d289b7a7554ce06a5782b3", 6_645_013_297),
    "unlabeled2017": Split("7ebc562819fdb32847aab79530457326", 20_126_613_414),
}
DEFAULT_SPLIT = "train2017"  # as in configs/data/coco.yaml
BASE_URL = "http://images.cocodataset.org/zips"
TIMEOUT_S = 30.0  # without a byte from the server
RETRIES = 5  # in a row without a byte more than before
BACKOFF_S = 1.0  # before going on; doubles with each of these retries
CHUNK = 1 << 18
BLOCK = 4096  # a file takes up whole blocks of the disk
UNPACKED_PER_ZIP = 1.05  # JPEGs hardly compress: the same bytes again, in whole blocks
BUSY = (408, 425, 429)  # HTTP codes below 500 that are worth another try
MARKER = ".complete"  # in the split's folder, hidden from the data loader: MD5, images


class DownloadError(Exception):
    """What was found, what was expected, and what to do; the part that arrived is kept."""


class _DroppedError(Exception):
    """A request that failed in a way that another may not."""


def fetch(root: Path, name: str, keep_zip: bool, log: Log) -> None:
    """Put the photographs of a split under ``root/name``, doing only what is still to be done.

    Raises:
        DownloadError: The server, the archive or the disk is not as it must be.
        OSError: The disk cannot be written.
    """
    folder = root / name
    if _is_complete(folder, SPLITS[name]):
        log(f"{folder} is complete, nothing to do")
        return
    root.mkdir(parents=True, exist_ok=True)
    archive = download(root, name, log)
    count = unpack(archive, root, name, log)
    (folder / MARKER).write_text(f"{SPLITS[name].md5} {count}\n")
    if not keep_zip:
        archive.unlink()
    log(f"{folder} is complete: {count} photographs")


def download(root: Path, name: str, log: Log) -> Path:
    """Return ``root/name.zip``, checked; it has that name only when its MD5 is right.

    Raises:
        DownloadError: No space for it, the server does not deliver it, or its MD5 differs.
    """
    split, url = SPLITS[name], f"{BASE_URL}/{name}.zip"
    archive, part = root / f"{name}.zip", root / f"{name}.zip.part"
    if archive.exists():
        log(f"checking the MD5 of {archive}")
        found = _md5(archive)
        if found != split.md5:
            raise DownloadError(
                f"{archive} has MD5 {found}, expected {split.md5}: move it away and run again"
            )
        return archive
    most, failures = _size(part), 0
    need = split.size - most + int(split.size * UNPACKED_PER_ZIP)
    _check_space(root, need, f"download and unpack {name}")
    while _size(part) != split.size:
        try:
            _receive(url, part, split.size, log)
        except _DroppedError as error:
            have = _size(part)
            failures = 0 if have > most else failures + 1
            most = max(most, have)
            state = f"{error}; {_unit(have)} of {_unit(split.size)} received"
            if failures > RETRIES:
                raise DownloadError(
                    f"{url}: {state}, no more in {RETRIES} retries: "
                    "check the connection and run the same command again to resume"
                ) from None
            log(f"{state}, trying again in {BACKOFF_S * 2**failures:g} s")
            time.sleep(BACKOFF_S * 2**failures)
    log(f"checking the MD5 of {part}")
    found = _md5(part)
    if found != split.md5:
        part.unlink()
        raise DownloadError(
            f"{url} arrived with MD5 {found}, expected {split.md5}: it was deleted, run again"
        )
    return part.replace(archive)


def unpack(archive: Path, root: Path, name: str, log: Log) -> int:
    """Extract what is not yet in ``root/name``; return how many photographs are there then.

    Raises:
        DownloadError: No space for it, the archive is damaged, or a member lies elsewhere.
    """
    folder = root / name
    folder.mkdir(exist_ok=True)
    # One temporary file for all: an interruption leaves at most this one, to be overwritten.
    temporary = folder / ".unpacking"
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [(m, root / m.filename) for m in opened.infolist() if not m.is_dir()]
            inside = folder.resolve()
            for member, target in members:
                if not target.resolve().is_relative_to(inside):
                    raise DownloadError(
                        f"{archive} holds {member.filename!r}, expected only files in {name}/: "
                        "nothing was unpacked, delete the archive and run again"
                    )
            waiting = [(m, t) for m, t in members if not t.is_file() or _size(t) != m.file_size]
            need = sum(-(-m.file_size // BLOCK) * BLOCK for m, _ in waiting)
            _check_space(root, need, f"unpack {name}")
            log(f"unpacking {len(waiting)} of {len(members)} files")
            for member, target in tqdm(waiting, desc=name, unit="file", disable=None):
                target.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(member) as source, temporary.open("wb") as file:
                    shutil.copyfileobj(source, file, CHUNK)
                temporary.replace(target)
    except zipfile.BadZipFile as error:
        raise DownloadError(
            f"{archive}: {error}, expected a whole zip: delete it and run again"
        ) from error
    return _count(folder)


def _receive(url: str, part: Path, size: int, log: Log) -> None:
    """Complete ``part`` to the ``size`` bytes at ``url`` with one request, if it holds."""
    have = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have:
            part.unlink()
            raise _DroppedError(f"nothing from byte {have} on, starting over") from None
        if error.code >= 500 or error.code in BUSY:
            raise _DroppedError(f"HTTP {error.code}") from None
        raise DownloadError(
            f"{url} answered HTTP {error.code}, expected 200 or 206: "
            "check the connection and the proxy, or try later"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise _DroppedError(str(error) or type(error).__name__) from error
    with response:
        if response.status == 206:
            found = response.headers.get("Content-Range", "")
            right = found.startswith(f"bytes {have}-") and found.endswith((f"/{size}", "/*"))
        else:
            found = response.headers.get("Content-Length", str(size))
            right = response.status == 200 and found == str(size)
            if have and right:
                log("the server sends the whole archive, not the rest: starting over")
                have = 0
        if not right:
            raise DownloadError(
                f"{url} answered HTTP {response.status}, length or range {found!r}, expected the "
                f"rest of {size} bytes from {have} on: check the connection and the proxy"
            )
        with (
            part.open("ab" if have else "wb") as file,
            tqdm(
                total=size, initial=have, unit="B", unit_scale=True, desc=part.name, disable=None
            ) as bar,
        ):
            for chunk in _chunks(response):
                file.write(chunk)
                bar.update(len(chunk))
    if _size(part) != size:
        raise _DroppedError("the connection was closed early")


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield the body; only its own failures become ``_DroppedError``, not those of the disk."""
    while True:
        try:
            chunk = response.read(CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise _DroppedError(str(error) or type(error).__name__) from error
        if not chunk:
            return
        yield chunk


def _is_complete(folder: Path, split: Split) -> bool:
    marker = folder / MARKER
    found = marker.read_text().split() if marker.is_file() else []
    return found[:1] == [split.md5] and _count(folder) >= int(found[1])


def _check_space(root: Path, need: int, purpose: str) -> None:
    free = shutil.disk_usage(root).free
    if free < need:
        raise DownloadError(
            f"{_unit(free)} free at {root}, expected {_unit(need)} to {purpose}: "
            "free some space or choose another --root"
        )


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _count(folder: Path) -> int:
    return sum(1 for _ in folder.glob("*.jpg"))


def _unit(size: int) -> str:
    return tqdm.format_sizeof(size, "B")


def main(argv: list[str] | None = None) -> int:
    """Fetch what the command line asks for; return the exit code: 0, 2 error, 130 Ctrl-C."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--root", type=Path, default=Path("data/coco"), help="folder (%(default)s)")
    parser.add_argument("--split", choices=SPLITS, default=DEFAULT_SPLIT, help="(%(default)s)")
    parser.add_argument("--keep-zip", action="store_true", help="do not delete the unpacked zip")
    arguments = parser.parse_args(argv)
    root: Path = arguments.root.expanduser()
    try:
        fetch(root, arguments.split, arguments.keep_zip, print)
    except DownloadError as error:
        print(f"download_coco: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        advice = f"expected to write in {root}: run again to resume, or choose another --root"
        print(f"download_coco: {error}, {advice}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("download_coco: interrupted: run the same command again to resume", file=sys.stderr)
        return 130
    command = f"python -m fast_style.train data=coco {shlex.quote(f'data.root={root.as_posix()}')}"
    # Without the default split to train on, training must be told which one there is.
    print(command if (root / DEFAULT_SPLIT).is_dir() else f"{command} data.split={arguments.split}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Picture files of 12 megapixels, read and written by this package, by Pillow and by libvips.

    python benchmarks/picture_files.py
    python benchmarks/picture_files.py --memory

All ways take turns, so that all meet the same machine; the file system's cache is warm. Printed:
median seconds, median seconds of all processors, and with --memory the peak of memory that a way
gained in a process of its own. Pillow reads and writes 8 bits of a 16-bit colour: its times there
are for another picture.
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from PIL import Image

from fast_style.images.options import DEFAULT_QUALITY
from fast_style.images.picture import Clip, Picture, resize, to_pil
from fast_style.images.reading import read_clip, read_picture
from fast_style.images.sixteen_bits import DEEP_WHITE, libvips
from fast_style.images.writing import encode_clip
from fast_style.system.resources import asset

PHOTOGRAPH = "photos/val/castle_neuschwanstein.jpg"
SIZE = (3000, 4000)  # px: 12 megapixels
KINDS = {"JPEG": (".jpg", 8), "PNG": (".png", 8), "TIFF": (".tif", 8)}
KINDS |= {"PNG, 16 bits": (".png", 16), "TIFF, 16 bits": (".tif", 16)}


def picture(bits: int) -> Picture:
    """Return the photograph, its levels bytes or floats."""
    rgb = resize(read_picture(asset(PHOTOGRAPH)).rgb, *SIZE)
    return Picture((rgb * 255).round().to(torch.uint8) if bits == 8 else rgb, None)


def readers(path: Path) -> dict[str, Callable[[], object]]:
    """Return the ways to read a file into memory."""
    return {
        "ours": lambda: read_clip(path),
        "Pillow": lambda: np.asarray(Image.open(path).convert("RGB")),
        "libvips": lambda: libvips().Image.new_from_file(str(path)).numpy(),
    }


def writers(given: Picture, kind: str) -> dict[str, Callable[[], object]]:
    """Return the ways to encode a picture."""
    suffix, bits = KINDS[kind]
    form = kind.split(",")[0]
    image = to_pil(given.levels)
    array = given.rgb[0].permute(1, 2, 0).mul(255 if bits == 8 else DEEP_WHITE).round().numpy()
    array = array.astype(np.uint8 if bits == 8 else np.uint16)
    mode = "rgb" if bits == 8 else "rgb16"
    choices: dict[str, dict[str, Any]] = {
        "JPEG": {"quality": DEFAULT_QUALITY, "subsampling": 0},
        "TIFF": {"compression": "tiff_deflate"},
    }
    vips = {
        ".jpg": f"[Q={DEFAULT_QUALITY},subsample-mode=off]",
        ".tif": "[compression=deflate,predictor=horizontal]",
    }

    def by_libvips() -> bytes:
        whole = libvips().Image.new_from_array(array).copy(interpretation=mode)
        return bytes(whole.write_to_buffer(suffix + vips.get(suffix, "")))

    return {
        "ours": lambda: encode_clip(Clip([given]), suffix),
        "Pillow": lambda: image.save(io.BytesIO(), form, **choices.get(form, {})),
        "libvips": by_libvips,
    }


def ways(folder: Path, kind: str) -> dict[str, Callable[[], object]]:
    """Return what is measured of a kind of file."""
    suffix, bits = KINDS[kind]
    given, path = picture(bits), folder / f"{bits}{suffix}"
    if not path.exists():
        path.write_bytes(encode_clip(Clip([given]), suffix))
    found = {f"read, {name}": job for name, job in readers(path).items()}
    return found | {f"write, {name}": job for name, job in writers(given, kind).items()}


def peak_gained(folder: Path, kind: str, way: str) -> float:
    """Return how much more memory than before a way took at most, GB; for a fresh process."""
    job = ways(folder, kind)[way]
    process = psutil.Process()
    before = process.memory_info().rss
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on
    job()
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
    return (peak - before) / 1e9


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5, help="(%(default)s)")
    parser.add_argument("--kind", action="append", choices=KINDS, help="one of them (all)")
    parser.add_argument("--memory", action="store_true", help="measure the peak of memory, too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, get_context("spawn").Pool(1, None, (), 1) as pool:
        folder = Path(name)
        for kind in arguments.kind or KINDS:
            found = ways(folder, kind)
            wall: dict[str, list[float]] = {way: [] for way in found}
            busy: dict[str, list[float]] = {way: [] for way in found}
            for _ in range(arguments.rounds):
                for way, job in found.items():
                    start, started_busy = time.perf_counter(), time.process_time()
                    job()
                    wall[way].append(time.perf_counter() - start)
                    busy[way].append(time.process_time() - started_busy)
            for way in found:
                times = (
                    f"{statistics.median(wall[way]):8.3f} s {statistics.median(busy[way]):8.3f} s"
                )
                peak = ""
                if arguments.memory:
                    peak = f"{pool.apply(peak_gained, (folder, kind, way)):8.2f} GB"
                print(f"{kind:14} {way:16} {times} {peak}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

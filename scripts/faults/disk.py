"""Lets each call to the disk fail in turn, in every command, and looks at what is left.

python scripts/faults/disk.py [--most N] [CASE ...]; needs Linux and gcc, not the internet.

disk_faults.c is preloaded. A case is run once to count its calls, then again with one call failing,
with no older results there and with some. After each failure there must be no traceback, an exit
code other than 0 unless the results are whole, each result whole or as it was before, and no
half-written file. Prints a table of how many calls there are and how many were made to fail, and
what went wrong; the exit code is 1 if anything did.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from multiprocessing import util
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

ERRORS = {  # what each call fails with
    "open": errno.ENOSPC,
    "write": errno.ENOSPC,
    "fsync": errno.EIO,
    "close": errno.EIO,
    "link": errno.EROFS,
    "rename": errno.EROFS,
    "mkdir": errno.ENOSPC,
}
LIMIT_S = 300  # for one run
OLD = b"an older result"
SHIM = Path(__file__).with_name("disk_faults.c")
STYLE = "starry-slim"


class Case(NamedTuple):
    """A command, run in a folder beside ``inputs``, and the files it writes into ``out``."""

    module: str
    arguments: list[str]
    results: list[str]
    overwrites: bool  # knows --overwrite


class Run(NamedTuple):
    """What a command did."""

    code: int
    errors: str  # on stderr
    calls: Counter[str]
    failed: bool  # whether a call was made to fail


def case(module: str, arguments: str, *results: str, overwrites: bool = True) -> Case:
    """Return a case whose arguments are written as in a shell."""
    return Case(module, arguments.split(), list(results), overwrites)


QUICK = "--device cpu --size 48"
PAINT = f"{QUICK} --backend torch"
PHOTO = "../inputs/photo.png"
TRAIN = (
    "style=starry network=slim trainer=cpu data.image_size=64 style.size=64 hydra.run.dir=out/run "
    "data.val_photographs=2 data.num_workers=0 trainer.max_steps=4 checkpoint.every_n_steps=2 "
    "trainer.preview_every_n_steps=1000 trainer.validate_every_n_steps=1000"
)
CASES = {
    "picture": case("stylize", f"{STYLE} {PHOTO} -o out/a.png {PAINT}", "a.png"),
    "jpeg": case("stylize", f"{STYLE} {PHOTO} -o out/a.jpg {PAINT}", "a.jpg"),
    "folder": case(
        "stylize",
        f"{STYLE} ../inputs/two -o out/new {PAINT}",
        *(f"new/0_{STYLE}.png", f"new/1_{STYLE}.webp"),
    ),
    "sheet": case("stylize", f"--sheet out/a.png --style {STYLE} {PHOTO} {PAINT}", "a.png"),
    "video": case("stylize", f"{STYLE} ../inputs/film.mp4 -o out/a.mp4 {PAINT}", "a.mp4"),
    "optimize": case(
        "optimize",
        f"{PHOTO} {PHOTO} -o out/a.png {QUICK} --steps 2 --save-every 1 --optimizer adam",
        *("a.png", "a_00001.png", "a_00002.png"),
    ),
    "reconstruct": case(
        "reconstruct",
        f"style {PHOTO} -o out/a.png {QUICK} --layers conv1_1 --steps 2",
        *("a.png", "a_a_conv1_1.png"),
    ),
    "evaluate": case(
        "evaluate",
        f"{STYLE} --content ../inputs/two --photographs 1 --evaluations 2 --starts noise "
        f"-o out/a.json {QUICK}",
        *("a.json", "a.png"),
    ),
    "onnx": case("export", f"{STYLE} out/a.onnx", "a.onnx"),
    "torchscript": case("export", f"{STYLE} out/a.pt", "a.pt"),
    "pt2": case("export", f"{STYLE} out/a.pt2", "a.pt2"),
    "openvino": case("export", f"{STYLE} out/a.xml", "a.xml", "a.bin"),
    "train": case(
        "train", TRAIN, "run/starry.safetensors", "run/checkpoints/last.ckpt", overwrites=False
    ),
}


def make_inputs(folder: Path) -> None:
    """Write the pictures and the video that the cases read."""
    import av
    import numpy as np
    from PIL import Image

    (folder / "two").mkdir(parents=True)
    levels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    for name in ("photo.png", "two/0.png", "two/1.webp"):
        Image.fromarray(levels).save(folder / name)
    with av.open(str(folder / "film.mp4"), "w") as film:
        stream = film.add_stream("libx264", 25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shift in range(3):
            rolled = np.ascontiguousarray(np.roll(levels, shift, axis=1))
            film.mux(stream.encode(av.VideoFrame.from_ndarray(rolled, "rgb24")))
        film.mux(stream.encode(None))


def run(tried: Case, folder: Path, extra: Sequence[str], fault: dict[str, str]) -> Run:
    """Run a command in a process of its own, in a fresh ``folder``, one of its calls failing.

    Args:
        tried: The command.
        folder: Is emptied, but for ``out``.
        extra: Arguments.
        fault: Of the environment, as in disk_faults.c.
    """
    log, errors = folder.with_suffix(".log"), folder.with_suffix(".err")
    for file in (log, errors):
        file.unlink(missing_ok=True)
    (folder / "tmp").mkdir(exist_ok=True)
    child = os.fork()
    if not child:
        os._exit(_child(tried, folder, extra, fault | {"FAULT_LOG": str(log)}, errors))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    lines = log.read_text().splitlines() if log.exists() else []
    calls = Counter(line.split()[0] for line in lines)
    failed = any(line.endswith(" failed") for line in lines)
    return Run(code, errors.read_text(errors="replace"), calls, failed)


def _child(
    tried: Case, folder: Path, extra: Sequence[str], fault: dict[str, str], errors: Path
) -> int:
    """Run a command in this process, and return its exit code."""
    os.chdir(folder)
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT, 0o666), 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    tempfile.tempdir = str(folder / "tmp")
    util._finalizer_registry.clear()  # type: ignore[attr-defined]  # ours: they close others' files
    signal.alarm(LIMIT_S)
    sys.argv = [tried.module, *tried.arguments, *extra]
    main = importlib.import_module(f"fast_style.{tried.module}").main
    os.environ |= {"FAULT_BELOW": str(folder), **fault}
    try:
        code = main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    del os.environ["FAULT_BELOW"]
    sys.stderr.flush()
    return int(code)


def is_whole(path: Path) -> bool:
    """Whether a result can be read to its end, by a reader of its own kind."""
    import torch
    from PIL import Image

    from fast_style.models.style_file import load_style_model

    try:
        if path.suffix in (".png", ".jpg", ".webp"):
            with Image.open(path) as image:
                image.load()
        elif path.suffix == ".mp4":
            import av

            with av.open(str(path)) as film:
                return sum(1 for _ in film.decode(video=0)) == 3
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".xml":
            ElementTree.parse(path)
        elif path.suffix == ".onnx":
            import onnx

            onnx.checker.check_model(onnx.load(path))
        elif path.suffix in (".pt", ".pt2"):
            with zipfile.ZipFile(path) as archive:
                return archive.testzip() is None
        elif path.suffix == ".ckpt":
            torch.load(io.BytesIO(path.read_bytes()), weights_only=False)
        elif path.suffix == ".safetensors":
            load_style_model(path)
    except Exception:
        return False
    return True


def faults(done: Run, tried: Case, folder: Path, call: str, sizes: dict[str, int]) -> Iterator[str]:
    """Yield what is wrong with what a run has left.

    Args:
        done: The run.
        tried: The command.
        folder: Where it ran.
        call: Which failed.
        sizes: Of the results of a run that did not fail, bytes.
    """
    if "Traceback" in done.errors:
        yield f"a traceback, {done.errors.strip().splitlines()[-1]}"
    if done.code < 0:
        yield f"ended by signal {-done.code}"
    whole = True
    for name in tried.results:
        path = folder / "out" / name
        if not path.exists() or path.read_bytes() == OLD:
            whole = False
        elif not is_whole(path) or (path.suffix == ".bin" and path.stat().st_size != sizes[name]):
            whole = False
            yield f"{name} is damaged"
    if done.code == 0 and not whole:
        yield "exit code 0, but a result is missing"
    if done.code and not done.errors.strip():
        yield f"exit code {done.code} without a word"
    if call != "rename":
        parts = [path.name for path in (folder / "out").rglob(".part-*")]
        if parts:
            yield f"left behind: {parts[0]}"


def fresh(folder: Path, tried: Case, is_old: bool) -> None:
    """Make the folder of a run, with older results or without."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "out").mkdir(parents=True)
    if is_old:
        for name in tried.results:
            (folder / "out" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "out" / name).write_bytes(OLD)


def examine(name: str, folder: Path, is_old: bool, options: argparse.Namespace) -> bool:
    """Let the calls of one case fail in turn; print its row and what went wrong, if anything."""
    tried = CASES[name]
    extra = ["--overwrite"] if is_old else []
    fresh(folder, tried, is_old)
    clean = run(tried, folder, extra, {})
    sizes = {one: (folder / "out" / one).stat().st_size for one in tried.results}
    wrong = [f"undisturbed: {one}" for one in faults(clean, tried, folder, "", sizes)]
    row = []
    for call, code in ERRORS.items():
        count = clean.calls[call]
        most = min(count, options.most)
        numbers = sorted({1 + step * (count - 1) // max(1, most - 1) for step in range(most)})
        reached = 0
        for number in numbers:
            fresh(folder, tried, is_old)
            fault = {"FAULT_CALL": call, "FAULT_NUMBER": str(number), "FAULT_ERRNO": str(code)}
            if options.lasting:
                fault["FAULT_LASTS"] = "1"
            done = run(tried, folder, extra, fault)
            reached += done.failed
            found = faults(done, tried, folder, call, sizes) if done.failed else ()
            wrong += [f"{call} {number} of {count}: {one}" for one in found]
        row.append(f"{reached:3}/{count:3}")
    title = f"{name}{', over old' if is_old else ''}"
    print(f"{title:24}", *(f"{cell:>8}" for cell in row), f"{len(wrong):8}", flush=True)
    print(*(f"  {one}" for one in wrong), sep="\n", end="\n" if wrong else "", flush=True)
    return bool(wrong)


def main() -> int:
    """Run the cases; return 0, or 1 if one of them went wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cases", metavar="CASE", nargs="*", help=f"of {', '.join(CASES)} (all)")
    parser.add_argument("--most", type=int, default=60, help="calls of a kind to try (%(default)s)")
    parser.add_argument("--lasting", action="store_true", help="all later calls fail too")
    options = parser.parse_args()
    if unknown := set(options.cases) - set(CASES):
        parser.error(f"no case {', '.join(unknown)}; there are {', '.join(CASES)}")
    if "FAULT_SHIM" not in os.environ:
        return _preloaded()
    for one in CASES.values():  # before the processes are made, or each would import them
        importlib.import_module(f"fast_style.{one.module}")
    wrong = 0
    with tempfile.TemporaryDirectory() as scratch:
        make_inputs(Path(scratch) / "inputs")
        print(" " * 24, *(f"{call:>8}" for call in ERRORS), f"{'wrong':>8}")
        for name in options.cases or CASES:
            for is_old in (False, True) if CASES[name].overwrites else (False,):
                wrong += examine(name, Path(scratch) / "disk", is_old, options)
    return 1 if wrong else 0


def _preloaded() -> int:
    """Run this program again with the shim, and return its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        shim = Path(folder) / "disk_faults.so"
        command = ["gcc", "-O1", "-shared", "-fPIC", "-o", str(shim), str(SHIM), "-ldl"]
        subprocess.run(command, check=True)
        preloaded = {"LD_PRELOAD": str(shim), "FAULT_SHIM": "1", "OMP_NUM_THREADS": "1"}
        return subprocess.run([sys.executable, *sys.argv], env=os.environ | preloaded).returncode


if __name__ == "__main__":
    sys.exit(main())

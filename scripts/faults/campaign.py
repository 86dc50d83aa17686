"""Damaged files by the thousand, given to the readers: each is read, or refused in one line.

    python scripts/faults/campaign.py --count 10000 --kinds pictures,films --keep found

Makes its files itself, damages them (mutations.py), and gives each to the program's own functions,
in processes of their own that may use 20 s of a CPU and 2 GB beyond what they begin with. (What
asks for more is read once more without that limit, and watched: it counts if it is used.) A file is
to be read, or refused by the reader's own error: one line that names it. All else is a finding:
another error, a crash, no end, too much memory, a result that is not finite or of another size than
it says, a pickle that is executed. A finding is printed, and its file kept. Exit code 1 if there
were any, else 0. The same --seed damages the same files in the same way. Needs a system with fork.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil
import torch
from mutations import mutated
from readers import KINDS, Kind, WrongResultError
from seeds import Seed

from fast_style.images.limits import allow_megapixels
from fast_style.system.memory import is_out_of_memory

SECONDS = 20.0  # of a CPU, that a file may take
WAITING_S = 180.0  # that it may take without using a CPU so long
MEMORY = 2 * 10**9  # bytes, of addresses, beyond those that a process begins with
PER_PROCESS = 250  # files, so that what one leaves behind is not the next one's fault
MEGAPIXELS = 16  # of a picture: what is allowed without a word would fill more than the memory
MOST_LETTERS = 1000  # of a refusal


class Campaign:
    """Gives damaged files of one kind to their reader.

    Args:
        kind: What is read.
        count: How many files.
        seed: Of the damage.
        keep: The folder for files that are findings.
        seconds: Of a CPU, that a file may take.
    """

    def __init__(
        self, kind: Kind, count: int, seed: int, keep: Path, seconds: float = SECONDS
    ) -> None:
        self.kind, self.count, self.seed = kind, count, seed
        self.keep, self.seconds = keep, seconds
        self.outcomes: Counter[str] = Counter()
        self.folder = Path(tempfile.mkdtemp(prefix="campaign-"))
        self.seeds: list[Seed] = []

    def run(self, workers: int) -> Counter[str]:
        """Return how many files came to which end."""
        self.seeds = self._made()
        with contextlib.ExitStack() as stack:
            stack.callback(self._clean)
            running = [_Worker(self, range(first, self.count, workers)) for first in range(workers)]
            while running:
                ready = wait([worker.pipe for worker in running], timeout=1)
                for worker in list(running):
                    if worker.pipe in ready:
                        worker.hear()
                    worker.check_time()
                    if worker.is_done:
                        running.remove(worker)
        return self.outcomes

    def file(self, number: int) -> tuple[Seed, bytes]:
        """Return the seed of a number and what the damage makes of it."""
        random_ = random.Random(f"{self.seed} {self.kind.name} {number}")
        seed = self.seeds[number % len(self.seeds)]
        other = random_.choice(self.seeds)
        damage = self.kind.damage or mutated
        return seed, self.kind.packed(seed, damage(seed.data, other.data, random_))

    def finding(self, number: int, what: str, text: str) -> None:
        """Keep a file and say what came of it."""
        seed, data = self.file(number)
        self.keep.mkdir(parents=True, exist_ok=True)
        kept = self.keep / f"{self.kind.name}_{self.seed}_{number}{seed.suffix}"
        kept.write_bytes(data)
        self.outcomes[f"finding: {what}"] += 1
        print(f"{kept} (of {seed.name}): {what}: {' '.join(text.split())}", flush=True)

    def resident(self, number: int) -> tuple[str, str]:
        """Return what comes of a file that asked for too much memory, where it can have it.

        What is asked for and never touched costs nothing: ``memory`` only if as much is used.
        """
        ours, theirs = get_context("fork").Pipe(duplex=False)
        process = get_context("fork").Process(
            target=_read, args=(self, [number], theirs, False), daemon=True
        )
        process.start()
        theirs.close()
        most = psutil.Process(process.pid).memory_info().rss + MEMORY
        started_s = time.monotonic()
        outcome, text = "crash", "its process ended"
        while True:
            if ours.poll(0.01):
                try:
                    _, outcome, text = ours.recv()
                except EOFError:
                    break
            with contextlib.suppress(psutil.NoSuchProcess):
                used = psutil.Process(process.pid).memory_info().rss
                if used > most or time.monotonic() - started_s > WAITING_S:
                    process.kill()
                    outcome, text = "memory", f"used {used / 1e9:.1f} GB"
                    break
        process.join()
        if outcome == "memory" and text.startswith("cannot "):  # said in one line, at no cost
            outcome = "refused"
        return outcome, text

    def _made(self) -> list[Seed]:
        """Return the whole files, made in a process of its own: their makers start threads."""
        ours, theirs = get_context("fork").Pipe(duplex=False)
        process = get_context("fork").Process(target=_make, args=(self, theirs))
        process.start()
        theirs.close()
        try:
            made: list[Seed] = ours.recv()
        except EOFError:
            raise SystemExit(f"campaign: the files of {self.kind.name} cannot be made") from None
        process.join()
        return made

    def _clean(self) -> None:
        for path in sorted(self.folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        self.folder.rmdir()


class _Worker:
    """A process that reads one file after the other, and another one when that has ended."""

    def __init__(self, campaign: Campaign, numbers: range) -> None:
        self.campaign, self.numbers = campaign, list(numbers)
        self.process: BaseProcess
        self.pipe: Connection
        self.current: int | None = None
        self.started_s = self.started_cpu_s = 0.0
        self.is_done = False
        self._start()

    def hear(self) -> None:
        """Take what the process says; or that it has ended."""
        try:
            number, outcome, text = self.pipe.recv()
        except EOFError:
            self._ended()
            return
        if outcome == "begins":
            self.current, self.started_s = number, time.monotonic()
            self.started_cpu_s = self._cpu_s()
            return
        self.current = None
        self.numbers.remove(number)
        if outcome == "memory":
            outcome, text = self.campaign.resident(number)
        if outcome in ("read", "refused"):
            self.campaign.outcomes[outcome] += 1
        else:
            self.campaign.finding(number, outcome, text)

    def check_time(self) -> None:
        """End the process if a file takes too long."""
        if self.current is None or time.monotonic() - self.started_s < self.campaign.seconds:
            return
        cpu_s = self._cpu_s() - self.started_cpu_s
        if cpu_s > self.campaign.seconds or time.monotonic() - self.started_s > WAITING_S:
            number, self.current = self.current, None
            self.process.kill()
            self.campaign.finding(number, "time", f"not done after {cpu_s:.0f} s of a CPU")
            self.numbers.remove(number)

    def _start(self) -> None:
        if not self.numbers:
            self.is_done = True
            return
        self.pipe, theirs = get_context("fork").Pipe(duplex=False)
        chosen = self.numbers[:PER_PROCESS]
        self.process = get_context("fork").Process(
            target=_read, args=(self.campaign, chosen, theirs), daemon=True
        )
        self.process.start()
        theirs.close()

    def _ended(self) -> None:
        self.process.join()
        self.pipe.close()
        if self.current is not None:
            number, self.current = self.current, None
            self.numbers.remove(number)
            code = self.process.exitcode
            self.campaign.finding(number, "crash", f"its process ended with {code}")
        self._start()

    def _cpu_s(self) -> float:
        try:
            times = psutil.Process(self.process.pid).cpu_times()
        except psutil.NoSuchProcess:
            return 0.0
        return float(times.user + times.system)


def _make(campaign: Campaign, pipe: Connection) -> None:
    """Make a kind's whole files, and send them."""
    pipe.send(list(campaign.kind.seeds(campaign.folder)))


def _read(
    campaign: Campaign, numbers: list[int], pipe: Connection, is_limited: bool = True
) -> None:
    """Read files and say what came of each; what a process does."""
    if campaign.kind.is_quiet:
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
    warnings.simplefilter("ignore")
    allow_megapixels(MEGAPIXELS)
    folder = campaign.folder / f"process{os.getpid()}"
    folder.mkdir()
    if is_limited:
        most = psutil.Process().memory_info().vms + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    for number in numbers:
        pipe.send((number, "begins", ""))
        seed, data = campaign.file(number)
        outcome, text = outcome_of(campaign.kind, seed, data, folder)
        pipe.send((number, outcome, text))
        (folder / f"file{seed.suffix}").unlink(missing_ok=True)


def outcome_of(kind: Kind, seed: Seed, data: bytes, folder: Path) -> tuple[str, str]:
    """Return what comes of reading a file: ``read``, ``refused`` or what is wrong; and why.

    Args:
        kind: What it is.
        seed: What was damaged.
        data: What the damage made of it.
        folder: For the file, and for others while it is read.
    """
    path = folder / f"file{seed.suffix}"
    path.write_bytes(data)
    try:
        kind.read(path, seed)
        return "read", ""
    except kind.refusals as error:
        text = str(error)
        if is_out_of_memory(error):
            return "memory", text
        if "\n" in text or len(text) > MOST_LETTERS:
            return "not one short line", text[:MOST_LETTERS]
        if kind.is_named and str(path) not in text:
            return "not named", text
        return "refused", text
    except WrongResultError as error:
        return "wrong result", str(error)
    except MemoryError:
        return "memory", _where(sys.exc_info()[2])
    except BaseException as error:  # also SystemExit, which no reader may raise
        what = "memory" if is_out_of_memory(error) else "other error"
        text = " ".join(str(error).split())[:MOST_LETTERS]
        return what, f"{type(error).__name__}: {text} {_where(error.__traceback__)}"


def _where(trace: Any) -> str:
    """Return where an error came from: the last lines of the program's own."""
    frames = traceback.extract_tb(trace)
    return " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames[-4:]))


def _kinds(text: str) -> list[Kind]:
    names = text.split(",")
    if unknown := [name for name in names if name not in KINDS]:
        raise argparse.ArgumentTypeError(f"no kind {unknown[0]!r}; there are {', '.join(KINDS)}")
    return [KINDS[name] for name in names]


def _lines(results: dict[str, Counter[str]]) -> Iterator[str]:
    """Return a table of how many files of each kind came to which end."""
    yield f"{'':10}{'files':>8}{'read':>8}{'refused':>9}  findings"
    for name, counts in results.items():
        found = {key: n for key, n in sorted(counts.items()) if key.startswith("finding: ")}
        text = ", ".join(f"{key.removeprefix('finding: ')} {n}" for key, n in found.items())
        total = sum(counts.values())
        yield f"{name:10}{total:8}{counts['read']:8}{counts['refused']:9}  {text or 'none'}"


def main(arguments: list[str] | None = None) -> int:
    """Run the campaign; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--count", type=int, default=1000, help="files of a kind (%(default)s)")
    parser.add_argument(
        "--kinds", type=_kinds, default=",".join(KINDS), metavar="A,B", help="(%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the damage (%(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="processes (%(default)s)")
    parser.add_argument(
        "--keep", type=Path, default=Path("findings"), help="folder for findings (%(default)s)"
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # threads do not outlive a fork
    results = {}
    for kind in options.kinds:
        started_s = time.monotonic()
        campaign = Campaign(kind, options.count, options.seed, options.keep)
        results[kind.name] = campaign.run(max(1, options.workers))
        seconds = time.monotonic() - started_s
        print(f"{kind.name}: {options.count} files in {seconds:.0f} s", file=sys.stderr)
    for line in _lines(results):
        print(line)
    return int(any(key.startswith("finding") for counts in results.values() for key in counts))


if __name__ == "__main__":
    sys.exit(main())

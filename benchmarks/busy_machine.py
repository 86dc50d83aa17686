"""Time our training step on a machine that does other work as well; 8 minutes.

    python benchmarks/busy_machine.py
    python benchmarks/busy_machine.py --cases all auto PASSIVE 1000 1000,1 --loops 0 1 4

A case says how many threads there are and how they wait for each other: ``auto`` as `fast-style
train` has it, ``all`` as PyTorch has it, ``PASSIVE`` by OMP_WAIT_POLICY, a number by
GOMP_SPINCOUNT, and after a comma how many threads. Beside it run endless loops, each a process of
its own.

All cases take turns, so that they meet the same machine; a case's process rests while another has
its turn. A turn begins with some seconds that are not measured, in which ``auto`` finds its number
of threads. For each number of loops and each case there is printed:

- images/s
- CPU s an image: what its threads took of the CPU, waiting included
- kept: images for each CPU second, against ``all`` on the idle machine of the same run. Of the
  share of the machine that it was given, a case turns so much into images.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import NamedTuple

import psutil
from train_step import parse, serve

from fast_style.system.threads import LOOK_EVERY_S

VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS")


class Case(NamedTuple):
    """A training step's process."""

    name: str
    pipe: Connection
    process: psutil.Process


def environment(name: str) -> dict[str, str]:
    """Return the variables of a case."""
    waiting, _, threads = name.partition(",")
    found = {"OMP_NUM_THREADS": threads} if threads else {}
    if waiting in ("all", "auto"):
        return found
    if waiting.isdecimal():
        return found | {"GOMP_SPINCOUNT": waiting}
    return found | {"OMP_WAIT_POLICY": waiting}


def begin(name: str, batch: int) -> Case:
    """Start a case's process; it inherits the environment as it is now."""
    for variable in VARIABLES:
        os.environ.pop(variable, None)
    os.environ |= environment(name)
    ours, theirs = get_context("spawn").Pipe()
    adapts = ["--adapt-threads"] if name == "auto" else []
    step = parse(["--batch", str(batch), *adapts])
    process = get_context("spawn").Process(target=serve, args=("ours", step, theirs), daemon=True)
    process.start()
    theirs.close()
    assert process.pid is not None
    return Case(name, ours, psutil.Process(process.pid))


def turn(case: Case, steps: int, batch: int) -> tuple[float, float]:
    """Let a case take some steps; return wall and CPU seconds for each image."""

    def take() -> None:
        case.pipe.send(list(range(batch)))
        case.pipe.recv()

    def cpu_s() -> float:
        times = case.process.cpu_times()
        return float(times.user + times.system)

    take()  # it looks at the machine since its last turn
    started_s = time.perf_counter()
    while time.perf_counter() < started_s + LOOK_EVERY_S:
        take()
    take()
    started_s, before_s = time.perf_counter(), cpu_s()
    for _ in range(steps):
        take()
    images = steps * batch
    return (time.perf_counter() - started_s) / images, (cpu_s() - before_s) / images


def main() -> None:
    """Run the comparison; print each number of loops as soon as it is done."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--cases", nargs="+", default=["all", "auto"])
    parser.add_argument("--loops", type=int, nargs="+", default=[0, 1, 4])
    parser.add_argument("--rounds", type=int, default=3, help="of all cases (%(default)s)")
    parser.add_argument("--steps", type=int, default=4, help="in a round (%(default)s)")
    parser.add_argument("--batch", type=int, default=2, help="photographs (%(default)s)")
    options = parser.parse_args()
    cases = [begin(name, options.batch) for name in options.cases]
    for case in cases:
        turn(case, 1, options.batch)  # the first steps make what later ones find
    print(f"{os.cpu_count()} cores; {options.rounds} x {options.steps} steps of {options.batch}")
    print(f"{'loops':>5} {'case':14}{'images/s':>10}{'CPU s/image':>13}{'kept':>8}")
    reference_s = 0.0
    for count in options.loops:
        loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
        try:
            found: dict[str, list[tuple[float, float]]] = {case.name: [] for case in cases}
            for _ in range(options.rounds):
                for case in cases:
                    found[case.name].append(turn(case, options.steps, options.batch))
        finally:
            for loop in loops:
                loop.kill()
                loop.wait()
        for name, turns in found.items():
            wall_s, cpu_s = (statistics.median(part) for part in zip(*turns, strict=True))
            reference_s = reference_s or cpu_s
            print(
                f"{count:5} {name:14}{1 / wall_s:10.2f}{cpu_s:13.3f}{reference_s / cpu_s:8.2f}",
                flush=True,
            )
    for case in cases:
        case.pipe.send(None)
        case.pipe.recv()


if __name__ == "__main__":
    main()

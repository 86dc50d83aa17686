"""How many threads compute: as many as there are cores that nobody else uses."""

from __future__ import annotations

import os
import time

import psutil
import torch

LOOK_EVERY_S = 5.0  # others' work is their mean over so long
CHANGE = 0.6  # of a core: a smaller difference changes nothing, so that the number stays calm


class FreeCores:
    """Adapts the number of PyTorch's threads to what other programs leave of the CPU.

    A computation is done when its slowest thread is. One that shares its core with another program
    takes twice as long. All others wait for it, which keeps their cores busy too. So fewer threads
    are faster there (benchmarks/busy_machine.py).

    The number stays where the machine does nothing else, and where a person or a scheduler has set
    OMP_NUM_THREADS. Results differ in their last digits between numbers of threads.
    """

    def __init__(self) -> None:
        self.most = torch.get_num_threads()
        # With one thread there is nothing to adapt.
        self.is_decided = "OMP_NUM_THREADS" in os.environ or self.most == 1
        self.program = psutil.Process()
        self.cores: list[int] = []
        self.since_s = self.all_s = self.own_s = 0.0
        if not self.is_decided:
            self.cores = _own_cores(self.program)
            self.look_again()

    def look_again(self) -> None:
        """Begin to measure anew. Where a system does not tell, the number of threads stays."""
        try:
            self.since_s, self.all_s = time.monotonic(), _busy_s(self.cores)
            self.own_s = self._own_s()
        except (OSError, psutil.Error, IndexError):
            self.is_decided = True

    def adapt(self) -> bool:
        """Change the number of threads, if it is time to look and others' work has changed.

        Returns:
            Whether it was changed.
        """
        if self.is_decided or time.monotonic() < self.since_s + LOOK_EVERY_S:
            return False
        since_s, all_s, own_s = self.since_s, self.all_s, self.own_s
        self.look_again()
        if self.is_decided:
            return False
        others = (self.all_s - all_s) - (self.own_s - own_s)
        threads = self.threads_beside(others / (self.since_s - since_s))
        if threads == torch.get_num_threads():
            return False
        torch.set_num_threads(threads)
        return True

    def threads_beside(self, others: float) -> int:
        """Return how many threads there should be.

        Args:
            others: How many cores other programs use, on average.
        """
        free = min(max(len(self.cores) - others, 1.0), float(self.most))
        now = torch.get_num_threads()
        return now if abs(free - now) < CHANGE else round(free)

    def _own_s(self) -> float:
        """Return the CPU seconds of this program and of what it has started, ended or not."""
        total = 0.0
        for process in (self.program, *self.program.children(recursive=True)):
            try:
                times = process.cpu_times()
            except psutil.Error:  # it has just ended
                continue
            total += times.user + times.system
            total += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        return total


def _own_cores(program: psutil.Process) -> list[int]:
    """Return the places, in psutil's list, of the cores that a program may use."""
    every = list(range(len(psutil.cpu_times(percpu=True))))
    if not hasattr(program, "cpu_affinity"):  # macOS
        return every
    own = list(program.cpu_affinity())
    return own if max(own) < len(every) else every  # where some cores are off, or not shown


def _busy_s(cores: list[int]) -> float:
    """Return the CPU seconds of all programs on some cores since the machine started.

    Programs that wait for others (``nice``) do not count.
    """
    total, each = 0.0, psutil.cpu_times(percpu=True)
    for core in cores:
        times = each[core]
        total += times.user + times.system
        total -= getattr(times, "guest", 0.0)  # a virtual machine's, which stands in user, too
    return total

"""The number of threads follows what other programs leave of the CPU."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest
import torch

from fast_style.system import threads
from fast_style.system.threads import FreeCores


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[FreeCores]:
    """Of a machine with eight, where nobody has decided."""
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    torch.set_num_threads(8)
    found = FreeCores()
    found.cores = list(range(8))
    yield found
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("now", "others", "expected"),
    [(8, 0.1, 8), (8, 0.94, 7), (7, 1.0, 7), (7, 0.0, 8), (7, 0.5, 7), (8, 6.4, 2), (8, 40.0, 1)],
)
def test_threads_take_the_cores_that_are_free(
    cores: FreeCores, now: int, others: float, expected: int
) -> None:
    torch.set_num_threads(now)
    assert cores.threads_beside(others) == expected


def test_another_program_takes_a_core(cores: FreeCores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "LOOK_EVERY_S", 0.5)
    cores.cores = [0]
    if hasattr(psutil.Process, "cpu_affinity"):
        cores.cores = cores.program.cpu_affinity()[:1]
    cores.most = 1
    assert not cores.adapt()  # it is too early
    # What this program and its children do is not others' work.
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as child:
        time.sleep(1)
        mine = cores._own_s()
        child.kill()
    assert mine - cores.own_s > 0.1
    assert cores.adapt()
    assert torch.get_num_threads() == 1
    assert not cores.adapt()


def test_a_number_that_was_decided_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    monkeypatch.setattr(threads, "LOOK_EVERY_S", 0.0)
    cores = FreeCores()
    cores.threads_beside = lambda others: 1  # type: ignore[method-assign]
    assert not cores.adapt()


def test_a_system_that_does_not_tell_changes_nothing(
    cores: FreeCores, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("/proc/stat")

    monkeypatch.setattr(threads, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(psutil, "cpu_times", refuse)
    assert not cores.adapt()
    assert cores.is_decided


def test_the_cores_of_a_system_that_does_not_show_all(monkeypatch: pytest.MonkeyPatch) -> None:
    program = psutil.Process()
    monkeypatch.setattr(psutil.Process, "cpu_affinity", lambda _: [4, 5, 6, 7], raising=False)
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: [object()] * 4)
    assert threads._own_cores(program) == [0, 1, 2, 3]


def test_what_a_child_did_is_not_others_work_when_it_has_ended() -> None:
    cores = FreeCores()
    before = cores._own_s()
    work = "import time\nwhile time.process_time() < 0.5: pass"
    subprocess.run([sys.executable, "-c", work], check=True)
    assert cores._own_s() > before + 0.4

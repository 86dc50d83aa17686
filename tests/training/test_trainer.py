from __future__ import annotations

import gc
import inspect
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from lightning_utilities.core.rank_zero import rank_zero_only
from torch.nn.parallel import DistributedDataParallel

from fast_style.system.signals import STOPPING, interrupted_by
from fast_style.training.callbacks import Threads, Throughput
from fast_style.training.trainer import (
    AtomicCheckpointIO,
    LastCheckpoint,
    bare_trainer,
    check_launcher,
)


def test_the_time_of_a_step_is_that_of_a_step_whatever_its_crops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By which the time left is told: steps of other sizes have fewer crops and take as long."""
    now_s = iter(range(1000))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(now_s)))
    throughput = Throughput()
    module: Any = SimpleNamespace(device=torch.device("cpu"), log_dict=lambda *_, **__: None)
    trainer: Any = SimpleNamespace(world_size=1, global_step=1, log_every_n_steps=1)
    throughput.on_train_start(trainer, module)
    for crops in (16, 4, 7, 16):
        batch = torch.empty(crops, 3, 1, 1)
        throughput.on_train_batch_start(trainer, module, batch, 0)
        throughput.on_train_batch_end(trainer, module, None, batch, 0)
        assert throughput.step_s == 2
    assert 4 / 2 < throughput.images_per_s < 16 / 2


def test_a_checkpoint_is_whole_or_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoints" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 1}, path)

    write_bytes = Path.write_bytes

    def full_disk(target: Path, data: bytes) -> int:
        write_bytes(target, data[:4])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left"):
        AtomicCheckpointIO().save_checkpoint({"step": 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert list(path.parent.iterdir()) == [path]
    gc.collect()  # Python 3.12 crashed here, where the error still held a view of what it wrote


def trained_step(last: LastCheckpoint, trainer: SimpleNamespace) -> None:
    trainer.global_step += 10
    outputs = {"loss": torch.ones(())}
    module = torch.nn.Conv2d(1, 1, 1)
    last.on_train_batch_end(trainer, module, outputs, None, 0)  # type: ignore[arg-type]


def test_a_signal_that_comes_while_the_processes_agree_is_heard_at_the_next_step(
    tmp_path: Path,
) -> None:
    saved: list[int] = []

    def reduce(decision: bool, **options: bool) -> bool:
        if trainer.global_step == 10 and not last.signalled:
            signal.raise_signal(signal.SIGTERM)
        return decision

    strategy: Any = SimpleNamespace(reduce_boolean_decision=reduce)
    trainer = SimpleNamespace(
        global_step=0, max_steps=100, world_size=2, strategy=strategy, should_stop=False
    )
    trainer.save_checkpoint = lambda path: saved.append(trainer.global_step)
    last = LastCheckpoint(tmp_path / "last.ckpt", 100)
    last.on_train_start(trainer, SimpleNamespace(device=torch.device("cpu")))  # type: ignore[arg-type]
    trained_step(last, trainer)
    assert not last.interrupted
    assert not trainer.should_stop
    trained_step(last, trainer)
    assert last.interrupted
    assert trainer.should_stop
    assert saved == [20]


@pytest.mark.parametrize("number", STOPPING)
def test_every_signal_that_ends_a_program_interrupts(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), interrupted_by(*STOPPING):
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


@pytest.fixture
def rank_zero() -> Iterator[None]:
    """Give back what Lightning remembers of this process."""
    rank = rank_zero_only.rank  # type: ignore[attr-defined]
    yield
    rank_zero_only.rank = rank  # type: ignore[attr-defined]


@pytest.mark.parametrize("strategy", ["auto", "ddp"])
def test_several_devices_do_not_send_around_what_is_frozen(
    strategy: str, tmp_path: Path, rank_zero: None
) -> None:
    trainer: Any = bare_trainer("cpu", 2, 1, strategy)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1
    )
    try:
        wrapped = trainer.strategy._setup_model(torch.nn.Linear(1, 1))
    finally:
        torch.distributed.destroy_process_group()
    assert isinstance(wrapped, DistributedDataParallel)
    known = inspect.signature(DistributedDataParallel).parameters
    sync = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    assert getattr(wrapped, sync) is False


@pytest.mark.parametrize("strategy", ["ddp_spawn", "fsdp", "nonsense"])
def test_other_strategies_are_refused(strategy: str) -> None:
    with pytest.raises(ValueError, match=f"auto.*ddp.* '{strategy}'"):
        bare_trainer("cpu", 2, 1, strategy)


@pytest.mark.parametrize(
    ("environment", "devices", "message"),
    [
        ({"TORCHELASTIC_RUN_ID": "x", "RANK": "1", "WORLD_SIZE": "2"}, 1, "the world size .2"),
        ({"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2"}, 2, "not set 'LOCAL_RANK'"),
        ({"NODE_RANK": "1", "MASTER_PORT": "29999"}, 2, "unset NODE_RANK"),
        ({"MASTER_PORT": "abc"}, 2, "'abc'"),
        ({"SLURM_NTASKS": "4"}, 1, "ntasks=4"),
    ],
)
def test_what_a_launcher_says_that_does_not_fit_is_refused(
    environment: dict[str, str],
    devices: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    rank_zero: None,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=message):
        check_launcher(bare_trainer("cpu", devices, 1, "auto"))


def test_the_number_of_threads_holds_for_the_training_alone() -> None:
    before = torch.get_num_threads()
    counts = Threads(before + 1)
    trainer: Any = SimpleNamespace(world_size=1)
    module: Any = None
    counts.setup(trainer, module, "fit")
    assert torch.get_num_threads() == before + 1
    counts.on_train_batch_start(trainer, module, None, 0)
    assert torch.get_num_threads() == before + 1
    counts.teardown(trainer, module, "fit")
    assert torch.get_num_threads() == before
    counts.setup(trainer, module, "fit")
    counts.on_exception(trainer, module, KeyboardInterrupt())  # Lightning calls no teardown then
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("processes", "device"), [(2, "cpu"), (1, "cuda")])
def test_threads_adapt_only_where_one_process_trains_on_the_cpu(
    processes: int, device: str
) -> None:
    strategy = SimpleNamespace(root_device=torch.device(device))
    trainer: Any = SimpleNamespace(world_size=processes, strategy=strategy)
    counts = Threads("auto")
    counts.setup(trainer, cast(Any, None), "fit")
    assert counts.cores is None
    alone: Any = SimpleNamespace(
        world_size=1, strategy=SimpleNamespace(root_device=torch.device("cpu"))
    )
    counts.setup(alone, cast(Any, None), "fit")
    assert counts.cores is not None


@pytest.mark.parametrize("count", [0, 1.5, True, "many", None, 100_000])
def test_a_wrong_number_of_threads_is_refused(count: Any) -> None:
    with pytest.raises(ValueError, match=r"trainer\.threads .*auto"):
        Threads(count)

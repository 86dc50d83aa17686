from __future__ import annotations

from collections.abc import Iterator

import pytest
from lightning_utilities.core.rank_zero import rank_zero_only
from omegaconf import OmegaConf

from fast_style.training.processes import process_rank

MEETING = {"MASTER_ADDR": "localhost", "MASTER_PORT": "29999"}
TORCHRUN = MEETING | {"TORCHELASTIC_RUN_ID": "x", "RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}
SLURM = {
    "SLURM_NTASKS": "2",
    "SLURM_NTASKS_PER_NODE": "2",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "0",
    "SLURM_JOB_ID": "77",
}
NODE = MEETING | {"NODE_RANK": "1"}


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Give back what Lightning remembers of this process, from the environment at first."""
    rank = rank_zero_only.rank  # type: ignore[attr-defined]
    rank_zero_only.rank = 7  # type: ignore[attr-defined]
    yield
    rank_zero_only.rank = rank  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("environment", "devices", "nodes", "rank"),
    [
        ({}, 2, 1, 0),
        (TORCHRUN, 2, 1, 1),
        (SLURM, 2, 1, 1),
        (MEETING | {"LOCAL_RANK": "1"}, 2, 1, 1),
        (NODE, 2, 2, 2),
        # Alone, whatever else the launcher has started.
        (SLURM, 1, 1, 0),
        (MEETING | {"LOCAL_RANK": "1", "RANK": "1"}, 1, 1, 0),
        (NODE, 1, 1, 0),
        # What Lightning refuses, the first process says.
        (TORCHRUN, "x", 1, 1),
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "3"}, 2, 1, 3),
    ],
)
def test_which_process_this_is(
    environment: dict[str, str],
    devices: int | str,
    nodes: int,
    rank: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    hardware = {"accelerator": "cpu", "devices": devices, "num_nodes": nodes, "strategy": "auto"}
    assert process_rank(OmegaConf.create({"trainer": hardware})) == rank
    if rank < 2 and isinstance(devices, int):
        assert rank_zero_only.rank == rank  # type: ignore[attr-defined]

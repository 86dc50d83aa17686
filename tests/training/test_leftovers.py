from __future__ import annotations

import pytest

from fast_style.training.leftovers import forget_leftovers

TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "MASTER_PORT": "1", "RANK": "1", "LOCAL_RANK": "1"}
SLURM = {"SLURM_NTASKS": "2", "SLURM_PROCID": "1"}
LIGHTNING = {"MASTER_PORT": "1", "LOCAL_RANK": "1", "NODE_RANK": "0"}


@pytest.mark.parametrize("environment", [TORCHRUN, SLURM, LIGHTNING, {"HOME": "/home"}])
def test_what_a_launcher_says_stays(environment: dict[str, str]) -> None:
    found = dict(environment)
    forget_leftovers(found)
    assert found == environment


@pytest.mark.parametrize(
    ("environment", "left"),
    [
        ({"RANK": "1", "WORLD_SIZE": "2"}, {"WORLD_SIZE": "2"}),
        ({"LOCAL_RANK": "1", "NODE_RANK": "1", "SLURM_PROCID": "3"}, {}),
        (SLURM | {"SLURM_PROCID": "abc"}, {"SLURM_NTASKS": "2"}),
        ({"MASTER_PORT": "1", "LOCAL_RANK": "-1", "NODE_RANK": ""}, {"MASTER_PORT": "1"}),
    ],
)
def test_a_rank_without_its_launcher_or_without_a_number_is_forgotten(
    environment: dict[str, str], left: dict[str, str]
) -> None:
    forget_leftovers(environment)
    assert environment == left

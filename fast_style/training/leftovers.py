"""Ranks in the environment that no launcher has given, forgotten before Lightning reads them.

A shell, a notebook or a container may still hold the variables of a launcher that is gone, or that
started something else. Lightning takes some of them for the truth as soon as it is imported.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

# Of each rank, one of the variables that the launcher always sets with it.
GIVEN_WITH = {
    "RANK": "TORCHELASTIC_RUN_ID",  # torchrun
    "SLURM_PROCID": "SLURM_NTASKS",
    "JSM_NAMESPACE_RANK": "JSM_NAMESPACE_SIZE",  # LSF
    # Lightning's own launcher, and a person who starts every process: they have to meet somewhere.
    "LOCAL_RANK": "MASTER_PORT",
    "NODE_RANK": "MASTER_PORT",
    "GROUP_RANK": "MASTER_PORT",
}


def forget_leftovers(environment: MutableMapping[str, str]) -> None:
    """Remove ranks without a launcher, and those that are no numbers.

    Args:
        environment: ``os.environ``, or what is like it.
    """
    for rank, other in GIVEN_WITH.items():
        if rank in environment and not (other in environment and environment[rank].isdecimal()):
            del environment[rank]


forget_leftovers(os.environ)  # by importing this module before Lightning

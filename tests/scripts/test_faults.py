"""The campaign of damaged files: a short one finds nothing, and planted faults are found."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
from support import ROOT

FOLDER = ROOT / "scripts" / "faults"
KINDS = ("pictures", "models", "metadata", *(["films"] if find_spec("av") else []))
FILES, CONFIGURATIONS = 70, 20  # of each kind; configurations take longer

PLANTED = """
import os, signal, sys, time, random
from pathlib import Path
from campaign import Campaign
from readers import Kind, WrongResultError
from seeds import Seed

def read(path, seed):
    match seed.name:
        case "crash": os.kill(os.getpid(), signal.SIGSEGV)
        case "time":
            while True: pass
        case "memory": return b"\1" * (3 * 10**9)
        case "other error": raise KeyError("x")
        case "exit": sys.exit(3)
        case "wrong result": raise WrongResultError("it is nan")
        case "not one short line": raise ValueError(f"{path} is\\nbad")
        case "not named": raise ValueError("bad")
        case "refused": raise ValueError(f"{path} is bad")

names = sys.argv[2:]
seeds = [Seed(name, b"abc" * 9, ".x") for name in names]
kind = Kind("planted", lambda folder: seeds, read, (ValueError,))
outcomes = Campaign(kind, 2 * len(names), 0, Path(sys.argv[1]), seconds=0.5).run(2)
print(dict(outcomes))
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(FOLDER), *sys.path])}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, timeout=300
    )


def campaign(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(str(FOLDER / "campaign.py"), "--keep", str(folder), *arguments)


@pytest.mark.slow
def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    kept = tmp_path / "found"
    ended = campaign(kept, "--count", str(FILES), "--kinds", ",".join(KINDS))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert not kept.exists()
    rows = [line.split() for line in ended.stdout.splitlines()[1:]]
    assert [row[:2] for row in rows] == [[kind, str(FILES)] for kind in KINDS]
    for kind, _, read, refused, found in rows:
        assert int(read) > 0, kind
        assert int(refused) > FILES // 10 or kind == "metadata", kind  # which harms no picture
        assert found == "none"


@pytest.mark.slow
def test_damaged_configurations_are_used_or_refused(tmp_path: Path) -> None:
    ended = campaign(tmp_path, "--count", str(CONFIGURATIONS), "--kinds", "yaml")
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_planted_faults_are_found(tmp_path: Path) -> None:
    faults = ["crash", "time", "memory", "other error", "wrong result"]
    faults += ["not one short line", "not named"]
    ended = run("-c", PLANTED, str(tmp_path), *faults, "exit", "read", "refused")
    *lines, outcomes = ended.stdout.splitlines()
    expected = {f"finding: {fault}": 2 for fault in faults} | {"read": 2, "refused": 2}
    assert eval(outcomes) == expected | {"finding: other error": 4}, ended.stderr  # "exit" is one
    assert len(lines) == 2 * len([*faults, "exit"])
    assert len(list(tmp_path.iterdir())) == len(lines)
    for line in lines:
        assert Path(line.partition(" (of ")[0]).is_file()


def test_the_same_seed_damages_in_the_same_way(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from campaign import Campaign
from readers import KINDS
for seed in (1, 1, 2):
    campaign = Campaign(KINDS["metadata"], 9, seed, Path())
    campaign.seeds = list(campaign.kind.seeds(campaign.folder))
    print(hash(tuple(campaign.file(number)[1] for number in range(9))))
"""
    ended = run("-c", script)
    first, again, other = ended.stdout.split()
    assert first == again != other

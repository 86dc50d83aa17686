"""A sweep that cannot work is refused before its first run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fast_style import train

pytestmark = pytest.mark.usefixtures("quiet_globals")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["style=starry,scream"], "style=scream: there is no style=scream; choose"),
        (["style.image=starry.jpg,nowhere.jpg"], "style.image=nowhere.jpg: style.image: there is"),
        (["seed=1,x"], "seed=x: seed must be a whole number"),
        (["style=starry,cafe", "los.style_weight=1"], "there is no los; did you mean loss?"),
        (["init_from=starry,starry-slim", "network=johnson"], "starry-slim holds another network"),
        (["init_from=starry", "network=johnson,slim"], "network=slim: starry holds another"),
        (["init_from=starry,scream"], "no style model scream"),
    ],
)
def test_a_run_that_cannot_work_refuses_the_sweep(
    words: list[str],
    found: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", "-m", *words])
    assert train.main() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert found in line
    assert not list(tmp_path.iterdir())


def test_the_network_may_follow_each_runs_own_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []

    def train_one(config: object) -> int:
        begun.append(str(config))
        return 0

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train, "_train", train_one)
    monkeypatch.setattr(sys, "argv", ["train.py", "-m", "init_from=starry,starry-slim"])
    train.main()
    assert len(begun) == 2

"""The examples of docs/guide/extending.md, put in place and used."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import torch
from support import ROOT, TINY_TRAINING
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from fast_style import evaluate, optimize, train
from fast_style.models.operations import operations
from fast_style.models.style_file import load_style_model
from fast_style.system import resources
from fast_style.system.resources import asset, config_folder

PAGE = ROOT / "docs" / "guide" / "extending.md"
CHANGES = re.compile(r"```diff\n(.*?)```", re.DOTALL)
EXAMPLE = re.compile(r"```\w+\n# (fast_style|configs)/(\S+)\n(.*?)```", re.DOTALL)
pytestmark = pytest.mark.usefixtures("quiet_globals")
NETWORK = ("network.channels=", "network.residual_blocks=")  # of the tiny training
Run = Callable[..., Path]


@pytest.fixture
def in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put the page's examples where it says, without a change of the checkout."""
    configs, package = tmp_path / "configs", tmp_path / "fast_style"
    for file in config_folder().rglob("*.yaml"):
        copy = configs / file.relative_to(config_folder())
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    text = PAGE.read_text(encoding="utf-8")
    modules: list[str] = []
    for top, name, content in EXAMPLE.findall(text):
        path = tmp_path / top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        if top == "fast_style":
            home = path.parent.relative_to(tmp_path).as_posix().replace("/", ".")
            modules.append(f"{home}.{path.stem}")
            there = importlib.import_module(home)
            monkeypatch.setattr(there, "__path__", [*there.__path__, str(path.parent)])
    assert len(modules) == 3
    assert package.is_dir()
    for module in (train, importlib.import_module("fast_style.training.config"), resources):
        monkeypatch.setattr(module, "config_folder", lambda: configs, raising=False)
    yield
    for name in modules:
        sys.modules.pop(name, None)


@pytest.fixture
def run(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that trains two steps with more options, and returns the run's folder."""

    def trained(name: str, *options: str, code: int = 0) -> Path:
        given = [f"data.root={photographs}", "trainer.max_steps=2", *options]
        tiny = TINY_TRAINING
        if any(option.startswith("network=") for option in options):
            tiny = [option for option in tiny if not option.startswith(NETWORK)]
        folder = tmp_path / name
        words = [*tiny, *given, "trainer.validate_every_n_steps=2", f"hydra.run.dir={folder}"]
        monkeypatch.setattr(sys, "argv", ["train.py", *words])
        assert train.main() == code
        return folder

    return trained


def scalars(folder: Path) -> dict[str, list[float]]:
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return {tag: [e.value for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def weights(folder: Path) -> list[Tensor]:
    return list(load_style_model(folder / "starry.safetensors").network.state_dict().values())


def are_equal(one: Path, other: Path) -> bool:
    return all(map(torch.equal, weights(one), weights(other)))


def description(folder: Path) -> dict[str, Any]:
    return load_style_model(folder / "starry.safetensors").description


def test_the_network(in_place: None, run: Run) -> None:
    folder = run("small", "network=small", "network.width=8")
    model = load_style_model(folder / "starry.safetensors")
    assert model.description["network"] == {"name": "small", "width": 8}
    assert type(model.network).__name__ == "Small"
    assert operations(model.network)
    assert model.network(torch.rand(1, 3, 33, 47)).shape == (1, 3, 33, 47)


def test_the_loss_term(in_place: None, run: Run, photographs: Path, tmp_path: Path) -> None:
    plain, folder = run("plain"), run("term", "loss.terms.palette=0.5")
    assert not are_equal(plain, folder)
    found = scalars(folder)
    for stage in ("train", "val"):
        loss, error = found[f"{stage}/palette_loss"], found[f"{stage}/palette_error"]
        assert loss == pytest.approx([0.5 * one for one in error])
        parts = ("content", "style", "total_variation", "grid", "tones", "palette")
        whole = sum(found[f"{stage}/{part}_loss"][-1] for part in parts)
        assert found[f"{stage}/loss"][-1] == pytest.approx(whole)
    assert description(folder)["loss"]["terms"] == {"tones": 2.0, "palette": 0.5}
    assert description(plain)["loss"]["terms"] == {"tones": 2.0}
    state = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(key.startswith("network.") for key in state)


def test_the_loss_term_goes_on_with_its_run(
    in_place: None, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["loss.terms.palette=0.5", "optimizer.schedule=averaged", "optimizer.warmup=0"]
    whole = run("whole", *options, "trainer.max_steps=4")
    parts = run("parts", *options)
    assert run("parts", "ckpt_path=last", "trainer.max_steps=4", code=2)
    (refused,) = [one for one in capsys.readouterr().err.splitlines() if "terms: " in one]
    assert "'palette': 0.5" in refused.split(", now ")[0]
    assert "palette" not in refused.split(", now ")[1].split(")")[0]
    run("parts", *options, "ckpt_path=last", "trainer.max_steps=4")
    assert are_equal(whole, parts)


def test_the_loss_term_is_shown(
    in_place: None,
    run: Run,
    photographs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = run("term", "loss.terms.palette=0.5") / "starry.safetensors"
    capsys.readouterr()
    few = ["--photographs", "1", "--size", "32", "--evaluations", "2", "--starts", "content"]
    words = [str(model), "--content", str(photographs), *few, "-o", str(tmp_path / "e.json")]
    assert evaluate.main(words) == 0
    assert "palette" in capsys.readouterr().out.splitlines()[0].split()
    painting = asset("styles/starry.jpg")
    words = [str(photographs / "1.png"), str(painting), "--size", "32", "--steps", "2"]
    assert optimize.main([*words, "-o", str(tmp_path / "o.png"), "--terms", "palette=0.5"]) == 0
    assert ", palette " in capsys.readouterr().err


def test_the_source(in_place: None, run: Run, photographs: Path, tmp_path: Path) -> None:
    path = tmp_path / "photos.zip"
    with ZipFile(path, "w") as archive:
        for file in photographs.iterdir():
            archive.write(file, file.name)
    options = ["data=archive", f"data.root={path}"]
    zipped = run("zipped", *options)
    assert are_equal(zipped, run("folder"))
    assert description(zipped)["data"]["source"] == "archive"
    assert description(zipped)["data"]["root"] == "photos.zip"
    assert description(zipped)["data"]["photographs"] == 8
    run("zipped", *options, "ckpt_path=last", "trainer.max_steps=4")
    run("folder", "ckpt_path=last", "trainer.max_steps=4")
    assert are_equal(zipped, tmp_path / "folder")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["loss.terms.palete=1"], "'palete'; did you mean palette?"),
        (["data.source=archve"], "'archve'; did you mean archive?"),
        (["data=archive", "+data.split=x"], "there is no data.split; data has: batch_size, "),
    ],
)
def test_what_is_not_there_is_one_line(
    options: list[str],
    message: str,
    in_place: None,
    run: Run,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run("refused", *options, code=2)
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """Return a folder with a copy of the package, changed as the page says."""
    leave_out = shutil.ignore_patterns("assets", "__pycache__")
    shutil.copytree(ROOT / "fast_style", tmp_path / "changed" / "fast_style", ignore=leave_out)
    for changes in CHANGES.findall(PAGE.read_text(encoding="utf-8")):
        for file in changes.split("--- ")[1:]:
            name, *hunks = file.split("@@\n")
            path = tmp_path / "changed" / name.strip()
            text = path.read_text(encoding="utf-8")
            for lines in (hunk.splitlines(keepends=True) for hunk in hunks):
                old = "".join(line[1:] for line in lines if line[0] != "+")
                assert text.count(old) == 1, f"{name}{old}"
                text = text.replace(old, "".join(line[1:] for line in lines))
            path.write_text(text, encoding="utf-8")
    return tmp_path / "changed"


def test_the_control(changed: Path, tiny_model: Path, photographs: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "import numpy as np\n"
        "from PIL import Image\n"
        "from fast_style import load, stylize\n"
        "model, photo, output = sys.argv[1:]\n"
        "words = [model, photo, '--device', 'cpu', '--backend', 'torch', '-o', output]\n"
        "assert stylize.main([*words, '--brightness', '3']) == 2\n"
        "assert stylize.main([*words, '--brightness', '0.5']) == 0\n"
        "style, photo = load(model, 'cpu', backend='torch'), Image.open(photo)\n"
        "painted, half = (np.asarray(style(photo, brightness=one)) for one in (1, 0.5))\n"
        "assert np.array_equal(half, np.asarray(Image.open(output)))\n"
        "assert np.abs(half - painted / 2).max() <= 1\n"
    )
    words = [str(tiny_model), str(photographs / "1.png"), str(tmp_path / "painted.png")]
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(changed)},
        cwd=changed,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "brightness must be 0 to 2, found 3.0" in done.stderr

"""Trainings that cannot go on, or not begin, say so in one line."""

from __future__ import annotations

import errno
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from support import TINY_TRAINING
from trainings import run

import fast_style
from fast_style import train
from fast_style.training.module import StyleModule

pytestmark = pytest.mark.usefixtures("quiet_globals")


def test_out_of_memory_says_what_needs_less(
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def fail(self: StyleModule, content: torch.Tensor, batch_idx: int) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(StyleModule, "training_step", fail)
    assert run(monkeypatch, tmp_path, photographs, "data.batch_size=4") == 2
    errors = capfd.readouterr().err
    assert "data.batch_size (now 4)" in errors
    assert "data.image_size (now 32)" in errors


def test_out_of_shared_memory_says_what_needs_less(
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def fail(self: StyleModule, content: torch.Tensor, batch_idx: int) -> None:
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1_2_3>: No sp")

    monkeypatch.setattr(StyleModule, "training_step", fail)
    assert run(monkeypatch, tmp_path, photographs) == 2
    errors = capfd.readouterr().err
    assert "data.num_workers (now 0)" in errors


class Gone(io.StringIO):
    """A pipe whose reader has ended."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def test_help_whose_reader_has_ended_ends_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "--help"])
    monkeypatch.setattr(sys, "stdout", Gone())
    assert train.main() == 0
    assert not capsys.readouterr().err


def test_the_version_is_this_programs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "style=ink", "--version"])
    assert train.main() == 0
    assert capsys.readouterr().out == f"fast_style {fast_style.__version__}\n"


def test_damaged_photographs_are_skipped_and_named(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "photographs"
    shutil.copytree(photographs, folder)
    for index in range(4):
        (folder / f"broken{index}.jpg").write_bytes(b"not a picture")
    assert run(monkeypatch, tmp_path / "run", folder) == 0
    text = (tmp_path / "run" / "train.log").read_text()
    assert "cannot be decoded" in text
    assert "broken" in text


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("style.image=nowhere.jpg", "cannot read nowhere.jpg: there is no such file"),
        ("style.name=a/b", "style.name names files"),
        ("style.size=0", "the style size must be at least 32 px, found 0"),
        ("style.size=999999", "makes .* megapixels of .*, at most 179 are allowed"),
        ("data.image_size=99999", "2 crops of 99999 px needs about .* use a smaller data.batch_"),
        ("data.root=nowhere", "there is no folder nowhere"),
        ("data.batch_size=0", "data.batch_size must be at least 1, found 0"),
        ("data.batch_size=many", "data.batch_size must be a whole number, found 'many'"),
        ("data.val_photographs=10", "leave 0 to train on"),
        ("trainer.max_steps=0", "trainer.max_steps must be at least 1, found 0"),
        ("trainer.precision=half", "trainer.precision is one of auto, bf16-mixed"),
        ("trainer.accelerator=tpux", "tpux"),
        ("trainer.accelerator=tpu", "torch_xla"),
        ("trainer.strategy=nonsense", "nonsense"),
        ("trainer.max_steps=99999999999999999999", "trainer.max_steps must be at most"),
        ("trainer.devices=0", "devices"),
        ("trainer.devices=x", "devices"),
        ("trainer.devices=-3", "devices"),
        ("network.name=[1]", "network.name must be johnson or slim"),
        ("optimizer.method=sgd", "optimizer.method is muon or adam, found 'sgd'"),
        ("optimizer.objective=max", "optimizer.objective is mean or mean_log, found 'max'"),
        ("optimizer.schedule=flat", "optimizer.schedule is one_cycle or averaged, found 'flat'"),
        ("optimizer.learning_rate=0", "optimizer.learning_rate .* at most 1, found 0"),
        ("optimizer.learning_rate=1.0e9", "optimizer.learning_rate .* at most 1, found 1000000000"),
        ("optimizer.warmup=1.5", r"optimizer.warmup must be in \[0, 1\), found 1.5"),
        ("loss.style_weight=-2", "loss.style_weight must be a number of 0 or more, found -2"),
        ("loss.normalization=sum", "loss.normalization is one of relative, mean"),
        (
            "loss.style_layers=[relu9_1,relu1_1]",
            "VGG16 has no layer 'relu9_1'; choose among relu1_1",
        ),
        ("loss.vgg_weights=nowhere.pth", "no VGG16 weights at nowhere.pth"),
        ("network.channels=[1,2]", "network.channels must be three widths"),
        ("ckpt_path=last", "there is no checkpoint .*; give the run's folder as hydra.run.dir"),
        ("ckpt_path=nowhere.ckpt", "there is no checkpoint nowhere.ckpt"),
    ],
)
def test_bad_values_are_one_line_and_exit_code_2(
    override: str,
    message: str,
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, tmp_path, photographs, override) == 2
    lines = capfd.readouterr().err.strip().splitlines()
    errors = [line for line in lines if line.startswith("fast_style.train: ")]
    assert len(errors) == 1
    assert "Traceback" not in "".join(lines)
    assert re.search(message, errors[0])
    assert not list(tmp_path.rglob("*.safetensors"))


def test_another_network_to_start_from_is_refused(
    finished: Path,
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = [f"init_from={finished / 'starry.safetensors'}", "network.residual_blocks=2"]
    assert run(monkeypatch, tmp_path, photographs, *options) == 2
    assert "(residual_blocks: 1, now 2)" in capsys.readouterr().err


def test_a_loss_that_is_no_number_ends_the_run_before_it_is_saved(
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    training_step = StyleModule.training_step

    def diverging(self: StyleModule, content: torch.Tensor, batch_idx: int) -> torch.Tensor:
        loss = training_step(self, content, batch_idx)
        return loss * float("nan") if batch_idx == 4 else loss

    with monkeypatch.context() as patch:
        patch.setattr(StyleModule, "training_step", diverging)
        assert run(patch, tmp_path, photographs) == 2
    error = capfd.readouterr().err
    assert "not a finite number at step 5: " in error
    assert "optimizer.learning_rate" in error
    assert f"{tmp_path / 'checkpoints' / 'last.ckpt'} keeps step 3" in error
    kept = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert kept["global_step"] == 3
    assert all(value.isfinite().all() for value in kept["state_dict"].values())
    assert not list(tmp_path.rglob("*.safetensors"))


def test_pictures_that_are_no_numbers_are_not_exported(
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Finite weights, so large that the network's pictures are not."""

    def spoil(self: StyleModule, batch: object, batch_idx: int) -> None:
        with torch.no_grad():
            for parameter in self.network.parameters():
                parameter.fill_(1e30)

    monkeypatch.setattr(StyleModule, "on_validation_batch_start", spoil)
    assert run(monkeypatch, tmp_path, photographs, "trainer.max_steps=1") == 2
    assert "pictures are not finite numbers" in capfd.readouterr().err
    assert not list(tmp_path.rglob("*.safetensors"))


def test_lightnings_complaints_are_one_line_and_our_own_bugs_are_not(
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    errors: list[Exception] = [MisconfigurationException("no such\nthing"), RuntimeError("a bug")]

    def fail(*arguments: object) -> None:
        raise errors.pop(0)

    monkeypatch.setattr(train, "fit", fail)
    assert run(monkeypatch, tmp_path, photographs) == 2
    assert "fast_style.train: no such thing" in capfd.readouterr().err
    with pytest.raises(RuntimeError, match="a bug"):
        run(monkeypatch, tmp_path, photographs)


def test_weights_that_are_no_numbers_are_not_saved(
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A finite loss whose gradient is not: the step before the loss shows it."""

    def spoil(self: StyleModule, optimizer: object) -> None:
        for parameter in self.network.parameters():
            assert parameter.grad is not None
            parameter.grad.fill_(float("inf"))

    monkeypatch.setattr(StyleModule, "on_before_optimizer_step", spoil)
    assert run(monkeypatch, tmp_path, photographs, "checkpoint.every_n_steps=1") == 2
    assert "not a finite number at step 1" in capfd.readouterr().err
    assert not list(tmp_path.rglob("*.ckpt"))


@pytest.mark.slow
def test_a_full_disk_ends_the_run_with_the_last_state_intact(
    finished: Path, photographs: Path, tmp_path: Path
) -> None:
    """The system refuses to write more, as on a full disk: a limit on the size of files."""
    folder = tmp_path / "full"
    shutil.copytree(finished, folder)
    last = folder / "checkpoints" / "last.ckpt"
    before = last.read_bytes()
    arguments = [
        *TINY_TRAINING,
        f"data.root={photographs}",
        f"hydra.run.dir={folder}",
        "ckpt_path=last",
    ]
    code = (
        "import resource, sys; from fast_style import train; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) // 2},) * 2); "
        "sys.exit(train.main())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments, "trainer.max_steps=12"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 2
    assert "fast_style.train: " in result.stderr
    assert "File too large" in result.stderr
    assert "Traceback" not in result.stderr
    assert last.read_bytes() == before
    assert not [path for path in folder.rglob("*") if path.name.startswith(".part-")]

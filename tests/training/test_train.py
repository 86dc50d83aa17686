"""Whole trainings of a tiny network: what they write, show and say."""

from __future__ import annotations

import copy
import os
import re
import shutil
import signal
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trainings
from PIL import Image
from support import TINY_TRAINING
from trainings import events, run

from fast_style import stylize
from fast_style.images.picture import as_float
from fast_style.models.loss_terms import LossTerms
from fast_style.models.network import painted_inside
from fast_style.models.palette import palette_from_header
from fast_style.models.style_file import load_style_model
from fast_style.painting.controls import grained
from fast_style.painting.options import GRAIN
from fast_style.training import callbacks
from fast_style.training.callbacks import Preview
from fast_style.training.module import StyleModule

pytestmark = pytest.mark.usefixtures("quiet_globals")


def test_a_run_leaves_what_it_promises(finished: Path) -> None:
    files = {str(p.relative_to(finished)) for p in finished.rglob("*") if p.is_file()}
    assert {"starry.safetensors", "checkpoints/last.ckpt", "train.log"} <= files
    assert {".hydra/config.yaml", ".hydra/overrides.yaml"} <= files
    assert any(name.startswith("tensorboard/events.out.tfevents") for name in files)


def test_the_model_describes_itself(finished: Path, photographs: Path) -> None:
    description = load_style_model(finished / "starry.safetensors").description
    assert description["format_version"] == 1
    assert description["network"] == {
        "name": "johnson",
        "channels": [4, 4, 8],
        "residual_blocks": 1,
    }
    assert description["style"]["name"] == "starry"
    assert "van Gogh" in description["style"]["credit"]
    assert description["loss"]["vgg_weights"] == "bundled"
    assert description["loss"]["style_layers"] == ["relu1_2", "relu2_2"]
    assert description["data"]["image_size"] == 32
    assert description["data"]["photographs"] == 8
    assert description["steps"] == 6
    assert description["figures"].keys() == {
        "style_error",
        "content_error",
        "photographs",
        "size",
    }
    assert (description["figures"]["photographs"], description["figures"]["size"]) == (2, 32)
    assert palette_from_header(description["palette"]).matrix != torch.eye(3).tolist()
    assert description["licence"] == "CC0-1.0"
    assert description["package_version"]
    text = str(description)
    assert str(finished) not in text
    assert str(photographs) not in text


def test_the_last_lines_say_what_to_do_next(finished: Path) -> None:
    lines = (finished / "train.log").read_text().splitlines()[-6:]
    model = finished / "starry.safetensors"
    assert "2 held-back photographs: style error" in lines[0]
    assert " verdict: " in lines[1]
    assert " next: " in lines[2]
    assert lines[3].endswith(f"style model: {model}")
    assert lines[4].endswith(f"python -m fast_style.stylize {model} PHOTO.jpg")
    assert lines[5].endswith(f"tensorboard --logdir {finished}")


def test_the_first_lines_say_where_to_look(finished: Path) -> None:
    lines = (finished / "train.log").read_text().splitlines()[1:3]
    assert lines[0].endswith(f" {finished}")
    assert lines[1].endswith(f"tensorboard --logdir {finished}")


def test_the_first_steps_say_how_long_it_takes(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "MEASURE_S", 0.0)
    assert run(monkeypatch, tmp_path, photographs) == 0
    log = (tmp_path / "train.log").read_text()
    assert len(re.findall(r"about 1 s: 6 steps at \S+ s", log)) == 1


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "1 s"), (80, "80 s"), (360, "6 minutes"), (9000, "2.5 hours")]
)
def test_a_duration_is_said_as_people_do(seconds: float, text: str) -> None:
    assert callbacks.about(seconds) == f"about {text}"


def test_the_network_learns(finished: Path) -> None:
    scalars = events(finished)
    losses = [event.value for event in scalars.Scalars("train/loss")]
    assert losses[-1] < losses[0]


def test_tensorboard(finished: Path) -> None:
    accumulator = events(finished)
    parts = {"loss", "content_loss", "style_loss", "total_variation_loss", "total_variation"}
    parts |= {"grid_loss", "grid", "tones_loss", "tones_error"}
    layers = {
        f"{part}_{kind}/{layer}"
        for kind in ("loss", "error")
        for part, names in (("content", ["relu2_2"]), ("style", ["relu1_2", "relu2_2"]))
        for layer in names
    }
    expected = {f"{stage}/{name}" for stage in ("train", "val") for name in parts | layers}
    expected |= {"train/learning_rate", "train/output_min", "train/output_max"}
    expected |= {"train/gradient_norm"}
    expected |= {f"work/{name}" for name in ("images_per_s", "data_s", "compute_s", "data_share")}
    tags = accumulator.Tags()
    assert expected <= set(tags["scalars"])
    assert "epoch" not in tags["scalars"]
    assert [event.step for event in accumulator.Scalars("train/loss")] == [1, 2, 3, 4, 5, 6]
    assert {event.step for event in accumulator.Scalars("val/loss")} == {4, 6}
    last = {tag: accumulator.Scalars(tag)[-1].value for tag in expected}
    assert last["train/loss"] == pytest.approx(
        sum(
            last[f"train/{part}_loss"]
            for part in ("content", "style", "total_variation", "grid", "tones")
        ),
        rel=1e-4,
    )
    assert 0 <= last["work/data_share"] <= 1
    assert last["train/gradient_norm"] > 0
    rates = [event.value for event in accumulator.Scalars("train/learning_rate")]
    assert max(rates) <= 1.0e-3
    assert rates[-1] < max(rates)
    assert [event.step for event in accumulator.Images("val/preview")] == [4, 6]
    preview = accumulator.Images("val/preview")[0]
    assert (preview.width, preview.height) == (4 * 32 + 5 * 4, 32 + 2 * 4)
    style = accumulator.Images("style")[0]
    assert min(style.width, style.height) == 64


def test_tensorboard_has_the_hyperparameters(finished: Path) -> None:
    text = b"".join(events(finished).PluginTagToContent("hparams").values())
    for name in (b"style_weight", b"max_steps", b"residual_blocks", b"val/style_error"):
        assert name in text
    assert b"learning_rate" not in text  # was not given


def test_losses_come_before_the_speed(finished: Path) -> None:
    groups = [tag.partition("/")[0] for tag in sorted(events(finished).Tags()["scalars"])]
    assert list(dict.fromkeys(groups)) == ["train", "val", "work"]


def test_the_checkpoint_is_plain_and_small(finished: Path) -> None:
    path = finished / "checkpoints" / "last.ckpt"
    loaded = torch.load(path, weights_only=True)
    assert all(key.startswith("network.") for key in loaded["state_dict"])
    assert path.stat().st_size < 300_000  # VGG16 alone would be 30 MB
    assert loaded["global_step"] == 6


def test_the_checkpoint_is_a_style_model_too(finished: Path) -> None:
    image = torch.rand(1, 3, 40, 40)
    exported = load_style_model(finished / "starry.safetensors").network(image)
    saved = load_style_model(finished / "checkpoints" / "last.ckpt")
    assert saved.description["steps"] == 6
    torch.testing.assert_close(saved.network(image), exported, atol=2e-3, rtol=0)


def test_train_then_stylize(finished: Path, tmp_path: Path) -> None:
    photograph = tmp_path / "photo.png"
    Image.fromarray(np.full((41, 50, 3), 90, np.uint8)).save(photograph)
    for model in ("starry.safetensors", "checkpoints/last.ckpt"):
        assert stylize.main([str(finished / model), str(photograph), "--overwrite"]) == 0
        with Image.open(tmp_path / "photo_starry.png") as result:
            assert result.size == (50, 41)


def test_the_same_seed_gives_the_same_network(
    finished: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(monkeypatch, tmp_path / "same", photographs) == 0
    assert run(monkeypatch, tmp_path / "other", photographs, "seed=1") == 0
    expected = (finished / "starry.safetensors").read_bytes()
    assert (tmp_path / "same" / "starry.safetensors").read_bytes() == expected
    assert (tmp_path / "other" / "starry.safetensors").read_bytes() != expected


def test_scalars_are_computed_where_they_are_shown(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "shown"
    options = ["trainer.max_steps=12", "trainer.log_every_n_steps=4"]
    computed: list[int] = []
    calls: list[LossTerms] = []
    scalars, step = LossTerms.scalars, StyleModule.training_step

    def counted(terms: LossTerms) -> dict[str, torch.Tensor]:
        calls.append(terms)
        return scalars(terms)

    def watched(self: StyleModule, content: torch.Tensor, batch_idx: int) -> torch.Tensor:
        if self.global_step == 9 and not (folder / "checkpoints").exists():
            os.kill(os.getpid(), signal.SIGINT)
        calls.clear()
        loss = step(self, content, batch_idx)
        computed.extend([self.global_step + 1] * len(calls))
        return loss

    monkeypatch.setattr(LossTerms, "scalars", counted)
    monkeypatch.setattr(StyleModule, "training_step", watched)
    assert run(monkeypatch, folder, photographs, *options, "checkpoint.every_n_steps=50") == 130
    assert computed == [1, 4, 8]
    for tag in ("train/loss", "train/gradient_norm", "work/images_per_s"):
        assert [event.step for event in events(folder).Scalars(tag)] == [4, 8]
    options = [*options, "ckpt_path=last"]
    assert run(monkeypatch, folder, photographs, *options) == 0
    assert computed == [1, 4, 8, 11, 12]
    assert [event.step for event in events(folder).Scalars("train/loss")] == [4, 8, 12]


def test_lines_say_early_how_long_it_takes(
    finished: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "lines"
    shutil.copytree(finished, folder)
    options = ["ckpt_path=last", "trainer.max_steps=12", "trainer.log_every_n_steps=4"]
    assert run(monkeypatch, folder, photographs, *options) == 0
    log = (folder / "train.log").read_text()
    assert re.findall(r"step (\d+)/12, .* left", log) == ["7", "8", "12"]


def test_the_mean_of_the_weights_is_what_is_shown_and_written(
    averaged: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[dict[str, torch.Tensor]] = []
    shown: list[torch.Tensor] = []
    take_step, grid = StyleModule.optimizer_step, Preview.grid

    def watched(self: StyleModule, *args: Any, **kwargs: Any) -> None:
        take_step(self, *args, **kwargs)
        steps.append({key: value.clone() for key, value in self.network.state_dict().items()})

    def watched_grid(self: Preview, module: Any) -> torch.Tensor:
        shown.append(grid(self, module))
        return shown[-1]

    monkeypatch.setattr(StyleModule, "optimizer_step", watched)
    monkeypatch.setattr(Preview, "grid", watched_grid)
    assert run(monkeypatch, tmp_path, photographs, "optimizer.schedule=averaged") == 0
    weight = torch.arange(1.0, 7)
    weight = weight * (weight + 1) * (weight + 2)  # falling powers, as t to the third
    weight /= weight.sum()
    checkpoint = load_style_model(tmp_path / "checkpoints" / "last.ckpt").network
    model = load_style_model(tmp_path / "starry.safetensors").network.state_dict()
    for key, found in checkpoint.state_dict().items():
        expected = sum(w * step[key] for w, step in zip(weight, steps, strict=True))
        torch.testing.assert_close(found, expected)
        assert torch.equal(model[key], found.half().float())
        assert not torch.equal(found, steps[-1][key])
    # The last pair of the last preview.
    assert len(shown) == 2
    photograph, preview = shown[-1][None, :, 4:36, 76:108], shown[-1][:, 4:36, 112:144]
    network = copy.deepcopy(checkpoint)
    network.load_state_dict(steps[-1])
    with torch.no_grad():
        mean, last = (
            (painted_inside(net, as_float(grained(photograph, GRAIN))).clamp(0, 1) - preview).abs()
            for net in (checkpoint, network)
        )
    assert mean.max() < 0.02  # the training's precision may be bfloat16
    assert last.max() > 0.04
    rates = [event.value for event in events(averaged).Scalars("train/learning_rate")]
    assert rates[1:] == pytest.approx([1e-3] * 5)


def test_signals_are_given_back(finished: Path) -> None:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_style_of_ones_own(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    painting = photographs / "3.png"
    extra = [f"style.image={painting}", "style.name=mine", "trainer.max_steps=2"]
    assert run(monkeypatch, tmp_path / "run", photographs, *extra) == 0
    description = load_style_model(tmp_path / "run" / "mine.safetensors").description
    assert description["style"] == {
        "name": "mine",
        "image": "3.png",
        "size": 64,
        "credit": None,
        "sha256": sha256(painting.read_bytes()).hexdigest(),
    }


@pytest.mark.parametrize("loss", ["johnson", "gatys"])
def test_the_classical_losses_train_too(
    loss: str, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = [text for text in TINY_TRAINING if not text.startswith("loss.")]
    monkeypatch.setattr(trainings, "TINY_TRAINING", without)
    extra = [f"loss={loss}", "trainer.max_steps=2"]
    assert run(monkeypatch, tmp_path / "run", photographs, *extra) == 0
    scalars = events(tmp_path / "run").Tags()["scalars"]
    deepest = "train/content_loss/relu5_1" if loss == "gatys" else "train/content_loss/relu3_3"
    assert deepest in scalars


def test_a_new_style_starts_from_another_styles_network(
    finished: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = finished / "starry.safetensors"
    options = ["style.name=mine", f"init_from={model}", "trainer.max_steps=1"]
    # The one-cycle schedule begins at 1/25 of its rate: after one step hardly anything moved.
    assert run(monkeypatch, tmp_path, photographs, *options, "optimizer.learning_rate=1.0e-6") == 0
    before, after = load_style_model(model), load_style_model(tmp_path / "mine.safetensors")
    for key, value in after.network.state_dict().items():
        torch.testing.assert_close(value, before.network.state_dict()[key], atol=2e-4, rtol=2e-3)
    assert after.description["init_from"] == "starry.safetensors"


def test_the_network_follows_the_model(
    finished: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of init_from, of a state, and of a state in the run's own folder."""
    without = [text for text in TINY_TRAINING if not text.startswith("network.")]
    monkeypatch.setattr(trainings, "TINY_TRAINING", without)
    model = finished / "starry.safetensors"
    expected = load_style_model(model).description["network"]
    last = tmp_path / "0" / "checkpoints" / "last.ckpt"
    starts = [(0, f"init_from={model}"), (1, f"ckpt_path={last}"), (0, "ckpt_path=last")]
    for steps, (folder, start) in enumerate(starts, start=1):
        options = ["style.name=mine", start, f"trainer.max_steps={steps}"]
        assert run(monkeypatch, tmp_path / str(folder), photographs, *options) == 0
        made = load_style_model(tmp_path / str(folder) / "mine.safetensors").description
        assert (made["network"], made["steps"]) == (expected, steps)


def test_the_shortest_trainings_run(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A warm-up of one step exactly, and a training of one step."""
    for steps, warmup in ((2, 0.5), (1, 0.1)):
        options = [f"trainer.max_steps={steps}", f"optimizer.warmup={warmup}"]
        assert run(monkeypatch, tmp_path / str(steps), photographs, *options) == 0

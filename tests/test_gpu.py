"""What only a GPU can show, by ``pytest -m gpu -n 0``: the same results as a CPU's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support import ENVIRONMENT

from fast_style import evaluate, optimize
from fast_style.cli.loss_options import load_preset
from fast_style.images.reading import read_picture, read_style
from fast_style.models.losses import PerceptualLoss, gram_matrix
from fast_style.models.style_file import load_style_model
from fast_style.painting.style import load
from fast_style.system.resources import asset

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
]
DEVICE = "cuda"
PHOTO = asset("photos/val/castle_neuschwanstein.jpg")


@pytest.fixture(autouse=True)
def exact_float32() -> Iterator[None]:
    """Compute in float32 as a CPU does, not in TF32."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


@pytest.mark.parametrize("preset", ["crisp", "johnson"])
def test_the_loss_and_its_gradient_are_those_of_a_cpu(preset: str) -> None:
    loss = PerceptualLoss(read_style(asset("styles/starry.jpg"), 64), **load_preset(preset))
    generator = torch.Generator().manual_seed(0)
    content = torch.rand(2, 3, 64, 64, generator=generator)
    found = []
    for device in ("cpu", DEVICE):
        stylized = (content * 0.8).flip(-1).to(device).requires_grad_()
        terms = loss.to(device)(stylized, content.to(device))
        terms.total.backward()
        assert stylized.grad is not None
        found.append((terms.totals.detach().cpu(), stylized.grad.cpu()))
    (totals, gradient), (gpu_totals, gpu_gradient) = found
    torch.testing.assert_close(gpu_totals, totals, rtol=1e-3, atol=0)
    assert (gpu_gradient - gradient).norm() < 1e-2 * gradient.norm()


@pytest.mark.parametrize("side", [24, 64, 96])
def test_a_gram_matrix_of_bfloat16_is_exact(side: int) -> None:
    features = torch.randn(2, 24, side, side, dtype=torch.bfloat16, device=DEVICE)
    features = features.to(memory_format=torch.channels_last).requires_grad_()
    exact = features.detach().double().requires_grad_()
    found, expected = gram_matrix(features), gram_matrix(exact)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-7)
    found[..., 0].sum().backward()
    expected[..., 0].sum().backward()
    assert features.grad is not None
    assert exact.grad is not None
    assert (features.grad.double() - exact.grad).norm() < 1e-2 * exact.grad.norm()


@pytest.mark.parametrize(("precision", "levels"), [("float32", 0.05), ("bfloat16", 1.0)])
@pytest.mark.parametrize("tile", ["off", 64])
def test_a_picture_is_painted_as_on_a_cpu(precision: str, levels: float, tile: str | int) -> None:
    rgb = read_picture(PHOTO).rgb[..., :201, :310]
    expected = load("starry", "cpu", "float32", "torch").paint(rgb, "off")
    style = load("starry", DEVICE, precision, "torch")
    found = style.paint(rgb, tile)
    assert found.device.type == "cpu"
    # What strips keep between the layers is float16.
    most = levels + 0.1 * (tile != "off")
    assert (found - expected).abs().mean() * 255 < most


def test_a_tensor_on_the_gpu_is_stylised_there() -> None:
    rgb = read_picture(PHOTO).rgb[..., :201, :310]
    controls: dict[str, Any] = {"stroke": 1.3, "strength": 0.8, "preserve_color": "match"}
    expected = load("starry", "cpu", "float32", "torch")(rgb, **controls)
    found = load("starry", DEVICE, "float32")(rgb.to(DEVICE), **controls)
    assert found.device.type == DEVICE
    assert (found.cpu() - expected).abs().mean() * 255 < 0.2


@pytest.mark.parametrize("more", [[], ["trainer.compile=true"]])
def test_a_training_and_its_resumption(tmp_path: Path, more: list[str]) -> None:
    command = [sys.executable, "-m", "fast_style.train", "trainer=gpu", "data.image_size=64"]
    command += [f"hydra.run.dir={tmp_path}", "trainer.validate_every_n_steps=10", *more]
    for steps, ckpt_path in ((20, "null"), (30, "last")):
        extra = [f"trainer.max_steps={steps}", f"ckpt_path={ckpt_path}"]
        subprocess.run([*command, *extra], check=True, cwd=tmp_path, env=ENVIRONMENT)
    description = load_style_model(tmp_path / "starry.safetensors").description
    assert description["steps"] == 30
    log = (tmp_path / "train.log").read_text()
    losses = [
        float(line.split("loss ")[1].split(",")[0]) for line in log.splitlines() if "loss " in line
    ]
    assert losses[-1] < losses[0]


def test_a_picture_is_optimised_and_a_network_evaluated(tmp_path: Path) -> None:
    painted = tmp_path / "painted.png"
    painting = str(asset("styles/starry.jpg"))
    options = ["--size", "128", "--steps", "10", "--device", DEVICE, "-o", str(painted)]
    assert optimize.main([str(PHOTO), painting, *options]) == 0
    assert max(read_picture(painted).rgb.shape[-2:]) == 128
    figures = tmp_path / "figures.json"
    options = ["--photographs", "1", "--size", "128", "--evaluations", "10", "--device", DEVICE]
    options += ["--content", str(PHOTO.parent), "-o", str(figures)]
    assert evaluate.main(["starry", *options]) == 0
    (record,) = json.loads(figures.read_text())["records"]
    assert record["networks"]["starry"]["scalars"]["loss"] < record["unstylised"]["loss"]

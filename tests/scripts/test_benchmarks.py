"""What the benchmarks measure is what the program does."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from types import ModuleType

import pytest
import torch
from support import ROOT, TINY_NETWORK

from fast_style.cli.loss_options import load_preset
from fast_style.models.losses import PerceptualLoss
from fast_style.models.network import build_network


@pytest.fixture
def train_step(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    path = ROOT / "benchmarks" / "train_step.py"
    spec = importlib.util.spec_from_file_location("train_step", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "train_step", module)
    spec.loader.exec_module(module)
    return module


def test_the_measured_step_is_that_of_a_training(train_step: ModuleType) -> None:
    """It has what the loss alone has not: nothing is learned from plain photographs."""
    torch.manual_seed(0)
    loss = PerceptualLoss(torch.rand(1, 3, 64, 64), **load_preset("balanced"))
    options = argparse.Namespace(memory_format="auto", compile=False, method="muon")
    step = train_step.our_step(build_network(TINY_NETWORK), loss, "32-true", options)
    for batch, learns in (
        (torch.rand(1, 3, 32, 32), True),
        (torch.full((1, 3, 32, 32), 0.5), False),
    ):
        step.optimizer.zero_grad()
        step.forward(batch).backward()
        gradients = [p.grad for p in step.network.parameters() if p.grad is not None]
        assert any(bool(gradient.any()) for gradient in gradients) == learns

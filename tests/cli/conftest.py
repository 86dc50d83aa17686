"""What the commands' tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support import TINY_NETWORK

from fast_style.models.network import build_network
from fast_style.models.style_file import save_style_model


@pytest.fixture
def second_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model of another name."""
    path = tmp_path_factory.mktemp("second") / "second.safetensors"
    torch.manual_seed(1)
    save_style_model(
        path, build_network(TINY_NETWORK), {"network": TINY_NETWORK, "style": {"name": "second"}}
    )
    return path

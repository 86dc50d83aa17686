"""What tests of several rooms share and pytest needs no fixture for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
"""The checkout."""

TINY_NETWORK: dict[str, Any] = {"name": "johnson", "channels": [4, 4, 8], "residual_blocks": 1}
"""A network that takes milliseconds."""

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
"""For a command in a process of its own, whatever the folder it runs in."""

TINY_TRAINING = [
    "data=folder",
    "data.val_photographs=2",
    "data.image_size=32",
    "data.num_workers=0",
    "network.channels=[4,4,8]",
    "network.residual_blocks=1",
    "style.size=64",
    "loss.content_layers=[relu2_2]",
    "loss.content_layer_weights=[1]",
    "loss.style_layers=[relu1_2,relu2_2]",
    "loss.style_layer_weights=[1,1]",
    "trainer.accelerator=cpu",
    "trainer.max_steps=6",
    "trainer.validate_every_n_steps=4",
    "trainer.preview_every_n_steps=4",
    "checkpoint.every_n_steps=3",
    "trainer.log_every_n_steps=1",
    "licence=CC0-1.0",
]
"""What makes a training take a second, but for its photographs."""


def small_film(path: Path) -> Path:
    """Write a film of three plain frames, 64 x 48 px, and return its path; skip without PyAV."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 25, width=64, height=48, pix_fmt="yuv420p")
        for level in (60, 80, 100):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), level, np.uint8), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path

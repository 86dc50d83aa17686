"""Print fingerprints of results, to compare before and after a change; two minutes.

    python scripts/fingerprints.py > before.txt
    python scripts/fingerprints.py | diff before.txt -

A change that should change no result must change no fingerprint. They are of all released styles on
three photographs, of a training of 20 steps, and of an optimisation of 10 evaluations: on the CPU,
in float32, with one thread. They hold for one machine and one version of PyTorch.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: sums in one order

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

import fast_style

PHOTOGRAPHS = ("castle_neuschwanstein", "two_dogs", "temple_by_night")
SIZE = 256  # px, longer side
ROOT = Path(__file__).resolve().parents[1]


def fingerprint(data: bytes) -> str:
    """Return the first 16 digits of a SHA-256."""
    return hashlib.sha256(data).hexdigest()[:16]


def command(*arguments: str, folder: Path) -> None:
    """Run a command of fast_style in a folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    call = [sys.executable, "-m", *arguments]
    subprocess.run(call, cwd=folder, env=environment, check=True, stdout=2)


def main() -> None:
    """Print a line for each result."""
    argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0]).parse_args()
    photographs = ROOT / "fast_style" / "assets" / "photos" / "val"
    for path in sorted((ROOT / "checkpoints").glob("*.safetensors")):
        style = fast_style.load(path, device="cpu", precision="float32", backend="torch")
        for name in PHOTOGRAPHS:
            painted = style(Image.open(photographs / f"{name}.jpg"), size=SIZE)
            print(path.stem, name, fingerprint(np.asarray(painted).tobytes()), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command(
            *("fast_style.train", "style=starry", "network=slim", "trainer=cpu"),
            *("trainer.precision=32-true", "trainer.max_steps=20", "data.image_size=64"),
            *("style.size=96", "data.val_photographs=2", "hydra.run.dir=run"),
            folder=folder,
        )
        state = load_file(folder / "run" / "starry.safetensors")
        parts = [state[key].contiguous().view(torch.uint8).numpy() for key in sorted(state)]
        weights = b"".join(part.tobytes() for part in parts)
        print("training", fingerprint(weights))
        photograph, painting = photographs / "two_dogs.jpg", "fast_style/assets/styles/starry.jpg"
        command(
            *("fast_style.optimize", str(photograph), str(ROOT / painting), "-o", "out.png"),
            *("--size", "128", "--steps", "10", "--device", "cpu"),
            folder=folder,
        )
        print("optimisation", fingerprint(np.asarray(Image.open(folder / "out.png")).tobytes()))


if __name__ == "__main__":
    main()

"""Where the files lie that come with the program: assets, configs and released style models.

In a checkout configs/ and checkpoints/ stand beside the package, in a wheel inside it.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def _shipped(name: str) -> Path:
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name


def asset(name: str) -> Path:
    """Return the path of a file or folder under ``assets/``; it may not exist."""
    return PACKAGE / "assets" / name


def config_folder() -> Path:
    """Return the folder of the Hydra configuration."""
    return _shipped("configs")


def shipped_styles() -> dict[str, Path]:
    """Return the released style models, name to file, sorted by name."""
    found = {path.stem: path for path in _shipped("checkpoints").glob("*.safetensors")}
    return dict(sorted(found.items()))

"""Where the program's own files are: assets, configs and released style models.

In a checkout configs/ and checkpoints/ are beside the package, in a wheel inside it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fast_style.system.paths import is_file

SMALL_TWIN = "-slim"  # the end of a released style's name: same painting, smaller network
PACKAGE = Path(__file__).resolve().parents[1]


def _shipped(name: str) -> Path:
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name


def asset(name: str) -> Path:
    """Return the path of a file or folder under ``assets/``; it may not exist."""
    return PACKAGE / "assets" / name


def shipped_painting(name: str) -> Path | None:
    """Return the path of a painting of the package; none if it has none of this name."""
    path = asset("styles") / name
    return path if name and "/" not in name and is_file(path) else None


def config_folder() -> Path:
    """Return the folder of the Hydra configuration."""
    return _shipped("configs")


def shipped_styles() -> dict[str, Path]:
    """Return the released style models, name to file, sorted by name."""
    found = {path.stem: path for path in _shipped("checkpoints").glob("*.safetensors")}
    return dict(sorted(found.items()))


def main_styles() -> list[str]:
    """Return the names of the released styles without their small twins."""
    return [name for name in shipped_styles() if not name.endswith(SMALL_TWIN)]


def about_styles() -> dict[str, dict[str, Any]]:
    """Return of each released style how it looks (``look``) and its quality (``evaluations``).

    ``evaluations`` is how many evaluations of L-BFGS from noise what ``stylize`` writes is worth,
    mean over six photographs of COCO at 256 px.
    """
    text = (_shipped("checkpoints") / "styles.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, Any]] = json.loads(text)
    return found

"""Train a network for a painting, then turn any photograph into its manner.

>>> import fast_style
>>> style = fast_style.load("starry")  # doctest: +SKIP
>>> style(photograph).save("painted.png")  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fast_style.models.losses import PerceptualLoss
    from fast_style.models.vgg import VGG16Features
    from fast_style.painting.style import Style, load
    from fast_style.training.module import StyleModule

__version__ = "0.1.0"
__all__ = ["PerceptualLoss", "Style", "StyleModule", "VGG16Features", "__version__", "load"]

# Where each name is imported from, on first use: ``import fast_style`` stays instant (PEP 562).
_MODULES = {
    "PerceptualLoss": "fast_style.models.losses",
    "Style": "fast_style.painting.style",
    "StyleModule": "fast_style.training.module",
    "VGG16Features": "fast_style.models.vgg",
    "load": "fast_style.painting.style",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Train a network for a painting, then turn any photograph into its manner.

>>> import fast_style
>>> style = fast_style.load("starry")  # doctest: +SKIP
>>> style(photograph).save("painted.png")  # doctest: +SKIP
>>> style.video("holiday.mp4", "painted.mp4")  # doctest: +SKIP
>>> fast_style.blend({"starry": 0.7, "ink": 0.3})(photograph)  # doctest: +SKIP
>>> fast_style.paint_sheet([photograph], ["starry", "ink"])  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fast_style.models.losses import PerceptualLoss
    from fast_style.models.vgg import VGG16Features
    from fast_style.painting.blend import Blend, blend
    from fast_style.painting.painter import paint_sheet
    from fast_style.painting.style import Style, load
    from fast_style.training.module import StyleModule

__version__ = "0.1.0"
__all__ = [
    "Blend",
    "PerceptualLoss",
    "Style",
    "StyleModule",
    "VGG16Features",
    "__version__",
    "blend",
    "load",
    "paint_sheet",
]

# Where each name is imported from, on first use: ``import fast_style`` stays instant (PEP 562).
_MODULES = {
    "Blend": "fast_style.painting.blend",
    "PerceptualLoss": "fast_style.models.losses",
    "Style": "fast_style.painting.style",
    "StyleModule": "fast_style.training.module",
    "VGG16Features": "fast_style.models.vgg",
    "blend": "fast_style.painting.blend",
    "load": "fast_style.painting.style",
    "paint_sheet": "fast_style.painting.painter",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Train a network for a painting, then turn any photograph into its manner.

>>> import fast_style
>>> style = fast_style.load("starry")  # doctest: +SKIP
>>> style(photograph).save("painted.png")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fast_style.painting.style import Style, load

__version__ = "0.1.0"
__all__ = ["Style", "__version__", "load"]


def __getattr__(name: str) -> object:
    """Import on first use: ``import fast_style`` stays instant."""
    if name in ("Style", "load"):
        from fast_style.painting import style

        return getattr(style, name)
    raise AttributeError(f"module 'fast_style' has no attribute {name!r}")

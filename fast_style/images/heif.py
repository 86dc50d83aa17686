"""HEIF, the format of many phones: read and written where pillow-heif is installed."""

from __future__ import annotations

from importlib.util import find_spec

from fast_style.images.picture import PictureError
from fast_style.system.messages import install

NEEDED = f"HEIF needs pillow-heif: {install('heif')}"


class HeifNeededError(PictureError):
    """A HEIF file, where what reads it is not installed; the message ends with ``NEEDED``."""


def is_available() -> bool:
    """Whether pillow-heif is installed."""
    return find_spec("pillow_heif") is not None


def register() -> None:
    """Let Pillow read and write HEIF, if it can be; may be called again."""
    if is_available():
        import pillow_heif

        pillow_heif.register_heif_opener()

"""How a photograph is turned upright: EXIF's orientation read, and what each of its values means.

Cameras store a picture as the sensor saw it, and say in EXIF how it was held. A film says it in
degrees, as PyAV gives them to ``films/frames.py``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.ExifTags import Base

from fast_style.images.exif import DAMAGED_EXIF

ORIENTATION_TAG = Base.Orientation
UPRIGHT = 1
View = Callable[[npt.NDArray[np.generic]], npt.NDArray[np.generic]]
# By EXIF's orientation: a view of the upright picture in the order in which the file stores it.
_STORED_IN: dict[int, View] = {
    UPRIGHT: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright),
    7: lambda upright: upright.swapaxes(0, 1)[::-1, ::-1],
    8: lambda upright: np.rot90(upright, -1),
}
_SWAPPED = (5, 6, 7, 8)  # width and height are


def exif_orientation(image: Image.Image) -> int:
    """Return EXIF's orientation: 1, upright, to 8; 1 where it is missing or damaged.

    Where EXIF says nothing, it is XMP's. An unknown number is returned as it is.
    """
    try:
        found = image.getexif().get(ORIENTATION_TAG, UPRIGHT)
    except DAMAGED_EXIF:
        return UPRIGHT
    return found if isinstance(found, int) else UPRIGHT


def upright_size(stored: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return the two sides of a picture as it is to be seen.

    Args:
        stored: Its sides in the file: width and height, or height and width.
        orientation: As ``exif_orientation`` returns it; an unknown one is upright.
    """
    return stored[::-1] if orientation in _SWAPPED else stored


def stored_view(orientation: int) -> View:
    """Return a function from an upright picture to a view of it as the file stores it.

    So a file's rows that are written into the view stand upright in the picture.

    Args:
        orientation: As ``exif_orientation`` returns it; an unknown one is upright.

    Returns:
        A function of an array ``(H, W)`` or ``(H, W, C)``.
    """
    return _STORED_IN.get(orientation, _STORED_IN[UPRIGHT])

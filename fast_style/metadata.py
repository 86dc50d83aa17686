"""What a picture file says beside its pixels: EXIF that stays with a result, colour profile."""

from __future__ import annotations

import struct

from PIL import Image, ImageCms
from PIL.ExifTags import IFD, Base

# Of the picture itself, whatever is painted of it; what describes the file's own layout (sizes,
# strips, orientation, thumbnail) would be wrong for another file.
KEPT = (
    Base.ImageDescription,
    Base.Make,
    Base.Model,
    Base.Software,
    Base.DateTime,
    Base.Artist,
    Base.Rating,
    Base.Copyright,
)
DROPPED = (Base.ExifImageWidth, Base.ExifImageHeight, Base.ColorSpace, Base.MakerNote)
# What Pillow raises where EXIF is damaged, which is no reason to lose a picture.
BROKEN = (ValueError, TypeError, KeyError, OSError, SyntaxError, struct.error, OverflowError)
LARGEST = 60_000  # bytes: a JPEG holds 64 KiB of it
LARGEST_DPI = 65_535  # that a JPEG holds


def kept_exif(image: Image.Image) -> bytes | None:
    """Return what of a picture's EXIF holds for its stylised version too; none if there is none.

    Date, camera, place, author and rights stay. What is damaged is left out.
    """
    try:
        found = image.getexif()
        kept = Image.Exif()
        for tag in KEPT:
            if tag in found:
                kept[tag] = found[tag]
        for ifd in (IFD.Exif, IFD.GPSInfo):
            values = {k: v for k, v in found.get_ifd(ifd).items() if k not in DROPPED}
            if values:
                kept.get_ifd(ifd).update(values)
                kept[ifd] = kept.get_ifd(ifd)
        data = kept.tobytes() if len(kept) else None
    except BROKEN:
        return None
    return data if data and len(data) <= LARGEST else None


def orientation(image: Image.Image) -> int:
    """Return how a picture lies, as its EXIF says: 1, upright, to 8; 1 where it is damaged."""
    try:
        found = image.getexif().get(Base.Orientation, 1)
    except BROKEN:
        return 1
    return found if isinstance(found, int) else 1


def kept_dpi(image: Image.Image) -> float | None:
    """Return how many pixels an inch in print has, if a file says so and alike for both sides."""
    try:
        across, down = map(float, image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    # Of a TIFF that says nothing Pillow says 1.
    return across if across == down and 1 < across <= LARGEST_DPI else None


def srgb_profile() -> bytes:
    """Return an ICC profile of sRGB, the same bytes at any time."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    dated = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # bytes 24 to 35 are when it was made
    return profile[:24] + dated + profile[36:]

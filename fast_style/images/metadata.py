"""What a picture file says beside its pixels: EXIF that stays with a result, colour profile."""

from __future__ import annotations

import struct

from PIL import Image, ImageCms
from PIL.ExifTags import Base

from fast_style.images.exif import (
    DAMAGED_EXIF,
    POINTERS,
    Exif,
    Order,
    number,
    read_block,
    read_directory,
)

# Tags that stay true for a stylised version. Left out is what describes the file itself (sizes,
# strips, colours, orientation, thumbnail), and what only the camera's maker can read.
PICTURE_TAGS = frozenset(
    (
        Base.ImageDescription,
        Base.Make,
        Base.Model,
        Base.Software,
        Base.DateTime,
        Base.Artist,
        Base.Rating,
        Base.RatingPercent,
        Base.Copyright,
        *range(Base.XPTitle, Base.XPSubject + 1),  # Windows's title, comment, author, keywords
    )
)
CAMERA_TAGS = frozenset(
    (
        Base.ExposureTime,
        Base.FNumber,
        *range(Base.ExposureProgram, Base.SpectralSensitivity + 1),
        Base.ISOSpeedRatings,
        Base.TimeZoneOffset,
        Base.SelfTimerMode,
        *range(Base.SensitivityType, Base.ISOSpeedLatitudezzz + 1),
        Base.ExifVersion,
        Base.DateTimeOriginal,
        Base.DateTimeDigitized,
        *range(Base.OffsetTime, Base.OffsetTimeDigitized + 1),
        *range(Base.ShutterSpeedValue, Base.FocalLength + 1),
        Base.UserComment,
        *range(Base.SubsecTime, Base.SubsecTimeDigitized + 1),
        *range(Base.AmbientTemperature, Base.CameraElevationAngle + 1),
        Base.FlashEnergy,
        *range(Base.FocalPlaneXResolution, Base.FocalPlaneResolutionUnit + 1),
        *(Base.ExposureIndex, Base.SensingMethod, Base.FileSource, Base.SceneType),
        *range(Base.CustomRendered, Base.Sharpness + 1),
        Base.SubjectDistanceRange,
        *range(Base.CameraOwnerName, 42045),  # numbers, the lens, title, photographer, editor
    )
)
PLACE_TAGS = frozenset(range(32))  # all of GPS
LARGEST_DPI = 65_535  # that a JPEG holds


def kept_exif(image: Image.Image, at: int | None = None) -> bytes | None:
    """Return the EXIF that stays true for a stylised version, as a block; none if there is none.

    Date, camera, place, title, author and rights stay, byte for byte. Damaged tags are left out.

    Args:
        image: As it was opened.
        at: Of a TIFF, which is EXIF itself: where in the file its first directory begins.
    """
    try:
        found = image.getexif()
        file, big = found.fp, found.bigtiff
        order: Order = "<" if found.endian == "<" else ">"
        if at is None:
            at = int(struct.unpack_from(f"{order}L", found.head, 4)[0])
    except (AttributeError, *DAMAGED_EXIF):  # the attributes are only there where EXIF is
        return None
    main = read_directory(file, at, order, PICTURE_TAGS.union(POINTERS), big)
    camera, place = (number(main.pop(tag, None), order) for tag in POINTERS)
    exif = Exif(
        order,
        main,
        read_directory(file, camera, order, CAMERA_TAGS, big),
        read_directory(file, place, order, PLACE_TAGS, big),
    )
    return None if exif.is_empty else exif.tobytes()


def fitting_exif(block: bytes, most: int) -> bytes | None:
    """Return EXIF of at most so many bytes, the largest tags left out; none if all are."""
    exif = read_block(block)
    while len(block) > most and not exif.is_empty:
        directories = (exif.main, exif.camera, exif.place)
        sizes = ((len(d[tag].data), n, tag) for n, d in enumerate(directories) for tag in d)
        _, largest, tag = max(sizes)
        del directories[largest][tag]
        block = exif.tobytes()
    return None if exif.is_empty else block


def kept_dpi(image: Image.Image) -> float | None:
    """Return how many pixels an inch in print has, if a file says so and alike for both sides."""
    try:
        across, down = map(float, image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    # For a TIFF without a resolution Pillow gives 1.
    return across if across == down and 1 < across <= LARGEST_DPI else None


def srgb_profile() -> bytes:
    """Return an ICC profile of sRGB, the same bytes at any time."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    dated = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # bytes 24 to 35 are when it was made
    return profile[:24] + dated + profile[36:]

"""Which picture files can be read and written, and what each type holds."""

from __future__ import annotations

from PIL import features

from fast_style.images import heif

# By the extensions of files.
JPEG = (".jpg", ".jpeg")
TIFF = (".tif", ".tiff")
HEIF = (".heic", ".heif")
READABLE = (*JPEG, ".png", ".webp", ".bmp", ".gif", *TIFF, ".avif", ".ppm", *HEIF)
WRITABLE: tuple[str, ...] = (".png", *JPEG, ".webp", *TIFF, ".gif")
if features.check("avif"):  # not in every build of Pillow
    WRITABLE += (".avif",)
if heif.is_available():
    WRITABLE += HEIF
DEEP = (".png", *TIFF)  # that can hold 16 bits
PRINTED = (".png", *JPEG, *TIFF)  # that hold a size in print
ANIMATED = (".gif", ".webp", ".png", ".avif")  # that can hold an animation
LARGEST_SIDE = {".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383, ".gif": 65_535}  # px
JPEG_EXIF = 65_533  # bytes of EXIF that a JPEG holds

# By Pillow's names. Pillow takes a file by what is in it, whatever its name: no other of its
# formats may be reached, least of all EPS, a program that it has Ghostscript run. TIFF and HEIF
# have ways of their own in ``images/reading.py``.
PILLOW_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "AVIF")
MOVING = ("GIF", "WEBP", "PNG", "AVIF")  # of animations; elsewhere further pictures are pages
BOXED = ("AVIF", "HEIF")  # that say in boxes what their colours are

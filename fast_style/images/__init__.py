"""Pictures in memory, read and written: colour, transparency, 16 bits, EXIF, HEIF.

Alone knows Pillow and libvips; must not know what is done to a picture.
"""

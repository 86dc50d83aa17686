"""Pictures in memory, read and written: colour, transparency, 16 bits, EXIF, HEIF.

Files are read and written by Pillow and libvips here alone. How a picture is painted is not known
here.
"""

"""Networks and their layers, VGG16, losses, palettes, and the files that hold a style.

Must not know how they are trained, nor of files of pictures.
"""

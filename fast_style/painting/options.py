"""What may be chosen when painting, and its defaults: without torch, for help texts that are quick.

``Controls`` says what they mean.
"""

from __future__ import annotations

PRESERVE_COLOR = ("luminance", "match")  # how a photograph's colours are kept
# Levels of 255. A network makes its strokes out of what it sees: of a plain area it makes a plain
# one, and its strokes end where a night sky's own noise does. 2 levels were enough for night
# skies, dark stages and white pages. What is grained is in whole levels, whatever kind of picture
# it comes from: the same values are the same picture. Less than 0.3 is lost in the rounding.
GRAIN = 2.0
PALETTE = 1.0  # the share of ``stylize`` and ``Style``; see models/palette.py
STEADY = 0.7  # the share of ``stylize``
SHEET_SIZE = 512  # px, longer side of a picture on a sheet

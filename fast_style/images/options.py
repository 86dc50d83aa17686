"""What may be chosen when pictures are written, and its defaults.

Loads neither Pillow nor torch, so that help texts are quick.
"""

from __future__ import annotations

# Of JPEG, WebP, AVIF, HEIF and, in a scale of its own, video; 1 to HIGHEST_QUALITY.
DEFAULT_QUALITY = 95  # as the field's best tools write
HIGHEST_QUALITY = 100

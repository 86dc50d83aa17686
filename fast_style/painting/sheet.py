"""Labelled sheets of pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from fast_style.images.picture import to_pil
from fast_style.images.reading import from_pil

GAP = 8  # px of white between pictures
FONT_PX = 16  # height of the letters
INK, PAPER = (30, 30, 30), (255, 255, 255)


def sheet(
    rows: Sequence[Sequence[Tensor | None]],
    column_labels: Sequence[str] = (),
    row_labels: Sequence[str] = (),
    font_px: int = FONT_PX,
) -> Tensor:
    """Return pictures laid out in rows and columns on white, each in the middle of its cell.

    Args:
        rows: Pictures ``(1, 3, H, W)``, uint8 or float in [0, 1], of any sizes; none leaves its
            cell empty.
        column_labels: Above the columns; none, or one for each.
        row_labels: Left of the rows, in one line or more; none, or one for each.
        font_px: Height of the letters.

    Returns:
        ``(1, 3, H, W)``, uint8.

    Raises:
        ValueError: No picture, rows of different lengths, or not one label for each.
    """
    columns = len(rows[0]) if rows else 0
    if not columns or any(len(row) != columns for row in rows):
        lengths = [len(row) for row in rows]
        raise ValueError(f"expected rows of one length, at least 1, found lengths {lengths}")
    for labels, count in ((column_labels, columns), (row_labels, len(rows))):
        if labels and len(labels) != count:
            raise ValueError(f"expected {count} labels, found {len(labels)}")
    font = ImageFont.load_default(font_px)
    text = font_px + GAP  # px that a line of letters takes
    widths = [max(_size(row[c])[0] for row in rows) for c in range(columns)]
    heights = [max(_size(picture)[1] for picture in row) for row in rows]
    lines = [line for label in row_labels for line in label.splitlines()]
    left = max((round(font.getlength(line)) + 2 * GAP for line in lines), default=0)
    top = text if column_labels else 0
    canvas = Image.new(
        "RGB",
        (left + sum(widths) + GAP * (columns - 1), top + sum(heights) + GAP * (len(rows) - 1)),
        PAPER,
    )
    draw = ImageDraw.Draw(canvas)
    x = left
    for c, width in enumerate(widths):
        if column_labels:
            draw.text((x + width / 2, GAP / 2), column_labels[c], INK, font, anchor="ma")
        y = top
        for row, height in zip(rows, heights, strict=True):
            if (picture := row[c]) is not None:
                w, h = _size(picture)
                canvas.paste(to_pil(picture), (x + (width - w) // 2, y + (height - h) // 2))
            y += height + GAP
        x += width + GAP
    y = top
    for label, height in zip(row_labels, heights, strict=False):
        draw.multiline_text((GAP, y + height / 2), label, INK, font, anchor="lm")
        y += height + GAP
    return from_pil(canvas).levels


def grid(pictures: Sequence[Tensor], labels: Sequence[str], font_px: int = FONT_PX) -> Tensor:
    """Return pictures in several rows, about as many as columns, each under its label.

    Args:
        pictures: ``(1, 3, H, W)``, uint8 or float in [0, 1], at least one.
        labels: One for each.
        font_px: Height of the letters.

    Raises:
        ValueError: As ``sheet``.
    """
    columns = math.ceil(math.sqrt(len(pictures)))
    starts = range(0, len(pictures), columns)
    rows = [
        sheet([pictures[i : i + columns]], labels[i : i + columns], font_px=font_px) for i in starts
    ]
    return sheet([[row] for row in rows])


def _size(picture: Tensor | None) -> tuple[int, int]:
    return (0, 0) if picture is None else (picture.shape[-1], picture.shape[-2])

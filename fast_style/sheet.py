"""The command ``fast-style sheet photo.jpg``: a photograph in every style, on one picture."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from fast_style import stylize
from fast_style.cli.console import say, usable_streams
from fast_style.cli.stylize_options import parse

PROGRAM = "sheet"
NAME = "{stem}_sheet.jpg"  # beside the first photograph


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 1 if some pictures failed, 2 for wrong use, or 130."""
    closed = usable_streams()
    given = sys.argv[1:] if argv is None else argv
    try:
        options = parse(given, PROGRAM)
    except ValueError as error:
        say(PROGRAM, error)
        return 2
    if not options.names and not options.list:
        say(PROGRAM, "no photograph: name files or folders")
        return 2
    if options.sheet is None:
        options.sheet, options.output = options.output, None
    if options.sheet is None and options.names:
        first = Path(options.names[0])
        options.sheet = first.with_name(NAME.format(stem=first.stem or first.name))
    if options.sheet is not None and options.sheet.is_dir():
        options.sheet /= NAME.format(stem=Path(options.names[0]).stem)
    return stylize.run(options, closed)


if __name__ == "__main__":
    sys.exit(main())

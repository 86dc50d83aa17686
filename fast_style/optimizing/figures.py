"""The figures of ``evaluate`` in their file: saved after each photograph, and gone on with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fast_style.system.atomic import exists, write_atomically

RECORDS = "records"  # the file's key for what was measured; the others are the settings


class Square(NamedTuple):
    """A photograph at one size: what one record is about."""

    size: int  # px, of its sides
    photograph: str  # its path in the folder of photographs
    sha256: str  # of the photograph's file


class Figures:
    """What was measured, in a JSON file.

    Args:
        path: Of the file.
        settings: Plain data: all that the figures depend on but for the photographs.
        squares: What is to be measured, in order.
        earlier: What the file holds already, as ``read_figures`` returns it; or none.

    Attributes:
        goes_on: Whether the file is that of an earlier run, with which this one goes on.

    Raises:
        ValueError: ``earlier`` was made with other settings, or of other photographs.
    """

    def __init__(
        self,
        path: Path,
        settings: dict[str, Any],
        squares: Sequence[Square],
        earlier: dict[str, Any] | None = None,
    ) -> None:
        self.path = path
        self.settings: dict[str, Any] = json.loads(json.dumps(settings))  # as they are read again
        self.squares = list(squares)
        self.goes_on = earlier is not None
        self._records: dict[Square, dict[str, Any]] = {}
        if earlier is not None:
            self._take(earlier)

    def _take(self, earlier: dict[str, Any]) -> None:
        """Take over what an earlier run measured, if this one goes on with it."""
        keys = [*self.settings, *(key for key in earlier if key not in self.settings)]
        other = [
            key for key in keys if key != RECORDS and earlier.get(key) != self.settings.get(key)
        ]
        if other:
            raise ValueError(
                f"{self.path} was measured with other {', '.join(other).replace('_', ' ')}; give "
                "another file as -o, or --overwrite replaces it"
            )
        for record in earlier[RECORDS]:
            square = Square(*(record[field] for field in Square._fields))
            if square not in self.squares:
                raise ValueError(
                    f"{self.path} holds {square.photograph} at {square.size} px, which is not "
                    "asked for now, or is another picture by now; give another file as -o, or "
                    "--overwrite replaces it"
                )
            self._records[square] = record

    def records(self, size: int | None = None) -> list[dict[str, Any]]:
        """Return what is measured, of all sizes or of one, in order."""
        measured = [square for square in self.squares if square in self._records]
        return [self._records[one] for one in measured if size in (None, one.size)]

    def todo(self) -> list[Square]:
        """Return what is not measured yet, in order."""
        return [square for square in self.squares if square not in self._records]

    def add(self, square: Square, record: dict[str, Any]) -> None:
        """Keep what was measured of ``square``."""
        self._records[square] = square._asdict() | record

    def save(self, replace: bool) -> None:
        """Write all that is measured; the file is never half written.

        Raises:
            OSError: As ``write_atomically``.
        """
        with write_atomically(self.path, replace) as temporary:
            text = json.dumps({**self.settings, RECORDS: self.records()}, indent=1)
            temporary.write_text(text, encoding="utf-8")


def read_figures(path: Path) -> dict[str, Any] | None:
    """Return what an earlier run of ``evaluate`` has written; none if there is no file.

    Raises:
        ValueError: Another file has this name.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if all(set(Square._fields) <= record.keys() for record in found[RECORDS]):
            return dict(found)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        pass  # said below
    raise ValueError(f"{exists(path)}: it holds no figures that can be gone on with")

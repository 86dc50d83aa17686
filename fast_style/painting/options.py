"""What may be chosen when painting: the name, default, range and help text of each control.

The options of ``stylize`` and ``sheet``, the defaults of Python's keywords and ``Controls.check``
follow from ``CONTROLS``. What a control does to a picture stands in controls.py. Loads no torch, so
that help texts are quick.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from argparse import ArgumentTypeError
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from fast_style.images.limits import SMALLEST_SIDE

AUTO = "auto"  # strokes that fit the picture
PRESERVE_COLOR = ("luminance", "match")  # how a photograph's colours are kept
# Levels of 255. A network makes its strokes out of what it sees: of a plain area it makes a plain
# one, and its strokes end where a night sky's own noise does. 2 levels were enough for night
# skies, dark stages and white pages. What is grained is in whole levels, whatever kind of picture
# it comes from: the same values are the same picture. Less than 0.3 is lost in the rounding.
GRAIN = 2.0
PALETTE = 1.0  # the share of ``stylize`` and ``Style``; see models/palette.py
STEADY = 0.7  # the share of ``stylize``
SHEET_SIZE = 512  # px, longer side of a picture on a sheet


def number_or_auto(text: str) -> float | str:
    """Return what was typed as a number, or ``auto``.

    Raises:
        ArgumentTypeError: It is neither; for the parser of a command line.
    """
    try:
        return AUTO if text == AUTO else float(text)
    except ValueError:
        raise ArgumentTypeError(f"it is a number or {AUTO}, found {text!r}") from None


@dataclass(frozen=True, kw_only=True)
class Control(ABC):
    """A control, as commands and Python know it."""

    name: str  # Python's keyword
    metavar: str  # stands for its value in the help text
    help: str  # of the option; the default is added
    default: Any = None  # of the commands and of Python's functions
    kind: Callable[[str], Any] = float  # makes its value of what was typed

    @property
    def option(self) -> str:
        """The command line's name for it."""
        return f"--{self.name.replace('_', '-')}"

    @abstractmethod
    def check(self, value: Any) -> None:
        """Check a value.

        Raises:
            ValueError: It is none of this control's.
        """


@dataclass(frozen=True, kw_only=True)
class Number(Control):
    """A number from ``lowest`` to ``highest``."""

    lowest: float
    highest: float

    def check(self, value: Any) -> None:
        """Check a value; what is not a number of the range raises a ValueError."""
        if not self.lowest <= value <= self.highest:
            raise ValueError(
                f"{self.name} must be {self.lowest:g} to {self.highest:g}, found {value}"
            )


@dataclass(frozen=True, kw_only=True)
class NumberOrAuto(Number):
    """A number from ``lowest`` to ``highest``, or ``auto``."""

    kind: Callable[[str], Any] = number_or_auto

    def check(self, value: Any) -> None:
        """Check a value; what is neither ``auto`` nor in the range raises a ValueError."""
        if value == AUTO:
            return
        if isinstance(value, str):
            raise ValueError(f"{self.name} is a number or {AUTO}, found {value!r}")
        super().check(value)


@dataclass(frozen=True, kw_only=True)
class Pixels(Control):
    """A whole number of pixels, or none."""

    lowest: int
    kind: Callable[[str], Any] = int

    def check(self, value: Any) -> None:
        """Check a value; what is too small, or not whole, raises a ValueError."""
        if value is not None and not (isinstance(value, Integral) and int(value) >= self.lowest):
            raise ValueError(
                f"{self.name} must be a whole number, at least {self.lowest} px, found {value!r}"
            )


@dataclass(frozen=True, kw_only=True)
class Choice(Control):
    """One of several words, or none. The option alone stands for the first."""

    choices: tuple[str, ...]
    kind: Callable[[str], Any] = str

    def check(self, value: Any) -> None:
        """Check a value; another word raises a ValueError."""
        if value not in (None, *self.choices):
            raise ValueError(f"{self.name} is {' or '.join(self.choices)}, found {value!r}")


CONTROLS: tuple[Control, ...] = (
    Pixels(
        name="size",
        lowest=SMALLEST_SIDE,
        metavar="PX",
        help="longer side of the result (own)",
    ),
    NumberOrAuto(
        name="stroke",
        default=AUTO,
        lowest=0.1,
        highest=10.0,
        metavar="F",
        help="strokes so many times as large as the network's own; auto: in a picture of more than "
        "1,280 px they grow with it",
    ),
    Number(
        name="strength",
        default=1.0,
        lowest=0.0,
        highest=1.0,
        metavar="S",
        help="0, the photograph, to 1",
    ),
    Number(
        name="grain",
        default=GRAIN,
        lowest=0.0,
        highest=64.0,
        metavar="LEVELS",
        help="deviation of noise on the photograph, levels of 255, by which plain areas are "
        "painted too; 0 for none",
    ),
    Number(
        name="palette",
        default=PALETTE,
        lowest=0.0,
        highest=1.0,
        metavar="S",
        help="how far light, dark and hues on the large scale are brought to the painting's own, "
        "from 0, the network alone, to 1",
    ),
    Choice(
        name="preserve_color",
        choices=PRESERVE_COLOR,
        metavar=PRESERVE_COLOR[1],
        help="keep the photograph's colours: paint the luminance only, or match their mean and "
        "covariance",
    ),
)

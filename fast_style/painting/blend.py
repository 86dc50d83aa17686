"""Several styles as one: the mean of what they paint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from fast_style.images.picture import Picture
from fast_style.painting.any_style import AnyStyle
from fast_style.painting.controls import DEFAULT_JOB, PaintJob, check_weights, mean_picture
from fast_style.painting.style import Style, load

if TYPE_CHECKING:
    from fast_style.painting.painter import Painter

StyleOrName = TypeVar("StyleOrName", bound="str | Path | Style")


class Blend(AnyStyle):
    """Paints the mean of what several styles paint; used as a ``Style`` is.

    Args:
        parts: The styles and their weights, 0 or more; the weights need not add up to 1.

    Raises:
        ValueError: There is no style, or a weight is negative or not finite, or all are 0.
    """

    def __init__(self, parts: Sequence[tuple[Style, float]]) -> None:
        if not parts:
            raise ValueError("a blend needs a style, or more; found none")
        check_weights([weight for _, weight in parts])
        self.parts = list(parts)

    def stylize(self, picture: Picture, job: PaintJob = DEFAULT_JOB) -> Picture:
        """Return the mean of a picture in all styles, by their weights; all controls are each's.

        Args:
            picture: As read from a file.
            job: How to paint it. Its progress is told of each style: as many times 1 as there are.

        Raises:
            ValueError: As ``Style.stylize``.
        """
        return mean_picture([(style.stylize(picture, job), weight) for style, weight in self.parts])

    def painter(self, job: PaintJob, strip: bool = False, steady: float = 0.0) -> Painter:
        """Return what paints files in this blend; arguments as ``Style.painter``'s."""
        from fast_style.painting.painter import Painter

        styles = {str(number): style for number, (style, _) in enumerate(self.parts)}
        weights = dict(zip(styles, (weight for _, weight in self.parts), strict=True))
        return Painter(styles, weights, job, strip, steady)

    def __repr__(self) -> str:
        """Name the styles and their weights."""
        parts = ", ".join(f"{style.name!r}: {weight:g}" for style, weight in self.parts)
        return f"Blend({{{parts}}})"


def blend(
    weights: Mapping[StyleOrName, float],
    device: str = "auto",
    precision: str = "auto",
    backend: str = "auto",
) -> Blend:
    """Return several styles as one, which is used as one: ``blend({"starry": 0.7, "ink": 0.3})``.

    Args:
        weights: For each style how much of it, 0 or more. A style is a name or a path, as ``load``
            takes it, or one that ``load`` has returned.
        device: As ``load``'s, of those that are named.
        precision: Likewise.
        backend: Likewise.

    Raises:
        ModelFileError: As ``load``.
        ValueError: As ``load``; or there is no style, or a weight is negative or not finite, or
            all are 0.
    """
    if weights:
        check_weights(weights.values())
    return Blend(
        [
            (one if isinstance(one, Style) else load(one, device, precision, backend), weight)
            for one, weight in weights.items()
        ]
    )

"""What the figures of a finished training mean, in words, and what to do next.

All thresholds stand here. They come from the released styles: the networks alone, on the twelve
held-back sample photographs and on twelve of COCO's at 256 px (docs/reference/styles.md,
docs/research/own_styles.md). On the sample photographs mosaic and geometric were not measured, nor
the small glass.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fast_style.system.messages import command
from fast_style.system.shell import shell_path

# Style errors over four layers. The released styles have 0.19 to 0.52 on COCO's photographs and up
# to 0.58 on the sample ones; networks above 0.6 paint photographs with a tint. Full networks have
# at most 0.39 on COCO's.
WEAK_STYLE = 0.6
RELEASED_STYLE = 0.4
LAYERS = 4
# The content error depends on the photographs: on the sample ones it is 2.1 to 2.9 times that on
# COCO's, for all styles measured. So it is divided by that of one released network on the same
# photographs. In this measure the full networks have 0.8 to 2.2, and the small ones at most 2.4.
YARDSTICK = "starry-slim"
RELEASED_CONTENT = 2.2
LOST_CONTENT = 3.0
# The validation loss still falls if it fell by this share in the last third of the steps. From 900
# steps to 2,300 woodblock's loss fell by 11 %, from 3,600 to 7,500 by 6 %.
FALLING = 0.05
LAST_SHARE = 1 / 3
LONGER = 2  # times the steps: what a longer training is proposed to have
ENOUGH_STEPS = 300  # before, colours and strokes still come, whatever the losses say: the default
STRONGER = 2  # times the style weight: what more style is proposed to have

WEAK, GOOD, RELEASED, UNJUDGED = "weak", "good", "as the released styles", "not judged"


class Figures(NamedTuple):
    """Means over the held-back photographs."""

    style_error: float
    content_error: float
    photographs: int
    size: int  # px, side of their crops

    def header(self) -> dict[str, Any]:
        """Return them as a style file holds them: plain numbers, four digits."""
        return {
            name: float(f"{value:.4g}") if isinstance(value, float) else value
            for name, value in self._asdict().items()
        }


class Verdict(NamedTuple):
    """What a person is told."""

    word: str  # one of WEAK, GOOD, RELEASED, UNJUDGED
    why: str
    cure: str | None  # longer | more style | less style


def fall(validations: Sequence[tuple[int, float]]) -> float | None:
    """Return the share by which the validation loss fell in the last third of the steps.

    Args:
        validations: Steps done and loss, in their order.

    Returns:
        Negative if it rose; none if there are not two validations to compare.
    """
    if len(validations) < 2:
        return None
    step, last = validations[-1]
    earlier = [loss for at, loss in validations if at <= step * (1 - LAST_SHARE)]
    before = earlier[-1] if earlier else validations[0][1]
    return 1 - last / before if before > 0 else None


def judge(
    figures: Figures,
    steps: int,
    yardstick: float | None,
    loss: dict[str, Any],
    fell: float | None,
) -> Verdict:
    """Judge a trained network.

    Args:
        figures: What it reached.
        steps: How many were trained.
        yardstick: The content error of ``YARDSTICK`` on the same photographs, by the same loss;
            none if it is not known.
        loss: The section of the configuration.
        fell: As ``fall`` returns it.
    """
    trend = ""
    if is_falling := fell is not None and fell > FALLING:
        trend = f"; the validation loss still falls ({fell:.0%} in the last third)"
    longer = "longer" if is_falling or fell is None or steps < ENOUGH_STEPS else None
    layers = len(loss["style_layers"])
    if loss["normalization"] != "relative" or not layers:
        why = "only relative errors of style layers have a known scale"
        return Verdict(UNJUDGED, why + trend, longer)
    style = figures.style_error * LAYERS / layers
    content = figures.content_error / yardstick if yardstick else 0.0
    said = f"style error {figures.style_error:.2g}"
    if content > LOST_CONTENT:
        why = f"the scene is hard to tell: its error is {content:.1f} times that of {YARDSTICK}"
        return Verdict(WEAK, why + trend, longer or "less style")
    if style > WEAK_STYLE:
        why = f"little of the painting: {said}, the released styles have less than {WEAK_STYLE}"
        return Verdict(WEAK, why + trend, longer or "more style")
    if style <= RELEASED_STYLE and content <= RELEASED_CONTENT and not is_falling:
        why = f"{said}, theirs are 0.2 to {WEAK_STYLE}, and the scene is kept as well"
        return Verdict(RELEASED, why, None)
    why = f"{said}, at most {RELEASED_STYLE} would be as the best released styles"
    if style <= RELEASED_STYLE:
        why = f"{said}, as released styles have"
    return Verdict(GOOD, why + trend, "longer")


def advice(verdict: Verdict, folder: Path, model: Path, steps: int, style_weight: float) -> str:
    """Return what to do next, as a person would type it.

    Args:
        verdict: On the training.
        folder: The run's.
        model: Its style model.
        steps: How many were trained.
        style_weight: Of the loss.
    """
    if verdict.cure == "longer":
        more = max(LONGER * steps, ENOUGH_STEPS)
        return f"{command('resume')} {shell_path(folder)} trainer.max_steps={more}"
    if verdict.cure == "more style":
        weight = f"loss.style_weight={STRONGER * style_weight:g}"
        return f"more style: train again with {weight} init_from={shell_path(model)}"
    if verdict.cure == "less style":
        return f"less style: train again with loss.style_weight={style_weight / STRONGER:g}"
    return "paint with it; more photographs and more steps make it calmer still"

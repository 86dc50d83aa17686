"""What ``evaluate`` measured, as a table and a plot."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from fast_style.models.loss_terms import further_terms
from fast_style.optimizing.figures import RECORDS
from fast_style.system.atomic import write_atomically

STARTS = {"noise": "tab:blue", "content": "tab:orange"}  # of the optimiser, and their colours
MARKS = (1, 2, 5, 10, 20, 50, 100, 200, 500)  # evaluations that the table shows
TICKS = (1, 2, 5)  # of each power of ten: the numbers on the plot's axes
PLOT_KEY = "fast_style"  # of the mark in the plot's PNG
LABEL = 48  # letters of a label in the table


class TableColumn(NamedTuple):
    """A part of the loss in the table."""

    title: str
    scalar: str  # of LossTerms.scalars()
    digits: int = 4
    width: int = 9  # letters


PARTS = (
    TableColumn("content", "content_loss"),
    TableColumn("style", "style_loss"),
    TableColumn("total variation", "total_variation_loss", 3, 17),
    TableColumn("grid", "grid_loss", 3),
)
TOTAL = TableColumn("total", "loss")


def spread(counts: Sequence[int | None], most: int) -> str:
    """Return mean, deviation and range of equivalent iterations as text.

    A photograph on which the optimiser was never as good counts as ``most``: then the mean is a
    bound, and there is no deviation.
    """
    known = [most if count is None else count for count in counts]
    mean = f"{statistics.mean(known):.0f}"
    if len(known) == 1:
        return mean
    if None in counts:
        return f"over {mean} ({min(known)} to over {most})"
    return f"{mean} +- {statistics.stdev(known):.0f} ({min(known)} to {max(known)})"


def verdict(model: str, start: str, records: Sequence[dict[str, Any]], most: int) -> str:
    """Return what one pass of a model is worth, in one line.

    Args:
        model: Its name in the records.
        start: Of the optimiser.
        records: Of one size.
        most: Evaluations that the optimiser was given.
    """
    pairs = [(record["networks"][model], record["optimizer"][start]) for record in records]
    counts = [network["equivalent_iterations"][start] for network, _ in pairs]
    ratios = [
        run["elapsed_s"][-1 if reached is None else reached - 1] / network["seconds"]
        for reached, (network, run) in zip(counts, pairs, strict=True)
    ]
    faster = f"{'over ' * (None in counts)}{statistics.mean(ratios):.0f} times faster"
    missed = counts.count(None)
    within = f"not reached within {most} evaluations"
    if missed == len(counts):
        return f"{model}: {within} from {start}, {faster}"
    plural = "" if counts == [1] else "s"
    worth = f"{model} = {spread(counts, most)} evaluation{plural} from {start}, {faster}"
    return f"{worth}; {within} on {missed} of {len(counts)}" if missed else worth


def summarize(records: Sequence[dict[str, Any]], models: Sequence[str], evaluations: int) -> str:
    """Return the table of one size as text, from the records of its photographs."""
    size, count = records[0]["size"], len(records)
    head = f"{size} x {size} px, {count} photograph{'s' * (count > 1)}"
    columns = _columns(records[0]["unstylised"])
    titles = "".join(f"{column.title:>{column.width}}" for column in columns)
    lines = [f"{head:{LABEL}} {titles}{'seconds':>10}"]

    def line(label: str, scalars: Sequence[dict[str, float]], seconds: float | None) -> None:
        means = [statistics.mean(one[column.scalar] for one in scalars) for column in columns]
        values = "".join(
            f"{mean:{column.width}.{column.digits}g}"
            for column, mean in zip(columns, means, strict=True)
        )
        time_s = "" if seconds is None else f"{seconds:10.3g}"
        lines.append(f"{label[-LABEL:]:{LABEL}} {values}{time_s}")

    line("the photograph itself", [r["unstylised"] for r in records], None)
    for model in models:
        networks = [r["networks"][model] for r in records]
        seconds = statistics.mean(n["seconds"] for n in networks)
        line(model, [n["scalars"] for n in networks], seconds)
        line(f"{model}, the network alone", [n["alone"] for n in networks], None)
    starts = records[0]["optimizer"]
    for start in starts:
        runs = [r["optimizer"][start] for r in records]
        for mark in MARKS:
            if all(str(mark) in run["at"] for run in runs):
                seconds = statistics.mean(run["elapsed_s"][mark - 1] for run in runs)
                plural = "s" * (mark > 1)
                label = f"L-BFGS from {start}, {mark} evaluation{plural}"
                line(label, [run["at"][str(mark)] for run in runs], seconds)
    for model in models:
        for start in starts:
            lines.append(verdict(model, start, records, evaluations))
    return "\n".join(lines)


def _columns(scalars: Iterable[str]) -> list[TableColumn]:
    """Return the table's columns for what was measured."""
    names = further_terms(scalars)
    further = [TableColumn(name, f"{name}_loss", width=max(9, len(name) + 2)) for name in names]
    return [*PARTS, *further, TOTAL]


def plot(
    records: Sequence[dict[str, Any]],
    models: Sequence[str],
    path: Path,
    settings: Mapping[str, Any],
    replace: bool = True,
) -> None:
    """Draw the optimiser's curves and the networks' losses, a panel for each size.

    Args:
        records: What was measured.
        models: Their names in the records.
        path: The picture to write.
        settings: With which it was measured: the picture carries their mark for ``is_plot_of``.
        replace: Whether a file that is there is replaced.

    Raises:
        ImportError: matplotlib is not installed.
        OSError: As ``write_atomically``.

    Source: Johnson et al. 2016, figure 5, for the layout.
    """
    figure = draw(records, models)
    with write_atomically(path, replace) as temporary:
        figure.savefig(temporary, dpi=100, metadata={PLOT_KEY: _mark(settings)})


def draw(records: Sequence[dict[str, Any]], models: Sequence[str]) -> Any:
    """Return matplotlib's figure of ``plot``.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sizes = sorted({record["size"] for record in records})
    figure = Figure(figsize=(4.6 * len(sizes), 4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(sizes), squeeze=False)[0]
    for panel, size in zip(panels, sizes, strict=True):
        _draw(panel, [record for record in records if record["size"] == size], models)
    panels[0].legend(fontsize=8)
    return figure


def _draw(panel: Any, records: Sequence[dict[str, Any]], models: Sequence[str]) -> None:
    """Draw the records of one size into matplotlib's axes."""
    for start in records[0]["optimizer"]:
        color = STARTS[start]
        curves = [record["optimizer"][start]["best_loss"] for record in records]
        length = min(map(len, curves))
        steps = range(1, length + 1)
        at_step = list(zip(*(curve[:length] for curve in curves), strict=True))
        means = [statistics.mean(values) for values in at_step]
        panel.plot(steps, means, color=color, label=f"L-BFGS from {start}")
        panel.fill_between(
            steps, [min(v) for v in at_step], [max(v) for v in at_step], color=color, alpha=0.15
        )
    for index, model in enumerate(models):
        level = statistics.mean(r["networks"][model]["scalars"]["loss"] for r in records)
        panel.axhline(level, ls="--", color=f"C{index + 2}", label=model)
    level = statistics.mean(record["unstylised"]["loss"] for record in records)
    panel.axhline(level, ls=":", color="gray", label="the photograph itself")
    size, count = records[0]["size"], len(records)
    panel.set(xscale="log", yscale="log")
    panel.set(title=f"{size} x {size} px, {count} photograph{'s' * (count > 1)}")
    panel.set(xlabel="evaluations of the loss", ylabel="loss")
    panel.grid(alpha=0.3, which="both")
    for axis in (panel.xaxis, panel.yaxis):
        _number_plainly(axis)


def _number_plainly(axis: Any) -> None:
    """Give a logarithmic axis numbers as people write them: 5, 10, 20."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.set_major_locator(LogLocator(subs=TICKS))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def is_plot_of(path: Path, settings: Mapping[str, Any]) -> bool:
    """Whether a file is a plot of figures with these settings, which a newer one may replace."""
    with suppress(OSError, ValueError), Image.open(path, formats=["PNG"]) as picture:
        return bool(picture.info.get(PLOT_KEY) == _mark(settings))
    return False


def _mark(settings: Mapping[str, Any]) -> str:
    """Return a code for settings; for what was measured with them, too."""
    plain = {key: value for key, value in settings.items() if key != RECORDS}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()

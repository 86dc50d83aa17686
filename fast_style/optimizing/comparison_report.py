"""What ``evaluate`` measured, as a table, a plot and a JSON file."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fast_style.models.losses import further_terms
from fast_style.system.atomic import write_atomically

STARTS = {"noise": "tab:blue", "content": "tab:orange"}  # of the optimiser, and their colours
MARKS = (1, 2, 5, 10, 20, 50, 100, 200, 500)  # evaluations that the table shows
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

    A photograph on which the optimiser was never as good counts as ``most``; the text says so.
    """
    known = [most if count is None else count for count in counts]
    missed = sum(count is None for count in counts)
    deviation = statistics.stdev(known) if len(known) > 1 else 0.0
    text = f"{'over ' * (missed > 0)}{statistics.mean(known):.0f} +- {deviation:.0f}"
    text += f" ({min(known)} to {max(known)})"
    return text + (f", not reached on {missed} of {len(known)}" if missed else "")


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
    starts = records[0]["optimizer"]
    for start in starts:
        runs = [r["optimizer"][start] for r in records]
        for mark in MARKS:
            if all(mark in run["at"] for run in runs):
                seconds = statistics.mean(run["elapsed_s"][mark - 1] for run in runs)
                plural = "s" * (mark > 1)
                label = f"L-BFGS from {start}, {mark} evaluation{plural}"
                line(label, [run["at"][mark] for run in runs], seconds)
    for model in models:
        for start in starts:
            pairs = [(r["networks"][model], r["optimizer"][start]) for r in records]
            counts = [network["equivalent_iterations"][start] for network, _ in pairs]
            ratios = [
                run["elapsed_s"][-1 if reached is None else reached - 1] / network["seconds"]
                for reached, (network, run) in zip(counts, pairs, strict=True)
            ]
            lines.append(
                f"{model} = {spread(counts, evaluations)} evaluations from {start}, "
                f"{'over ' * (None in counts)}{statistics.mean(ratios):.0f} times faster"
            )
    return "\n".join(lines)


def _columns(scalars: Iterable[str]) -> list[TableColumn]:
    """Return the table's columns for what was measured."""
    names = further_terms(scalars)
    further = [TableColumn(name, f"{name}_loss", width=max(9, len(name) + 2)) for name in names]
    return [*PARTS, *further, TOTAL]


def plot(
    records: Sequence[dict[str, Any]], models: Sequence[str], path: Path, replace: bool = True
) -> None:
    """Draw the optimiser's curves and the networks' losses, a panel for each size.

    Raises:
        ImportError: matplotlib is not installed.
        OSError: As ``write_atomically``.

    Source: Johnson et al. 2016, figure 5, for the layout.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sizes = sorted({record["size"] for record in records})
    figure = Figure(figsize=(4.6 * len(sizes), 4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(sizes), squeeze=False)[0]
    for panel, size in zip(panels, sizes, strict=True):
        own = [record for record in records if record["size"] == size]
        for start in own[0]["optimizer"]:
            color = STARTS[start]
            curves = [record["optimizer"][start]["best_loss"] for record in own]
            length = min(map(len, curves))
            steps = range(1, length + 1)
            at_step = list(zip(*(curve[:length] for curve in curves), strict=True))
            means = [statistics.mean(values) for values in at_step]
            panel.plot(steps, means, color=color, label=f"L-BFGS from {start}")
            panel.fill_between(
                steps, [min(v) for v in at_step], [max(v) for v in at_step], color=color, alpha=0.15
            )
        for index, model in enumerate(models):
            level = statistics.mean(r["networks"][model]["scalars"]["loss"] for r in own)
            panel.axhline(level, ls="--", color=f"C{index + 2}", label=model)
        level = statistics.mean(record["unstylised"]["loss"] for record in own)
        panel.axhline(level, ls=":", color="gray", label="the photograph itself")
        panel.set(xscale="log", yscale="log", title=f"{size} x {size} px, {len(own)} photographs")
        panel.set(xlabel="evaluations of the loss", ylabel="loss")
        panel.grid(alpha=0.3, which="both")
    panels[0].legend(fontsize=8)
    with write_atomically(path, replace) as temporary:
        figure.savefig(temporary, dpi=100)


def write_json(
    path: Path,
    judge: dict[str, Any],
    options: argparse.Namespace,
    records: list[dict[str, Any]],
    replace: bool = True,
) -> None:
    """Write all figures, and how they were measured, as JSON.

    Raises:
        OSError: As ``write_atomically``.
    """
    style = {"image": judge["image"].name, "size": judge["size"]}
    content = {
        "loss": judge["loss"],
        "style": style,
        "evaluations": options.evaluations,
        "until_reached": options.until_reached,
        "seed": options.seed,
        "records": records,
    }
    with write_atomically(path, replace) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")

"""fast-style info MODEL: what a style model is, how it was made, and what may be done with it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fast_style.cli.command import end
from fast_style.cli.console import show, usable_streams
from fast_style.cli.parser import Parser
from fast_style.system.messages import command
from fast_style.system.resources import about_styles, shipped_styles

PROGRAM = "info"
UNKNOWN = "not said"


def parser() -> argparse.ArgumentParser:
    """Return the command's arguments."""
    result = Parser(
        command(PROGRAM), "Show what a style model is: its painting, recipe, figures and licence."
    )
    result.add_argument(
        "models",
        metavar="MODEL",
        nargs="+",
        help="a released style, a .safetensors style model, or a .ckpt of a training",
    )
    result.add_argument("--json", action="store_true", help="all that the file says, a line each")
    return result


def table(model: str, description: dict[str, Any], parameters: int) -> list[tuple[str, str]]:
    """Return what a person wants to know of a model, as pairs of a name and a text.

    Args:
        model: As it was typed.
        description: What the file says.
        parameters: How many numbers the network has.
    """
    style, network = description.get("style", {}), description["network"]
    about = about_styles().get(model, {}) if model in shipped_styles() else {}
    size = f"{parameters / 1e6:.2f} million parameters"
    rows = [("style", str(style.get("name", UNKNOWN)))]
    if about:
        rows.append(("looks like", about["look"]))
    rows += [
        ("painting", str(style.get("credit") or style.get("image") or UNKNOWN)),
        ("licence", str(description.get("licence") or UNKNOWN)),
        ("network", f"{network['name']}, {size}"),
        ("training", _training(description)),
        ("loss", _loss(description)),
    ]
    if "evaluations" in about:
        rows.append(("quality", f"one pass is worth {about['evaluations']} evaluations of L-BFGS"))
    figures = description.get("figures")
    if isinstance(figures, dict):
        said = ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in figures.items())
        rows.append(("figures", said))
    rows.append(("made by", f"fast_style {description.get('package_version', UNKNOWN)}"))
    return rows


def _training(description: dict[str, Any]) -> str:
    """Say how a model was trained, as far as its file knows."""
    data, trainer = description.get("data", {}), description.get("trainer", {})
    parts = []
    if steps := description.get("steps"):
        parts.append(f"{steps} steps of {data.get('batch_size', '?')} photographs")
    if size := data.get("image_size"):
        parts.append(f"crops of {size} px")
    if precision := trainer.get("precision"):
        parts.append(str(precision))
    if start := description.get("init_from"):
        parts.append(f"from {start}")
    if averaged := description.get("averaged"):
        parts.append(f"the mean of {len(averaged)} models")
    return ", ".join(parts) or UNKNOWN


def _loss(description: dict[str, Any]) -> str:
    """Say what a model was trained on, as far as its file knows."""
    loss = description.get("loss", {})
    if "style_weight" not in loss:
        return UNKNOWN
    layers = f"content {'+'.join(loss['content_layers'])}, style {'+'.join(loss['style_layers'])}"
    return f"{layers}, weights {loss['content_weight']:g} and {loss['style_weight']:g}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    usable_streams()
    options = parser().parse_args(argv)
    return end(PROGRAM, lambda: _show_all(options))


def _show_all(options: argparse.Namespace) -> int:
    from fast_style.models.style_file import load_style_model

    for number, name in enumerate(options.models):
        model = load_style_model(name)
        if options.json:
            show(PROGRAM, json.dumps({"model": name} | model.description))
            continue
        parameters = sum(one.numel() for one in model.network.parameters())
        rows = table(name, model.description, parameters)
        if Path(name).suffix != ".ckpt":
            rows.append(("to use it", f"{command('stylize')} {name} PHOTO.jpg"))
        width = max(len(title) for title, _ in rows)
        if number:
            show(PROGRAM, "")
        for title, text in rows:
            show(PROGRAM, f"{title:<{width}}  {text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

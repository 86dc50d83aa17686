"""Average the weights of style models of one network and painting; half a minute.

    python scripts/average_models.py runs/more/ink.safetensors:0.5,ink:0.5 -o ink.safetensors

A network that was trained on from another lies in the same valley of the loss. Between the two the
loss is often lower than at either, since the noise of both is averaged out (Wortsman et al. 2022,
"Robust fine-tuning of zero-shot models", arXiv:2109.01903). The mean of networks that were trained
apart is useless. The result has the first model's description, which then names all models. Its
palette is measured again.
"""

from __future__ import annotations

import argparse
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from fast_style.cli.stylize_options import blend_weights
from fast_style.images.reading import read_crop, read_style
from fast_style.models.palette import measure_palette
from fast_style.models.style_file import (
    StyleModel,
    find_style_model,
    load_style_model,
    save_style_model,
)
from fast_style.painting.controls import check_weights
from fast_style.system.resources import asset
from fast_style.training.config import style_image
from fast_style.training.photographs import centre_box, find_photographs
from fast_style.training.run import difference

SIZE = 256  # px, of the photographs that the palette is measured on
SAME = ("network", "style")  # sections of the models' descriptions


def average(models: dict[str, StyleModel], weights: dict[str, float]) -> StyleModel:
    """Return the model whose weights are the mean of others', described as the first.

    Raises:
        ValueError: The networks or paintings differ, or the weights can't be used.
    """
    check_weights(weights.values())
    first = next(iter(models.values()))
    for name, model in models.items():
        for section in SAME:
            expected, found = first.description[section], model.description[section]
            if found != expected:
                raise ValueError(f"{name} has another {section} ({difference(expected, found)})")
    total = sum(weights.values())
    states = {name: model.network.state_dict() for name, model in models.items()}
    mean = {
        key: torch.stack([states[name][key] * (weights[name] / total) for name in models]).sum(0)
        for key in first.network.state_dict()
    }
    first.network.load_state_dict(mean)
    parts = [
        {
            "name": Path(name).name,
            "weight": round(weights[name] / total, 4),
            "sha256": sha256(find_style_model(name).read_bytes()).hexdigest(),
        }
        for name in models
    ]
    # What was measured of the first is not true of the mean.
    kept = {name: value for name, value in first.description.items() if name != "figures"}
    return StyleModel(first.network, kept | {"averaged": parts})


def main(arguments: list[str] | None = None) -> int:
    """Write the mean; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("models", metavar="A:0.5,B:0.5", help="models and their weights")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the model to write")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    parser.add_argument(
        "--photos",
        type=Path,
        default=asset("photos") / "val",
        help="folder to measure the palette on (the package's)",
    )
    parser.add_argument("--style", type=Path, help="the painting, if the package lacks it")
    options = parser.parse_args(arguments)
    try:
        if options.output.exists() and not options.overwrite:
            raise ValueError(f"{options.output} exists; --overwrite replaces it")
        weights = blend_weights(options.models)
        network, description = average({n: load_style_model(n) for n in weights}, weights)
        style: dict[str, Any] = description["style"]
        painting = read_style(options.style or style_image(style["image"]), style["size"])
        files = find_photographs(options.photos)
        photographs = torch.stack([read_crop(file, SIZE, centre_box) for file in files])
        palette = measure_palette(network, photographs, painting)
        save_style_model(options.output, network, description | {"palette": palette.header()})
    except (ValueError, OSError) as error:
        print(f"average_models: {error}", file=sys.stderr)
        return 2
    print(options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())

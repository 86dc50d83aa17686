"""The contact sheet at the end of a sweep (Hydra's --multirun): every result on the same pictures.

Named in configs/train.yaml as a callback of Hydra's; works with every launcher, since it only reads
what the runs have left.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, ClassVar

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from fast_style.checkpoint import ModelFileError
from fast_style.image import read_picture
from fast_style.picture import long_side_size, resize
from fast_style.resources import asset
from fast_style.sheet import sheet
from fast_style.style import load
from fast_style.writing import write_picture

log = logging.getLogger(__name__)

SHEET = "contact_sheet.jpg"
PHOTOGRAPHS = ("castle_neuschwanstein.jpg", "two_dogs.jpg", "temple_by_night.jpg", "sunset.jpg")
TILE = 320  # px, longer side
QUALITY = 90


def is_sweep() -> bool:
    """Whether this run is one of several of Hydra's ``--multirun``."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


class ContactSheet(Callback):
    """Writes ``contact_sheet.jpg`` into the sweep's folder when its runs have ended."""

    folder: ClassVar[Path | None] = None  # of the sweep that is under way
    unfinished: ClassVar[list[Path]] = []  # runs of the last sweep, wherever they ran

    def on_multirun_start(self, config: DictConfig, **options: Any) -> None:
        """Remember the folder, for a sweep that is interrupted."""
        ContactSheet.folder = Path(config.hydra.sweep.dir).resolve()

    def on_multirun_end(self, config: DictConfig, **options: Any) -> None:
        """All runs have ended."""
        self.finish()

    @classmethod
    def finish(cls) -> None:
        """Stylise the photographs with every model; a run without one is left out and named."""
        folder, cls.folder = cls.folder, None
        if folder is None:
            return
        cls.unfinished[:] = unfinished(folder)
        for run in cls.unfinished:
            log.warning("no style model in %s", run)
        runs = results(folder)
        if not runs:
            log.warning("no contact sheet: no run in %s has left a style model", folder)
            return
        write_picture(folder / SHEET, contact_sheet(runs), quality=QUALITY)
        log.info("contact sheet of %d: %s", len(runs), folder / SHEET)


def unfinished(folder: Path) -> list[Path]:
    """Return the runs of a sweep that have left no style model."""
    runs = [path.parent.parent for path in folder.glob("*/.hydra/overrides.yaml")]
    return sorted(run for run in runs if not any(run.glob("*.safetensors")))


def results(folder: Path) -> list[tuple[str, Path]]:
    """Return what each run of a sweep changed, as text, and its style model, in their order."""
    runs = []
    for path in folder.glob("*/.hydra/overrides.yaml"):
        run = path.parent.parent
        changes = [str(change) for change in OmegaConf.to_container(OmegaConf.load(path))]  # type: ignore[union-attr]
        models = sorted(run.glob("*.safetensors"))
        if models:
            runs.append((run, changes, models[0]))
    runs.sort(key=lambda one: (len(one[0].name), one[0].name))  # 10 after 9
    shared = set.intersection(*(set(changes) for _, changes, _ in runs)) if len(runs) > 1 else set()
    labels = [
        "\n".join(change for change in changes if change not in shared) or run.name
        for run, changes, _ in runs
    ]
    return [(label, model) for label, (_, _, model) in zip(labels, runs, strict=True)]


def contact_sheet(runs: list[tuple[str, Path]]) -> Tensor:
    """Return a row of photographs, and below it one for each run, ``(1, 3, H, W)`` in [0, 1]."""
    photographs = []
    for name in PHOTOGRAPHS:
        picture = read_picture(asset("photos") / "val" / name).rgb
        photographs.append(resize(picture, *long_side_size(picture, TILE)))
    rows: list[list[Tensor | None]] = [[*photographs]]
    labels = ["photographs"]
    for label, model in runs:
        try:
            style = load(model)
        except ModelFileError as error:
            log.warning("left out: %s", error)
            continue
        with torch.no_grad():
            rows.append([style(photograph) for photograph in photographs])
        labels.append(label)
    return sheet(rows, row_labels=labels)

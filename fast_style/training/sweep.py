"""The contact sheet at the end of a sweep (Hydra's --multirun): every result on the same pictures.

Each run leaves a note in the sweep's folder, from whatever process it runs in. So the sheet works
with every launcher of Hydra's and every ``hydra.sweep.subdir``, and shows no run of an earlier
sweep.
"""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig
from torch import Tensor

from fast_style.images.picture import PictureError, long_side_size, resize
from fast_style.images.reading import read_picture
from fast_style.images.writing import write_picture
from fast_style.models.style_file import ModelFileError
from fast_style.painting.sheet import sheet
from fast_style.painting.style import load
from fast_style.system.atomic import write_atomically
from fast_style.system.messages import printable
from fast_style.system.resources import asset
from fast_style.training.config import style_image

log = logging.getLogger(__name__)

SHEET_NAME = "contact_sheet.jpg"
NOTES = ".runs"  # a folder in the sweep's folder, as long as the sweep goes on
SHEET_PHOTOGRAPHS = (
    "castle_neuschwanstein.jpg",
    "two_dogs.jpg",
    "temple_by_night.jpg",
    "sunset.jpg",
)
TILE_SIDE = 320  # px, longer side of a picture on the sheet
SHEET_QUALITY = 90


def is_sweep() -> bool:
    """Whether this run is one of several of Hydra's ``--multirun``."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


class SweepRun(NamedTuple):
    """What a run of a sweep notes about itself."""

    folder: Path
    changes: list[str]  # the overrides of its command line
    model: Path | None  # its style model; none until it exists
    painting: Path | None  # its painting's file, if that is known


class Row(NamedTuple):
    """What the sheet shows of a run."""

    label: str  # what it changed
    model: Path
    painting: Path | None


class ContactSheet(Callback):
    """Writes ``contact_sheet.jpg`` into the sweep's folder when its runs have ended.

    A callback of Hydra's, named in configs/train.yaml.
    """

    current: ClassVar[ContactSheet | None] = None  # of the command that runs now

    def __init__(self) -> None:
        ContactSheet.current = self
        self.folder: Path | None = None  # of the sweep, while it goes on
        self.unfinished: list[Path] = []  # runs that have ended without a style model

    def on_multirun_start(self, config: DictConfig, **options: Any) -> None:
        """Remember the folder, in case the sweep is interrupted."""
        self.folder = Path(config.hydra.sweep.dir).resolve()
        remove_notes(self.folder)  # of a sweep that was killed

    def on_job_start(self, config: DictConfig, **options: Any) -> None:
        """Note a run, in the process in which it runs."""
        if config.hydra.mode == RunMode.MULTIRUN:
            write_note(config, None)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **options: Any) -> None:
        """Note its style model."""
        done = job_return.status == JobStatus.COMPLETED and job_return.return_value == 0
        if done and config.hydra.mode == RunMode.MULTIRUN:
            folder = Path(config.hydra.runtime.output_dir)
            write_note(config, folder / f"{config.style.name}.safetensors")

    def on_multirun_end(self, config: DictConfig, **options: Any) -> None:
        """Write the sheet: all runs have ended."""
        self.finish()

    @classmethod
    def forget(cls) -> None:
        """Forget the earlier command: another one begins in this process."""
        cls.current = None

    @classmethod
    def end_early(cls) -> None:
        """Show the results so far of a sweep that is interrupted. Do nothing outside of a sweep."""
        if cls.current is not None:
            cls.current.finish()

    @classmethod
    def failed(cls) -> list[Path]:
        """Return the runs of the sweep that have left no style model."""
        return [] if cls.current is None else cls.current.unfinished

    def finish(self) -> None:
        """Stylise the photographs with every model. Name each run that has left none."""
        folder, self.folder = self.folder, None
        if folder is None:
            return
        runs = noted(folder)
        remove_notes(folder)
        for run in runs:
            if run.model is None:
                self.unfinished.append(run.folder)
                log.warning("no style model in %s: %s", run.folder, " ".join(run.changes))
        done = results(runs)
        if not done:
            log.warning("no contact sheet: no run in %s has left a style model", folder)
            return
        try:
            write_picture(folder / SHEET_NAME, contact_sheet(done), quality=SHEET_QUALITY)
        except (OSError, PictureError) as error:
            log.warning("no contact sheet: %s", error)
        else:
            log.info("contact sheet of %d: %s", len(done), folder / SHEET_NAME)


def write_note(config: DictConfig, model: Path | None) -> None:
    """Leave a note about a run in its sweep's folder, for the process that started the sweep.

    Args:
        config: The run's configuration, with Hydra's part.
        model: Its style model, if that exists.
    """
    folder, number = Path(config.hydra.sweep.dir).resolve(), int(config.hydra.job.num)
    note = {
        "folder": str(config.hydra.runtime.output_dir),
        "changes": list(config.hydra.overrides.task),
        "model": model and str(model),
        "painting": model
        and str(Path(config.hydra.runtime.cwd, style_image(str(config.style.image)))),
    }
    try:
        with write_atomically(folder / NOTES / f"{number}.json") as temporary:
            temporary.write_text(json.dumps(note), encoding="ascii")
    except OSError as error:
        log.warning("run %d will not be on the contact sheet: %s", number, error)


def noted(folder: Path) -> list[SweepRun]:
    """Return the runs of the sweep in ``folder``, in their order."""
    notes = sorted((folder / NOTES).glob("*.json"), key=lambda path: int(path.stem))
    runs = []
    for path in notes:
        note = json.loads(path.read_text(encoding="ascii"))
        model, painting = (note[key] and Path(note[key]) for key in ("model", "painting"))
        runs.append(SweepRun(Path(note["folder"]), note["changes"], model, painting))
    return runs


def remove_notes(folder: Path) -> None:
    """Remove the notes of a sweep's runs."""
    for path in (folder / NOTES).glob("*.json"):
        with suppress(OSError):
            path.unlink()
    with suppress(OSError):
        (folder / NOTES).rmdir()


def results(runs: list[SweepRun]) -> list[Row]:
    """Return the finished runs, each with those of its changes that not all runs share."""
    done = [run for run in runs if run.model is not None]
    shared = set.intersection(*(set(run.changes) for run in done)) if len(done) > 1 else set()
    found = []
    for run in done:
        changes = [change for change in run.changes if change not in shared]
        assert run.model is not None
        label = printable("\n".join(changes)) or run.folder.name
        found.append(Row(label, run.model, run.painting))
    return found


def contact_sheet(runs: list[Row]) -> Tensor:
    """Return a row of photographs, and below it one for each run, ``(1, 3, H, W)``, uint8.

    A run's row begins with its painting. Its label says what it changed, and its errors.
    """
    photographs = [tile(asset("photos") / "val" / name) for name in SHEET_PHOTOGRAPHS]
    rows: list[list[Tensor | None]] = [[None, *photographs]]
    labels = ["photographs"]
    for run in runs:
        try:
            style = load(run.model)
        except ModelFileError as error:
            log.warning("left out: %s", error)
            continue
        painting = None
        with suppress(PictureError):  # it has been moved since
            painting = None if run.painting is None else tile(run.painting)
        with torch.no_grad():
            rows.append([painting, *(style(photograph) for photograph in photographs)])
        labels.append("\n".join([run.label, *error_lines(style.description)]))
    return sheet(rows, row_labels=labels)


def tile(path: Path) -> Tensor:
    """Return a picture's file as the sheet shows it, ``(1, 3, H, W)`` in [0, 1].

    Raises:
        PictureError: It can't be read.
    """
    picture = read_picture(path).rgb
    return resize(picture, *long_side_size(picture, TILE_SIDE))


def error_lines(description: dict[str, Any]) -> list[str]:
    """Return the errors that a style model says it has, a line each."""
    figures = description.get("figures")
    if not isinstance(figures, dict):
        return []
    shown = {"style error": "style_error", "content error": "content_error"}
    return [f"{text} {figures[name]:.3g}" for text, name in shown.items() if name in figures]

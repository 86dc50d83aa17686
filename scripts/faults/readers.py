"""The readers that the campaign gives its files to, and what their results must be."""

from __future__ import annotations

import contextlib
import io
import os
import random
import struct
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import seeds
import torch
from mutations import mutated_text
from omegaconf import DictConfig
from seeds import Seed
from torch import Tensor

from fast_style.films.video import is_video, paint_video, result_suffix
from fast_style.images.formats import WRITABLE
from fast_style.images.picture import PictureError
from fast_style.images.reading import Box, picture_size, read_clip, read_crop, read_style
from fast_style.images.writing import encode_clip
from fast_style.models.style_file import ModelFileError, load_style_model
from fast_style.models.vgg import VGGWeightsError, load_weights
from fast_style.system.resources import asset
from fast_style.training.config import plain

STYLE_SIZE, CROP_SIZE = 64, 32  # px
CANARY = "executed"  # a file that only a pickle makes, in the folder of the campaign
CONFIGURATION = "faulty"  # the name of a damaged configuration


class WrongResultError(Exception):
    """Something was read, but not what the file says."""


class RefusedError(Exception):
    """A command has ended with an error of its own, which is the message."""


class Kind(NamedTuple):
    """A kind of files.

    ``seeds`` makes whole ones, in a folder; ``read`` is given a damaged one; ``damage`` is another
    than ``mutated``; ``packed`` makes a file of what was damaged.
    """

    name: str
    seeds: Callable[[Path], Iterable[Seed]]
    read: Callable[[Path, Seed], None]
    refusals: tuple[type[Exception], ...]
    damage: Callable[[bytes, bytes, random.Random], bytes] | None = None
    packed: Callable[[Seed, bytes], bytes] = lambda seed, data: data
    is_named: bool = True  # whether a refusal names the file
    is_quiet: bool = True  # whether what libraries print is left out


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise WrongResultError(what)


def _check_levels(levels: Tensor, what: str) -> None:
    if levels.dtype != torch.uint8:
        _expect(bool(torch.isfinite(levels).all()), f"{what} is not finite")
        _expect(float(levels.min()) >= 0 and float(levels.max()) <= 1, f"{what} is not in [0, 1]")


def read_picture_file(path: Path, seed: Seed) -> None:
    """Read a picture as stylising, a painting and training do."""
    refusal: PictureError | None = None
    try:
        clip = read_clip(path)
        said = sorted(picture_size(path))
        for frame in clip.frames:
            height, width = frame.levels.shape[-2:]
            _expect(sorted((width, height)) == said, f"{width} x {height} px, the file says {said}")
            _check_levels(frame.levels, "its colours")
            if frame.alpha is not None:
                _check_levels(frame.alpha, "its alpha")
                _expect(frame.alpha.shape[-2:] == frame.levels.shape[-2:], "its alpha's size")
    except PictureError as error:
        refusal = error  # the other ways in may still fail
    ways: tuple[tuple[Callable[[], Tensor], int], ...] = (
        (lambda: read_style(path, STYLE_SIZE)[0], STYLE_SIZE),
        (lambda: read_crop(path, CROP_SIZE, _square), CROP_SIZE),
    )
    for read, size in ways:
        try:
            levels = read()
        except PictureError as error:
            refusal = refusal or error
        else:
            _expect(min(levels.shape[-2:]) == size, f"{tuple(levels.shape)} for {size} px")
            _check_levels(levels, "its colours")
    if refusal is not None:
        raise refusal


def _square(width: int, height: int) -> Box:
    side = min(width, height)
    return 0, 0, side, side


def read_metadata(path: Path, seed: Seed) -> None:
    """Read a picture with damaged metadata, and write what is kept of it into other types."""
    clip = read_clip(path)
    for suffix in WRITABLE:
        encode_clip(clip, suffix)


def read_film(path: Path, seed: Seed) -> None:
    """Read and write a film; the frames stay as they are."""
    result = path.with_name(f"result{result_suffix(path.suffix)}")
    _expect(is_video(path), "its name is not a film's")
    try:
        painted = paint_video(path, result, lambda picture: picture)
        _expect(painted.frames > 0 and result.stat().st_size > 0, "nothing is written")
    finally:
        left = [one for one in path.parent.iterdir() if one not in (path, result)]
        for one in (result, *left):
            one.unlink(missing_ok=True)
    _expect(not left, f"{[one.name for one in left]} is left behind")


def read_model(path: Path, seed: Seed) -> None:
    """Load a style model, and the same as weights of VGG16."""
    weights = path
    if path.suffix == ".vgg":
        weights = path.with_suffix(".safetensors")
        path.replace(weights)
        _add_numbers(weights)
    refusals = []
    for load in (_load_model, _load_vgg):
        try:
            load(weights)
        except (ModelFileError, VGGWeightsError) as error:
            refusals.append(error)
        finally:
            harmed = path.parents[1] / CANARY
            if harmed.exists():
                harmed.unlink()
                raise WrongResultError("it has executed something")
    lines = [str(error).replace(str(weights), str(path)) for error in refusals]
    if wrong := [line for line in lines if str(path) not in line or "\n" in line]:
        raise ModelFileError(wrong[0])
    if len(lines) == 2:  # a model is no VGG16, nor the other way round
        raise ModelFileError(lines[0])


def _load_model(path: Path) -> None:
    model = load_style_model(path)
    for name, value in model.network.state_dict().items():
        _expect(bool(torch.isfinite(value).all()), f"{name} is not finite")
    _expect(os.sep not in model.name, "its name is a path")
    if model.palette is not None:
        _check_levels(model.palette.shifted(torch.rand(1, 3, 32, 32), 1.0), "a picture with it")


def _load_vgg(path: Path) -> None:
    weights, _ = load_weights(str(path))
    for name, value in weights.items():
        _expect(bool(torch.isfinite(value).all()), f"{name} is not finite")


def _add_numbers(path: Path) -> None:
    """Let the zeros that a head speaks of follow it; on most disks they take no place."""
    data = path.read_bytes()
    whole = asset("vgg16.safetensors").stat().st_size
    if len(data) >= 8 and struct.unpack("<Q", data[:8])[0] <= len(data):
        os.truncate(path, whole)


def read_configuration(path: Path, seed: Seed) -> None:
    """Compose and check a configuration by the training's command, short of a training."""
    from fast_style import train

    group = path.suffix[1:]
    folder = path.parent / "configurations"
    (folder / group).mkdir(parents=True, exist_ok=True)
    path.replace(folder / group / f"{CONFIGURATION}.yaml")
    said = io.StringIO()
    style = [] if group == "style" else ["style=starry"]
    quiet = ["hydra.output_subdir=null", "hydra/job_logging=disabled", f"hydra.run.dir={path}.run"]
    before, arguments = train._train, sys.argv
    try:
        train._train = _checked
        sys.argv = [
            "train",
            "--config-dir",
            str(folder),
            f"{group}={CONFIGURATION}",
            *style,
            *quiet,
        ]
        with contextlib.redirect_stderr(said):
            code = train.main()
    finally:
        train._train, sys.argv = before, arguments
        (folder / group / f"{CONFIGURATION}.yaml").unlink()
    text = said.getvalue().removesuffix("\n")
    _expect(code == 0 or bool(text), f"exit code {code} without a word")
    if code:
        raise RefusedError(text)


def _checked(config: DictConfig) -> int:
    """Check a composed configuration as a training does before anything else."""
    from fast_style import train

    try:
        plain(config)
    except (ValueError, TypeError, OSError) as error:
        return train._say_error(error)
    return 0


KINDS = {
    kind.name: kind
    for kind in (
        Kind("pictures", lambda folder: seeds.pictures(), read_picture_file, (PictureError,)),
        Kind("films", lambda folder: seeds.films(), read_film, (PictureError,)),
        Kind(
            "models",
            lambda folder: seeds.models(folder, folder / CANARY),
            read_model,
            (ModelFileError, VGGWeightsError),
        ),
        Kind(
            "yaml",
            lambda folder: seeds.yaml(),
            read_configuration,
            (RefusedError,),
            mutated_text,
            is_named=False,
        ),
        Kind(
            "metadata",
            lambda folder: seeds.metadata(),
            read_metadata,
            (PictureError,),
            packed=lambda seed, data: seeds.with_block(seed.name, data, seed.suffix),
        ),
    )
}

"""A training run: its parts built from the sections of the configuration, fitted and exported."""

from __future__ import annotations

import json
import logging
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor

from fast_style import __version__
from fast_style.images.reading import read_style
from fast_style.models.losses import PerceptualLoss
from fast_style.models.network import StyleNetwork, build_network
from fast_style.models.palette import measure_palette
from fast_style.models.style_file import (
    ModelFileError,
    StyleModel,
    is_style_name,
    load_style_model,
    save_style_model,
)
from fast_style.painting.style import Style
from fast_style.system.memory import keep_freed_memory
from fast_style.system.messages import command, printable_values
from fast_style.system.paths import is_file, is_folder, user_path
from fast_style.system.resources import asset, shipped_styles
from fast_style.system.shell import shell_path
from fast_style.training import tensorboard_tags as tags
from fast_style.training.callbacks import Preview, Validations
from fast_style.training.config import settings, style_image
from fast_style.training.data import PhotographData, photograph_data
from fast_style.training.hardware import (
    check_accelerator,
    check_compiler,
    check_crops,
    resolve_memory_format,
    resolve_precision,
    vgg_dtype,
)
from fast_style.training.module import StyleModule
from fast_style.training.photographs import crops_per_step
from fast_style.training.processes import Processes
from fast_style.training.run_folder import CONFIGURATION, LAST
from fast_style.training.sweep import is_sweep
from fast_style.training.trainer import (
    LOGS,
    LastCheckpoint,
    NonFiniteLossError,
    build_trainer,
    log_from,
    starts_processes,
)
from fast_style.training.verdict import YARDSTICK, Figures, advice, fall, judge

log = logging.getLogger(__name__)

PREVIEW_PHOTOGRAPHS = 8
# The sections of a model's description that must stay the same for a run to go on.
RESUMED_SECTIONS = ("network", "style", "loss", "optimizer", "data", "seed")
# These may change. Then the result is not that of an unbroken run.
RESUMED_TRAINER = ("precision", "compile", "processes")
# What versions without these options did.
EARLIER: dict[str, dict[str, Any]] = {
    "optimizer": {"objective": "mean", "schedule": "one_cycle"},
    "data": {"other_sizes": [], "source": "folder"},
}
FINAL_METRICS = ("style_error", "content_error", "loss")  # TensorBoard compares runs by these
# What it compares besides what was given, but for a sweep, of which only that is compared. Its tab
# has the columns of the first run that it finds: so they are the same for all.
COMPARED = ("style.name=", "style.size=", "loss.style_weight=", "trainer.max_steps=", "init_from=")


class Training(NamedTuple):
    """The parts of a run."""

    module: StyleModule
    data: PhotographData
    painting: Tensor  # (1, 3, H, W) in [0, 1]
    trainer: pl.Trainer
    last_checkpoint: LastCheckpoint
    resume_from: Path | None
    settings: dict[str, Any]  # by which TensorBoard compares it with others


def describe(
    config: dict[str, Any], photographs: int, precision: str, processes: int
) -> dict[str, Any]:
    """Return plain data that says what a model is and how it was made, without machine's paths."""
    style, data, loss = dict(config["style"]), dict(config["data"]), dict(config["loss"])
    known = json.loads(asset("styles/credits.json").read_text(encoding="utf-8"))
    style["credit"] = style["credit"] or known.get(style["image"])
    style["sha256"] = sha256(style_image(style["image"]).read_bytes()).hexdigest()
    style["image"] = Path(style["image"]).name
    if "root" in data:
        data["root"] = Path(data["root"]).name
    trainer = dict(config["trainer"])
    del data["num_workers"], trainer["threads"]  # make no difference
    loss["vgg_weights"] = Path(loss["vgg_weights"]).name
    if not loss["terms"]:  # as models from before there were terms, with which they compare
        del loss["terms"]
    description = {
        "package_version": __version__,
        "licence": config["licence"],
        "seed": config["seed"],
        "network": config["network"],
        "init_from": config["init_from"] and Path(config["init_from"]).name,
        "style": style,
        "loss": loss,
        "optimizer": config["optimizer"],
        "data": data | {"photographs": photographs},
        "trainer": trainer | {"precision": precision, "processes": processes},
    }
    return printable_values(description)  # type: ignore[no-any-return]


def checkpoint_to_resume(
    ckpt_path: str | None, folder: Path, description: dict[str, Any]
) -> Path | None:
    """Return the checkpoint that ``ckpt_path`` means in this run's folder, checked to fit.

    The number of steps may differ: the schedule follows the new number from there on.

    Args:
        ckpt_path: ``last``, a .ckpt file, or none for a new training.
        folder: The run's folder.
        description: What ``describe`` says of this run.

    Raises:
        ValueError: There is no such checkpoint, it is damaged, or it belongs to another
            configuration. Or a new training would replace the one in the folder.
    """
    if ckpt_path is None:
        check_not_replaced(folder)
        return None
    path = folder / LAST if ckpt_path == "last" else user_path(ckpt_path)
    if not is_file(path):
        # The first process checks for all: it makes these folders while the others look.
        begun = Processes.rank > 0 or any(
            is_folder(folder / name) for name in (CONFIGURATION, LOGS)
        )
        if ckpt_path == "last" and begun:
            log.info(
                "no checkpoint in %s yet: this run starts from its beginning", shell_path(folder)
            )
            return None
        hint = "; give the run's folder as hydra.run.dir=..." if ckpt_path == "last" else ""
        raise ValueError(f"ckpt_path: there is no checkpoint {path}{hint}")
    if path.suffix != ".ckpt":
        raise ValueError(
            f"ckpt_path goes on from a .ckpt, found {path}; to start from a style model's network "
            f"give init_from={path}"
        )
    found = load_style_model(path).description
    for section, earlier in EARLIER.items():
        if isinstance(found.get(section), dict):
            found = found | {section: earlier | found[section]}
    for section in RESUMED_SECTIONS:
        before, now = found.get(section), description[section]
        if before != now:
            what = difference(before, now)
            raise ValueError(
                f"{path} was trained with another {section} ({what}); resume with the options of "
                f"the first run, or start a new one with init_from={path}"
            )
    done, steps = found.get("steps", 0), description["trainer"]["max_steps"]
    if done >= steps:
        log.info("%s has done %d steps, of %d: nothing is left to train", path, done, steps)
    before = found.get("trainer", {})
    for name in RESUMED_TRAINER:
        if before.get(name) != description["trainer"][name]:
            what = f"trainer.{name} was {before.get(name)}, now {description['trainer'][name]}"
            log.warning("%s: this run goes on, but not exactly as an unbroken one would", what)
    return path


def check_not_replaced(folder: Path) -> None:
    """Check that no training would be lost by a new one in the same folder.

    Raises:
        ValueError: There is one.
    """
    if is_file(folder / LAST):
        raise ValueError(
            f"{shell_path(folder)} holds a training already, which a new one would replace: go on "
            f"with it by {command('resume')} {shell_path(folder)}, or give another folder as "
            "hydra.run.dir=..."
        )


def difference(before: object, now: object) -> str:
    """Say in which values two sections differ."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        return f"{before}, now {now}"
    keys = [key for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]
    return ", ".join(f"{key}: {before.get(key)}, now {now.get(key)}" for key in keys)


def checked_model(name_or_path: str | Path, network: object) -> StyleModel:
    """Load a style model, checked to hold the network that the configuration describes.

    Raises:
        ValueError: There is none, it is damaged, or it holds another network.
    """
    model = load_style_model(name_or_path)
    found = model.description["network"]
    if found != network:
        raise ValueError(
            f"{name_or_path} holds another network ({difference(found, network)}): choose it by "
            "network=... or network.channels=..."
        )
    return model


def steps_of(path: Path) -> int | None:
    """Return the number of steps after which a model or a checkpoint was written, if it says so."""
    try:
        found = load_style_model(path).description.get("steps")
    except ModelFileError:
        return None
    return found if isinstance(found, int) else None


def check_sweep(trainer: pl.Trainer) -> None:
    """Check that a sweep does not have to start processes.

    Raises:
        ValueError: It has to. Lightning would start them with the command of the whole sweep.
    """
    if is_sweep() and starts_processes(trainer):
        raise ValueError(
            "a sweep (-m) cannot start trainings of several processes by itself: start it with "
            "torchrun or SLURM, or train one after the other"
        )


def prepare(config: dict[str, Any], folder: Path) -> Training:
    """Build network, loss, data, module and trainer from the sections of the configuration.

    Args:
        config: As ``plain`` returns it.
        folder: The run's folder.

    Raises:
        ValueError: The configuration can't be used.
        OSError: ``folder`` can't be written.
    """
    style, options, seed = config["style"], dict(config["trainer"]), config["seed"]
    if not is_style_name(style["name"]):
        raise ValueError(
            f"style.name names files: letters, digits and ._+- only, found {style['name']!r}"
        )
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, found {seed}")
    pl.seed_everything(seed, workers=True, verbose=False)
    keep_freed_memory()
    check_accelerator(options["accelerator"])
    precision = resolve_precision(options.pop("precision"), options["accelerator"])
    if is_compiled := options.pop("compile"):
        check_compiler(precision, options["accelerator"])
    memory_format = resolve_memory_format(options.pop("memory_format"), options["accelerator"])
    painting = read_style(style_image(style["image"]), style["size"])
    network = build_network(config["network"])
    if config["init_from"] is not None:
        model = checked_model(config["init_from"], config["network"])
        network.load_state_dict(model.network.state_dict())
    network.to(memory_format=memory_format)
    data = photograph_data(config["data"], seed)
    for size in data.sizes:
        count = crops_per_step(data.batch_size, data.image_size, size)
        check_crops(count, size, options["accelerator"])
    loss = PerceptualLoss(painting, **config["loss"], dtype=vgg_dtype(precision))
    data.setup()
    assert data.train_set is not None
    if is_compiled:
        network.compile(dynamic=False)  # there are few sizes; PyTorch 2.15 fails with dynamic ones
    preview = Preview(
        data.val_images[:PREVIEW_PHOTOGRAPHS], painting, options.pop("preview_every_n_steps")
    )
    last = LastCheckpoint(folder / LAST, config["checkpoint"]["every_n_steps"])
    trainer = build_trainer(style["name"], preview, last, precision=precision, **options)
    check_sweep(trainer)
    processes = trainer.num_devices * trainer.num_nodes
    description = describe(config, len(data.train_set), precision, processes)
    resume_from = checkpoint_to_resume(config["ckpt_path"], folder, description)
    done = None if resume_from is None else steps_of(resume_from)
    exported = folder / f"{style['name']}.safetensors"
    log_from(trainer, folder, done, ended=is_file(exported) and steps_of(exported) == done)
    module = StyleModule(network, loss, **config["optimizer"], description=description)
    given = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    compared = settings([*(() if is_sweep() else COMPARED), *given], config)
    return Training(module, data, painting, trainer, last, resume_from, compared)


@torch.no_grad()
def check_result(trainer: pl.Trainer, module: StyleModule, data: PhotographData) -> None:
    """Check that the trained network makes pictures.

    Raises:
        NonFiniteLossError: They have values that are not finite numbers.
    """
    picture = module(data.val_images[:1].to(module.device))
    if not (picture.isfinite().all() and trainer.callback_metrics[tags.VAL_LOSS].isfinite()):
        raise NonFiniteLossError(
            f"after step {trainer.global_step} the network's pictures are not finite numbers: try "
            "a lower optimizer.learning_rate"
        )


def fit(training: Training, folder: Path) -> Path | None:
    """Train, validate and export.

    Returns:
        The path of the style model; none if the training was interrupted.

    Raises:
        OSError: The disk is full, or ``folder`` can't be written.
        DataError: Not one photograph can be decoded.
        NonFiniteLossError: The training went wrong.
        ModelFileError: A weight is too large for a style model.
    """
    module, data, painting, trainer, last, resume_from, compared = training
    trainer.fit(module, datamodule=data, ckpt_path=resume_from, weights_only=True)
    if last.interrupted:
        return None
    last_validated = trainer.global_step % trainer.val_check_interval == 0
    # A finished run that is resumed has no step left, and so no validation.
    if not last_validated or tags.VAL_LOSS not in trainer.callback_metrics:
        trainer.validate(module, datamodule=data, verbose=False)
    check_result(trainer, module, data)
    result = folder / f"{module.description['style']['name']}.safetensors"
    if trainer.is_global_zero:
        log.info("judging:     what it paints of %d photographs", len(data.val_images))
        palette = measure_palette(module.trained, data.val_images, painting)
        known = {"steps": trainer.global_step, "palette": palette.header()}
        assert isinstance(module.trained, StyleNetwork)
        model = StyleModel(module.trained, module.description | known)
        errors = written_errors(model, module, data.val_images)
        figures = Figures(
            errors["style_error"], errors["content_error"], len(data.val_images), data.image_size
        )
        more = known | {"figures": figures.header()}
        save_style_model(result, module.trained, module.description | more)
        if data.skipped:
            log.warning("files skipped because they cannot be decoded: %d", len(data.skipped))
        if isinstance(trainer.logger, TensorBoardLogger):  # the HParams tab compares runs
            found = {
                name: float(trainer.callback_metrics[tags.VAL + name]) for name in FINAL_METRICS
            }
            tagged = tags.of_stage(tags.VAL, found)
            trainer.logger.log_hyperparams(compared, tagged, trainer.global_step)
            trainer.logger.finalize("success")
        say_result(training, figures, result)
    return result


@torch.no_grad()
def written_errors(model: StyleModel, module: StyleModule, photographs: Tensor) -> dict[str, float]:
    """Return the errors of what ``stylize`` writes of photographs by default.

    Args:
        model: That paints.
        module: Whose loss measures.
        photographs: ``(N, 3, H, W)`` in [0, 1].

    Returns:
        The means over the photographs, by the names of ``LossTerms.scalars``.
    """
    style = Style(model, device=str(module.device), backend="torch")
    found = []
    for content in torch.split(photographs.to(module.device), 1):
        found.append(module.loss(style(content), content).scalars())
    return {name: float(torch.stack([one[name] for one in found]).mean()) for name in found[0]}


def yardstick_error(module: StyleModule, photographs: Tensor) -> float | None:
    """Return the content error that the network ``YARDSTICK`` has on photographs.

    Args:
        module: Whose loss measures it.
        photographs: ``(N, 3, H, W)`` in [0, 1].

    Returns:
        The mean over the photographs; none if the package lacks the network.
    """
    if YARDSTICK not in shipped_styles():
        return None
    return written_errors(load_style_model(YARDSTICK), module, photographs)["content_error"]


def say_result(training: Training, figures: Figures, model: Path) -> None:
    """Say what a training has reached, and what to do next.

    Args:
        training: It has ended.
        figures: What it reached.
        model: Its style model, in the run's folder.
    """
    module, trainer = training.module, training.trainer
    loss = module.description["loss"]
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    losses = next(one.losses for one in callbacks if isinstance(one, Validations))
    yardstick = yardstick_error(module, training.data.val_images)
    steps = trainer.global_step
    verdict = judge(figures, steps, yardstick, loss, fall(losses))
    next_step = advice(verdict, model.parent, model, steps, loss["style_weight"])
    log.info(
        "%d held-back photographs: style error %.3f, content error %.3f",
        figures.photographs,
        figures.style_error,
        figures.content_error,
    )
    log.info("verdict:     %s: %s", verdict.word, verdict.why)
    log.info("next:        %s", next_step)
    log.info("style model: %s", shell_path(model))
    log.info("stylise:     %s %s PHOTO.jpg", command("stylize"), shell_path(model))
    log.info("look back:   tensorboard --logdir %s", shell_path(model.parent))

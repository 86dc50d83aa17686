"""PhotographData: what to train and validate on, as Lightning asks for it."""

from __future__ import annotations

import inspect
import logging
import os
import random
import signal
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from fast_style.images.limits import SMALLEST_SIDE
from fast_style.images.picture import PictureError, as_float
from fast_style.images.reading import read_crop
from fast_style.system.memory import keep_freed_memory
from fast_style.system.signals import STOPPING
from fast_style.training.photographs import (
    DataError,
    Photographs,
    StepSampler,
    as_file,
    cause,
    centre_box,
    way_out,
)
from fast_style.training.source import Source, build_source

log = logging.getLogger(__name__)


def available_cpus() -> int:
    """Return how many CPUs this process may use; a container often has fewer than the machine."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _begin_worker(worker: int) -> None:
    """Leave to the main process what is for it alone.

    Ctrl-C and its like, which reach all processes of a group; and the keeping of freed memory.
    """
    keep_freed_memory(False)
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


def photograph_data(section: dict[str, Any], seed: int) -> PhotographData:
    """Return the photographs that the configuration's section ``data`` describes.

    Args:
        section: ``source``, the source's own keys, and ``PhotographData``'s.
        seed: Of the order, the crops and the flips.

    Raises:
        ValueError: As ``build_source`` and ``PhotographData``.
    """
    parameters = inspect.signature(PhotographData).parameters
    own = {key: value for key, value in section.items() if key in parameters and key != "source"}
    others = {key: value for key, value in section.items() if key not in parameters}
    return PhotographData(build_source(section["source"], others), seed, **own)


class PhotographData(pl.LightningDataModule):
    """Training crops and held-back photographs from any source.

    All but the first two are keys of the section ``data``.

    Args:
        source: Where the photographs come from.
        seed: Of the order, the crops and the flips.
        image_size: Side of a training crop and of a validation photograph, px.
        other_sizes: Sides of crops that other steps take, px; each step takes one of all sizes.
        batch_size: Photographs per step and device; of other sizes as many as have its pixels.
        smallest_crop: Side of the smallest crop, as a share of the photograph's shorter side.
        val_photographs: How many to validate on.
        num_workers: Processes that decode; ``auto`` chooses by what trains.

    Raises:
        ValueError: A number out of its range.
        DataError: In ``setup``: photographs that are missing, or too few.
    """

    def __init__(
        self,
        source: Source,
        seed: int,
        *,
        image_size: int,
        other_sizes: list[int],
        batch_size: int,
        smallest_crop: float,
        val_photographs: int,
        num_workers: int | str,
    ) -> None:
        super().__init__()
        if image_size < SMALLEST_SIDE:
            raise ValueError(
                f"data.image_size must be at least {SMALLEST_SIDE} px, found {image_size}"
            )
        if not all(type(size) is int and size >= SMALLEST_SIDE for size in other_sizes):
            raise ValueError(
                f"data.other_sizes must be whole numbers from {SMALLEST_SIDE} px, "
                f"found {other_sizes}"
            )
        if batch_size < 1:
            raise ValueError(f"data.batch_size must be at least 1, found {batch_size}")
        if not 0 < smallest_crop <= 1:
            raise ValueError(f"data.smallest_crop must be in (0, 1], found {smallest_crop}")
        if val_photographs < 1:
            raise ValueError(f"data.val_photographs must be at least 1, found {val_photographs}")
        if num_workers != "auto" and (type(num_workers) is not int or num_workers < 0):
            raise ValueError(f"data.num_workers is auto or 0 and more, found {num_workers!r}")
        self.source = source
        self.seed = seed
        self.image_size = image_size
        self.other_sizes = other_sizes
        self.batch_size = batch_size
        self.smallest_crop = smallest_crop
        self.val_photographs = val_photographs
        self.num_workers = num_workers
        self.train_set: Photographs | None = None
        self.val_images = torch.empty(0)
        self.skipped: set[str] = set()  # photographs found undecodable so far, and logged

    def setup(self, stage: str | None = None) -> None:
        """Find the photographs and read those that are held back.

        Raises:
            DataError: There are none, or too few to hold some back.
        """
        if self.train_set is not None:
            return
        source, count = self.source, len(self.source)
        own = source.validation()
        held_back_from = own or source
        # By a generator of its own: the same photographs are held back whatever the seed.
        candidates = range(len(held_back_from))
        order = random.Random(0).sample(candidates, len(candidates))
        used, images = self._read_val(held_back_from, order)
        held_back = {held_back_from.identity(index) for index in used}
        chosen = [index for index in range(count) if source.identity(index) not in held_back]
        # Held back from the photographs to train on, they must not be the larger part.
        fewest = len(images) if own is None else 1
        if len(images) < self.val_photographs or len(chosen) < fewest:
            most, readable = len(images), len(images) + len(chosen)
            if own is None:  # a fifth, if there are two at all
                most = max(readable // 5, min(1, readable // 2))
            use_fewer = f" or use fewer, as data.val_photographs={most}" if most else ""
            raise DataError(
                f"{held_back_from} has too few photographs: {len(images)} readable ones to "
                f"validate on (data.val_photographs={self.val_photographs}) leave {len(chosen)} to "
                f"train on; add photographs{use_fewer}{way_out(self.skipped)}"
            )
        self.val_images = torch.stack(images)
        self.train_set = Photographs(source, chosen, self.smallest_crop, self.seed)
        log.info(
            "%d photographs to train on, %d held back, from %s", len(chosen), len(images), source
        )

    @property
    def sizes(self) -> list[int]:
        """Sides of the training crops, px."""
        return [self.image_size, *self.other_sizes]

    def train_dataloader(self) -> DataLoader[Tensor]:
        """Return the batches from the trainer's step to its last, ``(N, 3, S, S)``, uint8."""
        assert self.train_set is not None
        assert self.trainer is not None
        sampler = StepSampler(
            len(self.train_set),
            self.sizes,
            self.batch_size,
            range(self.trainer.global_step, self.trainer.max_steps),
            self.seed,
            self.trainer.global_rank,
            self.trainer.world_size,
        )
        on_gpu = self.trainer.strategy.root_device.type == "cuda"
        workers = self.num_workers
        if isinstance(workers, str):
            # One process decodes far faster than a CPU trains; a GPU can eat what eight give.
            here = max(1, available_cpus() // self.trainer.num_devices)
            workers = min(8, here) if on_gpu else 1
        return DataLoader(
            self.train_set,
            batch_sampler=sampler,
            num_workers=workers,
            pin_memory=on_gpu,
            prefetch_factor=4 if workers else None,
            worker_init_fn=_begin_worker,
        )

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Return the held-back photographs, in order, each the largest square in its middle."""
        return DataLoader(TensorDataset(self.val_images), batch_size=self.batch_size)

    def on_after_batch_transfer(
        self, batch: Tensor | list[Tensor], dataloader_idx: int
    ) -> Tensor | list[Tensor]:
        """Return a batch as float in [0, 1]; log the files found damaged since the last one."""
        if self.train_set is not None:
            for label in self.train_set.damaged_labels():
                self._skip(label)
        return as_float(batch) if isinstance(batch, Tensor) else batch

    def _skip(self, label: str) -> None:
        if label not in self.skipped:
            self.skipped.add(label)
            log.warning("skipped %s: %s", label, cause(label))

    def _read_val(self, source: Source, order: Sequence[int]) -> tuple[list[int], list[Tensor]]:
        """Read the first readable ones; the damaged ones before them count as used."""
        used: list[int] = []
        images: list[Tensor] = []
        for index in order:
            if len(images) == self.val_photographs:
                break
            used.append(index)
            try:
                images.append(
                    read_crop(as_file(source.photograph(index)), self.image_size, centre_box)
                )
            except PictureError:
                self._skip(source.label(index))
        return used, images

"""Photographs: finding them in folders, random crops, and the order in which they are drawn."""

from __future__ import annotations

import io
import logging
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from fast_style.images import heif
from fast_style.images.formats import HEIF, READABLE
from fast_style.images.picture import PictureError
from fast_style.images.reading import Box, read_levels
from fast_style.system.folders import find_files
from fast_style.training.source import Source

log = logging.getLogger(__name__)

# (running number of the draw in this training, index of the photograph, side of the crop in px)
Draw = tuple[int, int, int]


class DataError(ValueError):
    """A folder of photographs that is missing, empty or too small."""


def find_photographs(folder: Path) -> list[Path]:
    """Return the picture files in ``folder`` and below, sorted by path; hidden ones are left out.

    Links are followed, each folder is read once; what can't be is logged.

    Raises:
        DataError: There is no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise DataError(
            f"there is no folder {folder}; data.root must hold photographs (data=folder for any "
            "folder, data=coco for the layout of COCO)"
        )
    found, remarks = find_files(folder, READABLE)
    for remark in remarks:
        log.warning("%s", remark)
    if not found:
        raise DataError(
            f"no photograph in {folder}; looked for {', '.join(READABLE)}, in subfolders too"
        )
    return sorted(found)


def cause(label: str | Path) -> str:
    """Return why a photograph that can't be decoded can't be, as far as its name tells."""
    if Path(label).suffix.lower() in HEIF and not heif.is_available():
        return heif.NEEDED
    return "it cannot be decoded"


def way_out(labels: Iterable[str | Path]) -> str:
    """Return what would let some of the photographs be decoded that can't be, or nothing."""
    needing = sum(cause(label) == heif.NEEDED for label in labels)
    return f"; {needing} more could be read: {heif.NEEDED}" if needing else ""


def split_folder(root: Path, split: str | None) -> Path:
    """Return where the photographs of a split lie: ``root/split`` or ``root/images/split``.

    ``root`` itself, if no split is named or if it is that folder already.
    """
    if split is None or root.name == split:
        return root
    images = root / "images" / split
    return images if images.is_dir() else root / split


def random_box(width: int, height: int, smallest: float, generator: random.Random) -> Box:
    """Return a square crop, its side ``smallest`` to 1 times the shorter side, anywhere inside."""
    side = min(width, height) * generator.uniform(smallest, 1.0)
    left, upper = generator.uniform(0, width - side), generator.uniform(0, height - side)
    return left, upper, left + side, upper + side


def centre_box(width: int, height: int) -> Box:
    """Return the largest square in the middle."""
    side = min(width, height)
    left, upper = (width - side) / 2, (height - side) / 2
    return left, upper, left + side, upper + side


class Photographs(Dataset[Tensor]):
    """Random square crops, flipped half the time: a pure function of the seed and the draw.

    A photograph that can't be decoded is replaced by the next one and marked in ``damaged``, which
    worker processes share.

    Args:
        source: Where the photographs come from.
        chosen: Their indices in it.
        smallest_crop: Side of the smallest crop, as a share of the photograph's shorter side.
        seed: Of crops and flips.
    """

    def __init__(
        self, source: Source, chosen: Sequence[int], smallest_crop: float, seed: int
    ) -> None:
        self.source = source
        self.chosen = torch.tensor(chosen, dtype=torch.long)  # as a list eight times the memory
        self.smallest_crop = smallest_crop
        self.seed = seed
        self.damaged = torch.zeros(len(self.chosen), dtype=torch.bool)
        self.damaged.share_memory_()

    def __len__(self) -> int:
        """Return the number of photographs."""
        return len(self.chosen)

    def __getitem__(self, draw: Draw) -> Tensor:
        """Return a crop, ``(3, size, size)``, uint8: a quarter of what floats take.

        Raises:
            DataError: Not one photograph can be decoded.
        """
        number, index, size = draw
        for offset in range(len(self)):
            at = (index + offset) % len(self)
            try:
                return self._crop(int(self.chosen[at]), size, f"{self.seed}/{number}")
            except PictureError:
                self.damaged[at] = True
        labels = map(self.source.label, self.chosen.tolist())
        raise DataError(f"none of the {len(self)} photographs can be decoded{way_out(labels)}")

    def damaged_labels(self) -> list[str]:
        """Return what the photographs are called that were found undecodable so far."""
        return [self.source.label(i) for i in self.chosen[self.damaged].tolist()]

    def _crop(self, index: int, size: int, seed: str) -> Tensor:
        generator = random.Random(seed)

        def choose_box(width: int, height: int) -> Box:
            return random_box(width, height, self.smallest_crop, generator)

        crop = read_levels(as_file(self.source.photograph(index)), size, choose_box)
        return crop.flip(-1) if generator.random() < 0.5 else crop


def as_file(photograph: Path | bytes) -> Path | io.BytesIO:
    """Return what a source gives as what readers of pictures take."""
    return io.BytesIO(photograph) if isinstance(photograph, bytes) else photograph


def crops_per_step(batch_size: int, image_size: int, size: int) -> int:
    """Return how many crops of ``size`` px have about the pixels of a batch of ``image_size``."""
    return max(1, round(batch_size * (image_size / size) ** 2))


class StepSampler(Sampler[list[Draw]]):
    """Batches of draws of one size each; in a lap over all photographs none is drawn twice.

    A step takes one of the sizes by chance. It has fewer of larger crops, for about as many pixels,
    but at least one. The rest of its share of the photographs is passed over. What step k holds
    depends on the seed and k alone. So a run that begins at a later step goes on exactly where
    another stopped, whatever the number of workers.

    Args:
        photographs: How many there are.
        sizes: Of the crops, px, the first that of ``batch_size``.
        batch_size: Crops of the first size per device.
        steps: Those to give.
        seed: Of the order.
        rank: This process among ``world_size``; each gets its own share of every step.
        world_size: How many processes train together.
    """

    def __init__(
        self,
        photographs: int,
        sizes: Sequence[int],
        batch_size: int,
        steps: range,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.photographs = photographs
        self.sizes = tuple(sizes)
        self.batch_size = batch_size
        self.steps = steps
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.most = max(crops_per_step(batch_size, self.sizes[0], size) for size in self.sizes)

    def __len__(self) -> int:
        """Return the number of steps in all: Lightning counts those before the first too."""
        return self.steps.stop

    def __iter__(self) -> Iterator[list[Draw]]:
        """Yield one step's draws after the other."""
        lap, order = -1, torch.empty(0, dtype=torch.long)
        for step in self.steps:
            size = random.Random(f"{self.seed}/size/{step}").choice(self.sizes)
            count = crops_per_step(self.batch_size, self.sizes[0], size)
            first = step * self.world_size * self.most + self.rank * count
            batch: list[Draw] = []
            for number in range(first, first + count):
                if number // self.photographs != lap:
                    lap = number // self.photographs
                    generator = torch.Generator().manual_seed(self.seed + 1_000_003 * lap)
                    order = torch.randperm(self.photographs, generator=generator)
                batch.append((number, int(order[number % self.photographs]), size))
            yield batch

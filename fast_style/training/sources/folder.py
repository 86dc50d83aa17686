"""A folder of photographs, flat or nested, or the layout of COCO."""

from __future__ import annotations

from collections.abc import Hashable
from functools import cached_property
from pathlib import Path

from fast_style.system.paths import identity, user_path
from fast_style.system.resources import asset
from fast_style.training.photographs import find_photographs, split_folder
from fast_style.training.source import Source


class Folder(Source):
    """The picture files in a folder and below it.

    Args:
        root: The folder, or ``bundled`` for the package's sample photographs.
        split: Its part to train on, as in the COCO layout (``root/split`` or
            ``root/images/split``); none for the whole folder.
        val_split: The part to validate on. Where it is absent, photographs of the training part
            are held back instead and never trained on.
    """

    def __init__(self, root: str, split: str | None = None, val_split: str | None = None) -> None:
        self.root = asset("photos") if root == "bundled" else user_path(root)
        self.folder = split_folder(self.root, split)
        self.val_split = val_split

    @cached_property
    def files(self) -> list[Path]:
        """The photographs, sorted by path."""
        return find_photographs(self.folder)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.files)

    def photograph(self, index: int) -> Path:
        """Return a photograph's file."""
        return self.files[index]

    def label(self, index: int) -> str:
        """Return its path."""
        return str(self.files[index])

    def identity(self, index: int) -> Hashable:
        """Return what tells a file through links and by any name."""
        return identity(self.files[index])

    def validation(self) -> Folder | None:
        """Return the part to validate on, if it is there."""
        if not self.val_split or not split_folder(self.root, self.val_split).is_dir():
            return None
        return Folder(str(self.root), self.val_split)

    def __str__(self) -> str:
        """Return the folder."""
        return str(self.folder)

"""Files that belong together, as OpenVINO's two, replaced all or none."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from fast_style.system.files import write_atomically


def write_together(drafts: Sequence[Path], folder: Path, overwrite: bool) -> None:
    """Copy files into a folder, each whole, all or none.

    Whatever stood there stays as it was if one of them can't be written. If the program is killed
    in the midst of it, the last file is missing, so that nobody takes another's for its own, and a
    folder beside it, ``<name>.old-...``, has the files that were replaced.

    Args:
        drafts: Finished files of different names; the last is the one that others are found by.
        folder: Where they go, by the same names.
        overwrite: Whether what stands there is replaced.

    Raises:
        FileExistsError: Something stands there, and ``overwrite`` is false.
        OSError: A file can't be written.
    """
    targets = [folder / draft.name for draft in drafts]
    with ExitStack() as stack:
        old = stack.enter_context(_Old([Path(os.path.realpath(target)) for target in targets]))
        # What is entered first is left, and so renamed, last.
        for draft, target in zip(reversed(drafts), reversed(targets), strict=True):
            shutil.copyfile(draft, stack.enter_context(write_atomically(target)))
        for target in targets:
            if not overwrite and os.path.lexists(target):
                raise FileExistsError(f"{target} exists; --overwrite replaces it")
        if len(targets) > 1:
            old.put_aside()


class _Old:
    """The files that are about to be replaced: put aside, and put back if that fails.

    Args:
        targets: The last is the one that the others are found by.
    """

    def __init__(self, targets: list[Path]) -> None:
        self.targets = targets
        self.kept: dict[Path, Path] | None = None  # from what stood there to where it is kept
        self.folder: Path | None = None

    def __enter__(self) -> _Old:
        return self

    def put_aside(self) -> None:
        """Keep them in a folder beside the last, and take that one away."""
        last = self.targets[-1]
        kept: dict[Path, Path] = {}
        for target in filter(Path.exists, self.targets):
            if self.folder is None:
                self.folder = Path(tempfile.mkdtemp(prefix=f"{last.stem}.old-", dir=last.parent))
            kept[target] = self.folder / target.name
            try:
                os.link(target, kept[target])
            except OSError:  # not on this file system
                shutil.copy2(target, kept[target])
        self.kept = kept
        last.unlink(missing_ok=True)

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is not None and self.kept is not None:
            try:
                for target in self.targets:
                    if target in self.kept:
                        self.kept[target].replace(target)
                    else:
                        target.unlink(missing_ok=True)
            except OSError as error:
                raise OSError(
                    f"{self.targets[-1]} is not written, and the files that stood there can't be "
                    f"put back ({error.strerror or error}): they lie in {self.folder}"
                ) from error
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

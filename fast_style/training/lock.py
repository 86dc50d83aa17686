"""A lock keeps a run's folder for one training, from before Hydra writes to the end of the run."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import BaseFileLock
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from fast_style.system.atomic import PART_PREFIX
from fast_style.system.locked_files import LockedElsewhereError, lock_file, unlock_file
from fast_style.system.shell import shell_path
from fast_style.training.processes import Processes

LOCK = ".lock"  # a file in a run's folder, as long as the run goes on
_held_folders: dict[Path, BaseFileLock] = {}


class FolderInUse(BaseException):
    """Another training holds the folder.

    Not an ``Exception``: Hydra only warns of those that its callbacks raise.
    """


def hold(folder: Path) -> bool:
    """Hold a run's folder until ``let_go``, or until this process ends in whatever way.

    Returns:
        Whether it is held. It is not if it can't be written, or its file system has no locks.

    Raises:
        FolderInUse: Another process holds it.
    """
    folder = folder.resolve()
    if folder in _held_folders:
        return True
    try:
        lock = lock_file(folder / LOCK)
    except LockedElsewhereError:
        raise FolderInUse(
            f"another training runs in {shell_path(folder)}: wait for its end, or give another "
            "folder as hydra.run.dir=... (hydra.sweep.dir=... of a sweep)"
        ) from None
    if lock is None:
        return False
    _held_folders[folder] = lock
    return True


def let_go(folder: Path | None = None) -> None:
    """Let go of a folder, or of all folders."""
    for one in [folder.resolve()] if folder else list(_held_folders):
        if lock := _held_folders.pop(one, None):
            unlock_file(lock)


def remove_parts(folder: Path) -> None:
    """Remove the half-written files of killed runs from a folder that is held."""
    for place in (folder, *folder.glob("*/")):
        for path in place.glob(f"{PART_PREFIX}*"):
            with suppress(OSError):
                if not path.is_dir():
                    path.unlink()


class HeldFolder(Callback):
    """Holds the folder of a run, or of a sweep, before Hydra writes into it.

    A callback of Hydra's, named in configs/train.yaml after the one that chooses the folder.
    """

    def on_run_start(self, config: DictConfig, **options: Any) -> None:
        """Hold the run's folder.

        Raises:
            FolderInUse: Another process holds it.
        """
        with suppress(OmegaConfBaseException, OSError):  # reported when the run begins
            self._hold(Path(config.hydra.run.dir))

    def on_multirun_start(self, config: DictConfig, **options: Any) -> None:
        """Hold the sweep's folder.

        Raises:
            FolderInUse: Another process holds it.
        """
        with suppress(OmegaConfBaseException, OSError):
            self._hold(Path(config.hydra.sweep.dir))

    @staticmethod
    def _hold(folder: Path) -> None:
        if Processes.rank > 0:  # the first process holds it for all
            return
        folder.mkdir(parents=True, exist_ok=True)
        hold(folder)

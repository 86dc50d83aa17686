"""A run's folder is one training's: a lock, held from before Hydra writes to the end of the run."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from fast_style.system.files import PART_PREFIX, shell_path
from fast_style.training.processes import Processes

LOCK = ".lock"  # in a run's folder while it runs
_held_folders: dict[Path, FileLock] = {}


class FolderInUse(BaseException):
    """Another training holds the folder. No ``Exception``: of a callback's Hydra only warns."""


def hold(folder: Path) -> bool:
    """Hold a run's folder until ``let_go`` or the end of this process, however that comes.

    Returns:
        Whether it is held: not where its file system has no locks or it can't be written.

    Raises:
        FolderInUse: Another process holds it.
    """
    folder = folder.resolve()
    if folder in _held_folders:
        return True
    lock = FileLock(folder / LOCK, timeout=0, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise FolderInUse(
            f"another training runs in {shell_path(folder)}: wait for its end, or give another "
            "folder as hydra.run.dir=... (hydra.sweep.dir=... of a sweep)"
        ) from None
    except OSError:
        return False
    _held_folders[folder] = lock
    return True


def let_go(folder: Path | None = None) -> None:
    """Let go of a folder, or of all."""
    for one in [folder.resolve()] if folder else list(_held_folders):
        if lock := _held_folders.pop(one, None):
            with suppress(OSError):  # Windows removes it when it is released
                (one / LOCK).unlink()
            lock.release()


def remove_parts(folder: Path) -> None:
    """Remove half-written files that killed runs have left in a folder that is held."""
    for place in (folder, *folder.glob("*/")):
        for path in place.glob(f"{PART_PREFIX}*"):
            with suppress(OSError):
                if not path.is_dir():
                    path.unlink()


class HeldFolder(Callback):
    """Holds the folder of a run, or of a sweep, before Hydra writes into it.

    Named in configs/train.yaml, after the callback that settles which folder it is.
    """

    def on_run_start(self, config: DictConfig, **options: Any) -> None:
        """Hold the run's folder.

        Raises:
            FolderInUse: Another process holds it.
        """
        with suppress(OmegaConfBaseException, OSError):  # said when the run begins
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
        if Processes.rank > 0:  # the first holds it for all
            return
        folder.mkdir(parents=True, exist_ok=True)
        hold(folder)

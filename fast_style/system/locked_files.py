"""Files that are locked: what one process works on, others leave alone."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from fast_style.system.atomic import FORGOTTEN_S, remove_half_written

CLAIM_PREFIX = ".claim-"  # of a file beside a result that is being made
# What a file system answers that has no locks.
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


class LockedElsewhereError(Exception):
    """Another process, or another part of this one, has locked a file."""


def lock_file(path: Path, wait_s: float = 0.0) -> BaseFileLock | None:
    """Lock a file until ``unlock_file``, or until this process ends in whatever way.

    Args:
        path: It is created, if it is not there.
        wait_s: How long to wait for another process.

    Returns:
        What ``unlock_file`` takes; none if the file can't be written, or its file system has no
        locks.

    Raises:
        LockedElsewhereError: It is locked already.
    """
    lock = FileLock(path, timeout=wait_s, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise LockedElsewhereError(str(path)) from None
    except OSError as error:
        if error.errno in NO_LOCKS:  # its file is there all the same, and nobody can hold it
            with suppress(OSError):
                path.unlink()
        return None
    return lock


def unlock_file(lock: BaseFileLock) -> None:
    """Remove the file of a lock, and let go of it."""
    with suppress(OSError):  # Windows removes the file when the lock is released
        Path(lock.lock_file).unlink()
    with suppress(OSError):
        lock.release()


class Claims:
    """The results that this process makes, so that others leave them to it.

    A claim is a locked file beside the result. The system takes the lock away when the process
    ends, and a file server when it notices that a machine is gone; where it never does, the claim
    counts for a day. Where there are no locks, nothing is claimed, and everything may be made.
    """

    def __init__(self) -> None:
        self._locks: dict[Path, BaseFileLock] = {}
        self._folders: set[Path] = set()

    def visit(self, target: Path) -> None:
        """Remember the folder of a result: what ended processes left there goes at the end."""
        self._folders.add(Path(os.path.realpath(target)).parent)

    def take(self, target: Path, wait_s: float = 0.0) -> bool:
        """Claim a result; return false if another process is making it.

        Args:
            target: The result's path. Its folder is created.
            wait_s: How long to wait for the other process.
        """
        self.visit(target)
        path = _claim_path(target)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = _lock_claim(path, wait_s)
        except OSError:  # what is wrong is said when the result is written
            return True
        except LockedElsewhereError:
            return False
        if lock is not None:
            self._locks[path] = lock
        return True

    def let_go(self, target: Path) -> None:
        """End the claim on a result, if there is one."""
        if lock := self._locks.pop(_claim_path(target), None):
            unlock_file(lock)

    def close(self) -> None:
        """End all claims, and remove from the same folders what ended processes have left.

        That is their claims, and the files that they had half written.
        """
        while self._locks:
            unlock_file(self._locks.popitem()[1])
        for folder in self._folders:
            remove_half_written(folder)
            for path in folder.glob(f"{CLAIM_PREFIX}*"):
                with suppress(OSError, LockedElsewhereError):
                    if lock := _lock_claim(path):
                        unlock_file(lock)


def _claim_path(target: Path) -> Path:
    """Return the claim of a result; its name is short, however long the result's is."""
    real = Path(os.path.realpath(target))
    name = hashlib.sha256(os.fsencode(real.name)).hexdigest()[:16]
    return real.with_name(f"{CLAIM_PREFIX}{name}")


def _lock_claim(path: Path, wait_s: float = 0.0) -> BaseFileLock | None:
    """Lock a claim, also one that a machine has left that is gone.

    Raises:
        LockedElsewhereError: Another process holds it.
    """
    try:
        lock = lock_file(path, wait_s)
    except LockedElsewhereError:
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime < FORGOTTEN_S:
                raise
            path.unlink()
        lock = lock_file(path)
    if lock is not None:
        with suppress(OSError):
            os.utime(path)  # the file may be one that was left: the day begins now
    return lock

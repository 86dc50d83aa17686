"""Files written whole or not at all: a reader never sees half of one."""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import platform
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

from fast_style.system.messages import reason
from fast_style.system.paths import is_folder

# The name of a file that is being written: machine, process, random number.
PART_PREFIX = ".part-"
PART = re.compile(
    re.escape(PART_PREFIX) + r"([0-9a-f]{8})-(\d{1,10})-[0-9a-f]{16}(\..*)?", re.DOTALL
)
FORGOTTEN_S = 86400  # after which another machine's file counts as left behind
# Errors by which a file system says that it lacks a call: no reason to fail.
REFUSED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES}
_SWEPT: set[Path] = set()  # folders in which this process has removed what others left


class TargetExistsError(FileExistsError):
    """A file exists already and may not be replaced."""


class UnwritableFolderError(ValueError):
    """Nothing can be written into a folder, or it is no folder. The message names it."""


class _NothingToKeepError(Exception):
    """Ends a trial of ``write_atomically``."""


def check_free(path: Path, overwrite: bool) -> None:
    """Check that a file can be written, before hours are spent on it.

    Raises:
        ValueError: It exists and may not be replaced, or its folder can't be written.
    """
    if os.path.exists(path) and not overwrite:  # noqa: PTH110, never raises
        raise ValueError(exists(path))
    check_folder(path, Path(os.path.realpath(path)).parent)  # where ``write_atomically`` will write


def check_folder(path: Path, folder: Path) -> None:
    """Check that ``path`` can be written into ``folder``, which is created if it is not there.

    Raises:
        UnwritableFolderError: It can't.
    """
    while not os.path.lexists(folder):
        folder = folder.parent
    if not is_folder(folder) or not os.access(folder, os.W_OK | os.X_OK):
        raise UnwritableFolderError(
            f"cannot write {path}: {folder} is no folder that can be written"
        )
    try:
        _check_takes_files(folder)
    except OSError as error:
        raise UnwritableFolderError(
            f"cannot write {path}: {folder} takes no files: {reason(error)}"
        ) from error


@functools.cache  # only of a folder that takes them: a batch asks for each result
def _check_takes_files(folder: Path) -> None:
    """Write a file and remove it: permissions do not bind an administrator, file systems do."""
    check_written(folder / "any")


def check_written(path: Path) -> None:
    """Check that a file can be written by writing one beside it, and leave no file behind.

    Permissions do not tell it of all file systems, nor of a full disk. The folder is created.

    Raises:
        OSError: It can't be written; it names ``path``.
    """
    with suppress(_NothingToKeepError), write_atomically(path) as temporary:
        temporary.write_bytes(b"\0")
        raise _NothingToKeepError


def exists(path: Path) -> str:
    """Return the message for a file that may not be replaced."""
    return f"{path} exists; --overwrite replaces it"


@contextmanager
def write_atomically(path: Path, replace: bool = True) -> Iterator[Path]:
    """Give a temporary path beside ``path`` to write; rename it to ``path`` if all went well.

    A link stays: the file it leads to is replaced. The folder is created if need be. If the body
    raises, the temporary file is removed, and the file at ``path`` stays as it was. The temporary
    name has the same suffix, for writers that choose the format by it. Half-written files of
    processes that have ended are removed from the folder.

    Args:
        path: Of the file.
        replace: Whether to replace a file that is there when all is written.

    Raises:
        TargetExistsError: There is one, and it may not be replaced.
        OSError: The folder can't be created or written, or the disk is full; it names ``path``.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target.parent)
    name = f"{PART_PREFIX}{_machine()}-{os.getpid()}-{secrets.token_hex(8)}{path.suffix}"
    temporary = target.parent / name
    try:
        # With the system's usual permissions; ``tempfile`` would make it private.
        os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666))
        yield temporary
        _flush(temporary)
        if replace:
            temporary.replace(target)
        else:
            _rename_to_free(temporary, target)
    except FileExistsError as error:
        if replace or str(error.filename) != str(temporary):
            raise
        raise TargetExistsError(exists(path)) from error
    except OSError as error:
        if error.errno and error.filename in (None, str(temporary), os.fsencode(temporary)):
            raise OSError(error.errno, error.strerror, str(path)) from error  # of the same class
        raise
    finally:
        with suppress(OSError):  # the first error is the one to tell
            temporary.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Flush a file to the disk, if the file system can do that."""
    with path.open("r+b") as file:  # Windows flushes only files that are open for writing
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in REFUSED:
                raise


def _rename_to_free(temporary: Path, target: Path) -> None:
    """Rename a file to a name that is free.

    Raises:
        FileExistsError: It is not; ``filename`` is ``temporary``.
    """
    if os.name == "nt":  # does not replace
        temporary.rename(target)
        return
    try:
        os.link(temporary, target)  # adds the second name; the caller removes the first
        return
    except OSError as error:
        if error.errno not in {*REFUSED, errno.EMLINK, errno.EXDEV}:
            raise
    # No hard links here: an empty file takes the name first.
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError as error:
        error.filename = str(temporary)
        raise
    try:
        os.close(handle)
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            target.unlink()
        raise


def _sweep(folder: Path) -> None:
    """Remove half-written files of ended processes from a folder, once for each process."""
    if folder not in _SWEPT:
        _SWEPT.add(folder)
        remove_half_written(folder)


def remove_half_written(folder: Path) -> None:
    """Remove the half-written files that processes left in a folder when they were killed.

    Args:
        folder: Any; one that can't be read is left as it is.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if (part := PART.fullmatch(entry.name)) and entry.is_file(follow_symlinks=False):
                with suppress(OSError, OverflowError):  # another process may have been faster
                    if part[1] == _machine():
                        is_left = not psutil.pid_exists(int(part[2]))
                    else:
                        is_left = time.time() - entry.stat().st_mtime > FORGOTTEN_S
                    if is_left:
                        Path(entry).unlink()


@functools.cache
def _machine() -> str:
    """Return a code for where process numbers are ours: machine, its start, container."""
    parts = [platform.node()]
    with suppress(OSError):  # on Linux
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        parts.append(str(os.stat("/proc/self/ns/pid").st_ino))  # noqa: PTH116
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


def write_together(drafts: Sequence[Path], folder: Path, overwrite: bool) -> None:
    """Copy files into a folder, each whole, all or none.

    If one of them can't be written, the files that were there stay as they were. If the program is
    killed meanwhile, the last file is missing, so that nobody combines old and new ones, and a
    folder beside it, ``<name>.old-...``, has the files that were replaced.

    Args:
        drafts: Finished files of different names. The last is the one that users open: it leads
            to the others.
        folder: Where they go, under the same names.
        overwrite: Whether to replace files that are there.

    Raises:
        FileExistsError: A file is there, and ``overwrite`` is false.
        OSError: A file can't be written.
    """
    targets = [folder / draft.name for draft in drafts]
    with ExitStack() as stack:
        old = stack.enter_context(_Old([Path(os.path.realpath(target)) for target in targets]))
        # A stack is left in reverse order: what is entered first is renamed last.
        for draft, target in zip(reversed(drafts), reversed(targets), strict=True):
            shutil.copyfile(draft, stack.enter_context(write_atomically(target)))
        for target in targets:
            if not overwrite and os.path.lexists(target):
                raise FileExistsError(exists(target))
        if len(targets) > 1:
            old.put_aside()


class _Old:
    """The files that are about to be replaced: kept aside, and put back if that fails.

    Args:
        targets: The last is the one that leads to the others.
    """

    def __init__(self, targets: list[Path]) -> None:
        self.targets = targets
        self.kept: dict[Path, Path] | None = None  # old file to where it is kept
        self.folder: Path | None = None

    def __enter__(self) -> _Old:
        return self

    def put_aside(self) -> None:
        """Keep the files in a folder beside the last, and remove the last."""
        last = self.targets[-1]
        kept: dict[Path, Path] = {}
        for target in filter(Path.exists, self.targets):
            if self.folder is None:
                self.folder = Path(tempfile.mkdtemp(prefix=f"{last.stem}.old-", dir=last.parent))
            kept[target] = self.folder / target.name
            try:
                os.link(target, kept[target])
            except OSError:  # no hard links on this file system
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

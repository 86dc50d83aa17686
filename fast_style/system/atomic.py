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

from fast_style.system.paths import is_folder

# A file that is being written: the machine, the process on it, and a number by chance.
PART_PREFIX = ".part-"
PART = re.compile(
    re.escape(PART_PREFIX) + r"([0-9a-f]{8})-(\d{1,10})-[0-9a-f]{16}(\..*)?", re.DOTALL
)
FORGOTTEN_S = 86400  # after which another machine's is taken for left behind
# What a file system answers that has no such call: no reason to lose what is written.
REFUSED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES}
_SWEPT: set[Path] = set()  # folders that this process has cleared of what others left


class TargetExistsError(FileExistsError):
    """A file that is there already, and may not be replaced."""


def check_free(path: Path, overwrite: bool) -> None:
    """Check that a file can be written, before hours are spent on it.

    Raises:
        ValueError: It exists and may not be replaced, or its folder can't be written.
    """
    if os.path.exists(path) and not overwrite:  # noqa: PTH110, never raises
        raise ValueError(exists(path))
    folder = Path(os.path.realpath(path)).parent  # where ``write_atomically`` will write
    while not os.path.lexists(folder):
        folder = folder.parent
    if not is_folder(folder) or not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"cannot write {path}: {folder} is no folder that can be written")


def exists(path: Path) -> str:
    """Return what to say of a file that may not be replaced."""
    return f"{path} exists; --overwrite replaces it"


@contextmanager
def write_atomically(path: Path, replace: bool = True) -> Iterator[Path]:
    """Give a temporary path beside ``path`` to write; rename it to ``path`` if all went well.

    A link stays: what it leads to is replaced. The folder is created if need be. If the body
    raises, the temporary file is removed and whatever stood at ``path`` is untouched. The suffix
    is kept, for writers that choose by it. What a process that is gone has left half written in
    the folder is removed.

    Args:
        path: Of the file.
        replace: Whether a file that is there when all is written is replaced.

    Raises:
        TargetExistsError: There is one, and it is not to be replaced.
        OSError: The folder can't be created or written, or the disk is full; it names ``path``.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target.parent)
    name = f"{PART_PREFIX}{_machine()}-{os.getpid()}-{secrets.token_hex(8)}{path.suffix}"
    temporary = target.parent / name
    try:
        # Of the mode that the system gives new files; ``tempfile`` would make it private.
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
            raise OSError(error.errno, error.strerror, str(path)) from error  # of the same kind
        raise
    finally:
        with suppress(OSError):  # a disk that fails has its own error said
            temporary.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Have a file's content reach the disk, where the file system can be asked to."""
    with path.open("r+b") as file:  # Windows flushes only what may be written
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
        os.link(temporary, target)  # the second name only: the caller removes the first
        return
    except OSError as error:
        if error.errno not in {*REFUSED, errno.EMLINK, errno.EXDEV}:
            raise
    # No hard links there: the name is taken first, by an empty file.
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
    """Remove what processes that are gone have left half written in a folder, once a process."""
    if folder in _SWEPT:
        return
    _SWEPT.add(folder)
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
    """Return what stands for the processes that are numbered as ours: machine, start, container."""
    parts = [platform.node()]
    with suppress(OSError):  # Linux's
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        parts.append(str(os.stat("/proc/self/ns/pid").st_ino))  # noqa: PTH116
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


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

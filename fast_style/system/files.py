"""Paths as people type them, and files written so that a reader never sees half of one."""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import platform
import re
import secrets
import shlex
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)  # a drive, C://, is one letter
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


class UnwritableFolderError(ValueError):
    """A folder in which nothing can be written, or what is no folder; the message names it."""


def user_path(path: str | Path) -> Path:
    """Return a path a person typed, ``~`` expanded where it names a home.

    Raises:
        ValueError: An address, as ``s3://bucket/x``: the system would take it for a folder ``s3:``.
    """
    if isinstance(path, str) and ADDRESS.match(path):
        raise ValueError(f"{path} is an address: expected a file or folder of this machine")
    return Path(os.path.expanduser(path))  # noqa: PTH111, pathlib's raises for an unknown user


def is_file(path: Path) -> bool:
    """Whether there is a file; a name that no file can have, or that is out of reach, is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether there is a folder; as ``is_file`` for impossible names."""
    try:
        return path.is_dir()
    except OSError:
        return False


def identity(path: Path) -> object:
    """Return what two names of one file have in common, through links and any spelling."""
    try:
        found = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return os.path.realpath(path)
    return found.st_dev, found.st_ino


def walk_folders(
    folder: Path,
    skip: Collection[Path] = (),
    on_error: Callable[[OSError], object] = lambda error: None,
) -> Iterator[tuple[Path, list[str]]]:
    """Yield a folder and those below it, each with the names of its files, by name.

    Links to folders are followed, after all that lies there without them; each real folder comes
    once, so links may go round. Hidden folders and files are left out.

    Args:
        folder: Where to begin; it may be hidden.
        skip: Folders below it that are not entered.
        on_error: Is told of a folder that can't be read.
    """
    seen = {identity(one) for one in skip} - {identity(folder)}
    linked: list[Path] = []
    todo = [folder]
    while todo or linked:
        here = todo.pop() if todo else linked.pop(0)
        if identity(here) in seen:
            continue
        seen.add(identity(here))
        try:
            with os.scandir(here) as listing:
                entries = sorted(listing, key=lambda one: one.name)
        except OSError as error:
            on_error(error)
            continue
        files: list[str] = []
        below: list[Path] = []
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if not _leads_to_folder(entry):
                files.append(entry.name)
            elif entry.is_symlink():
                linked.append(here / entry.name)
            else:
                below.append(here / entry.name)
        todo += reversed(below)
        yield here, files


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


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


def short_path(path: Path) -> str:
    """Return a path from here on, if it lies below."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def shell_path(path: Path) -> str:
    """Return a path as a person would type it here, in a shell."""
    text = short_path(path)
    return shell_join([os.path.join(".", text) if text.startswith("-") else text])  # noqa: PTH118


def shell_join(words: Iterable[str]) -> str:
    """Return words as a person would type them in a shell: a POSIX one; cmd or PowerShell."""
    if platform.system() != "Windows":
        return shlex.join(words)
    return " ".join(_windows_word(word) for word in words)


def _windows_word(word: str) -> str:
    """Return a word as cmd and PowerShell both take it, in double quotes if it needs them.

    Unlike ``subprocess.list2cmdline``, which knows neither: in PowerShell a comma parts words, in
    cmd ``&`` does. Only what stands for variables, ``%`` in cmd and ``$`` in PowerShell, has no
    form for both.
    """
    if re.fullmatch(r"[\w.:=+/\\-]+", word):
        return word
    quoted = re.sub(r'(\\*)"', r'\1\1\\"', word)  # as programs take quotes and ends apart
    return '"' + re.sub(r"(\\+)$", r"\1\1", quoted) + '"'

"""Pictures through styles: the next one is read and the last one written while one is painted."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

from tqdm import tqdm

from fast_style.cli.inputs import Input, result_path
from fast_style.films.video import is_video
from fast_style.images.picture import Clip, PictureError
from fast_style.images.writing import check_holds, write_clip
from fast_style.painting.painter import Painter, record
from fast_style.system.atomic import UnwritableFolderError, check_folder, exists
from fast_style.system.paths import identity

T = TypeVar("T")
# While painting, these are faults of the program, which ends. Any other error belongs to one
# picture, and the others go on: decoders and runtimes have errors of their own.
PROGRAM_ERRORS = (TypeError, AttributeError, NameError, LookupError, AssertionError)
FORESEEN = (ValueError, OSError, RuntimeError, MemoryError)  # whose message says what is wrong
SLOW_S = 1.0  # after which there is a progress bar


def failure(error: Exception, path: Path) -> str:
    """Return what to say of a picture that could not be stylised, with its name."""
    if isinstance(error, PictureError):
        return str(error)
    kind = "" if isinstance(error, FORESEEN) and str(error) else f"{type(error).__name__} "
    return f"cannot stylise {path}: {kind}{error}"


def file_name(path: Path) -> str:
    """Return a name that is the same for two spellings of one file, as the system takes them."""
    return str(path).casefold() if sys.platform == "darwin" else os.path.normcase(path)


class Destination(NamedTuple):
    """Where results go, and how."""

    output: Path | None
    to_folder: bool
    resumes: bool  # results that exist are kept without a word: an interrupted folder goes on
    overwrite: bool
    quality: int


class Batch:
    """Stylises picture files, and videos.

    Args:
        pictures: To stylise.
        painter: Paints them.
        destination: Where the results go.
        show: Prints a line about a result.
        say: Prints a line about a failure.
        as_json: Show a line of JSON for each result, instead of its path.
    """

    def __init__(
        self,
        pictures: list[Input],
        painter: Painter,
        destination: Destination,
        show: Callable[[str], object],
        say: Callable[[object], object],
        as_json: bool,
    ) -> None:
        self.pictures = pictures
        self.painter = painter
        self.destination = destination
        self.show = show
        self.say = say
        self.as_json = as_json
        self.failed = self.skipped = 0
        count = "{n:.1f}/{total} " if len(pictures) > 1 else ""
        self._bar = tqdm(
            total=len(pictures),
            dynamic_ncols=True,
            bar_format="{percentage:3.0f}% |{bar}| " + count + "[{elapsed}<{remaining}]",
            delay=SLOW_S,
            leave=len(pictures) > 1,
            disable=not sys.stderr.isatty(),
        )
        self._done = 0
        self._writing: list[tuple[Path, Future[str]]] = []  # what is shown of each when it is done

    def run(self) -> int:
        """Stylise all pictures; return 0, or 1 if some failed."""
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer, self._bar:
            try:
                self._do_all(reader, writer)
            except (KeyboardInterrupt, *PROGRAM_ERRORS):
                self._finish(most=0)  # what is painted is written, and said
                raise
            self._finish(most=0)
        if self.skipped:
            self.say(
                f"{self.skipped} results were there already and are kept; --overwrite replaces"
            )
        return 1 if self.failed else 0

    def _do_all(self, reader: ThreadPoolExecutor, writer: ThreadPoolExecutor) -> None:
        """Read, paint and have written one picture after the other, the next read ahead."""
        queue = self._todo()

        def read_ahead() -> tuple[Input, dict[str, Path], Future[Clip] | None] | None:
            for source, targets in queue:
                film = is_video(source.path)
                return (
                    source,
                    targets,
                    None if film else reader.submit(self.painter.read, source.path),
                )
            return None

        ahead = read_ahead()
        while ahead is not None:
            source, targets, future = ahead
            ahead = read_ahead()
            if future is None:
                self._film(source.path, targets)
            elif (clip := self._attempt(future.result, source.path)) is not None:
                if clip.remark:
                    self._bar.clear()
                    self.say(f"{source.path} {clip.remark}")
                self._paint(source.path, clip, targets, writer)
            self._count()

    def _todo(self) -> Iterator[tuple[Input, dict[str, Path]]]:
        """Yield the pictures that are not done yet, and the results they lack, by style."""
        photographs = {identity(source.path) for source in self.pictures}
        owners: dict[str, Path] = {}  # by the result's name: the photograph that it is made of
        for source in self.pictures:
            targets = {}
            for name in self.painter.names():
                target = result_path(
                    source, self.destination.output, name, self.destination.to_folder
                )
                owner = owners.setdefault(file_name(target), source.path)
                if owner != source.path:
                    taken = f"its result would be {target}, as that of {owner}"
                    self._report(ValueError(taken), source.path)
                elif identity(target) in photographs:
                    replaced = f"its result would replace the photograph {target}"
                    self._report(ValueError(replaced), source.path)
                elif self._is_missing(target):
                    targets[name] = target
            if targets:
                yield source, targets
            else:
                self._count()

    def _is_missing(self, target: Path) -> bool:
        """Whether a result is to be made; if it is there, or can't be written, that is said."""
        if os.path.exists(target) and not self.destination.overwrite:  # noqa: PTH110, never raises
            if self.destination.resumes:
                self.skipped += 1
            else:
                self._report(PictureError(exists(target)), target)
            return False
        try:
            check_folder(target, Path(os.path.realpath(target)).parent)
        except UnwritableFolderError as error:
            self._report(PictureError(str(error)), target)
            return False
        return True

    def _paint(
        self, path: Path, clip: Clip, targets: dict[str, Path], writer: ThreadPoolExecutor
    ) -> None:
        """Make the results of one picture, and have them written."""
        for target in targets.values():
            if not self._attempt(lambda: check_holds(target, clip), path):  # noqa: B023
                return
        painter = self.painter
        styles = {n: s for n, s in painter.styles.items() if painter.blend or n in targets}
        paintings = len(styles) * len(clip.frames)
        job = painter.job._replace(progress=lambda share: self._bar.update(share / paintings))
        results = painter._replace(styles=styles, job=job).results(clip)
        for _ in targets:
            started_s = time.perf_counter()
            result = self._attempt(lambda: next(results), path, PROGRAM_ERRORS)
            if result is None:
                return
            name, painted = result
            seconds = time.perf_counter() - started_s
            self._finish(most=1)
            future = writer.submit(self._write, path, targets[name], name, painted, seconds)
            self._writing.append((path, future))

    def _film(self, path: Path, targets: dict[str, Path]) -> None:
        """Make the videos of one film, one for each style."""
        for name, target in targets.items():
            started_s = time.perf_counter()
            made = self._attempt(
                lambda: self.painter.film(
                    path,
                    target,  # noqa: B023, called within this turn
                    name,  # noqa: B023
                    self.destination.quality,
                    lambda share: self._bar.update(share / len(targets)),
                    self.destination.overwrite,
                ),
                path,
            )
            if made is None:
                return
            self._bar.clear()
            if made.remark:
                self.say(f"{path} {made.remark}")
            seconds = time.perf_counter() - started_s
            done = record(path, target, (made.height, made.width), name, self.painter, seconds)
            self.show(json.dumps(done | {"frames": made.frames}) if self.as_json else str(target))

    def _count(self) -> None:
        """Move the bar to the end of one more picture."""
        self._done += 1
        self._bar.update(self._done - self._bar.n)

    def _write(self, source: Path, target: Path, name: str, clip: Clip, seconds: float) -> str:
        write_clip(target, clip, self.destination.quality, self.destination.overwrite)
        if not self.as_json:
            return str(target)
        height, width = clip.frames[0].levels.shape[-2:]
        return json.dumps(record(source, target, (height, width), name, self.painter, seconds))

    def _finish(self, most: int) -> None:
        """Wait until at most so many results are still to be written; show those that are."""
        while len(self._writing) > most or (self._writing and self._writing[0][1].done()):
            path, future = self._writing.pop(0)
            if (line := self._attempt(future.result, path)) is not None:
                self._bar.clear()
                self.show(line)

    def _attempt(
        self, job: Callable[[], T], path: Path, raised: tuple[type[Exception], ...] = ()
    ) -> T | None:
        """Return what a job gives; report what goes wrong with a picture, and return none.

        Args:
            job: What to do.
            path: Of the picture.
            raised: Errors that are not the picture's.
        """
        try:
            return job()
        except raised:
            raise
        except Exception as error:
            self._report(error, path)
            return None

    def _report(self, error: Exception, path: Path) -> None:
        self.failed += 1
        self._bar.clear()
        self.say(failure(error, path))

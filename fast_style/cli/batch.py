"""Pictures through styles: the next one is read and the last one written while one is painted."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

from fast_style.cli.inputs import Input, result_path
from fast_style.cli.work_bar import WorkBar, short_name
from fast_style.films.video import is_video
from fast_style.images.picture import Clip, PictureError
from fast_style.images.writing import check_holds, write_clip
from fast_style.painting.painter import Painter, record
from fast_style.system.atomic import UnwritableFolderError, check_folder, exists
from fast_style.system.locked_files import Claims
from fast_style.system.paths import identity

T = TypeVar("T")
# While painting, these are faults of the program, which ends. Any other error belongs to one
# picture, and the others go on: decoders and runtimes have errors of their own.
PROGRAM_ERRORS = (TypeError, AttributeError, NameError, LookupError, AssertionError)
FORESEEN = (ValueError, OSError, RuntimeError, MemoryError)  # whose message says what is wrong
CLAIM_WAIT_S = 1.0  # for what another process claims, when all else is done
# What may become of a result, and the word for a picture: the first that is true of one of its
# results.
FAILED, PAINTED, ELSEWHERE, KEPT = "failed", "painted", "left to another process", "kept"


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
    resumes: bool  # results that exist are kept and counted: what was interrupted goes on
    overwrite: bool
    quality: int


class Tally:
    """Counts what has become of pictures.

    Args:
        total: How many there are.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.outcomes: dict[Path, set[str]] = {}  # of the results of each picture

    def add(self, path: Path, outcome: str) -> None:
        """Count a result of a picture as ``FAILED``, ``PAINTED``, ``ELSEWHERE`` or ``KEPT``."""
        self.outcomes.setdefault(path, set()).add(outcome)

    def has(self, outcome: str) -> bool:
        """Whether this has become of a result."""
        return any(outcome in one for one in self.outcomes.values())

    def line(self) -> str:
        """Return the counts in words, as ``9 pictures: 7 painted, 1 kept, 1 failed``."""
        order = (FAILED, PAINTED, ELSEWHERE, KEPT)
        counts = Counter(
            next(outcome for outcome in order if outcome in one) for one in self.outcomes.values()
        )
        words = [f"{counts[PAINTED]} {PAINTED}"]
        words += [f"{counts[one]} {one}" for one in (KEPT, FAILED, ELSEWHERE) if counts[one]]
        if left := self.total - counts.total():
            words.append(f"{left} not done")
        replaced = "; --overwrite replaces what was kept" if counts[KEPT] else ""
        return f"{self.total} pictures: {', '.join(words)}{replaced}"


class Batch:
    """Stylises picture files, and videos.

    Several processes may share the pictures: each claims a result before it makes it.

    Args:
        pictures: To stylise.
        painter: Paints them.
        destination: Where the results go.
        show: Prints a line about a result.
        say: Prints a line about a failure.
        as_json: Show a line of JSON for each result, instead of its path.
        bar: Shows how far it is.
    """

    def __init__(
        self,
        pictures: list[Input],
        painter: Painter,
        destination: Destination,
        show: Callable[[str], object],
        say: Callable[[object], object],
        as_json: bool,
        bar: WorkBar,
    ) -> None:
        self.pictures = pictures
        self.painter = painter
        self.destination = destination
        self.show = show
        self.say = say
        self.as_json = as_json
        self.tally = Tally(len(pictures))
        self._bar = bar
        self._done = 0
        self._claims = Claims() if len(pictures) > 1 and not destination.overwrite else None
        # Source, result and what is shown of it when it is written.
        self._writing: list[tuple[Path, Path, Future[str]]] = []

    def run(self) -> int:
        """Stylise all pictures; return 0, or 1 if some failed.

        Raises:
            KeyboardInterrupt: It was interrupted; the message has the counts, if there are several
                pictures.
        """
        self._bar.begin("painting", total=len(self.pictures))
        try:
            with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
                try:
                    self._do_all(reader, writer)
                finally:
                    self._finish(most=0)  # what is painted is written, and said
        except KeyboardInterrupt as error:
            counts = [self.tally.line()] if len(self.pictures) > 1 else []
            raise KeyboardInterrupt(*counts) from error
        finally:
            if self._claims is not None:
                self._claims.close()
        if len(self.pictures) > 1:
            self.say(self.tally.line())
        return 1 if self.tally.has(FAILED) else 0

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
            self._name(source.path)
            ahead = read_ahead()
            if future is None:
                self._film(source.path, targets)
            elif (clip := self._attempt(future.result, source.path)) is not None:
                if clip.remark:
                    self.say(f"{source.path} {clip.remark}")
                self._paint(source.path, clip, targets, writer)
            for target in set(targets.values()) - {target for _, target, _ in self._writing}:
                self._let_go(target)
            self._count()

    def _name(self, path: Path) -> None:
        """Show which picture is painted now."""
        total = len(self.pictures)
        number = f"{min(self._done + 1, total)}/{total} " if total > 1 else ""
        self._bar.show(f"painting {number}{short_name(path)}")

    def _todo(self) -> Iterator[tuple[Input, dict[str, Path]]]:
        """Yield the pictures that are not done yet, and the results they lack, by style.

        What other processes have claimed is looked at once more when all else is done.
        """
        elsewhere: list[tuple[Input, dict[str, Path]]] = []
        for source, targets in self._targets():
            mine, others = {}, {}
            for name, target in targets.items():
                if self._is_kept(source.path, target) or not self._can_write(source.path, target):
                    continue
                if self._claims is None or self._claims.take(target):
                    mine[name] = target
                else:
                    others[name] = target
            if others:
                elsewhere.append((source, others))
            if mine := self._still_missing(source.path, mine):
                yield source, mine
            elif not others:
                self._count()
        for source, targets in elsewhere:
            claimed = self._claim_at_last(source.path, targets)
            if claimed := self._still_missing(source.path, claimed):
                yield source, claimed
            else:
                self._count()

    def _targets(self) -> Iterator[tuple[Input, dict[str, Path]]]:
        """Yield the pictures and where their results go, by style, if that is free for them."""
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
                else:
                    targets[name] = target
            yield source, targets

    def _is_kept(self, path: Path, target: Path) -> bool:
        """Whether a result is there and stays; that is counted, or said."""
        if self._claims is not None:
            self._claims.visit(target)
        if self.destination.overwrite or not os.path.exists(target):  # noqa: PTH110, never raises
            return False
        if not self.destination.resumes:
            self._report(PictureError(exists(target)), path)
            return True
        self.tally.add(path, KEPT)
        if len(self.pictures) == 1:
            self.say(f"{target} is there already and is kept; --overwrite replaces it")
        if self.as_json:
            self.show(json.dumps({"input": str(path), "output": str(target), "kept": True}))
        return True

    def _can_write(self, path: Path, target: Path) -> bool:
        """Whether a result's folder can be written; if not, that is said."""
        try:
            check_folder(target, Path(os.path.realpath(target)).parent)
        except UnwritableFolderError as error:
            self._report(PictureError(str(error)), path)
            return False
        return True

    def _still_missing(self, path: Path, targets: dict[str, Path]) -> dict[str, Path]:
        """Return of claimed results those that no other process has made before the claim."""
        missing = {}
        for name, target in targets.items():
            if self._claims is not None and self._is_kept(path, target):
                self._let_go(target)
            else:
                missing[name] = target
        return missing

    def _claim_at_last(self, path: Path, targets: dict[str, Path]) -> dict[str, Path]:
        """Claim what another process had claimed; what it still paints is left to it."""
        assert self._claims is not None
        claimed = {}
        for name, target in targets.items():
            if os.path.exists(target) or self._claims.take(target, CLAIM_WAIT_S):  # noqa: PTH110
                claimed[name] = target
                continue
            self.tally.add(path, ELSEWHERE)
            if self.as_json:
                line = {"input": str(path), "output": str(target), "elsewhere": True}
                self.show(json.dumps(line))
        return claimed

    def _let_go(self, target: Path) -> None:
        if self._claims is not None:
            self._claims.let_go(target)

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
        job = painter.job._replace(progress=lambda share: self._bar.advance(share / paintings))
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
            self._writing.append((path, targets[name], future))

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
                    lambda share: self._bar.advance(share / len(targets)),
                    self.destination.overwrite,
                ),
                path,
            )
            if made is None:
                return
            self.tally.add(path, PAINTED)
            if made.remark:
                self.say(f"{path} {made.remark}")
            seconds = time.perf_counter() - started_s
            done = record(path, target, (made.height, made.width), name, self.painter, seconds)
            self.show(json.dumps(done | {"frames": made.frames}) if self.as_json else str(target))

    def _count(self) -> None:
        """Move the bar to the end of one more picture."""
        self._done += 1
        self._bar.reach(self._done)

    def _write(self, source: Path, target: Path, name: str, clip: Clip, seconds: float) -> str:
        write_clip(target, clip, self.destination.quality, self.destination.overwrite)
        if not self.as_json:
            return str(target)
        height, width = clip.frames[0].levels.shape[-2:]
        return json.dumps(record(source, target, (height, width), name, self.painter, seconds))

    def _finish(self, most: int) -> None:
        """Wait until at most so many results are still to be written; show those that are."""
        while len(self._writing) > most or (self._writing and self._writing[0][2].done()):
            path, target, future = self._writing.pop(0)
            line = self._attempt(future.result, path)
            self._let_go(target)
            if line is not None:
                self.tally.add(path, PAINTED)
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
        self.tally.add(path, FAILED)
        text = failure(error, path)
        self.say(text)
        if self.as_json:
            self.show(failed_line(path, text))


def failed_line(path: Path | str, text: str) -> str:
    """Return the line of ``--json`` for a picture that could not be stylised.

    Args:
        path: Of the picture.
        text: What was said of it.
    """
    return json.dumps({"input": str(path), "error": text})

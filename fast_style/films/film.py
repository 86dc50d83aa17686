"""Video files opened to be read: which files, which of their streams, how large, whether whole.

Knows PyAV. Nothing but the named file is opened: no network, no list of other files.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from fast_style.films.tags import tags_as_bytes
from fast_style.images.limits import max_pixels
from fast_style.images.picture import PictureError
from fast_style.system.atomic import TargetExistsError
from fast_style.system.memory import TooLittleMemoryError, check_memory

# FFmpeg's names of what is read. Others, as lists of parts, open further files.
FFMPEG_FORMATS = ("mov", "matroska", "avi", "mpeg", "mpegvideo", "mpegts", "asf", "ogg", "flv")
WITH_OFFSET = ("mpeg", "mpegts")  # formats whose times need not begin at 0, as of a broadcast
WITH_LENGTH = ("mov", "matroska", "avi", "flv")  # formats with a length in the header
UNKNOWN_RATE = Fraction(25)  # frames a second
FFMPEG_MOST_PIXELS = 2**31 - 1  # of a frame
# Memory that decoding and painting a film took for each pixel of a frame, at most.
DECODING_BYTES = 40
# How much of a film may be missing before it is reported: lengths in headers are rounded.
TOLERATED_FRAMES, TOLERATED_S = 2, 0.1


class Film:
    """A video that is read; ``open_film`` makes it.

    ``container`` is PyAV's, ``video`` its stream of frames, ``sounds`` are those whose kind FFmpeg
    knows. ``damaged`` is how many packets of the video could not be decoded, ``end_s`` the time up
    to which it has been read.
    """

    def __init__(self, container: Any, source: Path) -> None:
        self.container = container
        self.source = source
        self.kind = next(
            (name for name in FFMPEG_FORMATS if name in container.format.name.split(",")),
            FFMPEG_FORMATS[0],
        )
        self.video = _shown_stream(container, source)
        self.rate = self.video.average_rate or UNKNOWN_RATE  # frames a second
        self.sounds = [one for one in container.streams.audio if one.codec_context is not None]
        self.unknown_sounds = len(container.streams.audio) - len(self.sounds)
        self.damaged = 0
        start = container.start_time or 0
        self._offset_s = Fraction(start, 1_000_000) if self.kind in WITH_OFFSET else Fraction(0)
        # Whether the header says the length of the video alone: else it is the longest stream's.
        self._own_length = self.kind == "avi" or (self.kind == "mov" and self.video.frames > 0)
        self._said_end_s = self._said_end()
        self.end_s = 0.0
        _check_size(self.video.codec_context, source)
        most = min(max_pixels(), FFMPEG_MOST_PIXELS)
        self.video.codec_context.options = {"max_pixels": str(int(most))}
        self.video.thread_type = "AUTO"

    @property
    def frames(self) -> int:
        """How many frames it says or seems to have; 0 if it does not say."""
        if self.video.frames:
            return int(self.video.frames)
        return round((self.container.duration or 0) / 1_000_000 * self.rate)

    def packets(self) -> Iterator[Any]:
        """Yield the packets of the video and of ``sounds``, their times from the film's start."""
        taken = {one.index for one in (self.video, *self.sounds)}
        with film_errors("read", self.source):
            # All streams, for what they say of the film's length.
            for packet in self.container.demux(list(self.container.streams)):
                self._reached(packet, packet.time_base)
                if packet.stream.index not in taken:
                    continue
                if self._offset_s:
                    offset = round(self._offset_s / packet.time_base)
                    packet.pts = None if packet.pts is None else packet.pts - offset
                    packet.dts = None if packet.dts is None else packet.dts - offset
                yield packet

    def decoded(self, packet: Any) -> list[Any]:
        """Return the frames of a video's packet; none if it is damaged: later ones are whole."""
        import av

        with film_errors("read", self.source):
            try:
                return list(packet.decode())
            # The second: of a size that is not allowed, in the middle of a film.
            except (av.error.InvalidDataError, av.error.ArgumentError):
                self.damaged += 1
                return []

    @property
    def missing_s(self) -> float:
        """How much of the film was not there at the end of reading, though its header says so."""
        missing_s = self._said_end_s - self.end_s
        return missing_s if missing_s > max(TOLERATED_FRAMES / self.rate, TOLERATED_S) else 0.0

    def _said_end(self) -> float:
        """Return when the film ends as its header says, s; 0 if it does not."""
        if self.kind not in WITH_LENGTH:
            return 0.0
        if self.kind == "avi":  # of which FFmpeg shortens the duration, not the number
            return float(self.video.frames / self.rate)
        if self._own_length:
            start = self.video.start_time or 0
            return float((start + (self.video.duration or 0)) * self.video.time_base)
        start = self.container.start_time or 0
        return float((self.container.duration or 0) + start) / 1_000_000

    def _reached(self, packet: Any, time_base: Fraction) -> None:
        """Note up to which time the film has been read."""
        if packet.pts is None or (self._own_length and packet.stream is not self.video):
            return
        length_s = (packet.duration or 0) * time_base
        if not length_s and packet.stream is self.video:
            length_s = 1 / self.rate
        self.end_s = max(self.end_s, float(packet.pts * time_base + length_s))


@contextmanager
def open_film(source: Path) -> Iterator[Film]:
    """Open a video file.

    Raises:
        PictureError: It is missing, no regular file, of no format that is read, without a picture,
            or its frames are larger than is allowed or than the memory holds.
    """
    import av

    with film_errors("read", source):
        _check_regular(source)
        options = {
            "format_whitelist": ",".join(FFMPEG_FORMATS),
            "protocol_whitelist": "file",
            "max_pixels": str(int(min(max_pixels(), FFMPEG_MOST_PIXELS))),
        }
        try:
            container = av.open(file_url(source), options=options, **tags_as_bytes())
        except av.error.ArgumentError as error:
            raise PictureError(
                f"cannot read {source}: it is damaged, or none of MP4, MOV, 3GP, Matroska, WebM, "
                "AVI, MPEG, WMV, OGV and FLV"
            ) from error
    with container:
        with film_errors("read", source):
            film = Film(container, source)
        yield film


def file_url(path: Path) -> str:
    """Return a file's name for FFmpeg, which takes one with a colon for an address."""
    return f"file:{path}"


@contextmanager
def film_errors(what: str, path: Path, source: Path | None = None) -> Iterator[None]:
    """Turn FFmpeg's errors and the system's into a ``PictureError`` that names the file.

    Args:
        what: ``read`` or ``write``.
        path: The file.
        source: What is written is made of it, which may be what is wrong.
    """
    import av

    try:
        yield
    except PictureError:
        raise
    except TargetExistsError as error:
        raise PictureError(str(error)) from error
    except FileNotFoundError as error:
        raise PictureError(f"cannot {what} {path}: there is no such file") from error
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        of = (
            f" of {source}, which may be damaged"
            if source and isinstance(error, ValueError)
            else ""
        )
        raise PictureError(f"cannot {what} {path}{of}: {reason}") from error


def check_film_memory(source: Path, what: str, needed: float, advice: str) -> None:
    """Check that the memory holds what a film needs.

    Args:
        source: The film.
        what: Needs it.
        needed: Bytes.
        advice: What to do if it won't.

    Raises:
        PictureError: It does not.
    """
    try:
        check_memory(what, needed, torch.device("cpu"), advice)
    except TooLittleMemoryError as error:
        raise PictureError(f"cannot paint {source}: {error}") from error


def _check_regular(source: Path) -> None:
    mode = source.stat().st_mode
    if stat.S_ISDIR(mode):
        raise PictureError(f"cannot read {source}: it is a folder, expected a video file")
    if not stat.S_ISREG(mode):
        raise PictureError(
            f"cannot read {source}: it is a pipe, socket or device, expected a video file, which "
            "can be read more than once"
        )


def _shown_stream(container: Any, source: Path) -> Any:
    """Return the stream that a player would show: no cover; the default one, or the longest."""
    import av

    covers = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    found = [one for one in container.streams.video if not one.disposition & covers]
    if not found:
        what = "sound and a cover" if container.streams.video else "sound"
        raise PictureError(f"cannot read {source}: it has {what}, but no picture that moves")
    known = [one for one in found if one.codec_context is not None]
    if not known:
        raise PictureError(f"cannot read {source}: FFmpeg does not know its kind of picture")

    def rank(stream: Any) -> tuple[bool, bool, float, int]:
        return (
            stream.frames != 1,
            bool(stream.disposition & av.stream.Disposition.default),
            float((stream.duration or 0) * stream.time_base),
            stream.codec_context.width * stream.codec_context.height,
        )

    return max(known, key=rank)


def _check_size(context: Any, source: Path) -> None:
    pixels = context.width * context.height
    if pixels > max_pixels():
        raise PictureError(
            f"cannot read {source}: its frames have {pixels / 1e6:.4g} megapixels of at most "
            f"{max_pixels() / 1e6:.4g}; --max-megapixels allows more"
        )
    check_film_memory(
        source,
        f"a film of {context.width} x {context.height} px",
        DECODING_BYTES * pixels,
        "free some, or make the film smaller",
    )

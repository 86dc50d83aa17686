"""Videos, painted frame by frame in the memory of a few frames. Knows PyAV."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from fast_style.films.film import Film, check_film_memory, file_url, film_errors, open_film
from fast_style.films.frames import (
    BT709,
    LIMITED_RANGE,
    Progressive,
    encodable,
    fitted,
    upright,
)
from fast_style.films.sound import Sounds
from fast_style.films.tags import chapters, film_tags, need_full_keys, stream_tags, tags_as_bytes
from fast_style.images.options import DEFAULT_QUALITY
from fast_style.images.picture import Picture, PictureError
from fast_style.images.profiles import HDR_TRANSFERS
from fast_style.system.atomic import write_atomically
from fast_style.system.messages import install
from fast_style.system.progress import Progress

PYAV_NEEDED = f"videos need PyAV: {install('video')}"
# By extension: the container, and a codec that every player of it knows.
CONTAINERS = {
    ".mp4": ("mp4", "libx264"),
    ".m4v": ("mp4", "libx264"),
    ".mov": ("mov", "libx264"),
    ".mkv": ("matroska", "libx264"),
    ".webm": ("webm", "libvpx-vp9"),
}
VIDEO_SUFFIXES = (
    *CONTAINERS,
    *(".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".3gp", ".ogv", ".flv"),
)
FALLBACK_SUFFIX = ".mkv"  # of a result whose own type is not written: it holds any sound
# The constant rate factor of x264 and VP9: this at DEFAULT_QUALITY, as good as lossless to the eye;
# a level less of quality adds FACTOR_STEP.
DEFAULT_FACTOR, FACTOR_STEP = 18, 0.4
# An encoder holds up to so many frames to compare them, so many bytes for each pixel.
ENCODER_FRAMES, ENCODER_BYTES = 45, 4


class Painted(NamedTuple):
    """What has been made of a video."""

    frames: int
    width: int
    height: int
    remark: str | None  # what a person should know, to follow the file's name


def is_video(path: Path) -> bool:
    """Whether a file's name is a video's."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def result_suffix(suffix: str) -> str:
    """Return the extension of what is made of a video with this one."""
    return suffix if suffix.lower() in CONTAINERS else FALLBACK_SUFFIX


def check_video_writable(path: Path) -> None:
    """Check that videos of this file's extension can be written.

    Raises:
        PictureError: They can't.
    """
    if find_spec("av") is None:
        raise PictureError(f"cannot write {path}: {PYAV_NEEDED}")
    if path.suffix.lower() not in CONTAINERS:
        raise PictureError(f"cannot write {path}: a video's must end in {', '.join(CONTAINERS)}")


def paint_video(
    source: Path,
    target: Path,
    paint: Callable[[Picture], Picture],
    quality: int = DEFAULT_QUALITY,
    strip: bool = False,
    progress: Progress | None = None,
    replace: bool = True,
) -> Painted:
    """Write a video whose frames are another's, painted; times, sound and tags stay as they are.

    H.264, or VP9 in WebM, upright, 8 bits, in the colours of BT.709. Subtitles are left behind.
    Sound that the container does not hold is encoded anew.

    Args:
        source: A film in one of the formats of ``VIDEO_SUFFIXES``.
        target: Ends in one of ``CONTAINERS``; written whole or not at all.
        paint: Is given each frame and returns it painted. What has not the size of the first is
            fitted into it, with black around it.
        quality: 1 to 100, as of a JPEG.
        strip: Leave title, date, place, languages and chapters behind.
        progress: Is told the share of the frames that was done since the last.
        replace: Whether a ``target`` that is there by then is replaced.

    Raises:
        PictureError: ``source`` can't be read, has no picture or is too large; or ``target`` can't
            be written, or is there and not to be replaced.
    """
    check_video_writable(target)
    with open_film(source) as film, _written(target, film, strip, replace) as result:
        painting = _Painting(film, result, target, quality, strip)
        painting.run(paint, progress)
    return Painted(painting.done, painting.size[1], painting.size[0], painting.remark())


class _Painting:
    """The frames and sounds of ``film`` on their way to ``result``, whose file is ``target``."""

    def __init__(self, film: Film, result: Any, target: Path, quality: int, strip: bool) -> None:
        self._film = film
        self._result = result
        container, codec = CONTAINERS[target.suffix.lower()]
        factor = DEFAULT_FACTOR + (DEFAULT_QUALITY - quality) * FACTOR_STEP
        options = {"crf": str(round(factor))} | ({"b": "0"} if container == "webm" else {})
        self._out: Any = result.add_stream(codec, film.rate, options)
        self._out.codec_context.time_base = film.video.time_base
        self._out.disposition = film.video.disposition
        if not strip:
            self._out.metadata.update(stream_tags(film.video, container))
        self._sounds = Sounds(film, result, target, strip)
        self._progressive = Progressive()
        self._last_pts = -1
        self.done, self.size = 0, (0, 0)  # height and width, px
        self._is_hdr = self._changes_size = False

    def run(self, paint: Callable[[Picture], Picture], progress: Progress | None) -> None:
        """Paint and write it all; as ``paint_video``."""
        film = self._film
        expected = max(1, film.frames)
        for frame in self._frames():
            self._paint(frame, paint)
            if progress is not None:
                progress(1 / expected if self.done <= expected else 0.0)
        if not self.done:
            raise PictureError(f"cannot read {film.source}: it has no frame that can be decoded")
        self._sounds.write()
        self._result.mux(self._out.encode(None))

    def remark(self) -> str | None:
        """Return what a person should know of the result, to follow the film's name."""
        film = self._film
        remarks = []
        if self._is_hdr:
            remarks.append("is HDR: its brightness is taken as that of an ordinary video")
        if self._changes_size:
            remarks.append("changes its size: all of it is fitted into the first, on black")
        if missing_s := film.missing_s:
            frames = round(missing_s * self.done / film.end_s)
            remarks.append(f"breaks off {missing_s:.4g} s, some {frames} frames, before its end")
        if film.damaged:
            remarks.append(f"has damaged frames, which are left out: some {film.damaged}")
        return ", and ".join([*remarks, *self._sounds.remarks()]) or None

    def _frames(self) -> Iterator[Any]:
        """Yield the frames in order; pass on the sound between them."""
        film = self._film
        for packet in film.packets():
            if packet.stream is not film.video:
                self._sounds.take(packet)
                if self.done:  # the first frame gives the size, without which nothing is written
                    self._sounds.write()
                continue
            for decoded in film.decoded(packet):
                yield from self._progressive.frames(decoded)
        yield from self._progressive.frames(None)

    def _paint(self, frame: Any, paint: Callable[[Picture], Picture]) -> None:
        self._is_hdr = self._is_hdr or frame.color_trc in HDR_TRANSFERS
        levels = upright(frame)
        painted = paint(Picture(levels, None)).levels
        size = painted.shape[-2], painted.shape[-1]
        if not self.done:
            self._begin(*size, turned=levels.shape[-1] != frame.width)
        elif size != self.size:
            self._changes_size = True
            painted = fitted(painted, *self.size)
        made = encodable(painted, self._out.pix_fmt)
        made.pts, made.time_base = self._pts(frame), self._film.video.time_base
        self._result.mux(self._out.encode(made))
        self.done += 1

    def _pts(self, frame: Any) -> int:
        """Return a frame's time in units of the video's, later than the last one's."""
        unit = self._film.video.time_base
        if frame.pts is None:
            pts = self._last_pts + max(1, round(1 / self._film.rate / unit))
        else:
            pts = (
                frame.pts if frame.time_base == unit else round(frame.pts * frame.time_base / unit)
            )
        self._last_pts = max(self._last_pts + 1, pts)
        return self._last_pts

    def _begin(self, height: int, width: int, turned: bool) -> None:
        """Set the encoder's size and colours, and write the head of the file."""
        self.size = height, width
        kept = min(self._film.frames or ENCODER_FRAMES, ENCODER_FRAMES)
        check_film_memory(
            self._film.source,
            f"a film painted at {width} x {height} px",
            kept * ENCODER_BYTES * height * width,
            "a smaller --size needs less",
        )
        out = self._out
        out.width, out.height = width, height
        # Colours at half the size, which all can play, need even sides.
        out.pix_fmt = "yuv444p" if width % 2 or height % 2 else "yuv420p"
        context = out.codec_context
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED_RANGE
        pixel = self._film.video.sample_aspect_ratio or Fraction(1)
        out.sample_aspect_ratio = 1 / pixel if turned else pixel
        self._result.start_encoding()


@contextmanager
def _written(target: Path, film: Film, strip: bool, replace: bool) -> Iterator[Any]:
    """Open PyAV's container for the result, with the tags of ``film``."""
    import av

    container = CONTAINERS[target.suffix.lower()][0]
    tags = {} if strip else film_tags(film.container)
    flags = "+faststart" + ("+use_metadata_tags" if need_full_keys(tags) else "")
    with (
        film_errors("write", target, film.source),
        write_atomically(target, replace) as temporary,
        av.open(
            file_url(temporary),
            "w",
            format=container,
            container_options={"movflags": flags} if container in ("mp4", "mov") else {},
            **tags_as_bytes(),
        ) as result,
    ):
        result.metadata.update(tags)
        if not strip:
            result.set_chapters(chapters(film.container))
        yield result

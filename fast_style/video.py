"""Videos, frame by frame, in the memory of a few frames; their sound is copied. Knows PyAV."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from fast_style.files import TargetExistsError, write_atomically
from fast_style.picture import Picture, PictureError, as_bytes
from fast_style.strips import Progress

NEEDED = "videos need PyAV: pip install 'fast-style-trainer[video]'"
# By extension: the container, and the codec that all that play it know.
CONTAINERS = {
    ".mp4": ("mp4", "libx264"),
    ".m4v": ("mp4", "libx264"),
    ".mov": ("mov", "libx264"),
    ".mkv": ("matroska", "libx264"),
    ".webm": ("webm", "libvpx-vp9"),
}
READABLE = (*CONTAINERS, ".avi", ".mpg", ".mpeg", ".mts", ".m2ts", ".wmv", ".3gp", ".ogv")
OTHERWISE = ".mkv"  # of a result, where its own type is not written: it holds any sound
# The constant rate factor of x264 and VP9 that --quality stands for: 95 is 18, as good as lossless
# to the eye; a level less of quality adds QUALITY_STEP.
BEST_FACTOR, BEST_QUALITY, QUALITY_STEP = 18, 95, 0.4
UNKNOWN_RATE = Fraction(25)  # frames a second
# Numbers of ITU-T H.273, which containers and codecs share.
BT709, UNSPECIFIED, BT601 = 1, 2, 5
HDR_TRANSFERS = (16, 18)  # PQ and HLG
HD_HEIGHT = 720  # px, from which on a video that does not say so has the colours of BT.709
LIMITED_RANGE = 1
# Of libswscale: without these flags pictures came out a level darker.
EXACT = ("BICUBIC", "ACCURATE_RND", "FULL_CHR_H_INT", "FULL_CHR_H_INP")
OF_THE_FILE = ("major_brand", "minor_version", "compatible_brands", "encoder", "creation_time")


class Painted(NamedTuple):
    """What has been made of a video."""

    frames: int
    width: int
    height: int
    remark: str | None  # what a person should know, to follow the file's name


def is_video(path: Path) -> bool:
    """Whether a file's name is a video's."""
    return path.suffix.lower() in READABLE


def result_suffix(suffix: str) -> str:
    """Return the extension of what is made of a video with this one."""
    return suffix if suffix.lower() in CONTAINERS else OTHERWISE


def check_video_writable(path: Path) -> None:
    """Check that videos of this file's extension can be written.

    Raises:
        PictureError: They can't.
    """
    if find_spec("av") is None:
        raise PictureError(f"cannot write {path}: {NEEDED}")
    if path.suffix.lower() not in CONTAINERS:
        raise PictureError(f"cannot write {path}: a video's must end in {', '.join(CONTAINERS)}")


def paint_video(
    source: Path,
    target: Path,
    paint: Callable[[Picture], Picture],
    quality: int = BEST_QUALITY,
    strip: bool = False,
    progress: Progress | None = None,
    replace: bool = True,
) -> Painted:
    """Write a video whose frames are another's, painted; times and sound stay as they are.

    H.264, or VP9 in WebM, upright, 8 bits, in the colours of BT.709. Subtitles are left behind.

    Args:
        source: Any file that FFmpeg reads.
        target: Ends in one of ``CONTAINERS``; written whole or not at all.
        paint: Is given each frame and returns it painted, all of one size.
        quality: 1 to 100, as of a JPEG.
        strip: Leave the title, date and place behind.
        progress: Is told the share of the frames that was done since the last.
        replace: Whether a ``target`` that is there by then is replaced.

    Raises:
        PictureError: ``source`` can't be read or has no picture, ``target`` can't be written, is
            not to be replaced, or its container does not hold the sound.
    """
    check_video_writable(target)
    import av

    container, codec = CONTAINERS[target.suffix.lower()]
    factor = BEST_FACTOR + (BEST_QUALITY - quality) * QUALITY_STEP
    options = {"crf": str(round(factor))} | ({"b": "0"} if container == "webm" else {})
    done, size, is_hdr = 0, (0, 0), False
    with _errors("read", source), av.open(str(source)) as film:
        if not film.streams.video:
            raise PictureError(f"cannot read {source}: it has sound, but no picture")
        video = film.streams.video[0]
        if video.codec_context is None:
            raise PictureError(f"cannot read {source}: FFmpeg does not know its kind of picture")
        video.thread_type = "AUTO"
        expected = max(1, _frames(film, video))
        with (
            _errors("write", target),
            write_atomically(target, replace) as temporary,
            av.open(
                str(temporary),
                "w",
                format=container,
                container_options={"movflags": "+faststart"} if container in ("mp4", "mov") else {},
            ) as result,
        ):
            if not strip:
                kept = {k: v for k, v in film.metadata.items() if k not in OF_THE_FILE}
                result.metadata.update(kept)
            out: Any = result.add_stream(codec, video.average_rate or UNKNOWN_RATE, options)
            out.codec_context.time_base = video.time_base
            sounds = _Sounds(film, result, target)
            last_pts = -1
            for packet in _packets(film, [video, *sounds.streams], source):
                if packet.stream is not video:
                    sounds.take(packet)
                    if done:  # the first frame gives the size, without which nothing is written
                        result.mux(sounds.taken())
                    continue
                for frame in _decoded(packet):
                    levels = upright(frame)
                    is_hdr = is_hdr or frame.color_trc in HDR_TRANSFERS
                    painted = paint(Picture(levels, None)).levels
                    if not done:
                        size = painted.shape[-2], painted.shape[-1]
                        _describe(out, *size)
                        pixel = video.sample_aspect_ratio or Fraction(1)
                        turned = levels.shape[-1] != frame.width
                        out.sample_aspect_ratio = 1 / pixel if turned else pixel
                        sounds.begin()
                    made = _encodable(painted, out.pix_fmt)
                    last_pts = max(last_pts + 1, frame.pts if frame.pts is not None else 0)
                    made.pts, made.time_base = last_pts, video.time_base
                    result.mux(out.encode(made))
                    done += 1
                    if progress is not None:
                        progress(1 / expected if done <= expected else 0.0)
            if not done:
                raise PictureError(f"cannot read {source}: it has no frame that can be decoded")
            result.mux([*sounds.taken(), *out.encode(None)])
    remarks = ["is HDR: its brightness is taken as that of an ordinary video"] if is_hdr else []
    if sounds.unknown:
        remarks.append("has a sound of a kind that FFmpeg does not know: it is left out")
    return Painted(done, size[1], size[0], ", and ".join(remarks) or None)


class _Sounds:
    """Copies the sound of ``film`` to ``result``, which is the file ``target``.

    ``streams`` are those that are copied, ``unknown`` is how many FFmpeg has no name for.

    Raises:
        PictureError: ``result`` does not hold it.
    """

    def __init__(self, film: Any, result: Any, target: Path) -> None:
        self.streams = [sound for sound in film.streams.audio if sound.codec_context is not None]
        self.unknown = len(film.streams.audio) - len(self.streams)
        self._result = result
        names = ", ".join(sound.codec_context.name for sound in self.streams)
        self._refusal = (
            f"cannot write {target}: {target.suffix} does not hold its sound ({names}); "
            "name it .mkv"
        )
        self._streams = {}
        for sound in self.streams:
            if sound.codec_context.name not in result.supported_codecs:
                raise PictureError(self._refusal)
            self._streams[sound.index] = result.add_stream_from_template(sound)
        self._last: dict[int, int] = {}  # the time of each stream's last packet
        self._taken: list[Any] = []

    def begin(self) -> None:
        """Have the head of the file written, by which some sounds are found not to fit."""
        import av

        try:
            self._result.start_encoding()
        except av.error.ArgumentError as error:
            if not self.streams:
                raise
            raise PictureError(self._refusal) from error

    def take(self, packet: Any) -> None:
        """Keep a packet of the film's sound."""
        index = packet.stream.index
        # The last, which ends the stream, is empty; damaged ones may go back in time.
        if packet.dts is None or packet.dts <= self._last.get(index, packet.dts - 1):
            return
        self._last[index] = packet.dts
        packet.stream = self._streams[index]
        self._taken.append(packet)

    def taken(self) -> list[Any]:
        """Return the packets since the last call, to be written."""
        packets, self._taken = self._taken, []
        return packets


def upright(frame: Any) -> torch.Tensor:
    """Return a decoded frame as it is to be seen, ``(1, 3, H, W)``, uint8."""
    colors = frame.colorspace
    if colors == UNSPECIFIED:
        colors = BT709 if frame.height >= HD_HEIGHT else BT601
    pixels: npt.NDArray[np.uint8] = frame.to_ndarray(
        format="rgb24", src_colorspace=colors, interpolation=_exact()
    )
    turned = np.rot90(pixels, round(frame.rotation / 90))
    return torch.from_numpy(np.ascontiguousarray(turned)).permute(2, 0, 1)[None]


def _exact() -> int:
    from av.video.reformatter import Interpolation

    return sum(int(Interpolation[name]) for name in EXACT)


def _encodable(levels: torch.Tensor, pixel_format: str) -> Any:
    import av

    pixels = as_bytes(levels)[0].permute(1, 2, 0).contiguous().cpu().numpy()
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    made = frame.reformat(
        format=pixel_format,
        dst_colorspace=BT709,
        dst_color_range=LIMITED_RANGE,
        interpolation=_exact(),
    )
    made.colorspace, made.color_range = BT709, LIMITED_RANGE
    return made


def _describe(out: Any, height: int, width: int) -> None:
    """Say what the frames of a stream will be."""
    out.width, out.height = width, height
    # Colours at half the size, which all can play, need even sides.
    out.pix_fmt = "yuv444p" if width % 2 or height % 2 else "yuv420p"
    context = out.codec_context
    context.colorspace = context.color_primaries = context.color_trc = BT709
    context.color_range = LIMITED_RANGE


def _frames(film: Any, video: Any) -> int:
    """Return how many frames a video says or seems to have."""
    if video.frames:
        return int(video.frames)
    seconds = film.duration / 1_000_000 if film.duration else 0
    return round(seconds * (video.average_rate or UNKNOWN_RATE))


def _packets(film: Any, streams: list[Any], source: Path) -> Iterator[Any]:
    with _errors("read", source):
        yield from film.demux(streams)


def _decoded(packet: Any) -> list[Any]:
    """Return the frames of a packet; none if it is damaged: the next ones are whole again."""
    import av

    try:
        return list(packet.decode())
    except av.error.InvalidDataError:
        return []


@contextmanager
def _errors(what: str, path: Path) -> Iterator[None]:
    """Turn FFmpeg's errors and the system's into a ``PictureError`` that names the file."""
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
        raise PictureError(f"cannot {what} {path}: {reason}") from error

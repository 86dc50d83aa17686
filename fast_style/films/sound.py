"""The sound of painted videos: copied, or encoded anew where its container can't hold it.

Knows PyAV.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fast_style.films.film import Film, open_film
from fast_style.films.tags import stream_tags, tags_as_bytes

# Encoders for sound that a container does not hold: FFmpeg's name, and the one that people know.
# Every player of the container can play them.
ENCODERS = {"webm": ("libopus", "Opus")}
ENCODER = ("aac", "AAC")
BITS_PER_CHANNEL = 96_000  # a second: as good as the original to the ear, in both
BITS_PER_SAMPLE = 6  # at most that AAC holds
TRIED_PACKETS = 1000  # of a film, in which the first of each sound are looked for


class Sounds:
    """Copies or encodes the sound of a film; a film is never refused for its sound.

    Args:
        film: Is read.
        result: PyAV's container, to be written.
        target: Its file, as a person knows it.
        strip: Leave languages and titles behind.
    """

    def __init__(self, film: Film, result: Any, target: Path, strip: bool) -> None:
        self._result = result
        self._suffix = target.suffix
        self._encoder, self._kind = ENCODERS.get(result.format.name, ENCODER)
        self._outputs: dict[int, _Copied | _Reencoded] = {}
        self._encoded: list[str] = []
        self._left_out: list[str] = []
        self._damaged: list[str] = []
        self._unknown = film.unknown_sounds
        self._taken: list[Any] = []
        held = _copyable(film, result.format.name) if film.sounds else set()
        for sound in film.sounds:
            name = sound.codec_context.name
            output = _Copied(sound, result) if sound.index in held else self._encoder_for(sound)
            if output is None:
                self._left_out.append(name)
                continue
            if isinstance(output, _Reencoded):
                self._encoded.append(name)
            output.stream.disposition = sound.disposition
            if not strip:
                output.stream.metadata.update(stream_tags(sound, result.format.name))
            self._outputs[sound.index] = output

    def _encoder_for(self, sound: Any) -> _Reencoded | None:
        import av

        try:
            return _Reencoded(sound, self._result, self._encoder)
        except (av.FFmpegError, ValueError):
            return None

    def take(self, packet: Any) -> None:
        """Keep a packet of the film's sound, or what is made of it."""
        if (output := self._outputs.get(packet.stream.index)) is not None:
            name = packet.stream.codec_context.name
            self._taken += output.packets(packet)
            if isinstance(output, _Reencoded) and output.damaged and name not in self._damaged:
                self._damaged.append(name)

    def write(self) -> None:
        """Write what was taken since the last call."""
        import av

        packets, self._taken = self._taken, []
        for packet in packets:
            try:
                self._result.mux(packet)
            except (av.error.ArgumentError, av.error.InvalidDataError):  # not the disk's fault
                self._damaged.append(packet.stream.codec_context.name)

    def remarks(self) -> list[str]:
        """Return what a person should know, each to follow the film's name."""
        remarks = []
        if self._encoded:
            remarks.append(
                f"has a sound ({_names(self._encoded)}) that {self._suffix} does not hold: it is "
                f"encoded anew, as {self._kind}"
            )
        if self._left_out:
            remarks.append(
                f"has a sound ({_names(self._left_out)}) that can be neither copied nor encoded: "
                "it is left out"
            )
        if self._damaged:
            remarks.append(
                f"has a damaged sound ({_names(self._damaged)}): parts of it are left out"
            )
        if self._unknown:
            remarks.append("has a sound of a kind that FFmpeg does not know: it is left out")
        return remarks


class _Copied:
    """A sound whose packets are copied."""

    def __init__(self, sound: Any, result: Any) -> None:
        self.stream = result.add_stream_from_template(sound)
        self._last: int | None = None  # time of the last packet

    def packets(self, packet: Any) -> list[Any]:
        """Return what is to be written for a packet of the film."""
        # The last, which ends the stream, is empty; damaged ones may go back in time.
        if packet.dts is None or (self._last is not None and packet.dts <= self._last):
            return []
        self._last = packet.dts
        packet.stream = self.stream
        return [packet]


class _Reencoded:
    """A sound that is decoded and encoded again; its times stay.

    Raises:
        FFmpegError, ValueError: It can't be, by PyAV.
    """

    def __init__(self, sound: Any, result: Any, encoder: str) -> None:
        import av

        source = sound.codec_context
        source.open()
        rates = av.Codec(encoder, "w").audio_rates or [source.sample_rate]
        rate = min((one for one in rates if one >= source.sample_rate), default=max(rates))
        # By "1c" and the like FFmpeg means the usual layout of so many channels, as of old files.
        layouts = (source.layout.name, f"{source.layout.nb_channels}c", "stereo")
        layout = next((one for one in layouts if _encodes(encoder, rate, one)), layouts[-1])
        self.stream = result.add_stream(encoder, rate=rate)
        self._context = self.stream.codec_context
        self._context.layout = layout
        self._context.bit_rate = _bit_rate(rate, self._context.layout.nb_channels)
        self._context.open()
        self.damaged = False
        self._shape: tuple[Any, ...] | None = None  # of what the filters take
        self._graph: Any = None

    def packets(self, packet: Any) -> list[Any]:
        """Return what is to be written for a packet of the film; an empty one is the last."""
        import av

        try:
            frames = packet.decode()
        except av.FFmpegError as error:  # silence takes its place
            self.damaged |= isinstance(error, av.error.InvalidDataError)
            frames = []
        made = [one for frame in frames for one in self._encoded(self._evened(frame))]
        if packet.dts is None and not packet.size:
            made += [*self._encoded(self._end()), *self.stream.encode(None)]
        return made

    def _encoded(self, frames: Iterator[Any]) -> Iterator[Any]:
        for frame in frames:
            yield from self.stream.encode(frame)

    def _evened(self, frame: Any) -> Iterator[Any]:
        """Yield sound in the encoder's format and frame size, gaps filled by silence."""
        shape = frame.format.name, frame.layout.name, frame.sample_rate
        if shape != self._shape:
            yield from self._end()
            self._begin(frame, shape)
        self._graph.push(frame)
        yield from self._pulled()

    def _begin(self, frame: Any, shape: tuple[Any, ...]) -> None:
        import av

        self._shape, self._graph = shape, av.filter.Graph()
        name, layout, rate = shape
        context = self._context
        nodes = [
            self._graph.add_abuffer(
                format=name, layout=layout, sample_rate=rate, time_base=frame.time_base
            ),
            self._graph.add("aresample", "async=1"),
            self._graph.add(
                "aformat",
                f"sample_fmts={context.format.name}:sample_rates={context.sample_rate}"
                f":channel_layouts={context.layout.name}",
            ),
            self._graph.add("abuffersink"),
        ]
        self._graph.link_nodes(*nodes).configure()
        if context.frame_size:
            self._graph.set_audio_frame_size(context.frame_size)

    def _pulled(self) -> Iterator[Any]:
        import av

        while True:
            try:
                yield self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return

    def _end(self) -> Iterator[Any]:
        if self._graph is not None:
            self._graph.push(None)
            yield from self._pulled()
            self._shape = self._graph = None


def _copyable(film: Film, container: str) -> set[int]:
    """Return the indices of the sounds that a container takes as they are."""
    first: dict[int, Any] = {}  # packet of each
    with open_film(film.source) as again:  # opened anew, so that ``film`` stays at its beginning
        for number, packet in enumerate(again.packets()):
            if packet.stream is not again.video and packet.dts is not None:
                first.setdefault(packet.stream.index, packet)
            if len(first) == len(again.sounds) or number >= TRIED_PACKETS:
                break
        return {one.index for one in again.sounds if _holds(container, one, first.get(one.index))}


def _holds(container: str, sound: Any, packet: Any) -> bool:
    """Whether a container takes a sound: some are found not to fit by its head or first packet."""
    import av

    try:
        with av.open(io.BytesIO(), "w", format=container, **tags_as_bytes()) as trial:
            if sound.codec_context.name not in trial.supported_codecs:
                return False
            stream = trial.add_stream_from_template(sound)
            trial.start_encoding()
            if packet is not None:
                packet.stream = stream
                trial.mux(packet)
    except (av.FFmpegError, ValueError):
        return False
    return True


def _encodes(encoder: str, rate: int, layout: str) -> bool:
    """Whether an encoder takes a layout of channels."""
    import av

    context: Any = av.CodecContext.create(encoder, "w")
    try:
        context.sample_rate, context.layout = rate, layout
        context.format = context.codec.audio_formats[0]
        context.bit_rate = _bit_rate(rate, context.layout.nb_channels)
        context.open()
    except (av.FFmpegError, ValueError):
        return False
    return True


def _bit_rate(rate: int, channels: int) -> int:
    return channels * min(BITS_PER_CHANNEL, BITS_PER_SAMPLE * rate)


def _names(names: list[str]) -> str:
    return ", ".join(dict.fromkeys(names))

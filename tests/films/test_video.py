"""Videos: frames, times, sound, and every way in which a file can be wrong."""

from __future__ import annotations

import io
import json
import os
import re
import resource
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stylizing import run
from torch import Tensor

import fast_style.films.sound
from fast_style.films import video
from fast_style.films.frames import upright
from fast_style.films.tags import tags_as_bytes
from fast_style.films.video import paint_video
from fast_style.images.picture import Picture, PictureError
from fast_style.images.profiles import HDR_TRANSFERS
from fast_style.painting.style import Style
from fast_style.stylize import main

av: Any = pytest.importorskip("av")
SIZE = (64, 48)  # px, width and height
RATE = 10
TONE_S = 0.6  # when the tone of a film ends
Capture = pytest.CaptureFixture[str]


def scene(number: int, width: int, height: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return a frame: smooth colours, dark at the left, that get bluer with time."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    planes = [40 + 180 * x / width, 60 + 120 * y / height, np.full_like(x, 50.0 + 10 * number)]
    return np.stack(planes, -1).round().astype(np.uint8)


def put_tone(container: Any, stream: Any, gap_s: float) -> None:
    """Write a tone from 0.2 to 0.6 s, of 0.8 s, its second half later by ``gap_s``."""
    context = stream.codec_context
    if not context.is_open:
        context.bit_rate = 64_000
        context.open()
    size = context.frame_size or 960
    resampler = av.AudioResampler(context.format, "mono", 48000, size)
    places = np.arange(int(0.8 * 48000))
    loud = (places >= 0.2 * 48000) & (places < TONE_S * 48000)
    samples = (np.sin(places * 0.06) * loud * 20_000).astype(np.int16)[None]
    block = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
    block.sample_rate, block.pts, block.time_base = 48000, 0, Fraction(1, 48000)
    for piece in [*resampler.resample(block), *resampler.resample(None)]:
        if piece.pts >= 0.4 * 48000:
            piece.pts += round(gap_s * 48000)
        container.mux(stream.encode(piece))
    container.mux(stream.encode(None))


def heard(path: Path) -> tuple[float, float, float]:
    """Return when the tone of a video begins and ends, s after its first frame; how loud it is."""
    with av.open(str(path)) as container:
        sound, video = container.streams.audio[0], container.streams.video[0]
        start_s, pieces = None, []
        time = None
        for frame in container.decode(sound, video):
            if isinstance(frame, av.VideoFrame):
                start_s = frame.time if start_s is None else start_s
                continue
            levels = frame.to_ndarray().astype(np.float64)
            scale = {"s": 2.0**15, "f": 1.0, "d": 1.0, "u": 128.0}[frame.format.name[0]]
            levels = (levels - (128 if frame.format.name[0] == "u" else 0)) / scale
            time = frame.time if frame.time is not None else time
            assert time is not None
            pieces.append((time + np.arange(levels.shape[1]) / frame.sample_rate, levels[0]))
            time += levels.shape[1] / frame.sample_rate
    times, levels = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
    loud = times[np.abs(levels) > 0.3]
    assert start_s is not None
    inside = levels[(times > loud[0] + 0.05) & (times < loud[-1] - 0.05)]
    return loud[0] - start_s, loud[-1] - start_s, float(np.sqrt((inside**2).mean()))


def film(
    path: Path,
    size: tuple[int, int] = SIZE,
    times: Sequence[int] = range(8),
    codec: str = "libx264",
    sound: str | None = "aac",
    turned: int = 0,
    title: str = "",
    transfer: int | None = None,
    gap_s: float = 0,
) -> Path:
    """Write a video, ``times`` in tenths of a second, with a tone from 0.2 to 0.6 s.

    In its middle the sound has a gap.
    """
    with av.open(str(path), "w", **tags_as_bytes()) as container:
        if title:
            container.metadata["title"] = title
        stream = container.add_stream(codec, rate=RATE, options={"crf": "4"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        if transfer is not None:
            stream.codec_context.color_trc = transfer
        if turned:
            stream.set_display_rotation(turned)
        tone = container.add_stream(sound, rate=48000) if sound else None
        if tone is not None:
            tone.layout = "mono"
            put_tone(container, tone, gap_s)
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(scene(number, *size), format="rgb24")
            frame.pts, frame.time_base = time * 100, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def frames(path: Path) -> tuple[list[float], list[Tensor]]:
    """Return the times, seconds, and the frames of a video."""
    with av.open(str(path)) as container:
        decoded = list(container.decode(video=0))
    return [round(frame.time, 3) for frame in decoded], [upright(frame) for frame in decoded]


def sound_of(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(p) for p in container.demux(audio=0) if p.dts is not None]


def first_sound_s(path: Path) -> float:
    with av.open(str(path)) as container:
        packet = next(container.demux(audio=0))
        return float(packet.pts * packet.time_base)


def same(picture: Picture) -> Picture:
    return picture


def inverted(picture: Picture) -> Picture:
    return picture._replace(levels=255 - picture.levels)


def distance(one: Tensor, two: Tensor) -> float:
    assert one.shape == two.shape
    return float((one.float() - two.float()).abs().mean())


@pytest.mark.parametrize("name", ["b.mp4", "b.mov", "b.mkv", "B.MP4"])
def test_frames_times_sound_and_title_stay(tmp_path: Path, name: str) -> None:
    source = film(tmp_path / "a.mp4", times=[0, 1, 2, 5, 6, 11], title="Harbour")
    shares: list[float] = []
    made = paint_video(source, tmp_path / name, inverted, progress=shares.append)
    assert made == (6, 64, 48, None)
    times, found = frames(tmp_path / name)
    # A sound that begins before 0 moves all of a Matroska file to later.
    assert [round(time - times[0], 3) for time in times] == [0, 0.1, 0.2, 0.5, 0.6, 1.1]
    assert times[0] - first_sound_s(tmp_path / name) == pytest.approx(
        -first_sound_s(source), abs=0.0015
    )
    for number, frame in enumerate(found):
        expected = 255 - torch.from_numpy(scene(number, *SIZE)).permute(2, 0, 1)[None]
        assert distance(frame, expected) < 3
        assert float((frame.float() - expected.float()).mean()) == pytest.approx(0, abs=0.7)
    assert sound_of(tmp_path / name) == sound_of(source)
    with av.open(str(tmp_path / name)) as container:
        found_metadata = {key.lower(): value for key, value in container.metadata.items()}
        assert found_metadata["title"] == "Harbour"
    assert sum(shares) == pytest.approx(1)


def test_colours_stay_over_generations(tmp_path: Path) -> None:
    path = film(tmp_path / "0.mp4", (320, 240))
    for number in range(4):
        paint_video(path, tmp_path / f"{number + 1}.mp4", same)
        path = tmp_path / f"{number + 1}.mp4"
    before, after = (frames(tmp_path / name)[1][3].float().mean((2, 3)) for name in ("0.mp4", path))
    torch.testing.assert_close(before, after, atol=1.0, rtol=0)


def test_a_title_is_left_behind(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", title="Harbour")
    paint_video(source, tmp_path / "b.mp4", same, strip=True)
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert "title" not in container.metadata


@pytest.mark.parametrize("turned", [90, -90, 180])
def test_a_turned_video_comes_out_upright(tmp_path: Path, turned: int) -> None:
    source = film(tmp_path / "a.mp4", turned=turned)
    made = paint_video(source, tmp_path / "b.mp4", same)
    expected = np.rot90(scene(0, *SIZE), turned // 90)
    assert (made.height, made.width) == expected.shape[:2]
    with av.open(str(tmp_path / "b.mp4")) as container:
        frame = next(container.decode(video=0))
    assert frame.rotation == 0
    pixels = torch.from_numpy(expected.copy()).permute(2, 0, 1)[None]
    assert distance(upright(frame), pixels) < 3


@pytest.mark.parametrize("size", [(63, 48), (64, 47), (33, 45)])
def test_an_odd_size_is_kept(tmp_path: Path, size: tuple[int, int]) -> None:
    source = film(tmp_path / "a.mkv", size)
    paint_video(source, tmp_path / "b.mkv", same)
    found = frames(tmp_path / "b.mkv")[1]
    assert found[0].shape == (1, 3, size[1], size[0])
    assert distance(found[0], torch.from_numpy(scene(0, *size)).permute(2, 0, 1)[None]) < 3


def test_quality_is_the_size_of_the_file(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", (160, 120), sound=None)

    def noisy(picture: Picture) -> Picture:
        return picture._replace(levels=torch.randint(0, 256, (1, 3, 120, 160), dtype=torch.uint8))

    sizes = []
    for quality in (30, 95, 100):
        paint_video(source, tmp_path / f"{quality}.mp4", noisy, quality)
        sizes.append((tmp_path / f"{quality}.mp4").stat().st_size)
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[1] / 2


def test_webm(tmp_path: Path) -> None:
    source = film(tmp_path / "a.webm", codec="libvpx-vp9", sound="libopus")
    paint_video(source, tmp_path / "b.webm", inverted)
    assert len(frames(tmp_path / "b.webm")[0]) == 8
    assert sound_of(tmp_path / "b.webm") == sound_of(source)


@pytest.mark.parametrize(
    ("name", "sound", "target", "found"),
    [
        ("a.mp4", "aac", "b.webm", "opus"),
        ("a.mkv", "libopus", "b.mov", "aac"),  # which only the head of the file refuses
        ("a.mkv", "flac", "b.mov", "aac"),
        ("a.mov", "pcm_s8", "b.mkv", "aac"),
        ("a.wmv", "wmav2", "b.mkv", "aac"),
        ("a.avi", "pcm_mulaw", "b.mkv", "aac"),
        ("a.avi", "pcm_alaw", "b.mp4", "aac"),
        ("a.avi", "adpcm_ms", "b.mkv", "aac"),
        ("a.ogv", "flac", "b.webm", "opus"),
    ],
)
def test_a_sound_that_the_container_does_not_hold_is_encoded_anew(
    tmp_path: Path, name: str, sound: str, target: str, found: str
) -> None:
    codec = {"wmv": "wmv2", "avi": "mpeg4", "ogv": "libvpx"}.get(name[2:], "libx264")
    source = film(tmp_path / name, codec=codec, sound=sound)
    made = paint_video(source, tmp_path / target, same)
    assert made.frames == 8
    assert made.remark is not None
    assert f"{target[1:]} does not hold: it is encoded anew, as {found}" in made.remark.lower()
    with av.open(str(tmp_path / target)) as container:
        assert [one.codec_context.name for one in container.streams.audio] == [found]
    before, after = heard(source), heard(tmp_path / target)
    assert after[0] == pytest.approx(before[0], abs=0.002)  # when the tone begins
    assert after[1] == pytest.approx(before[1], abs=0.02)  # and ends
    assert after[2] == pytest.approx(before[2], rel=0.05)  # and how loud it is


def test_a_gap_in_a_sound_stays_one_when_it_is_encoded_anew(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mkv", sound="flac", times=range(20), gap_s=0.7)
    paint_video(source, tmp_path / "b.webm", same)
    assert heard(tmp_path / "b.webm")[1] == pytest.approx(TONE_S + 0.7, abs=0.02)
    assert heard(source)[1] == pytest.approx(TONE_S + 0.7, abs=0.02)
    with av.open(str(tmp_path / "b.webm")) as container:  # filled by silence, for all players
        samples = sum(frame.samples for frame in container.decode(audio=0))
    assert samples / 48000 == pytest.approx(0.8 + 0.7, abs=0.05)


def test_sound_of_old_phones(tmp_path: Path) -> None:
    (tmp_path / "a.amr").write_bytes(b"#!AMR\n" + (b"\x04" + bytes(12)) * 50)  # a second
    with av.open(str(tmp_path / "a.amr")) as amr, av.open(str(tmp_path / "a.3gp"), "w") as made:
        video = made.add_stream("h263", RATE, width=128, height=96)
        sound = made.add_stream_from_template(amr.streams.audio[0])
        for number in range(8):
            frame = av.VideoFrame.from_ndarray(scene(number, 128, 96), format="rgb24")
            made.mux(video.encode(frame))
        made.mux(video.encode(None))
        for packet in amr.demux(audio=0):
            if packet.dts is not None:
                packet.stream = sound
                made.mux(packet)
    remark = paint_video(tmp_path / "a.3gp", tmp_path / "b.mkv", same).remark
    assert "(amrnb)" in str(remark)
    with av.open(str(tmp_path / "b.mkv")) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
    assert samples / 8000 == pytest.approx(1, abs=0.15)


def test_a_sound_that_cannot_be_encoded_either_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = film(tmp_path / "a.mp4")
    monkeypatch.setattr(fast_style.films.sound, "ENCODERS", {"webm": ("no_such_encoder", "")})
    made = paint_video(source, tmp_path / "b.webm", same)
    assert made.frames == 8
    assert "sound (aac)" in str(made.remark)
    with av.open(str(tmp_path / "b.webm")) as container:
        assert not container.streams.audio


def test_a_sound_of_an_unknown_kind_is_left_out(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    source = film(tmp_path / "a.mov", sound="pcm_s16le")
    known = source.read_bytes()
    source.write_bytes(known.replace(b"sowt", b"apac"))  # as of phones' spatial sound
    assert source.read_bytes() != known
    target = tmp_path / "b.mov"
    code, _, err = run(capsys, tiny_model, source, "-o", target)
    assert code == 0
    assert [line for line in err if "a.mov" in line and "sound" in line]
    assert len(frames(target)[0]) == 8
    with av.open(str(target)) as made:
        assert not made.streams.audio


# What a film says beside its pictures

MOTHER_TONGUES = ({"language": "eng", "title": "Film"}, {"language": "deu", "title": "Kommentar"})
SAID = {
    "title": "Harbour",
    "creation_time": "2024-01-02T03:04:05.000000Z",
    "location": "+48.1372+011.5755/",
    "com.apple.quicktime.make": "Apple",
    "com.apple.quicktime.location.ISO6709": "+48.1372+011.5755+500.000/",
}
CHAPTERS = [(0, 0.3, "Arrival"), (0.3, 0.8, "Departure")]


def telling_film(path: Path) -> Path:
    """Write a film with two sounds, of which the second is the default, chapters and a date."""
    flags = {"movflags": "use_metadata_tags"} if path.suffix in (".mp4", ".mov") else {}
    with av.open(str(path), "w", container_options=flags) as container:
        container.metadata.update(SAID)
        video = container.add_stream("libx264", rate=RATE)
        video.width, video.height = SIZE
        video.metadata["title"] = "Main picture"
        sounds = [container.add_stream("aac", rate=48000, layout="mono") for _ in MOTHER_TONGUES]
        for sound, said in zip(sounds, MOTHER_TONGUES, strict=True):
            sound.metadata.update(said)
            if path.suffix == ".mov" and said["language"] == "deu":
                sound.metadata["language"] = "ger"
        default = av.stream.Disposition.default
        sounds[0].disposition, sounds[1].disposition = 0, default
        container.set_chapters(
            [
                {
                    "id": number,
                    "start": round(start_s * 1000),
                    "end": round(end_s * 1000),
                    "time_base": Fraction(1, 1000),
                    "metadata": {"title": title},
                }
                for number, (start_s, end_s, title) in enumerate(CHAPTERS)
            ]
        )
        for sound in sounds:
            put_tone(container, sound, 0)
        for number in range(8):
            frame = av.VideoFrame.from_ndarray(scene(number, *SIZE), format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


@pytest.mark.parametrize("source", ["a.mov", "a.mp4", "a.mkv"])
@pytest.mark.parametrize("target", ["b.mov", "b.mp4", "b.mkv", "b.webm"])
def test_date_place_languages_and_chapters_stay(tmp_path: Path, source: str, target: str) -> None:
    paint_video(telling_film(tmp_path / source), tmp_path / target, same)
    with av.open(str(tmp_path / target)) as container:
        lower = target[1:] in (".mkv", ".webm")  # Matroska's keys have no case
        found = {k.lower() if lower else k: v for k, v in container.metadata.items()}
        found["creation_time"] = found["creation_time"].removesuffix(f";{SAID['creation_time']}")
        assert {k: found.get(k.lower() if lower else k) for k in SAID} == SAID
        sounds = container.streams.audio
        german = "ger" if "mov" in source + target else "deu"  # both are right
        assert [sound.metadata.get("language") for sound in sounds] == ["eng", german]
        titles = [one.metadata.get("title", one.metadata.get("name")) for one in sounds]
        assert titles == ["Film", "Kommentar"]
        assert [bool(one.disposition & 1) for one in sounds] == [False, True]
        chapters = [
            (one["start"] * one["time_base"], one["end"] * one["time_base"], one["metadata"])
            for one in container.chapters()
        ]
        assert [(pytest.approx(s), pytest.approx(e), {"title": t}) for s, e, t in CHAPTERS] == (
            chapters
        )


@pytest.mark.parametrize("target", ["b.mov", "b.mp4", "b.mkv", "b.webm"])
def test_stripped_of_all_that_is_said(tmp_path: Path, target: str) -> None:
    source = telling_film(tmp_path / "a.mov")
    paint_video(source, tmp_path / target, same, strip=True)
    with av.open(str(tmp_path / target)) as container:
        assert len(container.streams.audio) == 2
        assert not container.chapters()
        said = [container.metadata, *(one.metadata for one in container.streams)]
        private = {*SAID.values(), "Film", "Kommentar", "Main picture", "eng", "deu"}
        assert not [v for one in said for v in one.values() if v in private]
    content = (tmp_path / target).read_bytes()
    assert not [
        word for word in (b"Harbour", b"Apple", b"Kommentar", b"Arrival") if word in content
    ]


def test_a_title_in_another_encoding_stays_byte_for_byte(tmp_path: Path) -> None:
    title = b"K\xfcste".decode("utf-8", "surrogateescape")
    source = film(tmp_path / "a.mkv", title=title)
    paint_video(source, tmp_path / "b.mkv", same)
    assert b"K\xfcste" in (tmp_path / "b.mkv").read_bytes()


def test_the_title_of_an_ogg_film_is_its_streams(tmp_path: Path) -> None:
    source = film(tmp_path / "a.ogv", codec="libvpx", sound="libopus", title="Harbour")
    paint_video(source, tmp_path / "b.webm", same)
    with av.open(str(tmp_path / "b.webm")) as container:
        assert container.metadata["title"] == "Harbour"


# Which pictures of a file


def with_cover_first(path: Path) -> Path:
    """Put a cover into an MP4 as its first stream, as mutagen does."""
    from PIL import Image

    def box(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">L4s", 8 + len(body), kind) + body

    cover = io.BytesIO()
    Image.new("RGB", (640, 640), "red").save(cover, "JPEG")
    art = box(b"covr", box(b"data", struct.pack(">LL", 13, 0) + cover.getvalue()))
    handler = box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    tags = box(b"udta", box(b"meta", bytes(4) + handler + box(b"ilst", art)))
    data = path.read_bytes()
    at = data.rfind(b"moov") - 4  # behind the frames, whose places stay
    size = struct.unpack(">L", data[at : at + 4])[0]
    moov = data[at + 8 : at + size].replace(b"udta", b"free")
    path.write_bytes(data[:at] + box(b"moov", tags + moov) + data[at + size :])
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "mjpeg"
    return path


def test_a_cover_is_not_the_film(tmp_path: Path) -> None:
    source = with_cover_first(film(tmp_path / "a.mp4"))
    assert paint_video(source, tmp_path / "b.mp4", same)[:3] == (8, *SIZE)


def test_of_two_films_in_a_file_the_default_one_is_painted(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        streams = [container.add_stream("libx264", rate=RATE) for _ in range(2)]
        for stream, size, default in zip(streams, ((96, 96), SIZE), (0, 1), strict=True):
            stream.width, stream.height = size
            stream.disposition = default
        for number in range(3):
            for stream in streams:
                levels = scene(number, stream.width, stream.height)
                frame = av.VideoFrame.from_ndarray(levels, format="rgb24")
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    assert paint_video(tmp_path / "a.mkv", tmp_path / "b.mkv", same)[:3] == (3, *SIZE)


# What is odd about a film


def test_hdr_is_told(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", transfer=HDR_TRANSFERS[0])
    remark = paint_video(source, tmp_path / "b.mp4", same).remark
    assert remark is not None
    assert remark.startswith("is HDR")


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "libx264"), ("a.avi", "ffv1")])
def test_a_video_that_breaks_off_is_painted_until_there(
    tmp_path: Path, name: str, codec: str
) -> None:
    source = film(tmp_path / name, (160, 120), times=range(60), codec=codec, sound=None)
    data = source.read_bytes()
    source.write_bytes(data[: len(data) * 2 // 3])
    made = paint_video(source, tmp_path / "b.mkv", same)
    assert 10 < made.frames < 58
    assert len(frames(tmp_path / "b.mkv")[0]) == made.frames
    found = re.search(r"breaks off (\S+) s, some (\d+) frames, before its end", str(made.remark))
    assert found is not None
    assert float(found[1]) == pytest.approx((60 - made.frames) / RATE, abs=0.21)
    assert int(found[2]) == pytest.approx(60 - made.frames, abs=2)


def test_an_mp4_that_breaks_off_is_told(tmp_path: Path) -> None:
    whole = film(tmp_path / "a.mp4", times=range(30))
    source = tmp_path / "c.mp4"
    paint_video(whole, source, same)  # with its head at the front
    data = source.read_bytes()
    source.write_bytes(data[: len(data) * 2 // 3])
    made = paint_video(source, tmp_path / "b.mp4", same)
    assert 5 < made.frames < 28
    assert "breaks off" in str(made.remark)


def test_a_film_whose_sound_goes_on_does_not_break_off(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mkv"):
        source = film(tmp_path / name, times=range(2))  # 0.2 s, and 0.8 s of sound
        assert paint_video(source, tmp_path / f"b{source.suffix}", same).remark is None


def test_what_changes_its_size_keeps_its_shape(tmp_path: Path) -> None:
    parts = [film(tmp_path / "0.ts", (64, 48), range(4), sound=None)]
    parts.append(film(tmp_path / "1.ts", (64, 96), range(4, 8), sound=None))
    source = tmp_path / "a.ts"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    made = paint_video(source, tmp_path / "b.mp4", same)
    assert made[:3] == (8, 64, 48)
    assert "changes its size" in str(made.remark)
    last = frames(tmp_path / "b.mp4")[1][-1].float().mean(1)[0]
    bright = (last[24] > 30).nonzero()
    assert int(bright.min()) == pytest.approx(16, abs=2)
    assert int(bright.max()) == pytest.approx(47, abs=2)


def test_the_times_of_a_broadcast_begin_at_none(tmp_path: Path) -> None:
    source = film(tmp_path / "a.ts", times=range(72_000, 72_008), sound=None)  # two hours
    paint_video(source, tmp_path / "b.mkv", same)
    assert frames(tmp_path / "b.mkv")[0] == [round(0.1 * number, 3) for number in range(8)]


def interlaced_film(path: Path, turned: int = 0) -> Path:
    """Write a film of a square that moves by 8 px between the two fields of each frame."""
    with av.open(str(path), "w") as container:
        options = {"x264-params": "tff=1", "crf": "4"}
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height = 96, 64
        if turned:
            stream.set_display_rotation(turned)
        for number in range(6):
            fields = np.full((2, 64, 96, 3), 40, np.uint8)
            for moment in range(2):
                left = 8 * (2 * number + moment)
                fields[moment, 16:48, left : left + 24] = 220
            woven = fields[0].copy()
            woven[1::2] = fields[1, 1::2]
            frame = av.VideoFrame.from_ndarray(woven, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).interlaced_frame
    return path


def test_fields_become_whole_frames(tmp_path: Path) -> None:
    source = interlaced_film(tmp_path / "a.mp4")
    made = paint_video(source, tmp_path / "b.mp4", same)
    assert made == (6, 96, 64, None)
    times, found = frames(tmp_path / "b.mp4")
    assert times == frames(source)[0]

    def combs(frame: Tensor) -> float:
        rows = frame.float().mean(1)[0, 18:46]
        return float((rows[1:] - rows[:-1]).abs().mean())

    for before, after in zip(frames(source)[1], found, strict=True):
        assert combs(before) > 10
        assert combs(after) < combs(before) / 3


def test_fields_that_were_filmed_turned(tmp_path: Path) -> None:
    source = interlaced_film(tmp_path / "a.mp4", turned=90)
    assert paint_video(source, tmp_path / "b.mp4", same)[:3] == (6, 64, 96)


def test_damaged_frames_are_left_out(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mkv", (160, 120), times=range(40))
    data = bytearray(source.read_bytes())
    for place in range(len(data) // 3, len(data) * 2 // 3, 97):
        data[place] ^= 0xFF
    source.write_bytes(data)
    made = paint_video(source, tmp_path / "b.mkv", same)
    assert made.frames > 5
    # The encoder's bytes differ from run to run, and so what the damage hits.
    assert re.search("damaged frames|breaks off", str(made.remark))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "a.mp4: .*no such file"),
        (b"", "cannot read .*a.mp4: Invalid data"),
        (b"no video", "cannot read .*a.mp4: Invalid data"),
    ],
)
def test_a_file_that_is_no_video(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(PictureError, match=message):
        paint_video(tmp_path / "a.mp4", tmp_path / "b.mp4", same)
    assert not (tmp_path / "b.mp4").exists()


# Which files are opened


@pytest.mark.parametrize("name", ["12:30.mp4", "concat:a|b.mp4", "subfile,,start,0,:a.mp4"])
def test_a_name_that_looks_like_an_address_is_a_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    film(tmp_path / "a.mp4").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert paint_video(Path(name), Path(f"out-{name}"), same).frames == 8
    assert paint_video(Path(f"out-{name}"), Path(f"x:{name}"), same).frames == 8


@pytest.mark.parametrize(
    "content",
    [
        "ffconcat version 1.0\nfile secret.mp4\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nsecret.ts\n#EXT-X-ENDLIST\n",
        "[InternetShortcut]\nURL=http://127.0.0.1:9/a.mp4\n",
    ],
)
def test_a_list_of_other_files_opens_none(tmp_path: Path, content: str) -> None:
    film(tmp_path / "secret.mp4")
    film(tmp_path / "secret.ts")
    for name in ("a.mp4", "a.ts", "a.mkv"):
        (tmp_path / name).write_text(content)
        with pytest.raises(PictureError, match=f"cannot read .*{name}"):
            paint_video(tmp_path / name, tmp_path / "b.mp4", same)


def test_a_format_that_is_not_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("ffconcat version 1.0\nfile secret.mp4\n")
    with pytest.raises(PictureError, match="a.mp4: .*MP4"):
        paint_video(tmp_path / "a.mp4", tmp_path / "b.mp4", same)


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "device.mp4").symlink_to("/dev/zero")
    for name in ("pipe.mp4", "device.mp4"):
        with pytest.raises(PictureError, match=f"{name}: .*pipe.*device"):
            paint_video(tmp_path / name, tmp_path / "b.mp4", same)
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(PictureError, match="folder.mp4: .*folder"):
        paint_video(tmp_path / "folder.mp4", tmp_path / "b.mp4", same)


@pytest.mark.parametrize("suffix", [".ts", ".flv", ".MTS", ".avi", ".mp4"])
def test_names_of_videos(suffix: str) -> None:
    assert video.is_video(Path(f"a{suffix}"))


def test_frames_that_are_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = film(tmp_path / "a.mp4", (640, 480), times=[0], sound=None)
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 640 * 480 // 2 - 1)
    with pytest.raises(PictureError, match=r"a.mp4: .*0.3072 megapixels"):
        paint_video(source, tmp_path / "b.mp4", same)
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 640 * 480 // 2)
    assert paint_video(source, tmp_path / "b.mp4", same).frames == 1


def test_frames_that_get_too_large_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [film(tmp_path / "0.ts", (64, 48), range(4), sound=None)]
    parts.append(film(tmp_path / "1.ts", (640, 480), range(4, 8), sound=None))
    source = tmp_path / "a.ts"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 640 * 480 // 4)
    made = paint_video(source, tmp_path / "b.mp4", same)
    assert made[1:3] == (64, 48)
    assert 1 <= made.frames <= 4
    assert "left out" in str(made.remark)


@pytest.mark.parametrize(
    ("enlarged", "message"),
    [(1, "a.mp4: .*64 x 48 px"), (20, "1280 x 960 px .*--size")],
)
def test_a_film_that_the_memory_does_not_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, enlarged: int, message: str
) -> None:
    source = film(tmp_path / "a.mp4", sound=None)
    free = 1000 if enlarged == 1 else 1_000_000
    monkeypatch.setattr("fast_style.system.memory.free_memory", lambda device: free)

    def large(picture: Picture) -> Picture:
        levels = picture.levels.repeat_interleave(enlarged, 2).repeat_interleave(enlarged, 3)
        return picture._replace(levels=levels)

    with pytest.raises(PictureError, match=message):
        paint_video(source, tmp_path / "b.mp4", large)
    assert not (tmp_path / "b.mp4").exists()


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", times=range(30))
    whole = tmp_path / "whole.mp4"
    paint_video(source, whole, same)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        # The last bytes of a file are the ones whose loss is not seen.
        resource.setrlimit(resource.RLIMIT_FSIZE, (whole.stat().st_size - 1, limits[1]))
        with pytest.raises(PictureError, match=r"cannot write .*[/]b.mp4: File too large"):
            paint_video(source, tmp_path / "out" / "b.mp4", same)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("cover", [False, True])
def test_sound_alone_is_no_video(tmp_path: Path, cover: bool) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        tone = container.add_stream("aac", rate=48000)
        tone.layout = "mono"
        silence = np.zeros((1, 4800), np.float32)
        heard = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        heard.sample_rate = 48000
        container.mux([*tone.encode(heard), *tone.encode(None)])
    if cover:
        with_cover_first(tmp_path / "a.mp4")
    what = "sound and a cover" if cover else "sound"
    with pytest.raises(PictureError, match=f"{what},.* no picture"):
        paint_video(tmp_path / "a.mp4", tmp_path / "b.mp4", same)


def test_an_interrupted_video_leaves_nothing(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4")
    done: list[int] = []

    def interrupted(picture: Picture) -> Picture:
        done.append(1)
        if len(done) == 4:
            raise KeyboardInterrupt
        return picture

    with pytest.raises(KeyboardInterrupt):
        paint_video(source, tmp_path / "out" / "b.mp4", interrupted)
    assert not list((tmp_path / "out").iterdir())


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    source = film(tmp_path / "a.mp4")
    with pytest.raises(PictureError, match="cannot write .*b.mp4"):
        paint_video(source, tmp_path / "file" / "b.mp4", same)


def test_without_pyav_it_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "find_spec", lambda name: None)
    with pytest.raises(PictureError, match=r"b.mp4: .*PyAV: pip install .*\[video\]"):
        paint_video(tmp_path / "a.mp4", tmp_path / "b.mp4", same)


# The command


def test_the_command_paints_a_video(tmp_path: Path, tiny_model: Path, capsys: Capture) -> None:
    source = film(tmp_path / "a.mp4")
    code, out, err = run(capsys, tiny_model, source, "--json", "--backend", "torch")
    assert (code, err) == (0, [])
    found = json.loads(out)
    assert found["output"] == str(tmp_path / "a_tiny.mp4")
    assert (found["width"], found["height"], found["frames"]) == (64, 48, 8)
    assert sound_of(tmp_path / "a_tiny.mp4") == sound_of(source)
    assert run(capsys, tiny_model, source)[0] == 1  # it exists
    assert run(capsys, tiny_model, source, "-o", tmp_path / "b.mkv", "--size", "48")[0] == 0
    assert frames(tmp_path / "b.mkv")[1][0].shape == (1, 3, 36, 48)


def test_a_video_that_appears_during_the_work_is_kept(
    tmp_path: Path, tiny_model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = film(tmp_path / "a.mp4", sound=None), tmp_path / "a_tiny.mp4"
    paint = Style.paint_picture

    def late(style: Style, *arguments: Any) -> Picture:
        target.write_bytes(b"dear to me")
        return paint(style, *arguments)

    monkeypatch.setattr(Style, "paint_picture", late)
    code, out, err = run(capsys, tiny_model, source, "--backend", "torch")
    assert (code, out) == (1, "")
    assert err == [f"fast_style.stylize: {target} exists; --overwrite replaces it"]
    assert target.read_bytes() == b"dear to me"
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", "a_tiny.mp4"}


def test_a_type_that_is_not_written_becomes_matroska(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    film(tmp_path / "a.mkv").rename(tmp_path / "a.avi")
    assert run(capsys, tiny_model, tmp_path / "a.avi")[1] == f"{tmp_path / 'a_tiny.mkv'}\n"


def test_a_still_video_is_painted_steadily(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    source = film(tmp_path / "a.mp4", sound=None)
    for steady in ("0", "0.9"):
        target = tmp_path / f"{steady}.mp4"
        assert run(capsys, tiny_model, source, "-o", target, "--steady", steady)[0] == 0
    changes = [distance(*frames(tmp_path / f"{steady}.mp4")[1][:2]) for steady in ("0", "0.9")]
    assert changes[1] < 0.7 * changes[0]
    assert "steady must be 0 or more" in run(capsys, tiny_model, source, "--steady", "1")[2][0]


def test_pictures_and_videos_are_not_taken_for_each_other(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    source = film(tmp_path / "a.mp4", sound=None)
    code, _, err = run(capsys, tiny_model, source, "-o", tmp_path / "b.png")
    assert code == 1
    assert "b.png: a video's must end in .mp4, .m4v, .mov, .mkv, .webm" in err[0]
    assert main([str(tiny_model), str(source), str(source), "-o", str(tmp_path / "out")]) == 0
    from PIL import Image

    Image.new("RGB", (40, 40), "red").save(tmp_path / "c.png")
    code, _, err = run(capsys, tiny_model, tmp_path / "c.png", "-o", tmp_path / "c.mp4")
    assert code == 1
    assert "c.mp4: its name must end in .png" in err[0]
    both = (source, tmp_path / "c.png")
    assert (
        run(capsys, "--blend", f"{tiny_model},starry-slim", *both, "-o", tmp_path / "all")[0] == 0
    )
    names = {path.name for path in (tmp_path / "all").iterdir()}
    assert names == {"a_blend.mp4", "c_blend.png"}


def test_one_video_that_fails_does_not_stop_the_others(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    (tmp_path / "bad.mp4").write_text("no video")
    film(tmp_path / "good.mp4", sound=None)
    code, out, err = run(capsys, tiny_model, tmp_path / "bad.mp4", tmp_path / "good.mp4")
    assert (code, out) == (1, f"{tmp_path / 'good_tiny.mp4'}\n")
    assert len(err) == 1
    assert f"cannot read {tmp_path / 'bad.mp4'}" in err[0]

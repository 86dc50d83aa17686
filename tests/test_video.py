"""Videos: frames, times, sound, and every way in which a file can be wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fast_style import video
from fast_style.picture import Picture, PictureError
from fast_style.style import Style
from fast_style.stylize import main
from fast_style.video import paint_video, upright

av: Any = pytest.importorskip("av")
SIZE = (64, 48)  # px, width and height
RATE = 10
Capture = pytest.CaptureFixture[str]


def scene(number: int, width: int, height: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return a frame: smooth colours, dark at the left, that get bluer with time."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    planes = [40 + 180 * x / width, 60 + 120 * y / height, np.full_like(x, 50.0 + 10 * number)]
    return np.stack(planes, -1).round().astype(np.uint8)


def film(
    path: Path,
    size: tuple[int, int] = SIZE,
    times: Sequence[int] = range(8),
    codec: str = "libx264",
    sound: str | None = "aac",
    turned: int = 0,
    title: str = "",
    transfer: int | None = None,
) -> Path:
    """Write a video, ``times`` in tenths of a second, with a tone of 0.8 s."""
    with av.open(str(path), "w") as container:
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
            samples = np.sin(np.arange(38400) * 0.06).astype(np.float32)[None]
            for start in range(0, 38400, 960):
                block = np.ascontiguousarray(samples[:, start : start + 960])
                heard = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
                heard.sample_rate, heard.pts = 48000, start
                heard.time_base = Fraction(1, 48000)
                container.mux(tone.encode(heard))
            container.mux(tone.encode(None))
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


def test_a_sound_that_the_container_does_not_hold(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4")
    with pytest.raises(PictureError, match=r"b.webm: .webm does not hold its sound \(aac\); name"):
        paint_video(source, tmp_path / "b.webm", same)
    assert not (tmp_path / "b.webm").exists()
    silent = film(tmp_path / "c.mp4", sound=None)
    assert paint_video(silent, tmp_path / "b.webm", same).frames == 8


@pytest.mark.parametrize("sound", ["libopus", "flac"])
def test_a_sound_that_only_the_head_of_the_file_refuses(tmp_path: Path, sound: str) -> None:
    source = film(tmp_path / "a.mkv", sound=sound)
    with pytest.raises(PictureError, match=r"b.mov: .mov does not hold its sound \(.*\); name it"):
        paint_video(source, tmp_path / "b.mov", same)
    assert not (tmp_path / "b.mov").exists()


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
    assert [line for line in err if "a.mov has a sound of a kind that FFmpeg does not know" in line]
    assert len(frames(target)[0]) == 8
    with av.open(str(target)) as made:
        assert not made.streams.audio


def test_hdr_is_told(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", transfer=video.HDR_TRANSFERS[0])
    remark = paint_video(source, tmp_path / "b.mp4", same).remark
    assert remark is not None
    assert remark.startswith("is HDR")


def test_a_video_that_breaks_off_is_painted_until_there(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mkv", (160, 120), times=range(60))
    data = source.read_bytes()
    source.write_bytes(data[: len(data) * 2 // 3])
    made = paint_video(source, tmp_path / "b.mkv", same)
    assert 10 < made.frames < 60
    assert len(frames(tmp_path / "b.mkv")[0]) == made.frames


def test_damaged_frames_are_left_out(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mkv", (160, 120), times=range(40))
    data = bytearray(source.read_bytes())
    for place in range(len(data) // 3, len(data) * 2 // 3, 97):
        data[place] ^= 0xFF
    source.write_bytes(data)
    assert paint_video(source, tmp_path / "b.mkv", same).frames > 5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read .*a.mp4: there is no such file"),
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


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        tone = container.add_stream("aac", rate=48000)
        tone.layout = "mono"
        silence = np.zeros((1, 4800), np.float32)
        heard = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        heard.sample_rate = 48000
        container.mux([*tone.encode(heard), *tone.encode(None)])
    with pytest.raises(PictureError, match="it has sound, but no picture"):
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
    with pytest.raises(PictureError, match=r"b.mp4: videos need PyAV: pip install 'fast-style-"):
        paint_video(tmp_path / "a.mp4", tmp_path / "b.mp4", same)


# The command


def run(capsys: Capture, *arguments: object) -> tuple[int, str, list[str]]:
    capsys.readouterr()
    code = main([*(str(argument) for argument in arguments), "--device", "cpu"])
    out, err = capsys.readouterr()
    return code, out, err.splitlines()


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

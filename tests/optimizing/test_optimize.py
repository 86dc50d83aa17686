"""The optimize command: what it writes, its options, interruption and errors."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from fast_style import optimize
from fast_style.images.color import luminance
from fast_style.images.picture import PictureError
from fast_style.images.reading import read_picture
from fast_style.images.writing import write_picture
from fast_style.optimizing import start_picture as start_of
from fast_style.optimizing.descent import Evaluation, optimize_pixels
from fast_style.optimizing.start_picture import start_picture
from fast_style.system import memory

FAST = ["--size", "40", "--steps", "4", "--device", "cpu", "--style-layers", "relu1_2", "relu2_2"]
FAST += ["--content-layers", "relu2_2"]


def textured(height: int, width: int, seed: int) -> Tensor:
    coarse = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_picture(folder / "photo.png", textured(48, 64, 1))
    write_picture(folder / "painting.png", textured(60, 50, 2))
    write_picture(folder / "other.png", textured(50, 70, 3))
    return folder


def run(pictures: Path, output: Path, *extra: str) -> int:
    arguments = [str(pictures / "photo.png"), str(pictures / "painting.png"), "-o", str(output)]
    return optimize.main([*arguments, *FAST, *extra])


def test_the_picture_is_written(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "folder" / "out.png"
    assert run(pictures, output) == 0
    assert read_picture(output).rgb.shape == (1, 3, 30, 40)
    printed = capsys.readouterr()
    assert printed.out.strip() == str(output)
    assert "step 4/4, loss " in printed.err


def test_of_an_animation_the_first_frame_is_painted_and_that_is_said(
    pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content, output = tmp_path / "moving.gif", tmp_path / "out.png"
    frames = [Image.new("RGB", (64, 48), color) for color in ("red", "blue", "green")]
    frames[0].save(content, save_all=True, append_images=frames[1:], duration=100)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64 * 48)  # half of what may be: not all frames
    arguments = [str(content), str(pictures / "painting.png"), "-o", str(output), *FAST]
    assert optimize.main([*arguments, "--init", "content"]) == 0
    assert f"{content} has 3 frames" in capsys.readouterr().err
    red, _, blue = read_picture(output).rgb.mean((0, 2, 3))
    assert red > blue


def test_the_same_seed_gives_the_same_picture(pictures: Path, tmp_path: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert run(pictures, tmp_path / f"{name}.png", "--init", "noise", "--seed", seed) == 0
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_scales_go_from_coarse_to_fine(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[Tensor] = []
    results: list[Tensor] = []

    def spy(objective: Any, start: Tensor, *rest: Any) -> Tensor:
        starts.append(start)
        results.append(optimize_pixels(objective, start, *rest))
        return results[-1]

    monkeypatch.setattr(optimize, "optimize_pixels", spy)
    assert run(pictures, tmp_path / "out.png", "--scales", "32", "48") == 0
    assert [tuple(start.shape[-2:]) for start in starts] == [(24, 32), (36, 48)]
    enlarged = torch.nn.functional.interpolate(results[0], (36, 48), mode="bicubic", antialias=True)
    torch.testing.assert_close(starts[1], enlarged.clamp(0, 1))
    assert read_picture(tmp_path / "out.png").rgb.shape == (1, 3, 36, 48)


def test_every_n_steps_a_picture_is_kept(pictures: Path, tmp_path: Path) -> None:
    assert run(pictures, tmp_path / "out.png", "--save-every", "2") == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["out.png", "out_00002.png", "out_00004.png"]
    assert (tmp_path / "out_00004.png").read_bytes() == (tmp_path / "out.png").read_bytes()


def test_a_picture_on_the_way_that_cannot_be_written_does_not_end_the_work(
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(path: Path, *arguments: Any, **options: Any) -> None:
        if path.name == "out_00002.png":
            raise PictureError(f"cannot write {path}: No space left on device")
        write_picture(path, *arguments, **options)

    monkeypatch.setattr(optimize, "write_picture", full)
    assert run(pictures, tmp_path / "out.png", "--save-every", "2") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.png", "out_00004.png"]
    printed = capsys.readouterr()
    assert printed.out == f"{tmp_path / 'out.png'}\n"
    assert "out_00002.png: No space left on device" in printed.err


@pytest.mark.parametrize("name", ["out.png", "out_00002.png"])
def test_a_file_that_appears_during_the_work_is_kept(
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    start = start_picture

    def late(*arguments: Any) -> Tensor:
        (tmp_path / name).write_bytes(b"dear to me")
        return start(*arguments)

    monkeypatch.setattr(optimize, "start_picture", late)
    code = run(pictures, tmp_path / "out.png", "--save-every", "2")
    assert code == (2 if name == "out.png" else 1)
    assert f"{tmp_path / name} exists; --overwrite replaces it" in capsys.readouterr().err
    assert (tmp_path / name).read_bytes() == b"dear to me"


def test_an_interruption_whose_picture_cannot_be_written_does_not_say_that_it_is(
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*arguments: Any) -> Tensor:
        optimize_pixels(*arguments)
        raise KeyboardInterrupt

    def full(path: Path, *arguments: Any, **options: Any) -> None:
        raise PictureError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr(optimize, "optimize_pixels", interrupted)
    monkeypatch.setattr(optimize, "write_picture", full)
    assert run(pictures, tmp_path / "out.png") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = [line for line in printed.err.splitlines() if "out.png" in line]
    assert line.endswith("No space left on device")


def test_the_photographs_colours_can_be_kept(pictures: Path, tmp_path: Path) -> None:
    assert run(pictures, tmp_path / "own.png", "--preserve-color", "--init", "noise") == 0
    assert run(pictures, tmp_path / "not.png", "--init", "noise") == 0
    photo = torch.nn.functional.interpolate(
        read_picture(pictures / "photo.png").rgb, (30, 40), mode="bicubic", antialias=True
    )
    chroma = photo - luminance(photo)
    far = {}
    for name in ("own", "not"):
        picture = read_picture(tmp_path / f"{name}.png").rgb
        far[name] = float((picture - luminance(picture) - chroma).abs().mean())
    assert far["own"] < 0.02 < far["not"]
    assert run(pictures, tmp_path / "matched.png", "--preserve-color", "match") == 0


def test_styles_are_mixed_by_their_weights(pictures: Path, tmp_path: Path) -> None:
    photo, painting, other = (
        str(pictures / f"{name}.png") for name in ("photo", "painting", "other")
    )
    results = {}
    for name, arguments in {
        "first": [painting],
        "mixed": ["--style", painting, "--style", other, "--style-weight", "0.5", "0.5"],
        "all first": [painting, "--style", other, "--style-weight", "2", "0"],
    }.items():
        output = tmp_path / f"{name}.png"
        assert optimize.main([photo, *arguments, "-o", str(output), *FAST]) == 0
        results[name] = output.read_bytes()
    assert results["first"] == results["all first"]
    assert results["first"] != results["mixed"]


def test_transparency_is_kept(pictures: Path, tmp_path: Path) -> None:
    alpha = torch.zeros(1, 1, 48, 64)
    alpha[..., 32:] = 1
    photo = tmp_path / "photo.png"
    write_picture(photo, textured(48, 64, 1), alpha)
    painting = str(pictures / "painting.png")
    assert optimize.main([str(photo), painting, "-o", str(tmp_path / "out.png"), *FAST]) == 0
    kept = read_picture(tmp_path / "out.png").alpha
    assert kept is not None
    assert kept[..., :18].max() == 0
    assert kept[..., 22:].min() == 1


def test_an_interrupted_run_keeps_the_best_so_far(
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(
        objective: Any, start: Tensor, steps: int, algorithm: str, report: Callable[..., None]
    ) -> Tensor:
        def until_third(evaluation: Evaluation) -> None:
            report(evaluation)
            if evaluation.number == 3:
                raise KeyboardInterrupt

        return optimize_pixels(objective, start, steps, algorithm, until_third)

    monkeypatch.setattr(optimize, "optimize_pixels", interrupted)
    assert run(pictures, tmp_path / "out.png") == 130
    assert "interrupted after step 3: " in capsys.readouterr().err
    assert read_picture(tmp_path / "out.png").rgb.shape == (1, 3, 30, 40)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_interruptions(pictures: Path, tmp_path: Path, number: signal.Signals) -> None:
    output = tmp_path / "out.png"
    arguments = [str(pictures / "photo.png"), str(pictures / "painting.png"), "-o", str(output)]
    arguments += ["--size", "64", "--steps", "100000", "--save-every", "3", "--device", "cpu"]
    process = subprocess.Popen(
        [sys.executable, "-m", "fast_style.optimize", *arguments], stderr=subprocess.PIPE, text=True
    )
    deadline_s = time.monotonic() + 60
    while not (tmp_path / "out_00003.png").exists():
        assert time.monotonic() < deadline_s, "the optimisation did not get to its third step"
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted after step" in err
    assert "Traceback" not in err
    assert read_picture(output).rgb.shape == (1, 3, 48, 64)


def test_a_picture_too_large_for_the_memory(
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for module in (start_of, memory):
        monkeypatch.setattr(module, "free_memory", lambda device: 1_000_000_000)
    assert run(pictures, tmp_path / "out.png", "--size", "1024") == 2
    error = capsys.readouterr().err
    assert "1024 x 768 px needs about 3.5 GB" in error
    assert " 1.0 GB are free on cpu" in error
    assert "--size 544 would fit" in error
    assert not list(tmp_path.iterdir())


def test_a_painting_too_large_for_the_memory(
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda device: 200_000_000)
    assert run(pictures, tmp_path / "out.png", "--size", "64", "--style-scale", "20") == 2
    error = capsys.readouterr().err
    assert " 0.6 GB of memory, 0.2 GB are free" in error
    assert "style.size, --style-scale" in error
    assert run(pictures, tmp_path / "out.png", "--size", "64", "--style-scale", "999") == 2
    assert "megapixels of" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_scale_too_large_for_the_memory_keeps_the_one_before(
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def free(device: torch.device) -> int:
        return 10**12 if not steps else 1_000_000

    def count(*arguments: Any) -> Tensor:
        steps.append(1)
        return optimize_pixels(*arguments)

    steps: list[int] = []
    for module in (start_of, memory):
        monkeypatch.setattr(module, "free_memory", free)
    monkeypatch.setattr(optimize, "optimize_pixels", count)
    output = tmp_path / "out.png"
    assert run(pictures, output, "--scales", "32", "64") == 2
    assert "32 x 24 px" in capsys.readouterr().err
    assert read_picture(output).rgb.shape == (1, 3, 24, 32)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_running_out_of_memory_is_one_line(
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
) -> None:
    def fail(*arguments: object) -> Tensor:
        raise error

    monkeypatch.setattr(optimize, "optimize_pixels", fail)
    assert run(pictures, tmp_path / "out.png") == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("fast_style.optimize: out of memory; try a smaller --size")


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--size", "8"], "sizes must be 32 px or more, growing; found 8"),
        (["--scales", "64", "48"], "growing; found 64 48"),
        (["--steps", "0"], "at least 1 step is needed, found 0"),
        (["--style-scale", "0"], "--style-scale must be a number above 0, found 0.0"),
        (["--style-scale", "inf"], "--style-scale must be a number above 0, found inf"),
        (["--save-every", "0"], "--save-every must be at least 1"),
        (["--seed", "-1"], "--seed must be 0 to"),
        (["--style-weight", "1", "2"], "one number, or one for each of 1 paintings; found 2"),
        (["--style-layers", "relu9_9"], "VGG16 has no layer 'relu9_9'"),
        (["--content-weight", "-1"], "must be a number of 0 or more, found -1"),
        (["--style-layer-weights", "1"], "give one for each layer"),
        (["--device", "abacus"], "device 'abacus' can't be used here"),
        (["--style", "nowhere.png"], "nowhere.png: there is no such file"),
    ],
)
def test_wrong_use_is_one_line_and_code_2(
    extra: list[str],
    message: str,
    pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(pictures, tmp_path / "out.png", *extra) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not list(tmp_path.iterdir())


def test_a_painting_is_needed(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "out.png")
    assert optimize.main([str(pictures / "photo.png"), "-o", output]) == 2
    assert "no painting: give STYLE" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_is_checked_where_it_leads_to(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    output = tmp_path / "out.png"
    output.symlink_to(tmp_path / "file" / "x.png")
    assert run(pictures, output) == 2
    assert "is no folder that can be written" in capsys.readouterr().err


def test_a_file_that_exists_is_kept(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.png"
    output.write_text("precious")
    assert run(pictures, output) == 2
    assert "exists; --overwrite replaces it" in capsys.readouterr().err
    assert output.read_text() == "precious"
    assert run(pictures, output, "--overwrite") == 0


@pytest.mark.parametrize("name", ["photo.png", "painting.png"])
def test_what_it_is_made_from_is_not_replaced(
    name: str, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (pictures / name).read_bytes()
    assert run(pictures, pictures / name, "--overwrite") == 2
    assert "would replace" in capsys.readouterr().err
    assert (pictures / name).read_bytes() == before


def test_every_start() -> None:
    content, style = textured(32, 48, 1), textured(50, 40, 2)
    assert torch.equal(start_picture("content", content, [style], 0), content)
    assert start_picture("style", content, [style], 0).shape == content.shape
    noise = start_picture("noise", content, [style], 0)
    assert noise.shape == content.shape
    assert float(noise.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(noise.std()) == pytest.approx(0.1, abs=0.01)

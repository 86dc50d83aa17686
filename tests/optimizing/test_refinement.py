"""A network's picture, finished by optimising it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from fast_style import optimize, stylize
from fast_style.images.picture import Picture
from fast_style.images.reading import read_picture, read_style
from fast_style.models.losses import PerceptualLoss
from fast_style.models.style_file import StyleModel, load_style_model, save_style_model
from fast_style.optimizing.refinement import Refiner
from fast_style.painting.any_style import paint_job
from fast_style.painting.style import Style, load
from fast_style.system.memory import TooLittleMemoryError
from fast_style.system.resources import asset


def photograph(height: int, width: int) -> Tensor:
    coarse = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    large = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    return large.clamp(0, 1)


@pytest.fixture(scope="module")
def slim() -> Style:
    return load("starry-slim", "cpu", "float32", "torch")


@pytest.fixture(scope="module")
def own_style(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a style whose painting is not in the package."""
    path = tmp_path_factory.mktemp("own") / "mine.safetensors"
    model = load_style_model("starry-slim")
    style = {"name": "mine", "image": "mine.jpg", "size": 64}
    save_style_model(path, model.network, model.description | {"style": style})
    return path


def test_a_few_steps_are_worth_many_from_noise(slim: Style) -> None:
    content = photograph(96, 128)
    told: list[float] = []
    shares: list[float] = []
    refiner = Refiner(6, tell=told.append)
    job = paint_job({})._replace(progress=shares.append)
    before = slim.stylize(Picture(content, None), job).levels
    after = slim.stylize(Picture(content, None), job._replace(refine=refiner)).levels
    painting = read_style(asset("styles/starry.jpg"), slim.description["style"]["size"])
    loss = PerceptualLoss(painting, **slim.description["loss"])
    with torch.no_grad():
        losses = [float(loss(one, content).total) for one in (before, after)]
    assert losses[1] < 0.9 * losses[0]
    assert len(told) == 1
    assert sum(shares) == pytest.approx(2)


def test_two_styles_of_one_name_have_their_own_losses(slim: Style) -> None:
    loss = slim.description["loss"] | {"style_weight": 0.0}
    scene = Style(
        StyleModel(slim.network, slim.description | {"loss": loss}), "cpu", "float32", "torch"
    )
    assert scene.name == slim.name
    refiner = Refiner(2)
    picture = Picture(photograph(48, 64), None)
    refined = [refiner(style, picture, picture, lambda share: None) for style in (slim, scene)]
    assert not torch.equal(refined[0].levels, refined[1].levels)


def test_half_the_size_can_make_a_picture_darker(
    slim: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And lighter: what the descent changed is of both signs."""
    monkeypatch.setattr(
        "fast_style.optimizing.refinement.optimize_pixels",
        lambda objective, start, count, report: start - 0.2 * (start > 0.5) + 0.1 * (start < 0.5),
    )
    best = torch.full((1, 3, 96, 96), 0.8)
    best[..., 48:] = 0.2
    found = Refiner(2)._refined(slim, best, best, 2, 2, lambda shrink: None)
    assert found[..., :40].mean() == pytest.approx(0.6, abs=0.02)
    assert found[..., 56:].mean() == pytest.approx(0.3, abs=0.02)


def test_of_a_large_picture_half_is_done_at_half_the_size(slim: Style) -> None:
    refiner = Refiner(3)
    picture = Picture(photograph(72, 800), None)
    job = paint_job({})._replace(refine=refiner)
    refined = slim.stylize(picture, job).levels
    assert refined.shape == (1, 3, 72, 800)
    assert not torch.equal(refined, slim.stylize(picture, paint_job({})).levels)


def test_a_picture_that_does_not_fit_is_refused(
    slim: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fast_style.system.memory.free_memory", lambda device: 10**6)
    picture = Picture(photograph(64, 64), None)
    with pytest.raises(TooLittleMemoryError, match="64 x 64"):
        Refiner(2)(slim, picture, picture, lambda share: None)


def test_the_command_refines(
    tmp_path: Path, own_style: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray((photograph(48, 64)[0].permute(1, 2, 0) * 255).byte().numpy()).save(photo)
    arguments = [str(own_style), str(photo), "--device", "cpu", "--refine", "2"]
    assert stylize.main(arguments) == 2
    assert "--painting FILE" in capsys.readouterr().err
    painting = tmp_path / "mine.jpg"
    shutil.copyfile(asset("styles/starry.jpg"), painting)
    assert stylize.main([*arguments, "--painting", str(painting)]) == 0
    assert "2 steps of refining take about" in capsys.readouterr().err
    refined = read_picture(tmp_path / "photo_mine.png").rgb
    assert stylize.main([*arguments[:4], "--overwrite"]) == 0
    assert not torch.equal(refined, read_picture(tmp_path / "photo_mine.png").rgb)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--refine", "0"], "at least 1 step"),
        (["--painting", "mine.jpg"], "--painting is for --refine"),
        (["--refine", "2", "--painting", "none.jpg"], "no painting none.jpg"),
    ],
)
def test_wrong_use_of_refining_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: list[str], message: str
) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (40, 40)).save(photo)
    assert stylize.main(["starry-slim", str(photo), "--device", "cpu", *extra]) == 2
    (line,) = [one for one in capsys.readouterr().err.splitlines() if "loading" not in one]
    assert message in line


def test_a_video_is_not_refined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"no film")
    assert stylize.main(["starry-slim", str(film), "--refine", "2", "--device", "cpu"]) == 2
    assert "film.mp4 is a video" in capsys.readouterr().err


def test_optimising_begins_with_what_a_style_paints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "photo.png"
    content = photograph(48, 64)
    Image.fromarray((content[0].permute(1, 2, 0) * 255).byte().numpy()).save(photo)
    painting = str(asset("styles/starry.jpg"))
    steps = ["--steps", "1", "--size", "64", "--device", "cpu", "--loss", "crisp"]
    output = tmp_path / "out.png"
    command = [str(photo), painting, "-o", str(output), *steps, "--init"]
    assert optimize.main([*command, "starry-slim"]) == 0
    style = load("starry-slim", "cpu")
    expected = style.stylize(Picture(read_picture(photo).rgb, None), paint_job({})).levels
    # Black and white are left a little, so that pixels can move.
    assert (read_picture(output).rgb - expected.clamp(0.02, 0.98)).abs().max() < 3 / 255
    capsys.readouterr()
    assert optimize.main([*command, "stary", "--overwrite"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--init" in line
    assert "did you mean starry" in line

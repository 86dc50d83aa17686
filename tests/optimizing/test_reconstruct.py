"""The reconstruct command: what the layers keep, the figure, and errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fast_style import reconstruct
from fast_style.images.reading import read_picture
from fast_style.images.writing import write_picture
from fast_style.reconstruct import columns, psnr, reconstruction_loss
from fast_style.system.resources import asset


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a piece of The Starry Night."""
    path = tmp_path_factory.mktemp("picture") / "piece.png"
    write_picture(path, read_picture(asset("styles/starry.jpg")).rgb[..., 200:248, 300:364])
    return path


def test_a_shallow_layer_gives_the_picture_back(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figure = tmp_path / "figure.png"
    arguments = ["content", str(picture), "-o", str(figure), "--layers", "conv1_1", "relu3_1"]
    assert reconstruct.main([*arguments, "--size", "64", "--steps", "60", "--device", "cpu"]) == 0
    original = read_picture(picture).rgb
    shallow = read_picture(tmp_path / "figure_a_conv1_1.png").rgb
    deep = read_picture(tmp_path / "figure_b_relu3_1.png").rgb
    assert psnr(shallow, original) > 25
    assert psnr(deep, original) < psnr(shallow, original)
    # Three pictures of 64 px and two gaps, below a line of letters.
    assert read_picture(figure).rgb.shape == (1, 3, 48 + 24, 3 * 64 + 2 * 8)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("a: conv1_1: ")
    assert lines[-1] == str(figure)


def test_a_style_is_rebuilt_from_noise(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figure = tmp_path / "figure.png"
    arguments = ["style", str(picture), "-o", str(figure), "--layers", "conv1_1", "conv2_1"]
    assert reconstruct.main([*arguments, "--size", "64", "--steps", "60", "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    shares = [float(line.split(": ")[2].split()[0]) for line in lines[:2]]
    assert max(shares) < 1e-3
    # The texture, not the picture.
    assert psnr(read_picture(tmp_path / "figure_b_conv2_1.png").rgb, read_picture(picture).rgb) < 20


def test_content_is_single_layers_and_style_growing_sets() -> None:
    content = columns("content", ["conv1_1", "relu2_2"])
    assert [tuple(column) for column in content] == [
        ("a: conv1_1", ["relu1_1"]),
        ("b: relu2_2", ["relu2_2"]),
    ]
    style = columns("style", ["conv1_1", "relu2_2"])
    assert [tuple(column) for column in style] == [
        ("a: conv1_1", ["relu1_1"]),
        ("b: + relu2_2", ["relu1_1", "relu2_2"]),
    ]


@pytest.mark.parametrize("kind", ["content", "style"])
def test_the_picture_itself_has_no_loss(kind: str, picture: Path) -> None:
    image = read_picture(picture).rgb
    loss = reconstruction_loss(kind, image, ["relu1_1", "relu2_1"], "mean", 0.0)
    with torch.no_grad():
        assert float(loss(image, image).total) == pytest.approx(0, abs=1e-6)
        assert float(loss(image.flip(-1) * 0.5, image).total) > 1


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--layers", "conv1_1", "relu1_1"], "names a layer twice"),
        (["--layers", "conv6_1"], "VGG16 has no layer 'conv6_1'"),
        (["--size", "8"], "at least 16 x 16 px are needed"),
        (["--steps", "0"], "at least 1 step is needed"),
        (["-o", "figure.xyz"], "its name must end in"),
    ],
)
def test_wrong_use_is_one_line_and_code_2(
    extra: list[str],
    message: str,
    picture: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["content", str(picture), "-o", str(tmp_path / "figure.png"), "--size", "32"]
    assert reconstruct.main([*arguments, *extra]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]


def test_the_picture_it_is_made_from_is_not_replaced(
    picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = picture.read_bytes()
    arguments = ["content", str(picture), "-o", str(picture), "--overwrite", "--size", "32"]
    assert reconstruct.main(arguments) == 2
    assert "would replace" in capsys.readouterr().err
    assert picture.read_bytes() == before

"""Which styles and models ``stylize`` takes, one, several or a blend."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from stylizing import Capture, assert_one_line, files_below, on_posix, photograph, run
from support import TINY_NETWORK

from fast_style.cli.stylize_options import blend_weights
from fast_style.images.reading import read_picture
from fast_style.models.network import build_network
from fast_style.stylize import main
from fast_style.system.resources import about_styles, main_styles, shipped_styles


def test_a_checkpoint_of_a_training(tmp_path: Path, capsys: Capture) -> None:
    network = build_network(TINY_NETWORK)
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    description = {"network": TINY_NETWORK, "style": {"name": "half-done"}}
    torch.save({"state_dict": state, "fast_style": description}, tmp_path / "last.ckpt")
    image = photograph(tmp_path / "photo.png")
    assert run(capsys, tmp_path / "last.ckpt", image)[0] == 0
    assert (tmp_path / "photo_half-done.png").is_file()


def test_a_released_style_by_name(
    tmp_path: Path, tiny_model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fast_style.models.style_file.shipped_styles", lambda: {"tiny": tiny_model})
    image = photograph(tmp_path / "photo.png")
    code, out, err = run(capsys, "tiny", image)
    assert (code, out, err) == (0, f"{tmp_path / 'photo_tiny.png'}\n", [])


def foreign_model(folder: Path, kind: str) -> Path:
    """Return a file of this kind that is not a style model."""
    path = folder / f"{kind}.{'ckpt' if kind.endswith('checkpoint') else 'safetensors'}"
    tensors = {"weight": torch.zeros(3)}
    if kind in ("words", "words checkpoint"):
        path.write_text("no model, only words")
    elif kind in ("empty", "empty checkpoint"):
        path.write_bytes(b"")
    elif kind == "foreign":
        save_file(tensors, path)
    elif kind == "foreign checkpoint":
        torch.save({"state_dict": tensors, "epoch": 3}, path)
    elif kind == "list checkpoint":
        torch.save([tensors], path)
    elif kind == "code checkpoint":
        torch.save({"state_dict": tensors, "fast_style": Path("/")}, path)
    elif kind == "later":
        description = {"format_version": 99, "network": TINY_NETWORK, "style": {"name": "later"}}
        save_file(
            build_network(TINY_NETWORK).state_dict(), path, {"fast_style": json.dumps(description)}
        )
    elif kind == "folder":
        path.mkdir()
    return path


@pytest.mark.parametrize(
    "kind",
    [
        "missing",
        "folder",
        "words",
        "empty",
        "foreign",
        "later",
        "missing checkpoint",
        "words checkpoint",
        "empty checkpoint",
        "foreign checkpoint",
        "list checkpoint",
        "code checkpoint",
    ],
)
def test_a_file_that_is_no_style_model(tmp_path: Path, capsys: Capture, kind: str) -> None:
    image = photograph(tmp_path / "pictures" / "photo.png")
    model = foreign_model(tmp_path, kind)
    code, out, err = run(capsys, model, image)
    assert (code, out) == (2, "")
    assert_one_line(err, str(model))
    assert files_below(tmp_path / "pictures") == {Path("photo.png")}


@pytest.mark.parametrize("name", ["no-such-style", "~no-such-user/style", ""])
def test_a_released_style_that_is_not_there(tmp_path: Path, capsys: Capture, name: str) -> None:
    image = photograph(tmp_path / "photo.png")
    code, out, err = run(capsys, name, image)
    assert (code, out) == (2, "")
    assert_one_line(err, name, "released style")


def test_an_unknown_released_style_is_told_the_known_ones(
    tmp_path: Path, tiny_model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    styles = {"fire": tiny_model, "water": tiny_model}
    monkeypatch.setattr("fast_style.models.style_file.shipped_styles", lambda: styles)
    code, _, err = run(capsys, "earth", photograph(tmp_path / "photo.png"))
    assert code == 2
    assert_one_line(err, "earth", "fire, water")


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_a_device_that_is_not_here(
    tmp_path: Path, tiny_model: Path, capsys: Capture, device: str
) -> None:
    image = photograph(tmp_path / "photo.png")
    code = main([str(tiny_model), str(image), "--device", device])
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert_one_line(err.splitlines(), device)


def test_styles_may_be_named_one_by_one(
    tmp_path: Path, tiny_model: Path, second_model: Path, capsys: Capture
) -> None:
    image = photograph(tmp_path / "a.png")
    code, _, _ = run(capsys, "--style", tiny_model, "--style", second_model, image)
    assert code == 0
    assert files_below(tmp_path) == {Path(f"a{end}.png") for end in ("", "_tiny", "_second")}


def test_styles_with_commas_between_them_may_come_first(
    tmp_path: Path, tiny_model: Path, second_model: Path, capsys: Capture
) -> None:
    image = photograph(tmp_path / "a.png")
    code, _, _ = run(capsys, f"{tiny_model},{second_model}", image)
    assert code == 0
    assert files_below(tmp_path) == {Path(f"a{end}.png") for end in ("", "_tiny", "_second")}


def test_a_style_file_whose_name_has_a_comma(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    model = tmp_path / "first, second.safetensors"
    shutil.copy(tiny_model, model)
    image, output = photograph(tmp_path / "a.png"), tmp_path / "b.png"
    assert run(capsys, "--style", model, image, "-o", output)[0] == 0
    assert output.exists()
    assert run(capsys, model, image, "-o", tmp_path / "c.png")[0] == 0


def test_every_style_gives_a_result(
    tmp_path: Path, tiny_model: Path, second_model: Path, capsys: Capture
) -> None:
    image = photograph(tmp_path / "photo.png")
    styles = f"{tiny_model},{second_model}"
    code, out, _ = run(capsys, "--style", styles, image, "-o", tmp_path / "out", "--json")
    assert code == 0
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["style"] for record in records] == ["tiny", "second"]
    for record in records:
        assert record["input"] == str(image)
        assert Path(record["output"]).name == f"photo_{record['style']}.png"
        assert read_picture(record["output"]).rgb.shape == (1, 3, 33, 47)
        assert (record["width"], record["height"], record["device"]) == (47, 33, "cpu")
        assert record["seconds"] > 0
    one, two = (Path(record["output"]).read_bytes() for record in records)
    assert one != two


def test_a_blend_lies_between(
    tmp_path: Path, tiny_model: Path, second_model: Path, capsys: Capture
) -> None:
    image = photograph(tmp_path / "photo.png")
    pictures = {}
    for name, weights in (("first", (1, 0)), ("second", (0, 2)), ("both", (3, 1))):
        blend = f"{tiny_model}:{weights[0]},{second_model}:{weights[1]}"
        target = tmp_path / f"{name}.png"
        assert run(capsys, "--blend", blend, image, "-o", target)[0] == 0
        pictures[name] = read_picture(target).rgb
    expected = 0.75 * pictures["first"] + 0.25 * pictures["second"]
    assert (pictures["both"] - expected).abs().max() < 1.01 / 255


def test_a_palette_that_a_model_does_not_have(
    tmp_path: Path, tiny_model: Path, warmer: Path, capsys: Capture
) -> None:
    image = photograph(tmp_path / "a.png")
    arguments = ("--style", f"{tiny_model},{warmer}", image)
    code, _, err = run(capsys, *arguments, "--palette", "0.5")
    assert code == 2  # both are named tiny
    code, _, err = run(capsys, tiny_model, image, "--palette", "0.5")
    assert code == 0
    assert_one_line(err, "tiny ", "--palette")
    assert run(capsys, warmer, image, "--palette", "0.5", "--overwrite")[2] == []
    assert run(capsys, tiny_model, image, "--overwrite")[2] == []


def test_the_list_says_how_a_style_looks_and_who_painted_it(capsys: Capture) -> None:
    code, out, _ = run(capsys, "--list")
    assert code == 0
    words = " ".join(out.split())
    for name in shipped_styles():
        assert name in words
    for name in main_styles():
        assert about_styles()[name]["look"] in words
    assert "Starry Night" in words
    assert max(map(len, out.splitlines())) <= 100


def test_the_list_as_json_has_a_line_for_each_style(capsys: Capture) -> None:
    code, out, _ = run(capsys, "--list", "--json")
    assert code == 0
    listed = {one["style"]: one for one in map(json.loads, out.splitlines())}
    assert list(listed) == list(shipped_styles())
    assert "Starry Night" in listed["starry"]["credit"]
    assert listed["starry"]["look"] == about_styles()["starry"]["look"]


def test_a_blend_of_paths_with_colons(tmp_path: Path, tiny_model: Path) -> None:
    model = tmp_path / "C:mine.safetensors"
    shutil.copy(tiny_model, model)
    assert blend_weights(f"{model},starry") == {str(model): 1.0, "starry": 1.0}
    assert blend_weights(f"{model}:0.3,starry") == {str(model): 0.3, "starry": 1.0}


@on_posix
def test_a_pipe_or_a_device_is_no_model(tmp_path: Path, capsys: Capture) -> None:
    image = photograph(tmp_path / "photo.png")
    os.mkfifo(tmp_path / "pipe.safetensors")
    for model in (tmp_path / "pipe.safetensors", "/dev/zero"):
        code, _, err = run(capsys, model, image)
        assert code == 2
        assert_one_line(err, f"no style model {model}")

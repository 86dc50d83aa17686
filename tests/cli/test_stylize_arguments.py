"""The command line of ``stylize``: wrong use, help, and what it imports."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from stylizing import Capture, assert_one_line, messages, photograph, run
from support import ENVIRONMENT

import fast_style
from fast_style.cli.stylize_options import parser
from fast_style.stylize import main
from fast_style.system.resources import shipped_styles


def test_an_unknown_option(capsys: Capture) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["model", "photo.png", "--nonsense"])
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: python -m fast_style.stylize")


def test_a_misspelt_option(capsys: Capture) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["model", "photo.png", "--strenght", "1"])
    assert "--strenght 1; did you mean --strength?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no style: "),
        (["model"], "no picture: .*model"),
        (["a.png", "--style", "model", "--blend", "model"], "--style or --blend"),
        (["a.png", "--blend", "model"], "--blend .*two.* 'model'"),
        (["stary", "a.png"], r"did you mean starry\?"),
        (["a.png"], r"a.png is a picture; .*starry.* STYLE a.png$"),
        (["a.png", "starry"], r"a.png is a picture; .*stylize starry a.png$"),
        (["film.mp4", "ink", "b.png"], r"film.mp4 is a video; .*stylize ink film.mp4 b.png$"),
        (["starry", "woodblock", "a.png"], r"woodblock .* --style starry,woodblock a.png$"),
        (["starry", "a.png", "--size", "64", "ink"], r"ink .* --style starry,ink a.png --size 64$"),
        (["starry", "woodblok", "a.png"], r"did you mean woodblock\? .* starry,woodblock a.png$"),
        (["starry,imk", "a.png"], r"did you mean ink\? .* starry,ink a.png$"),
        (["stary", "a.png", "b.png", "c.png", "d.png"], r" starry a.png b.png c.png \.\.\.$"),
        (["a.png", "--blend", "model:x"], "--blend .*NAME:WEIGHT.* 'model:x'"),
        (["model", "a.png", "--tile", "0"], "--tile .*auto, off .* 0$"),
        (["model", "a.png", "--quality", "101"], "--quality .*1 to 100.* 101$"),
        (["model", "a.png", "--strength", "2"], "strength .*0 to 1.* 2.0$"),
        (["model", "a.png", "--grain", "-1"], "grain .*0 to 64.* -1.0$"),
        (["model", "a.png", "--palette", "-1"], "palette .*0 to 1.* -1.0$"),
        (["model", "a.png", "--stroke", "0"], "stroke .*0.1 to 10.* 0.0$"),
        (["model", "a.png", "--size", "0"], "size .*32 px.* 0$"),
        (["model", "a.png", "--preserve-color=hue"], "preserve_color .*luminance.*match.* 'hue'"),
        (["starry", ""], "empty name"),
        (["model", "-", "a.png"], "standard input .*one picture"),
        (["model", "a.png", "--sheet", "sheet.xyz"], r"sheet\.xyz: .*\.png, \.jpg"),
        (["starry", "a.png", "--sheet", "s.png"], "starry is a style, .*--sheet"),
        (["a.png", "m.ckpt", "--style", "starry"], "m.ckpt is a style, .*--style"),
        (["starry", "--blend", "ink,glass"], "use --blend"),
        (["ink", "a.png", "--style", "starry"], "use --style ink,starry"),
        (["model", "a.png", "--preserve-color", "macth"], r"'macth'; did you mean match\?"),
        (["model", "-", "-o", "folder"], "standard input .*: folder "),
        (["model", "-", "--json"], "--json .*standard output"),
        (["a.png", "--sheet", "s.png", "-o", "out"], "--sheet .* or -o"),
        (["starry", "a.png", "--max-megapixels", "inf"], "--max-megapixels .*above 0.* inf$"),
    ],
)
def test_wrong_use_is_one_line_and_code_2(
    capsys: Capture, arguments: list[str], message: str
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert re.search(message, line)


def test_a_picture_in_the_place_of_the_style(
    tmp_path: Path, tiny_model: Path, capsys: Capture
) -> None:
    image = photograph(tmp_path / "a.png")
    code, _, err = run(capsys, image, tiny_model)
    assert code == 2
    assert_one_line(err, f"{image} is a picture")
    code, _, err = run(capsys, tmp_path, "starry", "-o", tmp_path / "out")
    assert code == 2
    assert_one_line(err, f"{tmp_path} is a folder", f"stylize starry {tmp_path} -o")


def test_a_missing_picture_is_no_misspelt_style(tmp_path: Path, capsys: Capture) -> None:
    code, _, err = run(capsys, "starry", tmp_path / "glass.jpg")
    assert code == 1
    assert_one_line(err, "glass.jpg", "no such file")


def test_the_version(capsys: Capture) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"fast_style {fast_style.__version__}\n"


def test_help(capsys: Capture) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    out, err = capsys.readouterr()
    assert err == ""
    unwrapped = re.sub(r"-\n +", "-", out)  # lines break behind a hyphen
    for word in ("CKPT", "IMG", "--output", "--device", "--overwrite", *shipped_styles()):
        assert word in unwrapped


def python(code: str, *arguments: object) -> dict[str, Any]:
    """Run code in a new interpreter; return what it prints last, as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", code, *(str(argument) for argument in arguments)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert messages(done.stderr.splitlines()) == []
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_arguments_are_there_without_waiting_for_torch() -> None:
    found = python(
        "import json, sys\n"
        "import fast_style.stylize\n"
        "from fast_style.cli.stylize_options import parser\n"
        "help = parser().format_help()\n"
        "print(json.dumps({'help': help, 'modules': list(sys.modules)}))"
    )
    assert "CKPT" in found["help"]
    assert "fast_style.cli.stylize_options" in found["modules"]
    assert not {"torch", "numpy", "PIL"} & set(found["modules"])


def test_the_program_needs_nothing_of_the_training(tmp_path: Path, tiny_model: Path) -> None:
    image = photograph(tmp_path / "photo.png")
    found = python(
        "import json, runpy, sys\n"
        "try:\n"
        "    runpy.run_module('fast_style.stylize', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end:\n"
        "    print(json.dumps({'code': end.code, 'modules': list(sys.modules)}))",
        tiny_model,
        image,
    )
    assert found["code"] == 0
    assert (tmp_path / "photo_tiny.png").is_file()
    modules = set(found["modules"])
    assert {"torch", "fast_style.painting.style", "fast_style.models.network"} <= modules
    foreign = {"pytorch_lightning", "hydra", "omegaconf", "torchvision", "tensorboard"}
    assert all(find_spec(name) for name in foreign)
    ours = ("models.vgg", "models.losses", "training", "optimizing", "train")
    assert all(find_spec(f"fast_style.{name}") for name in ours)
    assert not (foreign | {f"fast_style.{name}" for name in ours}) & modules


def test_the_programs_exit_code(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fast_style.stylize", "no-such-style", tmp_path / "photo.png"],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert_one_line(messages(done.stderr.splitlines()), "no-such-style")


def test_parser_defaults() -> None:
    arguments = parser().parse_args(["model", "a.png", "b.png"])
    assert arguments.names == ["model", "a.png", "b.png"]
    assert arguments.output is None
    assert arguments.device == "auto"
    assert not arguments.overwrite


def test_several_pictures_need_a_folder(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "b.png"):
        Image.new("RGB", (40, 40)).save(tmp_path / name)
    output = tmp_path / "out.png"
    pictures = [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    assert main([str(tiny_model), *pictures, "-o", str(output)]) == 2
    assert "out.png " in capsys.readouterr().err
    assert not output.exists()
    output = tmp_path / "notes"
    output.write_text("kept")
    assert main([str(tiny_model), *pictures, "-o", str(output)]) == 2
    assert "notes is a file" in capsys.readouterr().err
    assert output.read_text() == "kept"


def test_strokes_that_are_neither_a_number_nor_auto(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main(["starry", "a.png", "--stroke", "big"])
    assert "--stroke: it is a number or auto, found 'big'" in capsys.readouterr().err

"""The evaluate command: equivalent iterations, its table, JSON and plot, and what it refuses."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from support import TINY_NETWORK

from fast_style import evaluate
from fast_style.cli.evaluation_bar import EvaluationBar
from fast_style.images.picture import Picture
from fast_style.images.reading import read_crop, read_picture, read_style
from fast_style.models.losses import PerceptualLoss
from fast_style.models.network import build_network
from fast_style.models.style_file import save_style_model
from fast_style.optimizing import figures
from fast_style.optimizing.comparison import equivalent_iterations, measure_network
from fast_style.optimizing.comparison_report import draw, is_plot_of, spread, verdict
from fast_style.optimizing.workload import OptimizerRun, Workload, in_words
from fast_style.painting.any_style import paint_job
from fast_style.painting.style import load
from fast_style.system import atomic
from fast_style.system.locked_files import Claims
from fast_style.system.resources import asset
from fast_style.training.photographs import centre_box

LOSS: dict[str, Any] = {
    "normalization": "relative",
    "content_layers": ["relu2_2"],
    "style_layers": ["relu1_2", "relu2_2"],
    "content_layer_weights": [1.0],
    "style_layer_weights": [1.0, 1.0],
    "content_weight": 1.0,
    "style_weight": 5.0,
    "total_variation_weight": 1e-6,
    "vgg_weights": "bundled",
}
STYLE = {"image": "starry.jpg", "size": 64}


def model(path: Path, seed: int = 0, **changes: Any) -> Path:
    """Write an untrained style model with the header of a trained one."""
    torch.manual_seed(seed)
    network = build_network(TINY_NETWORK)
    header = {
        "network": TINY_NETWORK,
        "style": STYLE | {"name": path.stem} | changes.pop("style", {}),
        "loss": LOSS | changes,
    }
    save_style_model(path, network, header)
    return path


def run(photographs: Path, output: Path, *extra: object) -> int:
    models = [one for one in extra if isinstance(one, Path) and one.suffix == ".safetensors"]
    options = [one for one in extra if one not in models]
    arguments = ["--content", photographs, "--photographs", 2, "--size", 32, "--evaluations", 12]
    arguments += ["--device", "cpu", "-o", output]
    return evaluate.main([str(a) for a in (*models, *arguments, *options)])


@pytest.fixture(scope="module")
def evaluated(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated")
    models = model(folder / "one.safetensors"), model(folder / "two.safetensors", seed=1)
    assert run(photographs, folder / "figures.json", *models, "--size", 32, 40) == 0
    return folder


def test_the_figures_are_those_of_the_loss(evaluated: Path, photographs: Path) -> None:
    result = json.loads((evaluated / "figures.json").read_text())
    assert result["loss"] == LOSS
    assert result["style"] == STYLE
    records = result["records"]
    assert [record["size"] for record in records] == [32, 32, 40, 40]
    loss = PerceptualLoss(read_style(asset("styles/starry.jpg"), 64), **LOSS)
    content = read_crop(photographs / "1.png", 32, centre_box)[None]
    path = str(evaluated / "one.safetensors")
    with torch.no_grad():
        style = load(path, "cpu")
        written = style.stylize(Picture(content, None), paint_job({})).levels
        expected = loss(written, content).scalars()
        alone = loss(style.paint(content), content).scalars()
        untouched = loss(content, content).scalars()
    measured = records[1]["networks"][path]
    assert measured["alone"]["loss"] == pytest.approx(float(alone["loss"]), rel=1e-4)
    assert float(alone["loss"]) != pytest.approx(float(expected["loss"]), rel=1e-4)
    found = measured["scalars"]
    assert found["loss"] == pytest.approx(float(expected["loss"]), rel=1e-4)
    assert found["style_error/relu2_2"] == pytest.approx(
        float(expected["style_error/relu2_2"]), rel=1e-4
    )
    assert records[1]["unstylised"]["loss"] == pytest.approx(float(untouched["loss"]), rel=1e-4)


def test_equivalent_iterations_are_read_off_the_curve(evaluated: Path) -> None:
    for record in json.loads((evaluated / "figures.json").read_text())["records"]:
        for network in record["networks"].values():
            assert network["seconds"] > 0
            for start in ("noise", "content"):
                curve = record["optimizer"][start]["best_loss"]
                assert len(curve) == len(record["optimizer"][start]["elapsed_s"]) == 12
                assert curve == sorted(curve, reverse=True)
                reached = network["equivalent_iterations"][start]
                level = network["scalars"]["loss"]
                assert reached is None or curve[reached - 1] <= level
                assert all(value > level for value in curve[: (reached or 13) - 1])


def test_the_plot_is_drawn(evaluated: Path) -> None:
    plot = read_picture(evaluated / "figures.png").rgb
    assert plot.shape[-2] == 400
    assert plot.shape[-1] == pytest.approx(920, abs=1)  # Matplotlib's versions differ
    assert plot.std() > 0.05


def test_the_table(photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(photographs, tmp_path / "f.json", model(tmp_path / "one.safetensors")) == 0
    table = capsys.readouterr().out
    assert "32 x 32 px, 2 photographs" in table
    for label in ("the photograph itself", "from noise, 1 evaluation ", "from content, 10 evaluat"):
        assert label in table
    assert "from noise, 20 evaluations" not in table
    assert "times faster" in table


def test_from_noise_alone(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "f.json"
    assert run(photographs, output, model(tmp_path / "one.safetensors"), "--starts", "noise") == 0
    records = json.loads(output.read_text())["records"]
    assert [set(record["optimizer"]) for record in records] == [{"noise"}] * 2
    table = capsys.readouterr().out
    assert "evaluations from noise" in table
    assert "from content" not in table
    assert output.with_suffix(".png").exists()


def test_the_same_seed_gives_the_same_figures(photographs: Path, tmp_path: Path) -> None:
    one = model(tmp_path / "one.safetensors")
    for name in ("a.json", "b.json"):
        assert run(photographs, tmp_path / name, one) == 0
    a, b = (json.loads((tmp_path / name).read_text())["records"] for name in ("a.json", "b.json"))
    for first, second in zip(a, b, strict=True):
        for start in ("noise", "content"):
            assert first["optimizer"][start]["best_loss"] == second["optimizer"][start]["best_loss"]


def test_it_stops_when_all_are_reached(photographs: Path, tmp_path: Path) -> None:
    one = model(tmp_path / "one.safetensors")
    output = tmp_path / "f.json"
    assert run(photographs, output, one, "--until-reached", "--evaluations", 50) == 0
    for record in json.loads(output.read_text())["records"]:
        for start in ("noise", "content"):
            reached = record["networks"][str(one)]["equivalent_iterations"][start]
            assert len(record["optimizer"][start]["best_loss"]) == (reached or 50)


def test_counting() -> None:
    curve = [5.0, 4.0, 4.0, 1.0]
    assert equivalent_iterations(curve, 6) == 1
    assert equivalent_iterations(curve, 4) == 2
    assert equivalent_iterations(curve, 2) == 4
    assert equivalent_iterations(curve, 0.5) is None
    assert spread([10, 20, 30], 500) == "20 +- 10 (10 to 30)"
    assert spread([10, None], 30) == "over 20 (10 to over 30)"
    assert spread([7], 500) == "7"


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([1], "starry = 1 evaluation from noise, 5 times faster"),
        ([2, 4], "starry = 3 +- 1 (2 to 4) evaluations from noise, 15 times faster"),
        (
            [2, None],
            "starry = over 4 (2 to over 5) evaluations from noise, over 18 times faster; "
            "not reached within 5 evaluations on 1 of 2",
        ),
        (
            [None, None],
            "starry: not reached within 5 evaluations from noise, over 25 times faster",
        ),
    ],
)
def test_what_a_pass_is_worth_is_said_in_words(counts: list[int | None], expected: str) -> None:
    records = [
        {
            "networks": {"starry": {"equivalent_iterations": {"noise": count}, "seconds": 0.1}},
            "optimizer": {"noise": {"elapsed_s": [0.5, 1.0, 1.5, 2.0, 2.5]}},
        }
        for count in counts
    ]
    assert verdict("starry", "noise", records, 5) == expected


def test_styles_of_different_paintings_are_evaluated_one_by_one(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(photographs, tmp_path / "f.json", "starry-slim", "ink-slim") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "ink-slim" in line
    assert "each by itself" in line
    assert "--style" in line


def test_different_losses_need_a_word(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = model(tmp_path / "one.safetensors")
    two = model(tmp_path / "two.safetensors", style_weight=1.0)
    assert run(photographs, tmp_path / "f.json", one, two) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{two} was trained with loss.style_weight 1.0, {one} with 5.0;" in line
    assert "--loss" in line
    assert run(photographs, tmp_path / "f.json", one, two, "--loss", "johnson") == 0
    loss = json.loads((tmp_path / "f.json").read_text())["loss"]
    assert loss["normalization"] == "mean"


def test_different_paintings_need_a_word(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = model(tmp_path / "one.safetensors")
    two = model(tmp_path / "two.safetensors", style={"image": "mine.jpg"})
    assert run(photographs, tmp_path / "f.json", one, two) == 2
    assert "--style" in capsys.readouterr().err
    assert run(photographs, tmp_path / "f.json", two) == 2
    assert "mine.jpg; " in capsys.readouterr().err
    assert run(photographs, tmp_path / "f.json", one, two, "--style", photographs / "0.png") == 0


def test_another_painting_of_the_same_name_is_noticed(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = sha256(asset("styles/starry.jpg").read_bytes()).hexdigest()
    one = model(tmp_path / "one.safetensors", style={"sha256": own})
    two = model(tmp_path / "two.safetensors", style={"sha256": "0" * 64})
    assert run(photographs, tmp_path / "f.json", one) == 0
    assert run(photographs, tmp_path / "g.json", one, two) == 2
    assert f"{two} was trained on another" in capsys.readouterr().err
    painting = asset("styles/starry.jpg")
    assert run(photographs, tmp_path / "g.json", one, two, "--style", painting) == 0


def test_weights_of_vgg_that_were_given_as_a_file(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = model(tmp_path / "one.safetensors", vgg_weights="mine.pth")
    assert run(photographs, tmp_path / "f.json", one) == 2
    assert "mine.pth" in capsys.readouterr().err
    assert run(photographs, tmp_path / "f.json", one, "--vgg-weights", "bundled") == 0


def test_small_photographs_are_named(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = model(tmp_path / "one.safetensors")
    assert run(photographs, tmp_path / "f.json", one, "--size", 100, "--evaluations", 1) == 0
    assert "100 px, so enlarged: 2 " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--photographs", 0], "--photographs and --evaluations must be at least 1"),
        (["-o", "figures.txt"], "-o names the JSON file, NAME.json; found figures.txt"),
        (["--size", 256, 0], "--size must be at least 32 px, found 0"),
        (["--content", "nowhere"], "there is no folder nowhere"),
    ],
)
def test_wrong_use_is_one_line_and_code_2(
    extra: list[object],
    message: str,
    tiny_model: Path,
    photographs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    one = model(tmp_path / "one.safetensors")
    arguments = [one, "--content", photographs, "-o", tmp_path / "f.json", "--evaluations", 2]
    assert evaluate.main([str(a) for a in (*arguments, "--size", 32, *extra)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert message in lines[-1]
    assert len(lines) == 1


def test_a_model_that_does_not_say_its_loss(
    photographs: Path, tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(photographs, tmp_path / "f.json", tiny_model) == 2
    assert "; give --style" in capsys.readouterr().err
    assert (
        run(photographs, tmp_path / "f.json", tiny_model, "--style", asset("styles/ink.jpg")) == 2
    )
    assert "; give --loss" in capsys.readouterr().err


def test_an_interruption_keeps_what_was_measured(
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls: list[object] = []

    def interrupted(*arguments: Any) -> dict[str, Any]:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return measure_network(*arguments)

    monkeypatch.setattr(evaluate, "measure_network", interrupted)
    one = model(tmp_path / "one.safetensors")
    assert run(photographs, tmp_path / "f.json", one) == 130
    printed = capsys.readouterr()
    assert "interrupted: 1 of 2 measured" in printed.err
    again = f"fast_style.evaluate {one} --content"
    assert again in printed.err
    assert "32 x 32 px, 1 photograph " in printed.out
    assert len(json.loads((tmp_path / "f.json").read_text())["records"]) == 1
    assert (tmp_path / "f.png").exists()


def test_output_that_cannot_be_written_is_told_before_the_work(
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(evaluate, "load", lambda *arguments: pytest.fail("the work was begun"))
    (tmp_path / "file").write_text("no folder")
    assert run(photographs, tmp_path / "file" / "f.json", Path("a.safetensors")) == 2
    assert "file is no folder that can be written" in capsys.readouterr().err
    (tmp_path / "f.png").write_bytes(b"dear to me")
    assert run(photographs, tmp_path / "f.json", Path("a.safetensors")) == 2
    assert "f.png exists; --overwrite replaces it" in capsys.readouterr().err
    painting = ["--style", tmp_path / "f.png", "--overwrite"]
    assert run(photographs, tmp_path / "f.json", Path("a.safetensors"), *painting) == 2
    assert "would replace" in capsys.readouterr().err


def interrupt_at(monkeypatch: pytest.MonkeyPatch, number: int) -> list[str]:
    """Have the measuring of the photograph of this number interrupted; return what is measured."""
    measured: list[str] = []

    def counted(*arguments: Any) -> dict[str, Any]:
        measured.append("network")
        if len(measured) == number:
            raise KeyboardInterrupt
        return measure_network(*arguments)

    monkeypatch.setattr(evaluate, "measure_network", counted)
    return measured


def figures_of(path: Path) -> list[tuple[Any, ...]]:
    """Return all that does not change from run to run: no times."""
    return [
        (record["size"], record["photograph"], [run["best_loss"] for run in runs.values()])
        for record in json.loads(path.read_text())["records"]
        for runs in [record["optimizer"]]
    ]


def test_the_same_command_goes_on_and_repeats_nothing(
    evaluated: Path,
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    models = [evaluated / "one.safetensors", evaluated / "two.safetensors"]
    output = tmp_path / "f.json"
    measured = interrupt_at(monkeypatch, 6)  # of two models for each square
    assert run(photographs, output, *models, "--size", 32, 40) == 130
    assert len(json.loads(output.read_text())["records"]) == 2
    capsys.readouterr()
    assert run(photographs, output, *models, "--size", 32, 40) == 0
    assert len(measured) == 6 + 4
    printed = capsys.readouterr()
    assert f"2 of 4 are in {output} already" in printed.err
    assert "32 x 32 px, 2 photographs" in printed.out
    assert "40 x 40 px, 2 photographs" in printed.out
    assert printed.out.count("from noise, 10 evaluations") == 2
    assert figures_of(output) == figures_of(evaluated / "figures.json")
    before = output.read_bytes()
    assert run(photographs, output, *models, "--size", 32, 40) == 0  # all is there
    assert len(measured) == 10
    assert output.read_bytes() == before
    assert "--overwrite measures anew" in capsys.readouterr().err


def test_more_photographs_are_added_to_those_that_are_done(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, output = model(tmp_path / "one.safetensors"), tmp_path / "f.json"
    measured = interrupt_at(monkeypatch, 99)
    assert run(photographs, output, one, "--evaluations", 2) == 0
    assert run(photographs, output, one, "--evaluations", 2, "--photographs", 3) == 0
    assert len(measured) == 3
    assert len(json.loads(output.read_text())["records"]) == 3


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (["--evaluations", 3], "other evaluations;"),
        (["--seed", 5], "other seed;"),
        (["--starts", "noise"], "other starts;"),
        (["--photographs", 1], "holds 1.png at 32 px"),
        (["--size", 40], "holds 0.png at 32 px"),
        (["another model"], "other models;"),
        (["another photograph"], "holds 0.png at 32 px"),
    ],
    ids=str,
)
def test_figures_of_something_else_are_refused(
    changed: list[object],
    message: str,
    photographs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = shutil.copytree(photographs, tmp_path / "photographs")
    one, output = model(tmp_path / "one.safetensors"), tmp_path / "f.json"
    assert run(folder, output, one, "--evaluations", 2) == 0
    before = {path: path.read_bytes() for path in (output, output.with_suffix(".png"))}
    if changed == ["another model"]:
        model(one, seed=1)
    elif changed == ["another photograph"]:
        shutil.copy(folder / "5.png", folder / "0.png")
    extra = [word for word in changed if not str(word).startswith("another")]
    capsys.readouterr()
    assert run(folder, output, one, "--evaluations", 2, *extra) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert "--overwrite" in line
    assert {path: path.read_bytes() for path in before} == before
    assert run(folder, output, one, "--evaluations", 2, *extra, "--overwrite") == 0


@pytest.mark.parametrize("text", ["my notes", "[]", '{"records": [{}]}', '{"records": 5}'])
def test_a_file_that_holds_no_figures_is_kept(
    text: str, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "f.json"
    output.write_text(text)
    assert run(photographs, output, Path("a.safetensors")) == 2
    assert f"{output} exists; --overwrite replaces it" in capsys.readouterr().err
    assert output.read_text() == text


def test_how_to_go_on_is_said_without_overwrite(
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    interrupt_at(monkeypatch, 2)
    one = model(tmp_path / "one.safetensors")
    assert run(photographs, tmp_path / "f.json", one, "--overwrite") == 130
    err = capsys.readouterr().err
    assert f"Go on: python -m fast_style.evaluate {one}" in err
    assert "--overwrite" not in err


def test_an_interruption_before_the_first_figures_keeps_the_old_ones(
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "f.json").write_text("old")
    interrupt_at(monkeypatch, 1)
    one = model(tmp_path / "one.safetensors")
    assert run(photographs, tmp_path / "f.json", one, "--overwrite") == 130
    assert (tmp_path / "f.json").read_text() == "old"
    printed = capsys.readouterr()
    assert "interrupted: 0 of 2 measured" in printed.err
    assert not printed.out


def failing_writer(number: int) -> Callable[..., AbstractContextManager[Path]]:
    """Return what fails in the place of ``write_atomically``, with an error of this number."""

    @contextmanager
    def fail(path: Path, replace: bool = True) -> Iterator[Path]:
        raise OSError(number, os.strerror(number), str(path))
        yield path

    return fail


def test_a_folder_that_cannot_be_written_is_told_before_the_work(
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(atomic, "write_atomically", failing_writer(errno.EROFS))
    monkeypatch.setattr(evaluate, "measure_network", lambda *_: pytest.fail("the work was begun"))
    assert run(photographs, tmp_path / "f.json", model(tmp_path / "one.safetensors")) == 2
    assert "Read-only file system" in capsys.readouterr().err


def test_the_trial_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "f.json").write_text("old")
    atomic.check_written(tmp_path / "f.json")
    atomic.check_written(tmp_path / "g.json")
    assert [path.name for path in tmp_path.iterdir()] == ["f.json"]
    assert (tmp_path / "f.json").read_text() == "old"


def test_figures_that_cannot_be_written_are_shown_all_the_same(
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(figures, "write_atomically", failing_writer(errno.ENOSPC))
    one = model(tmp_path / "one.safetensors")
    assert run(photographs, tmp_path / "f.json", one, "--evaluations", 2) == 1
    printed = capsys.readouterr()
    assert "32 x 32 px, 2 photographs" in printed.out
    assert "No space left on device" in printed.err


@pytest.mark.parametrize("name", ["f.json", "f.png"])
def test_a_file_that_appears_during_the_work_is_kept(
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    def late(*arguments: Any) -> dict[str, Any]:
        if not (tmp_path / "f.json").exists():
            (tmp_path / name).write_bytes(b"dear to me")
        return measure_network(*arguments)

    monkeypatch.setattr(evaluate, "measure_network", late)
    one = model(tmp_path / "one.safetensors")
    assert run(photographs, tmp_path / "f.json", one, "--evaluations", 1) == 1
    printed = capsys.readouterr()
    assert f"{tmp_path / name} exists; --overwrite replaces it" in printed.err
    assert "32 x 32 px, 2 photographs" in printed.out
    assert (tmp_path / name).read_bytes() == b"dear to me"
    if name == "f.png":  # the figures are there all the same
        assert len(json.loads((tmp_path / "f.json").read_text())["records"]) == 2


def test_figures_that_another_evaluation_writes_are_left_to_it(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = model(tmp_path / "one.safetensors")
    with closing(Claims()) as others:
        assert others.take(tmp_path / "f.json")
        for more in ([], ["--overwrite"]):
            assert run(photographs, tmp_path / "f.json", one, *more) == 2
            assert f"another evaluation writes {tmp_path / 'f.json'}" in capsys.readouterr().err
    assert run(photographs, tmp_path / "f.json", one, "--evaluations", 1) == 0
    files = {"one.safetensors", "f.json", "f.png"}
    assert {path.name for path in tmp_path.iterdir()} == files


def test_a_plot_is_known_by_the_settings_of_its_figures(evaluated: Path, tmp_path: Path) -> None:
    settings = json.loads((evaluated / "figures.json").read_text())
    assert is_plot_of(evaluated / "figures.png", settings)
    assert not is_plot_of(evaluated / "figures.png", settings | {"seed": 7})
    assert not is_plot_of(evaluated / "none.png", settings)
    (tmp_path / "no.png").write_bytes(b"no picture")
    assert not is_plot_of(tmp_path / "no.png", settings)


def test_the_plots_numbers_are_plain(evaluated: Path) -> None:
    pytest.importorskip("matplotlib")
    records = json.loads((evaluated / "figures.json").read_text())["records"]
    figure = draw(records, [str(evaluated / "one.safetensors")])
    figure.draw_without_rendering()
    for panel in figure.axes:
        for axis in (panel.xaxis, panel.yaxis):
            labels = [label.get_text() for label in axis.get_ticklabels(which="both")]
            shown = [label for label in labels if label]
            assert {"5", "10"} & set(shown)
            assert all(float(label) > 0 for label in shown)


def test_the_whole_time_is_told_once_and_the_rest_after_each_photograph(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = model(tmp_path / "one.safetensors")
    assert run(photographs, tmp_path / "f.json", one) == 0
    lines = capsys.readouterr().err.splitlines()
    told = [line for line in lines if "Ctrl-C keeps" in line]
    assert len(told) == 1
    assert re.search(r": about \d+ s for 2 photographs at 32 px;", told[0])
    done = [line for line in lines if re.search(r"32 px, \d.png \(\d of 2\)", line)]
    assert len(done) == 2
    assert lines.index(told[0]) < lines.index(done[0])
    assert " left" in done[0]


def test_on_a_terminal_one_bar_moves_and_lines_do_not_run_into_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    work, now_s = workload(4)
    bar = EvaluationBar("evaluate", work, "2 photographs")
    for now_s[0] in range(4):
        bar.step("10 px, a.png")
    bar.end_part("10 px, a.png")
    bar.close()
    err = capsys.readouterr().err
    (told,) = [line for line in re.split(r"[\r\n]", err) if "2 photographs" in line]
    assert told == "fast_style.evaluate: about 17 s for 2 photographs"
    assert "20%" in err
    assert "10 px, a.png, 16 s left" in err


def workload(most: int, **options: Any) -> tuple[Workload, list[float]]:
    now_s = [0.0]
    runs = [OptimizerRun(10, "noise"), OptimizerRun(20, "noise")]
    return Workload(runs, most, clock=lambda: now_s[0], **options), now_s


def test_the_rest_takes_as_long_as_its_pixels_say() -> None:
    work, now_s = workload(4)
    assert work.left_s is None
    now_s[0] = 9  # the first evaluation is slow, and not counted
    work.step()
    assert work.left_s is None
    now_s[0] = 10
    work.step()
    assert work.left_s == 2 + 4 * 4  # a second for 100 px
    assert work.share == pytest.approx(2 / 20)


def test_runs_that_end_early_tell_of_those_to_come() -> None:
    work, now_s = workload(100)
    for now_s[0] in range(5):
        work.step()
    work.end_run()
    assert work.left_s == 4 * 5
    for now_s[0] in range(8, 28, 4):
        work.step()
    work.step()  # later than the one before: it may end at any time
    assert work.left_s == 0
    work.end_run()
    assert work.share == 1


def test_what_was_done_before_counts_for_the_share_and_not_for_the_speed() -> None:
    work, now_s = workload(5, done=[(OptimizerRun(10, "noise"), 5)])
    assert work.share == pytest.approx(5 / 30)
    work.step()
    now_s[0] = 2
    work.step()
    assert work.left_s == 2 * (3 + 4 * 5)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.2, "1 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (3590, "1 h"),
        (12000, "3 h 20 min"),
        (86000, "1 d"),
        (187200, "2 d 4 h"),
    ],
)
def test_times_in_words(seconds: float, expected: str) -> None:
    assert in_words(seconds) == expected


def test_without_matplotlib_there_is_no_plot(
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    one = model(tmp_path / "one.safetensors")
    assert run(photographs, tmp_path / "f.json", one, "--evaluations", 2) == 0
    assert "no plot: " in capsys.readouterr().err
    assert not (tmp_path / "f.png").exists()

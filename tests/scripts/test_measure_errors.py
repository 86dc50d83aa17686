"""scripts/measure_errors.py: the documented errors, and one model's loss over another's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from support import TINY_NETWORK
from torch import Tensor

from fast_style.cli.loss_options import load_preset
from fast_style.images.picture import Picture
from fast_style.images.reading import read_crop, read_style
from fast_style.models.losses import PerceptualLoss
from fast_style.models.network import build_network
from fast_style.models.style_file import save_style_model
from fast_style.painting.any_style import paint_job
from fast_style.painting.style import load
from fast_style.system.resources import asset
from fast_style.training.photographs import centre_box, find_photographs


@pytest.fixture(scope="module")
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("measure_errors")


def model(path: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    style = {"name": "mine", "image": "starry.jpg", "size": 64}
    save_style_model(path, build_network(TINY_NETWORK), {"network": TINY_NETWORK, "style": style})
    return path


def test_the_change_of_a_loss(script: ModuleType) -> None:
    first = torch.tensor([1.0, 10.0, 100.0])
    assert script.change(first, first) == "+0.0 +- 0.0 %"
    assert script.change(first * 1.1, first) == "+9.5 +- 0.0 %"  # 100 log 1.1
    halved = torch.tensor([0.5, 10.0, 100.0])
    assert script.change(halved, first) == "-23.1 +- 23.1 %"  # a third of 100 log 2, by each
    assert script.change(first[:1] / 2, first[:1]) == "-69.3 %"


@pytest.mark.parametrize("extra", [[], ["--alone"]], ids=["written", "alone"])
def test_the_table(
    script: ModuleType,
    tmp_path: Path,
    photographs: Path,
    capsys: pytest.CaptureFixture[str],
    extra: list[str],
) -> None:
    names = [str(model(tmp_path / f"{seed}.safetensors", seed)) for seed in (1, 2)]
    options = ["--loss", "crisp", "--photos", str(photographs), "--first", "2", "--size", "48"]
    assert script.main([*names, *options, *extra]) == 0
    lines = capsys.readouterr().out.splitlines()
    title, unstylised, first, second, painting, change = lines
    assert title.split()[:3] == ["model", "content_error", "style_error"]
    assert unstylised.split()[:2] == ["unstylised", "0.000"]
    assert painting.startswith("the painting")

    loss = PerceptualLoss(read_style(asset("styles/starry.jpg"), 64), **load_preset("crisp"))
    files = find_photographs(photographs)[:2]
    crops = [read_crop(file, 48, centre_box)[None] for file in files]

    def painted(name: str, crop: Tensor) -> Tensor:
        style = load(name)
        if extra:
            return style.paint(crop)
        return style.stylize(Picture(crop, None), paint_job({})).levels

    terms = [[loss(painted(name, crop), crop) for crop in crops] for name in names]
    for line, some in zip((first, second), terms, strict=True):
        content = sum(float(one.scalars()["content_error"]) for one in some) / 2
        assert line.split()[-7] == f"{content:.3f}"
    totals = [torch.stack([one.total.squeeze() for one in some]) for some in terms]
    expected = script.change(totals[1], totals[0])
    assert change == f"loss of {names[1]} over that of {names[0]}: {expected}"


def test_a_model_that_is_not_there(
    script: ModuleType, photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main(["nothing", "--photos", str(photographs)]) == 2
    assert "measure_errors: no style model nothing" in capsys.readouterr().err

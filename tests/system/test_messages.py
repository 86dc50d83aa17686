from __future__ import annotations

from pathlib import Path

import pytest
from support import ROOT

from fast_style.system import messages
from fast_style.system.messages import install


def test_an_extra_of_a_checkout_is_installed_from_where_the_reader_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert install("video") == "pip install -e '.[video]'"
    monkeypatch.chdir(tmp_path)
    assert install("video") == f"pip install -e '{ROOT}[video]'"


def test_an_extra_of_an_installed_wheel_is_installed_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "PACKAGE", tmp_path / "site-packages" / "fast_style")
    assert install("video") == "pip install 'fast-style-trainer[video]'"

"""Names as a person pastes them into a shell."""

from __future__ import annotations

import platform
import shlex
from pathlib import Path

import pytest

from fast_style.system.shell import shell_join, shell_path


@pytest.mark.parametrize("name", ["a b.jpg", "it's.jpg", "a$b&c;d.jpg", 'say "no".jpg', "-o.jpg"])
def test_a_path_can_be_pasted_into_a_posix_shell(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.chdir(tmp_path)
    (word,) = shlex.split(shell_path(tmp_path / name))
    assert Path(word) == Path(name)
    assert not word.startswith("-")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("outputs\\starry\\a.safetensors", "outputs\\starry\\a.safetensors"),
        ("C:/a/b.jpg", "C:/a/b.jpg"),
        ("a b.jpg", '"a b.jpg"'),
        ("it's.jpg", '"it\'s.jpg"'),  # a quote opens a text in PowerShell
        ("a,b", '"a,b"'),  # two words in PowerShell
        ("a&b", '"a&b"'),  # two commands
        ("[1,2]", '"[1,2]"'),
        ("", '""'),
        ("C:\\a b\\", '"C:\\a b\\\\"'),
        ('key="a b"', '"key=\\"a b\\""'),
        ('a\\"b', '"a\\\\\\"b"'),
    ],
)
def test_a_word_can_be_pasted_into_a_shell_of_windows(
    word: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    assert shell_join(["tool", word]) == f"tool {expected}"

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from support import ENVIRONMENT

from fast_style.cli.parser import path_argument

on_posix = pytest.mark.skipif(os.name != "posix", reason="a POSIX shell closes them")


def shell(redirections: str, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter whose streams a shell has redirected."""
    return subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {redirections}', sys.executable, code],
        capture_output=True,
        text=True,
        env=ENVIRONMENT | environment,
        timeout=60,
        check=False,
    )


@on_posix
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_can_be_used_and_no_file_gets_their_numbers(
    tmp_path: Path, closed: str
) -> None:
    found = tmp_path / "found.json"
    done = shell(
        closed,
        "import json, os, sys\n"
        "from fast_style.cli.console import say, show, usable_streams\n"
        "closed = usable_streams()\n"
        f"with open({str(found)!r}, 'w') as file:\n"
        "    tty = sys.stderr.isatty(), sys.stdin.isatty()\n"
        "    shown = show('test', 'out')\n"
        "    say('test', 'err')\n"
        "    print('err', file=sys.stderr)\n"
        "    json.dump([sorted(closed), file.fileno(), tty, shown, sys.stdin.read()], file)\n",
    )
    names = {"<": "stdin", ">": "stdout", "2": "stderr"}
    expected = sorted(names[one[0]] for one in closed.split())
    listed, number, terminals, shown, read = json.loads(found.read_text())
    assert done.returncode == 0
    assert listed == expected
    assert number > 2
    assert (terminals, shown, read) == ([False, False], True, "")
    assert done.stdout == ("" if "stdout" in expected else "out\n")
    assert done.stderr == ("" if "stderr" in expected else "fast_style.test: err\nerr\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_streams_that_cannot_be_written_are_no_crash() -> None:
    code = (
        "import sys\nfrom fast_style.cli.console import say, show, usable_streams\n"
        "usable_streams()\nshown = show('test', 'out')\nsay('test', 'err')\nsys.exit(7 - shown)"
    )
    both = shell(">/dev/full 2>/dev/full", code)
    assert (both.returncode, both.stdout, both.stderr) == (7, "", "")
    out = shell(">/dev/full", code)
    assert out.returncode == 7
    assert "standard output cannot be written" in out.stderr
    assert "Traceback" not in out.stderr
    err = shell("2>/dev/full", code)
    assert (err.returncode, err.stdout) == (6, "out\n")


def test_a_terminal_of_few_characters_shows_names() -> None:
    code = (
        "from fast_style.cli.console import say, show, usable_streams\n"
        "usable_streams()\nshow('test', '\\u6771.jpg')\nsay('test', 'caf\\udce9')"
    )
    done = shell("", code, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (0, "\\u6771.jpg\n")
    assert done.stderr == "fast_style.test: caf\\udce9\n"


@pytest.mark.parametrize("name", ["", "s3://bucket/x.png"])
def test_an_argument_that_is_no_path(name: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=name or "empty name"):
        path_argument(name)


COMMANDS = {
    "optimize": ["{}", "b.jpg", "-o", "c.png"],
    "optimize STYLE": ["a.jpg", "{}", "-o", "c.png"],
    "optimize -o": ["a.jpg", "b.jpg", "-o", "{}"],
    "optimize --style": ["a.jpg", "--style", "{}", "-o", "c.png"],
    "reconstruct": ["style", "{}", "-o", "c.png"],
    "reconstruct -o": ["style", "a.jpg", "-o", "{}"],
    "evaluate": ["{}", "--content", "."],
    "evaluate --content": ["starry", "--content", "{}"],
    "evaluate --style": ["starry", "--content", ".", "--style", "{}"],
    "evaluate -o": ["starry", "--content", ".", "-o", "{}"],
    "export": ["{}", "a.onnx"],
    "export -o": ["starry", "{}"],
    "stylize": ["starry", "{}"],
    "stylize CKPT": ["{}", "a.jpg"],
    "stylize -o": ["starry", "a.jpg", "-o", "{}"],
    "stylize --style": ["--style", "ink,{}", "a.jpg"],
    "stylize --blend": ["--blend", "ink:1,{}:0.5", "a.jpg"],
    "stylize --sheet": ["--sheet", "{}", "a.jpg"],
}


@pytest.mark.parametrize("where", COMMANDS)
def test_addresses_are_refused_as_they_were_typed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    where: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    address = "s3://bucket/one.png"
    arguments = [part.replace("{}", address) for part in COMMANDS[where]]
    try:
        code = import_module(f"fast_style.{where.split()[0]}").main(arguments)
    except SystemExit as error:  # argparse's
        code = error.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert f"{address} is an address" in err
    assert not list(tmp_path.iterdir())

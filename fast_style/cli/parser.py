"""The parser of all command lines: ``--version``, guesses at misspelt options, paths.

Loads no torch.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

from fast_style import __version__
from fast_style.system.messages import did_you_mean
from fast_style.system.paths import user_path

VERSION = f"fast_style {__version__}"  # what ``--version`` prints
UNKNOWN = "unrecognized arguments: "


class Parser(argparse.ArgumentParser):
    """argparse's parser, with ``--version`` and a guess at misspelt options."""

    def __init__(self, prog: str, description: str, usage: str | None = None) -> None:
        super().__init__(prog, usage, description)
        self.add_argument("--version", action="version", version=VERSION)

    def error(self, message: str) -> NoReturn:
        """End with the message on stderr and exit code 2."""
        if message.startswith(UNKNOWN):
            name = message.removeprefix(UNKNOWN).split("=")[0].split()[0]
            message += did_you_mean(name, self._option_string_actions)
        super().error(message)


def path_argument(text: str) -> Path:
    """Return the path that an argument names, for argparse's ``type``.

    Raises:
        argparse.ArgumentTypeError: An empty name, or one that ``user_path`` refuses.
    """
    if not text:
        raise argparse.ArgumentTypeError("an empty name, where a path was expected")
    try:
        return user_path(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error

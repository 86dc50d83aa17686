"""fast-style resume FOLDER: go on with a training, from what its folder holds."""

from __future__ import annotations

import argparse
import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from fast_style.cli.console import say, usable_streams
from fast_style.cli.parser import Parser, path_argument
from fast_style.system.messages import command, one_line
from fast_style.system.paths import is_file, is_folder
from fast_style.system.shell import shell_path

PROGRAM = "resume"
OVERRIDES = Path(".hydra", "overrides.yaml")  # in a run's folder: the words of its command
HYDRA = Path(".hydra", "hydra.yaml")  # there too: among others, where the command was typed
SWEEP = "multirun.yaml"  # in a sweep's folder


def words_to_resume(folder: Path, more: Sequence[str]) -> tuple[list[str], Path]:
    """Return the words of the command that goes on with a run, and the folder to run it in.

    Args:
        folder: The run's.
        more: ``KEY=VALUE``, which win over the run's own.

    Raises:
        ValueError: It is no run's folder, or what it holds cannot be read.
    """
    if not is_folder(folder):
        raise ValueError(f"there is no folder {folder}: expected that of a training")
    if not is_file(folder / OVERRIDES):
        if is_file(folder / SWEEP):
            runs = sorted(str(one.parents[1]) for one in folder.glob(f"*/{OVERRIDES}"))
            raise ValueError(
                f"{folder} is a sweep's: go on with one of its trainings: {', '.join(runs)}"
            )
        below = [
            one for depth in ("*", "*/*", "*/*/*") for one in folder.glob(f"{depth}/{OVERRIDES}")
        ]
        latest = max(below, key=lambda one: one.stat().st_mtime, default=None)
        hint = f"; the latest below it is {latest.parents[1]}" if latest else ""
        raise ValueError(f"{folder} holds no training: there is no {OVERRIDES} in it{hint}")
    try:
        given = yaml.safe_load((folder / OVERRIDES).read_text(encoding="utf-8")) or []
        hydra = yaml.safe_load((folder / HYDRA).read_text(encoding="utf-8"))["hydra"]
        typed_in = Path(hydra["runtime"]["cwd"])
        listed = hydra["runtime"].get("config_sources", [])
        sources = {one["provider"]: one["path"] for one in listed}
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise ValueError(
            f"what {folder} says of its training cannot be read: {one_line(error)}"
        ) from error
    if not isinstance(given, list) or not all(isinstance(word, str) for word in given):
        raise ValueError(f"{folder / OVERRIDES} is no list of KEY=VALUE")
    # Here, so that --help and a wrong folder do not wait for Hydra.
    from fast_style.training.config import override

    ours = {word.lstrip("+").partition("=")[0] for word in more} | {"ckpt_path", "hydra.run.dir"}
    kept = [word for word in given if word.lstrip("+").partition("=")[0] not in ours]
    place = override("hydra.run.dir", folder.resolve().as_posix())
    own = sources.get("command-line")  # as Hydra calls --config-dir
    options = ["--config-dir", own] if own else []
    return [*options, *kept, *more, place, "ckpt_path=last"], typed_in


def parser() -> argparse.ArgumentParser:
    """Return the command's arguments."""
    result = Parser(
        command(PROGRAM),
        "Go on with a training that was stopped. Its folder says all that is needed. A training "
        "that ended goes on with a larger trainer.max_steps.",
    )
    result.add_argument("folder", metavar="FOLDER", type=path_argument, help="that of the training")
    result.add_argument(
        "more", metavar="KEY=VALUE", nargs="*", help="what is to differ, as trainer.max_steps=2000"
    )
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Go on with the training; return its exit code, or 2 for wrong use."""
    usable_streams()
    options = parser().parse_args(argv)
    try:
        words, typed_in = words_to_resume(options.folder, options.more)
        if typed_in != Path.cwd() and typed_in.is_dir():
            # Paths in the run's own words begin there.
            say(PROGRAM, f"in {shell_path(typed_in)}, where the training was started")
            os.chdir(typed_in)
    except (ValueError, OSError) as error:
        say(PROGRAM, error)
        return 2
    # As a program of its own: Lightning starts further processes from `__main__` and `sys.argv`.
    sys.argv[1:] = words
    runpy.run_module("fast_style.train", run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

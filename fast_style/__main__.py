"""fast-style COMMAND ...: one name for all commands; ``python -m fast_style`` is the same."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from fast_style.cli.parser import VERSION
from fast_style.system import messages
from fast_style.system.messages import did_you_mean

COMMANDS = {
    "stylize": "paint photographs, folders and videos in a style",
    "sheet": "one picture that shows your photograph in every style",
    "info": "what a style is: its painting, how it was trained, its licence",
    "train": "train a style for a painting of your own",
    "resume": "go on with a training that was stopped",
    "evaluate": "compare styles with optimising the picture itself",
    "optimize": "optimise one picture directly (Gatys et al. 2016)",
    "reconstruct": "what each layer of VGG16 keeps of a picture",
    "export": "a style for ONNX, OpenVINO or TorchScript",
}
CONSOLE = "fast-style"
EXAMPLE = "starry"  # a released style
# What people type for stylize.
MEANT = dict.fromkeys(("paint", "apply", "transfer", "convert"), "stylize")


def usage() -> str:
    """Return the list of commands, a line each."""
    entry = messages.entry()
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {about}" for name, about in COMMANDS.items()]
    return "\n".join(
        [
            f"usage: {entry} COMMAND ...",
            "",
            "Photographs in the manner of paintings.",
            "",
            *lines,
            "",
            f"{entry} COMMAND --help says what a command takes. To begin with:",
            f"  {entry} stylize {EXAMPLE} photo.jpg",
        ]
    )


def main() -> None:
    """Run the command that the first argument names, as ``python -m fast_style.COMMAND``.

    Raises:
        SystemExit: Always, with the command's exit code.
    """
    by_script = Path(sys.argv[0]).stem == CONSOLE
    messages.entered_by(CONSOLE if by_script else "python -m fast_style")
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in ("", "-h", "--help", "help"):
        print(usage(), file=sys.stdout if name else sys.stderr)
        sys.exit(0 if name else 2)
    if name == "--version":
        print(VERSION)
        sys.exit(0)
    if name not in COMMANDS:
        guess = f"; did you mean {MEANT[name]}?" if name in MEANT else did_you_mean(name, COMMANDS)
        if not guess:  # a style or a photograph: the commonest thing to do
            words = " ".join(sys.argv[1:3])
            guess = f"; to paint a photograph: {messages.entry()} stylize {words}"
        print(f"fast_style: there is no command {name}{guess}", file=sys.stderr)
        print(f"commands: {', '.join(COMMANDS)}", file=sys.stderr)
        sys.exit(2)
    # As a module, and with the words that follow: Lightning and joblib start further processes
    # from `__main__` and `sys.argv`.
    del sys.argv[1]
    runpy.run_module(f"fast_style.{name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

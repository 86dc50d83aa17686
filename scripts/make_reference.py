"""The reference of commands and configuration keys, read from the parsers and the YAML files.

    python scripts/make_reference.py    # print it

When the site is built, mkdocs runs this file as a hook: what stands between the marks
``<!-- commands -->`` and ``<!-- end -->`` of a page is replaced. So nothing generated is kept in
the repository, and nothing can go out of date. The research notes are listed likewise.
"""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from fast_style.__main__ import COMMANDS
from fast_style.cli import stylize_options

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs"
CAPTION = re.compile(r"<p>(<em>(?:(?!</em>|</p>).)*</em></p>)", re.DOTALL)  # all in italics
# Read as one word: an option, a date, a number with its power or deviation, a name with a hyphen.
WHOLE = re.compile(
    r"(?<![\w-])--?[a-z][a-z-]*|\d{4}-\d\d-\d\d|\d\.\de-\d"
    r"|\d[\d.]* ± \d[\d.]*|L-BFGS|AVX-512|\b[a-z]+-slim\b"
)
MARKED = re.compile(r"<!-- (commands|keys|groups) -->\n.*?<!-- end -->", re.DOTALL)


def on_config(config: Any) -> None:
    """Add the research notes to the navigation; called by mkdocs first of all.

    They come as their index lists them. One that it leaves out is a warning of mkdocs.
    """
    index = (ROOT / "docs" / "research" / "index.md").read_text(encoding="utf-8")
    notes = ["index.md", *re.findall(r"^- \[[^]]+\]\((\w+\.md)\)", index, re.MULTILINE)]
    config["nav"].append({"Research": [f"research/{name}" for name in notes]})


def on_page_markdown(markdown: str, **_: object) -> str:
    """Fill the marked parts of a page; called by mkdocs for every page."""
    return MARKED.sub(lambda found: SECTIONS[found[1]](), markdown)


def on_page_content(html: str, **_: object) -> str:
    """Mark captions, and where lines may be broken; called by mkdocs for every page."""
    html = CAPTION.sub(r'<p class="caption">\1', html)
    html = re.sub(r"<td>.*?</td>", _breakable, html, flags=re.DOTALL)
    return re.sub(r">[^<>]+<", _unbroken, html)


def commands() -> str:
    """Return all commands with their options, in Markdown."""
    lines = []
    shown: set[str] = set()  # sheet has stylize's options, which are not listed twice
    for name, parser in parsers():
        rows = [
            f"| {_option(one)} | {_cell(meaning(one, parser.prog))} |"
            for one in parser._actions
            if one.help != argparse.SUPPRESS and not {"--help", "--version"} & {*one.option_strings}
        ]
        lines += [
            f"## {name}\n",
            f"{parser.description}\n",
            f"```bash\n{_usage_lines(name, parser)}\n```\n",
            "| option | meaning |\n| --- | --- |",
            *(row for row in rows if name != "sheet" or row not in shown),
            "",
        ]
        if name == "sheet":
            lines.append("And the options of [stylize](#stylize).\n")
        shown |= {*rows}
    return "\n".join(lines)


def keys() -> str:
    """Return all configuration keys, their defaults and meanings, in Markdown."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = OmegaConf.to_container(compose("train"), resolve=False)
    assert isinstance(config, dict)
    comments = meanings()
    lines = []
    section = None
    for key, value in _leaves(config):
        head = key.rpartition(".")[0] or "general"
        if head != section:
            section = head
            lines.append(f"\n## {section}\n\n| key | default | meaning |\n| --- | --- | --- |")
        lines.append(f"| `{key}` | {_value(value)} | {_cell(comments.get(key, ''))} |")
    return "\n".join(lines) + "\n"


def meanings() -> dict[str, str]:
    """Return the comment of each configuration key, where it has one.

    A key of several files of a group needs one in one of them only.
    """
    found = _comments(CONFIGS / "train.yaml")
    for path in sorted(CONFIGS.glob("*/*.yaml")):
        for key, comment in _comments(path).items():
            if path.parent.name != "experiment":
                found.setdefault(f"{path.parent.name}.{key}", comment)
    return found


def groups() -> str:
    """Return the choices of each group and what they set, in Markdown."""
    defaults = dict(_defaults())
    lines = []
    for folder in sorted(path for path in CONFIGS.iterdir() if path.is_dir()):
        lines.append(f"### {folder.name}\n\n| choice | sets |\n| --- | --- |")
        for path in sorted(folder.glob("*.yaml")):
            values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
            shown = [_override(one) for one in values.pop("defaults", [])]
            prefix = "" if folder.name == "experiment" else f"{folder.name}."
            shown += [
                f"{key}={_plain(value)}" for key, value in _leaves(values, prefix) if value != {}
            ]
            mark = " (default)" if defaults.get(folder.name) == path.stem else ""
            text = " ".join(f"`{one}`" for one in shown) or "what the tables above have"
            lines.append(f"| `{path.stem}`{mark} | {_cell(text)} |")
        lines.append("")
    return "\n".join(lines)


SECTIONS = {"commands": commands, "keys": keys, "groups": groups}


def _breakable(cell: re.Match[str]) -> str:
    """Let lists in a table's cell be broken within, and keys on phones, which show half a row."""

    def mark(code: re.Match[str]) -> str:
        lists = re.sub(r",(?=\w)", ",<wbr>", code[0])
        return re.sub(r"(?<=[a-z])([=_.])(?=\w)", r'\1<wbr class="phone">', lists)

    return re.sub(r"<code>[\w.,=[\]-]+</code>", mark, cell[0])


def _unbroken(text: re.Match[str]) -> str:
    return WHOLE.sub(r'<span class="whole">\g<0></span>', text[0])


def parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield each command and its parser."""
    for name in COMMANDS:
        if name in ("stylize", "sheet"):
            yield name, stylize_options.parser(name)
        elif name == "train":
            yield name, _train_parser()
        else:
            yield name, importlib.import_module(f"fast_style.{name}").parser()


def meaning(action: argparse.Action, program: str) -> str:
    """Return what an option means, with its choices and its default, each said once."""
    text = (action.help or "") % {**vars(action), "prog": program}
    default = f"{action.default:g}" if isinstance(action.default, float) else action.default
    is_value = isinstance(default, str | int) and not isinstance(default, bool)
    if is_value and not re.search(rf"\((.*: )?{re.escape(str(default))}", text):
        text += f" ({default})"
    choices = [str(one) for one in action.choices or []]
    if all(re.search(rf"\b{one}\b", text) for one in choices):
        return text
    return f"{', '.join(f'`{one}`' for one in choices)}: {text}"


def _train_parser() -> argparse.ArgumentParser:
    """Return what people need of Hydra's parser, which ``train`` has."""
    parser = argparse.ArgumentParser(
        "fast-style train", description="Train a style for a painting of your own.", add_help=False
    )
    parser.add_argument(
        "keys", metavar="KEY=VALUE", nargs="*", help="[settings and groups](configuration.md)"
    )
    parser.add_argument(
        "-m",
        "--multirun",
        action="store_true",
        help="a [sweep](../guide/training.md#sweeps): every combination of values with commas",
    )
    parser.add_argument("--cfg", metavar="job", help="print the settings, and end")
    parser.add_argument("--config-dir", metavar="DIR", help="a folder with groups of your own")
    return parser


def _defaults() -> list[tuple[str, str]]:
    """Return each group and its default choice."""
    entries = yaml.safe_load((CONFIGS / "train.yaml").read_text(encoding="utf-8"))["defaults"]
    return [pair for entry in entries if isinstance(entry, dict) for pair in entry.items()]


def _override(entry: str | Mapping[str, str]) -> str:
    """Return an entry of a defaults list as it would be typed."""
    if isinstance(entry, str):
        return f"experiment={entry}"
    ((group, choice),) = entry.items()
    return f"{group.removeprefix('override ').lstrip('/')}={choice}"


def _comments(path: Path) -> dict[str, str]:
    """Return the comment behind each value of a YAML file, by dotted key."""
    lines = path.read_text(encoding="utf-8").splitlines()

    def walk(node: yaml.Node, prefix: str) -> Iterator[tuple[str, str]]:
        if isinstance(node, yaml.MappingNode) and node.value:
            for key, value in node.value:
                yield from walk(value, f"{prefix}.{key.value}".lstrip("."))
        else:
            rest = lines[node.end_mark.line][node.end_mark.column :] if node.end_mark else ""
            if comment := rest.strip().removeprefix("#").strip():
                yield prefix, comment

    return dict(walk(yaml.compose(path.read_text(encoding="utf-8")), ""))


def _leaves(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _plain(value: object) -> str:
    """Return a value as it is typed after ``key=``."""
    if isinstance(value, list):
        return f"[{','.join(map(_plain, value))}]"
    if value is None:
        return "null"
    text = str(value)
    if isinstance(value, float) and "e" in text:  # YAML wants the point: 1.0e-6
        digits, _, exponent = text.partition("e")
        return f"{float(digits)}e{int(exponent)}"
    return text.lower() if isinstance(value, bool) else text


def _value(value: object) -> str:
    text = _plain(value)
    return "of the painting" if "${" in text else f"`{text}`"


def _usage_lines(name: str, parser: argparse.ArgumentParser) -> str:
    """Return how a command is typed, a line for each way."""
    command = f"fast-style {name}"
    if parser.usage:
        return "\n".join(line.strip() for line in (parser.usage % {"prog": command}).splitlines())
    actions = [one for one in parser._actions if not one.option_strings or one.required]
    return " ".join([command, *map(_usage, actions), "[options]"])


def _usage(action: argparse.Action) -> str:
    value = str(action.metavar or "|".join(map(str, action.choices or [])) or action.dest)
    value = f"[{value}]" if action.nargs == "?" else value
    value = f"{value} ..." if action.nargs == "+" else value
    value = f"[{value} ...]" if action.nargs == "*" else value
    return f"{action.option_strings[0]} {value}" if action.option_strings else value


def _option(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"`{_usage(action).strip('[]').removesuffix(' ...')}`"
    value = "" if action.nargs == 0 else " " + str(action.metavar or "VALUE")
    if action.nargs == "?":
        value = f" [{value.strip()}]"
    if action.nargs in ("+", "*"):
        value += " ..."
    return ", ".join(f"`{name}`" for name in action.option_strings[:-1]) + (
        f"{', ' if action.option_strings[1:] else ''}`{action.option_strings[-1]}{value}`"
    )


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    print("\n".join(["# Commands\n", commands(), "# Configuration\n", keys(), groups()]))

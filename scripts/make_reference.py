"""The reference of commands and configuration keys, read from the parsers and the YAML files.

    python scripts/make_reference.py    # print it

When the site is built, mkdocs runs this file as a hook: what stands between the marks
``<!-- commands -->`` and ``<!-- end -->`` of a page is replaced. So nothing generated is kept in
the repository, and nothing can go out of date. The research notes are listed likewise.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import pkgutil
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import fast_style

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs"
MARKED = re.compile(r"<!-- (commands|keys|groups) -->\n.*?<!-- end -->", re.DOTALL)


def on_config(config: Any) -> None:
    """Add the research notes to the navigation; called by mkdocs first of all."""
    notes = sorted((ROOT / "docs" / "research").glob("*.md"))
    notes.sort(key=lambda path: path.stem != "index")
    config["nav"].append({"Research": [f"research/{path.name}" for path in notes]})


def on_page_markdown(markdown: str, **_: object) -> str:
    """Fill the marked parts of a page; called by mkdocs for every page."""
    return MARKED.sub(lambda found: SECTIONS[found[1]](), markdown)


def on_page_content(html: str, **_: object) -> str:
    """Mark the options in code, which are not to be broken behind a hyphen."""
    return re.sub(r"<code>.*?</code>", _marked_options, html, flags=re.DOTALL)


def commands() -> str:
    """Return all commands with their options, in Markdown."""
    lines = []
    for name, parser in _parsers():
        actions = [one for one in parser._actions if one.help != argparse.SUPPRESS]
        words = " ".join(_usage(one) for one in actions if not one.option_strings or one.required)
        lines += [
            f"## {name}\n",
            f"{parser.description}\n",
            f"```\nfast-style {name} {words} [OPTIONS]\n```\n",
            "| option | meaning |\n| --- | --- |",
        ]
        for action in actions:
            if not {"--help", "--version"} & {*action.option_strings}:
                meaning = (action.help or "") % {**vars(action), "prog": parser.prog}
                lines.append(f"| {_option(action)} | {_cell(_with_choices(action, meaning))} |")
        lines.append("")
    return "\n".join(lines)


def keys() -> str:
    """Return all configuration keys, their defaults and meanings, in Markdown."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = OmegaConf.to_container(compose("train"), resolve=False)
    assert isinstance(config, dict)
    comments = _comments(CONFIGS / "train.yaml")
    for group, choice in _defaults():
        for key, comment in _comments(CONFIGS / group / f"{choice}.yaml").items():
            comments[f"{group}.{key}"] = comments.get(f"{group}.{key}") or comment
    lines = []
    section = None
    for key, value in _leaves(config):
        head = key.rpartition(".")[0] or "general"
        if head != section:
            section = head
            lines.append(f"\n## {section}\n\n| key | default | meaning |\n| --- | --- | --- |")
        lines.append(f"| `{key}` | {_value(value)} | {_cell(comments.get(key, ''))} |")
    return "\n".join(lines) + "\n"


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
            text = " ".join(f"`{one}`" for one in shown)
            lines.append(f"| `{path.stem}`{mark} | {_cell(text)} |")
        lines.append("")
    return "\n".join(lines)


SECTIONS = {"commands": commands, "keys": keys, "groups": groups}


def _marked_options(code: re.Match[str]) -> str:
    return re.sub(r"(?<![\w\"-])(--?[a-z][a-z-]*)", r'<span class="option">\1</span>', code[0])


def _parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield each command that has options, and its parser; what is done most comes first."""
    names = [one.name for one in pkgutil.iter_modules(fast_style.__path__) if not one.ispkg]
    for name in sorted(names, key=lambda one: (one != "stylize", one)):
        for place in (f"fast_style.cli.{name}_options", f"fast_style.{name}"):
            if importlib.util.find_spec(place):
                module = importlib.import_module(place)
                if hasattr(module, "parser"):
                    yield name, module.parser()
                    break


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
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                yield from walk(value, f"{prefix}.{key.value}".lstrip("."))
        else:
            rest = lines[node.end_mark.line][node.end_mark.column :] if node.end_mark else ""
            yield prefix, rest.strip().removeprefix("#").strip()

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


def _usage(action: argparse.Action) -> str:
    value = str(action.metavar or "|".join(map(str, action.choices or [])) or action.dest)
    value = f"[{value}]" if action.nargs == "?" else value
    value = f"{value} ..." if action.nargs == "+" else value
    return f"{action.option_strings[0]} {value}" if action.option_strings else value


def _option(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"`{_usage(action)}`"
    value = "" if action.nargs == 0 else " " + str(action.metavar or "VALUE")
    if action.nargs == "?":
        value = f" [{value.strip()}]"
    if action.nargs in ("+", "*"):
        value += " ..."
    return ", ".join(f"`{name}`" for name in action.option_strings[:-1]) + (
        f"{', ' if action.option_strings[1:] else ''}`{action.option_strings[-1]}{value}`"
    )


def _with_choices(action: argparse.Action, meaning: str) -> str:
    """Return the meaning, and the values that may be given where it does not name them."""
    choices = [str(one) for one in action.choices or []]
    if all(one in meaning for one in choices):
        return meaning
    return f"{', '.join(f'`{one}`' for one in choices)}: {meaning}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    print("\n".join(["# Commands\n", commands(), "# Configuration\n", keys(), groups()]))

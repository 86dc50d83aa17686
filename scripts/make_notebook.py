"""Make the notebook of the guide from its page, so that both say the same.

    python scripts/make_notebook.py

Reads docs/guide/python.md, writes docs/guide/python.ipynb: its text as text, its blocks of Python
as cells to run.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

GUIDE = Path(__file__).resolve().parents[1] / "docs/guide"
PAGE, NOTEBOOK = GUIDE / "python.md", GUIDE / "python.ipynb"


def cells(page: str) -> list[dict[str, Any]]:
    """Return a page's text and its Python blocks as a notebook's cells."""
    found: list[dict[str, Any]] = []
    for number, part in enumerate(re.split(r"^```python\n(.*?)^```\n", page, flags=re.M | re.S)):
        lines = part.strip("\n").splitlines(keepends=True)
        about: dict[str, Any] = {"id": f"cell-{number}", "metadata": {}, "source": lines}
        if number % 2:
            found.append({"cell_type": "code", "execution_count": None, "outputs": [], **about})
        elif lines:
            found.append({"cell_type": "markdown", **about})
    return found


def notebook(page: str) -> str:
    """Return a page as a notebook's file."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {
        "cells": cells(page),
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    NOTEBOOK.write_text(notebook(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

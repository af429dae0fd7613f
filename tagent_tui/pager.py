"""A long text in the reader's own pager, with the screen put away meanwhile.

Apart from the screen because it leaves the terminal to another program: what goes there is made safe first, line by line, and lies
in a file only its owner can read.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from textual.app import App

from tagent_tui.text import is_plain, one_line

LINE_CAP = 100_000
"""Cells of one line that a pager is given; 100 MB on one line is nothing a person reads."""


def safe_lines(text: str) -> Iterator[str]:
    """The lines of a foreign text, with every control and invisible character named."""
    for line in text.split("\n"):
        yield line if is_plain(line) else one_line(line.rstrip("\r"), LINE_CAP).text


def page(app: App[None], lines: Iterable[str]) -> None:
    """Show lines in `$PAGER` (less if it is not set) and come back. Raises `SuspendNotSupported` without a terminal, `OSError`."""
    command = shlex.split(os.environ.get("PAGER", "") or "less")
    descriptor, name = tempfile.mkstemp(prefix="tagent-", suffix=".txt")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.writelines(f"{line}\n" for line in lines)
        with app.suspend():
            subprocess.run([*command, name], check=False)
    finally:
        Path(name).unlink(missing_ok=True)

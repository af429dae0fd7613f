"""A text in the reader's own editor, with the screen put away meanwhile.

Apart from the screens because it leaves the terminal to another program; the text lies in a file only its owner can read.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from textual.app import App

MOST = 1_000_000
"""Characters that are read back."""


def edit(app: App[None], text: str, suffix: str = ".txt") -> str:
    """The text as `$VISUAL`, `$EDITOR` or vi left it. Raises `SuspendNotSupported` without a terminal, `OSError`."""
    command = shlex.split(os.environ.get("VISUAL", "") or os.environ.get("EDITOR", "") or "vi")
    descriptor, name = tempfile.mkstemp(prefix="tagent-", suffix=suffix)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        with app.suspend():
            subprocess.run([*command, name], check=False)
        left = Path(name).read_text(encoding="utf-8", errors="replace")[:MOST]
    finally:
        Path(name).unlink(missing_ok=True)
    return left if text.endswith("\n") else left.removesuffix("\n")  # editors end the last line

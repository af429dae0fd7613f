"""The settings every connection of ours shares, and the two ways to name a file to SQLite.

Stands apart so that opening, inspecting, reading and copying agree.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

SETTINGS = ("trusted_schema = OFF", "cell_size_check = ON")
"""Of every connection: no code in a schema runs, and a damaged page is noticed when it is read."""

Statements = sqlite3.Connection | sqlite3.Cursor
"""What executes statements."""

READ = "mode=ro"
READ_UNCHANGING = "mode=ro&immutable=1"
"""Takes no locks, makes no files, and does not look at the write-ahead log."""


def uri(path: Path, options: str) -> str:
    """The SQLite URI of a file, its characters with a meaning in URIs escaped."""
    name = str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return f"file:{name}?{options}"


def connect(path: Path, options: str, patience: float) -> sqlite3.Connection:
    """A connection in autocommit, set up; `patience` is the seconds another process's lock is waited for."""
    connection = sqlite3.connect(uri(path, options), uri=True, isolation_level=None, check_same_thread=False, cached_statements=256)
    connection.execute(f"PRAGMA busy_timeout = {int(patience * 1000)}")
    for setting in SETTINGS:
        connection.execute(f"PRAGMA {setting}")
    return connection


def sync(path: Path) -> None:
    """Flush a file, or a folder's names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

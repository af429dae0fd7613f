"""Opening a store: made whole if there is none, looked over before it is touched, then set for writing or reading.

Stands apart because the order matters: nothing may be changed before the file is known to be ours and whole.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path

from store import inspection, schema
from store.connections import READ, READ_UNCHANGING, SETTINGS, connect, sync
from store.errors import StoreUnusableError
from store.trouble import missing, read_only

PATIENCE = 5.0
"""Seconds opening waits for another process's lock."""


def make(path: Path) -> None:
    """Make a new store at `path`: built beside it and linked in whole, so a crash leaves no half of one."""
    parent = path.parent
    if not parent.is_dir():
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = parent / f".{path.name}.{os.getpid()}.{threading.get_ident()}.new"
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            schema.lay(connection)
            connection.execute("COMMIT")
            schema.mark(connection)
            connection.execute("PRAGMA journal_mode = WAL")
        with suppress(FileExistsError):  # somebody else was first: theirs is as good
            os.link(draft, path)
        sync(parent)
    finally:
        for leftover in (draft, Path(f"{draft}-journal"), Path(f"{draft}-wal"), Path(f"{draft}-shm")):
            leftover.unlink(missing_ok=True)


def ready_to_write(path: Path, patience: float, create: bool) -> sqlite3.Connection:
    """The one writing connection: WAL, every commit flushed to the disk before it is acknowledged.

    Makes the file if there is none and `create` says so; raises without touching what is not ours.
    """
    if not os.path.lexists(path):
        if not create:
            raise missing(str(path))
        make(path)
    inspection.admit(path, patience, writing=True)
    if not os.access(path, os.W_OK):  # SQLite would open it for reading and leave an empty log beside it
        raise read_only(str(path))
    connection = connect(path, "mode=rw", patience)
    try:
        _set_for_writing(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_for_writing(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA synchronous = FULL")
    if sys.platform == "darwin":  # there fsync alone does not reach the disk
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA checkpoint_fullfsync = ON")
    if schema.identify(connection, str(path)) < schema.current():
        schema.migrate(connection)
    schema.compare(connection, str(path))
    if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise StoreUnusableError(f"{path} is on a file system without the locks a store needs; move it to a local disk.")
    connection.execute("BEGIN IMMEDIATE")  # may it be written at all? Better to know now; of a read-only file BEGIN does not tell
    connection.execute("DELETE FROM meta WHERE name IS NULL")
    connection.execute("ROLLBACK")


def ready_to_read(path: Path, patience: float) -> str:
    """Check a store that will only be read, damaged or not; returns the options to open it with.

    Where its folder may not be written and no write-ahead log stands beside it, it is read as an unchanging file: SQLite
    could not make the index of a log there, and needs none.
    """
    if not os.path.lexists(path):
        raise missing(str(path))
    inspection.admit(path, patience, writing=False)
    try:
        with closing(connect(path, READ, patience)) as connection:
            connection.execute("SELECT 1 FROM meta").fetchone()
            return READ
    except sqlite3.OperationalError:
        if inspection.has_wal(path):
            raise
        return READ_UNCHANGING


def memory() -> sqlite3.Connection:
    """A store in memory."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False, cached_statements=256)
    for setting in SETTINGS:
        connection.execute(f"PRAGMA {setting}")
    schema.lay(connection)
    return connection

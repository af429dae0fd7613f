"""Opening a store file: what is refused, what is set, and what sqlite3's errors mean.

Stands apart because nothing may be touched before the file is known to be ours. The look at the header goes through SQLite itself
with `immutable=1`: reading the file by hand would, on closing it, drop the locks other connections of this process hold on it.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

from store import schema
from store.errors import (
    StoreBusyError,
    StoreDamagedError,
    StoreForeignError,
    StoreFullError,
    StoreReadOnlyError,
    StoreUnusableError,
)

PATIENCE = 5.0
"""Seconds to wait for another process's lock."""

SETTINGS = ("trusted_schema = OFF", "cell_size_check = ON")
"""Of every connection: no code in a schema runs, and a damaged page is noticed when it is read."""

LOW_SPACE = 1 << 20
"""Bytes free below which a failed write is put down to a full disk."""


def translate(error: sqlite3.Error | OSError, place: str) -> StoreUnusableError:
    """What an error of sqlite3 or of the file system means to the caller, in one sentence."""
    if isinstance(error, OSError):
        return _translate_os(error, place)
    code = getattr(error, "sqlite_errorcode", 0) or 0
    match code & 0xFF:
        case sqlite3.SQLITE_FULL:
            return StoreFullError(f"The disk or quota that holds {place} is full; make room and try again.")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreBusyError(f"{place} stayed locked by another process; close what uses it and try again.")
        case sqlite3.SQLITE_READONLY if code == sqlite3.SQLITE_READONLY_DBMOVED:
            return moved(place)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return StoreReadOnlyError(f"{place} may not be written; change its permissions or choose another file with --db.")
        case sqlite3.SQLITE_NOTADB:
            return StoreForeignError(f"{place} is not a SQLite database; choose another file with --db.")
        case sqlite3.SQLITE_CORRUPT:
            return StoreDamagedError(f"{place} is damaged ({error}); restore it from a backup, or see what `check` finds.")
        case sqlite3.SQLITE_CANTOPEN:
            return StoreUnusableError(f"{place} cannot be opened; check that it exists and that you may read it and its folder.")
        case sqlite3.SQLITE_IOERR if _full(place):
            return StoreFullError(f"The disk or quota that holds {place} is full; make room and try again.")
        case _:
            return StoreUnusableError(f"{place} cannot be used: {error}; check the disk and try again.")


def _translate_os(error: OSError, place: str) -> StoreUnusableError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return StoreFullError(f"The disk or quota that holds {place} is full; make room and try again.")
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return StoreReadOnlyError(f"{place} may not be written; change its permissions or choose another file with --db.")
    return StoreUnusableError(f"{place} cannot be used: {error.strerror or error}; check the path and try again.")


def moved(place: str) -> StoreUnusableError:
    """The file was deleted or replaced under us."""
    return StoreUnusableError(f"{place} was deleted or replaced while in use; put it back and open it again.")


def _full(place: str) -> bool:
    """Whether an I/O error there is likely a lack of room: no space left, or a limit on file sizes."""
    with suppress(OSError, ValueError):
        space = os.statvfs(Path(place).parent)
        if space.f_bavail * space.f_frsize < LOW_SPACE:
            return True
    if sys.platform == "win32":
        return False
    import resource

    return resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY


def uri(path: Path, options: str) -> str:
    """The SQLite URI of a file (characters with a meaning in URIs escaped)."""
    return f"file:{quote(str(path))}?{options}"


def make(path: Path) -> None:
    """Make a new store at `path`: built beside it and linked in whole, so a crash leaves no half of one."""
    parent = path.parent
    if not parent.is_dir():
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = parent / f".{path.name}.{os.getpid()}.{threading.get_ident()}.new"
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("BEGIN IMMEDIATE")
            schema.lay(connection)
            connection.execute("COMMIT")
            connection.execute("PRAGMA journal_mode=WAL")
        with suppress(FileExistsError):  # somebody else was first: theirs is as good
            os.link(draft, path)
        _sync_folder(parent)
    finally:
        for leftover in (draft, Path(f"{draft}-journal"), Path(f"{draft}-wal"), Path(f"{draft}-shm")):
            leftover.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def inspect(path: Path) -> None:
    """Refuse, without touching it, what cannot be a store of ours."""
    place = str(path)
    if path.is_dir():
        raise StoreForeignError(f"{place} is a folder, not a store; name a file in it with --db.")
    size = path.stat().st_size
    if size == 0:
        raise StoreForeignError(f"{place} is empty (0 bytes), so it is not a store; delete it or choose another file with --db.")
    with closing(sqlite3.connect(uri(path, "mode=ro&immutable=1"), uri=True)) as connection:
        try:
            schema.identify(connection, place)
        except sqlite3.DatabaseError as error:
            if translate(error, place).code == StoreDamagedError.code and _has_wal(path):
                return  # a crash inside a checkpoint looks like this; the log beside the file completes it
            raise
    _inspect_wal(path)


def _has_wal(path: Path) -> bool:
    with suppress(OSError):
        return Path(f"{path}-wal").stat().st_size > 0
    return False


def _inspect_wal(path: Path) -> None:
    """Refuse a write-ahead log that is another database's: SQLite would apply it to ours."""
    if not _has_wal(path):
        return
    with closing(sqlite3.connect(uri(path, "mode=ro&immutable=1"), uri=True)) as connection:
        (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    with Path(f"{path}-wal").open("rb") as log:
        if problem := _foreign_pages(log, page_size):
            raise StoreForeignError(
                f"{path}-wal belongs to another database ({problem}); put the right one back, or move it away and open again."
            )


def _foreign_pages(log: object, page_size: int) -> str | None:
    return None


def configure(connection: sqlite3.Connection, patience: float) -> None:
    """What every connection of ours is set to."""
    connection.execute(f"PRAGMA busy_timeout = {int(patience * 1000)}")
    for setting in SETTINGS:
        connection.execute(f"PRAGMA {setting}")


def connect_writer(path: Path, patience: float) -> sqlite3.Connection:
    """The one writing connection: WAL, every commit flushed to the disk before it is acknowledged."""
    connection = sqlite3.connect(
        uri(path, "mode=rw"), uri=True, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    try:
        configure(connection, patience)
        connection.execute("PRAGMA synchronous = FULL")
        if sys.platform == "darwin":
            connection.execute("PRAGMA fullfsync = ON")
            connection.execute("PRAGMA checkpoint_fullfsync = ON")
        version = schema.identify(connection, str(path))
        if version < schema.current():
            schema.migrate(connection)
        schema.compare(connection, str(path))
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise StoreUnusableError(f"{path} is on a file system without the locks a store needs; move it to a local disk.")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except BaseException:
        connection.close()
        raise
    return connection


def ready_to_write(path: Path, patience: float, create: bool) -> sqlite3.Connection:
    """Open for writing, making the file if there is none; raises without touching what is not ours."""
    if not path.exists():
        if not create:
            raise missing(path)
        make(path)
    inspect(path)
    return connect_writer(path, patience)


def ready_to_read(path: Path, patience: float) -> bool:
    """Check a store that will only be read; True when it has to be read as an unchanging file.

    That is so when its folder may not be written and no write-ahead log stands beside it: then SQLite cannot make its index of
    one, and needs none.
    """
    if not path.exists():
        raise missing(path)
    inspect(path)
    try:
        _check_readable(path, "mode=ro", patience)
        return False
    except sqlite3.OperationalError:
        if _has_wal(path):
            raise
        _check_readable(path, "mode=ro&immutable=1", patience)
        return True


def missing(path: Path) -> StoreUnusableError:
    """There is no such file."""
    return StoreUnusableError(f"There is no store at {path}; name another file with --db, or start a run to make one.")


def _check_readable(path: Path, options: str, patience: float) -> None:
    with closing(sqlite3.connect(uri(path, options), uri=True, isolation_level=None)) as connection:
        configure(connection, patience)
        version = schema.identify(connection, str(path))
        if version < schema.current():
            raise StoreUnusableError(f"{path} has the older format {version}; open it once for writing to bring it up to date.")
        schema.compare(connection, str(path))


def memory() -> sqlite3.Connection:
    """A store in memory."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False, cached_statements=256)
    connection.execute("PRAGMA trusted_schema = OFF")
    schema.lay(connection)
    return connection

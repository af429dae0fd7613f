"""What errors of sqlite3 and of the file system mean to the caller, in one sentence each.

Stands apart so that sqlite3's errors are wrapped in one place and never leave the package.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
from contextlib import suppress
from pathlib import Path

from store.errors import (
    StoreBusyError,
    StoreDamagedError,
    StoreForeignError,
    StoreFullError,
    StoreReadOnlyError,
    StoreUnusableError,
)

LOW_SPACE = 1 << 20
"""Bytes free below which a failed write is put down to a full disk."""


def translate(error: Exception, place: str) -> StoreUnusableError:
    """What an error of sqlite3 or of the file system means to the caller, in one sentence."""
    if isinstance(error, OSError):
        return _translate_os(error, place)
    if isinstance(error, UnicodeDecodeError):  # sqlite3 could not even read its own message, which quotes the file
        return StoreDamagedError(f"{place} is damaged; restore it from a backup.")
    code = getattr(error, "sqlite_errorcode", 0) or 0
    match code & 0xFF:
        case sqlite3.SQLITE_FULL:
            return StoreFullError(f"The disk or quota that holds {place} is full; make room and try again.")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreBusyError(f"{place} stayed locked by another process; close what uses it and try again.")
        case sqlite3.SQLITE_READONLY if code == sqlite3.SQLITE_READONLY_DBMOVED:
            return moved(place)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return read_only(place)
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
        return read_only(place)
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


def missing(place: str) -> StoreUnusableError:
    """There is no such file."""
    return StoreUnusableError(f"There is no store at {place}; name another file with --db, or start a run to make one.")


def read_only(place: str) -> StoreReadOnlyError:
    """The file or its folder may not be written."""
    return StoreReadOnlyError(f"{place} may not be written; change its permissions or choose another file with --db.")

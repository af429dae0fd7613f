"""What sqlite3's errors mean: every code one kind and one sentence."""

from __future__ import annotations

import errno
import re
import sqlite3

import pytest

from store import (
    StoreBusyError,
    StoreDamagedError,
    StoreError,
    StoreForeignError,
    StoreFullError,
    StoreReadOnlyError,
    StoreUnusableError,
)
from store.trouble import translate

PLACE = "/data/runs.db"


def told(code: int) -> sqlite3.OperationalError:
    """An error of sqlite3 with this (extended) code."""
    error = sqlite3.OperationalError("the library's own words")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (told(sqlite3.SQLITE_FULL), StoreFullError),
        (told(sqlite3.SQLITE_BUSY), StoreBusyError),
        (told(sqlite3.SQLITE_BUSY_SNAPSHOT), StoreBusyError),
        (told(sqlite3.SQLITE_LOCKED), StoreBusyError),
        (told(sqlite3.SQLITE_READONLY), StoreReadOnlyError),
        (told(sqlite3.SQLITE_READONLY_CANTINIT), StoreReadOnlyError),
        (told(sqlite3.SQLITE_READONLY_DBMOVED), StoreUnusableError),
        (told(sqlite3.SQLITE_PERM), StoreReadOnlyError),
        (told(sqlite3.SQLITE_NOTADB), StoreForeignError),
        (told(sqlite3.SQLITE_CORRUPT), StoreDamagedError),
        (told(sqlite3.SQLITE_CORRUPT_INDEX), StoreDamagedError),
        (told(sqlite3.SQLITE_CANTOPEN), StoreUnusableError),
        (told(sqlite3.SQLITE_IOERR_READ), StoreUnusableError),
        (told(sqlite3.SQLITE_ERROR), StoreUnusableError),
        (sqlite3.DatabaseError("without a code"), StoreUnusableError),
        (OSError(errno.ENOSPC, "No space left"), StoreFullError),
        (OSError(errno.EDQUOT, "Quota exceeded"), StoreFullError),
        (OSError(errno.EFBIG, "File too large"), StoreFullError),
        (OSError(errno.EACCES, "Permission denied"), StoreReadOnlyError),
        (OSError(errno.EROFS, "Read-only file system"), StoreReadOnlyError),
        (OSError(errno.ENAMETOOLONG, "File name too long"), StoreUnusableError),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), StoreDamagedError),
    ],
    ids=lambda value: getattr(value, "sqlite_errorcode", None) or type(value).__name__,
)
def test_every_error_has_a_kind(error: Exception, kind: type[StoreError]) -> None:
    """The kind fits, the file is named, and it is one sentence that ends with what to do or what is safe."""
    found = translate(error, PLACE)
    assert type(found) is kind
    assert PLACE in str(found)
    assert re.fullmatch(r"[^\n]+\.", str(found))


def test_kinds_tell_asking_wrongly_from_a_failing_world() -> None:
    """What the world did is a StoreUnusableError; what was asked wrongly is none; every kind has a code of its own."""
    import store.errors as errors

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, StoreError)]
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert {kind.__name__ for kind in kinds if issubclass(kind, StoreUnusableError)} == {
        "StoreUnusableError", "StoreForeignError", "StoreNewerError", "StoreDamagedError", "StoreBusyError", "StoreFullError",
        "StoreReadOnlyError",
    }  # fmt: skip
    assert all(kind.__doc__ for kind in kinds)

"""A copy of the store while it is in use, and the way any file of ours comes to its name: whole or not at all.

Stands apart because a copy of the file by hand would miss the write-ahead log or tear a page.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from store.connections import connect, sync
from store.errors import StoreDamagedError, StoreError
from store.trouble import translate

PAGES = 2000
"""Pages a step (8 MiB)."""


@contextmanager
def whole(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """A draft beside `target` (0600) that takes its name when the block ends well, and is removed when it does not.

    Raises `StoreError` when there is a file of that name and `overwrite` does not say so, whenever it appeared.
    """
    if not overwrite and os.path.lexists(target):
        raise _exists(target)
    draft = target.parent / f".{target.name}.{os.getpid()}.draft"
    try:
        draft.unlink(missing_ok=True)
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        yield draft
        sync(draft)
        if overwrite:
            draft.replace(target)
        else:
            try:
                os.link(draft, target)
            except FileExistsError as error:
                raise _exists(target) from error
        sync(target.parent)
    except OSError as error:
        raise translate(error, str(target)) from error
    finally:
        draft.unlink(missing_ok=True)


def _exists(target: Path) -> StoreError:
    return StoreError(f"{target} exists; choose another file, or say that it may be overwritten.")


def copy(source: sqlite3.Connection, place: str, target: Path, *, overwrite: bool) -> None:
    """Copy the database behind `source` as it is at one moment, verified, into `target`."""
    if target.exists() and Path(place).exists() and target.samefile(place):
        raise StoreError(f"{target} is the store itself; choose another file.")
    with whole(target, overwrite=overwrite) as draft:
        try:
            with closing(sqlite3.connect(draft, isolation_level=None)) as copied:
                source.execute("BEGIN")  # one moment: without it each step would start over when somebody commits
                try:
                    source.backup(copied, pages=PAGES)
                finally:
                    source.execute("ROLLBACK")
                (verdict,) = copied.execute("PRAGMA quick_check(1)").fetchone()
                if verdict == "ok":
                    copied.execute("DELETE FROM slots")  # their holders give them back in the store they took them from
        except sqlite3.Error as error:
            raise translate(error, place) from error
        if verdict != "ok":
            raise StoreDamagedError(f"{place} is damaged ({verdict}), so no copy was made; see what `check` finds.")


def copy_file(path: Path, options: str, patience: float, target: Path, *, overwrite: bool) -> None:
    """Copy a store file over a connection of its own."""
    with closing(connect(path, options, patience)) as source:
        copy(source, str(path), target, overwrite=overwrite)

"""The tables of a store file: made, compared with what they must be, and brought up to date.

Stands apart because it decides whether a file is ours: a file whose schema differs in one trigger from the expected text is refused
and left alone, since a planted trigger runs with the rights of whoever opens it.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from store.errors import StoreDamagedError, StoreForeignError, StoreNewerError

APPLICATION_ID = 0x74616774
"""In the file's header: whose it is ("tagt")."""

_HERE = Path(__file__).parent


def statements(script: str) -> Iterator[str]:
    """The single statements of an SQL script (`executescript` would commit in between)."""
    pending = ""
    for line in script.splitlines(keepends=True):
        if not pending and (not line.strip() or line.lstrip().startswith("--")):
            continue
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending.strip()
            pending = ""
    if pending.strip():
        raise ValueError(f"an SQL script ends inside a statement: {pending.strip()[:60]!r}")


@cache
def migrations() -> Mapping[int, str]:
    """The numbered scripts: number n takes a store of version n - 1 to n."""
    return {int(path.stem): path.read_text("utf-8") for path in sorted((_HERE / "migrations").glob("*.sql"))}


def current() -> int:
    """The version this code writes and reads."""
    return max(migrations())


@cache
def expected() -> frozenset[tuple[str, str, str]]:
    """(kind, name, SQL text) of everything a store of the current version holds."""
    connection = sqlite3.connect(":memory:")
    try:
        for statement in statements((_HERE / "schema.sql").read_text("utf-8")):
            connection.execute(statement)
        return frozenset(found(connection))
    finally:
        connection.close()


def found(connection: sqlite3.Connection) -> set[tuple[str, str, str]]:
    """(kind, name, SQL text) of everything in this database; indexes and tables SQLite makes itself are left out."""
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
    return {(kind, name, sql or "") for kind, name, sql in rows}


def lay(connection: sqlite3.Connection) -> None:
    """Make the tables of the current version in an empty database; the caller holds the transaction."""
    for statement in statements((_HERE / "schema.sql").read_text("utf-8")):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {current()}")


def mark(connection: sqlite3.Connection) -> None:
    """Start the schema's change counter at a random number.

    It stands in the first page, so a write-ahead log can be told from another store's: see `inspection.foreign_log`.
    """
    connection.execute(f"PRAGMA schema_version = {secrets.randbelow(1 << 30) + 1}")


def identify(connection: sqlite3.Connection, place: str) -> int:
    """The version of this store. Raises `StoreForeignError` or `StoreNewerError` for what is not ours to open."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise StoreForeignError(f"{place} is a database of another application; choose another file with --db.")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > current():
        raise StoreNewerError(
            f"{place} was written by a newer version of tagent-tui (format {version}, this one reads up to {current()}); "
            "upgrade tagent-tui or choose another file with --db."
        )
    if version < 1:
        raise StoreDamagedError(f"{place} carries our mark but no format number; restore it from a backup.")
    return int(version)


def compare(connection: sqlite3.Connection, place: str) -> None:
    """Refuse a store whose tables, indexes, views and triggers are not exactly those of the current version."""
    there = found(connection)
    if there == expected():
        return
    added = sorted(f"{kind} {name}" for kind, name, _ in there - expected())
    gone = sorted(f"{kind} {name}" for kind, name, _ in expected() - there)
    if added:
        raise StoreForeignError(
            f"{place} holds a {added[0]} that is not ours or was changed; it was not opened: restore the file from a backup."
        )
    raise StoreDamagedError(f"{place} lacks the {gone[0]}; restore the file from a backup.")


def migrate(connection: sqlite3.Connection, scripts: Mapping[int, str] | None = None) -> int:
    """Bring a store to the newest of `scripts`, in one transaction: after a crash it is the old one, whole."""
    scripts = migrations() if scripts is None else scripts
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()  # another process may have been first
        for number in range(version + 1, max(scripts) + 1):
            for statement in statements(scripts[number]):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return max(int(version), *scripts)

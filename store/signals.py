"""What travels beside the history of a run, as it is read: signals in its inbox, samples of its process, its steps' latest lines.

Stands apart because none of it is history: a signal becomes history when the driver records it, the rest never does.
"""

from __future__ import annotations

import sqlite3

import msgspec

from store.errors import RunNotFoundError
from store.events import RunId


class Signal(msgspec.Struct, frozen=True):
    """A wish that came through the inbox. `id` grows over the whole store; `body` is JSON; `at` is unix seconds."""

    id: int
    run: RunId
    kind: str
    body: bytes
    actor: str
    at: float


class Sample(msgspec.Struct, frozen=True):
    """What the driver's process used at a moment: `cpu` in percent of one core, `rss` in bytes."""

    at: float
    cpu: float
    rss: int


SELECT_INBOX = (
    "SELECT id, kind, body, actor, at FROM inbox WHERE run = (SELECT run FROM runs WHERE id = ?) AND id > ? ORDER BY id LIMIT 1000"
)
SELECT_SAMPLES = (
    "SELECT at, cpu, rss FROM samples WHERE run = (SELECT run FROM runs WHERE id = ?) AND at > ? ORDER BY at LIMIT 20000"
)
SELECT_LIVES = "SELECT step, text FROM live WHERE run = (SELECT run FROM runs WHERE id = ?)"


def send(connection: sqlite3.Connection, run: str, kind: str, body: bytes, actor: str, at: float) -> int:
    """Put a signal into a run's inbox; its id. The caller holds the transaction."""
    row = number(connection, run)
    cursor = connection.execute(
        "INSERT INTO inbox(run, kind, body, actor, at) VALUES (?, ?, ?, ?, ?)", (row, kind, body, actor, at)
    )
    assert cursor.lastrowid is not None  # noqa: S101 - an INSERT always has one
    return cursor.lastrowid


def number(connection: sqlite3.Connection, run: str) -> int:
    """The row of a run. Raises `RunNotFoundError`."""
    found = connection.execute("SELECT run FROM runs WHERE id = ?", (run,)).fetchone()
    if found is None:
        raise RunNotFoundError(f"There is no run {run} in this store; `runs` lists what there is.")
    return int(found[0])

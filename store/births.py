"""How a run comes to be in the store: created, forked, or taken over by another driver. Each is one piece of work in one commit.

Stands apart from `log.py` because these run inside the writing thread's transaction: they may ask the tables and refuse.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from store import audit, rows
from store import blobs as contents
from store.blobs import Blobs
from store.errors import RunConflictError, RunIdError, VersionRangeError
from store.events import Recorded
from store.lease import insert
from store.locks import Driver
from store.projector import FOLD_VERSION
from store.runs import RunSummary
from store.signals import number
from store.state import RunState

ID_LIMIT = 200
"""Letters of a run's id."""


class Held(NamedTuple):
    """What a lease starts from: the run's row, its token, its head, the version of its last snapshot, and its last event's time."""

    row: int
    token: int
    head: int
    snapped: int
    last_at: float


def refuse_bad_id(run: str) -> None:
    """Raise for what cannot be named on a command line again."""
    if not run or len(run) > ID_LIMIT or not run.isprintable() or run != run.strip() or run == "last" or run[0] == "-":
        raise RunIdError(f"{run[:40]!r} cannot be a run's id; use up to {ID_LIMIT} printable letters, not 'last', no leading '-'.")


def create(
    connection: sqlite3.Connection, run: str, batch: Sequence[Recorded], blobs: Blobs, state: RunState, driver: Driver
) -> Held:
    """A new run with its first events."""
    row = insert_run(connection, run, state, driver, batch[0].at, batch[-1].version, None, None)
    return _write(connection, run, row, batch, blobs, 0)


def fork(
    connection: sqlite3.Connection, run: str, parent: str, batch: Sequence[Recorded], blobs: Blobs, state: RunState, driver: Driver
) -> Held:
    """A new run that goes on from a version of `parent`; `batch[0]` says from which and up to where outcomes may be taken."""
    parent_row = number(connection, parent)
    (head,) = connection.execute("SELECT head FROM runs WHERE run = ?", (parent_row,)).fetchone()
    forked = batch[0].event
    if not 0 < forked.version <= forked.reuse_upto <= head:
        raise VersionRangeError(f"Run {parent} has versions 1 to {head}; it cannot be forked at {forked.version}.")
    row = insert_run(
        connection, run, state, driver, batch[0].at, batch[-1].version, parent_row, (forked.version, forked.reuse_upto)
    )
    return _write(connection, run, row, batch, blobs, forked.version)


def insert_run(
    connection: sqlite3.Connection,
    run: str,
    state: RunState,
    driver: Driver | None,
    created: float,
    head: int,
    parent: int | None,
    point: tuple[int, int] | None,
) -> int:
    """The run's row in the list; `point` is (parent_version, reuse_upto). Returns its number."""
    summary = msgspec.structs.asdict(RunSummary.of(state))
    columns = {
        "id": run, "pipeline": state.pipeline, "target": state.target, "created": created, "parent": parent,
        "parent_version": point and point[0], "reuse_upto": point and point[1], "head": head, "last_at": state.last_at,
        "pid": driver and driver.pid, "started": driver and driver.started, "host": driver and driver.host, **summary,
    }  # fmt: skip
    names = ", ".join(columns)
    try:
        cursor = connection.execute(
            f"INSERT INTO runs({names}) VALUES ({', '.join('?' * len(columns))})",  # noqa: S608 - names are the keys above
            list(columns.values()),
        )
    except sqlite3.IntegrityError as error:
        raise RunConflictError(f"There is a run {run} already; choose another id.") from error
    assert cursor.lastrowid is not None  # noqa: S101 - an INSERT always has one
    _keep_caller(connection, cursor.lastrowid, state)
    return cursor.lastrowid


def _keep_caller(connection: sqlite3.Connection, row: int, state: RunState) -> None:
    if state.caller is not None:
        connection.execute("INSERT INTO callers VALUES (?, ?, ?)", (row, state.caller, state.caller_step or ""))


def summarise(connection: sqlite3.Connection, row: int, state: RunState) -> None:
    """Make the list's row of an imported run from its state."""
    columns = {
        "pipeline": state.pipeline, "target": state.target, "last_at": state.last_at, "imported": 1,
        **msgspec.structs.asdict(RunSummary.of(state)),
    }  # fmt: skip
    changes = ", ".join(f"{name} = ?" for name in columns)
    connection.execute(f"UPDATE runs SET {changes} WHERE run = ?", (*columns.values(), row))  # noqa: S608 - the keys above
    _keep_caller(connection, row, state)


def _write(connection: sqlite3.Connection, run: str, row: int, batch: Sequence[Recorded], blobs: Blobs, snapped: int) -> Held:
    contents.put(connection, blobs)
    insert(connection, rows.encoded(row, rows.seed(run), batch))
    return Held(row, 1, batch[-1].version, snapped, batch[-1].at)


def attach(connection: sqlite3.Connection, run: str, driver: Driver, *, forced: bool = False) -> Held:
    """Take a run over: its token grows, so whatever an earlier driver still writes is refused."""
    row = number(connection, run)
    if forced:
        (pid,) = connection.execute("SELECT pid FROM runs WHERE run = ?", (row,)).fetchone()
        audit.write(connection, audit.TAKEOVER, {"run": run, "from_pid": pid, "pid": driver.pid})
    connection.execute(
        "UPDATE runs SET token = token + 1, pid = ?, started = ?, host = ? WHERE run = ?",
        (driver.pid, driver.started, driver.host, row),
    )
    token, head, last_at, point = connection.execute(
        "SELECT token, head, last_at, parent_version FROM runs WHERE run = ?", (row,)
    ).fetchone()
    (snapped,) = connection.execute("SELECT max(version) FROM snapshots WHERE run = ? AND fold = ?", (row, FOLD_VERSION)).fetchone()
    return Held(row, token, head, snapped or point or 0, last_at)


def refuse_bad_start(batch: Sequence[Recorded], first: int, kind: type) -> None:
    """The first batch begins with `kind` at version `first` and has no gap."""
    if not batch or type(batch[0].event) is not kind:
        raise VersionRangeError(f"A run begins with {kind.__name__}; the first batch does not.")
    if batch[0].version != first or batch[-1].version != first + len(batch) - 1:
        raise VersionRangeError(f"The first batch begins at version {batch[0].version}; it must be {first}, and without a gap.")

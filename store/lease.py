"""The right to write one run, and its queue: what the driver appends rides in the next commit.

Stands apart from the writer because it knows a run: versions without gaps, the token that fences a stale driver in the same
transaction, the run list's row, and when a snapshot is due.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain as joined

from store import blobs as contents
from store import rows, snapshots
from store.blobs import Blobs
from store.commits import Commit
from store.connections import Statements
from store.errors import LeaseLostError, StoreError, ValueEncodingError, VersionRangeError
from store.events import Recorded, RunId
from store.locks import Driver, RunLock
from store.runs import RunSummary, advance
from store.state import RunState
from store.writer import Writer

__all__ = ["Driver", "Lease", "insert"]

_GROUP = 64
"""Rows a statement: each statement gives the interpreter lock away once, and gets it back late when the loop is busy."""

_INSERTS = {size: rows.INSERT + ", ".join([rows.PLACES] * size) for size in (1, 2, 4, 8, 16, 32, _GROUP)}


def insert(connection: Statements, encoded: list[rows.Row]) -> None:
    """Insert rows made by `rows.encoded`, a few a statement (at 100 a commit 20% faster than one by one)."""
    for row in encoded:
        if row[2] in rows.MARKED:
            connection.execute(rows.INSERT_MARK, (row[0], row[1], row[2], row[4], row[5]))
    if len(encoded) == 1:
        connection.execute(_INSERTS[1], encoded[0])
        return
    place, left = 0, len(encoded)
    while left:
        size = _GROUP if left >= _GROUP else 1 << (left.bit_length() - 1)
        connection.execute(_INSERTS[size], list(joined.from_iterable(encoded[place : place + size])))
        place += size
        left -= size


LIGHT = 16
"""Events that are few."""


class LeaseBatch:
    """What one lease puts into one commit."""

    __slots__ = ("_lease", "blobs", "encoded", "error", "events", "head", "snapshots", "summary")

    def __init__(self, lease: Lease, head: int) -> None:
        self._lease = lease
        self.head = head
        self.events: list[Recorded] = []
        self.blobs: list[tuple[str, bytes]] = []
        self.summary: RunSummary | None = None
        self.snapshots: list[tuple[int, bytes]] = []
        self.encoded: list[rows.Row] = []
        self.error: StoreError | None = None

    @property
    def run(self) -> str:
        """The id of the run that changes."""
        return self._lease.run

    @property
    def light(self) -> bool:
        """Whether it is a few rows and nothing large."""
        return len(self.events) <= LIGHT and not self.blobs and not self.snapshots

    def prepare(self) -> None:
        """Encode the rows, on the writing thread."""
        lease = self._lease
        self.error = lease.error
        if self.error is None:
            try:
                self.encoded = rows.encoded(lease.row, lease.seed, self.events)
            except Exception as error:  # whatever was queued as an event, the thread lives on and this run hears of it
                self.error = ValueEncodingError(f"An event of run {lease.run} cannot be written: {error}.")

    def apply(self, cursor: sqlite3.Cursor) -> None:
        """Pass the fence, then write."""
        lease = self._lease
        if self.events or self.summary is not None:
            at = self.events[-1].at if self.events else lease.last_at
            to = self.head + len(self.events)
            if not advance(cursor, lease.row, lease.token, self.head, to, at, self.summary):
                self.error = LeaseLostError(
                    f"Run {lease.run} was taken over by another driver; nothing this one wrote since was kept, and it must stop."
                )
                return
            lease.last_at = at
        if self.blobs:
            contents.put(cursor, self.blobs)
        insert(cursor, self.encoded)
        for version, encoded in self.snapshots:
            snapshots.put(cursor, lease.row, version, encoded)
        if self.summary is not None and self.summary.ended is not None:
            cursor.execute("DELETE FROM live WHERE run = ?", (lease.row,))

    def landed(self) -> None:
        """Tell the lease, on the loop."""
        if self.error is not None:
            self._lease.error = self._lease.error or self.error


class Lease:
    """The single writer of a run. After an error nothing more is kept: every `flush` raises it again."""

    def __init__(
        self, writer: Writer, lock: RunLock, run: RunId, row: int, token: int, head: int, snapped: int, last_at: float
    ) -> None:
        self.run = run
        self.row = row
        self.token = token
        self.head = head
        self.seed = rows.seed(run)
        self.last_at = last_at
        self.error: StoreError | None = None
        self._writer = writer
        self._lock = lock
        self._snapped = snapped
        self._riding: Commit | None = None
        self._released = False

    def append(self, batch: Sequence[Recorded], blobs: Blobs = (), *, row: RunSummary | None = None, wake: bool = False) -> None:
        """Queue events for the next commit. Versions must go on from `head`; after a lost lease they are dropped (see `flush`).

        `row` is the run list's new row (the newest of a commit wins). `wake` has it written at once, else within 0.1 s.
        """
        if batch and (batch[0].version != self.head + 1 or batch[-1].version != self.head + len(batch)):
            raise VersionRangeError(
                f"Run {self.run} is at version {self.head}; a batch from {batch[0].version} to {batch[-1].version} does not follow."
            )
        self.head += len(batch)
        if self.error is not None or self._released:
            return
        queued = self._batch(self.head - len(batch))
        queued.events += batch
        queued.blobs += blobs
        if row is not None:
            queued.summary = row
        if wake:
            self._writer.wake()
        else:
            self._writer.linger()

    def _batch(self, head: int) -> LeaseBatch:
        commit = self._writer.collecting
        batch = commit.batches.get(self)
        if batch is None:
            batch = commit.batches[self] = LeaseBatch(self, head)
            self._riding = commit
        assert isinstance(batch, LeaseBatch)  # noqa: S101 - only leases put batches under their own key
        return batch

    async def flush(self) -> None:
        """Return when everything appended so far is durable.

        Raises `LeaseLostError` when another driver took over, and any error of an earlier append; both stay.
        """
        riding = self._riding
        if riding is not None and self.error is None:
            waiter = self._writer.waiter(riding)
            if waiter is not None:
                await waiter
            if riding is self._riding:
                self._riding = None
        if self.error is not None:
            raise self.error
        if self._released:
            raise LeaseLostError(f"Run {self.run} was let go by this driver; acquire it again to write.")

    async def commit(self, batch: Sequence[Recorded], blobs: Blobs = (), *, row: RunSummary | None = None) -> None:
        """`append`, then `flush`."""
        self.append(batch, blobs, row=row)
        await self.flush()

    def snapshot(self, state: RunState) -> None:
        """Offer the driver's state; kept when a snapshot is due: in memory half as often, where nobody else reads it."""
        share = 1 if self._writer.inline else snapshots.SHARE
        if self.error is None and not self._released and snapshots.due(state, self._snapped, share):
            self._snapped = state.version
            self._batch(self.head).snapshots.append((state.version, snapshots.encode(state)))
            self._writer.linger()

    async def release(self) -> None:
        """Flush and let the run go; others may drive it. Raises what `flush` raises, after letting go all the same."""
        if self._released:
            return
        row, token = self.row, self.token
        try:
            await self.flush()
            await self._writer.call(
                lambda connection: connection.execute(
                    "UPDATE runs SET pid = NULL, started = NULL, host = NULL WHERE run = ? AND token = ?", (row, token)
                ),
                self.run,
            )
        finally:
            self._released = True
            self._lock.release()

"""The one writing thread: whatever queued goes into one commit.

Stands apart because durability costs a disk flush (about 0.13 ms), so the flush has to be shared, and because a transaction
must never depend on a caller who may be cancelled: callers only queue and wait; the transaction is one call on this thread.
Two hops a batch, the queue to the thread and `call_soon_threadsafe` back, cost 60 to 90 us, half of what a quick disk takes. So
where one lease waits alone for a few rows and commits were quick lately, the same SQL runs on the loop's thread, as in memory.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any

from store import trouble
from store.commits import Batch, Call, Commit, Work
from store.errors import StoreError, StoreUnusableError, ValueEncodingError
from store.room import Room

LINGER = 0.1
"""Seconds rows wait for company when nobody waits for them."""

QUICK = 0.0005
"""Seconds: while commits take less, the loop can as well wait for one itself."""

IN_A_TURN = 16
"""Commits on the loop's thread in one turn of it: who awaits one after another must not keep all others waiting."""

FORGET = 0.8
"""What remains of a slow commit's time after each quick one: 17 make good for one of 20 ms."""

COMMIT_PATIENCE = 30_000
"""Milliseconds a commit on the thread waits: an import of another process may hold the lock for that long."""

LOOK = 0.5
"""Seconds between looks whether the file is still the one that was opened."""

_OF_ONE_BATCH = (
    sqlite3.IntegrityError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    UnicodeEncodeError,
    OverflowError,
    TypeError,
)
"""Errors of what was to be written, not of the disk."""


class Writer:
    """Collects on the loop, writes on its thread. `on_commit` hears the run ids that changed, on the loop.

    `commits` counts the transactions written.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        place: str,
        on_commit: Callable[[set[str]], None],
        path: str | None = None,
    ) -> None:
        self.place = place
        self.commits = 0
        self._connection = connection
        self._cursor = connection.cursor()  # `Connection.execute` makes one each time: 0.15 us, four times a commit
        self._path = path
        self._identity = _identity(path) if path else None
        self._wal_identity: tuple[int, int] | None = None
        self._look_due = 0.0
        self._room = Room(path) if path else None
        self._on_commit = on_commit
        self._loop = asyncio.get_running_loop()
        self._collecting = Commit()
        self._flying: Commit | None = None
        self._kick_due = False
        self._lonely = False
        self._took = 20 * QUICK
        self._patience: int | None = None
        self._wrote_for: object = None
        self._wrote = 0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._orders: queue.SimpleQueue[Commit | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        if path is not None:
            self._thread = threading.Thread(target=self._serve, name="store-writer", daemon=True)
            self._thread.start()

    @property
    def inline(self) -> bool:
        """Whether commits happen on the loop's thread (`:memory:`)."""
        return self._thread is None

    # --- on the loop

    @property
    def collecting(self) -> Commit:
        """The commit that takes what is queued now."""
        self.refuse_closed()
        return self._collecting

    def refuse_closed(self) -> None:
        """Raise when the store was closed."""
        if self._closed:
            raise StoreUnusableError(f"{self.place} was closed; open it again.")

    async def call(self, work: Work, run: str | None = None) -> Any:
        """Do `work` in the next commit and return its result once that is durable."""
        call = Call(work, run)
        commit = self.collecting
        commit.calls.append(call)
        await self.landing(commit)
        if call.error is not None:
            raise call.error
        return call.result

    def ride(self, work: Work, run: str | None = None) -> None:
        """Do `work` in the next commit; nobody waits and nothing is woken for it."""
        self.collecting.calls.append(Call(work, run))
        self.linger()

    async def landing(self, commit: Commit) -> None:
        """Wait until `commit` (collecting or in flight) is durable; raises why it is not."""
        waiter = self.waiter(commit)
        if waiter is not None:
            await waiter
        if commit.error is not None:
            raise commit.error

    def waiter(self, commit: Commit) -> asyncio.Future[None] | None:
        """A future that is done when `commit` landed, well or not; None when it has already (in memory at once)."""
        if commit is self._collecting:
            if self._thread is None:
                self._write_inline()
                return None
            if self._lonely and self._flying is None and self._write_here():
                return None
            if self._lonely and self._flying is None:
                waiter = self._loop.create_future()
                commit.waiters.append(waiter)
                self._kick()
                return waiter
            self.wake()
        elif commit is not self._flying:
            return None
        waiter = self._loop.create_future()
        commit.waiters.append(waiter)
        return waiter

    def wake(self) -> None:
        """Write soon: at the end of this turn of the loop, so that others of the same turn ride along.

        In memory there is no flush to share, and a callback costs as much as what sharing would save (1.5 us): written here.
        """
        if self._thread is None:
            self._write_inline()
        elif not self._kick_due and self._flying is None:
            self._kick_due = True
            self._loop.call_soon(self._kick)

    def linger(self) -> None:
        """Write within `LINGER` seconds, whoever waits."""
        if self._timer is None and self._flying is None and not self._kick_due:
            self._timer = self._loop.call_later(LINGER, self._kick)

    def _kick(self) -> None:
        self._kick_due = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._flying is not None or not (self._collecting.calls or self._collecting.batches):
            return
        if self.inline:
            self._write_inline()
            return
        if self._lonely and len(self._collecting.waiters) <= 1 and self._write_here():
            return
        self._flying, self._collecting = self._collecting, Commit()
        self._orders.put(self._flying)

    def _write_inline(self, begun: bool = False) -> None:
        commit, self._collecting = self._collecting, Commit()
        self._write(commit, begun)
        self._tell(commit)
        if commit.waiters:
            commit.release()

    def _write_here(self) -> bool:
        """Write on the loop's thread, where the other one would cost more than it frees; False where that is to be asked.

        Only a light one of a single lease, and in a turn of the loop for one lease only, a few times: another one that comes shares
        the next with whoever comes.
        """
        commit = self._collecting
        if self._took >= QUICK or commit.calls or len(commit.batches) != 1 or (self._room is not None and self._room.wanted):
            return False
        ((lease, batch),) = commit.batches.items()
        if (self._wrote_for is not None and self._wrote_for is not lease) or self._wrote >= IN_A_TURN:
            self._lonely = False
            return False
        if not batch.light:
            return False
        try:
            if self._patience != 0:
                self._wait_for_locks(0)
            self._cursor.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:  # another process writes, or the disk is in trouble: the thread waits and tells
            self._took = 20 * QUICK
            return False
        if self._wrote_for is None:
            self._wrote_for = lease
            self._loop.call_soon(self._turn_over)
        self._wrote += 1
        began = time.perf_counter()
        self._write_inline(begun=True)
        self._took = max(time.perf_counter() - began, self._took * FORGET)
        return True

    def _turn_over(self) -> None:
        self._wrote_for, self._wrote = None, 0

    def _wait_for_locks(self, milliseconds: int) -> None:
        self._cursor.execute(f"PRAGMA busy_timeout = {milliseconds}")
        self._patience = milliseconds

    def _landed(self) -> None:
        commit, self._flying = self._flying, None
        if commit is None:
            return
        self._lonely = len(commit.waiters) <= 1
        self._tell(commit)
        commit.release()
        if self._collecting.waiters:
            self.wake()
        elif self._collecting.calls or self._collecting.batches:
            self.linger()

    def _tell(self, commit: Commit) -> None:
        changed: set[str] = set()
        for call in commit.calls:
            if call.run is not None and call.error is None:
                changed.add(call.run)
        for batch in commit.batches.values():
            if commit.error is not None:
                batch.error = batch.error or commit.error
            batch.landed()
            if batch.error is None:
                changed.add(batch.run)
        if commit.error is None and (changed or commit.calls):
            self._on_commit(changed)

    async def close(self) -> None:
        """Write what is queued, then end the thread and the connection."""
        if self._closed:
            return
        while self._flying is not None or self._collecting.calls or self._collecting.batches:
            commit = self._flying or self._collecting
            try:
                await self.landing(commit)
            except StoreError:
                break
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._thread is None:
            self._connection.close()
            return
        self._orders.put(None)
        await asyncio.to_thread(self._thread.join)

    # --- on the thread

    def _serve(self) -> None:
        while (commit := self._orders.get()) is not None:
            began = time.perf_counter()
            if self._patience != COMMIT_PATIENCE:
                self._wait_for_locks(COMMIT_PATIENCE)
            if growing := self._room is not None and self._room.wanted > 0:
                self._room.make(self._connection)
            self._write(commit)
            if not growing:  # what that took says nothing of the disk
                self._took = max(time.perf_counter() - began, self._took * FORGET)
            try:
                self._loop.call_soon_threadsafe(self._landed)
            except RuntimeError:  # the loop is gone, and with it everyone who waited
                break
        self._connection.close()

    def _write(self, commit: Commit, begun: bool = False) -> None:
        for batch in commit.batches.values():
            batch.prepare()
        while not self._attempt(commit, begun):
            begun = False  # again without the batch that could not be written; rolled back, the others lost nothing

    def _attempt(self, commit: Commit, begun: bool) -> bool:
        """One transaction, maybe `begun`; False when one batch spoiled it (its `error` is set), so that the rest is tried again."""
        connection, cursor = self._connection, self._cursor
        applying: Batch | None = None
        try:
            if self._path is not None and time.monotonic() >= self._look_due:
                self._refuse_moved(self._path)
            if not begun:
                cursor.execute("BEGIN IMMEDIATE")
            for call in commit.calls:
                self._do(call)
            for batch in commit.batches.values():
                if batch.error is None:
                    applying = batch
                    batch.apply(cursor)
            applying = None
            cursor.execute("COMMIT")
            self.commits += 1
            if self._room is not None:
                self._room.committed()
        except StoreError as error:
            commit.error = error
        except Exception as error:  # the thread lives on, and everyone who waits hears why
            if applying is not None and isinstance(error, _OF_ONE_BATCH):
                applying.error = ValueEncodingError(f"An event of run {applying.run} cannot be written: {error}.")
                return False
            commit.error = trouble.translate(error, self.place)
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        return True

    def _do(self, call: Call) -> None:
        connection = self._connection
        call.error = None
        connection.execute("SAVEPOINT call")
        try:
            call.result = call.work(connection)
        except sqlite3.OperationalError:
            raise  # the disk, not this call: it concerns the whole commit
        except Exception as error:  # whatever a caller queued, the thread lives on and that caller hears of it
            call.error = trouble.translate(error, self.place) if isinstance(error, sqlite3.Error) else error
        if call.error is not None:
            connection.execute("ROLLBACK TO call")
        connection.execute("RELEASE call")

    def _refuse_moved(self, path: str) -> None:
        """Rows written into a deleted file would be acknowledged and lost.

        Not at every commit: a stat makes the next write stamp a finer time, which cost 40 us of a 200 us commit (Linux 6.13 on).
        """
        self._look_due = time.monotonic() + LOOK
        if _identity(path) != self._identity:
            raise trouble.moved(self.place)
        wal = _identity(f"{path}-wal")
        if self._wal_identity is None:
            self._wal_identity = wal
        elif wal != self._wal_identity:
            raise trouble.moved(f"{self.place}-wal")


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - twice a commit; a Path costs as much as the call
    except OSError:
        return None
    return found.st_dev, found.st_ino

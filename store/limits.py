"""Places that hold for every process of one store: how many may do a thing at once, and how often a minute.

Stands apart because it is no history: a row says who waits for a place and who has one, and goes with its process. Every question
is one piece of work in the writer's queue, so a place is taken under the file's write lock and never twice; those of a process
that died are freed by whoever is kept waiting. Who asks again does so in order of first asking, at once when a place is given
back in this process and else within `POLL` seconds. A store without limits never comes here.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sqlite3
import time
from collections.abc import AsyncIterator, Callable

from store.errors import StoreError
from store.locks import Driver
from store.writer import Writer

POLL = 0.1
"""Seconds between two looks whether another process gave a place back: a look that finds none writes nothing."""

MINUTE = 60.0


class Slots:
    """The places of a store, as one of its processes sees them."""

    def __init__(self, writer: Writer, driver: Driver, clock: Callable[[], float] = time.time) -> None:
        self._writer, self._driver, self._clock = writer, driver, clock
        self._given = asyncio.Event()

    @contextlib.asynccontextmanager
    async def held(
        self, name: str, concurrent: int | None, per_minute: int | None, waits: Callable[[], None]
    ) -> AsyncIterator[None]:
        """Hold a place of `name` for the length of the block; `waits` is called once if there is none at first.

        At most `concurrent` are held at a time and `per_minute` taken in any 60 seconds (None: no such limit). A caller that is
        cancelled gives its place back, also one that it was about to be given. Costs two commits, about 0.3 ms in a file.
        """
        ticket, told = secrets.token_hex(8), False
        try:
            while True:
                self._given.clear()
                wait = await self._writer.call(
                    lambda connection: take(connection, ticket, name, concurrent, per_minute, self._driver, self._clock())
                )
                if wait is None:
                    break
                if not told:
                    waits()
                    told = True
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._given.wait(), min(wait, 10 * POLL))
            yield
        finally:
            self._give(ticket, counts=per_minute is not None)

    def _give(self, ticket: str, *, counts: bool) -> None:
        """Queued behind the taking, so that it is given back whatever became of that; the store may be closed already."""
        with contextlib.suppress(StoreError):
            self._writer.ride(lambda connection: give(connection, ticket, self._clock() if counts else None))
            self._writer.wake()
        self._given.set()


def take(
    connection: sqlite3.Connection,
    ticket: str,
    name: str,
    concurrent: int | None,
    per_minute: int | None,
    driver: Driver,
    now: float,
) -> float | None:
    """Take a place for `ticket`, or be told after how many seconds to ask again. The caller holds the transaction."""
    row = connection.execute("SELECT slot FROM slots WHERE ticket = ?", (ticket,)).fetchone()
    if row is None:
        connection.execute(
            "INSERT INTO slots(ticket, name, pid, started, host) VALUES (?, ?, ?, ?, ?)",
            (ticket, name, driver.pid, driver.started, driver.host),
        )
        row = connection.execute("SELECT slot FROM slots WHERE ticket = ?", (ticket,)).fetchone()
    first, *whose = connection.execute(
        "SELECT slot, pid, started, host FROM slots WHERE name = ? AND taken IS NULL ORDER BY slot LIMIT 1", (name,)
    ).fetchone()
    if first != row[0] and Driver(*whose) == driver:
        return POLL  # whoever waits longer in this process looks for all (a look at other processes costs 0.1 ms for each)
    wait = _wait(connection, row[0], name, concurrent, per_minute, now)
    if wait is not None and _bury(connection, name, driver, now):
        wait = _wait(connection, row[0], name, concurrent, per_minute, now)
    if wait is None:
        connection.execute("UPDATE slots SET taken = ? WHERE slot = ?", (now, row[0]))
        connection.execute(
            "DELETE FROM slots WHERE name = ? AND freed IS NOT NULL AND taken NOT BETWEEN ? AND ?", (name, now - MINUTE, now)
        )
    return wait


def give(connection: sqlite3.Connection, ticket: str, now: float | None) -> None:
    """Give a place back, or stop waiting. That it was taken counts for a minute, unless `now` is None. The caller holds the
    transaction.
    """
    connection.execute("UPDATE slots SET freed = ? WHERE ticket = ? AND taken IS NOT NULL", (now, ticket))
    connection.execute("DELETE FROM slots WHERE ticket = ? AND freed IS NULL", (ticket,))


def _wait(
    connection: sqlite3.Connection, slot: int, name: str, concurrent: int | None, per_minute: int | None, now: float
) -> float | None:
    """Seconds until it may be a waiting row's turn, None when it is now. Others of the same name that wait longer come first."""
    if connection.execute("SELECT 1 FROM slots WHERE name = ? AND taken IS NULL AND slot < ? LIMIT 1", (name, slot)).fetchone():
        return POLL
    if concurrent is not None:
        (held,) = connection.execute(
            "SELECT count(*) FROM slots WHERE name = ? AND taken IS NOT NULL AND freed IS NULL", (name,)
        ).fetchone()
        if held >= concurrent:
            return POLL
    if per_minute is not None:
        last = connection.execute(
            "SELECT taken FROM slots WHERE name = ? AND taken > ? AND taken <= ? ORDER BY taken DESC LIMIT 1 OFFSET ?",
            (name, now - MINUTE, now, per_minute - 1),
        ).fetchone()
        if last is not None:
            return float(max(last[0] + MINUTE - now, POLL))
    return None


def _bury(connection: sqlite3.Connection, name: str, driver: Driver, now: float) -> bool:
    """Free what processes hold that are gone; whether there was any."""
    rows = connection.execute("SELECT DISTINCT pid, started, host FROM slots WHERE name = ? AND freed IS NULL", (name,)).fetchall()
    gone = [holder for holder in (Driver(*row) for row in rows) if holder != driver and not holder.alive()]
    for holder in gone:
        whose = (name, holder.pid, holder.started, holder.host)
        connection.execute("DELETE FROM slots WHERE name = ? AND pid = ? AND started = ? AND host = ? AND taken IS NULL", whose)
        connection.execute(
            "UPDATE slots SET freed = ? WHERE name = ? AND pid = ? AND started = ? AND host = ? AND freed IS NULL", (now, *whose)
        )
    return bool(gone)

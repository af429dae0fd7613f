"""Waking those who follow the log. A pulse carries no truth; it only says "read on".

Stands apart because two worlds meet here: commits of this process are told at once, those of others are noticed by polling
`PRAGMA data_version` (at most 50 ms late) while somebody waits.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from store.errors import StoreError
from store.reader import Reader

POLL = 0.05
"""Seconds between looks at the file."""


class Pulse:
    """Counts changes. `reader` is None in memory, where nobody else can write."""

    def __init__(self, reader: Reader | None) -> None:
        self._reader = reader
        self._count = 0
        self._run_counts: dict[str, int] = {}
        self._everything = 0
        self._waiting: dict[asyncio.Future[None], str | None] = {}
        self._poller: asyncio.Task[None] | None = None
        self._seen: int | None = None

    @property
    def waiting(self) -> int:
        """How many wait to be told."""
        return len(self._waiting)

    def stamp(self, run: str | None) -> int:
        """Take it before reading, give it to `wait` after."""
        return self._count if run is None else self._run_counts.get(run, 0) + self._everything

    def beat(self, runs: set[str] | None) -> None:
        """Something of these runs (None: perhaps of any) changed."""
        self._count += 1
        if runs is None:
            self._everything += 1
        else:
            for run in runs:
                self._run_counts[run] = self._run_counts.get(run, 0) + 1
        for future, waited in list(self._waiting.items()):
            if (runs is None or waited is None or waited in runs) and not future.done():
                future.set_result(None)

    async def wait(self, run: str | None, stamp: int) -> None:
        """Return when something may have changed since `stamp`. Raises what ended the polling."""
        if self.stamp(run) != stamp:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[future] = run
        if self._reader is not None and self._poller is None:
            self._poller = asyncio.create_task(self._poll(self._reader), name="store-poll")
        try:
            await future
        finally:
            del self._waiting[future]

    async def _poll(self, reader: Reader) -> None:
        """Ends by itself after a second without anyone waiting."""
        idle = 0
        try:
            while idle < 1 / POLL:
                await asyncio.sleep(POLL)
                idle = 0 if self._waiting else idle + 1
                seen = await data_version(reader)
                if seen != self._seen:
                    self._seen = seen
                    self.beat(None)
        except StoreError as error:
            for future in self._waiting:
                if not future.done():
                    future.set_exception(error)
        finally:
            self._poller = None

    async def close(self) -> None:
        """Stop polling and let everyone waiting go on."""
        poller = self._poller
        if poller is not None:
            poller.cancel()
            with suppress(asyncio.CancelledError):
                await poller
        self.beat(None)


async def data_version(reader: Reader) -> int:
    """A number that moves whenever another connection commits."""
    rows = await reader.all("PRAGMA data_version")
    return int(rows[0][0])

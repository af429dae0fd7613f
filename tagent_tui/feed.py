"""Follows the log for the screens: notices that something is new and says so, ten times a second at most.

Apart from the app because it needs no screen: it opens the store when there is one, notices other processes' commits through
`Log.changed()` (a `PRAGMA data_version`, microseconds), never reads in advance, and does nothing while nothing changes.
A notification carries no truth; whoever hears it reads on.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from enum import Enum
from pathlib import Path

from store.errors import StoreError
from store.events import Recorded, RunId
from store.log import Log
from store.projector import project
from store.state import RunState


class Pace(Enum):
    """Seconds between two looks at the log."""

    SCRUBBING = 0.05
    LIVE = 0.1
    UNFOCUSED = 1.0


QUIET = 0.25
"""Seconds between two looks once nothing was new for `QUIET_AFTER` seconds: a look costs a hop to the reading thread."""

QUIET_AFTER = 5.0

RETRY = 1.0
"""Seconds between two tries to open a store that is not there or cannot be used."""


Opener = Callable[[Path], Awaitable[Log]]


async def open_to_read(path: Path) -> Log:
    """The store at the path, opened for reading only. Raises `StoreError`."""
    return await Log.open(path, readonly=True)


class Feed:
    """One store, looked at in turns. `log` is None while there is none; `trouble` is the sentence that says why.

    `listener` is awaited after a look that found something new; the next look comes after it returns, so a slow screen
    slows its own updates and nothing queues up.
    """

    def __init__(self, path: str | Path, *, clock: Callable[[], float] = time.monotonic, opener: Opener | None = None) -> None:
        self.path = Path(path)
        self._opener = opener or open_to_read
        self.log: Log | None = None
        self.trouble = ""
        self.looks = 0
        self.updates = 0
        self._clock = clock
        self._pace = Pace.LIVE
        self._listener: Callable[[], Awaitable[None]] | None = None
        self._poked = asyncio.Event()
        self._dirty = True
        self._closed = False
        self._closing: asyncio.Future[None] | None = None
        self._file: tuple[int, int] | None = None
        self._next_file_look = float("-inf")
        self._last_news = clock()

    def listen(self, listener: Callable[[], Awaitable[None]]) -> None:
        """Who is told. There is one listener: the app, which asks the screen that is shown."""
        self._listener = listener

    def set_pace(self, pace: Pace) -> None:
        """How often to look from now on."""
        if pace is not self._pace:
            faster = pace.value < self._pace.value
            self._pace = pace
            if faster:
                self._poked.set()

    def poke(self) -> None:
        """Look again now and tell the listener, changed or not."""
        self._dirty = True
        self._next_file_look = float("-inf")
        self._poked.set()

    async def run(self) -> None:
        """Look until closed or cancelled; the store is closed then (an open reading connection would hold up the exit)."""
        try:
            while not self._closed:
                if await self.look():
                    self._last_news = self._clock()
                    if self._listener is not None:
                        self.updates += 1
                        await self._listener()
                await self._rest()
        finally:
            await self.close()

    async def look(self) -> bool:
        """Whether there is something new since the last look: in the log, or about the store itself."""
        self.looks += 1
        self._poked.clear()
        new = self._dirty
        self._dirty = False
        if await self._check_file():
            return True
        if self.log is None:
            return new
        try:
            return await self.log.changed() or new
        except StoreError as error:
            await self._drop(str(error))
            return True

    async def close(self) -> None:
        """Stop looking and close the store; whoever asks while that is under way waits for it too, and may be cancelled."""
        self._closed = True
        self._poked.set()
        log, self.log = self.log, None
        if log is not None:
            self._closing = asyncio.ensure_future(log.close())
        if self._closing is not None:
            await asyncio.shield(self._closing)

    @property
    def rest(self) -> float:
        """Seconds until the next look."""
        quiet = self._clock() - self._last_news > QUIET_AFTER
        return max(self._pace.value, QUIET) if quiet else self._pace.value

    async def _rest(self) -> None:
        try:
            await asyncio.wait_for(self._poked.wait(), self.rest)
        except TimeoutError:
            return

    async def _check_file(self) -> bool:
        """Open the store when it appears, leave it when its file is gone or another; whether that changed anything."""
        now = self._clock()
        if now < self._next_file_look:
            return False
        self._next_file_look = now + RETRY
        identity = _identity(self.path)
        if self.log is not None:
            if identity == self._file:
                return False
            await self._drop("")
        if identity is None:
            changed, self.trouble = bool(self.trouble), ""
            return changed
        return await self._open(identity)

    async def _open(self, identity: tuple[int, int]) -> bool:
        before = self.trouble
        try:
            self.log = await self._opener(self.path)
        except StoreError as error:
            self.trouble = str(error)
            return self.trouble != before
        self._file, self.trouble = identity, ""
        return True

    async def _drop(self, why: str) -> None:
        log, self.log = self.log, None
        self._file, self.trouble = None, why
        if log is not None:
            await log.close()


def _identity(path: Path) -> tuple[int, int] | None:
    """What file stands at the path now: device and inode; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


class RunFollower:
    """One run, folded as far as it was read. `pull()` reads on; nobody else may change the state in between."""

    def __init__(self, log: Log, run: RunId) -> None:
        self.log = log
        self.run = run
        self.state: RunState | None = None

    async def pull(self, limit: int = 2_000) -> Sequence[Recorded]:
        """What is new since the last pull, at most `limit` events of it; the first pull folds what is there and is empty."""
        if self.state is None:
            self.state = await self.log.state(self.run)
            return ()
        state = self.state
        batch = await self.log.events(self.run, after=state.version, limit=limit)
        if batch and self.state is state:
            self.state = project(batch, state)
        return batch


class Rates:
    """Events a second of each run, from the heads seen: one count for every second, the newest last."""

    def __init__(self, seconds: int = 60) -> None:
        self.seconds = seconds
        self._heads: dict[str, int] = {}
        self._counts: dict[str, deque[tuple[int, int]]] = {}

    def seen(self, run: str, head: int, now: float) -> None:
        """The run's head is `head` at time `now` (seconds); the first sight of a run counts nothing."""
        before = self._heads.get(run)
        self._heads[run] = head
        if before is None or head <= before:
            return
        second = int(now)
        counts = self._counts.setdefault(run, deque())
        if counts and counts[-1][0] == second:
            counts[-1] = (second, counts[-1][1] + head - before)
        else:
            counts.append((second, head - before))
        while counts and counts[0][0] <= second - self.seconds:
            counts.popleft()

    def series(self, run: str, now: float, width: int) -> list[int]:
        """The counts of the last `width` whole seconds before now; the running second is left out, as it is not full."""
        last = int(now) - 1
        counts = dict(self._counts.get(run, ()))
        return [counts.get(second, 0) for second in range(last - width + 1, last + 1)]

    def rate(self, run: str, now: float, over: int = 5) -> float:
        """Events a second over the last few full seconds."""
        return sum(self.series(run, now, over)) / over

    @property
    def known(self) -> list[str]:
        """The runs that were seen to move."""
        return list(self._counts)

    def forget(self, keep: Collection[str]) -> None:
        """Drop the runs that are not in `keep`."""
        for table in (self._heads, self._counts):
            for run in [run for run in table if run not in keep]:
                del table[run]

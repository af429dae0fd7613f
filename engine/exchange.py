"""What a driver does for the effects that leave the run's own log: spaces, mail, posts, memories, and the run's own memory.

Stands apart from the contexts, which only ask, and from the runtime, which drives: here a request becomes a fenced write that
carries its identity, and waiting becomes looking again whenever a stream changed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from engine.answers import Asked
from store import Lease, Log
from store.errors import StoreError
from store.mail import Mail, Message, Wanted
from store.memories import Memories
from store.posts import LIFE, Post, Posts
from store.spaces import Spaces
from store.state import RunState
from store.streams import MAIL, POSTS, Author

T = TypeVar("T")

LOOK_SECONDS = 1.0
"""How long at most between looks while there is a deadline: the clock may jump (a laptop that slept)."""
LIFE_SECONDS = 0.05
"""How long at least between two looks at the run list, which every commit of every run wakes."""


class Sight(NamedTuple):
    """Which posts are waited for: from `now`, the `start`, after a post's id (int), or after a moment (float, unix seconds)."""

    pattern: str
    tags: Sequence[str]
    pipeline: str | None
    after: str | int | float


class Exchange:
    """The streams as one run's driver reaches them. `state` is the driver's own and is only looked at.

    `memories` says whether long-term memories are kept and offered.
    """

    def __init__(self, log: Log, lease: Lease, state: RunState, clock: Callable[[], float], *, memories: bool) -> None:
        self.run, self.clock, self.remembers = lease.run, clock, memories
        self.spaces, self.mail, self.posts, self.memories = Spaces(log), Mail(log), Posts(log), Memories(log)
        self._log, self._lease, self._state = log, lease, state

    async def author(self, asked: Asked, step: str) -> Author:
        """Who writes: the request, which is durable when this returns. One in a fork's past is that of the run that made it."""
        await self._lease.flush()
        segments = await self._log.segments(self.run)
        origin = next(segment.id for segment in reversed(segments) if segment.first <= asked.version)
        return Author("driver", origin, asked.version, step, (self._lease.row, self._lease.token))

    @property
    def addresses(self) -> list[str]:
        """What this run answers to."""
        return list(dict.fromkeys([self.run, self._state.pipeline, *self._state.roles]))

    # -- the run's own memory

    def keys(self) -> list[str]:
        """The keys of the run's memory, sorted."""
        return sorted(self._state.memory)

    async def recollect(self, key: str) -> dict[str, Any]:
        """What the run's memory holds under a key, from the event that put it there; version 0 where there is nothing."""
        version = self._state.memory.get(key, 0)
        if not version:
            return {"version": 0}
        await self._lease.flush()
        (put,) = await self._log.events(self.run, after=version - 1, upto=version)
        return {"version": version, "value": (await self._log.value(put.event.arguments))["value"]}

    # -- mail

    async def take(self, asked: Asked, step: str, wanted: Wanted, timeout: float | None) -> Message | None:
        """Wait for a message and claim it for this request; None after `timeout` seconds from the request."""
        author = await self.author(asked, step)

        async def look() -> Message | None:
            now, addresses = self.clock(), self.addresses
            if not await self.mail.waits(self.run, asked.version, addresses, wanted, now):
                return None
            return await self.mail.claim(author, self.run, asked.version, addresses, wanted, now)

        return await self.first(MAIL, look, None if timeout is None else asked.at + timeout)

    def received(self, request: int, recorded: bool) -> None:
        """The message of a request was recorded in the run's history, or never will be."""
        with contextlib.suppress(StoreError):  # a store that is closed or lost: the next driver gives back what was not recorded
            if recorded:
                self.mail.settle(self.run, request)
            else:
                self.mail.give_back(self._fence(), self.run, request)

    def take_over(self) -> None:
        """Give back what an earlier driver claimed for requests that are not open any more."""
        self.mail.give_back_closed(self._fence(), self.run, list(self._state.open))

    def _fence(self) -> Author:
        return Author("driver", self.run, lease=(self._lease.row, self._lease.token))

    # -- posts

    async def see(self, asked: Asked, wanted: Sight, timeout: float | None) -> Post | None:
        """Wait for the first post, or the first turn in another run's life, that fits; None `timeout` seconds after the request."""
        number, since = 0, 0.0
        if wanted.after == "now":
            since = asked.at
        elif isinstance(wanted.after, float):
            since = wanted.after
        elif isinstance(wanted.after, int):
            number = wanted.after
        life = wanted.pattern.startswith(LIFE)

        async def look() -> Post | None:
            if life:
                found = await self.posts.lives(since, wanted.pattern, wanted.pipeline, self.run)
            else:
                found = await self.posts.after(
                    number, since=since, pattern=wanted.pattern, tags=wanted.tags, pipeline=wanted.pipeline, limit=1
                )
            return found[0] if found else None

        deadline = None if timeout is None else asked.at + timeout
        return await self.first(None if life else POSTS, look, deadline, LIFE_SECONDS if life else 0.0)

    async def first(
        self, channel: str | None, look: Callable[[], Awaitable[T | None]], deadline: float | None, pause: float = 0.0
    ) -> T | None:
        """See `first` below."""
        return await first(self._log, self.clock, channel, look, deadline, pause)


async def first(
    log: Log,
    clock: Callable[[], float],
    channel: str | None,
    look: Callable[[], Awaitable[T | None]],
    deadline: float | None = None,
    pause: float = 0.0,
) -> T | None:
    """What `look` finds, asked again whenever the channel (None: anything) changed; None once the deadline has passed."""
    while True:
        stamp = log.pulse.stamp(channel)
        found = await look()
        if found is not None:
            return found
        if deadline is None:
            await log.pulse.wait(channel, stamp)
        else:
            left = deadline - clock()
            if left <= 0:
                return None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, LOOK_SECONDS)):
                    await log.pulse.wait(channel, stamp)
        if pause:
            await asyncio.sleep(pause)


class Reach(Protocol):
    """What the parts of a context that remember and talk need of the driver."""

    @property
    def exchange(self) -> Exchange: ...
    def write_log(self, step: str, attempt: int, text: str, level: str, stream: str, fields: Mapping[str, Any]) -> None: ...

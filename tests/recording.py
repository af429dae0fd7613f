"""An attempt's record as a plain value, and a world with real latencies that remembers each touch: for tests of effects."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from engine.answers import Answer
from engine.effects import Effects
from engine.errors import AttemptClosedError
from store import values
from store.events import EffectRequested, Event, Payload, Recorded, Safety

Body = Callable[["Touch"], Awaitable[Any]]


class Recording:
    """What an attempt recorded: the `Recorder` protocol kept as a list. `flushed` has the versions that were waited for."""

    def __init__(self, events: Sequence[Recorded] = ()) -> None:
        self.events = list(events)
        self.old = len(self.events)
        self.blobs: dict[str, bytes] = {}
        self.flushed: list[int] = []
        self.refuse = False
        self.time = 1000.0

    def record(self, event: Event, step: str, attempt: int, blobs: Sequence[tuple[str, bytes]] = (), *, wake: bool = False) -> int:
        if self.refuse:
            raise AttemptClosedError("closed")
        self.blobs.update(blobs)
        self.events.append(Recorded(len(self.events) + 1, self.now(), event, step, attempt))
        return len(self.events)

    async def flush(self) -> None:
        await asyncio.sleep(0)
        self.flushed.append(len(self.events))

    async def load(self, payload: Payload) -> Any:
        await asyncio.sleep(0.001)
        return values.decode(self.blobs[str(payload.blob)])

    def now(self) -> float:
        self.time += 1
        return self.time

    @property
    def new(self) -> list[Recorded]:
        """What this life of the attempt recorded."""
        return self.events[self.old :]

    def requests(self) -> list[str]:
        """The names of all requests, in order."""
        return [item.event.name for item in self.events if isinstance(item.event, EffectRequested)]


class World:
    """What effects touch: answers after a random wait with a value never given before, so that a swapped one shows."""

    def __init__(self, seed: int = 0, slow: float = 0.003) -> None:
        self.random, self.slow = random.Random(seed), slow
        self.touched: list[str] = []
        self._fresh = self.random.randrange(1_000_000) * 1000

    async def answer(self, name: str) -> Any:
        """One touch; names that begin with `bad` fail."""
        self.touched.append(name)
        await asyncio.sleep(self.random.choice([0.0, self.random.random() * self.slow]))
        self._fresh += 1
        if name.startswith("bad"):
            raise ValueError(f"{name} {self._fresh}")
        return f"{name}={self._fresh}"

    @property
    def counts(self) -> Counter[str]:
        """How often each name was touched."""
        return Counter(self.touched)


class Touch:
    """What a body is given: `await touch("name")` is an effect."""

    def __init__(self, effects: Effects, world: World) -> None:
        self.effects, self.world = effects, world

    async def __call__(self, name: str, *, key: str | None = None, safety: Safety = Safety.READ, arguments: Any = None) -> Any:
        async def issue(_: float) -> Answer:
            return Answer(await self.world.answer(name))

        return await self.effects.perform("once", name, arguments, safety, issue, key=key)


async def drive(body: Body, recording: Recording, world: World) -> tuple[Any, Effects]:
    """One life of an attempt over what `recording` holds."""
    effects = Effects(recording, "step", 1, tuple(recording.events))
    try:
        async with asyncio.timeout(20):
            return await body(Touch(effects, world)), effects
    finally:
        effects.close()


def names(recording: Recording) -> list[str]:
    """New events as short texts."""
    return [f"{item.event.type} {getattr(item.event, 'name', getattr(item.event, 'request', ''))}" for item in recording.new]

"""The words between a step's effects, who carries them out, and who records them.

Stands apart because context, memory, messages, children and executor all speak them, and none of them needs the gate itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from store.events import Event, Payload, Spent, Usage

Blob = tuple[str, bytes]


class Answer(msgspec.Struct):
    """What came back from the world: the value, what it used, and whether a simulation made it."""

    value: Any
    usage: Usage | None = None
    simulated: bool = False
    spent: tuple[Spent, ...] = ()


class Recorder(Protocol):
    """What an attempt needs of the driver: to write its events, and to know they are safe."""

    def record(self, event: Event, step: str, attempt: int, blobs: Sequence[Blob] = (), *, wake: bool = False) -> int:
        """Record a fact of an attempt now, and return its version."""
        ...

    async def flush(self) -> None:
        """Wait until everything recorded so far is durable."""
        ...

    async def load(self, payload: Payload) -> Any:
        """The value of a payload."""
        ...

    def now(self) -> float:
        """Unix seconds."""
        ...


class Asked(NamedTuple):
    """A request as it is carried out, perhaps once more: its version in the run, and its time (unix seconds)."""

    version: int
    at: float


Issue = Callable[[Asked], Awaitable[Answer] | Answer]
"""Touches the world, and once more where it was, if it is repeated. One that need not wait answers at once."""

Told = Callable[[int, bool], None]
"""Hears of the request of that version: True in the turn that records its outcome, False when none will be recorded."""


def refusing(error: Exception) -> Issue:
    """In place of touching the world."""

    async def refuse(_: Asked) -> Answer:
        raise error

    return refuse

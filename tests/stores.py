"""Opening stores and leading runs, for tests that use real ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from store import Driver, Lease, Log, Recorded, RunId
from store.blobs import Blobs
from store.events import RunForked
from tests.happenings import created, pinned

ME = Driver.current()
DEADLINE = 20.0


async def lead(log: Log, run: str = "run", steps: list[str] | None = None, at: float = 1.0) -> Lease:
    """A new run, led by this process."""
    return await log.create(RunId(run), [created(steps, at)], pinned(), driver=ME)


async def branch(
    log: Log, run: str, parent: str, version: int, upto: int, at: float = 90.0, more: Iterable[Recorded] = ()
) -> Lease:
    """A fork of `parent` after `version`."""
    first = Recorded(version + 1, at, RunForked(parent, version, upto))
    return await log.fork(RunId(run), RunId(parent), version, [first, *more], driver=ME)


async def until(holds: Callable[[], Awaitable[bool]] | Callable[[], bool], what: str) -> None:
    """Wait until a condition holds; fails with `what` after 20 seconds."""
    deadline = time.monotonic() + DEADLINE
    while True:
        found = holds()
        if found if isinstance(found, bool) else await found:
            return
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        await asyncio.sleep(0.005)


def bytes_beside(path: Path) -> dict[str, bytes]:
    """The store's file and what stands beside it, by name; read only when this process has no connection to it."""
    return {found.name: found.read_bytes() for found in sorted(path.parent.iterdir()) if found.is_file()}


__all__ = ["DEADLINE", "ME", "Blobs", "branch", "bytes_beside", "lead", "until"]

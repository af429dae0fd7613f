"""Which runs are alive and what they offer to others.

Stands apart because nothing is registered anywhere: who drives a run stands in the run list, what it offers in its own log.
"""

from __future__ import annotations

import msgspec

from store import Log
from store.events import RunId

PAGE = 200


class Offering(msgspec.Struct, frozen=True):
    """A live run: it answers to its id, its pipeline's name and its `roles`. `seen` is its last event's time (unix seconds)."""

    run_id: RunId
    pipeline: str
    status: str
    roles: list[str]
    started: float
    seen: float
    pid: int
    host: str


async def live_runs(log: Log) -> list[Offering]:
    """The runs that a process of this host drives now, newest first: one look at the process and one fold a run."""
    found: list[Offering] = []
    for status in ("pending", "running", "paused", "waiting"):
        before = None
        while rows := await log.runs(status=status, limit=PAGE, before=before):
            before = rows[-1].row
            for row in rows:
                driver = row.driver
                if driver is not None and driver.alive():
                    roles = (await log.state(row.id)).roles
                    found.append(Offering(row.id, row.pipeline, status, roles, row.created, row.last_at, driver.pid, driver.host))
    return sorted(found, key=lambda one: one.started, reverse=True)

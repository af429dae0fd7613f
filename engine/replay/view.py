"""A run as it was: its state at a place, folded from what is recorded. Nothing is executed and nothing written.

Stands apart from the engine, which drives: whoever only looks loads neither the executor nor a model.
"""

from __future__ import annotations

from engine.replay.places import version_at
from store import Log
from store.events import RunId
from store.state import RunState


async def view(log: Log, run: RunId, at: int | str | None = None) -> RunState:
    """The state at a place (see `places.version_at`; None: now); the caller owns it."""
    return await log.state(run, None if at is None else await version_at(log, run, at))

"""The checkpoints of a run, as a list: named places, made by hand, by a step, or by the pipeline itself."""

from __future__ import annotations

from typing import Any

import msgspec

from store import Log
from store.events import CheckpointMade, RunId


class Checkpoint(msgspec.Struct, frozen=True):
    """A named place. `version` is its event, after which the place is; `at` is unix seconds; `step` is None for one of the run.

    `kind` is `manual`, or what made it by itself: `step`, `approval`, `irreversible`, `failure`, `end`.
    """

    name: str
    kind: str
    version: int
    at: float
    step: str | None = None
    metadata: dict[str, Any] = {}


async def checkpoints_of(log: Log, run: RunId) -> list[Checkpoint]:
    """All checkpoints of a run and, for a fork, of its past; oldest first."""
    found = await log.events(run, types={CheckpointMade.type})
    return [
        Checkpoint(
            item.event.name,
            item.event.kind,
            item.version,
            item.at,
            item.step,
            (await log.value(item.event.metadata) or {}) if item.event.metadata.size else {},
        )
        for item in found
    ]

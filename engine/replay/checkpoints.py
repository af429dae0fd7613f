"""The checkpoints of a run, as a list: named places, made by hand, by a step, or by the pipeline itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from engine.errors import CheckpointNotFoundError, suggestion
from store import Log
from store.events import CheckpointMade, RunId

NUMBERED = re.compile(r"(.+)#([1-9]\d{0,8})")
"""`NAME#2`: the second that was made with this name."""


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


async def checkpoint_of(log: Log, run: RunId, name: str) -> int:
    """The version of the newest checkpoint of a name, or of the one that `NAME#2` counts. Raises `CheckpointNotFoundError`."""
    made = [(item.event.name, item.version) for item in await log.events(run, types={CheckpointMade.type})]
    numbered = NUMBERED.fullmatch(name)
    wanted, count = (numbered[1], int(numbered[2])) if numbered else (name, 0)
    versions = [version for known, version in made if known == wanted]
    if versions and count <= len(versions):
        return versions[count - 1]
    if versions:
        has = "one checkpoint" if len(versions) == 1 else f"{len(versions)} checkpoints"
        raise CheckpointNotFoundError(f"Run {run} has {has} {wanted!r}, not {count}; give a number up to that.")
    raise CheckpointNotFoundError(f"Run {run} has no checkpoint {wanted!r}{_instead(wanted, [known for known, _ in made])}")


def _instead(wanted: str, known: Sequence[str]) -> str:
    names = list(dict.fromkeys(known))
    if not names:
        return "; it has none."
    return f"{suggestion(wanted, names) or f'; it has {_some(names)}'}."


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[-5:]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")

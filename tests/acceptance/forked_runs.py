"""Forks made from event values, below a made run: for screens that show a run's other lives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from store import values
from store.events import EditApplied, Recorded, RunForked, RunId
from store.log import Log
from tests.acceptance.made_runs import BASE, DEAD, Made, write


async def fork_off(log: Log, run: str, parent: str, at: int, edits: dict[str, Any], reason: str = "") -> None:
    """A fork of `parent` after event `at` with these edits, which nobody drove."""
    head = await log.head(RunId(parent))
    batch = [Recorded(at + 1, BASE + 200, RunForked(parent, at, head, reason=reason))]
    for target, value in edits.items():
        payload, _ = values.pack(value)
        step = target.removesuffix(".output") if target.endswith(".output") else None
        event = EditApplied(target, payload, reason=reason, output=payload if step else None)
        batch.append(Recorded(batch[-1].version + 1, BASE + 200, event, step, 0, None, "user"))
    lease = await log.fork(RunId(run), RunId(parent), at, batch, [], driver=DEAD)
    await lease.release()


async def family(path: Path, made: Made) -> Path:
    """A store with the run, two forks of it and one of these."""
    async with await Log.open(path) as log:
        await (await write(log, made)).release()
        await fork_off(log, "8a10bb00", made.run, 60, {"params.company": "Beta"}, "what of Beta")
        await fork_off(log, "7e41aa00", made.run, 92, {"report.goal": "Write less"}, "shorter")
        await fork_off(log, "9c00dd00", "7e41aa00", 94, {"plan.output": "1. Nothing."})
    return path

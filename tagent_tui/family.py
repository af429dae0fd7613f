"""Reading the family of a run: what it was forked from, and all that was forked from these.

Apart from `view/branches.py`, which arranges it, because this waits for the store: a question for each run that has forks, and one
for each fork's first events.
"""

from __future__ import annotations

from store.errors import RunNotFoundError, StoreError
from store.events import EditApplied, Payload, RunForked, RunId, RunMigrated
from store.log import Log
from store.runs import RunRow
from tagent_tui.view.branches import Edited, Kin

MOST = 500
"""Runs of a family that are read."""

EARLY = 64
"""Events after a fork's point in which its edits stand: they are its first."""

VALUE_MOST = 2_000
"""Bytes of an edited value that is told; of a longer one only that it was edited."""


async def read_family(log: Log, run: RunId) -> list[Kin]:
    """The family of a run, in no order."""
    first = await _oldest(log, run)
    rows, waiting = {first.id: first}, [first]
    while waiting and len(rows) < MOST:
        parent = waiting.pop(0)
        for row in await log.runs(parent=parent.id, limit=MOST - len(rows)):
            if row.id not in rows:
                rows[row.id] = row
                waiting.append(row)
    if run not in rows:  # it is one of very many: it and what leads to it is shown all the same
        rows.update({row.id: row for row in await _line(log, run)})
    return [await _kin(log, row) for row in rows.values()]


async def _line(log: Log, run: RunId) -> list[RunRow]:
    """The run and its ancestors, the oldest last; one whose parent is not in this store is the oldest here."""
    line = [await log.find(run)]
    while line[-1].parent is not None and len(line) < MOST:
        try:
            line.append(await log.find(line[-1].parent))
        except RunNotFoundError:
            break
    return line


async def _oldest(log: Log, run: RunId) -> RunRow:
    return (await _line(log, run))[-1]


async def _kin(log: Log, row: RunRow) -> Kin:
    status = row.shown()
    if row.parent_version is None:
        return Kin(row, status)
    start = row.parent_version
    types = {RunForked.type, EditApplied.type, RunMigrated.type}
    found = [one.event for one in await log.events(row.id, after=start, upto=start + EARLY, types=types)]
    edits = [Edited("pipeline", _changes(event)) for event in found if isinstance(event, RunMigrated)]
    edits += [Edited(event.target, await _value(log, event.value)) for event in found if isinstance(event, EditApplied)]
    reasons = [event.reason for event in found if isinstance(event, RunForked | EditApplied) and event.reason]
    return Kin(row, status, edits, reasons[0] if reasons else "")


def _changes(event: RunMigrated) -> str:
    """The steps that are others in the pipeline a fork goes on with."""
    words = (("changed", event.changed), ("added", event.added), ("removed", event.removed))
    return "; ".join(f"{', '.join(names)} {word}" for word, names in words if names)


async def _value(log: Log, value: Payload) -> str:
    if value.size > VALUE_MOST:
        return ""
    try:
        return (await log.text(value)).decode("utf-8", "replace").strip('"')
    except StoreError:
        return ""

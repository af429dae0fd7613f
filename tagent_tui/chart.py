"""Reading what a timeline is drawn from: how a run's events lie over time, its marks, and where each step first starts.

Apart from the screen because it waits for the store, once when a replay is entered.
"""

from __future__ import annotations

from store.events import CheckpointMade, RunId
from store.log import Log
from tagent_tui.text import one_line
from tagent_tui.view.timeline import FORK, Mark, Timeline

PARTS = 240
"""Equal parts of the time that events are counted in: twice the cells of a usual screen, spread over a wider one."""

FORKS = 200
"""Forks of a run that are marked, the newest; each needs the time of its event."""

STARTS = 20_000
"""Steps of a run beyond which the tree does not say where each starts."""


async def read_timeline(log: Log, run: RunId, head: int) -> Timeline:
    """The timeline of a run that has `head` events."""
    ends = [*await log.events(run, upto=1), *await log.events(run, after=head - 1, upto=head)]
    if not ends:
        return Timeline(head, 0.0, 0.0)
    start, end = ends[0].at, ends[-1].at
    marks = [Mark(one.version, one.at, one.type) for one in await log.marks(run)]
    marks = sorted([*marks, *await _forks(log, run)])
    counts = await log.density(run, PARTS, start, end) if end > start else [head]
    return Timeline(head, start, end, counts, marks)


async def _forks(log: Log, run: RunId) -> list[Mark]:
    """The events of a run at which others were forked off it, one mark a fork."""
    times: dict[int, float] = {}
    marks: list[Mark] = []
    for row in await log.runs(parent=run, limit=FORKS):
        version = row.parent_version
        if not version:
            continue
        if version not in times:
            found = await log.events(run, after=version - 1, upto=version)
            times[version] = found[0].at if found else row.created
        marks.append(Mark(version, times[version], FORK))
    return marks


async def read_names(log: Log, run: RunId, timeline: Timeline) -> list[str]:
    """The names of the checkpoints, the newest last; the log is read through only if there are any."""
    if not any(mark.type == CheckpointMade.type for mark in timeline.marks):
        return []
    found = await log.events(run, types={CheckpointMade.type})
    return list(reversed(dict.fromkeys(one_line(one.event.name).text for one in reversed(found))))


async def read_starts(log: Log, run: RunId, steps: int) -> dict[str, int]:
    """The version at which each step first starts; nothing for a run of very many steps."""
    if steps > STARTS:
        return {}
    starts: dict[str, int] = {}
    for one in await log.events(run, types={"step.started"}, limit=2 * STARTS):
        if one.step is not None:
            starts.setdefault(one.step, one.version)
    return starts

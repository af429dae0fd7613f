"""Reading what a timeline is drawn from: how a run's events lie over time, its marks, and where each step first starts.

Apart from the screen because it waits for the store, once when a replay is entered. Of a short run every event is read; of a long
one evenly spaced events are, and those between two of them are shared out over the time between.
"""

from __future__ import annotations

from collections.abc import Sequence

from store.events import Recorded, RunId
from store.log import Log
from tagent_tui.view.timeline import MARK_TYPES, Moment, Timeline

PARTS = 512
"""Equal parts of the time that events are counted in: more than a screen has cells."""

WHOLE = 4_096
"""Events up to which a run is read whole (about 15 ms)."""

STARTS = 20_000
"""Step starts that are looked up at most; beyond it the tree does not say where a step starts."""


async def read_timeline(log: Log, run: RunId, head: int) -> Timeline:
    """The timeline of a run that has `head` events."""
    times = await _times(log, run, head)
    marks = [Moment(one.version, one.at, one.event.type) for one in await log.events(run, types=MARK_TYPES, upto=head)]
    if not times:
        return Timeline(head, 0.0, 0.0, (), marks)
    start, end = times[0][1], times[-1][1]
    return Timeline(head, start, end, counts(times, start, end), marks)


async def _times(log: Log, run: RunId, head: int) -> list[tuple[int, float]]:
    """Versions with their times, in order: all of them, or evenly spaced ones with the last."""
    if head <= WHOLE:
        return [(one.version, one.at) for one in await log.events(run, upto=head)]
    wanted = sorted({1, head, *(1 + (head - 1) * part // PARTS for part in range(PARTS))})
    found: list[Recorded] = []
    for version in wanted:
        found += await log.events(run, after=version - 1, upto=version)
    return [(one.version, one.at) for one in found]


def counts(times: Sequence[tuple[int, float]], start: float, end: float) -> list[int]:
    """How many events fall into each of `PARTS` equal parts of the time."""
    parts = [0.0] * PARTS
    length = max(end - start, 1e-9)
    before = (times[0][0] - 1, times[0][1])
    for version, at in times:
        _share_out(parts, version - before[0], (before[1] - start) / length, (at - start) / length)
        before = (version, at)
    return [round(part) if part >= 1 else int(part > 0) for part in parts]


def _share_out(parts: list[float], events: int, low: float, high: float) -> None:
    """Add events that lie between two shares of the time; the last of them lies at the later one."""
    last = min(int(high * PARTS), PARTS - 1)
    first = min(int(low * PARTS), last) if events > 1 else last
    for part in range(first, last + 1):
        parts[part] += events / (last - first + 1)


async def read_starts(log: Log, run: RunId, steps: int) -> dict[str, int]:
    """The version at which each step first starts; nothing for a run of very many steps."""
    if steps > STARTS:
        return {}
    starts: dict[str, int] = {}
    for one in await log.events(run, types={"step.started"}, limit=2 * STARTS):
        if one.step is not None:
            starts.setdefault(one.step, one.version)
    return starts

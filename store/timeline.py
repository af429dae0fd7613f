"""What a timeline needs of a run without reading its events: the few that are marked, how many fell into each slice of
time, and which version stands at a moment.

Stands apart because it uses what holds of every run: versions have no gaps and times never go back. So a moment is found by
halving, 20 looks in a million events, and counting a slice is a subtraction.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from store.lineage import Segment
from store.reader import Reader

_MARKS = "SELECT version, at, type, step FROM marks WHERE run = ? AND version BETWEEN ? AND ? ORDER BY version LIMIT ?"

_SEARCH = """
WITH RECURSIVE edge(place, moment) AS (SELECT key, value FROM json_each(?)),
search(place, moment, low, high) AS (
    SELECT place, moment, ?, ? FROM edge
    UNION ALL
    SELECT place, moment, iif(e.at <= moment, e.version, low), iif(e.at <= moment, high, e.version - 1)
    FROM search JOIN events e ON e.run = ? AND e.version = (low + high + 1) / 2
    WHERE low < high
)
SELECT place, low FROM search WHERE low = high
"""

_FIRST_OF_STEP = "SELECT min(version) FROM events WHERE run = ? AND version BETWEEN ? AND ? AND step = ?"


class Mark(msgspec.Struct, frozen=True):
    """An event worth a mark: a failure, a fork, a checkpoint, an artifact, a driver's arrival. `at` is unix seconds."""

    version: int
    at: float
    type: str
    step: str | None


def _bounds(segments: Sequence[Segment], head: int) -> list[tuple[int, int, int]]:
    return [(run, first, head if last is None else min(last, head)) for run, _, first, last in segments]


async def marks(reader: Reader, segments: Sequence[Segment], head: int, limit: int) -> list[Mark]:
    """The marked events of a lineage, oldest first, at most `limit`."""
    found: list[Mark] = []
    for run, first, last in _bounds(segments, head):
        rows = await reader.all(_MARKS, (run, first, last, limit - len(found)))
        found += [Mark(*row) for row in rows]
    return found


async def versions_at(reader: Reader, segments: Sequence[Segment], head: int, moments: Sequence[float]) -> list[int]:
    """For each moment (unix seconds) the last version at or before it; 0 where the run had not begun."""
    result = [0] * len(moments)
    for run, first, last in _bounds(segments, head):
        if last < first:
            continue
        asked = (json.dumps(list(moments)), first - 1, last, run)
        for place, version in await reader.all(_SEARCH, asked):
            if version >= first:
                result[place] = version
    return result


async def density(reader: Reader, segments: Sequence[Segment], head: int, buckets: int, span: tuple[float, float]) -> list[int]:
    """How many events fell into each of `buckets` equal slices of `span`; what lies on an edge is in the later one."""
    start, end = span
    width = (end - start) / buckets
    edges = [*(math.nextafter(start + width * number, -math.inf) for number in range(buckets)), end]
    return [after - before for before, after in pairwise(await versions_at(reader, segments, head, edges))]


async def first_of_step(reader: Reader, segments: Sequence[Segment], head: int, step: str) -> int | None:
    """The first event of a step (a scan: 0.2 s in a million events)."""
    for run, first, last in _bounds(segments, head):
        rows = await reader.all(_FIRST_OF_STEP, (run, first, last, step))
        if rows and rows[0][0] is not None:
            return int(rows[0][0])
    return None

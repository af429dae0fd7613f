"""A run's past as rows of several runs: a fork's events begin in its ancestors.

Stands apart because every reader needs it and it never changes once a run exists, so it is asked once a run and kept.
"""

from __future__ import annotations

from typing import NamedTuple

from store.errors import RunNotFoundError
from store.reader import Reader

SELECT = """
WITH RECURSIVE line(run, id, parent, upto, own_upto, depth) AS (
    SELECT run, id, parent, parent_version, NULL, 0 FROM runs WHERE id = ?
    UNION ALL
    SELECT r.run, r.id, r.parent, r.parent_version, line.upto, depth + 1
    FROM line JOIN runs r ON r.run = line.parent
)
SELECT run, id, upto, own_upto FROM line ORDER BY depth DESC
"""


class Segment(NamedTuple):
    """Versions `first` to `last` (None: to its head) of a lineage are rows of `run` (number), whose id is `id`."""

    run: int
    id: str
    first: int
    last: int | None


class Lineages:
    """The lineages of the runs asked for so far."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known: dict[str, list[Segment]] = {}

    async def of(self, run: str) -> list[Segment]:
        """The segments of a run, oldest first. Raises `RunNotFoundError`."""
        known = self._known.get(run)
        if known is None:
            rows = await self._reader.all(SELECT, (run,))
            if not rows:
                raise RunNotFoundError(f"There is no run {run} in this store; `runs` lists what there is.")
            known = self._known[run] = segments(rows)
        return known

    async def family(self, run: str) -> list[tuple[int, str]]:
        """(row, id) of the run and all it was forked from, the oldest first. Raises `RunNotFoundError`."""
        await self.of(run)
        return [(number, id) for number, id, _, _ in await self._reader.all(SELECT, (run,))]


def segments(rows: list[tuple[int, str, int | None, int | None]]) -> list[Segment]:
    """The segments that `SELECT` found, oldest first; a parent that was forked after the fork's own point adds nothing."""
    limit = None
    bounds = []
    for run, id, upto, own_upto in reversed(rows):
        last = own_upto if limit is None else (limit if own_upto is None else min(own_upto, limit))
        limit = last
        bounds.append(Segment(run, id, (upto or 0) + 1, last))
    return [segment for segment in reversed(bounds) if segment.last is None or segment.last >= segment.first]

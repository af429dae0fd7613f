"""Finding the next and the previous event of some types in a run's log. What a word means is `engine.replay.places`.

Apart from the screens because the log is asked forward only: backwards is windows of growing size.
"""

from __future__ import annotations

from collections.abc import Collection

from store.events import RunId
from store.log import Log

WINDOW = 256
GROWTH = 4


async def next_of(log: Log, run: RunId, types: Collection[str], after: int) -> int | None:
    """The first version above `after` whose event is of one of these types."""
    found = await log.events(run, after=after, types=types, limit=1)
    return found[0].version if found else None


async def previous_of(log: Log, run: RunId, types: Collection[str], before: int) -> int | None:
    """The last version below `before` whose event is of one of these types."""
    high, window = before - 1, WINDOW
    while high > 0:
        low = max(high - window, 0)
        found = await log.events(run, after=low, upto=high, types=types)
        if found:
            return found[-1].version
        high, window = low, window * GROWTH
    return None

"""Finding places in a run's log: the next and previous event of some types, and the event at a time.

Apart from the screens because the log is asked forward only: backwards is windows of growing size, a time is a search by halves.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime, time, timedelta

from store.events import CheckpointMade, RunId
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


async def checkpoint(log: Log, run: RunId, text: str) -> int | None:
    """The version of the newest checkpoint of that name, or whose name begins so."""
    wanted = text.strip()
    found = await log.events(run, types={CheckpointMade.type}) if wanted else []
    names = [(one.event.name, one.version) for one in found if isinstance(one.event, CheckpointMade)]
    exact = [version for name, version in names if name == wanted]
    begins = [version for name, version in names if name.startswith(wanted)]
    return next(iter([*exact[::-1], *begins[::-1]]), None)


_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?")


def moment(text: str, start: float, end: float) -> float | None:
    """`HH:MM[:SS[.fff]]`, local, on the run's first day, or on the next if that time was before its start; None if it is no time.

    Without a fraction it is the end of that second, so that everything that happened in it is behind.
    """
    found = _TIME.fullmatch(text.strip())
    if found is None:
        return None
    hours, minutes, seconds, fraction = (found.group(i) or "0" for i in range(1, 5))
    if int(hours) > 23 or int(minutes) > 59 or int(seconds) > 59:
        return None
    began = datetime.fromtimestamp(start)
    wanted = time(int(hours), int(minutes), int(seconds), int(fraction.ljust(6, "0")))
    at = datetime.combine(began.date(), wanted)
    last = datetime.fromtimestamp(end)
    if at < began.replace(microsecond=0) and at + timedelta(days=1) <= last:
        at += timedelta(days=1)
    whole = found.group(4) is None
    return at.timestamp() + (0.999999 if whole else 0.0)


def number(text: str, here: int, head: int) -> int | None:
    """`204`, `96,310`, `+10`, `-3`, `end`: a version, within the run; None if it is none of these."""
    word = text.strip().replace(",", "").replace("_", "")
    if word in ("end", "$"):
        return head
    if not re.fullmatch(r"[+-]?\d{1,15}", word):
        return None
    wanted = here + int(word) if word[0] in "+-" else int(word)
    return min(max(wanted, 1), head)

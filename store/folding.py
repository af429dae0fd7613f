"""The state of a run at any version: the nearest snapshot below, and the events since, folded.

Stands apart because it is the one loop over stored events whose speed everybody feels; it reads only the columns the rules use, in
pages short enough (about 3 ms) that the loop stays answerable.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from store import codec, snapshots
from store.lineage import Segment
from store.projector import FOLD_VERSION, RULES
from store.reader import Reader
from store.state import RunState

PAGE = 2000
"""Events a read."""

SELECT = (
    "SELECT version, at, iif(schema = 1, type, type || '/' || schema), step, attempt, data FROM events "
    "WHERE run = ? AND version > ? AND version <= ? ORDER BY version LIMIT ?"
)
"""A column costs 0.2 us, half as much as decoding the event: the schema, nearly always 1, travels in the type."""
NO_END = 2**63 - 1

Row = tuple[int, float, str, str | None, int, str]
Page = list[Row]


def evolve_page(state: RunState, page: Page) -> None:
    """Fold rows into `state`, in place, without making their envelopes (as `projector.evolve` would need)."""
    decode, rules = codec.decode_named, RULES
    for version, at, kind, step, attempt, text in page:
        event = decode(kind, text)
        rules[type(event)](state, version, at, step or "", attempt, event)
    if page:
        state.version, state.last_at = page[-1][0], page[-1][1]


async def pages(
    reader: Reader, segments: Sequence[Segment], after: int, upto: int | None, size: int = PAGE
) -> AsyncGenerator[Page, None]:
    """The rows of versions `after` < v <= `upto` of a lineage, in order."""
    end = NO_END if upto is None else upto
    for run, _, first, last in segments:
        stop = end if last is None else min(last, end)
        start = max(after, first - 1)
        while start < stop:
            page = await reader.all(SELECT, (run, start, stop, size))
            if page:
                start = page[-1][0]
                yield page
            if len(page) < size:
                break


async def page(reader: Reader, segments: Sequence[Segment], after: int, upto: int | None, size: int) -> Page:
    """The first rows after `after`, at most `size`; fewer where one run's rows end and another's begin, none at the end."""
    rest = pages(reader, segments, after, upto, size)
    try:
        return await anext(rest, [])
    finally:
        await rest.aclose()


async def nearest(reader: Reader, segments: Sequence[Segment], upto: int | None) -> RunState:
    """The newest snapshot of a lineage at or below `upto`, or an empty state."""
    end = NO_END if upto is None else upto
    for run, _, _, last in reversed(segments):
        limit = end if last is None else min(last, end)
        while limit > 0:
            found = await reader.all(snapshots.SELECT, (run, limit, FOLD_VERSION))
            if not found:
                break
            version, stored = found[0]
            state = snapshots.decode(stored)
            if state is not None and state.version == version:
                return state
            limit = version - 1
    return RunState()


async def fold(reader: Reader, segments: Sequence[Segment], upto: int | None, state: RunState | None = None) -> RunState:
    """The state at `upto` (None: as far as there is), from `state` if it is given and below."""
    if state is None:
        state = await nearest(reader, segments, upto)
    async for page in pages(reader, segments, state.version, upto):
        evolve_page(state, page)
    return state

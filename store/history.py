"""A cursor over the states of a run, for scrubbing: to any version within 50 ms, one on in 1 ms, one back in 10.

Stands apart because going back needs what folding forgets. The last events before the cursor leave what they changed (one step, the
open effects, the counters) on a trail, so going back copies one step and not ten thousand. Where the trail ends, an
earlier one is folded from a snapshot, in the background before it is reached.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import msgspec

from store import codec, folding
from store.errors import VersionRangeError
from store.events import Event, RunCreated, RunMigrated
from store.folding import Page, Row
from store.lineage import Lineages
from store.projector import RULES, also_changed
from store.reader import Reader
from store.state import OpenEffect, RunState, StepState

TRAIL = 2048
"""Events the cursor can go back without folding (about 2 us and 1 KiB each)."""

MARGIN = 64
"""A seek starts at a snapshot at least this far below, so that it leaves a trail; an earlier trail is begun this early."""

AHEAD = 128
"""Rows read at once when going forward."""

_FIELDS = RunState.__struct_fields__


class _Before(msgspec.Struct, gc=False, frozen=True):
    """What one event (its `row`) is about to change: the state's fields, steps (None: it was not there), collections."""

    row: Row
    fields: tuple[Any, ...]
    path: str
    step: StepState | None
    others: dict[str, StepState | None]
    counts: list[int]
    open: dict[int, OpenEffect]
    artifacts: int


class _Trail:
    """A state, and how to go back from it."""

    __slots__ = ("past", "state")

    def __init__(self, state: RunState) -> None:
        self.state = state
        self.past: deque[_Before] = deque(maxlen=TRAIL)

    def forward(self, page: Page) -> None:
        """Fold rows in, leaving a trail."""
        state = self.state
        for row in page:
            version, at, kind, step, attempt, text = row
            event = codec.decode_named(kind, text)
            if type(event) is RunCreated or type(event) is RunMigrated:
                self.past.clear()  # these rebuild all steps: behind them lies another trail
            else:
                self.past.append(_before(row, state, step or "", event))
            RULES[type(event)](state, version, at, step or "", attempt, event)
            state.version, state.last_at = version, at

    def back(self) -> Row:
        """Undo the last event and return its row; there must be one on the trail."""
        state, before = self.state, self.past.pop()
        for name, value in zip(_FIELDS, before.fields, strict=True):
            setattr(state, name, value)
        state.counts[:] = before.counts
        state.open = before.open
        del state.artifacts[before.artifacts :]
        for path, step in ((before.path, before.step), *before.others.items()):
            if step is not None:
                state.steps[path] = step
            else:
                state.steps.pop(path, None)
        return before.row


def _copied(step: StepState | None) -> StepState | None:
    return None if step is None else msgspec.structs.replace(step)


def _before(row: Row, state: RunState, path: str, event: Event) -> _Before:
    step = state.steps.get(path)
    held = dict(state.open) if state.open else {}
    request = getattr(event, "request", None)
    if request in held:  # what is changed is a copy: trails further back hold the one there was
        state.open[request] = msgspec.structs.replace(held[request])
    return _Before(
        row,
        msgspec.structs.astuple(state),
        path,
        _copied(step),
        {name: _copied(state.steps.get(name)) for name in also_changed(state, path, event)},
        state.counts.copy(),
        held,
        len(state.artifacts),
    )


class History:
    """A cursor; begin with `seek`. The state it returns is its own: do not change it, and read it before the next move."""

    def __init__(self, reader: Reader, lineages: Lineages, run: str) -> None:
        self._reader = reader
        self._lineages = lineages
        self._run = run
        self._trail = _Trail(RunState())
        self._ahead: Page = []  # the rows after the cursor, the next one last
        self._earlier: asyncio.Task[_Trail] | None = None

    @property
    def version(self) -> int:
        """Where the cursor is; 0 is before the first event."""
        return self._trail.state.version

    @property
    def state(self) -> RunState:
        """The state there."""
        return self._trail.state

    async def seek(self, version: int) -> RunState:
        """Go to a version. Raises `VersionRangeError` for one the run does not have (yet)."""
        if version < 0:
            raise VersionRangeError(f"Run {self._run} has no event {version}; events count from 1.")
        here = self.version
        if here - len(self._trail.past) <= version <= here:
            while self.version > version:
                self._back()
        elif not here < version <= here + AHEAD:
            self._drop_earlier()
            self._ahead = []
            self._trail = await self._fold(version)
        while self.version < version:
            if not await self._forward():
                raise VersionRangeError(f"Run {self._run} has versions 1 to {self.version}; {version} is not one of them.")
        return self.state

    async def step(self, by: int) -> RunState:
        """Go `by` events on (or back, below 0), as far as there are any."""
        if by > AHEAD or -by > len(self._trail.past):
            return await self._jump(max(0, self.version + by))
        for _ in range(by):
            if not await self._forward():
                break
        for _ in range(-by):
            self._back()
        return self.state

    async def _jump(self, version: int) -> RunState:
        if version < self.version and (earlier := self._earlier) is not None:
            self._earlier = None
            bottom = self.version - len(self._trail.past)
            trail = await earlier
            if trail.state.version == bottom:
                self._trail, self._ahead = trail, []
        try:
            return await self.seek(version)
        except VersionRangeError:
            return self.state

    async def _forward(self) -> bool:
        if not self._ahead:
            segments = await self._lineages.of(self._run)
            self._ahead = (await folding.page(self._reader, segments, self.version, None, AHEAD))[::-1]
            if not self._ahead:
                return False
        self._trail.forward([self._ahead.pop()])
        return True

    def _back(self) -> None:
        self._ahead.append(self._trail.back())
        left = len(self._trail.past)
        if left < MARGIN and self._earlier is None and self.version > left + 1:
            self._earlier = asyncio.ensure_future(self._fold(self.version - left))
            self._earlier.add_done_callback(lambda done: done.cancelled() or done.exception())  # told when it is awaited, if ever

    def _drop_earlier(self) -> None:
        if self._earlier is not None:
            self._earlier.cancel()
            self._earlier = None

    async def _fold(self, version: int) -> _Trail:
        """A new trail that ends at `version`, or at the head if that is lower."""
        segments = await self._lineages.of(self._run)
        state = await folding.nearest(self._reader, segments, max(0, version - MARGIN))
        if version - TRAIL > state.version:
            state = await folding.fold(self._reader, segments, version - TRAIL, state)
        trail = _Trail(state)
        async for page in folding.pages(self._reader, segments, state.version, version):
            trail.forward(page)
        return trail

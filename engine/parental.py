"""The parent's tape of a fork: what attempts came to after its point, in recorded order, and what they left besides.

Read from the log. Stands apart from taking, which says whose turn it is: here it is only said what stands on the tape.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any, NamedTuple

from engine.recordings import OWN
from engine.tape import EFFECT_TYPES
from store import Log
from store.events import (
    EffectFailed,
    EffectRequested,
    EffectSucceeded,
    Recorded,
    RunId,
    StepEvaluated,
    StepRetryScheduled,
    StepStarted,
)

OUTCOMES = frozenset({"step.completed", "step.reused", "step.failed", "step.skipped", "step.cancelled"})
ANSWERS = frozenset({"approval.given", "approval.expired"})
LEFT_BEHIND = frozenset({"artifact.made", "step.added", "step.enabled", "step.published", "checkpoint.made"})

ON_TAPE = OUTCOMES | ANSWERS | LEFT_BEHIND | EFFECT_TYPES | {StepStarted.type, StepEvaluated.type, StepRetryScheduled.type}

JUST_BEFORE = 0.5
"""How far before an event what shares its commit is placed."""

Key = tuple[str, int]
"""(step path, attempt); approvals stand at attempt 0"""


class Source(NamedTuple):
    """Events of `run` with `after` < version <= `upto` are a tape."""

    run: RunId
    after: int
    upto: int


class Taken(NamedTuple):
    """Something on the tape, or (`event` None) a mark that the attempt came to no outcome before that version.

    `source` is the tape it stands on.
    """

    version: float
    source: Source | None = None
    event: Any = None


NOTHING_TAKEN = Taken(math.inf)


class Tape(NamedTuple):
    """What attempts came to, their starts, what they left besides, and the looks at each step, in order.

    Of their effects those are left that changed the run itself, and the ends of those that were under way at the fork's point.
    """

    outcomes: dict[Key, Taken]
    starts: dict[Key, Taken]
    left: dict[Key, list[Taken]]
    looks: dict[str, deque[Taken]]


class _Reader:
    """Reads a tape, event by event. `late` are steps that wait to be tried again, with when they may be."""

    def __init__(self, source: Source, late: dict[Key, float]) -> None:
        self._source, self._late = source, late
        self._placed: dict[Key, float] = {}
        self._own: set[int] = set()
        self.tape = Tape({}, {}, {}, {})

    def read(self, item: Recorded) -> None:
        """Take in one event. The first word of an attempt is its outcome: what follows is about its step."""
        event, key, tape = item.event, (item.step or "", item.attempt), self.tape
        here = Taken(item.version, self._source, event)
        if isinstance(event, StepRetryScheduled):
            self._late[key[0], key[1] + 1] = event.due
        elif isinstance(event, StepStarted):
            self._late.pop(key, None)
            tape.starts[key] = here._replace(version=self._placed.get(key, item.version))
        elif isinstance(event, StepEvaluated):
            tape.looks.setdefault(key[0], deque()).append(here)
            self._place(item)
        elif event.type in ANSWERS:
            tape.outcomes.setdefault((key[0], 0), here)
            self._place(item)
        elif event.type not in OUTCOMES:
            if key not in tape.outcomes and self._is_left(item):
                tape.left.setdefault(key, []).append(here)
                self._place(item)
        elif item.attempt:
            tape.outcomes.setdefault(key, Taken(item.version, self._source) if event.type == "step.cancelled" else here)
            self._place(item)

    def _is_left(self, item: Recorded) -> bool:
        event = item.event
        if isinstance(event, EffectRequested):
            if event.kind in OWN:
                self._own.add(item.version)
            return event.kind in OWN
        if event.type in EFFECT_TYPES:
            known = getattr(event, "request", 0)
            return isinstance(event, EffectSucceeded | EffectFailed) and (known in self._own or known <= self._source.after)
        return True

    def _place(self, item: Recorded) -> None:
        """A step whose time had come when this was recorded, though it started later, was to be tried again just before it."""
        for key in [key for key, due in self._late.items() if due <= item.at]:
            self._placed[key] = item.version - JUST_BEFORE
            del self._late[key]


async def tape_of(log: Log, source: Source) -> Tape:
    """The tape that `source` names."""
    waits = await log.events(source.run, upto=source.after, types={StepRetryScheduled.type})
    reader = _Reader(source, {(item.step or "", item.attempt + 1): item.event.due for item in waits})
    for item in await log.events(source.run, after=source.after, upto=source.upto, types=ON_TAPE):
        reader.read(item)
    return reader.tape

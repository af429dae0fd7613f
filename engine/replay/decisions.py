"""Whether recorded decisions follow: the scheduler of today asked again, at each of them, over the same past. Pure.

Stands apart from driving attempts again because this needs neither the user's code nor a store: only events and definitions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from engine.definition import Definition, StepDefinition
from engine.graph import Plan
from engine.record import Added
from engine.recordings import RECORDING
from engine.replay.texts import TextDiff
from engine.scheduler import Schedule
from engine.wishes import Decision
from store import codec
from store.events import (
    BudgetSet,
    CheckpointMade,
    EditApplied,
    EffectFailed,
    EffectRequested,
    EffectResolved,
    EffectSucceeded,
    Event,
    LogWritten,
    Recorded,
    RunAttached,
    RunCreated,
    RunForked,
    RunMigrated,
    StepAdded,
    StepCompleted,
    StepEvaluated,
    StepFailed,
    StepReset,
    StepReused,
    StepSkipped,
)
from store.projector import evolve
from store.state import RunState, StepStatus

BEFORE_RESETS = (RunForked, RunAttached, RunMigrated, EditApplied, BudgetSet, LogWritten, StepReset)
"""What may stand in one commit with a migration or an edit, before the resets that follow."""

AHEAD = 64
"""Recorded events after a divergence that are looked through to tell what was left out from what came in another order."""

SHOWN = 200
"""Characters of a value in a line."""

OF_ATTEMPTS = (EffectRequested, EffectSucceeded, EffectFailed, StepCompleted, StepFailed, StepReused)


class Divergence(msgspec.Struct, frozen=True):
    """The first event that today's engine would not have recorded, and what it would have instead.

    `kind` is `missing` (today something comes first that is not recorded), `extra` (nothing follows), `arguments` (the same with
    other contents) or `order` (the same later). `recorded` and `today` are both sides in words, `text` is in which lines contents
    differ; `run` is set for a child run.
    """

    kind: str
    version: int
    step: str | None
    attempt: int
    recorded: str
    today: str
    run: str = ""
    text: TextDiff = TextDiff()


class Decisions:
    """The fold of a run, and the schedule beside it. `definitions` are by the version they were recorded at."""

    def __init__(self, definitions: Mapping[int, Definition], limit: int) -> None:
        self.state = RunState()
        self.decided = 0
        self._definitions, self._limit = definitions, limit
        self._added: list[Added] = []
        self._plan: Plan | None = None
        self._schedule: Schedule | None = None

    @property
    def plan(self) -> Plan:
        """The plan as it stands."""
        assert self._plan is not None  # noqa: S101 - every run begins with its definition
        return self._plan

    def check(self, recorded: Recorded, after: Sequence[Recorded]) -> Divergence | None:
        """Whether an event could have been recorded here; `after` are the next ones."""
        event = recorded.event
        if self._schedule is None or recorded.actor == RECORDING:
            return None
        if not isinstance(event, BEFORE_RESETS):
            self._schedule.drop_resets(self.state)
        if isinstance(event, OF_ATTEMPTS) and not self._runs(recorded):
            return Divergence("missing", recorded.version, recorded.step, recorded.attempt, words(recorded), "no such attempt runs")
        if isinstance(event, EffectSucceeded | EffectFailed | EffectResolved) and event.request not in self.state.open:
            today = f"no request {event.request} is open"
            return Divergence("missing", recorded.version, recorded.step, recorded.attempt, words(recorded), today)
        if not event.decision or isinstance(event, StepEvaluated | StepReused | CheckpointMade) or self._said_by_attempt(recorded):
            return None
        self.decided += 1
        return self._compare(recorded, after)

    def _runs(self, recorded: Recorded) -> bool:
        step = self.state.steps.get(recorded.step or "")
        return step is not None and step.attempt == recorded.attempt and step.status in (StepStatus.RUNNING, StepStatus.IN_DOUBT)

    def _said_by_attempt(self, recorded: Recorded) -> bool:
        """A skip that an attempt came to itself: a model said that its condition does not hold."""
        if not isinstance(recorded.event, StepSkipped):
            return False
        step = self.state.steps.get(recorded.step or "")
        return step is not None and step.status is StepStatus.RUNNING and not step.wish

    def _compare(self, recorded: Recorded, after: Sequence[Recorded]) -> Divergence | None:
        assert self._schedule is not None  # noqa: S101 - asked only once there is one
        wanted = (recorded.event, recorded.step, recorded.attempt)
        decided = self._schedule.decide(self.state, recorded.at)
        if decided == wanted:
            return None
        self._schedule = Schedule(self.plan, self.state)
        self._schedule.may_start = False  # as where a command was recorded with nobody there to run anything
        if self._schedule.decide(self.state, recorded.at) == wanted:
            self._schedule = Schedule(self.plan, self.state)
            return None
        return self._told(recorded, decided, after)

    def _told(self, recorded: Recorded, decided: Decision | None, after: Sequence[Recorded]) -> Divergence:
        version, step, attempt = recorded.version, recorded.step, recorded.attempt
        if decided is None:
            return Divergence("extra", version, step, attempt, words(recorded), "nothing follows here")
        event, path, number = decided
        kind = "missing"
        if type(event) is type(recorded.event) and path == step:
            kind = "arguments"
        elif any((item.event, item.step, item.attempt) == decided for item in after[:AHEAD]):
            kind = "order"
        return Divergence(kind, version, step, attempt, words(recorded), said(event, path, number))

    def fold(self, recorded: Recorded) -> None:
        """Take the event in."""
        evolve(self.state, recorded)
        event = recorded.event
        if isinstance(event, StepAdded):
            self._added.append((StepDefinition.from_json(event.definition), event.before))
        if isinstance(event, RunCreated | RunMigrated):
            self._plan = Plan(self._definitions[recorded.version], self._limit, self._added)
            if self._schedule is None:
                self._schedule = Schedule(self._plan, self.state)
            else:
                self._schedule.plan = self._plan
        if isinstance(event, RunForked):
            self._schedule = Schedule(self.plan, self.state)  # as whoever drives the fork makes it: its times are others
        elif self._schedule is not None:
            self._schedule.note(self.state, recorded)

    def rest(self) -> Divergence | None:
        """What should have followed the last event of a run that has ended."""
        if self._schedule is None or not self.state.status.ended:
            return None
        decided = self._schedule.decide(self.state, self.state.last_at)
        if decided is None:
            return None
        event, path, attempt = decided
        return Divergence("missing", self.state.version + 1, path, attempt, "the run has ended", said(event, path, attempt))


def words(recorded: Recorded) -> str:
    """A recorded event in one line."""
    return said(recorded.event, recorded.step, recorded.attempt)


def said(event: Event, step: str | None, attempt: int) -> str:
    """An event in one line: type, step and attempt, and what it holds beyond defaults."""
    held: dict[str, Any] = json.loads(codec.encode(event)[2])
    if isinstance(event, EffectRequested):
        given = _shown(held["arguments"]) if event.arguments.size > len("null") and event.kind != "model" else ""
        return f"{event.type}: {event.kind} {event.name!r}{f' with {given}' if given else ''}"
    about = ", ".join(f"{name} {_shown(value)}" for name, value in held.items() if value not in (None, "", [], {}))
    where = "" if step is None else f" {step}" + (f" (attempt {attempt})" if attempt else "")
    return f"{event.type}{where}" + (f": {about}" if about else "")


def _shown(value: Any) -> str:
    """A value of an event, of a payload its contents."""
    if isinstance(value, dict) and value.keys() <= {"size", "json", "blob"}:
        if "json" not in value:
            return f"of {value.get('size', 0):,} bytes"
        value = value["json"]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."

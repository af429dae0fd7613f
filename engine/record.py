"""The one way events enter a run: fold, decide until nothing follows, append all of it as one commit.

Stands apart from the runtime so that a command given while no driver lives goes the same way. Memory is ahead of the disk between
an append and its flush; if the flush fails the caller drops the state and folds again from the log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine import marking
from engine.answers import Blob
from engine.commands import Fact, awaiting, questions
from engine.definition import StepDefinition
from engine.graph import Plan
from engine.recordings import RECORDING
from engine.scheduler import Schedule
from store import Lease, Log, RunSummary
from store.events import Event, Recorded, RunId, RunMigrated, StepAdded, StepReset
from store.projector import evolve
from store.state import RunState, StepStatus, waits_for_person

RUNNING = StepStatus.RUNNING

Added = tuple[StepDefinition, Sequence[str]]
"""A step that was added at run time, and what it came before."""


async def added_to(log: Log, run: RunId, state: RunState) -> list[Added]:
    """The steps that were added to a run, in order."""
    if not state.added:
        return []
    recorded = await log.events(run, types={StepAdded.type})
    return [(StepDefinition.from_json(item.event.definition), item.event.before) for item in recorded]


class Record:
    """A run being written: its lease, its state, and the schedule kept in step with it."""

    def __init__(self, lease: Lease, state: RunState, plan: Plan, clock: Callable[[], float]) -> None:
        self.lease, self.state, self.plan, self.clock = lease, state, plan, clock
        self.schedule = Schedule(plan, state)
        self.running: dict[str, int] = {
            name: step.attempt for name, step in state.steps.items() if step.status is RUNNING and step.items is None
        }

    def fact(self, event: Event, step: str, attempt: int, blobs: Sequence[Blob] = (), *, wake: bool = False) -> int:
        """Record one fact from which no decision follows (effects, log lines, artifacts); returns its version."""
        recorded = self._fold(event, step, attempt, self.now(), None, "driver")
        self.lease.append([recorded], blobs, wake=wake)
        return recorded.version

    def commit(
        self, facts: Sequence[Fact], blobs: Sequence[Blob] = (), *, actor: str = "driver", taken: Sequence[Fact] = (),
        wake: bool = False,
    ) -> list[Recorded]:  # fmt: skip
        """Record facts and every decision that follows from them, as one commit; returns all of it, in order.

        `taken` are those that a fork takes from its parent's tape; they come first.
        """
        now, cause = self.now(), None
        batch: list[Recorded] = []
        if taken:
            for event, step, attempt in taken:
                cause = self._enter(batch, event, step, attempt, now, None, RECORDING)
        for event, step, attempt in facts:
            cause = self._enter(batch, event, step, attempt, now, None, actor)
        state, decide = self.state, self.schedule.decide
        while (decision := decide(state, now)) is not None:
            event, step, attempt = decision
            self._enter(batch, event, step, attempt, now, cause, "driver")
        if batch:
            self.lease.append(batch, blobs, row=self.summary(), wake=wake)
            self.lease.snapshot(state)
        return batch

    def _enter(
        self, batch: list[Recorded], event: Event, step: str | None, attempt: int, now: float, cause: int | None, actor: str
    ) -> int:
        """Fold an event and the checkpoints that stand before and after it into the batch; returns the event's version."""
        plan, state = self.plan, self.state
        if plan.marking and (mark := marking.before(plan, state, event, step, attempt)):
            batch.append(self._fold(mark, step, attempt, now, cause, "driver"))
        recorded = self._fold(event, step, attempt, now, cause, actor)
        batch.append(recorded)
        if plan.marking and (mark := marking.after(plan, state, event, step, now)):
            batch.append(self._fold(mark, step, attempt, now, recorded.version, "driver"))
        return recorded.version

    def now(self) -> float:
        """The time of the next event: the clock's, never before the last event's."""
        return max(self.clock(), self.state.last_at)

    def _fold(self, event: Event, step: str | None, attempt: int, now: float, cause: int | None, actor: str) -> Recorded:
        state = self.state
        recorded = Recorded(state.version + 1, now, event, step, attempt, cause, actor)
        evolve(state, recorded)
        self.schedule.note(state, recorded)
        if type(event) is RunMigrated or type(event) is StepReset:  # with a group its children go
            self.running = {name: attempt for name, attempt in self.running.items() if name in state.steps and name != step}
        elif step is not None and (held := state.steps.get(step)) is not None:
            if held.status is RUNNING and held.items is None:
                self.running[step] = held.attempt
            else:
                self.running.pop(step, None)
        return recorded

    def summary(self) -> RunSummary:
        """The run list's row as the state has it now."""
        return RunSummary.of(self.state, _now_phrase(self.state, list(self.running)[:3]))


def _now_phrase(state: RunState, running: Sequence[str]) -> str:
    """What the run list says of a run: why it ended, what it waits for, or what runs."""
    if state.reason or state.status.ended:
        return state.reason or ""
    if waits_for_person(state) and (asked := _asked(state)):
        return asked
    more = state.counts[RUNNING] - state.groups - len(running)
    return ", ".join(running) + (f" +{more}" if running and more > 0 else "")


def _asked(state: RunState) -> str:
    """What a run waits to be told: `approve deploy`, `question from ask`."""
    found = [f"approve {path}" for path in awaiting(state)] if state.approvals else []
    found += [f"question from {effect.step}" for effect in questions(state).values()]
    return ", ".join(found[:2]) + (f" +{len(found) - 2}" if len(found) > 2 else "")

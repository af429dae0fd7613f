"""What happens next: pure decisions from a run's state and the time. No clock, no I/O, no randomness in here.

The rules about state live here and in the store's `state.py` and `projector.py`, and nowhere else. A `Schedule` is an index over
plan and state (who is ready, which timers run, who must be skipped), rebuilt from any state and advanced by each event: what an
event makes ready is found from that event's dependants, so 10,000 steps cost 10,000 times one. It answers one question, `decide`:
the next decision that follows, or none. The runtime records it, folds it, and asks again until nothing follows. What waits
to be decided is kept by place in the definition, so that a rebuilt schedule decides in the order and for the causes it did before.
"""

from __future__ import annotations

import heapq
from collections import deque

from engine.definition import Definition, ExecutionMode, StepDefinition
from engine.policies import Retry, decide_retry, seconds_left
from store.events import (
    EffectInDoubt,
    Event,
    Recorded,
    RunAttached,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunMigrated,
    RunPaused,
    RunUnpaused,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepReset,
    StepRetryScheduled,
    StepReused,
    StepSkipped,
    StepStarted,
)
from store.state import STEP_TRANSITIONS, RunState, RunStatus, StepState, StepStatus

Decision = tuple[Event, str | None, int]
"""(event, step path or None for the run, attempt)"""


BLOCKING = (StepStatus.SKIPPED, StepStatus.CANCELLED)
FAILURES = (StepStatus.FAILED, StepStatus.TIMED_OUT)
DONE = (StepStatus.COMPLETED, *BLOCKING)
"""Settled for good; a failed step is not, until its retries are decided."""


class Plan:
    """A definition with its indexes: places in definition order, who needs whom, both ways. `limit` is steps running at once."""

    def __init__(self, definition: Definition, limit: int) -> None:
        self.definition, self.limit = definition, limit
        self.steps: dict[str, StepDefinition] = {step.name: step for step in definition.steps}
        self.names = list(self.steps)
        self.place = {name: place for place, name in enumerate(self.names)}
        self.needs: dict[str, tuple[str, ...]] = {
            step.name: tuple(dep.step for dep in step.depends_on) for step in definition.steps
        }
        self.dependants: dict[str, list[str]] = {name: [] for name in self.names}
        for name, needs in self.needs.items():
            for need in needs:
                self.dependants[need].append(name)
        self.serial = {step.name for step in definition.steps if step.execution_mode is ExecutionMode.SERIAL}

    def descendants(self, names: set[str]) -> set[str]:
        """`names` and everything that depends on them, directly or not."""
        found, todo = set(names), deque(names)
        while todo:
            for name in self.dependants.get(todo.popleft(), ()):
                if name not in found:
                    found.add(name)
                    todo.append(name)
        return found


class Schedule:
    """What is due, kept in step with the state: call `note` after each event is folded, then `decide` until it returns None.

    `may_start` is off where nobody is there to run what would be started (a command without a driver).
    """

    def __init__(self, plan: Plan, state: RunState) -> None:
        self.plan = plan
        self.doubts: deque[int] = deque()
        self.resets: deque[str] = deque()
        self.cancels: deque[str] | None = None
        self.may_start = True
        self._rebuild(state)

    def _rebuild(self, state: RunState) -> None:
        self.missing: dict[str, int] = {}
        self.ready: list[int] = []
        self.ready_serial: list[int] = []
        self.chain: str | None = None
        self.timers: list[tuple[float, int]] = []
        self.failed: list[int] = []
        self.skips: list[int] = []
        self.stale = False
        for name, step in state.steps.items():
            if name in self.plan.place and all(need in state.steps for need in self.plan.needs[name]):
                self._place(state, name, step)

    def _place(self, state: RunState, name: str, step: StepState) -> None:
        status = step.status
        if status is StepStatus.PENDING:
            steps = state.steps
            self.missing[name] = sum(steps[need].status not in DONE for need in self.plan.needs[name])
            if any(steps[need].status in BLOCKING for need in self.plan.needs[name]):
                heapq.heappush(self.skips, self.plan.place[name])
            if not self.missing[name]:
                self._push(name)
        elif status in FAILURES:
            heapq.heappush(self.failed, self.plan.place[name])
        elif name in self.plan.serial and not status.settled:
            self.chain = name
        if status is StepStatus.WAITING and step.due is not None:
            heapq.heappush(self.timers, (step.due, self.plan.place[name]))

    def _push(self, name: str) -> None:
        heapq.heappush(self.ready_serial if name in self.plan.serial else self.ready, self.plan.place[name])

    # -- advancing

    def note(self, state: RunState, recorded: Recorded) -> None:
        """Take in an event that was just folded into `state`."""
        kind, name = type(recorded.event), recorded.step
        if name is None:
            if kind is RunAttached:
                self.doubts.extend(r for r, effect in state.open.items() if effect.safety == "irreversible")
            elif kind is RunMigrated:
                self.stale = True
                changed = self.plan.descendants({name for name in recorded.event.changed if name in self.plan.place})
                self.resets.extend(sorted(changed, key=self.plan.place.__getitem__))
            return
        if name not in self.plan.place:
            return
        if kind is StepStarted:
            if name in self.plan.serial:
                self.chain = name
        elif kind is StepCompleted or kind is StepReused:
            self._settle(name)
        elif kind is StepFailed:
            heapq.heappush(self.failed, self.plan.place[name])
        elif kind is StepRetryScheduled:
            heapq.heappush(self.timers, (recorded.event.due, self.plan.place[name]))
            if name in self.plan.serial:
                self.chain = name
        elif kind is StepSkipped or kind is StepCancelled:
            self._settle(name)
            self._skip_dependants(state, name)
        elif kind is StepReset:
            self.stale = True

    def _settle(self, name: str) -> None:
        if self.chain == name:
            self.chain = None
        for dependant in self.plan.dependants[name]:
            left = self.missing.get(dependant)
            if left is None:
                continue
            self.missing[dependant] = left - 1
            if left == 1:
                self._push(dependant)
        self.missing.pop(name, None)

    def _skip_dependants(self, state: RunState, name: str) -> None:
        for dependant in self.plan.dependants[name]:
            if state.steps[dependant].status is StepStatus.PENDING:
                heapq.heappush(self.skips, self.plan.place[dependant])

    # -- deciding

    def decide(self, state: RunState, now: float) -> Decision | None:
        """The next decision that follows from the state at `now`, or None when nothing does."""
        if state.status.ended:
            return None
        while self.resets:
            name = self.resets.popleft()
            if state.steps[name].status is not StepStatus.PENDING:
                return StepReset("the definition changed"), name, state.steps[name].attempt
        if self.stale:
            self._rebuild(state)
        if self.doubts and (doubt := self._doubt(state)):
            return doubt
        if state.cancelling:
            return self._cancel(state)
        if state.pausing and state.status is RunStatus.RUNNING:
            return RunPaused(), None, 0
        if not state.pausing and state.status is RunStatus.PAUSED:
            return RunUnpaused(), None, 0
        while self.failed:
            if decision := self._after_failure(state, self.plan.names[heapq.heappop(self.failed)], now):
                return decision
        if self.skips and (skip := self._skip(state)):
            return skip
        if state.status is RunStatus.RUNNING and self.may_start:
            started = self._start(state, now)
            if started:
                return started
        return self._end(state)

    def _doubt(self, state: RunState) -> Decision | None:
        while self.doubts:
            request = self.doubts.popleft()
            effect = state.open.get(request)
            if effect is not None and not effect.in_doubt:
                return EffectInDoubt(request), effect.step, effect.attempt
        return None

    def _cancel(self, state: RunState) -> Decision:
        if self.cancels is None:
            self.cancels = deque(state.steps)
        while self.cancels:
            name = self.cancels.popleft()
            if not state.steps[name].status.settled:
                return StepCancelled(f"the run was cancelled{_unknown(state, name)}"), name, state.steps[name].attempt
        return RunCancelled("cancelled by a command"), None, 0

    def _skip(self, state: RunState) -> Decision | None:
        steps = state.steps
        while self.skips:
            name = self.plan.names[heapq.heappop(self.skips)]
            if steps[name].status is StepStatus.PENDING:
                cause = next(need for need in self.plan.needs[name] if steps[need].status in (*BLOCKING, *FAILURES))
                return StepSkipped(f"needs {cause}, which {_settled_how(steps[cause])}", cause), name, 0
        return None

    def _after_failure(self, state: RunState, name: str, now: float) -> Decision | None:
        step = state.steps[name]
        if step.status not in FAILURES:
            return None
        verdict = decide_retry(
            self.plan.steps[name].retry,
            tried=step.attempt - step.first_attempt + 1,
            retryable=step.retryable,
            retry_after=step.retry_after,
            seed=state.seed,
            path=name,
            attempt=step.attempt,
            kind=step.failure_kind or "error",
            classes=step.failure_classes,
            left=seconds_left(self.plan.steps[name].total_timeout, step.first_started_at, now),
        )
        if isinstance(verdict, Retry):
            return StepRetryScheduled(now + verdict.delay), name, step.attempt
        self._settle(name)
        self._skip_dependants(state, name)
        return None

    def _start(self, state: RunState, now: float) -> Decision | None:
        if state.counts[StepStatus.RUNNING] >= self.plan.limit:
            return None
        names, steps = self.plan.names, state.steps
        while self.timers and self.timers[0][0] <= now:
            due, place = heapq.heappop(self.timers)
            step = steps[names[place]]
            if step.status is StepStatus.WAITING and step.due == due:
                return StepStarted(), names[place], step.attempt + 1
        ready = self._ready_place(steps)
        return None if ready is None else (StepStarted(), names[ready], steps[names[ready]].attempt + 1)

    def _ready_place(self, steps: dict[str, StepState]) -> int | None:
        """Take the first ready step in definition order; serial ones wait while the chain does."""
        names, ready, serial = self.plan.names, self.ready, self.ready_serial
        while ready and steps[names[ready[0]]].status is not StepStatus.PENDING:
            heapq.heappop(ready)
        if self.chain is None:
            while serial and steps[names[serial[0]]].status is not StepStatus.PENDING:
                heapq.heappop(serial)
            if serial and not (ready and ready[0] < serial[0]):
                return heapq.heappop(serial)
        return heapq.heappop(ready) if ready else None

    def _end(self, state: RunState) -> Decision | None:
        counts = state.counts
        if counts[StepStatus.PENDING] or counts[StepStatus.RUNNING] or counts[StepStatus.WAITING] or counts[StepStatus.IN_DOUBT]:
            return None
        if not (counts[StepStatus.FAILED] or counts[StepStatus.TIMED_OUT]):
            return RunCompleted(), None, 0
        failed = [name for name, step in state.steps.items() if step.status in FAILURES]
        first = state.steps[failed[0]]
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        return RunFailed(f"{failed[0]}: {first.reason or 'failed'}{more}", failed), None, 0

    def next_timer(self, state: RunState) -> float | None:
        """When the next waiting attempt is due, in unix seconds; None when none waits or nothing may start.

        Nothing may while paused, nor at the limit, where the next end and not the clock lets it.
        """
        if state.status is not RunStatus.RUNNING or state.counts[StepStatus.RUNNING] >= self.plan.limit:
            return None
        names = self.plan.names
        while self.timers:
            due, place = self.timers[0]
            step = state.steps[names[place]]
            if step.status is StepStatus.WAITING and step.due == due:
                return due
            heapq.heappop(self.timers)
        return None


def _unknown(state: RunState, name: str) -> str:
    """What a step leaves behind that may have happened or not."""
    left = [effect.name for effect in state.open.values() if effect.step == name and effect.safety == "irreversible"]
    return f"; {', '.join(map(repr, left))} has no known outcome" if left else ""


def _settled_how(step: StepState) -> str:
    return {
        StepStatus.FAILED: "failed",
        StepStatus.TIMED_OUT: "timed out",
        StepStatus.SKIPPED: "was skipped",
        StepStatus.CANCELLED: "was cancelled",
    }.get(step.status, "did not complete")


def legal(event: Event, before: StepStatus, after: StepStatus) -> bool:
    """Whether the table of transitions allows what an event did to its step (events that move no step are always legal)."""
    allowed = STEP_TRANSITIONS.get(event.type)
    return allowed is None or (before, after) in allowed

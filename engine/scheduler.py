"""What happens next: pure decisions from a run's state and the time. No clock, no I/O, no randomness in here.

The rules about state live here, in the files this one asks (`graph.py`, `joins.py`, `agenda.py`, `wishes.py`, `budgets.py`), and in
the store's `state.py` and `projector.py`, and nowhere else. A `Schedule` answers one question, `decide`: the next decision that
follows, or none. The runtime records it, folds it, and asks again until nothing follows.
"""

from __future__ import annotations

import heapq
from collections import deque

from engine.budgets import breach, next_deadline, over
from engine.graph import COMPENSATE, Plan
from engine.joins import FAILURES, covered, inputs, losers, settled_how, why_not
from engine.retries import retry_of
from engine.wishes import Decision, Wishes
from store.events import (
    ApprovalExpired,
    ApprovalRequested,
    EffectInDoubt,
    RunCancelled,
    RunCompensating,
    RunCompleted,
    RunFailed,
    RunPaused,
    RunUnpaused,
    StepRefused,
    StepReset,
    StepRetryScheduled,
    StepSkipped,
    StepStarted,
)
from store.state import RunState, RunStatus, StepState, StepStatus, children_of, group_of

PENDING, RUNNING, WAITING, IN_DOUBT = StepStatus.PENDING, StepStatus.RUNNING, StepStatus.WAITING, StepStatus.IN_DOUBT
RUN_RUNNING, RUN_PAUSED = RunStatus.RUNNING, RunStatus.PAUSED
"""Names of their own: read off its enum a member costs 80 ns, and a step asks about 20 times."""


class Schedule(Wishes):
    """What is due, kept in step with the state: call `note` after each event is folded, then `decide` until it returns None.

    `may_start` is off where nobody is there to run what would be started (a command without a driver).
    """

    def __init__(self, plan: Plan, state: RunState) -> None:
        self.may_start = True
        super().__init__(plan, state)

    def decide(self, state: RunState, now: float) -> Decision | None:
        """The next decision that follows from the state at `now`, or None when nothing does."""
        if state.wishes and (wished := self.wished(state, now)):
            return wished
        if state.status.ended:
            return None
        if self.resets and (reset := self.reset(state)):
            return reset
        if self.stale:
            self.build(state)
        if self.doubts and (doubt := self._doubt(state)):
            return doubt
        if state.cancelling:
            return self._cancel(state)
        if (self.plan.budgets or state.budget) and (reached := breach(self.plan.budgets, state, now)):
            return reached, reached.scope or None, 0
        if state.pausing and state.status is RUN_RUNNING:
            return RunPaused(), None, 0
        if not state.pausing and state.status is RUN_PAUSED:
            return RunUnpaused(), None, 0
        while self.failed:
            if decision := self._after_failure(state, self.plan.path(heapq.heappop(self.failed)), now):
                return decision
        if state.undoing is not None:
            return self._undo(state, now)
        if (self.skips or self.refusals or self.drops or self.losers or self.final or state.reached) and (
            barred := self._barred(state)
        ):
            return barred
        if state.status is RUN_RUNNING:
            if (self.asks or self.deadlines) and (asked := self._ask(state, now)):
                return asked
            if (
                self.may_start
                and (self.ready or self.ready_serial or self.timers or self.late)
                and (started := self._start(state, now))
            ):
                return started
        return self._end(state)

    # -- what went before

    def drop_resets(self, state: RunState) -> None:
        """Forget steps that had nothing to start over when they would have: for whoever asks only now."""
        self.resets = deque(held for held in self.resets if held[0] in state.steps and _touched(state.steps[held[0]]))

    def reset(self, state: RunState) -> Decision | None:
        """The next step that starts over because something was changed."""
        while self.resets:
            name, reason = self.resets.popleft()
            if name in state.steps and _touched(state.steps[name]):
                return StepReset(reason), name, state.steps[name].attempt
        return None

    def _doubt(self, state: RunState) -> Decision | None:
        while self.doubts:
            request = self.doubts.popleft()
            effect = state.open.get(request)
            if effect is not None and not effect.in_doubt:
                return EffectInDoubt(request), effect.step, effect.attempt
        return None

    def _cancel(self, state: RunState) -> Decision:
        stopped = self._stop_rest(state, "the run was cancelled")
        return stopped if stopped is not None else (RunCancelled("cancelled by a command"), None, 0)

    def _stop_rest(self, state: RunState, reason: str) -> Decision | None:
        """Cancel the next of what has not settled, groups after their children."""
        if self.cancels is None:
            self.cancels = deque(sorted(state.steps, key=lambda path: path[-1] != "]"))
        while self.cancels:
            path = self.cancels.popleft()
            if not state.steps[path].status.settled:
                return self.stop(state, path, reason)
        return None

    def _stop_idle(self, state: RunState, reason: str) -> Decision | None:
        """Cancel the next of what has not begun or waits to begin again; what runs is let finish."""
        for path, step in state.steps.items():
            if step.status is PENDING or step.status is WAITING:
                return self.stop(state, path, reason)
        return None

    # -- what may not run

    def _after_failure(self, state: RunState, path: str, now: float) -> Decision | None:
        step = state.steps.get(path)
        if step is None or step.status not in FAILURES:
            return None
        group = group_of(path)
        if group is not None and state.steps[group].status.settled:
            self.give_up(state, path)
            return None
        if (retry := retry_of(self.plan, state, path, now)) is not None:
            return StepRetryScheduled(now + retry.delay), path, step.attempt
        self.give_up(state, path)
        return None

    def _barred(self, state: RunState) -> Decision | None:
        """The next of what is refused, cancelled or skipped because of what others came to."""
        if state.reached and over(self.plan.budgets, state) and (stopped := self._stop_idle(state, "the budget is used up")):
            return stopped
        if fast := self._fail_fast(state):
            return fast
        if self.refusals and (refused := self._refuse(state)):
            return refused
        if self.drops and (dropped := self._drop(state)):
            return dropped
        if self.losers and (lost := self._lose(state)):
            return lost
        return self._skip(state) if self.skips else None

    def _fail_fast(self, state: RunState) -> Decision | None:
        """Cancel what is left because of the first step that failed for good with nothing to stand in for it.

        Where somebody tries a step of an ended run again, the others that had failed by then do not stop it.
        """
        if self.plan.definition.on_failure != "fail_fast" or not self.final or self.cancels == deque():
            return None
        plan, since = self.plan, state.reopened_at or 0.0
        alone = (name for name in self.final if name in plan.place and plan.steps[name].fallback is None)
        fatal = min(
            (name for name in alone if (state.steps[name].ended_at or 0.0) >= since), key=plan.place.__getitem__, default=None
        )
        return None if fatal is None else self._stop_rest(state, f"{fatal} {settled_how(state.steps[fatal])}")

    def _refuse(self, state: RunState) -> Decision | None:
        while self.refusals:
            path = self.plan.path(heapq.heappop(self.refusals))
            step = state.steps[path]
            if step.status is WAITING and step.approval is not None and step.approval.answer == "rejected":
                note = f": {step.approval.note}" if step.approval.note else ""
                return StepRefused("rejected", f"rejected{note}"), path, step.attempt
            if step.status is PENDING and step.verdict == "fail":
                return StepRefused("condition", step.reason or "its condition could not be evaluated"), path, step.attempt
        return None

    def _drop(self, state: RunState) -> Decision | None:
        """An item of a `for_each` failed for good: those that have not begun are not taken up any more."""
        while self.drops:
            name = self.plan.path(self.drops[0])
            for child in children_of(state, name):
                if state.steps[child].status is PENDING:
                    return self.stop(state, child, "another item failed")
            heapq.heappop(self.drops)
        return None

    def _lose(self, state: RunState) -> Decision | None:
        while self.losers:
            name = self.plan.path(self.losers[0])
            if state.steps[name].status is PENDING:
                for loser in losers(self.plan, state, name):
                    path = next(self._unsettled_children(state, loser), loser)
                    return self.stop(state, path, f"{name} took the first of what it needs")
            heapq.heappop(self.losers)
        return None

    def _skip(self, state: RunState) -> Decision | None:
        while self.skips:
            name = self.plan.path(heapq.heappop(self.skips))
            step, definition = state.steps[name], self.plan.steps[name]
            if step.status is not PENDING:
                continue
            passes = definition.skip != "propagate"
            if step.verdict == "skip":
                return StepSkipped(step.reason or "its condition does not hold", None, passes), name, 0
            if step.disabled or not definition.enabled:
                return StepSkipped(step.disabled or "it is not enabled", None, passes), name, 0
            reason, cause, passes = why_not(self.plan, state, name, self.final)
            return StepSkipped(reason, cause, passes), name, 0
        return None

    # -- what may run

    def _ask(self, state: RunState, now: float) -> Decision | None:
        """The next request for approval, or the next answer that is overdue."""
        while self.deadlines and self.deadlines[0][0] <= now:
            overdue, key = heapq.heappop(self.deadlines)
            step = state.steps[self.plan.path(key)]
            asked = step.approval
            if step.status is WAITING and asked is not None and asked.answer == "asked" and asked.due == overdue:
                return ApprovalExpired(asked.default), self.plan.path(key), step.attempt
        while self.asks:
            name = self.plan.path(heapq.heappop(self.asks))
            approval, step = self.plan.steps[name].approval, state.steps[name]
            if approval is not None and step.status is PENDING and step.approval is None:
                due = None if approval.timeout is None else now + approval.timeout
                return ApprovalRequested(approval.message, due, approval.default == "approve"), name, step.attempt
        return None

    def _start(self, state: RunState, now: float) -> Decision | None:
        if not self._below_limit(state):
            return None
        steps = state.steps
        while self.timers and self.timers[0][0] <= now:
            due, key = heapq.heappop(self.timers)
            path = self.plan.path(key)
            step = steps.get(path)
            if step is not None and step.status is WAITING and step.due == due:
                heapq.heappush(self.late, key)
        for key in sorted(self.late) if self.late else ():
            path = self.plan.path(key)
            if path not in steps or steps[path].status is not WAITING:
                self.late.remove(key)
            elif self.has_room(state, path):
                self.late.remove(key)
                return self._started(state, path)
        ready = self._ready_place(state)
        return None if ready is None else self._started(state, self.plan.path(ready))

    def _below_limit(self, state: RunState) -> bool:
        """Whether another attempt may run; one in doubt keeps its place, since it goes on as soon as somebody resolves it."""
        counts = state.counts
        return counts[RUNNING] + counts[IN_DOUBT] - state.groups < self.plan.limit

    def _started(self, state: RunState, path: str) -> Decision:
        given = None if path in self.plan.plain or path not in self.plan.place else inputs(self.plan, state, path)
        return StepStarted(given), path, state.steps[path].attempt + 1

    def _ready_place(self, state: RunState) -> int | None:
        """Take the first ready step in definition order; serial ones wait while the chain does, or an earlier one is looked at."""
        ready, serial = self.ready, self.ready_serial
        while ready and not self._still_ready(state, ready[0]):
            heapq.heappop(ready)
        if not self.chain:
            while serial and not self._still_ready(state, serial[0]):
                heapq.heappop(serial)
            if serial and not (ready and ready[0] < serial[0]) and not self.comes_after_a_look(serial[0]):
                return heapq.heappop(serial)
        return heapq.heappop(ready) if ready else None

    def _still_ready(self, state: RunState, key: int) -> bool:
        step = state.steps.get(self.plan.path(key))
        return step is not None and step.status is PENDING and not step.disabled

    # -- the end

    def _end(self, state: RunState) -> Decision | None:
        counts = state.counts
        if counts[RUNNING] or counts[WAITING] or counts[IN_DOUBT]:
            return None
        if counts[PENDING]:
            return self._deadlock(state)
        spent = over(self.plan.budgets, state)
        if not spent and not (counts[StepStatus.FAILED] or counts[StepStatus.TIMED_OUT]):
            return RunCompleted(), None, 0
        failed = self._blamed(state)
        if not failed and not spent:
            return RunCompleted(), None, 0
        reason = spent or _why_failed(state, failed)
        return self._compensation(state, reason) or (RunFailed(reason, failed), None, 0)

    def _blamed(self, state: RunState) -> list[str]:
        """The steps that make the run fail, in definition order; not the children of groups, which answer for them."""
        names, steps = self.plan.names, state.steps
        found = [name for name in names if steps[name].status in FAILURES and not covered(self.plan, state, name)]
        return [name for name in found if not self._needless(state, name)]

    def _needless(self, state: RunState, name: str) -> bool:
        """Whether what a failed step stood in for completed after all, because somebody tried it again."""
        rescued = self.plan.rescues.get(name)
        while rescued is not None and state.steps[rescued].status is not StepStatus.COMPLETED:
            rescued = self.plan.rescues.get(rescued)
        return rescued is not None

    def _deadlock(self, state: RunState) -> Decision | None:
        """Nothing runs, nothing is due, and yet steps are pending: the run fails, saying who waits for whom."""
        if state.status is not RUN_RUNNING or not self.may_start or self.looking:
            return None
        waits = []
        for name in self.plan.names:
            if state.steps[name].status is PENDING:
                needs = [need for need in self.plan.needs[name] if not state.steps[need].status.settled]
                waits.append(f"{name} waits for {', '.join(needs) or 'something that does not come'}")
        return RunFailed(f"deadlock: {'; '.join(waits[:5])}", []), None, 0

    def _compensation(self, state: RunState, reason: str) -> Decision | None:
        done = [name for name in self.plan.compensable if state.steps[name].status is StepStatus.COMPLETED]
        if not done:
            return None
        last_first = sorted(done, key=lambda name: -(state.steps[name].output or 0))
        return RunCompensating([f"{name}{COMPENSATE}" for name in last_first], reason), None, 0

    def _undo(self, state: RunState, now: float) -> Decision | None:
        """One compensation after another; the run has failed all the same."""
        for path in state.undoing or ():
            step = state.steps[path]
            if step.status is PENDING or (step.status is WAITING and step.due is not None and step.due <= now):
                return (StepStarted(), path, step.attempt + 1) if self.may_start and state.status is RUN_RUNNING else None
            if step.status in FAILURES and path not in self.final and (retry := self._after_failure(state, path, now)):
                return retry
            if not step.status.settled:
                return None
        failed = self._blamed(state)
        undone = [path for path in state.undoing or () if state.steps[path].status in FAILURES]
        more = f"; {', '.join(undone)} failed too" if undone else ""
        return RunFailed(f"{state.reason or _why_failed(state, failed)}{more}", failed), None, 0

    def next_timer(self, state: RunState) -> float | None:
        """When the next waiting attempt, answer or budget is due, in unix seconds; None when none is or nothing may start.

        Nothing may while paused, nor may an attempt at the limit, where the next end and not the clock lets it.
        """
        if state.status is not RUN_RUNNING:
            return None
        if not (self.timers or self.deadlines or self.plan.budgets or state.budget or state.undoing):
            return None
        found = [next_deadline(self.plan.budgets, state)] if self.plan.budgets or state.budget else []
        if state.undoing is not None:
            found += [state.steps[path].due for path in state.undoing if state.steps[path].status is WAITING]
        if self.deadlines:
            found.append(self._next(state, self.deadlines))
        if self.timers and self._below_limit(state):
            found.append(self._next(state, self.timers))
        return min((due for due in found if due is not None), default=None)

    def _next(self, state: RunState, heap: list[tuple[float, int]]) -> float | None:
        """The first time in a heap that still counts; those that do not are dropped."""
        while heap:
            due, key = heap[0]
            step = state.steps.get(self.plan.path(key))
            if step is not None and step.status is WAITING and due in (step.due, step.approval and step.approval.due):
                return due
            heapq.heappop(heap)
        return None


def _touched(step: StepState) -> bool:
    """Whether something was decided of a step that a reset takes back: also of one that only was looked at, or closed."""
    return step.status is not PENDING or bool(step.verdict or step.refused or step.approval or step.disabled)


def _why_failed(state: RunState, failed: list[str]) -> str:
    first = state.steps[failed[0]]
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return f"{failed[0]}: {first.reason or 'failed'}{more}"

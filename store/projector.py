"""The fold: what each event does to a state. One rule an event type, in a table that a test holds complete.

The rules about state live here, in `step_rules.py`, `effect_rules.py` and `moves.py`, in `state.py` and in the engine's scheduler,
and nowhere else. `evolve` never refuses what was recorded: an event about a step the run does not know makes that step, so a
damaged or future log still shows. It changes the state it owns in place (copying costs 2-7 us an event, folding 0.1-0.3); whoever
needs an older state folds again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from store.effect_rules import (
    child_parked,
    child_resumed,
    child_spent,
    effect_failed,
    effect_in_doubt,
    effect_requested,
    effect_resolved,
    effect_succeeded,
)
from store.events import (
    ApprovalExpired,
    ApprovalGiven,
    ApprovalRequested,
    ArtifactMade,
    BudgetReached,
    BudgetSet,
    CheckpointMade,
    ChildParked,
    ChildResumed,
    ChildSpent,
    EditApplied,
    EffectFailed,
    EffectInDoubt,
    EffectRequested,
    EffectResolved,
    EffectSucceeded,
    Event,
    LogWritten,
    Recorded,
    RunAttached,
    RunCancelled,
    RunCompensating,
    RunCompleted,
    RunCreated,
    RunFailed,
    RunForked,
    RunMigrated,
    RunPaused,
    RunReopened,
    RunUnpaused,
    SignalReceived,
    StepAdded,
    StepCancelled,
    StepCompleted,
    StepEnabled,
    StepEvaluated,
    StepFailed,
    StepPublished,
    StepRefused,
    StepReset,
    StepRetryScheduled,
    StepReused,
    StepSkipped,
    StepStarted,
    UnknownEvent,
)
from store.moves import REASON_LIMIT, ask_no_more, forget, heed, step_at
from store.state import ArtifactRef, RunState, RunStatus, StepState, StepStatus, child_of, group_of
from store.step_rules import (
    approval_expired,
    approval_given,
    approval_requested,
    edit_applied,
    step_added,
    step_cancelled,
    step_completed,
    step_enabled,
    step_evaluated,
    step_failed,
    step_published,
    step_refused,
    step_reset,
    step_retry_scheduled,
    step_reused,
    step_skipped,
    step_started,
)

PENDING, RUNNING = StepStatus.PENDING, StepStatus.RUNNING

FOLD_VERSION = 5
"""Stamped on snapshots: raised whenever a rule or the shape of the state changes, so that older snapshots are not used."""


Rule = Callable[[RunState, int, float, str, int, Any], None]
"""(state, version, at, step or "", attempt, event): the envelope's columns, apart, so that reading need not build one."""


def evolve(state: RunState, recorded: Recorded) -> None:
    """Fold one event into `state`, in place."""
    event = recorded.event
    RULES[type(event)](state, recorded.version, recorded.at, recorded.step or "", recorded.attempt, event)
    state.version = recorded.version
    state.last_at = recorded.at


def project(events: Iterable[Recorded], state: RunState | None = None) -> RunState:
    """Fold `events`, in order, into `state` (in place) or into a new one, and return it."""
    state = RunState() if state is None else state
    for recorded in events:
        evolve(state, recorded)
    return state


def also_changed(state: RunState, path: str, event: Event) -> Iterable[str]:
    """The steps besides its own that an event changes, makes or removes: what somebody who steps back has to keep."""
    if isinstance(event, StepAdded):
        return (event.name,)
    if isinstance(event, StepEnabled):
        return (event.target,)
    if isinstance(event, SignalReceived):
        return () if event.target is None else (event.target,)
    if isinstance(event, StepCompleted | StepReused):
        return event.closes or ()
    if isinstance(event, RunCompensating):
        return event.steps
    if isinstance(event, RunForked):
        return state.steps
    if isinstance(event, StepEvaluated | StepStarted | StepReset):
        step = state.steps.get(path)
        items = max(getattr(event, "items", None) or 0, (step.items or 0) if step is not None else 0)
        return [child_of(path, index) for index in range(items)]
    return ()


def _run_created(state: RunState, version: int, at: float, path: str, attempt: int, event: RunCreated) -> None:
    state.pipeline, state.description, state.definition = event.pipeline, event.description, event.definition
    state.target, state.cwd, state.seed, state.created_at = event.target, event.cwd, event.seed, at
    state.caller, state.caller_step, state.depth = event.caller, event.caller_step, event.depth
    kinds = event.kinds or "f" * len(event.steps)
    state.steps = {name: StepState(kind) for name, kind in zip(event.steps, kinds, strict=False)}
    state.counts[PENDING] += len(state.steps)


def _run_forked(state: RunState, version: int, at: float, path: str, attempt: int, event: RunForked) -> None:
    state.parent, state.parent_version = event.parent, event.version
    state.caller, state.caller_step = event.caller, event.caller_step  # nobody waits for the end of one forked alone
    state.target, state.cwd = event.target or state.target, event.cwd or state.cwd
    state.attached_at = state.ended_at = state.reason = None
    state.status = RunStatus.PENDING
    state.pausing = state.halted = state.cancelling = False
    _skip_time(state, event.away)


def _skip_time(state: RunState, away: float) -> None:
    """The time between a fork's point and the fork did not pass in it: what waits or runs has as much left as it had."""
    state.away += away
    for path, step in state.steps.items():
        if step.status.settled or step.status is PENDING:
            continue
        shifted = {name: None if (was := getattr(step, name)) is None else was + away for name in _RUNNING_ON}
        approval = step.approval
        if approval is not None and approval.due is not None:
            approval = msgspec.structs.replace(approval, due=approval.due + away)
        state.steps[path] = msgspec.structs.replace(step, approval=approval, **shifted)


_RUNNING_ON = ("due", "started_at", "first_started_at")


def _run_attached(state: RunState, version: int, at: float, path: str, attempt: int, event: RunAttached) -> None:
    state.attached_at = at
    state.attaches += 1
    for request, effect in state.open.items():
        if effect.parked is not None:  # another object: whoever steps back keeps the one before
            state.open[request] = msgspec.structs.replace(effect, parked=None)
    if state.status is RunStatus.PENDING:
        state.status = RunStatus.RUNNING


def _run_migrated(state: RunState, version: int, at: float, path: str, attempt: int, event: RunMigrated) -> None:
    state.definition = event.definition
    known, state.steps = state.steps, {}
    kinds = event.kinds or "f" * len(event.steps)
    for name, kind in zip(event.steps, kinds, strict=False):
        step = known.pop(name, None)
        if step is None:
            step = StepState()
            state.counts[PENDING] += 1
        step.kind = kind
        state.steps[name] = step
    for name, step in known.items():
        if (group_of(name) or name) in state.steps or (group_of(name) is None and name not in event.removed):
            state.steps[name] = step  # a child, or a step that was added at run time
            continue
        ask_no_more(state, step)
        heed(state, step, name)
        state.groups -= step.items is not None and step.status is RUNNING
        forget(state, step)
    state.open = {request: effect for request, effect in state.open.items() if effect.step in state.steps}
    if state.status.ended:
        state.status, state.ended_at, state.reason = RunStatus.RUNNING, None, None


def _signal_received(state: RunState, version: int, at: float, path: str, attempt: int, event: SignalReceived) -> None:
    if event.inbox > state.inbox:
        state.inbox = event.inbox
    if event.kind == "pause":
        state.pausing = True
        state.halted = b'"now":true' in bytes(event.body.json)  # as `values.encode` writes it
    elif event.kind == "resume":
        state.pausing = state.halted = False
    elif event.target is not None and event.kind in ("cancel", "skip", "retry"):
        step = step_at(state, event.target)
        if not step.wish:
            state.wishes = [*state.wishes, event.target]
        step.wish = event.kind
    elif event.kind == "cancel":
        state.cancelling = True
    elif event.kind == "answer" and event.request in state.open:
        state.open[event.request].answer = version


def _log_written(state: RunState, version: int, at: float, path: str, attempt: int, event: LogWritten) -> None:
    state.logs += 1


def _artifact_made(state: RunState, version: int, at: float, path: str, attempt: int, event: ArtifactMade) -> None:
    content = event.content
    state.artifacts.append(ArtifactRef(event.name, event.media_type, content.blob or "", content.size, path, version))


def _checkpoint_made(state: RunState, version: int, at: float, path: str, attempt: int, event: CheckpointMade) -> None:
    """A name of a place; the place is the same. What was made by itself is not made again when what follows it is."""
    if path and event.kind != "manual":
        step_at(state, path).marked = event.kind, attempt


def _budget_reached(state: RunState, version: int, at: float, path: str, attempt: int, event: BudgetReached) -> None:
    state.reached = [*state.reached, f"{event.scope}:{event.what}"]
    if event.action == "pause":
        state.pausing = True


def _budget_set(state: RunState, version: int, at: float, path: str, attempt: int, event: BudgetSet) -> None:
    state.budget_action = event.action or state.budget_action
    for what in ("cost", "tokens", "calls", "seconds"):
        limit = getattr(event, what)
        if limit is not None:
            state.budget = {**state.budget, what: float(limit)}
            if f":{what}" in state.reached:
                state.reached = [reached for reached in state.reached if reached != f":{what}"]
                state.pausing = state.pausing and any(reached[0] == ":" for reached in state.reached)


def _run_compensating(state: RunState, version: int, at: float, path: str, attempt: int, event: RunCompensating) -> None:
    state.undoing = list(event.steps)
    state.reason = event.reason[:REASON_LIMIT] or None
    for name in event.steps:
        step_at(state, name)


def _run_reopened(state: RunState, version: int, at: float, path: str, attempt: int, event: RunReopened) -> None:
    state.status, state.ended_at, state.reason, state.cancelling = RunStatus.RUNNING, None, None, False
    state.reopened_at = at


def _run_paused(state: RunState, version: int, at: float, path: str, attempt: int, event: RunPaused) -> None:
    state.status = RunStatus.PAUSED


def _run_unpaused(state: RunState, version: int, at: float, path: str, attempt: int, event: RunUnpaused) -> None:
    state.status, state.halted = RunStatus.RUNNING, False


def _run_completed(state: RunState, version: int, at: float, path: str, attempt: int, event: RunCompleted) -> None:
    state.status, state.ended_at = RunStatus.COMPLETED, at


def _run_failed(state: RunState, version: int, at: float, path: str, attempt: int, event: RunFailed) -> None:
    state.status, state.ended_at, state.reason = RunStatus.FAILED, at, event.reason[:REASON_LIMIT]


def _run_cancelled(state: RunState, version: int, at: float, path: str, attempt: int, event: RunCancelled) -> None:
    state.status, state.ended_at, state.reason = RunStatus.CANCELLED, at, event.reason[:REASON_LIMIT] or None


def _unknown(state: RunState, version: int, at: float, path: str, attempt: int, event: UnknownEvent) -> None:
    state.unknown += 1


RULES: dict[type[Event], Rule] = {
    RunCreated: _run_created,
    RunForked: _run_forked,
    RunAttached: _run_attached,
    RunMigrated: _run_migrated,
    SignalReceived: _signal_received,
    StepAdded: step_added,
    StepEnabled: step_enabled,
    StepEvaluated: step_evaluated,
    ApprovalRequested: approval_requested,
    ApprovalGiven: approval_given,
    ApprovalExpired: approval_expired,
    StepStarted: step_started,
    StepPublished: step_published,
    StepCompleted: step_completed,
    StepFailed: step_failed,
    StepRefused: step_refused,
    StepRetryScheduled: step_retry_scheduled,
    StepSkipped: step_skipped,
    StepCancelled: step_cancelled,
    StepReset: step_reset,
    StepReused: step_reused,
    EditApplied: edit_applied,
    EffectRequested: effect_requested,
    EffectSucceeded: effect_succeeded,
    EffectFailed: effect_failed,
    EffectInDoubt: effect_in_doubt,
    EffectResolved: effect_resolved,
    ChildParked: child_parked,
    ChildResumed: child_resumed,
    ChildSpent: child_spent,
    LogWritten: _log_written,
    ArtifactMade: _artifact_made,
    CheckpointMade: _checkpoint_made,
    BudgetReached: _budget_reached,
    BudgetSet: _budget_set,
    RunCompensating: _run_compensating,
    RunReopened: _run_reopened,
    RunPaused: _run_paused,
    RunUnpaused: _run_unpaused,
    RunCompleted: _run_completed,
    RunFailed: _run_failed,
    RunCancelled: _run_cancelled,
    UnknownEvent: _unknown,
}
"""Every event type has a rule; a test compares this with `events.EVENTS`."""

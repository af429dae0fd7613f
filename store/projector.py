"""The fold: what each event does to a state. One rule an event type, in a table that a test holds complete.

The rules about state live here, in `state.py` and in the engine's scheduler, and nowhere else. `evolve` never refuses what was
recorded: an event about a step the run does not know makes that step, so a damaged or future log still shows. It changes
the state it owns in place (copying costs 2-7 us an event, folding 0.1-0.3); whoever needs an older state folds again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from store.events import (
    ArtifactMade,
    ChildParked,
    ChildResumed,
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
    RunCompleted,
    RunCreated,
    RunFailed,
    RunForked,
    RunMigrated,
    RunPaused,
    RunUnpaused,
    SignalReceived,
    Spent,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepReset,
    StepRetryScheduled,
    StepReused,
    StepSkipped,
    StepStarted,
    UnknownEvent,
    Usage,
)
from store.state import ArtifactRef, OpenEffect, RunState, RunStatus, StepState, StepStatus, Try

FOLD_VERSION = 2
"""Stamped on snapshots: raised whenever a rule or the shape of the state changes, so that older snapshots are not used."""

REASON_LIMIT = 200

Rule = Callable[[RunState, int, float, str, int, Any], None]
"""(state, version, at, step or "", attempt, event): the envelope's columns, apart, so that reading need not build one."""

PENDING, RUNNING, WAITING = StepStatus.PENDING, StepStatus.RUNNING, StepStatus.WAITING
COMPLETED, FAILED, SKIPPED = StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.SKIPPED
CANCELLED, TIMED_OUT, IN_DOUBT = StepStatus.CANCELLED, StepStatus.TIMED_OUT, StepStatus.IN_DOUBT


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


def _step(state: RunState, path: str) -> StepState:
    step = state.steps.get(path)
    if step is None:
        step = state.steps[path] = StepState()
        state.counts[PENDING] += 1
    return step


def _move(state: RunState, step: StepState, status: StepStatus) -> None:
    counts = state.counts
    counts[step.status] -= 1
    counts[status] += 1
    step.status = status


def _run_created(state: RunState, version: int, at: float, path: str, attempt: int, event: RunCreated) -> None:
    state.pipeline, state.description, state.definition = event.pipeline, event.description, event.definition
    state.target, state.cwd, state.seed, state.created_at = event.target, event.cwd, event.seed, at
    state.caller, state.caller_step, state.depth = event.caller, event.caller_step, event.depth
    kinds = event.kinds or "f" * len(event.steps)
    state.steps = {name: StepState(kind) for name, kind in zip(event.steps, kinds, strict=False)}
    state.counts[PENDING] += len(state.steps)


def _run_forked(state: RunState, version: int, at: float, path: str, attempt: int, event: RunForked) -> None:
    state.parent, state.parent_version = event.parent, event.version
    state.caller = state.caller_step = None  # nobody waits for a fork's end
    state.attached_at = state.ended_at = state.reason = None
    state.status, state.pausing, state.cancelling = RunStatus.PENDING, False, False


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
    for step in known.values():
        state.counts[step.status] -= 1
    state.open = {request: effect for request, effect in state.open.items() if effect.step in state.steps}
    if state.status.ended:
        state.status, state.ended_at, state.reason = RunStatus.RUNNING, None, None


def _signal_received(state: RunState, version: int, at: float, path: str, attempt: int, event: SignalReceived) -> None:
    if event.inbox > state.inbox:
        state.inbox = event.inbox
    if event.kind == "pause":
        state.pausing = True
    elif event.kind == "resume":
        state.pausing = False
    elif event.kind == "cancel":
        state.cancelling = True


def _step_started(state: RunState, version: int, at: float, path: str, attempt: int, event: StepStarted) -> None:
    step = _step(state, path)
    if step.attempt and step.ended_at is not None and step.status is WAITING:
        step.tries = [*step.tries, _try(step)]
    _move(state, step, RUNNING)
    step.attempt, step.started_at, step.ended_at, step.due = attempt, at, None, None
    step.reason = step.failure_kind = None
    if step.first_started_at is None:
        step.first_started_at = at


def _try(step: StepState) -> Try:
    status = TIMED_OUT if step.failure_kind == "timeout" else FAILED
    return Try(step.attempt, step.started_at or 0.0, step.ended_at or 0.0, status, step.reason or "")


def _step_completed(state: RunState, version: int, at: float, path: str, attempt: int, event: StepCompleted) -> None:
    step = _step(state, path)
    _move(state, step, COMPLETED)
    step.ended_at, step.output, step.output_size = at, version, event.output.size
    if state.open:
        _close_effects(state, path)


def _step_failed(state: RunState, version: int, at: float, path: str, attempt: int, event: StepFailed) -> None:
    step, failure = _step(state, path), event.failure
    _move(state, step, TIMED_OUT if failure.kind == "timeout" else FAILED)
    step.ended_at, step.reason, step.failure_kind = at, failure.message[:REASON_LIMIT], failure.kind
    step.retryable, step.retry_after = failure.retryable, failure.retry_after
    state.failures += 1
    if state.open:
        _close_effects(state, path)


def _close_effects(state: RunState, path: str) -> None:
    """Forget the effects of a closed attempt: their outcomes, should they come, are rejected."""
    for request in [request for request, effect in state.open.items() if effect.step == path]:
        del state.open[request]


def _step_retry_scheduled(state: RunState, version: int, at: float, path: str, attempt: int, event: StepRetryScheduled) -> None:
    step = _step(state, path)
    _move(state, step, WAITING)
    step.due = event.due


def _step_skipped(state: RunState, version: int, at: float, path: str, attempt: int, event: StepSkipped) -> None:
    step = _step(state, path)
    _move(state, step, SKIPPED)
    step.reason, step.ended_at = event.reason[:REASON_LIMIT], at


def _step_cancelled(state: RunState, version: int, at: float, path: str, attempt: int, event: StepCancelled) -> None:
    step = _step(state, path)
    _move(state, step, CANCELLED)
    step.reason, step.ended_at, step.due = event.reason[:REASON_LIMIT], at, None
    if state.open:
        _close_effects(state, path)


def _step_reset(state: RunState, version: int, at: float, path: str, attempt: int, event: StepReset) -> None:
    step = _step(state, path)
    _move(state, step, PENDING)
    step.started_at = step.ended_at = step.due = step.first_started_at = None
    step.output, step.output_size, step.reason, step.failure_kind = None, 0, None, None
    step.first_attempt, step.reused, step.tries = step.attempt + 1, False, []
    if state.open:
        _close_effects(state, path)


def _step_reused(state: RunState, version: int, at: float, path: str, attempt: int, event: StepReused) -> None:
    step = _step(state, path)
    _move(state, step, COMPLETED)
    step.ended_at, step.output, step.output_size, step.reused = at, version, event.output.size, True


def _effect_requested(state: RunState, version: int, at: float, path: str, attempt: int, event: EffectRequested) -> None:
    state.open[version] = OpenEffect(path, attempt, event.kind, event.name, event.safety.value, at)
    state.effects += 1
    _step(state, path).effects += 1


def _effect_succeeded(state: RunState, version: int, at: float, path: str, attempt: int, event: EffectSucceeded) -> None:
    state.open.pop(event.request, None)
    if event.simulated:
        state.simulated = _step(state, path).simulated = True
    _pay(state, path, event)


def _effect_failed(state: RunState, version: int, at: float, path: str, attempt: int, event: EffectFailed) -> None:
    state.open.pop(event.request, None)
    _pay(state, path, event)


def _pay(state: RunState, path: str, event: EffectSucceeded | EffectFailed) -> None:
    """Add what an effect used to the run and the step: a model call, or all of a child run's. What was taken from a recording was
    paid there."""
    if event.source is not None:
        return
    if event.usage is not None:
        _spend(state, _step(state, path), spent(event.usage))
    for used in event.spent:
        _spend(state, _step(state, path), used)


def spent(usage: Usage) -> Spent:
    """One model call as what was spent on it."""
    priced = usage.cost is not None
    return Spent(usage.model, 1, usage.prompt_tokens, usage.completion_tokens, usage.cost or 0.0, 0 if priced else 1)


def _spend(state: RunState, step: StepState, used: Spent) -> None:
    for spender in (state, step):
        spender.calls += used.calls
        spender.prompt_tokens += used.prompt_tokens
        spender.completion_tokens += used.completion_tokens
        spender.cost += used.cost
        spender.unpriced += used.unpriced


def _effect_in_doubt(state: RunState, version: int, at: float, path: str, attempt: int, event: EffectInDoubt) -> None:
    effect = state.open.get(event.request)
    if effect is not None:
        effect.in_doubt = True
    step = _step(state, path)
    _move(state, step, IN_DOUBT)
    step.reason = f"{effect.name} has no known outcome" if effect is not None else "an effect has no known outcome"


def _effect_resolved(state: RunState, version: int, at: float, path: str, attempt: int, event: EffectResolved) -> None:
    state.open.pop(event.request, None)  # also of one to be issued again: that is a new request
    step = _step(state, path)
    if not any(effect.in_doubt and effect.step == path for effect in state.open.values()):
        _move(state, step, RUNNING)
        step.reason = None


def _child_parked(state: RunState, version: int, at: float, path: str, attempt: int, event: ChildParked) -> None:
    effect = state.open.get(event.request)
    if effect is not None:
        effect.parked = event.reason


def _child_resumed(state: RunState, version: int, at: float, path: str, attempt: int, event: ChildResumed) -> None:
    effect = state.open.get(event.request)
    if effect is not None:
        effect.parked = None


def _log_written(state: RunState, version: int, at: float, path: str, attempt: int, event: LogWritten) -> None:
    state.logs += 1


def _artifact_made(state: RunState, version: int, at: float, path: str, attempt: int, event: ArtifactMade) -> None:
    content = event.content
    state.artifacts.append(ArtifactRef(event.name, event.media_type, content.blob or "", content.size, path, version))


def _run_paused(state: RunState, version: int, at: float, path: str, attempt: int, event: RunPaused) -> None:
    state.status = RunStatus.PAUSED


def _run_unpaused(state: RunState, version: int, at: float, path: str, attempt: int, event: RunUnpaused) -> None:
    state.status = RunStatus.RUNNING


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
    StepStarted: _step_started,
    StepCompleted: _step_completed,
    StepFailed: _step_failed,
    StepRetryScheduled: _step_retry_scheduled,
    StepSkipped: _step_skipped,
    StepCancelled: _step_cancelled,
    StepReset: _step_reset,
    StepReused: _step_reused,
    EffectRequested: _effect_requested,
    EffectSucceeded: _effect_succeeded,
    EffectFailed: _effect_failed,
    EffectInDoubt: _effect_in_doubt,
    EffectResolved: _effect_resolved,
    ChildParked: _child_parked,
    ChildResumed: _child_resumed,
    LogWritten: _log_written,
    ArtifactMade: _artifact_made,
    RunPaused: _run_paused,
    RunUnpaused: _run_unpaused,
    RunCompleted: _run_completed,
    RunFailed: _run_failed,
    RunCancelled: _run_cancelled,
    UnknownEvent: _unknown,
}
"""Every event type has a rule; a test compares this with `events.EVENTS`."""

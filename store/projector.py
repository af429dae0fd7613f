"""The fold: what each event does to a state. One rule an event type, in a table that a test holds complete.

The rules about state live here, in `state.py` and in the engine's scheduler, and nowhere else. `evolve` never refuses what was
recorded: an event about a step the run does not know makes that step, so a damaged or future log still shows. It changes
the state it owns in place (copying costs 2-7 us an event, folding 0.1-0.3); whoever needs an older state folds again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from store.events import (
    ApprovalExpired,
    ApprovalGiven,
    ApprovalRequested,
    ArtifactMade,
    BudgetReached,
    BudgetSet,
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
    Usage,
)
from store.state import Approval, ArtifactRef, OpenEffect, RunState, RunStatus, StepState, StepStatus, Try, child_of, group_of

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
    if step.items is not None:
        state.groups += (status is RUNNING) - (step.status is RUNNING)
    step.status = status


def _heed(state: RunState, step: StepState, path: str) -> None:
    """What somebody wished of the step is carried out, or has no object any more."""
    if step.wish:
        step.wish = ""
        state.wishes.remove(path)


def _run_created(state: RunState, version: int, at: float, path: str, attempt: int, event: RunCreated) -> None:
    state.pipeline, state.description, state.definition = event.pipeline, event.description, event.definition
    state.target, state.cwd, state.seed, state.created_at = event.target, event.cwd, event.seed, at
    kinds = event.kinds or "f" * len(event.steps)
    state.steps = {name: StepState(kind) for name, kind in zip(event.steps, kinds, strict=False)}
    state.counts[PENDING] += len(state.steps)


def _run_forked(state: RunState, version: int, at: float, path: str, attempt: int, event: RunForked) -> None:
    state.parent, state.parent_version = event.parent, event.version
    state.attached_at = state.ended_at = state.reason = None
    state.status, state.pausing, state.cancelling = RunStatus.PENDING, False, False


def _run_attached(state: RunState, version: int, at: float, path: str, attempt: int, event: RunAttached) -> None:
    state.attached_at = at
    state.attaches += 1
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
        _ask_no_more(state, step)
        _heed(state, step, name)
        state.groups -= step.items is not None and step.status is RUNNING
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
    elif event.target is not None and event.kind in ("cancel", "skip", "retry"):
        step = _step(state, event.target)
        if not step.wish:
            state.wishes.append(event.target)
        step.wish = event.kind
    elif event.kind == "cancel":
        state.cancelling = True
    elif event.kind == "answer" and event.request in state.open:
        state.open[event.request].answer = version


def _step_added(state: RunState, version: int, at: float, path: str, attempt: int, event: StepAdded) -> None:
    _step(state, event.name).kind = event.kind
    state.added += 1


def _step_enabled(state: RunState, version: int, at: float, path: str, attempt: int, event: StepEnabled) -> None:
    _step(state, event.target).disabled = None if event.on else f"disabled by {path}"


def _step_evaluated(state: RunState, version: int, at: float, path: str, attempt: int, event: StepEvaluated) -> None:
    step = _step(state, path)
    if event.refused:
        step.refused = [*step.refused, *event.refused]
    if event.items is not None:
        step.items = event.items
        if step.status is RUNNING:
            _spread(state, step, path)
    if event.verdict != "wait":
        step.verdict, step.evaluated = event.verdict, version if step.evaluated is None else step.evaluated
    if event.reason:
        step.reason = event.reason[:REASON_LIMIT]


def _spread(state: RunState, step: StepState, path: str) -> None:
    """Make the children a group has by now; those it has stay."""
    for index in range(step.items or 0):
        known = child_of(path, index) in state.steps
        child = _step(state, child_of(path, index))
        child.kind = step.kind
        if not known:
            child.attempt, child.first_attempt = step.tried, step.tried + 1


def _approval_requested(state: RunState, version: int, at: float, path: str, attempt: int, event: ApprovalRequested) -> None:
    step = _step(state, path)
    _move(state, step, WAITING)
    step.approval = Approval(at, event.message, event.due, event.default)
    state.approvals += 1


def _approval_given(state: RunState, version: int, at: float, path: str, attempt: int, event: ApprovalGiven) -> None:
    _answer(state, _step(state, path), event.approved, event.note)


def _approval_expired(state: RunState, version: int, at: float, path: str, attempt: int, event: ApprovalExpired) -> None:
    _answer(state, _step(state, path), event.approved, "nobody answered in time")


def _answer(state: RunState, step: StepState, approved: bool, note: str) -> None:
    if step.approval is not None:
        step.approval.answer, step.approval.note = "approved" if approved else "rejected", note[:REASON_LIMIT]
    if approved and step.status is WAITING:
        _ask_no_more(state, step)
        _move(state, step, PENDING)


def _ask_no_more(state: RunState, step: StepState) -> None:
    """The step leaves the state in which it waits for approval."""
    if step.status is WAITING and step.due is None and step.approval is not None:
        state.approvals -= 1


def _step_started(state: RunState, version: int, at: float, path: str, attempt: int, event: StepStarted) -> None:
    step = _step(state, path)
    if step.attempt and step.ended_at is not None and step.status is WAITING:
        step.tries = [*step.tries, _try(step)]
    _move(state, step, RUNNING)
    step.attempt, step.started_at, step.ended_at, step.due = attempt, at, None, None
    step.reason = step.failure_kind = None
    step.inputs = event.inputs
    if step.first_started_at is None:
        step.first_started_at = at
    if step.items is not None:
        _spread(state, step, path)


def _try(step: StepState) -> Try:
    status = TIMED_OUT if step.failure_kind == "timeout" else FAILED
    return Try(step.attempt, step.started_at or 0.0, step.ended_at or 0.0, status, step.reason or "")


def _step_completed(state: RunState, version: int, at: float, path: str, attempt: int, event: StepCompleted) -> None:
    step = _step(state, path)
    _move(state, step, COMPLETED)
    step.ended_at, step.output, step.output_size = at, version, event.output.size
    for name in event.closes:
        _step(state, name).disabled = f"{path} chose another branch"
    if state.open:
        _close_effects(state, path)


def _step_published(state: RunState, version: int, at: float, path: str, attempt: int, event: StepPublished) -> None:
    _step(state, path).partial = version


def _step_refused(state: RunState, version: int, at: float, path: str, attempt: int, event: StepRefused) -> None:
    step = _step(state, path)
    _ask_no_more(state, step)
    _move(state, step, FAILED)
    step.ended_at, step.reason, step.failure_kind, step.retryable = at, event.reason[:REASON_LIMIT], event.kind, False
    state.failures += 1
    _heed(state, step, path)


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
    if step.wish == "retry":  # who wanted it stopped still wants that
        _heed(state, step, path)


def _step_skipped(state: RunState, version: int, at: float, path: str, attempt: int, event: StepSkipped) -> None:
    step = _step(state, path)
    _ask_no_more(state, step)
    _move(state, step, SKIPPED)
    step.reason, step.ended_at, step.passes, step.due = event.reason[:REASON_LIMIT], at, event.passes, None
    _heed(state, step, path)
    if state.open:
        _close_effects(state, path)


def _step_cancelled(state: RunState, version: int, at: float, path: str, attempt: int, event: StepCancelled) -> None:
    step = _step(state, path)
    _ask_no_more(state, step)
    _move(state, step, CANCELLED)
    step.reason, step.ended_at, step.due = event.reason[:REASON_LIMIT], at, None
    _heed(state, step, path)
    if state.open:
        _close_effects(state, path)


def _step_reset(state: RunState, version: int, at: float, path: str, attempt: int, event: StepReset) -> None:
    step = _step(state, path)
    _ask_no_more(state, step)
    _move(state, step, PENDING)
    step.started_at = step.ended_at = step.due = step.first_started_at = None
    step.output, step.output_size, step.reason, step.failure_kind = None, 0, None, None
    step.first_attempt, step.reused, step.tries = step.attempt + 1, False, []
    step.verdict, step.evaluated, step.refused, step.inputs, step.passes = "", None, [], None, False
    step.partial = step.approval = step.disabled = None
    _heed(state, step, path)
    _gather_in(state, step, path)
    if state.open:
        _close_effects(state, path)


def _gather_in(state: RunState, step: StepState, path: str) -> None:
    """A group that starts over has no children until it is evaluated again; their attempts do not start over from 1."""
    for index in range(step.items or 0):
        child = state.steps.pop(child_of(path, index), None)
        if child is not None:
            step.tried = max(step.tried, child.attempt)
            _heed(state, child, child_of(path, index))
            state.counts[child.status] -= 1
            _close_effects(state, child_of(path, index))
    step.items = None


def _step_reused(state: RunState, version: int, at: float, path: str, attempt: int, event: StepReused) -> None:
    step = _step(state, path)
    _move(state, step, COMPLETED)
    step.ended_at, step.output, step.output_size, step.reused = at, version, event.output.size, True


def _effect_requested(state: RunState, version: int, at: float, path: str, attempt: int, event: EffectRequested) -> None:
    state.open[version] = OpenEffect(path, attempt, event.kind, event.name, event.safety.value, at)
    state.effects += 1
    _step(state, path).effects += 1


def _effect_succeeded(state: RunState, version: int, at: float, path: str, attempt: int, event: EffectSucceeded) -> None:
    effect = state.open.pop(event.request, None)
    if effect is not None and effect.kind in _KEPT:
        _keep(state, event.request, effect)
    if event.simulated:
        state.simulated = _step(state, path).simulated = True
    if event.usage is not None and event.source is None:
        _spend(state, _step(state, path), event.usage)


_KEPT = frozenset({"memory", "offer"})
"""Kinds of effects that change what the run remembers of itself."""


def _keep(state: RunState, request: int, effect: OpenEffect) -> None:
    """New collections instead of changed ones: `history.py` goes back to the old."""
    if effect.kind == "offer":
        if effect.name not in state.roles:
            state.roles = [*state.roles, effect.name]
        return
    op, _, key = effect.name.partition(" ")
    if op == "put":
        state.memory = {**state.memory, key: request}
    elif op == "delete":
        state.memory = {held: version for held, version in state.memory.items() if held != key}


def _effect_failed(state: RunState, version: int, at: float, path: str, attempt: int, event: EffectFailed) -> None:
    state.open.pop(event.request, None)
    if event.usage is not None and event.source is None:
        _spend(state, _step(state, path), event.usage)


def _spend(state: RunState, step: StepState, usage: Usage) -> None:
    """Add what a model call used to the run and the step."""
    for spender in (state, step):
        spender.calls += 1
        spender.prompt_tokens += usage.prompt_tokens
        spender.completion_tokens += usage.completion_tokens
        if usage.cost is None:
            spender.unpriced += 1
        else:
            spender.cost += usage.cost


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


def _log_written(state: RunState, version: int, at: float, path: str, attempt: int, event: LogWritten) -> None:
    state.logs += 1


def _artifact_made(state: RunState, version: int, at: float, path: str, attempt: int, event: ArtifactMade) -> None:
    content = event.content
    state.artifacts.append(ArtifactRef(event.name, event.media_type, content.blob or "", content.size, path, version))


def _budget_reached(state: RunState, version: int, at: float, path: str, attempt: int, event: BudgetReached) -> None:
    state.reached.append(f"{event.scope}:{event.what}")
    if event.action == "pause":
        state.pausing = True


def _budget_set(state: RunState, version: int, at: float, path: str, attempt: int, event: BudgetSet) -> None:
    for what in ("cost", "tokens", "calls", "seconds"):
        limit = getattr(event, what)
        if limit is not None:
            state.budget[what] = float(limit)
            if f":{what}" in state.reached:
                state.reached.remove(f":{what}")
                state.pausing = False


def _run_compensating(state: RunState, version: int, at: float, path: str, attempt: int, event: RunCompensating) -> None:
    state.undoing = list(event.steps)
    state.reason = event.reason[:REASON_LIMIT] or None
    for name in event.steps:
        _step(state, name)


def _run_reopened(state: RunState, version: int, at: float, path: str, attempt: int, event: RunReopened) -> None:
    state.status, state.ended_at, state.reason, state.cancelling = RunStatus.RUNNING, None, None, False
    state.reopened_at = at


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
    StepAdded: _step_added,
    StepEnabled: _step_enabled,
    StepEvaluated: _step_evaluated,
    ApprovalRequested: _approval_requested,
    ApprovalGiven: _approval_given,
    ApprovalExpired: _approval_expired,
    StepStarted: _step_started,
    StepPublished: _step_published,
    StepCompleted: _step_completed,
    StepFailed: _step_failed,
    StepRefused: _step_refused,
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
    LogWritten: _log_written,
    ArtifactMade: _artifact_made,
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

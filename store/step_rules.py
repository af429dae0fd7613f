"""What happens to a step: the rules of the fold for its events. They change the state they are given, in place.

The rules about state live here and in the files that `projector.py` names. Stands apart by what it is about: a step, or a group and
its children.
"""

from __future__ import annotations

import msgspec

from store.events import (
    ApprovalExpired,
    ApprovalGiven,
    ApprovalRequested,
    EditApplied,
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
)
from store.moves import REASON_LIMIT, ask_no_more, close_effects, forget, heed, move, step_at
from store.state import Approval, RunState, StepState, StepStatus, Try, child_of

PENDING, RUNNING, WAITING = StepStatus.PENDING, StepStatus.RUNNING, StepStatus.WAITING
COMPLETED, FAILED, SKIPPED = StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.SKIPPED
CANCELLED, TIMED_OUT = StepStatus.CANCELLED, StepStatus.TIMED_OUT


def step_added(state: RunState, version: int, at: float, path: str, attempt: int, event: StepAdded) -> None:
    step_at(state, event.name).kind = event.kind
    state.added += 1


def step_enabled(state: RunState, version: int, at: float, path: str, attempt: int, event: StepEnabled) -> None:
    step_at(state, event.target).disabled = None if event.on else f"disabled by {path}"


def step_evaluated(state: RunState, version: int, at: float, path: str, attempt: int, event: StepEvaluated) -> None:
    step = step_at(state, path)
    if event.refused:
        step.refused = (*step.refused, *event.refused)
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
        child = step_at(state, child_of(path, index))
        child.kind = step.kind
        if not known:
            child.attempt, child.first_attempt = step.tried, step.tried + 1


def approval_requested(state: RunState, version: int, at: float, path: str, attempt: int, event: ApprovalRequested) -> None:
    step = step_at(state, path)
    move(state, step, WAITING)
    step.approval = Approval(at, event.message, event.due, event.default)
    state.approvals += 1


def approval_given(state: RunState, version: int, at: float, path: str, attempt: int, event: ApprovalGiven) -> None:
    _answer(state, step_at(state, path), event.approved, event.note)


def approval_expired(state: RunState, version: int, at: float, path: str, attempt: int, event: ApprovalExpired) -> None:
    _answer(state, step_at(state, path), event.approved, "nobody answered in time")


def _answer(state: RunState, step: StepState, approved: bool, note: str) -> None:
    if step.approval is not None:
        answer = "approved" if approved else "rejected"
        step.approval = msgspec.structs.replace(step.approval, answer=answer, note=note[:REASON_LIMIT])
    if approved and step.status is WAITING:
        ask_no_more(state, step)
        move(state, step, PENDING)


def step_started(state: RunState, version: int, at: float, path: str, attempt: int, event: StepStarted) -> None:
    step = step_at(state, path)
    if step.attempt and step.ended_at is not None and step.status is WAITING:
        step.tries = (*step.tries, _try(step))
    move(state, step, RUNNING)
    step.attempt, step.started_at, step.ended_at, step.due = attempt, at, None, None
    step.reason = step.failure_kind = None
    step.inputs = event.inputs
    step.failure_classes, step.reused = (), False
    if step.first_started_at is None:
        step.first_started_at = at
    if step.items is not None:
        _spread(state, step, path)


def _try(step: StepState) -> Try:
    status = TIMED_OUT if step.failure_kind == "timeout" else FAILED
    return Try(step.attempt, step.started_at or 0.0, step.ended_at or 0.0, status, step.reason or "")


def step_completed(state: RunState, version: int, at: float, path: str, attempt: int, event: StepCompleted) -> None:
    _complete(state, step_at(state, path), path, version, at, event.output.size)
    for name in event.closes or ():
        step_at(state, name).disabled = f"{path} chose another branch"


def step_published(state: RunState, version: int, at: float, path: str, attempt: int, event: StepPublished) -> None:
    step_at(state, path).partial = version


def step_refused(state: RunState, version: int, at: float, path: str, attempt: int, event: StepRefused) -> None:
    step = step_at(state, path)
    ask_no_more(state, step)
    move(state, step, FAILED)
    step.ended_at, step.reason, step.failure_kind, step.retryable = at, event.reason[:REASON_LIMIT], event.kind, False
    state.failures += 1
    heed(state, step, path)


def step_failed(state: RunState, version: int, at: float, path: str, attempt: int, event: StepFailed) -> None:
    step, failure = step_at(state, path), event.failure
    move(state, step, TIMED_OUT if failure.kind == "timeout" else FAILED)
    step.ended_at, step.reason, step.failure_kind = at, failure.message[:REASON_LIMIT], failure.kind
    step.retryable, step.retry_after, step.failure_classes = failure.retryable, failure.retry_after, failure.classes
    step.reused = event.source is not None
    step.spared += failure.kind == "circuit" and bool(failure.retry_after)
    state.failures += 1
    if state.open:
        close_effects(state, path)


def step_retry_scheduled(state: RunState, version: int, at: float, path: str, attempt: int, event: StepRetryScheduled) -> None:
    step = step_at(state, path)
    move(state, step, WAITING)
    step.due = event.due
    if step.wish == "retry":  # who wanted it stopped still wants that
        heed(state, step, path)


def step_skipped(state: RunState, version: int, at: float, path: str, attempt: int, event: StepSkipped) -> None:
    step = step_at(state, path)
    ask_no_more(state, step)
    move(state, step, SKIPPED)
    step.reason, step.ended_at, step.passes, step.due = event.reason[:REASON_LIMIT], at, event.passes, None
    heed(state, step, path)
    if state.open:
        close_effects(state, path)


def step_cancelled(state: RunState, version: int, at: float, path: str, attempt: int, event: StepCancelled) -> None:
    step = step_at(state, path)
    ask_no_more(state, step)
    move(state, step, CANCELLED)
    step.reason, step.ended_at, step.due = event.reason[:REASON_LIMIT], at, None
    heed(state, step, path)
    if state.open:
        close_effects(state, path)


def step_reset(state: RunState, version: int, at: float, path: str, attempt: int, event: StepReset) -> None:
    step = step_at(state, path)
    ask_no_more(state, step)
    move(state, step, PENDING)
    step.started_at = step.ended_at = step.due = step.first_started_at = None
    step.output, step.output_size, step.reason, step.failure_kind = None, 0, None, None
    step.first_attempt, step.tries, step.failure_classes = step.attempt + 1, (), ()
    step.reused = step.edited = False
    step.verdict, step.evaluated, step.refused, step.inputs, step.passes = "", None, (), None, False
    step.partial = step.approval = step.disabled = step.marked = None
    step.spared = 0
    heed(state, step, path)
    _gather_in(state, step, path)
    if state.open:
        close_effects(state, path)


def _gather_in(state: RunState, step: StepState, path: str) -> None:
    """A group that starts over has no children until it is evaluated again; their attempts do not start over from 1."""
    for index in range(step.items or 0):
        child = state.steps.pop(child_of(path, index), None)
        if child is not None:
            step.tried = max(step.tried, child.attempt)
            heed(state, child, child_of(path, index))
            forget(state, child)
            close_effects(state, child_of(path, index))
    step.items = None


def step_reused(state: RunState, version: int, at: float, path: str, attempt: int, event: StepReused) -> None:
    _complete(state, step_at(state, path), path, version, at, event.output.size)
    step_at(state, path).reused = True
    for name in event.closes or ():
        step_at(state, name).disabled = f"{path} chose another branch"


def edit_applied(state: RunState, version: int, at: float, path: str, attempt: int, event: EditApplied) -> None:
    """Only an edited output changes anything here; what else was edited is read where it is used."""
    if event.output is None:
        return
    step = step_at(state, path)
    ask_no_more(state, step)
    heed(state, step, path)
    _complete(state, step, path, version, at, event.output.size)
    step.reason = step.failure_kind = step.due = None
    step.first_started_at = step.started_at = at  # it did not run
    step.reused, step.edited = False, True


def _complete(state: RunState, step: StepState, path: str, version: int, at: float, size: int) -> None:
    move(state, step, COMPLETED)
    step.ended_at, step.output, step.output_size = at, version, size
    if state.open:
        close_effects(state, path)

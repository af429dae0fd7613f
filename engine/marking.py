"""The checkpoints that a pipeline makes by itself: of which event each is a part. Pure.

Stands apart from the decisions: a checkpoint changes nothing that is decided. It is recorded in the commit of the event it is
about, so a crash leaves both or neither. One that stands before a decision may be the last that a fork takes over; the fold
remembers it, so it is not made again there.
"""

from __future__ import annotations

from engine.graph import Plan
from engine.joins import FAILURES
from engine.retries import retry_of
from store.events import (
    ApprovalRequested,
    CheckpointMade,
    Event,
    RunCancelled,
    RunCompleted,
    RunFailed,
    StepCompleted,
    StepFailed,
    StepRefused,
    StepReused,
    StepStarted,
)
from store.state import RunState

_COMPLETED, _FAILED = (StepCompleted, StepReused), (StepFailed, StepRefused)
_ENDED = (RunCompleted, RunFailed, RunCancelled)


def before(plan: Plan, state: RunState, event: Event, path: str | None, attempt: int) -> CheckpointMade | None:
    """The checkpoint that stands before an event which is about to be folded. Items of a group have none of their own."""
    step = plan.steps.get(path) if path is not None else None
    if step is None:
        return None
    kind = ""
    if isinstance(event, ApprovalRequested):
        kind = "approval"
    elif isinstance(event, StepStarted) and step.irreversible:
        kind = "irreversible"
    if kind not in plan.definition.checkpoints or state.steps[step.name].marked == (kind, attempt):
        return None
    return CheckpointMade(f"{kind}.{path}", kind)


def after(plan: Plan, state: RunState, event: Event, path: str | None, now: float) -> CheckpointMade | None:
    """The checkpoint that stands after an event which was just folded, at `now`."""
    points = plan.definition.checkpoints
    if isinstance(event, _ENDED):
        return CheckpointMade("end", "end") if "end" in points else None
    step = plan.steps.get(path) if path is not None else None
    if step is None:
        return None
    if isinstance(event, _COMPLETED) and step.checkpoint:
        return CheckpointMade(step.name if step.checkpoint is True else step.checkpoint, "step")
    if isinstance(event, _FAILED) and "failure" in points:
        for_good = state.steps[step.name].status in FAILURES and retry_of(plan, state, step.name, now) is None
        return CheckpointMade(f"failure.{path}", "failure") if for_good else None
    return None

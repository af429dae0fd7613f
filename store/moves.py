"""The moves that rules are made of: a step found or made, moved from status to status, its effects forgotten.

Stands apart from the rules because those of steps and those of effects share them.
"""

from __future__ import annotations

from store.state import RunState, StepState, StepStatus, owner_of

PENDING, RUNNING, WAITING = StepStatus.PENDING, StepStatus.RUNNING, StepStatus.WAITING

REASON_LIMIT = 200
"""Characters of a reason that the state keeps; the event has all of it."""


def step_at(state: RunState, path: str) -> StepState:
    """The step of that path; one the run does not know is made, so that a damaged or future log still shows."""
    step = state.steps.get(path)
    if step is None:
        step = state.steps[path] = StepState()
        state.counts[PENDING] += 1
        if path and owner_of(path) is not None:
            step.nested = True
            state.nested += 1
    return step


def move(state: RunState, step: StepState, status: StepStatus) -> None:
    """Change a step's status, and what is counted by status."""
    counts = state.counts
    counts[step.status] -= 1
    counts[status] += 1
    if step.items is not None:
        state.groups += (status is RUNNING) - (step.status is RUNNING)
    if step.nested:
        state.nested_settled += status.settled - step.status.settled
    step.status = status


def forget(state: RunState, step: StepState) -> None:
    """A step that is in the run no more is counted no more."""
    state.counts[step.status] -= 1
    if step.nested:
        state.nested -= 1
        state.nested_settled -= step.status.settled


def heed(state: RunState, step: StepState, path: str) -> None:
    """What somebody wished of the step is carried out, or has no object any more."""
    if step.wish:
        step.wish = ""
        state.wishes = [wished for wished in state.wishes if wished != path]


def ask_no_more(state: RunState, step: StepState) -> None:
    """The step leaves the state in which it waits for approval."""
    if step.status is WAITING and step.due is None and step.approval is not None:
        state.approvals -= 1


def close_effects(state: RunState, path: str) -> None:
    """Forget the effects of a closed attempt: their outcomes, should they come, are rejected."""
    for request in [request for request, effect in state.open.items() if effect.step == path]:
        del state.open[request]

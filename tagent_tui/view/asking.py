"""What in a run waits for a person's word: approvals, questions, effects in doubt; as values, in the order they came up.

Apart from the card that shows one and the block that lists the first, because the footer and the queue count them too.
"""

from __future__ import annotations

from typing import NamedTuple

from store.state import RunState, StepStatus
from tagent_tui.view.effects import ASK


class Wait(NamedTuple):
    """One thing that wants somebody. `kind` is `approval`, `question` or `doubt`; `request` is the version of the effect.

    `since` and `due` are unix seconds; `default` is what holds when an approval is due and nobody answered.
    """

    kind: str
    step: str
    text: str
    since: float
    request: int | None = None
    due: float | None = None
    default: bool = False


def waits_of(state: RunState) -> list[Wait]:
    """Everything that waits for somebody, the oldest first; nothing of a run that ended."""
    doubts = [
        Wait("doubt", effect.step, effect.name or effect.kind, effect.requested_at, version)
        for version, effect in state.open.items()
        if effect.in_doubt and not state.status.ended
    ]
    return sorted([*waiting_for_person(state), *doubts], key=lambda wait: (wait.since, wait.step))


def waiting_for_person(state: RunState) -> list[Wait]:
    """The approvals and questions, the oldest first; nothing of a run that ended."""
    if state.status.ended:
        return []
    found = [
        Wait("question", effect.step, effect.name, effect.requested_at, version)
        for version, effect in state.open.items()
        if effect.kind == ASK and effect.answer is None and not effect.in_doubt
    ]
    for name, step in state.steps.items() if state.approvals else ():
        asked = step.approval
        if step.status is StepStatus.WAITING and asked is not None and asked.answer == "asked":
            found.append(Wait("approval", name, asked.message, asked.requested_at, None, asked.due, asked.default))
    return sorted(found, key=lambda wait: (wait.since, wait.step))

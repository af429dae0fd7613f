"""What a step did to the world, from its events: one line an effect, the request and what became of it put together.

Apart from the state, which keeps effects only while they are in flight; the events of one step are read when it is unfolded.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from store.effect_rules import summed
from store.events import (
    ChildSpent,
    EffectFailed,
    EffectInDoubt,
    EffectRequested,
    EffectResolved,
    EffectSucceeded,
    Failure,
    Payload,
    Recorded,
    Spent,
    StepCompleted,
    StepFailed,
    Usage,
)
from store.state import StepStatus

ASK = "ask"
"""The kind of an effect that is a question to a person."""


class EffectLine(msgspec.Struct):
    """One effect. `version` is its request's, which is its id; `status` reads as a step's would; `reason` says why not."""

    version: int
    kind: str
    name: str
    attempt: int
    safety: str
    requested_at: float
    arguments: Payload = Payload()
    status: StepStatus = StepStatus.RUNNING
    ended_at: float | None = None
    value: Payload | None = None
    failure: Failure | None = None
    reason: str = ""
    usage: Usage | None = None
    simulated: bool = False
    source: tuple[str, int] | None = None
    spent: tuple[Spent, ...] = ()

    @property
    def tokens(self) -> int:
        """What its model call used, or all calls of its child run; 0 where nothing is known."""
        used = [self.usage] if self.usage is not None else self.spent
        return sum(one.prompt_tokens + one.completion_tokens for one in used)

    @property
    def cost(self) -> float | None:
        """The same in US dollars, None where a price is not known."""
        if self.usage is not None:
            return self.usage.cost
        return None if any(one.unpriced for one in self.spent) else sum(one.cost for one in self.spent)

    @property
    def failed(self) -> bool:
        """Whether it ended without a value."""
        return self.status in (StepStatus.FAILED, StepStatus.TIMED_OUT)


EFFECT_TYPES = frozenset(
    {
        *("effect.requested", "effect.succeeded", "effect.failed", "effect.in_doubt", "effect.resolved"),
        *("step.completed", "step.failed", "step.cancelled", "step.skipped", "child.spent"),
    }
)
"""The event types `effect_lines` reads: effects, what closes an attempt and with it the effects it left open, what children use."""


def effect_name(kind: str, name: str) -> str:
    """`model gpt-4.1`, `sleep`, `read_page`: the kind, and the name where it says more; a recorded call has its name alone."""
    if not name or name == kind:
        return kind
    return name if kind == "once" else f"{kind} {name}"


def written(arguments: Payload) -> str:
    """What a tool was called with, as JSON; empty where that is nothing, or kept elsewhere for its size."""
    text = bytes(arguments.json).decode("utf-8", "replace") if arguments.blob is None and arguments.size else ""
    return "" if text == "{}" else text


def effect_lines(events: Iterable[Recorded], upto: int | None = None) -> list[EffectLine]:
    """The effects among these events of one step, in the order they were requested; only events up to version `upto` count."""
    lines: dict[int, EffectLine] = {}
    for recorded in events:
        if upto is not None and recorded.version > upto:
            break
        fold_effect(lines, recorded)
    return list(lines.values())


def fold_effect(lines: dict[int, EffectLine], recorded: Recorded) -> None:
    """Take one event into the lines, in place; an event of another kind changes nothing."""
    event, at = recorded.event, recorded.at
    if isinstance(event, EffectRequested):
        lines[recorded.version] = EffectLine(
            recorded.version, event.kind, event.name, recorded.attempt, event.safety.value, at, event.arguments
        )
    elif isinstance(event, EffectSucceeded | EffectFailed | EffectInDoubt | EffectResolved):
        line = lines.get(event.request)
        if line is not None:
            _settle(line, event, at)
    elif isinstance(event, ChildSpent):
        if (line := lines.get(event.request)) is not None:
            line.spent = summed((*line.spent, *event.spent))
    elif isinstance(event, StepCompleted | StepFailed) or recorded.event.type in ("step.cancelled", "step.skipped"):
        _close(lines, at)


def _settle(line: EffectLine, event: EffectSucceeded | EffectFailed | EffectInDoubt | EffectResolved, at: float) -> None:
    line.ended_at = at
    if isinstance(event, EffectSucceeded):
        line.status, line.value, line.usage = StepStatus.COMPLETED, event.value, event.usage
        line.simulated, line.source, line.spent = event.simulated, event.source, summed((*line.spent, *event.spent))
    elif isinstance(event, EffectFailed):
        line.status, line.failure, line.reason = StepStatus.FAILED, event.failure, event.failure.message
        line.source, line.spent = event.source, summed((*line.spent, *event.spent))
    elif isinstance(event, EffectInDoubt):
        line.status, line.reason = StepStatus.IN_DOUBT, "no known outcome"
    else:
        _resolve(line, event)


def _resolve(line: EffectLine, event: EffectResolved) -> None:
    line.reason = ""
    if event.outcome == "again":
        line.status, line.ended_at = StepStatus.RUNNING, None
    elif event.outcome == "failed":
        line.status, line.reason = StepStatus.FAILED, event.note or "resolved as failed"
    else:
        line.status, line.value = StepStatus.COMPLETED, event.value


def _close(lines: dict[int, EffectLine], at: float) -> None:
    for line in lines.values():
        if line.status is StepStatus.RUNNING:
            line.status, line.ended_at = StepStatus.CANCELLED, at

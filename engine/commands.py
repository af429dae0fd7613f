"""What can be asked of a run, and what accepting it means as facts. Pure: a command and a state in, events out, or a refusal."""

from __future__ import annotations

from typing import Any

from engine.errors import CommandRefusedError
from store import values
from store.errors import ValueEncodingError
from store.events import EffectResolved, Event, Payload, SignalReceived
from store.state import RunState, RunStatus, StepStatus

KINDS = ("pause", "resume", "cancel", "resolve")
OUTCOMES = ("again", "succeeded", "failed")

Fact = tuple[Event, str | None, int]
"""(event, step path or None for the run, attempt)"""


def refusal(state: RunState, kind: str, body: dict[str, Any]) -> str | None:
    """Why the command does not fit the state, as a sentence; None when it does."""
    if kind not in KINDS:
        return f"{kind!r} is not a command; use one of {', '.join(KINDS)}."
    if state.status.ended:
        return f"The run has {_ended(state.status)}; there is nothing left to {kind}."
    if kind == "pause" and (state.pausing or state.status is RunStatus.PAUSED):
        return "The run is paused already; resume it to go on."
    if kind == "resolve":
        return _resolve_refusal(state, body)
    return None


def _ended(status: RunStatus) -> str:
    return {RunStatus.COMPLETED: "completed", RunStatus.FAILED: "failed", RunStatus.CANCELLED: "been cancelled"}[status]


def _resolve_refusal(state: RunState, body: dict[str, Any]) -> str | None:
    step, outcome = body.get("step"), body.get("outcome")
    doubtful = [name for name, held in state.steps.items() if held.status is StepStatus.IN_DOUBT]
    if outcome not in OUTCOMES:
        return f"An effect in doubt is resolved as {', '.join(OUTCOMES)}, not {outcome!r}."
    if step not in doubtful:
        known = f"in doubt are: {', '.join(doubtful)}" if doubtful else "nothing in this run is in doubt"
        return f"The step {step!r} is not in doubt; {known}."
    return None


def accept(state: RunState, kind: str, body: dict[str, Any], payload: Payload, inbox: int, packed: Payload) -> list[Fact]:
    """The facts of an accepted command. `payload` is the body as stored, `packed` a resolution's value as stored."""
    facts: list[Fact] = [(SignalReceived(inbox, kind, payload), None, 0)]
    if kind != "resolve":
        return facts
    for request, effect in state.open.items():
        if effect.in_doubt and effect.step == body["step"] and body.get("request") in (None, request):
            event = EffectResolved(request, body["outcome"], packed, str(body.get("note", "")))
            facts.append((event, effect.step, effect.attempt))
    return facts


def body_of(stored: bytes) -> dict[str, Any]:
    """The body of a signal as it stands in the inbox; whatever is no object there says nothing."""
    try:
        body = values.decode(stored) if stored else {}
    except ValueEncodingError:
        return {}
    return body if isinstance(body, dict) else {}


def facts_of(
    state: RunState, kind: str, body: dict[str, Any], inbox: int = 0, *, strict: bool
) -> tuple[list[Fact], list[tuple[str, bytes]]]:
    """The facts a command becomes, with the blobs they refer to.

    A command that is refused raises `CommandRefusedError` if `strict`; one that came through the inbox is recorded all the same, so
    that the cursor moves and the history tells, and has no effect.
    """
    payload, blob = values.pack(body or None)
    packed, value_blob = values.pack(body.get("value"))
    why = refusal(state, kind, body)
    if why is not None and strict:
        raise CommandRefusedError(why)
    blobs = [
        (p.blob, content) for p, content in ((payload, blob), (packed, value_blob)) if p.blob is not None and content is not None
    ]
    if why is not None:
        return [(SignalReceived(inbox, f"{kind}.refused", payload), None, 0)], blobs
    return accept(state, kind, body, payload, inbox, packed), blobs

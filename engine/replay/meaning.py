"""What a recorded event is about and what it says, without what differs by nature. Pure.

Stands apart as the one place that decides what makes two runs different. Left out are times, process ids, places in the log,
versions inside events, where something was reused from, and whole events that only tell how a run was driven: attaching, pausing,
signals, log lines, due times. The clock, chance and the numbers of messages are not compared either; what follows from them is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from store import events as e
from store import values
from store.errors import ValueEncodingError
from store.events import Payload, Recorded

Key = tuple[Any, ...]

IGNORED: frozenset[type[e.Event]] = frozenset(
    {
        *(e.RunForked, e.RunAttached, e.RunPaused, e.RunUnpaused, e.RunReopened, e.SignalReceived, e.LogWritten),
        *(e.CheckpointMade, e.ChildParked, e.ChildResumed, e.StepRetryScheduled, e.StepReset, e.EffectInDoubt, e.BudgetReached),
        *(e.RunCompensating, e.ApprovalRequested),
    }
)
"""Events that say how a run was driven, or only what follows from others."""

_BY_NATURE = frozenset({"now", "random", "uuid", "sleep", "send", "publish", "offer", "remember"})
"""Kinds of effects whose value is the clock, chance, or a number that the store gave out."""

_NUMBERED = frozenset({"receive", "wait_for", "recall", "space"})
_NUMBERS = frozenset({"id", "at", "run", "sender", "reply_to", "expires", "version", "step", "score"})
"""In what came from other runs, these say who, when and where in the store."""


class Sense(NamedTuple):
    """`key` is the same for the same thing in both runs, `loose` for what may be the same thing asked otherwise; `content` is what
    it says, `word` what a difference of it is called.
    """

    key: Key
    content: Any
    loose: Key | None = None
    word: str = "outcome"


def sense(recorded: Recorded, requests: Mapping[int, Recorded], definition: str = "") -> Sense | None:
    """What an event is about and says; None for one that is not compared. `definition` stands for the run's pinned pipeline."""
    event, step, attempt = recorded.event, recorded.step, recorded.attempt
    if type(event) in IGNORED:
        return None
    if isinstance(event, e.EffectRequested):
        return Sense(("effect", *_identity(recorded)), (), ("effect", step, attempt, event.kind), "arguments")
    if isinstance(event, e.EffectSucceeded | e.EffectFailed | e.EffectResolved):
        return _outcome(recorded, requests)
    if isinstance(event, e.StepCompleted | e.StepReused):
        return Sense(("settled", step, attempt), ("completed", said(event.output), tuple(event.closes or ())))
    if isinstance(event, e.StepFailed):
        return Sense(("settled", step, attempt), ("failed", event.failure.kind, event.failure.message))
    if isinstance(event, e.StepRefused | e.StepSkipped | e.StepCancelled):
        return Sense(("settled", step, attempt), (event.type, event.reason))
    if isinstance(event, e.RunCreated):
        content = (event.pipeline, definition, said(event.params), said(event.config))
        return Sense((event.type,), content, word="arguments")
    if isinstance(event, e.RunCompleted | e.RunFailed | e.RunCancelled):
        return Sense(("ended",), (event.type, tuple(getattr(event, "failed", ()))))
    if isinstance(event, e.EditApplied):
        return Sense((event.type, step, event.target), (said(event.value), said(event.output)), word="arguments")
    return Sense((type(event).__name__, step, attempt, *_named(event)), _content(event), word=_word(event))


def unseeded(request: e.EffectRequested, arguments: bytes) -> e.EffectRequested:
    """A request to a model by what it says: its arguments hold the run's seed too, which is chance."""
    try:
        asked = values.decode(arguments)
    except ValueEncodingError:
        return request
    if not isinstance(asked, dict) or "seed" not in asked:
        return request
    said_only = values.encode({key: value for key, value in asked.items() if key != "seed"})
    return msgspec.structs.replace(request, arguments_hash=values.digest(said_only)[:16])


def settles(recorded: Recorded) -> bool:
    """Whether an event ends an attempt of a step, or the step itself."""
    return isinstance(
        recorded.event, e.StepCompleted | e.StepReused | e.StepFailed | e.StepRefused | e.StepSkipped | e.StepCancelled
    )


def _identity(request: Recorded) -> Key:
    event = request.event
    occurrence = event.occurrence if event.key is None else 0
    return (request.step, request.attempt, event.kind, event.name, event.arguments_hash, event.key, occurrence)


def _outcome(recorded: Recorded, requests: Mapping[int, Recorded]) -> Sense:
    event, request = recorded.event, requests.get(recorded.event.request)
    if request is None:  # its request was lost with a damaged or pruned past: its step is all that is known
        return Sense(("outcome", recorded.step, recorded.attempt), _came_back(event, ""))
    asked = request.event
    return Sense(("outcome", *_identity(request)), _came_back(event, asked.kind))


def _came_back(event: Any, kind: str) -> Key:
    if isinstance(event, e.EffectFailed):
        return ("failed", event.failure.kind, event.failure.message)
    if isinstance(event, e.EffectResolved) and event.outcome != "succeeded":
        return (event.outcome,)
    if kind in _BY_NATURE:
        return ("succeeded",)
    return ("succeeded", _without_numbers(event.value) if kind in _NUMBERED else said(event.value))


def _without_numbers(payload: Payload) -> Any:
    if payload.blob is not None:
        return said(payload)
    try:
        return values.encode(_stripped(values.decode(payload.json or b"null")))
    except ValueEncodingError:
        return said(payload)


def _stripped(value: Any) -> Any:
    if isinstance(value, list):
        return [_stripped(item) for item in value]
    if isinstance(value, dict):
        return {key: held for key, held in value.items() if key not in _NUMBERS}
    return value


def _named(event: Any) -> Key:
    """What tells events of one type apart within an attempt; equal ones are counted."""
    return tuple(getattr(event, name) for name in ("name", "target") if hasattr(event, name))


_APART = frozenset({"due", "inputs", "definition", "used", "message", "note", "kinds"})


def _content(event: e.Event) -> Key:
    """Every other field: payloads by what is in them."""
    fields = [getattr(event, name) for name in event.__struct_fields__ if name not in _APART]
    return tuple(
        said(field) if isinstance(field, Payload) else tuple(field) if isinstance(field, list) else field for field in fields
    )


def _word(event: e.Event) -> str:
    return "outcome" if isinstance(event, e.ApprovalGiven | e.ApprovalExpired | e.StepEvaluated | e.ArtifactMade) else "arguments"


def said(payload: Payload | None) -> Any:
    """What a payload says: stored text is canonical, so equal values have equal texts and equal hashes."""
    if payload is None:
        return None
    return payload.blob if payload.blob is not None else bytes(payload.json) or b"null"


def sentence(recorded: Recorded, requests: Mapping[int, Recorded]) -> str:
    """What an event says in a few words; foreign text in it is as it was recorded, cut."""
    event = recorded.event
    if isinstance(event, e.EffectRequested):
        return _effect_words(event)
    if isinstance(event, e.EffectSucceeded | e.EffectFailed | e.EffectResolved):
        request = requests.get(event.request)
        about = _effect_words(request.event) if request is not None else "an effect"
        if isinstance(event, e.EffectFailed):
            return f"{about}: {_cut(event.failure.message)}"
        how = "came back" if isinstance(event, e.EffectSucceeded) else f"resolved as {event.outcome}"
        return f"{about} {how}"
    if isinstance(event, e.StepFailed):
        return _cut(event.failure.message)
    if isinstance(event, e.StepReused):
        return f"from event {event.source[1]} of {_cut(event.source[0])}"
    if isinstance(event, e.EditApplied):
        return _cut(f"{event.target} by {recorded.actor}")
    if isinstance(event, e.ApprovalGiven | e.ApprovalExpired):
        return "approved" if event.approved else "rejected"
    for name in ("reason", "verdict", "name", "pipeline", "target"):
        found = getattr(event, name, None)
        if isinstance(found, str) and found:
            return _cut(found)
    return ""


def _effect_words(event: e.EffectRequested) -> str:
    if not event.name or event.name == event.kind:
        return event.kind
    return _cut(event.name if event.kind == "once" else f"{event.kind} {event.name}")


def _cut(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"

"""Reading what of a run can be edited at an event: the step's definition and output, the params, an effect's value.

Apart from `view/editing.py`, which makes texts of it, because this waits for the store. It reads what is recorded and imports
nothing of the user's.
"""

from __future__ import annotations

from typing import Any

from engine.circumstances import circumstances
from engine.edits import FIELDS
from engine.graph import base_of
from store import values
from store.errors import StoreError, ValueEncodingError
from store.events import EditApplied, EffectRequested, Payload, Recorded, RunId, StepCompleted, StepReused
from store.log import Log
from store.state import RunState
from tagent_tui.view.editing import TYPED_MOST, Editable, Effect
from tagent_tui.view.effects import EFFECT_TYPES, effect_lines

HIDDEN = frozenset({"output_schema"})
"""Fields that could be set and are not offered: nobody writes one in a box of seven lines."""


async def read_editable(log: Log, run: RunId, state: RunState, path: str | None, request: int | None = None) -> Editable:
    """What can be edited in a fork of `run` after the event that `state` stands at; `request` is the effect looked at."""
    step = base_of(path) if path is not None and base_of(path) in state.steps else None
    found = await circumstances(log, run, state.version)
    return Editable(
        step,
        await _fields(log, state, step) if step is not None else {},
        await _output(log, run, state, step) if step is not None else None,
        {name: values.encode(value) for name, value in found.params.items()},
        found.settings.get("model") or None,
        state.budget,
        await _effect(log, run, state, request) if request is not None else None,
    )


def request_of(event: Recorded) -> int | None:
    """The effect that an event is about, by the version of its request."""
    return event.version if isinstance(event.event, EffectRequested) else getattr(event.event, "request", None)


async def _fields(log: Log, state: RunState, step: str) -> dict[str, Any]:
    """What the step's definition says of its fields; those of one that was added at run time are not edited."""
    try:
        entries = values.decode(await log.blob(state.definition)).get("steps", [])
        held: dict[str, Any] = next((entry for entry in entries if entry.get("name") == step), {})
    except (StoreError, ValueEncodingError, AttributeError, TypeError):
        return {}
    return {name: value for name, value in held.items() if name in FIELDS and name not in HIDDEN and value not in ({}, [])}


async def _output(log: Log, run: RunId, state: RunState, step: str) -> bytes | None:
    version = state.steps[step].output
    found = await log.events(run, after=version - 1, upto=version) if version is not None else []
    event = found[0].event if found else None
    payload = event.output if isinstance(event, StepCompleted | StepReused | EditApplied) else None
    return await _text(log, payload) if payload is not None else None


async def _effect(log: Log, run: RunId, state: RunState, request: int) -> Effect | None:
    if request > state.version:
        return None
    asked = await log.events(run, after=request - 1, upto=request)
    step = asked[0].step if asked else None
    if step is None:
        return None
    found = await log.events(run, step=step, types=EFFECT_TYPES, after=request - 1)
    line = next((line for line in effect_lines(found, None) if line.version == request), None)
    if line is None or line.kind == "child":
        return None
    return Effect(request, line.kind, line.name, await _text(log, line.value) if line.value is not None else None)


async def _text(log: Log, payload: Payload) -> bytes:
    """The value's JSON text; one too large to be edited is not read, only known to be too large."""
    return await log.text(payload) if payload.size <= TYPED_MOST else b" " * (TYPED_MOST + 1)

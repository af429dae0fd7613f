"""Runs and events as JSON objects: the shapes scripts rely on.

Stands apart because these are promises. Stored values go through as the JSON text they are; a value kept as a blob stands in an
event as `{"$blob": hash, "size": bytes}` and is read only where a whole run is asked for.
"""

from __future__ import annotations

from typing import Any

import msgspec

from store import Log, Payload, Recorded, RunRow, RunState, StepState, values
from store.events import Event, Failure, UnknownEvent
from store.state import Approval, OpenEffect, owner_of, shown_status
from tagent_tui.outlines import outline_from
from tagent_tui.view.asking import Wait, waiting_for_person
from tagent_tui.view.outline import Outline, shown_step_status

FINISHED = "run.finished"
"""The type of the last line of a run's stream; not a recorded event."""

NULL = msgspec.Raw(b"null")


def event_form(run: str, recorded: Recorded) -> dict[str, Any]:
    """One event as a line of a stream."""
    event = recorded.event
    return {
        "seq": recorded.seq or None,
        "run_id": run,
        "version": recorded.version,
        "type": event.name if isinstance(event, UnknownEvent) else event.type,
        "at": recorded.at,
        "step": recorded.step,
        "attempt": recorded.attempt or None,
        "actor": recorded.actor,
        "causation": recorded.causation,
        "data": _fields(event),
    }


def finished_form(run: dict[str, Any], state: RunState) -> dict[str, Any]:
    """The last line of a stream: the run itself."""
    return {
        "seq": None,
        "run_id": run["run_id"],
        "version": state.version,
        "type": FINISHED,
        "at": state.ended_at or state.last_at,
        "step": None,
        "attempt": None,
        "actor": "driver",
        "causation": None,
        "data": run,
    }


def _fields(event: Event) -> dict[str, Any]:
    if isinstance(event, UnknownEvent):
        return {"body": event.body, "schema": event.version}
    return {name: _field(getattr(event, name)) for name in event.__struct_fields__}


def _field(value: Any) -> Any:
    if isinstance(value, Payload):
        return payload_form(value)
    if isinstance(value, Failure):
        return {name: _field(getattr(value, name)) for name in value.__struct_fields__}
    return msgspec.to_builtins(value)


def payload_form(payload: Payload) -> Any:
    """A stored value where it stands."""
    if payload.blob is not None:
        return {"$blob": payload.blob, "size": payload.size}
    return payload.json if bytes(payload.json) else NULL


async def run_form(log: Log, row: RunRow, state: RunState, *, alive: bool, outputs: bool = True) -> dict[str, Any]:
    """A run with its steps; without `outputs` the steps have no key `output` (a list of runs would read every blob)."""
    outline = await outline_from(log, row.id, state)
    steps = []
    for name, step in state.steps.items():
        form = _step_form(state, outline, name, step)
        if outputs:
            form["output"] = await _output(log, row, step)
        steps.append(form)
    return {
        "run_id": row.id,
        "pipeline": state.pipeline,
        "status": shown_status(state, alive).word,
        "created_at": state.created_at,
        "ended_at": state.ended_at,
        "parent_run": row.parent,
        "parent_version": row.parent_version,
        "caller": state.caller,
        "caller_step": state.caller_step,
        "version": state.version,
        "cost": None if state.unpriced else state.cost,
        "tokens": state.tokens,
        "simulated": state.simulated,
        "reason": state.reason,
        "target": state.target,
        "artifacts": [_artifact_form(state, index) for index in range(len(state.artifacts))],
        "waits": [await wait_form(log, row, wait) for wait in waiting_for_person(state)],
        "in_doubt": [await doubt_form(log, row, request, effect) for request, effect in doubtful(state)],
        "steps": steps,
    }


def _step_form(state: RunState, outline: Outline, name: str, step: StepState) -> dict[str, Any]:
    return {
        "name": name,
        "path": name,
        "status": shown_step_status(state, outline, name, step).word,
        "attempts": step.attempt - step.first_attempt + 1 if step.attempt else 0,
        "started_at": step.first_started_at,
        "ended_at": step.ended_at,
        "error": {"kind": step.failure_kind, "message": step.reason} if step.failure_kind and step.reason else None,
        "cost": None if step.unpriced else step.cost,
        "tokens": step.prompt_tokens + step.completion_tokens,
        "simulated": step.simulated,
        "belongs_to": owner_of(name),
        "items": step.items,
        "reason": step.reason,
        "approval": None if step.approval is None else _approval_form(step.approval),
    }


def _approval_form(approval: Approval) -> dict[str, Any]:
    return {
        "answer": approval.answer,
        "message": approval.message,
        "note": approval.note,
        "requested_at": approval.requested_at,
        "due": approval.due,
    }


async def wait_form(log: Log, row: RunRow, wait: Wait) -> dict[str, Any]:
    """What waits for a person: `kind` is `approval` or `question`; a question has its choices, null where any answer will do."""
    form = {"kind": wait.kind, "step": wait.step, "request": wait.request, "text": wait.text, "since": wait.since, "due": wait.due}
    asked: dict[str, Any] = {}
    if wait.request is not None:
        found = await log.events(row.id, after=wait.request - 1, upto=wait.request)
        asked = await log.value(found[0].event.arguments) if found else {}
    return {**form, "text": asked.get("question", wait.text), "choices": asked.get("choices")}


async def _output(log: Log, row: RunRow, step: StepState) -> Any:
    """The stored JSON of a step's output; null where there is none."""
    if step.output is None:
        return None
    return msgspec.Raw(await output_text(log, row, step.output))


async def output_text(log: Log, row: RunRow, version: int) -> bytes:
    """The JSON text of the output at a version of the run's lineage."""
    found = await log.events(row.id, after=version - 1, upto=version)
    return await log.text(found[0].event.output)


def _artifact_form(state: RunState, index: int) -> dict[str, Any]:
    found = state.artifacts[index]
    return {"name": found.name, "media_type": found.media_type, "size": found.size, "step": found.step, "hash": found.blob}


def doubtful(state: RunState) -> list[tuple[int, OpenEffect]]:
    """The effects whose outcome is not known, by the version of their request."""
    return [(request, effect) for request, effect in state.open.items() if effect.in_doubt]


async def doubt_form(log: Log, row: RunRow, request: int, effect: OpenEffect) -> dict[str, Any]:
    """An effect in doubt, with the exact arguments it was asked for with."""
    found = await log.events(row.id, after=request - 1, upto=request)
    arguments = msgspec.Raw(await log.text(found[0].event.arguments)) if found else NULL
    return {
        "step": effect.step,
        "attempt": effect.attempt,
        "request": request,
        "kind": effect.kind,
        "name": effect.name,
        "arguments": arguments,
        "requested_at": effect.requested_at,
    }


def stored(value: Any) -> msgspec.Raw:
    """A value as the JSON the store keeps it as: what JSON has no word for is in its encoding."""
    return msgspec.Raw(values.encode(value))

"""What can be asked of a run, and what accepting it means as facts. Pure: a command and a state in, events out, or a refusal.

A refusal and its acceptance read the same body: `step` is a path, the rest hangs on the kind (see `KINDS`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.definition import CHECKPOINT_NAME
from engine.errors import CheckpointNameError, CommandRefusedError, suggestion
from store import values
from store.errors import ValueEncodingError
from store.events import ApprovalGiven, BudgetSet, CheckpointMade, EffectResolved, Event, Payload, SignalReceived
from store.state import OpenEffect, RunState, RunStatus, StepState, StepStatus, group_of

OUTCOMES = ("again", "succeeded", "failed")
LIMITS = ("cost", "tokens", "calls", "seconds")
AFTER_THE_END = ("retry", "checkpoint")
"""Commands to a run that has ended."""

QUESTIONS = ("ask", "ask_until")
FAILED = (StepStatus.FAILED, StepStatus.TIMED_OUT)

Fact = tuple[Event, str | None, int]
"""(event, step path or None for the run, attempt)"""

Body = dict[str, Any]


def refusal(state: RunState, kind: str, body: Body) -> str | None:
    """Why the command does not fit the state, as a sentence; None when it does."""
    if kind not in KINDS:
        return f"{kind!r} is not a command; use one of {', '.join(KINDS)}."
    if state.status.ended and kind not in AFTER_THE_END:
        return f"The run has {_ended(state.status)}; there is nothing left to {kind}."
    return KINDS[kind](state, body)


def _ended(status: RunStatus) -> str:
    return {RunStatus.COMPLETED: "completed", RunStatus.FAILED: "failed", RunStatus.CANCELLED: "been cancelled"}[status]


def _pause(state: RunState, body: Body) -> str | None:
    if state.pausing or state.status is RunStatus.PAUSED:
        return "The run is paused already; resume it to go on."
    return None


def _resume(state: RunState, body: Body) -> str | None:
    used_up = [reached[1:] for reached in state.reached if reached[0] == ":"]
    if state.pausing and used_up:
        return f"Its budget ({', '.join(used_up)}) is used up; raise it to go on."
    return None


def _cancel(state: RunState, body: Body) -> str | None:
    if body.get("step") is None:
        return None
    return _of_step(state, body, lambda step: not step.status.settled, "has ended; there is nothing left to cancel")


def _skip(state: RunState, body: Body) -> str | None:
    return _of_step(state, body, lambda step: not step.status.settled, "has ended; there is nothing left to skip")


def _retry(state: RunState, body: Body) -> str | None:
    if state.status in (RunStatus.COMPLETED, RunStatus.CANCELLED):
        return f"The run has {_ended(state.status)}; a step of it cannot be tried again."
    if state.undoing is not None:
        return "The run was compensated; trying a step again would build on what was undone. Start it anew."
    why = _of_step(state, body, lambda step: step.status in FAILED, "has not failed; only a failed step is tried again")
    return why or _of_step(
        state, {"step": _tried(state, body["step"])}, lambda step: step.status in FAILED, "has not failed as a whole"
    )


def _tried(state: RunState, path: str) -> str:
    """What is tried again for a failed step: for an item of a group that does not run any more, the group."""
    group = group_of(path)
    return path if group is None or state.steps[group].status is StepStatus.RUNNING else group


def _of_step(state: RunState, body: Body, fits: Callable[[StepState], bool], why: str) -> str | None:
    """Why the body's step does not fit: it must be there, and be as it is asked for."""
    path = body.get("step")
    if path is None:
        return "It needs the name of a step."
    step = state.steps.get(path) if isinstance(path, str) else None
    if step is None:
        return unknown_step(state, body)
    return None if fits(step) else f"The step {path!r} {why}."


def unknown_step(state: RunState, body: Body) -> str | None:
    """The sentence about a step that the run does not have."""
    path = body.get("step")
    if path is None or (isinstance(path, str) and path in state.steps):
        return None
    return f"There is no step {path!r}{suggestion(str(path), list(state.steps)) or '.'}"


def _approve(state: RunState, body: Body) -> str | None:
    if not isinstance(body.get("approved"), bool):
        return "An approval is given or refused; say which."
    unfit = _one_of(state, body, awaiting(state), "waits for approval")
    if unfit is not None and not awaiting(state) and (asked := questions(state)):
        return f"{unfit} {next(iter(asked.values())).step} has a question open, which is answered (`answer`)."
    return unfit


def _answer(state: RunState, body: Body) -> str | None:
    asked = questions(state)
    unfit = _one_of(state, body, [effect.step for effect in asked.values()], "has a question open")
    if unfit is None and question_of(state, body) is None:
        return f"The step {body.get('step')!r} has no open question {body.get('request')}."
    return unfit


def _one_of(state: RunState, body: Body, there: list[str], what: str) -> str | None:
    """Why the body's step, or the only one there is, is not among those that wait."""
    names = list(dict.fromkeys(there))
    path = body.get("step")
    if not names:
        return f"No step of the run {what}."
    if path is None and len(names) > 1:
        return f"More than one step {what}: name one of {', '.join(names)}."
    if path is not None and path not in names:
        return f"The step {path!r} does not: only {', '.join(names)} {what}."
    return None


def _resolve(state: RunState, body: Body) -> str | None:
    step, outcome = body.get("step"), body.get("outcome")
    doubtful = [name for name, held in state.steps.items() if held.status is StepStatus.IN_DOUBT]
    if outcome not in OUTCOMES:
        return f"An effect in doubt is resolved as {', '.join(OUTCOMES)}, not {outcome!r}."
    if step not in doubtful:
        known = f"in doubt are: {', '.join(doubtful)}" if doubtful else "nothing in this run is in doubt"
        return f"The step {step!r} is not in doubt; {known}."
    return None


def _budget(state: RunState, body: Body) -> str | None:
    given = {name: value for name, value in body.items() if name in LIMITS}
    if not given:
        return f"A budget has {', '.join(LIMITS)}; give at least one."
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e15:
            return f"The budget's {name} is {value!r}; give a number greater than 0."
        if name in ("tokens", "calls") and not isinstance(value, int):
            return f"The budget's {name} is {value!r}; give a whole number."
    return None


def _checkpoint(state: RunState, body: Body) -> str | None:
    try:
        checkpoint_name(body.get("name"))
    except CheckpointNameError as error:
        return str(error)
    if not isinstance(body.get("metadata", {}), dict):
        return "A checkpoint's metadata are values by name."
    return None


def checkpoint_name(name: object) -> str:
    """The name, if it can be one. Raises `CheckpointNameError`."""
    if not isinstance(name, str) or not CHECKPOINT_NAME.fullmatch(name):
        raise CheckpointNameError(
            f"{name!r} is no name of a checkpoint; give a letter, then letters, digits, spaces, '_', '-' or '.', at most 100."
        )
    return name


KINDS: dict[str, Callable[[RunState, Body], str | None]] = {
    "pause": _pause,
    "resume": _resume,
    "cancel": _cancel,
    "skip": _skip,
    "retry": _retry,
    "approve": _approve,
    "answer": _answer,
    "resolve": _resolve,
    "budget": _budget,
    "checkpoint": _checkpoint,
}
"""Each command with what refuses it. Bodies: pause `{now?}`, cancel `{step?, reason?}`, skip and retry `{step}`, approve `{step?,
approved, note?}`, answer `{step?, request?, value}`, resolve `{step, outcome, value?, note?}`,
budget `{cost?, tokens?, calls?, seconds?}`, checkpoint `{name, metadata?}`."""


def awaiting(state: RunState) -> list[str]:
    """The steps that wait for a person's approval."""
    return [
        name
        for name, step in state.steps.items()
        if step.status is StepStatus.WAITING and step.approval is not None and step.approval.answer == "asked"
    ]


def questions(state: RunState) -> dict[int, OpenEffect]:
    """The questions that wait for a person's answer, by the version of their request."""
    return {version: effect for version, effect in state.open.items() if effect.kind in QUESTIONS and effect.answer is None}


def question_of(state: RunState, body: Body) -> int | None:
    """The question an answer is for: the named one, or the first of the step (of any, where no step is named)."""
    found = [version for version, effect in questions(state).items() if body.get("step") in (None, effect.step)]
    wanted = body.get("request")
    return next((version for version in found if wanted in (None, version)), None)


def accept(state: RunState, kind: str, body: Body, payload: Payload, inbox: int, packed: Payload) -> list[Fact]:
    """The facts of an accepted command. `payload` is the body as stored, `packed` a resolution's value or a checkpoint's
    metadata as stored."""
    if kind == "answer":
        request = question_of(state, body)
        return [(SignalReceived(inbox, kind, payload, state.open[request or 0].step, request), None, 0)]
    path = body.get("step")
    if kind == "approve":
        path = path or awaiting(state)[0]
        given = ApprovalGiven(body["approved"], str(body.get("note", "")))
        return [(SignalReceived(inbox, kind, payload, path), None, 0), (given, path, state.steps[path].attempt)]
    target = _tried(state, str(path)) if kind == "retry" else path
    facts: list[Fact] = [(SignalReceived(inbox, kind, payload, target), None, 0)]
    if kind == "budget":
        facts.append((BudgetSet(**{name: body[name] for name in LIMITS if name in body}), None, 0))
    elif kind == "checkpoint":
        facts.append((CheckpointMade(body["name"], metadata=packed if body.get("metadata") else Payload()), None, 0))
    elif kind == "resolve":
        for request, effect in state.open.items():
            if effect.in_doubt and effect.step == path and body.get("request") in (None, request):
                event = EffectResolved(request, body["outcome"], packed, str(body.get("note", "")))
                facts.append((event, effect.step, effect.attempt))
    return facts


def body_of(stored: bytes) -> Body:
    """The body of a signal as it stands in the inbox; whatever is no object there says nothing."""
    try:
        body = values.decode(stored) if stored else {}
    except ValueEncodingError:
        return {}
    return body if isinstance(body, dict) else {}


def facts_of(state: RunState, kind: str, body: Body, inbox: int = 0, *, strict: bool) -> tuple[list[Fact], list[tuple[str, bytes]]]:
    """The facts a command becomes, with the blobs they refer to.

    A command that is refused raises `CommandRefusedError` if `strict`; one that came through the inbox is recorded all the same, so
    that the cursor moves and the history tells, and has no effect.
    """
    payload, blob = values.pack(body or None)
    packed, value_blob = values.pack((body.get("metadata") or None) if kind == "checkpoint" else body.get("value"))
    why = refusal(state, kind, body)
    if why is not None and strict:
        raise CommandRefusedError(why)
    blobs = [
        (p.blob, content) for p, content in ((payload, blob), (packed, value_blob)) if p.blob is not None and content is not None
    ]
    if why is not None:
        return [(SignalReceived(inbox, f"{kind}.refused", payload), None, 0)], blobs
    return accept(state, kind, body, payload, inbox, packed), blobs

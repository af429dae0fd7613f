"""A fork before it is made: what it shares, what is edited, what starts over because of it, what would run again and at what price.

Stands apart from making it, because `--dry-run` and the dialog ask the same without making anything.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from engine.agents import recast
from engine.answers import Blob
from engine.changes import Changes, compare
from engine.circumstances import Circumstances, circumstances
from engine.commands import Fact
from engine.definition import Definition, StepDefinition
from engine.edits import Edit, before, converted, edited, parse
from engine.errors import EngineError
from engine.executor import shape
from engine.graph import Plan, base_of
from engine.kinds import FunctionName
from engine.pinning import migration, pin, pipeline_of, toolless
from engine.pipeline import Pipeline
from engine.record import Added, added_to
from engine.recordings import policy_of
from engine.scheduler import Schedule
from engine.tape import EFFECT_TYPES
from store import Log, values
from store.events import (
    BudgetSet,
    EditApplied,
    EffectFailed,
    EffectRequested,
    EffectSucceeded,
    Recorded,
    RunForked,
    RunId,
    StepReset,
)
from store.projector import evolve
from store.state import RunState, StepStatus


class Wish(msgspec.Struct, frozen=True):
    """What somebody wants of a fork. `edits` by target; `reason` and `author` stand in its events; `changed` is another pipeline.

    `on_change` says what holds where the pipeline there is now is not the recorded one: `ask`, `recorded` or `migrate`.
    """

    edits: Mapping[str, Any] = {}
    reason: str = ""
    author: str = "user"
    changed: Pipeline | None = None
    on_change: str = "ask"
    sources: bool = False
    target: str | None = None
    cwd: str | None = None


class Fork(msgspec.Struct, frozen=True):
    """A fork that can be made: the point, its first events with their contents, and what drives it."""

    parent: RunId
    version: int
    batch: Sequence[Recorded]
    blobs: Sequence[Blob]
    definition: Definition
    pipeline: Pipeline
    params: dict[str, Any]
    settings: dict[str, Any]
    added: Sequence[Added]
    affected: frozenset[str]
    edited: frozenset[str]
    sentences: Sequence[str]
    remembered: Mapping[str, str]
    """The steps that are reached through the run's memory, and from which others each."""


async def planned(log: Log, parent: RunId, version: int, pipeline: Pipeline, wish: Wish) -> Fork:
    """What a fork of `parent` after event `version` would be. Raises what `parse`, `check` and `pin` raise."""
    state, head = await log.state(parent, version), await log.head(parent)
    now = max(time.time(), state.last_at)
    found = await circumstances(log, parent, version)
    recorded = Definition.from_json(await log.blob(state.definition))
    added = await _added(log, parent, state, version)
    names = [*(step.name for step in recorded.steps), *(step.name for step, _ in added)]
    edits = [parse(target, value, names) for target, value in wish.edits.items()]
    _refuse(state, edits, wish, {step.name for step, _ in added})
    given, model = _settled(found, edits)
    definition, present, changes, said = _definition(parent, recorded, pipeline, found, edits, wish, given, model)
    _refuse_kept(edits, definition)
    plan = Plan(definition, 1, added)
    asked = await _asked(log, parent, head, edits)
    roots = _roots(edits, asked, state, plan, present, found.settings.get("model"))
    roots += [name for name in changes.sources if wish.sources or state.steps[name].status is not StepStatus.COMPLETED]
    changed = {edit.step or "" for edit in edits if edit.kind == "field"}
    begun = {*roots, *changed, *changes.steps, *changes.added}
    remembered = await _remembering(log, parent, head, plan, begun, set(_outputs(edits)))
    facts: list[Fact] = [(RunForked(parent, version, head, wish.target, wish.cwd, wish.reason, away=now - state.last_at), None, 0)]
    facts += await settled_later(log, parent, state, version, head)
    blobs: list[Blob] = []
    held = {step.name: step for step in (*recorded.steps, *(step for step, _ in added))}
    for edit in edits:
        there = before(edit, held.get(edit.step or ""), found.params, found.settings.get("model"))
        facts += _facts(edit, wish, roots, list(remembered), blobs, there)
    if changes.sentences or changes.sources:
        event, blob = migration(definition, changes, [*(name for name in changes.sources if name in roots), *remembered])
        facts.append((event, None, 0))
        blobs.append(blob)
    batch = _folded(state, plan, facts, wish.author, now)
    reached = plan.descendants({name for name in {*begun, *_outputs(edits), *remembered} if name in plan.place})
    settings = {**found.settings, "model": model}
    return Fork(
        parent, version, batch, blobs, definition, present, given, settings, added, frozenset(reached - set(_outputs(edits))),
        frozenset(_outputs(edits)), said, remembered,
    )  # fmt: skip


async def _remembering(log: Log, parent: RunId, head: int, plan: Plan, roots: set[str], given: set[str]) -> dict[str, str]:
    """The steps that read in the run's memory what a step had put there that runs again now, and which that was.

    `given` are steps whose outputs are edited: they do not run, but what depends on them does.
    """
    reached = plan.descendants({name for name in roots | given if name in plan.place}) - (given - roots)
    if not reached:
        return {}
    asked = [item for item in await log.events(parent, upto=head, types={EffectRequested.type}) if item.event.kind == "memory"]
    found: dict[str, str] = {}
    left: dict[str, str] = {}
    for item in asked:  # in their order: what is put later was not read
        step, (op, _, key) = base_of(item.step or ""), item.event.name.partition(" ")
        if op in ("put", "delete") and step in reached:
            left[key] = step
        elif step not in reached and step in plan.place and (key in left or (op == "keys" and left)):
            found[step] = left.get(key) or next(iter(left.values()))
    if not found:
        return {}
    return {**await _remembering(log, parent, head, plan, roots | set(found), given), **found}


async def _added(log: Log, parent: RunId, state: RunState, version: int) -> list[Added]:
    return (await added_to(log, parent, state))[: state.added]


def _outputs(edits: Sequence[Edit]) -> list[str]:
    return [edit.step for edit in edits if edit.kind == "output" and edit.step is not None]


def _refuse(state: RunState, edits: Sequence[Edit], wish: Wish, added: Collection[str]) -> None:
    if state.undoing is not None and (edits or wish.changed is not None):
        raise EngineError(
            f"At event {state.version} the run has failed and undoes what it did, which no edit changes; fork at an earlier event."
        )
    for edit in edits:
        if edit.kind == "field" and edit.step in added:
            advice = f"set {edit.step}.output, or change what adds it"
            raise EngineError(f"{edit.target} cannot be set: {edit.step} was added while the run was going; {advice}.")
        if edit.kind == "effect" and (edit.request or 0) > state.version:
            raise EngineError(
                f"{edit.target}: at event {state.version} there is no request {edit.request} yet; fork later, or at it."
            )


def _refuse_kept(edits: Sequence[Edit], definition: Definition) -> None:
    """What an agent says of a step cannot be taken away from it, only said otherwise."""
    held = {step.name: step for step in definition.steps}
    for edit in edits:
        step = held.get(edit.step or "") if edit.kind == "field" and edit.value is None else None
        if step is not None and step.agent is not None and getattr(step, edit.name, None) is not None:
            raise EngineError(
                f"{edit.target} cannot be null: the agent {step.agent!r} says it; give another value, or another agent."
            )


def _settled(found: Circumstances, edits: Sequence[Edit]) -> tuple[dict[str, Any], str | None]:
    """The params and the model with the edits in them."""
    given, model = dict(found.params), found.settings.get("model")
    for edit in edits:
        if edit.kind == "param":
            given[edit.name] = edit.value
        elif edit.kind == "model":
            model = edit.value
    return given, model


def _definition(
    parent: RunId, recorded: Definition, pipeline: Pipeline, found: Circumstances, edits: Sequence[Edit], wish: Wish,
    params: Mapping[str, Any], model: str | None,
) -> tuple[Definition, Pipeline, Changes, list[str]]:  # fmt: skip
    """The definition the fork goes on under, the pipeline behind it, what is different from the recorded one, and what of that is
    in sentences that no edit made so."""
    now = edited(wish.changed or pipeline, [edit for _, edit in found.edits])
    wanted = edited(now, edits)
    if wish.changed is None:
        _, _, changes = pin(parent, recorded, now, found.params, found.settings.get("model"), wish.on_change)
        if changes.sentences and wish.on_change == "recorded":
            definition = _with_fields(recorded, edits)
            pipeline_of(definition, FunctionName).check(list(params), model=model)
            return definition, wanted, compare(recorded, definition, toolless(wanted)), []
        wanted.check(params, model=model)
    definition = wanted.define(list(params), model=model)
    return definition, wanted, compare(recorded, definition, toolless(wanted)), compare(recorded, now.plain()).sentences


def _with_fields(recorded: Definition, edits: Sequence[Edit]) -> Definition:
    """The recorded definition with edited fields: what the pipeline there is now has else is not taken."""
    steps = {step.name: step for step in recorded.steps}
    for edit in (edit for edit in edits if edit.kind == "field"):
        held, value = steps[edit.step or ""], converted(steps[edit.step or ""], edit)
        recasting = edit.field == "agent"
        steps[held.name] = (
            recast(held, recorded.agents, value) if recasting else msgspec.structs.replace(held, **{edit.field: value})
        )
    return msgspec.structs.replace(recorded, steps=tuple(steps.values()))


async def _asked(log: Log, parent: RunId, head: int, edits: Sequence[Edit]) -> Sequence[Recorded]:
    """The requests of the run, where an edit's reach hangs on them."""
    if not any(edit.kind in ("model", "policy", "effect", "message") for edit in edits):
        return []
    return await log.events(parent, upto=head, types={EffectRequested.type})


def _roots(
    edits: Sequence[Edit], asked: Sequence[Recorded], state: RunState, plan: Plan, present: Pipeline, model: str | None
) -> list[str]:
    """The steps that edits other than of fields reach at once; `state` is the fork's point, `model` that of the run there."""
    roots: list[str] = []
    for edit in edits:
        if edit.kind == "again" and edit.step is not None:
            roots.append(edit.step)
        elif edit.kind == "message":
            late = (item for item in asked if item.version > state.version or item.version in state.open)
            roots += [base_of(item.step or "") for item in late if item.event.kind == "receive"]
        elif edit.kind == "effect":
            roots += _of_request(edit, asked)
        elif edit.kind == "policy":
            roots += _policed(edit, asked)
        elif edit.kind == "model":
            own = {name for name, step in plan.steps.items() if step.kind in ("g", "p") or step.merge == "model"}
            roots += [name for name in plan.names if name in own and plan.steps[name].model is None]
            roots += [base_of(item.step or "") for item in asked if (item.event.kind, item.event.name) == ("model", model)]
        elif edit.kind == "param":
            roots += [name for name in plan.names if _reads(plan.steps[name], edit.name, present)]
    return list(dict.fromkeys(roots))


def _of_request(edit: Edit, asked: Sequence[Recorded]) -> list[str]:
    """The step that asked for the effect whose value is edited."""
    found = [base_of(item.step or "") for item in asked if item.version == edit.request]
    if not found:
        raise EngineError(
            f"{edit.target}: event {edit.request} is no request of an effect; `events RUN --type effect.requested` lists them."
        )
    return found


def _policed(edit: Edit, asked: Sequence[Recorded]) -> list[str]:
    """Steps that a policy makes run again: those it has something else for than what is recorded."""
    policy = policy_of(edit.name, edit.value, ("", 0))
    if policy.word not in ("live", "stub"):
        return []
    return [base_of(item.step or "") for item in asked if policy.fits(item.event.kind, item.event.name)]


def _reads(step: StepDefinition, param: str, pipeline: Pipeline) -> bool:
    """Whether a step may read a param: a goal, which is told all, a text that says so, a function that takes it, or `ctx`."""
    if step.kind == "g" or step.merge == "model":
        return True
    held = next((held for held in pipeline.steps if held.name == step.name), None)
    for body in (held.run, held.merge, held.compensate) if held is not None else ():
        if callable(body) and (param in shape(body).names or shape(body).wants_context):
            return True
    return held is None or f"params.{param}" in step.to_json() or (step.kind == "p" and param in step.to_json())


def _facts(edit: Edit, wish: Wish, roots: Sequence[str], remembered: Sequence[str], blobs: list[Blob], held: Any) -> list[Fact]:
    """One edit as events; its contents are added to `blobs`."""

    def kept(value: Any) -> Any:
        payload, blob = values.pack(value)
        if payload.blob is not None and blob is not None:
            blobs.append((payload.blob, blob))
        return payload

    value = kept(edit.value)
    if edit.kind == "policy" and isinstance(edit.value, dict):
        kept(edit.value["stub"])
    applied = EditApplied(
        edit.target, value, kept(held), wish.reason, [*(roots if edit.kind not in ("output", "field") else ()), *remembered],
        value if edit.kind == "output" else None, edit.request,
    )  # fmt: skip
    facts: list[Fact] = [(applied, edit.step, 0)]
    if edit.kind == "budget":
        facts.append((BudgetSet(**edit.value), None, 0))
    return facts


async def settled_later(log: Log, parent: RunId, state: RunState, version: int, head: int) -> list[Fact]:
    """What became of the irreversible effects that are open at the point, with where that is recorded: known, so not in doubt."""
    open_ = {request for request, effect in state.open.items() if effect.safety == "irreversible"}
    if not open_:
        return []
    facts: list[Fact] = []
    for item in await log.events(parent, after=version, upto=head, types=EFFECT_TYPES):
        event = item.event
        if getattr(event, "request", None) in open_ and isinstance(event, EffectSucceeded | EffectFailed):
            taken = msgspec.structs.replace(event, source=event.source or (parent, item.version))
            facts.append((taken, item.step, item.attempt))
    return facts


def _folded(state: RunState, plan: Plan, facts: Sequence[Fact], author: str, now: float) -> list[Recorded]:
    """The fork's first events: the facts, and the resets that follow. `state` is folded on."""
    schedule = Schedule(plan, state)
    batch: list[Recorded] = []

    def record(event: Any, step: str | None, attempt: int, cause: int | None, actor: str) -> None:
        recorded = Recorded(state.version + 1, now, event, step, attempt, cause, actor)
        evolve(state, recorded)
        schedule.note(state, recorded)
        batch.append(recorded)

    for event, step, attempt in facts:
        record(event, step, attempt, None, author)
    while (reset := schedule.reset(state)) is not None:
        event, step, attempt = reset
        assert isinstance(event, StepReset)  # noqa: S101 - that is what resets are
        record(event, step, attempt, batch[-1].version, "driver")
    return batch

"""Whether a run can go on under the pipeline there is now, and as what: the recorded one, or migrated to the present one. Pure.

Stands apart from the engine because it compares values and refuses; nothing here looks at a store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from engine.agents import agent_of
from engine.changes import Changes, compare
from engine.definition import Definition, StepDefinition
from engine.errors import DefinitionChangedError, EngineError
from engine.executor import shape
from engine.pipeline import Pipeline
from engine.record import Added
from engine.runtime import Migration
from engine.signatures import name_of
from engine.steps import PipelineStep
from store import values
from store.events import RunId, RunMigrated
from store.state import RunState


def pin(
    run: RunId, recorded: Definition, pipeline: Pipeline, params: Mapping[str, Any], model: str | None, on_change: str
) -> tuple[Definition, Migration | None, Changes]:
    """The definition a run goes on under, what to record if that is another one, and what changed."""
    present = pipeline.define(list(params), model=model)
    changes = compare(recorded, present, toolless(pipeline))
    if not changes.sentences or on_change == "recorded":
        if changes.sentences:
            need_bodies(run, recorded, pipeline)
        return recorded, None, changes
    if on_change != "migrate":
        what = "; ".join(changes.sentences[:5]) + ("; ..." if len(changes.sentences) > 5 else "")
        raise DefinitionChangedError(
            f"The pipeline is not the one run {run} was recorded with: {what}. Go on with the recorded one "
            f"(--definition recorded), or let changed steps and what depends on them run again (--definition migrate).",
            changes.sentences,
        )
    return present, migration(present, changes), changes


def migration(definition: Definition, changes: Changes, others: Sequence[str] = ()) -> Migration:
    """What is recorded of a run that goes on under this definition; `others` are steps that start over besides those changed."""
    text = definition.to_json()
    digest = values.digest(text)
    event = RunMigrated(
        definition=digest,
        steps=[step.name for step in definition.steps],
        kinds="".join(step.kind for step in definition.steps),
        changed=[*changes.steps, *others],
        added=changes.added,
        removed=changes.removed,
    )
    return event, (digest, text)


def remarks(changes: Changes, recorded: Definition, present: Definition, added: Sequence[Added]) -> list[str]:
    """What is worth saying of a run that goes on: code that changed, and added steps that are as they were added."""
    found = []
    if changes.sources:
        found.append(f"the code of {', '.join(changes.sources)} changed since the run began; what they completed is kept")
    for name, agent in present.agents.items():
        kept = [step.name for step, _ in added if step.agent == name and recorded.agents.get(name) != agent]
        if kept:
            found.append(f"the agent {name!r} is another now; {', '.join(kept)}, added before, stay with what it said then")
    return found


def need_bodies(run: RunId, recorded: Definition, pipeline: Pipeline) -> None:
    """Raise if a function that the recorded definition names is gone from the pipeline, or from one in it."""
    known = {**dict(_with_bodies(pipeline)), "tools": {name_of(one) for one in pipeline.tools}}
    missing = [
        place.removeprefix("steps.") for place, step in recorded.walk() if not known.get(place, set()).issuperset(step.functions)
    ]
    missing += [f"tools.{one.name}" for one in recorded.tools if one.name not in known["tools"]]
    if missing:
        raise DefinitionChangedError(
            f"Run {run} cannot go on as recorded: the functions of {', '.join(missing)} are gone from the pipeline; put them "
            f"back, or use --definition migrate.",
            [f"{name.replace('.', ' ', 1) if name.startswith('tools.') else f'step {name!r}'} was removed" for name in missing],
        )


def _with_bodies(pipeline: Pipeline, place: str = "steps") -> Iterator[tuple[str, set[str]]]:
    for step in pipeline.played():
        functions = {field for field in ("run", "merge", "compensate") if callable(getattr(step, field))}
        yield f"{place}.{step.name}", functions | {f"tools.{name_of(one)}" for one in step.tools}
        if isinstance(step.pipeline, Pipeline):
            yield from _with_bodies(step.pipeline.within(pipeline.agents), f"{place}.{step.name}.pipeline.steps")


def toolless(pipeline: Pipeline) -> set[str]:
    """The steps whose functions are given no context: they can call no tool of the pipeline."""
    return {step.name for step in pipeline.steps if callable(step.run) and not shape(step.run).wants_context}


def refuse_doubtful(run: RunId, state: RunState, reset: set[str]) -> None:
    """A reset forgets a step's effects; one of unknown outcome would be done again without anybody having said so."""
    if state.undoing is not None:
        raise EngineError(
            f"Run {run} cannot migrate any more: it has failed and undoes what it did; resume with --definition recorded."
        )
    names = sorted({effect.step for effect in state.open.values() if effect.safety == "irreversible" and effect.step in reset})
    if names:
        raise EngineError(
            f"Run {run} cannot migrate yet: {', '.join(names)} has an irreversible effect of unknown outcome and would run again; "
            f"resume with --definition recorded and say what became of it (--resolve {names[0]}=succeeded|failed|again) first."
        )


def pipeline_of(definition: Definition, find: Callable[[str], Callable[..., Any]]) -> Pipeline:
    """A pipeline from its plain values; `find` gives the functions of its steps, nested ones too, by their names."""
    pipeline = Pipeline(
        definition.name, definition.description,
        on_failure=definition.on_failure, budget=definition.budget,
        breaker=definition.breaker, limits=definition.limits, config=definition.config,
        tools=[find(one.run) for one in definition.tools],
    )  # fmt: skip
    pipeline.params, pipeline.declared = dict(definition.params), dict(definition.declared)
    pipeline.constraints, pipeline.shared_values = list(definition.constraints), dict(definition.shared)
    pipeline.agents = {name: agent_of(agent, find) for name, agent in definition.agents.items()}
    for step in definition.steps:
        pipeline.add_step(step_of(step, find))
    return pipeline


def step_of(step: StepDefinition, find: Callable[[str], Callable[..., Any]]) -> PipelineStep:
    """A step from its plain values, `find` as in `pipeline_of`."""
    options = {name: getattr(step, name) for name in step.__struct_fields__ if name != "source"}
    options |= {field: find(name) for field, name in step.functions.items() if field in options}
    options["tools"] = [find(one.run) for one in step.tools]
    if isinstance(step.pipeline, Definition):
        options["pipeline"] = pipeline_of(step.pipeline, find)
    return PipelineStep(**options)

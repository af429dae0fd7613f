"""What a step does, and whether the functions it names can be given what they ask for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from engine.checks.conditions import has_body, merges, names_of_group
from engine.definition import MERGES
from engine.errors import Problem, suggestion
from engine.steps import PipelineStep, free_parameters

WAYS = (
    'no model is configured; give --model NAME or model=..., set TAGENT_MODEL, write model = "..." in tagent.toml, '
    "or use --offline for the simulated offline model"
)


def of_body(
    step: PipelineStep, where: str, known: Mapping[str, PipelineStep], given: list[str] | None, model: str | None, *,
    known_agent: bool = True,
) -> Iterator[Problem]:  # fmt: skip
    """What is wrong with a step's goal, function, merge and compensation. `given` are the params, None if not known yet.

    With an agent that is not known it is not known either which model the step has.
    """
    if merges(step):
        yield from _merge(step, where, model)
    elif step.merge is not None:
        yield Problem(f"{where}.merge", "is for steps that merge; add execution_mode='parallel_merge'")
    elif len(bodies := [name for name in ("goal", "run", "pipeline") if getattr(step, name) is not None]) > 1:
        yield Problem(where, f"has {' and '.join(bodies)}; keep one")
    elif step.pipeline is not None:
        yield from _called(step.pipeline, f"{where}.pipeline")
    elif step.goal is not None:
        yield from _goal(step.goal, f"{where}.goal")
        if not callable(step.goal) and model is None and step.model is None and known_agent:
            yield Problem(where, f"has a goal but {WAYS}")
    elif step.run is not None:
        free = {*step.needs, *names_of_group(step), *(given or ())}
        yield from _function(step.run, f"{where}.run", free, given, known)
    elif step.switch is None:
        yield Problem(where, "has neither a goal nor a function nor a pipeline; give goal=..., run=... or pipeline=...")
    elif step.for_each is not None or step.while_ is not None or step.compensate is not None:
        yield Problem(where, "has nothing to repeat or undo: it only switches; give goal=... or run=...")
    if step.compensate is not None and has_body(step):
        free = {"output", *(given or ())}
        yield from _function(step.compensate, f"{where}.compensate", free, given, known)


def _goal(goal: Any, where: str) -> Iterator[Problem]:
    if callable(goal):
        yield Problem(where, "is a function; give it as run=...")
    elif not isinstance(goal, str):
        yield Problem(where, f"is {goal!r}, not a text; say what the model should achieve")
    elif not goal.strip():
        yield Problem(where, "is empty; say what the model should achieve")


def _called(called: Any, where: str) -> Iterator[Problem]:
    if isinstance(called, str):
        if not called.strip():
            yield Problem(where, "is empty; give a Pipeline, 'self', module:name or a file")
    elif not callable(getattr(called, "define", None)):
        yield Problem(where, f"is {called!r}, not a pipeline; give a Pipeline, 'self', module:name or a file")


def _merge(step: PipelineStep, where: str, model: str | None) -> Iterator[Problem]:
    if step.goal is not None or step.run is not None or step.pipeline is not None:
        yield Problem(where, "merges, so it has no goal or function of its own; put that into a step that depends on it")
    if step.for_each is not None or step.while_ is not None:
        yield Problem(where, "merges, which is done once; remove for_each and while_")
    if not step.depends_on:
        yield Problem(f"{where}.depends_on", "is empty, so there is nothing to merge; name the steps whose outputs are merged")
    if callable(step.merge):
        if not _takes_one(step.merge):
            yield Problem(f"{where}.merge", "has to be a function of one argument, the list of outputs; write def merge(outputs)")
    elif step.merge is not None and step.merge not in MERGES:
        near = suggestion(str(step.merge), MERGES) or f"; use {', '.join(MERGES)} or a function"
        yield Problem(f"{where}.merge", f"is {step.merge!r}, which is no way to merge{near}")
    elif step.merge == "model" and model is None and step.model is None:
        yield Problem(where, f"merges by a model but {WAYS}")


def _takes_one(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind([])
    except (ValueError, TypeError):
        return False
    return True


def _function(
    body: Any, where: str, free: Collection[str], given: list[str] | None, known: Mapping[str, PipelineStep]
) -> Iterator[Problem]:
    """The parameters of a function that nothing fills. `free` are the names that are filled."""
    if not callable(body):
        yield Problem(where, f"is {body!r}, which cannot be called; give a function")
        return
    try:
        signature = inspect.signature(body)
    except (ValueError, TypeError):
        yield Problem(where, "has no signature to read its parameters from; wrap it in a function")
        return
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY and parameter.default is inspect.Parameter.empty:
            yield Problem(where, f"takes {parameter.name!r} by position only; steps pass values by name")
    if given is None:
        return
    for parameter in free_parameters(signature):
        if parameter.name in free or parameter.default is not inspect.Parameter.empty:
            continue
        if where.endswith(".compensate"):
            near = suggestion(parameter.name, sorted(free)) or "; it is given output, ctx and the params"
            yield Problem(where, f"parameter {parameter.name!r} is neither output nor a param{near}")
            continue
        if parameter.name in known:
            hint = f"; add depends_on=[{parameter.name!r}]"
        else:
            hint = suggestion(parameter.name, sorted(free)) or f"; give it with -p {parameter.name}=..."
        yield Problem(where, f"parameter {parameter.name!r} is neither a dependency nor a param{hint}")

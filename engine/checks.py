"""Everything that can be known to be wrong with a pipeline before it runs, found in one pass and told all at once.

Stands apart from `pipeline.py` because it is a list of rules, one function each, and grows with every feature.
"""

from __future__ import annotations

import graphlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from engine.definition import MAX_STEPS, NAME, DependencyType, ExecutionMode
from engine.errors import Problem
from engine.models.schemas import schema_of
from engine.policies import BreakerPolicy, RetryPolicy, problems_of, problems_of_breaker, problems_of_limits
from engine.steps import PipelineStep, encodable, free_parameters, suggestion

NO_MODEL = (
    'has a goal but no model is configured; give --model NAME or model=..., set TAGENT_MODEL, write model = "..." in tagent.toml, '
    "or use --offline for the simulated offline model"
)


def problems(
    name: str,
    steps: Sequence[PipelineStep],
    params: Mapping[str, Any],
    shared: Mapping[str, Any],
    *,
    given: list[str] | None,
    model: str | None,
    breaker: Any = None,
    limits: Any = None,
) -> list[Problem]:
    """All problems of a pipeline's parts, in definition order; see `Pipeline.problems`."""
    found: list[Problem] = []
    if not isinstance(name, str) or not NAME.fullmatch(name):
        found.append(Problem("name", f"{name!r} is not a name; use a letter, then letters, digits, '_' or '-'"))
    if not steps:
        found.append(Problem("steps", "the pipeline has no steps; add one with .step(...)"))
    if len(steps) > MAX_STEPS:
        found.append(Problem("steps", f"{len(steps)} steps are more than {MAX_STEPS}; split the pipeline"))
    for title, held in (("params", params), ("shared", shared)):
        for key, value in held.items():
            if why := encodable(value):
                found.append(Problem(f"{title}.{key}", why))
    found += _around(breaker, limits)
    known = {step.name: step for step in steps if isinstance(step.name, str)}
    names = None if given is None else [*params, *given]
    seen: set[str] = set()
    for step in steps:
        found += _of_step(step, known, seen, names, model)
        if isinstance(step.name, str):
            seen.add(step.name)
    finals = [str(step.name) for step in steps if step.final]
    if len(finals) > 1:
        found.append(Problem("steps", f"{' and '.join(finals)} are all final; mark one"))
    return found + _cycle(known)


def unknown_params(
    steps: Sequence[PipelineStep], given: Iterable[str], known: Iterable[str], *, declared: bool
) -> Iterator[Problem]:
    """The given params that nothing asks for: neither one of the `known` nor a parameter of a step's function.

    A goal and a `ctx` see every param, so where there is one of those only a pipeline that has declared its params tells.
    """
    names = list(known)
    for step in steps:
        asked, sees_all = _asked(step)
        if sees_all and not declared:
            return
        names += asked
    for name in given:
        if name not in names:
            there = f"it takes {', '.join(dict.fromkeys(names))}" if names else "it takes none"
            yield Problem(f"params.{name}", f"nothing asks for it{suggestion(name, names) or f'; {there}'}")


def _asked(step: PipelineStep) -> tuple[list[str], bool]:
    """The params a step asks for by name, and whether it sees all of them besides."""
    if step.run is None:
        return [], True
    try:
        signature = inspect.signature(step.run)
    except (ValueError, TypeError):  # a problem of its own
        return [], True
    needs = {dep.step for dep in step.dependencies}
    return [one.name for one in free_parameters(signature) if one.name not in needs], "ctx" in signature.parameters


def _around(breaker: Any, limits: Any) -> Iterator[Problem]:
    """The rules around models and tools."""
    if breaker is not None and not isinstance(breaker, BreakerPolicy):
        yield Problem("breaker", f"is {breaker!r}; give BreakerPolicy(failures=5, seconds=60)")
    elif breaker is not None:
        yield from (Problem("breaker", message) for message in problems_of_breaker(breaker))
    for place, message in problems_of_limits(limits or {}):
        yield Problem(f"limits.{place}".rstrip("."), message)


def _of_step(
    step: PipelineStep, known: dict[str, PipelineStep], seen: set[str], given: list[str] | None, model: str | None
) -> Iterator[Problem]:
    where = f"steps.{step.name}"
    if not isinstance(step.name, str) or not NAME.fullmatch(step.name):
        yield Problem("steps", f"{step.name!r} is not a step name; use a letter, then letters, digits, '_' or '-'")
    elif step.name in seen:
        yield Problem(where, "is defined twice; rename one")
    yield from _body(step, where, known, given, model)
    yield from _dependencies(step, where, known)
    yield from _options(step, where)


def _body(
    step: PipelineStep, where: str, known: dict[str, PipelineStep], given: list[str] | None, model: str | None
) -> Iterator[Problem]:
    bodies = [what for what, body in (("goal", step.goal), ("run", step.run), ("pipeline", step.pipeline)) if body is not None]
    alone = (
        step.switch is not None or step.merge is not None or step.execution_mode in ("parallel_merge", ExecutionMode.PARALLEL_MERGE)
    )
    if not bodies and not alone:
        yield Problem(where, "has neither a goal nor a function nor a pipeline; give goal=..., run=... or pipeline=...")
    elif len(bodies) > 1:
        yield Problem(where, f"has {' and '.join(bodies)}; keep one")
    elif step.pipeline is not None:
        yield from _calls(step, where)
    elif step.goal is not None:
        if not isinstance(step.goal, str) or not step.goal.strip():
            yield Problem(f"{where}.goal", "is empty; say what the model should achieve")
        if model is None and step.model is None:
            yield Problem(where, NO_MODEL)
    elif step.run is None:
        return
    elif not callable(step.run):
        yield Problem(f"{where}.run", f"is {step.run!r}, which cannot be called; give a function")
    else:
        yield from _parameters(step.run, step, where, known, given)


def _calls(step: PipelineStep, where: str) -> Iterator[Problem]:
    called: Any = step.pipeline
    if isinstance(called, str):
        if not called.strip():
            yield Problem(f"{where}.pipeline", "is empty; give a Pipeline, 'self', module:name or a file")
    elif not callable(getattr(called, "define", None)):
        yield Problem(f"{where}.pipeline", f"is {called!r}, not a pipeline; give a Pipeline, 'self', module:name or a file")


def _parameters(
    body: Callable[..., Any], step: PipelineStep, where: str, known: dict[str, PipelineStep], given: list[str] | None
) -> Iterator[Problem]:
    try:
        signature = inspect.signature(body)
        free = free_parameters(signature)
    except (ValueError, TypeError):
        yield Problem(f"{where}.run", "has no signature to read its parameters from; wrap it in a function")
        return
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY and parameter.default is inspect.Parameter.empty:
            yield Problem(f"{where}.run", f"takes {parameter.name!r} by position only; steps pass values by name")
    needs = {dep.step for dep in step.dependencies}
    if given is None:
        return
    for parameter in free:
        if (
            parameter.name in needs
            or parameter.name in given
            or parameter.name in ("item", "index", "output", "iteration")
            or parameter.default is not inspect.Parameter.empty
        ):
            continue
        if parameter.name in known:
            hint = f"; add depends_on=[{parameter.name!r}]"
        else:
            hint = suggestion(parameter.name, [*sorted(needs), *given]) or f"; give it with -p {parameter.name}=..."
        yield Problem(f"{where}.run", f"parameter {parameter.name!r} is neither a dependency nor a param{hint}")


def _dependencies(step: PipelineStep, where: str, known: dict[str, PipelineStep]) -> Iterator[Problem]:
    types = [kind.value for kind in DependencyType]
    seen = set()
    for dep in step.dependencies:
        if dep.step == step.name:
            yield Problem(f"{where}.depends_on", "names the step itself; remove it")
        elif dep.step not in known:
            yield Problem(f"{where}.depends_on", f"there is no step {dep.step!r}{suggestion(dep.step, list(known))}")
        elif dep.step in seen:
            yield Problem(f"{where}.depends_on", f"names {dep.step!r} twice; remove one")
        seen.add(dep.step)
        if dep.type not in types:
            yield Problem(f"{where}.depends_on", f"{dep.type!r} is not a dependency type; use {', '.join(types)}")


def _options(step: PipelineStep, where: str) -> Iterator[Problem]:
    modes = [mode.value for mode in ExecutionMode]
    retry: Any = step.retry
    if not isinstance(step.execution_mode, ExecutionMode) and step.execution_mode not in modes:
        near = suggestion(str(step.execution_mode), modes)
        yield Problem(f"{where}.execution_mode", f"is {step.execution_mode!r}; use {' or '.join(modes)}{near}")
    for name in ("timeout", "total_timeout"):
        seconds = getattr(step, name)
        if seconds is not None and not (_number(seconds) and 0 < seconds < 1e9):
            yield Problem(f"{where}.{name}", f"is {seconds!r}; give seconds greater than 0")
    if step.max_retries is not None and not (isinstance(step.max_retries, int) and not isinstance(step.max_retries, bool)):
        yield Problem(f"{where}.max_retries", f"is {step.max_retries!r}; give a whole number")
    elif retry is not None and not isinstance(retry, RetryPolicy):
        yield Problem(f"{where}.retry", f"is {retry!r}; give RetryPolicy(...)")
    else:
        for message in problems_of(step.policy()):
            yield Problem(f"{where}.retry", message)
    if step.params and step.pipeline is None:
        yield Problem(f"{where}.params", "are given to a step that runs no pipeline; remove them")
    for key, value in step.params.items():
        if not isinstance(key, str) or (why := encodable(value)):
            yield Problem(f"{where}.params.{key}", f"{key!r} is not text" if not isinstance(key, str) else str(why))
    for constraint in step.constraints:
        if not isinstance(constraint, str):
            yield Problem(f"{where}.constraints", f"{constraint!r} is not text")
    for name in step.fallback_models:
        if not isinstance(name, str) or not name:
            yield Problem(f"{where}.fallback_models", f"{name!r} is not the name of a model")
    if step.output_schema is not None:
        try:
            schema_of(step.output_schema)
        except Exception as error:  # a schema comes from the user's own classes, which may raise anything
            yield Problem(f"{where}.output_schema", f"cannot be read as a schema ({error}); give a pydantic model or a JSON Schema")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cycle(known: dict[str, PipelineStep]) -> list[Problem]:
    graph = {
        name: {dep.step for dep in step.dependencies if dep.step in known and dep.step != name} for name, step in known.items()
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        chain = " -> ".join(reversed(error.args[1]))
        return [Problem("steps", f"these wait for each other: {chain}; remove one of the dependencies")]
    return []

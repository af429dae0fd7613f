"""Every expression of a step: whether it can be read, and whether what it reads will be there.

Stands apart as the one table of where an expression may stand and what it sees there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from engine.checks.links import Earlier, Links
from engine.definition import OTHERWISE, Dep, ExecutionMode
from engine.errors import ExpressionError, Problem
from engine.expressions import Expression, Scope, Template, condition_of, parse, problems
from engine.expressions.arithmetic import kind
from engine.expressions.templates import OPEN, map_templates
from engine.expressions.tree import Const, Path
from engine.steps import PipelineStep, items_of

ROOTS = ("steps", "params", "shared", "attempt")
FIELDS = ("output", "status", "error")
EACH = ("item", "index")
AGAIN = ("output", "iteration")


class Place(NamedTuple):
    """An expression of a step: where it stands, how it is read, what it sees besides the usual, whether it may ask a model."""

    where: str
    read: Callable[[], Expression | Template]
    sees: tuple[str, ...] = ()
    asks: bool = False


def names_of_group(step: PipelineStep) -> tuple[str, ...]:
    """What the body of a step that is many is given besides: the item and its index, or the last output and the count."""
    return (EACH if step.for_each is not None else ()) + (AGAIN if step.while_ is not None else ())


def of_conditions(step: PipelineStep, where: str, links: Links, params: list[str] | None, *, declared: bool) -> Iterator[Problem]:
    """What is wrong with a step's conditions, loops, cases, paths and `${{ ... }}`."""
    earlier = Earlier(links, step.name) if isinstance(step.name, str) else None
    for place in _places(step):
        here = f"{where}.{place.where}"
        try:
            asked = place.read()
        except ExpressionError as error:
            yield Problem(here, str(error))
            continue
        scope = Scope((*ROOTS, *place.sees), links.steps, earlier, params, FIELDS, declared=declared)
        for message in problems(asked, scope):
            yield Problem(here, message)
        if any(reference.path[:2] == ("steps", step.name) for reference in asked.references):
            yield Problem(here, f"reads the step itself{'; write output' if 'output' in place.sees else ', which has not run yet'}")
        if asked.asks_model and not place.asks:
            yield Problem(here, "asks a model, which only the condition of a single step before it runs can; ask in a step before")


def expressions_of(step: PipelineStep) -> Iterator[Expression | Template]:
    """The expressions of a step that can be read."""
    for place in _places(step):
        try:
            yield place.read()
        except ExpressionError:
            continue


def _places(step: PipelineStep) -> Iterator[Place]:
    group = names_of_group(step)
    if isinstance(step.goal, str) and OPEN in step.goal:
        yield Place("goal", partial(Template.parse, step.goal), group)
    if step.condition is not None:
        post = step.condition_mode == "post"
        asks = not post and not group  # a group has no attempt to ask in, and what has run is judged without one
        yield Place("condition", partial(condition_of, step.condition), ("output", *group) if post else (), asks)
    if step.for_each is not None:
        yield Place("for_each", partial(_items, step.for_each))
    if step.while_ is not None:
        yield Place("while", partial(condition_of, step.while_), AGAIN)
    for branch, case in (step.switch or {}).items():
        if not isinstance(case, str) or case != OTHERWISE:
            yield Place(f"switch.{branch}", partial(condition_of, case), ("output",) if has_body(step) else ())
    for dep in step.dependencies:
        yield from _of_dependency(dep)
    for path in step.read_data:
        yield Place("read_data", partial(_path, path, ""))
    yield from _of_params(step.params, group)


def has_body(step: PipelineStep) -> bool:
    """Whether the step has an output of its own."""
    return step.run is not None or step.goal is not None or step.pipeline is not None or merges(step)


def merges(step: PipelineStep) -> bool:
    """Whether the step merges the outputs of others."""
    return step.execution_mode in (ExecutionMode.PARALLEL_MERGE, ExecutionMode.PARALLEL_MERGE.value)


def _of_dependency(dep: Dep) -> Iterator[Place]:
    if dep.when is not None:
        yield Place("depends_on", partial(condition_of, dep.when), ("output",))
    paths: Any = dep.paths
    for path in paths if isinstance(paths, list | tuple) else [paths]:
        yield Place("depends_on", partial(_path, path, "output"), ("output",))


def _of_params(params: Any, group: tuple[str, ...]) -> list[Place]:
    """The texts with `${{ ... }}` among what a step gives the pipeline it runs, however deep."""
    found: list[Place] = []

    def note(template: Template, place: str) -> None:
        found.append(Place(f"params.{place}", lambda: template, group))

    try:
        map_templates(params, note)
    except ExpressionError as error:
        broken = error
        found.append(Place("params", lambda: _refuse(broken)))
    return found


def _refuse(error: ExpressionError) -> Expression:
    raise error


def _items(value: Any) -> Expression:
    if not isinstance(value, str):
        raise ExpressionError(f"is {kind(value)}; write an expression as text")
    return items_of(value)


def _path(path: Any, base: str) -> Expression:
    """The expression for a path, from `base` where it is a path inside that (`items[0].url` is `output.items[0].url`)."""
    if not isinstance(path, str):
        raise ExpressionError(f"has the path {path!r}; write paths as text")
    found = parse(path if not base else f"{base}{path}" if path.startswith("[") else f"{base}.{path}")
    if not isinstance(found.tree, Path) or not all(isinstance(part.key, Const) for part in found.tree.parts):
        raise ExpressionError(
            f"has {path!r}, which is not a path; write one such as {'' if base else 'steps.a.output.'}items[0].url"
        )
    return found

"""What is wrong with the declarations of params, with the values a run is given, and with names that nothing asks for."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from engine.checks.conditions import expressions_of
from engine.errors import ExpressionError, Problem, suggestion
from engine.expressions import map_templates
from engine.params import Param, misfit, problems_of
from engine.steps import PipelineStep, encodable, free_parameters


def of_declarations(declared: Mapping[str, Param], defaults: Mapping[str, Any]) -> Iterator[Problem]:
    """The declared params whose type, limits, choices or default cannot be."""
    for name, param in declared.items():
        found = problems_of(param)
        if not found and name in defaults and (why := misfit(param, defaults[name])):
            found = [f"has a default that {why}"]
        elif not found:
            found = [why for choice in param.choices or () if (why := encodable(choice))]
        for message in found:
            yield Problem(f"params.{name}", message)


def of_values(declared: Mapping[str, Param], defaults: Mapping[str, Any], given: Iterable[str]) -> Iterator[Problem]:
    """The params that a run has to be given and is not, and, where the values are known too, those that do not fit."""
    names = set(given)
    for name, param in declared.items():
        if name not in names:
            if name not in defaults:
                about = f" ({param.description})" if param.description else ""
                yield Problem(f"params.{name}", f"has to be given{about}; give it with -p {name}=... or params={{{name!r}: ...}}")
        elif isinstance(given, Mapping) and not problems_of(param) and (why := misfit(param, given[name])):
            yield Problem(f"params.{name}", why)


def misfits_as_written(declared: Mapping[str, Param], given: Mapping[str, Any]) -> Iterator[Problem]:
    """The values that do not fit their declared types, of those that are known before `${{ ... }}` is filled in."""
    for name, value in given.items():
        param = declared.get(name)
        if param is None or problems_of(param) or encodable(value) or _filled_in(value):
            continue
        if why := misfit(param, value):
            yield Problem(f"params.{name}", why)


def _filled_in(value: Any) -> bool:
    found: list[str] = []
    try:
        map_templates(value, lambda _, place: found.append(place))
    except ExpressionError:  # a problem of its own
        return True
    return bool(found)


def unknown_params(
    steps: Sequence[PipelineStep], given: Iterable[str], known: Iterable[str], *, declared: bool
) -> Iterator[Problem]:
    """The given params that nothing asks for: not one of the `known`, nor read by a condition or a step's function.

    A goal and a `ctx` see every param, so where there is one of those only a pipeline that has declared its params tells.
    """
    names = list(known)
    for step in steps:
        for asked, sees_all in (asked_by_function(step), asked_by_expressions(step)):
            if sees_all and not declared:
                return
            names += asked
    for name in given:
        if name not in names:
            there = f"it takes {', '.join(dict.fromkeys(names))}" if names else "it takes none"
            yield Problem(f"params.{name}", f"nothing asks for it{suggestion(name, names) or f'; {there}'}")


def asked_by_function(step: PipelineStep) -> tuple[list[str], bool]:
    """The params a step's body asks for by name, and whether it sees all of them besides."""
    if step.run is None:
        return [], step.goal is not None
    try:
        signature = inspect.signature(step.run)
    except (ValueError, TypeError):  # a problem of its own
        return [], True
    needs = set(step.needs)
    return [one.name for one in free_parameters(signature) if one.name not in needs], "ctx" in signature.parameters


def asked_by_expressions(step: PipelineStep) -> tuple[list[str], bool]:
    """The same for its conditions, loops and switches."""
    paths = [reference.path for asked in expressions_of(step) for reference in asked.references if reference.path[0] == "params"]
    return [str(path[1]) for path in paths if len(path) > 1], any(len(path) == 1 for path in paths)

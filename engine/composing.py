"""Putting pipelines together: steps under a prefix, where a pipeline begins and ends, and what two cannot share.

Stands apart from `pipeline.py` because it rewrites what others wrote: names in dependencies, switches, conditions, goals, and the
parameters of functions.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from engine.agents import Agents, played
from engine.checks.links import Links
from engine.checks.options import of_calls
from engine.definition import OTHERWISE, Dep
from engine.errors import Problem
from engine.expressions import Template, condition_of, map_templates, parse
from engine.expressions.renaming import renamed, renamed_template
from engine.expressions.templates import OPEN
from engine.policies import limits_of
from engine.rebinding import rebound
from engine.signatures import name_of
from engine.steps import SELF, PipelineStep, free_parameters


def sources(steps: Sequence[PipelineStep]) -> list[PipelineStep]:
    """The steps that wait for no other."""
    links = Links(steps)
    return [step for step in steps if not links.before[step.name]]


def sinks(steps: Sequence[PipelineStep]) -> list[str]:
    """The steps that no other waits for; one that stands in for another is none, as that one counts with it."""
    waited = {name for step in steps for name in step.needs} | {step.name for step in steps if step.switch}
    standins = {step.fallback for step in steps}
    return [step.name for step in steps if step.name not in waited and step.name not in standins]


def clashes(title: str, mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[Problem]:
    """What two pipelines say differently under one name."""
    for name, value in theirs.items():
        if name in mine and mine[name] != value:
            yield Problem(f"{title}.{name}", f"is {mine[name]!r} in one and {value!r} in the other; make them agree, or rename one")


def clashing_limits(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[Problem]:
    """The same for limits, by the names of models and tools; or what is wrong with the limits themselves."""
    if wrong := [*of_calls(None, mine), *of_calls(None, theirs)]:
        yield from wrong
        return
    held = limits_of(mine)
    for group, named in limits_of(theirs).items():
        yield from clashes(f"limits.{group}", held.get(group, {}), named)


def calling_self(steps: Sequence[PipelineStep]) -> Iterator[Problem]:
    """The steps for which `self` would mean another pipeline than it did once they are part of one."""
    for step in steps:
        if step.pipeline == SELF:
            advice = "name the pipeline that is meant by module:name or a file"
            yield Problem(f"steps.{step.name}.pipeline", f"is 'self', which would be the whole then; {advice}")


def prefixed(steps: Sequence[PipelineStep], prefix: str) -> list[PipelineStep]:
    """Copies of the steps with the prefix before their names, wherever one of them is named."""
    names = {step.name: f"{prefix}{step.name}" for step in steps}
    return [_renamed(step, names if prefix else {}) for step in steps]


def keep_tools(steps: Sequence[PipelineStep], own: Sequence[Any], agents: Agents, whole: Sequence[Any]) -> None:
    """Let goals that had the tools in `own` call no others, once they stand in a pipeline that has those in `whole`."""
    if len(own) == len(whole):
        return
    for step, as_played in zip(steps, played(steps, agents), strict=True):
        if step.goal is not None:
            names = [name_of(one) for one in (*own, *as_played.tools)]
            patterns = as_played.tools_filter
            step.tools_filter = [one for one in names if patterns is None or any(fnmatchcase(one, wanted) for wanted in patterns)]


def _renamed(step: PipelineStep, names: Mapping[str, str]) -> PipelineStep:
    made = copy.copy(step)
    made.constraints, made.read_data = list(step.constraints), list(step.read_data)
    made.depends_on = list(step.depends_on)
    if not names:
        return made
    made.name = names[step.name]
    made.depends_on = [_dependency(dep, names) for dep in step.dependencies]
    made.condition, made.while_ = _condition(step.condition, names), _condition(step.while_, names)
    if step.switch is not None:
        made.switch = {names.get(branch, branch): _condition(case, names) for branch, case in step.switch.items()}
    if step.fallback is not None:
        made.fallback = names.get(step.fallback, step.fallback)
    if step.for_each is not None:
        made.for_each = _text(step.for_each, names) if OPEN in step.for_each else renamed(parse(step.for_each), names)
    if step.goal is not None:
        made.goal = _text(step.goal, names)
    made.params = map_templates(step.params, lambda template, _: renamed_template(template, names))
    made.read_data = [renamed(parse(path), names) for path in step.read_data]
    if step.run is not None:
        made.run = _function(step.run, {dep.step: names.get(dep.step, dep.step) for dep in step.dependencies})
    return made


def _dependency(dep: Dep, names: Mapping[str, str]) -> Dep:
    return msgspec.structs.replace(dep, step=names.get(dep.step, dep.step), when=_condition(dep.when, names))


def _condition(condition: Any, names: Mapping[str, str]) -> Any:
    if condition is None or (isinstance(condition, str) and condition == OTHERWISE):
        return condition
    return renamed(condition_of(condition), names)


def _text(text: str, names: Mapping[str, str]) -> str:
    return renamed_template(Template.parse(text), names) if OPEN in text else text


def _function(body: Callable[..., Any], names: Mapping[str, str]) -> Callable[..., Any]:
    """The function with those of its parameters under new names that are outputs of renamed steps."""
    free = free_parameters(body)
    changed = {one.name: names[one.name] for one in free if names.get(one.name, one.name) != one.name}
    if not changed:
        return body
    old = {new: name for name, new in changed.items()}
    taken = [changed.get(one.name, one.name) for one in free] + ["ctx"] * ("ctx" in inspect.signature(body).parameters)
    optional = [changed.get(one.name, one.name) for one in free if one.default is not inspect.Parameter.empty]

    def values(given: dict[str, Any]) -> dict[str, Any]:
        return {old.get(name, name): value for name, value in given.items()}

    return rebound(body, taken, optional, values, changed)

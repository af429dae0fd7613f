"""What is wrong with a step that is added at run time, told all at once like that of a pipeline.

Stands apart because it is judged against the steps of a run, whose definitions have no functions, and must cost the same in a run
of ten thousand steps as in one of ten.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from engine.agents import Agents, played
from engine.definition import NAME, StepDefinition, walk
from engine.errors import Problem, suggestion
from engine.graph import Plan
from engine.kinds import REFERENCE
from engine.pipeline import Pipeline
from engine.reads import read_before, read_during
from engine.steps import PipelineStep
from engine.tools import tool
from store.state import RunState, StepStatus

LOST = "could not be found again after a crash; name a function of a module that can be imported"


def misfits(
    plan: Plan, state: RunState, step: str, added: PipelineStep, before: Sequence[str], model: str | None, agents: Agents
) -> list[Problem]:
    """Everything that keeps the running step `step` from adding `added`; nothing where the same was added before."""
    found = _own(plan, added, model, agents)
    if found:
        return found
    (added,) = played([added], agents)
    definition = added.define(agents)
    if added.name in plan.steps:
        if not same(definition, plan.steps[added.name]):
            found.append(Problem(f"steps.{added.name}", f"is there already, and {step} adds another; choose another name"))
        return found
    for place, one in walk([definition]):
        found += [
            Problem(f"{place}.{field}", LOST)
            for field, name in one.functions.items()
            if not REFERENCE.fullmatch(name) or name.startswith("__main__:")
        ]
    found += _taken(plan, added)
    after = [*before, *(added.switch or ()), *([added.fallback] if added.fallback else [])]
    return found + list(_before(plan, state, added, after))


def _taken(plan: Plan, added: PipelineStep) -> Iterator[Problem]:
    """Branches and a fallback that belong to another step already."""
    place = f"steps.{added.name}"
    for branch in added.switch or ():
        if (chooser := plan.routes.get(str(branch))) is not None:
            yield Problem(f"{place}.switch.{branch}", f"is a branch of {chooser!r} too; a step can be chosen by one switch only")
    if added.fallback is None:
        return
    if (rescued := plan.rescues.get(added.fallback)) is not None:
        advice = f"{added.fallback!r} stands in for {rescued!r} already; give each step a fallback of its own"
        yield Problem(f"{place}.fallback", advice)
    elif (chooser := plan.routes.get(added.fallback)) is not None:
        advice = f"{added.fallback!r} is a branch that {chooser!r} chooses; name a step that runs for this one only"
        yield Problem(f"{place}.fallback", advice)


def _own(plan: Plan, added: PipelineStep, model: str | None, agents: Agents) -> list[Problem]:
    """The problems of the step itself, among stand-ins for the steps it names."""
    named = {dep.step for dep in added.dependencies} | {name for name in (added.fallback,) if name} | set(added.switch or ())
    place = f"steps.{added.name}"

    if not isinstance(added.name, str) or not NAME.fullmatch(added.name):
        advice = "is not a step name; use a letter, then letters, digits, '_' or '-'"
        return [Problem("steps", f"{added.name!r} {advice}")]

    def judged(names: set[str]) -> list[Problem]:
        standins = [PipelineStep(name, "stands in for a step of the run", depends_on=()) for name in names if name in plan.steps]
        whole = Pipeline(plan.definition.name, tools=[tool(name=one.name)(lambda: None) for one in plan.definition.tools])
        whole.steps = [*standins, added]
        every = whole.problems(model=model or "unchecked", around=agents)
        return [problem for problem in every if problem.where == place or problem.where.startswith(f"{place}.")]

    named.discard(added.name)
    found = judged(named)
    if found:
        return found
    definition = added.define(agents)
    return judged(named | set(read_before(definition)) | set(read_during(definition)))


def _before(plan: Plan, state: RunState, added: PipelineStep, before: Sequence[str]) -> Iterator[Problem]:
    """What keeps the step from coming before others: those that are named so, its branches and its fallback."""
    for name in before:
        if name not in plan.steps:
            yield Problem(f"steps.{added.name}", f"there is no step {name!r} to come before{suggestion(name, plan.names)}")
        elif state.steps[name].status is not StepStatus.PENDING:
            yield Problem(f"steps.{added.name}", f"cannot come before {name}, which has started")
        elif plan.descendants({name}) & {one for dep in added.dependencies for one in (dep.step, *plan.standins(dep.step))}:
            yield Problem(f"steps.{added.name}", f"cannot come before {name}: it would wait for itself")


def same(one: StepDefinition, other: StepDefinition) -> bool:
    """Whether a step that is added again is the one that was; what came before it since does not count."""
    deps = tuple(dep for dep in other.depends_on if dep in one.depends_on)
    return one.pinned() == msgspec.structs.replace(other, depends_on=deps).pinned()

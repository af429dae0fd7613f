"""How steps hang together: names, dependencies, joins, switches, fallbacks, and what waits for what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.checks.links import Links
from engine.definition import NAME, OTHERWISE, Dep, DependencyType
from engine.errors import ExpressionError, Problem, suggestion
from engine.expressions import Expression, condition_of
from engine.steps import PipelineStep

TYPES = [kind.value for kind in DependencyType]


def of_name(step: PipelineStep, where: str, seen: set[str]) -> Iterator[Problem]:
    """What is wrong with a step's name; `seen` are those of the steps before it."""
    if not isinstance(step.name, str) or not NAME.fullmatch(step.name):
        yield Problem("steps", f"{step.name!r} is not a step name; use a letter, then letters, digits, '_' or '-'")
    elif step.name in seen:
        yield Problem(where, "is defined twice; rename one")


def of_dependencies(step: PipelineStep, where: str, links: Links) -> Iterator[Problem]:
    """What is wrong with what a step depends on, with its join, its switch and its fallback."""
    seen: set[str] = set()
    for given in step.depends_on:
        if not isinstance(given, str | Dep):
            yield Problem(f"{where}.depends_on", f"has {given!r}; give names of steps or Dep(...), or leave it out")
    for dep in step.dependencies:
        if not isinstance(dep.step, str) or dep.step not in links.steps:
            yield Problem(f"{where}.depends_on", f"there is no step {dep.step!r}{suggestion(str(dep.step), list(links.steps))}")
            continue
        if dep.step == step.name:
            yield Problem(f"{where}.depends_on", "names the step itself; remove it")
        elif dep.step in seen:
            yield Problem(f"{where}.depends_on", f"names {dep.step!r} twice; remove one")
        seen.add(dep.step)
        for message in _of_dependency(dep):
            yield Problem(f"{where}.depends_on", message)
    if (join := _join(step)) is not None:
        yield Problem(f"{where}.join", join)
    if step.switch is not None:
        yield from _switch(step, where, links)
    if step.fallback is not None:
        yield from _fallback(step, where, links)


def _of_dependency(dep: Dep) -> Iterator[str]:
    if dep.type not in TYPES:
        yield f"{dep.type!r} is not a dependency type; use {', '.join(TYPES)}{suggestion(str(dep.type), TYPES)}"
        return
    if dep.type == "data" and not dep.paths:
        yield f"is 'data' on {dep.step!r} without paths; name the paths its output must have, such as items[0].url"
    elif dep.type != "data" and dep.paths:
        yield f"has paths for {dep.step!r}, which only a 'data' dependency checks; make it one, or remove them"
    if dep.type == "validation" and dep.when is None:
        yield f"is 'validation' on {dep.step!r} without a condition; add when=..., such as output.score > 3"
    elif dep.type != "validation" and dep.when is not None:
        yield f"has a condition for {dep.step!r}, which only a 'validation' dependency checks; make it one, or remove when"
    if not dep.wait and dep.type != "soft":
        yield f"does not wait for {dep.step!r}, which only a 'soft' dependency can; make it one, or remove wait"


def _join(step: PipelineStep) -> str | None:
    count = len(step.depends_on)
    if step.join == "all":
        return None
    if isinstance(step.join, bool) or not isinstance(step.join, int):
        if step.join not in ("any", "first"):
            return f"is {step.join!r}; use 'all', 'any', 'first' or a number{suggestion(str(step.join), ('all', 'any', 'first'))}"
    elif step.join < 1 or step.join > max(count, 1):
        return f"is {step.join}, but the step has {_count(count)}; give 1 to {max(count, 1)}"
    return None if count else f"is {step.join!r}, but the step depends on nothing; add depends_on, or remove it"


def _count(count: int) -> str:
    return f"{count} dependenc{'y' if count == 1 else 'ies'}"


def _switch(step: PipelineStep, where: str, links: Links) -> Iterator[Problem]:
    if not step.switch:
        yield Problem(f"{where}.switch", "has no cases; write branch: condition for each, or remove it")
        return
    others: list[str] = []
    for branch, case in step.switch.items():
        here = f"{where}.switch.{branch}"
        if branch == step.name:
            yield Problem(here, "leads to the step itself; name a step that comes after")
        elif branch not in links.steps:
            yield Problem(here, f"there is no step {branch!r}{suggestion(str(branch), list(links.steps))}")
        elif (first := links.switches[branch][0]) != step.name:
            yield Problem(here, f"is a branch of {first!r} too; a step can be chosen by one switch only")
        if isinstance(case, str) and case == OTHERWISE:
            others.append(str(branch))
    if len(others) > 1:
        yield Problem(f"{where}.switch", f"{' and '.join(others)} are all 'otherwise'; keep one, and give the others conditions")
    else:
        yield from _unreachable(step, where)


def _unreachable(step: PipelineStep, where: str) -> Iterator[Problem]:
    """Branches that no case can lead to: the case is always false, or one before it is always true."""
    certain: str | None = None
    cases = list((step.switch or {}).items())
    for branch, case in sorted(cases, key=lambda one: isinstance(one[1], str) and one[1] == OTHERWISE):
        holds = True if isinstance(case, str) and case == OTHERWISE else _constant(case)
        here = f"{where}.switch.{branch}"
        if certain is not None:
            yield Problem(here, f"can never be chosen, because the case of {certain!r} before it always holds; remove one")
        elif holds is False:
            yield Problem(here, "can never be chosen, because its condition never holds; mend it, or remove the branch")
        elif holds is True:
            certain = str(branch)


def _constant(case: object) -> bool | None:
    """What a condition that reads nothing comes to; None for one that reads something, asks, or cannot be read."""
    try:
        asked: Expression = condition_of(case)  # type: ignore[arg-type]
        return None if asked.references or asked.asks_model else asked.holds({})
    except ExpressionError:
        return None


def _fallback(step: PipelineStep, where: str, links: Links) -> Iterator[Problem]:
    name, here = step.fallback, f"{where}.fallback"
    if name == step.name:
        yield Problem(here, "is the step itself; name another step")
    elif not isinstance(name, str) or name not in links.steps:
        yield Problem(here, f"there is no step {name!r}{suggestion(str(name), list(links.steps))}")
    elif (first := links.rescued[name][0]) != step.name:
        yield Problem(here, f"{name!r} stands in for {first!r} already; give each step a fallback of its own")
    elif name in links.switches:
        yield Problem(
            here, f"{name!r} is a branch that {links.switches[name][0]!r} chooses; name a step that runs for this one only"
        )
    elif links.needs(name, step.name):
        yield Problem(here, f"{name!r} depends on this step, so it could not run when this fails; remove that dependency")


def of_steps(steps: Sequence[PipelineStep], links: Links) -> Iterator[Problem]:
    """What is wrong with several steps together."""
    finals = [str(step.name) for step in steps if step.final]
    if len(finals) > 1:
        yield Problem("steps", f"{' and '.join(finals)} are all final; mark one")
    if chain := links.cycle():
        yield Problem("steps", f"these wait for each other: {' -> '.join(chain)}; remove one of the dependencies")

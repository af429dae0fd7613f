"""When what a step depends on lets it start: one verdict a dependency, counted up to what the join asks for. Pure.

Stands apart because it is the table of the dependency types: what each makes of one that completed, failed, or was skipped.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from engine.definition import Dep
from engine.graph import RESCUE, ROUTE, Plan
from store.state import RunState, StepState, StepStatus

FAILURES = (StepStatus.FAILED, StepStatus.TIMED_OUT)


def verdict(plan: Plan, state: RunState, name: str, dep: Dep, final: Collection[str]) -> bool | None:
    """Whether a dependency of step `name` is met (True), cannot be met (False), or is open (None).

    `final` are the steps that failed with no retry to come. Contents (`data`, `validation`) are judged by a look, which refuses
    what does not do; here they are met by completion. A branch that was skipped keeps nobody back who waits for all, and is none of
    those that somebody waits for one or some of; a switch that was skipped has chosen nothing.
    """
    held = state.steps.get(dep.step)
    if held is None:
        return None
    if dep.type == RESCUE:
        return _rescue(held, dep.step in final)
    if dep.step in state.steps[name].refused:
        return False
    if dep.type == "soft" and not dep.wait:
        return True
    match held.status:
        case StepStatus.COMPLETED:
            return True
        case StepStatus.SKIPPED:
            if plan.routes.get(name) == dep.step:
                return False
            return dep.type == "soft" or (held.passes and dep.type == "hard" and plan.steps[name].join == "all")
        case StepStatus.CANCELLED:
            return dep.type == "soft"
        case StepStatus.FAILED | StepStatus.TIMED_OUT if dep.step in final:
            fallback = plan.steps[dep.step].fallback
            if fallback is None:
                return dep.type == "soft"
            return verdict(plan, state, name, msgspec.structs.replace(dep, step=fallback), final)
        case _:
            return None


def _rescue(held: StepState, final: bool) -> bool | None:
    if held.status in FAILURES:
        return True if final else None
    return False if held.status.settled else None


def provider(plan: Plan, state: RunState, name: str) -> str:
    """The step whose output counts as that of `name`: itself, or what completed in its stead."""
    seen = name
    while state.steps[seen].status in FAILURES:
        fallback = plan.steps[seen].fallback
        if fallback is None:
            break
        seen = fallback
    return seen


def covered(plan: Plan, state: RunState, name: str) -> bool:
    """Whether a failed step does not make the run fail, because what stands in for it completed."""
    return state.steps[provider(plan, state, name)].status is StepStatus.COMPLETED


def inputs(plan: Plan, state: RunState, name: str) -> dict[str, int] | None:
    """The versions of what an attempt is given, by dependency; None where it is simply the output of each.

    Recorded with the start, so that an attempt that is driven again is given the same, whatever completed meanwhile.
    """
    if name in plan.plain:
        return None
    found = {}
    for dep in plan.steps[name].depends_on:
        held = state.steps[provider(plan, state, dep.step)]
        version = held.output if held.status is StepStatus.COMPLETED else None
        if version is None and dep.type == "soft" and not dep.wait:
            version = held.partial
        if version is not None and dep.step not in state.steps[name].refused:
            found[dep.step] = version
    return found


def why_not(plan: Plan, state: RunState, name: str, final: Collection[str]) -> tuple[str, str | None, bool]:
    """Why a step cannot start any more: a sentence, the dependency to blame, and whether its dependants may run all the same."""
    held = state.steps[name]
    for dep in plan.deps[name]:
        if verdict(plan, state, name, dep, final) is not False:
            continue
        cause = state.steps[dep.step]
        if dep.type == RESCUE:
            return f"{dep.step} {settled_how(cause)}, so nothing has to stand in for it", dep.step, True
        if dep.step in held.refused:
            return held.reason or f"needs {dep.step}, whose output does not do", dep.step, False
        step = plan.steps[name]
        if plan.routes.get(name) == dep.step and cause.status is StepStatus.SKIPPED:
            return f"{dep.step} was skipped, so it chose nothing", dep.step, step.skip != "propagate" and cause.passes
        said = f"needs {dep.step}, which {settled_how(cause)}"
        if step.join != "all" and dep.type != ROUTE:
            wanted = "one" if step.join in ("any", "first") else str(step.join)
            said = f"needs {wanted} of {', '.join(plan.needs[name])}; {dep.step} {settled_how(cause)}"
            return said, dep.step, step.skip != "propagate" and _let_pass(plan, state, name, final)
        return said, dep.step, False
    raise AssertionError(f"{name} has no dependency that cannot be met")


def _let_pass(plan: Plan, state: RunState, name: str, final: Collection[str]) -> bool:
    """Whether all that a step waited for in vain was skipped by conditions and choices: nothing failed."""
    vain = [state.steps[dep.step] for dep in plan.steps[name].depends_on if verdict(plan, state, name, dep, final) is False]
    return all(held.status is StepStatus.SKIPPED and held.passes for held in vain)


def settled_how(step: StepState) -> str:
    """How a step ended, as words of a sentence."""
    return {
        StepStatus.COMPLETED: "completed",
        StepStatus.FAILED: "failed",
        StepStatus.TIMED_OUT: "timed out",
        StepStatus.SKIPPED: "was skipped",
        StepStatus.CANCELLED: "was cancelled",
    }.get(step.status, "did not complete")


def losers(plan: Plan, state: RunState, name: str) -> Iterator[str]:
    """What a step that takes the first of its dependencies leaves: those that have not settled."""
    if plan.steps[name].join == "first":
        for need in plan.needs[name]:
            if not state.steps[need].status.settled:
                yield need

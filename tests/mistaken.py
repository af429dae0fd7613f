"""Wrong rules of control flow that somebody could well have written: each stands in for the right one in a test of a pattern.

Stands apart from the tests because several patterns are told apart by the same mistake.
"""

from __future__ import annotations

from typing import Any

import msgspec

import engine.executor
import engine.joins
import engine.looks
import engine.runtime
from engine.agenda import Agenda
from engine.definition import ExecutionMode, StepDefinition
from engine.executor import Completed
from engine.graph import Plan
from engine.scheduler import Schedule
from engine.surroundings import RunSurroundings
from store.events import StepEvaluated
from store.state import StepStatus
from tests.patterning import Mutation, always, instead


def _entered(**changes: Any) -> Any:
    """Every step is entered with options it was not given."""
    return instead(lambda right, plan, step: right(plan, msgspec.structs.replace(step, **changes)))


def _at_most(count: int) -> Any:
    return lambda right: lambda plan, name: min(count, len(plan.needs[name]))


def _skipped_comes_to(met: bool) -> Any:
    def verdict(right: Any, plan: Plan, state: Any, name: str, dep: Any, final: Any) -> bool | None:
        held = state.steps.get(dep.step)
        return met if held is not None and held.status is StepStatus.SKIPPED else right(plan, state, name, dep, final)

    return instead(verdict)


def _close_nothing(right: Any, task: Any, value: Any) -> Any:
    outcome = right(task, value)
    return Completed(outcome.output, outcome.blob) if isinstance(outcome, Completed) else outcome


def _first_that_holds(right: Any, plan: Plan, state: Any, name: str, names: Any) -> Any:
    """A multiple choice made an exclusive one."""
    for other in plan.names[: plan.names.index(name)]:
        if plan.needs[other] == plan.needs[name] and right(plan, state, other, names)[0].verdict == "run":
            return StepEvaluated("skip", f"{other} was chosen"), None
    return right(plan, state, name, names)


def _with_the_first_child(right: Any, agenda: Agenda, state: Any, name: str, index: int) -> None:
    right(agenda, state, name, index)
    agenda.looking[name] = None


def _before_nothing(right: Any, plan: Plan, step: StepDefinition, before: Any = ()) -> None:
    right(plan, step)


def _once(right: Any, around: RunSurroundings, step: str, attempt: int, added: Any, before: Any) -> None:
    """A step that does what another does is not added again."""
    if all(added.name.partition("_")[0] != name.partition("_")[0] for name in around._record.plan.names):
        right(around, step, attempt, added, before)


ALL_AT_ONCE = Mutation("nothing is waited for", Plan, "required", _at_most(0))
ONE_IS_ENOUGH = Mutation("the first branch is enough", Plan, "required", _at_most(1))
ALL_ARE_NEEDED = Mutation("all branches are waited for", Plan, "required", _at_most(99))
REST_IS_CANCELLED = Mutation("the rest is cancelled", Plan, "_enter", _entered(join="first"))
REST_GOES_ON = Mutation("the rest goes on", engine.joins, "losers", always(()))
SKIPPED_IS_MET = Mutation("a branch not taken has come", engine.joins, "verdict", _skipped_comes_to(True))
SKIPPED_IS_UNMET = Mutation("a branch not taken has failed", engine.joins, "verdict", _skipped_comes_to(False))
ALL_SERIAL = Mutation("one waits for the other", Plan, "_enter", _entered(execution_mode=ExecutionMode.SERIAL))
NONE_SERIAL = Mutation("two run at once", Plan, "_enter", _entered(execution_mode=ExecutionMode.CONCURRENT))
NO_BRANCH_CLOSED = Mutation("no branch is closed", engine.executor, "_completed", instead(_close_nothing))
LAST_CASE = Mutation("the last case is taken", engine.executor, "_choose", lambda right: lambda step, names: list(step.switch)[-1])
ONE_CONDITION = Mutation("only the first condition counts", engine.looks, "before", instead(_first_that_holds))
NO_CONDITION = Mutation("conditions are not asked", engine.looks, "before", always((StepEvaluated("run"), None)))
ONE_CHILD_IS_ENOUGH = Mutation("the first instance is enough", Agenda, "_settle_child", instead(_with_the_first_child))
ONE_AT_A_TIME = Mutation("one instance at a time", Plan, "_enter", _entered(max_concurrent=1))
CHILDREN_GO_ON = Mutation("the instances go on", Schedule, "_unsettled_children", lambda right: lambda *_: iter(()))
NOT_WAITED_FOR = Mutation("nobody waits for what is added", Plan, "add", instead(_before_nothing))
ADDED_ONCE = Mutation("nothing is added twice", RunSurroundings, "add_step", instead(_once))
BODIES_GO_ON = Mutation("what is cancelled goes on", engine.runtime, "STOPPING", lambda right: frozenset())

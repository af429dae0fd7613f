"""What a join makes of branches that were skipped, by values: given how branches end, then who starts."""

import msgspec
import pytest

from engine.definition import StepDefinition
from store.events import StepCompleted, StepSkipped
from tests.deciding import Run, plan_of, step, words


def choice(join: str | int) -> Run:
    """A run in which `route` chooses between `x` and `y`, and `end` follows `join` of them."""
    route = msgspec.structs.replace(step("route"), run=None, switch={"x": "params.n > 1", "y": "otherwise"})
    after = msgspec.structs.replace(step("end", "x", "y"), join=join)
    run = Run(plan_of(route, step("x"), step("y"), after, step("last", "end")))
    run.attach()
    return run


def choose(run: Run, *closes: str) -> list[str]:
    """The route completes, and these branches are not taken."""
    return words(run.settle((StepCompleted(closes=list(closes)), "route", 1)))


@pytest.mark.parametrize("needs", [(), ("inner",)])
def test_a_switch_that_was_not_reached_chooses_nothing(needs: tuple[str, ...]) -> None:
    """The branches of a switch on a branch that was not taken are skipped with it, and the merge follows the one that was taken."""
    route = msgspec.structs.replace(step("route"), run=None, switch={"inner": "params.n > 1", "y": "otherwise"})
    inner = msgspec.structs.replace(step("inner"), run=None, switch={"p": "params.n > 5", "q": "otherwise"})
    end = msgspec.structs.replace(step("end", "p", "q", "y"), join="any")
    run = Run(plan_of(route, inner, step("p", *needs), step("q", *needs), step("y"), end))
    run.attach()
    assert choose(run, "inner") == ["step.skipped inner", "step.skipped p", "step.skipped q", "step.started y"]
    assert run.state.steps["q"].reason == "inner was skipped, so it chose nothing"
    assert words(run.complete("y")) == ["step.started end"]


@pytest.mark.parametrize("join", ["any", "first", 1, "all"])
def test_a_branch_that_was_not_taken_is_none_that_a_join_waits_for(join: str | int) -> None:
    """The step behind a choice starts when the branch that was taken completes: not when the other is skipped."""
    run = choice(join)
    assert choose(run, "y") == ["step.skipped y", "step.started x"]
    assert words(run.complete("x")) == ["step.started end"]


def test_a_join_of_branches_that_were_all_skipped_is_skipped_and_lets_pass() -> None:
    """Where no branch is taken a step that needs one of them is skipped, and what follows it runs, as nothing has failed."""
    run = choice("any")
    assert choose(run, "x", "y") == ["step.skipped x", "step.skipped y", "step.skipped end", "step.started last"]
    assert run.state.steps["end"].reason == "needs one of x, y; x was skipped"


def test_a_join_that_was_let_down_by_a_failure_lets_nothing_pass() -> None:
    """Where one branch failed and the other was skipped, the join and what follows it are skipped."""
    run = choice("any")
    choose(run, "y")
    assert words(run.fail("x")) == ["step.skipped end", "step.skipped last", "run.failed"]


def test_a_skipped_join_propagates_where_it_says_so() -> None:
    """With `skip="propagate"` the step behind a join of skipped branches is skipped too."""
    steps: list[StepDefinition] = [
        step("a"),
        msgspec.structs.replace(step("end", "a"), join="any", skip="propagate"),
        step("last", "end"),
    ]
    run = Run(plan_of(*steps))
    run.fold(StepSkipped("not wanted", passes=True), "a", 0)
    assert words(run.attach()) == ["step.skipped end", "step.skipped last", "run.completed"]

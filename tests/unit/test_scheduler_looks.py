"""How looks and the order of steps go together, by values: who starts while somebody looks at contents."""

import msgspec

from engine.definition import StepDefinition
from store.events import StepEvaluated
from tests.deciding import Run, plan_of, step, words


def judged(name: str, *needs: str, mode: str = "serial") -> StepDefinition:
    """A step with a condition, which has to be looked at before it starts."""
    return msgspec.structs.replace(step(name, *needs, mode=mode), condition="params.n > 1")


def looked(run: Run, name: str, verdict: str) -> list[str]:
    """Somebody has looked at a step's condition."""
    return words(run.settle((StepEvaluated(verdict), name, 0)))


def test_a_serial_step_keeps_its_turn_while_its_condition_is_looked_at() -> None:
    """Of two serial steps the first one starts first, although its condition is known only later; concurrent ones do not wait."""
    run = Run(plan_of(judged("a"), step("b", mode="serial"), step("c")))
    assert words(run.attach()) == ["step.started c"]
    assert looked(run, "a", "run") == ["step.started a"]
    assert words(run.complete("a")) == ["step.started b"]


def test_a_serial_step_that_is_not_to_run_gives_its_turn_on() -> None:
    """When the look says that the first serial step is skipped, the second one starts with the same commit."""
    run = Run(plan_of(judged("a"), step("b", mode="serial")))
    assert words(run.attach()) == []
    assert looked(run, "a", "skip") == ["step.skipped a", "step.started b"]


def test_a_serial_step_does_not_wait_for_a_look_at_a_later_or_a_concurrent_one() -> None:
    """Looks at steps that would not come first anyway keep nobody back."""
    run = Run(plan_of(judged("a", mode="concurrent"), step("b", mode="serial"), judged("c")))
    assert words(run.attach()) == ["step.started b"]


def test_who_waits_for_a_look_follows_from_the_state_alone() -> None:
    """A schedule that was built anew keeps the turn as the one that grew does."""
    run = Run(plan_of(step("first"), judged("a", "first"), step("b", "first", mode="serial")))
    run.attach()
    assert words(run.complete("first")) == []
    state, schedule = run.at(len(run.events))
    assert schedule.decide(state, run.now) is None
    assert list(schedule.looking) == ["a"]

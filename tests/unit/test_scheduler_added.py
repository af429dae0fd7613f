"""Steps that are added at run time, by values: what was there already waits for them where it has to."""

from typing import Any

import msgspec

from engine.definition import StepDefinition
from store.events import StepAdded, StepCompleted
from tests.deciding import Run, plan_of, step, words


def running(*others: StepDefinition) -> Run:
    """A run in which `first` is under way, and `second` and others wait for it."""
    run = Run(plan_of(step("first"), step("second", "first"), *others))
    run.attach()
    return run


def add(run: Run, name: str, /, *, before: tuple[str, ...] = (), **options: Any) -> None:
    """The first step adds another."""
    added = msgspec.structs.replace(step(name), **options)
    run.settle((StepAdded(name, added.to_json(), added.kind, list(before)), "first", 1))


def test_the_branches_of_an_added_switch_wait_for_its_choice() -> None:
    """Steps that were there and are branches of a switch that is added start only when it has chosen them."""
    run = running(step("x", "first"), step("y", "first"))
    add(run, "route", run=None, switch={"x": "params.n > 1", "y": "otherwise"})
    assert words(run.complete("first")) == ["step.started second"]
    closed = run.settle((StepCompleted(closes=["x"]), "route", 1))
    assert words(closed) == ["step.skipped x", "step.started y"]


def test_the_fallback_of_an_added_step_waits_for_its_failure() -> None:
    """A step that was there and stands in for an added one starts only when that has failed."""
    run = running(step("other", "first"))
    add(run, "risky", fallback="other")
    assert words(run.complete("first")) == ["step.started second"]
    assert words(run.fail("risky")) == ["step.started other"]


def test_who_waits_for_an_added_step_waits_for_its_fallback_too() -> None:
    """When an added step fails, what it came before is not skipped but waits for what stands in for it."""
    run = running(step("other", "first"))
    add(run, "risky", before=("second",), fallback="other")
    run.complete("first")
    assert words(run.fail("risky")) == ["step.started other"]
    assert words(run.complete("other")) == ["step.started second"]


def test_a_look_at_a_step_is_not_wanted_any_more_once_it_waits_for_an_added_one() -> None:
    """What a look finds that began before the step was added does not count: it is looked at again when the added one has ended."""
    judged = msgspec.structs.replace(step("judged"), condition='step_completed("late")')
    run = Run(plan_of(step("first"), judged))
    run.attach()
    assert list(run.schedule.looking) == ["judged"]
    run.fold(StepAdded("late", step("late").to_json(), "f", ["judged"]), "first", 1)
    assert list(run.schedule.looking) == []
    assert words(run.settle()) == ["step.started late"]
    run.complete("late")
    assert list(run.schedule.looking) == ["judged"]

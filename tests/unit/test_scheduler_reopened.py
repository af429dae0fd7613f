"""What is decided when something that had been decided is open again: retries people ask for, commands that race, migrations."""

from typing import Any

import msgspec

from engine.commands import Fact, facts_of
from engine.definition import OTHERWISE, Approval, Dep, StepDefinition
from engine.graph import Plan
from engine.policies import RetryPolicy
from engine.wishes import Decision
from store.events import (
    EffectInDoubt,
    Failure,
    RunAttached,
    RunMigrated,
    Safety,
    StepCompleted,
    StepEvaluated,
    StepFailed,
    StepReset,
    StepStarted,
)
from store.state import StepStatus
from tests.deciding import Run, plan_of, step, words

SOON = RetryPolicy(max_retries=1, backoff="fixed", delay=10.0, jitter=0.0)


def with_(definition: StepDefinition, **options: Any) -> StepDefinition:
    """A step with other options."""
    return msgspec.structs.replace(definition, **options)


def group(run: Run, name: str, items: int) -> list[Decision]:
    """The look at a group's items."""
    return run.look(name, StepEvaluated("run", items=items))


def test_a_retry_of_a_rescued_step_is_not_counted_twice() -> None:
    """A step whose dependency was rescued and is tried again still waits for its other one."""
    run = Run(plan_of(with_(step("a"), fallback="f"), step("f"), step("b"), step("c", "a", "b")))
    run.attach()
    run.fail("a")
    run.complete("f")
    run.command("retry", step="a")
    assert words(run.complete("a")) == []
    assert words(run.complete("b")) == ["step.started c"]


def test_a_retry_of_a_stand_in_reopens_what_needed_the_step_it_stands_in_for() -> None:
    """What was skipped because both failed is pending again when the stand-in is tried again."""
    run = Run(plan_of(with_(step("a"), fallback="f"), step("f"), step("d", "a")))
    run.attach()
    run.fail("a")
    assert "step.skipped d" in words(run.fail("f"))
    assert words(run.command("retry", step="f")) == [
        "run.reopened", "step.reset d", "step.retry_scheduled f", "step.started f",
    ]  # fmt: skip
    assert words(run.complete("f")) == ["step.started d"]


def test_a_refused_step_is_judged_anew_when_it_is_tried_again() -> None:
    """A group whose items could not be evaluated is looked at again instead of run as a step of its own."""
    run = Run(plan_of(with_(step("each"), for_each="params.items")))
    run.attach()
    run.look("each", StepEvaluated("fail", "a path is missing"))
    assert words(run.command("retry", step="each")) == ["run.reopened", "step.reset each"]
    assert list(run.schedule.looking) == ["each"]


def test_a_serial_step_that_is_tried_again_waits_for_the_one_that_runs() -> None:
    """Two serial steps never run together, also where somebody asks for one of them again."""
    run = Run(plan_of(step("s1", mode="serial"), step("s2", mode="serial"), step("s3", mode="serial")))
    run.attach()
    run.fail("s1")
    assert words(run.command("retry", step="s1")) == ["step.retry_scheduled s1"]
    assert run.schedule.next_timer(run.state) is None
    assert words(run.complete("s2")) == ["step.started s1"]
    assert words(run.complete("s1")) == ["step.started s3"]


def test_an_item_that_is_tried_again_keeps_to_its_groups_limit() -> None:
    """An item that somebody asks for again waits until fewer than `max_concurrent` run."""
    run = Run(plan_of(with_(step("each"), for_each="params.items", max_concurrent=1, item_failures="keep")))
    run.attach()
    group(run, "each", 3)
    assert words(run.fail("each[0]")) == ["step.started each[1]"]
    assert words(run.command("retry", step="each[0]")) == ["step.retry_scheduled each[0]"]
    assert words(run.complete("each[1]")) == ["step.started each[0]"]


def test_a_group_is_not_gathered_while_an_item_is_tried_again() -> None:
    """A look that was wanted is not wanted any more when an item of the group runs once more."""
    run = Run(plan_of(with_(step("each"), for_each="params.items", item_failures="keep")))
    run.attach()
    group(run, "each", 1)
    run.fail("each[0]")
    assert list(run.schedule.looking) == ["each"]
    run.command("retry", step="each[0]")
    assert list(run.schedule.looking) == []


def test_an_item_of_a_failed_group_is_tried_again_by_its_group() -> None:
    """Asking for a failed item of a group that has failed tries the group, with what it has."""
    run = Run(plan_of(with_(step("each"), for_each="params.items"), step("after", "each")))
    run.attach()
    group(run, "each", 2)
    run.complete("each[0]")
    run.fail("each[1]")
    run.look("each", StepFailed(Failure("items", "each[1]: it broke", retryable=False)))
    decided = words(run.command("retry", step="each[1]"))
    assert decided[-3:] == ["step.retry_scheduled each", "step.started each", "step.started each[1]"]
    assert run.state.steps["each[0]"].status is StepStatus.COMPLETED


def test_an_item_out_of_turn_does_not_widen_its_group() -> None:
    """A driver that comes anew counts a cancelled later item as that, and not those before it as under way."""
    run = Run(plan_of(with_(step("each"), for_each="params.items", max_concurrent=1)))
    run.attach()
    group(run, "each", 3)
    run.command("cancel", step="each[2]")
    state, schedule = run.at(run.state.version)
    assert schedule.decide(state, run.now) is None


def test_a_command_on_a_group_that_has_not_begun_finds_no_items() -> None:
    """A group that was looked at and waits for approval can be skipped: its items are not there yet."""
    run = Run(plan_of(with_(step("each"), for_each="params.items", approval=Approval())))
    run.attach()
    assert words(group(run, "each", 2)) == ["approval.requested each"]
    assert words(run.command("skip", step="each")) == ["step.skipped each", "run.completed"]


def test_a_failure_does_not_forget_that_the_step_was_to_be_cancelled() -> None:
    """An attempt that fails in the commit of its cancellation is not tried again."""
    run = Run(plan_of(step("a", retry=SOON)))
    run.attach()
    facts = [*_facts(run, "cancel", "a"), (StepFailed(Failure("error", "it broke")), "a", 1)]
    assert words(run.settle(*facts)) == ["step.retry_scheduled a", "step.cancelled a", "run.completed"]


def _facts(run: Run, kind: str, name: str) -> list[Fact]:
    return facts_of(run.state, kind, {"step": name}, strict=True)[0]


def test_an_item_that_fails_while_its_group_is_skipped_is_not_tried_again() -> None:
    """A group that is over leaves no item waiting for a retry."""
    run = Run(plan_of(with_(step("each", retry=SOON), for_each="params.items"), step("b")))
    run.attach()
    group(run, "each", 1)
    facts = [*_facts(run, "skip", "each"), (StepFailed(Failure("error", "it broke")), "each[0]", 1)]
    assert words(run.settle(*facts)) == ["step.skipped each"]
    assert words(run.complete("b")) == ["run.completed"]


def test_an_approval_is_not_a_start_where_a_dependency_is_open_again() -> None:
    """Approved while what it needs is tried again, a step waits for that."""
    run = Run(plan_of(step("a"), with_(step("b", "a"), depends_on=(Dep("a", "soft"),), approval=Approval())))
    run.attach()
    run.fail("a")
    run.command("retry", step="a")
    assert words(run.command("approve", approved=True)) == []
    assert words(run.complete("a")) == ["step.started b"]


def test_a_branch_that_is_closed_while_it_is_looked_at_is_skipped() -> None:
    """A branch that did not wait for its switch is skipped when another is chosen, also while a look at it is wanted."""
    soft = (Dep("s", "soft", wait=False),)
    waits = with_(step("x"), depends_on=soft, condition="params.go == true")
    run = Run(plan_of(with_(step("s"), switch={"x": "params.go == true", "y": OTHERWISE}), waits, step("y")))
    run.attach()
    assert list(run.schedule.looking) == ["x"]
    assert words(run.settle((StepCompleted(closes=["x"]), "s", 1))) == ["step.skipped x", "step.started y"]
    assert list(run.schedule.looking) == []


def test_an_output_that_did_not_do_for_one_dependency_does_for_another() -> None:
    """What a stand-in returned is refused as data where it lacks a path, and still counts for the step it stands in for."""
    needs = (Dep("a"), Dep("f", "data", paths=("x",)))
    run = Run(plan_of(with_(step("a"), fallback="f"), step("f"), with_(step("d"), depends_on=needs, join="any")))
    run.attach()
    run.fail("a")
    run.complete("f")
    run.look("d", StepEvaluated("wait", "needs x of f", ["f"]))
    assert list(run.schedule.looking) == ["d"]


def test_the_first_of_some_cancels_one_that_waits_for_its_retry() -> None:
    """A dependency that fails in the commit in which another settles is cancelled and not tried again."""
    needs = (Dep("a"), Dep("b", "soft"))
    run = Run(plan_of(step("a", retry=SOON), step("b"), with_(step("c"), depends_on=needs, join="first")))
    run.attach()
    facts = [(StepFailed(Failure("error", "it broke")), "a", 1), (StepCompleted(), "b", 1)]
    assert words(run.settle(*facts)) == ["step.retry_scheduled a", "step.cancelled a", "step.started c"]


def test_a_cancelled_run_cancels_its_compensations_too() -> None:
    """Compensations that came after everything else was stopped are stopped with the run."""
    run = Run(plan_of(with_(step("a"), compensate="tests:undo"), step("b"), step("c"), limit=3))
    run = Run(with_fail_fast(run.plan))
    run.attach()
    run.complete("a")
    assert words(run.fail("b")) == ["step.cancelled c", "run.compensating", "step.started a/compensate"]
    assert words(run.signal("cancel")) == ["step.cancelled a/compensate", "run.cancelled"]


def with_fail_fast(plan: Plan) -> Plan:
    """The plan with everything cancelled at the first failure."""
    return Plan(msgspec.structs.replace(plan.definition, on_failure="fail_fast"), plan.limit)


def test_the_first_in_order_is_to_blame_where_two_fail_together() -> None:
    """Of two failures in one commit the earlier step is named as what everything else was cancelled for."""
    run = Run(with_fail_fast(plan_of(*(step(name) for name in ("z", "y", "x", "w")))))
    run.attach()
    facts = [(StepFailed(Failure("error", "it broke")), name, 1) for name in ("x", "z", "y")]
    assert run.settle(*facts)[0][0].reason == "z failed"


def test_a_step_in_doubt_keeps_its_place_under_the_limit() -> None:
    """A step whose effect is in doubt goes on when it is resolved, so that another does not take its place meanwhile."""
    run = Run(plan_of(step("a"), step("b"), limit=1))
    run.attach()
    request = run.request("a", Safety.IRREVERSIBLE)
    assert run.settle((RunAttached(2, 2.0), None, 0)) == [(EffectInDoubt(request), "a", 1)]
    assert run.resolve("a", request, "again") == []
    assert words(run.complete("a")) == ["step.started b"]


def test_a_migration_takes_back_what_was_seen_of_what_it_changed() -> None:
    """A pending step that refused an output, which is made anew, is looked at anew."""
    needs = (Dep("a", "data", paths=("x",)), Dep("b", "soft"))
    run = Run(plan_of(step("a"), step("b"), with_(step("c"), depends_on=needs, join="any")))
    run.attach()
    run.complete("a")
    run.look("c", StepEvaluated("wait", "needs x of a", ["a"]))
    decided = run.settle((RunMigrated("0" * 64, ["a", "b", "c"], changed=["a"]), None, 0))
    assert (StepReset("the definition changed"), "c", 0) in decided
    assert not run.state.steps["c"].refused


def test_a_migration_resets_what_used_the_output_of_a_changed_stand_in() -> None:
    """What ran with the output of a stand-in runs again when that changed."""
    run = Run(plan_of(with_(step("a"), fallback="f"), step("f"), step("d", "a"), step("e")))
    run.attach()
    run.fail("a")
    run.complete("f")
    run.complete("d")
    decided = run.settle((RunMigrated("0" * 64, ["a", "f", "d", "e"], changed=["f"]), None, 0))
    assert words(decided)[:2] == ["step.reset f", "step.reset d"]


def test_a_failure_of_before_does_not_stop_what_is_tried_again() -> None:
    """Where two steps failed and everything else was cancelled, one of them can be tried again; a new failure stops the rest."""
    run = Run(with_fail_fast(plan_of(step("a"), step("b"), step("c", "a"))))
    run.attach()
    facts = [(StepFailed(Failure("error", "it broke")), name, 1) for name in ("a", "b")]
    assert words(run.settle(*facts))[-1] == "run.failed"
    run.wait(1.0)
    assert words(run.command("retry", step="a"))[-1] == "step.started a"
    assert words(run.complete("a")) == ["step.started c"]
    assert words(run.complete("c")) == ["run.failed"]


def test_the_attempts_of_children_do_not_start_over_with_their_group() -> None:
    """A child of a group that was reset goes on counting, so that what an earlier one recorded is never taken for its own."""
    run = Run(plan_of(with_(step("each"), for_each="params.items")))
    run.attach()
    group(run, "each", 1)
    run.settle((RunMigrated("0" * 64, ["each"], changed=["each"]), None, 0))
    assert group(run, "each", 2)[1:] == [(StepStarted(), "each[0]", 2), (StepStarted(), "each[1]", 2)]


def test_a_refused_output_of_a_stand_in_is_counted_once() -> None:
    """A driver that comes anew does not count a refused dependency once more when it finds that the rescued step had failed."""
    needs = (Dep("b"), Dep("a", "data", paths=("x",)))
    run = Run(plan_of(with_(step("a"), fallback="f"), step("f"), step("b"), with_(step("d"), depends_on=needs, join=1), limit=4))
    run.attach()
    run.fail("a")
    run.complete("f")
    run.look("d", StepEvaluated("wait", "needs x of a", ["a"]))
    state, schedule = run.at(run.state.version)
    assert schedule.decide(state, run.now) is None
    assert words(run.complete("b")) == []
    assert list(run.schedule.looking) == ["d"]


def test_an_approval_that_was_given_does_not_run_out() -> None:
    """A step that waits for its retry past its approval's time is tried again, whoever asked for the next time meanwhile."""
    run = Run(plan_of(with_(step("a", retry=SOON), approval=Approval("may it?", 3.0))))
    run.schedule.next_timer = lambda state: None  # type: ignore[method-assign]
    run.attach()
    run.command("approve", step="a", approved=True)
    run.fail("a")
    assert run.wait(5.0) == []
    assert run.wait(10.0) == [(StepStarted(), "a", 2)]

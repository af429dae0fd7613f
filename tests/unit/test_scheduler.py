"""What is decided next, by values: given events, when a fact comes, then these decisions."""

import pytest

from engine.policies import RetryPolicy
from engine.scheduler import Schedule
from store.events import RunMigrated, Safety, StepRetryScheduled, StepSkipped
from store.state import RunStatus, StepStatus
from tests.deciding import Run, plan_of, step, words

SOON = RetryPolicy(max_retries=2, backoff="fixed", delay=10.0, jitter=0.0)


def test_ready_steps_start_in_definition_order_up_to_the_limit() -> None:
    """Of five ready concurrent steps a limit of three starts the first three, and each end starts the next."""
    run = Run(plan_of(*(step(name) for name in "abcde"), limit=3))
    assert words(run.attach()) == ["step.started a", "step.started b", "step.started c"]
    assert words(run.complete("b")) == ["step.started d"]
    assert words(run.complete("a", "c")) == ["step.started e"]


def test_a_step_starts_when_its_last_dependency_completes() -> None:
    """A step that needs two starts with the commit of the second one's completion."""
    run = Run(plan_of(step("a"), step("b"), step("c", "a", "b")))
    run.attach()
    assert run.complete("b") == []
    assert words(run.complete("a")) == ["step.started c"]


def test_serial_steps_go_one_after_another_beside_concurrent_ones() -> None:
    """One serial step runs at a time, in definition order; concurrent steps do not wait for it and it counts in the limit."""
    run = Run(plan_of(step("s1", mode="serial"), step("c1"), step("s2", mode="serial"), step("c2"), limit=2))
    assert words(run.attach()) == ["step.started s1", "step.started c1"]
    assert words(run.complete("c1")) == ["step.started c2"]
    assert words(run.complete("c2")) == []
    assert words(run.complete("s1")) == ["step.started s2"]


def test_the_chain_waits_for_a_serial_retry() -> None:
    """While a serial step waits for its retry the next serial step does not start, and the retry itself does when due."""
    run = Run(plan_of(step("s1", mode="serial", retry=SOON), step("s2", mode="serial")))
    run.attach()
    assert words(run.fail("s1")) == ["step.retry_scheduled s1"]
    assert run.wait(9) == []
    assert words(run.wait(1)) == ["step.started s1"]
    assert run.attempt("s1") == 2
    assert words(run.complete("s1")) == ["step.started s2"]


def test_a_retry_is_due_at_an_absolute_time() -> None:
    """The wait is counted from the failure, as unix time, and a Retry-After longer than the policy's wait is respected."""
    run = Run(plan_of(step("a", retry=SOON)))
    run.attach()
    assert run.fail("a") == [(StepRetryScheduled(1010.0), "a", 1)]
    run.wait(10)
    assert run.fail("a", after=25.0) == [(StepRetryScheduled(1035.0), "a", 2)]


def test_a_failure_out_of_retries_skips_what_needs_it_and_fails_the_run() -> None:
    """After the last retry the dependants are skipped, theirs too, independent steps go on, and the run then fails."""
    run = Run(plan_of(step("a", retry=RetryPolicy(max_retries=1, delay=0, jitter=0)), step("b", "a"), step("c", "b"), step("d")))
    run.attach()
    assert words(run.fail("a")) == ["step.retry_scheduled a", "step.started a"]
    assert run.fail("a") == [
        (StepSkipped("needs a, which failed", "a"), "b", 0),
        (StepSkipped("needs b, which was skipped", "b"), "c", 0),
    ]
    assert words(run.complete("d")) == ["run.failed"]
    assert run.state.reason == "a: it broke"


def test_a_failure_that_would_be_the_same_again_is_not_retried() -> None:
    """A failure marked as not retryable ends the step at once whatever the policy allows."""
    run = Run(plan_of(step("a", retry=SOON)))
    run.attach()
    assert words(run.fail("a", retryable=False)) == ["run.failed"]


def test_a_timed_out_step_says_so() -> None:
    """A failure of kind timeout is its own status, and what needed the step hears that it timed out."""
    run = Run(plan_of(step("a"), step("b", "a")))
    run.attach()
    decisions = run.fail("a", kind="timeout")
    assert run.state.steps["a"].status is StepStatus.TIMED_OUT
    assert decisions[0][0] == StepSkipped("needs a, which timed out", "a")


def test_the_run_fails_with_its_first_failure_and_the_count_of_others() -> None:
    """The reason names the first failed step in definition order and how many more failed."""
    run = Run(plan_of(step("a"), step("b")))
    run.attach()
    run.fail("b")
    run.fail("a")
    assert run.state.reason == "a: it broke (and 1 more)"


def test_a_pause_starts_nothing_and_lets_running_steps_finish() -> None:
    """While paused nothing starts, not even a due retry; what runs completes; resuming starts all that became ready."""
    run = Run(plan_of(step("a"), step("b", retry=SOON), step("c", "a")))
    run.attach()
    assert words(run.fail("b")) == ["step.retry_scheduled b"]
    assert words(run.signal("pause")) == ["run.paused"]
    assert run.complete("a") == []
    assert run.wait(100) == []
    assert run.schedule.next_timer(run.state) is None
    assert words(run.signal("resume")) == ["run.unpaused", "step.started b", "step.started c"]


def test_a_paused_run_whose_last_step_completes_is_completed() -> None:
    """Nothing is left to start, so the pause does not keep the run from ending."""
    run = Run(plan_of(step("a")))
    run.attach()
    run.signal("pause")
    assert words(run.complete("a")) == ["run.completed"]


def test_a_cancelled_run_stops_everything_that_is_not_settled() -> None:
    """Running, waiting, pending and in-doubt steps are cancelled; what settled stays; the run is cancelled."""
    run = Run(plan_of(step("done"), step("runs"), step("waits", retry=SOON), step("pending", "runs"), step("doubt")))
    run.attach()
    run.complete("done")
    run.fail("waits")
    run.request("doubt")
    run.attach()
    assert run.state.steps["doubt"].status is StepStatus.IN_DOUBT
    assert words(run.signal("cancel")) == [
        *(f"step.cancelled {name}" for name in ("runs", "waits", "pending", "doubt")),
        "run.cancelled",
    ]
    assert run.state.steps["done"].status is StepStatus.COMPLETED
    assert run.state.status is RunStatus.CANCELLED
    assert run.state.steps["doubt"].reason == "the run was cancelled; 'x' has no known outcome"
    assert run.state.steps["runs"].reason == "the run was cancelled"


def test_nothing_follows_the_end() -> None:
    """An ended run decides nothing, whatever comes after."""
    run = Run(plan_of(step("a")))
    run.attach()
    run.complete("a")
    assert run.signal("cancel") == []
    assert run.attach() == []


def test_an_irreversible_effect_in_flight_is_in_doubt_after_a_takeover() -> None:
    """Only irreversible requests without outcome become in doubt when a driver attaches; the step waits for somebody."""
    run = Run(plan_of(step("a"), step("b")))
    run.attach()
    request = run.request("a")
    run.request("b", Safety.IDEMPOTENT)
    assert words(run.attach()) == ["effect.in_doubt a"]
    assert run.state.steps["b"].status is StepStatus.RUNNING
    assert run.resolve("a", request, "succeeded") == []
    assert run.state.steps["a"].status is StepStatus.RUNNING


def test_a_step_with_two_effects_in_doubt_runs_on_when_both_are_resolved() -> None:
    """Resolving one of two leaves the step in doubt; resolving the other takes it up again."""
    run = Run(plan_of(step("a")))
    run.attach()
    first, second = run.request("a"), run.request("a")
    assert words(run.attach()) == ["effect.in_doubt a", "effect.in_doubt a"]
    run.resolve("a", first, "failed")
    assert run.state.steps["a"].status is StepStatus.IN_DOUBT
    run.resolve("a", second, "succeeded")
    assert run.state.steps["a"].status is StepStatus.RUNNING


def test_an_effect_resolved_to_be_issued_again_is_not_in_doubt_at_the_next_takeover() -> None:
    """Somebody said "again" while no driver lived: the driver that then comes issues it, instead of asking once more."""
    run = Run(plan_of(step("a")))
    run.attach()
    request = run.request("a")
    run.attach()
    run.resolve("a", request, "again")
    assert run.attach() == []
    assert run.state.steps["a"].status is StepStatus.RUNNING


def test_a_migration_resets_changed_steps_and_what_depends_on_them() -> None:
    """Completed steps below a changed one are pending again and run again; the others keep their outcome."""
    plan = plan_of(step("a"), step("b", "a"), step("c", "b"), step("d"))
    run = Run(plan)
    run.attach()
    run.complete("a", "d")
    run.complete("b")
    migrated = RunMigrated("1" * 64, list(plan.names), changed=["b"])
    assert words(run.settle((migrated, None, 0))) == ["step.reset b", "step.reset c", "step.started b"]
    assert run.state.steps["a"].status is StepStatus.COMPLETED
    assert run.attempt("b") == 2


def test_without_a_driver_nothing_is_started() -> None:
    """A command recorded by a process that drives nothing makes decisions, but never starts a step."""
    run = Run(plan_of(step("a"), step("b")))
    run.schedule.may_start = False
    assert run.attach() == []
    assert words(run.signal("cancel")) == ["step.cancelled a", "step.cancelled b", "run.cancelled"]


def test_a_due_retry_at_the_limit_arms_no_timer() -> None:
    """A retry that is due while the limit is reached waits for an end, not for a clock: a timer in the past would spin."""
    run = Run(plan_of(step("a", retry=SOON), step("b"), limit=1))
    run.attach()
    assert words(run.fail("a")) == ["step.retry_scheduled a", "step.started b"]
    run.wait(50)
    assert run.schedule.next_timer(run.state) is None
    assert words(run.complete("b")) == ["step.started a"]


@pytest.mark.parametrize("version", [4, 5, 6])
def test_a_schedule_rebuilt_within_a_commit_goes_on_in_the_same_order(version: int) -> None:
    """Which of several skips comes first, and for which cause, follows from the state alone, not from how it was reached."""
    run = Run(plan_of(step("d", "b"), step("a"), step("c", "a"), step("b", "a"), step("e", "a", "b")))
    run.attach()
    run.fail("a")
    state, schedule = run.at(version)
    again = schedule.decide(state, run.now)
    recorded = run.events[version]
    assert again == (recorded.event, recorded.step, recorded.attempt)


def test_the_schedule_of_a_long_chain_costs_the_same_a_step() -> None:
    """Ten times the steps take ten times the looks at states, to within 5%: nothing scans all steps."""
    assert _looks(10_000) / 10_000 <= 1.05 * _looks(1_000) / 1_000


def test_the_schedule_of_a_wide_fan_costs_the_same_a_step() -> None:
    """The same for steps that all become ready at once (heap pushes are counted as one look)."""
    assert _looks(10_000, fan=True) / 10_000 <= 1.05 * _looks(1_000, fan=True) / 1_000


class _Counted(dict):  # type: ignore[type-arg]
    """A mapping of step states that counts its look-ups and scans."""

    looks = 0

    def __getitem__(self, name: str) -> object:
        _Counted.looks += 1
        return super().__getitem__(name)

    def items(self):  # type: ignore[no-untyped-def]
        _Counted.looks += len(self)
        return super().items()

    def __iter__(self):  # type: ignore[no-untyped-def]
        _Counted.looks += len(self)
        return super().__iter__()


def _looks(count: int, *, fan: bool = False) -> int:
    names = [f"s{number}" for number in range(count)]
    if fan:
        steps = [step("first"), *(step(name, "first") for name in names)]
    else:
        steps = [step(name, *names[place - 1 : place]) for place, name in enumerate(names)]
    run = Run(plan_of(*steps, limit=10))
    run.state.steps = _Counted(run.state.steps)
    run.schedule = Schedule(run.plan, run.state)
    _Counted.looks = 0
    running = [name for _, name, _ in run.attach()]
    while running:
        name = running.pop()
        assert name is not None
        running += [begun for _, begun, _ in run.complete(name) if begun is not None]
    assert run.state.status is RunStatus.COMPLETED
    return _Counted.looks

"""What holds for every run, whatever the graph, the modes, the failures and the commands: laws of the scheduler, by hypothesis."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.graph import Plan
from engine.policies import RetryPolicy
from store.events import Safety
from store.projector import project
from store.state import RunStatus, StepStatus
from tests.deciding import Run, plan_of, step

SKIPPED_OR_FAILED = {StepStatus.FAILED, StepStatus.TIMED_OUT, StepStatus.SKIPPED}


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Any graph of up to twelve steps, listed in any order, of both modes, with up to two retries."""
    count = draw(st.integers(1, 12))
    steps = []
    for number in range(count):
        needs = draw(st.lists(st.integers(0, number - 1), max_size=3, unique=True)) if number else []
        retry = RetryPolicy(max_retries=draw(st.integers(0, 2)), backoff="fixed", delay=draw(st.sampled_from([0.0, 5.0])))
        steps.append(
            step(f"s{number}", *(f"s{n}" for n in needs), mode=draw(st.sampled_from(["serial", "concurrent"])), retry=retry)
        )
    return plan_of(*draw(st.permutations(steps)), limit=draw(st.integers(1, 4)))


KINDS = ["complete"] * 8 + ["fail", "fail", "hopeless", "timeout", "wait", "wait", "ask", "crash", "pause", "resume", "cancel"]


class Driven:
    """A run driven by what hypothesis draws, checked after every fact."""

    def __init__(self, plan: Plan, draw: st.DataObject, cancels: bool) -> None:
        self.run, self.draw = Run(plan, seed=draw.draw(st.integers(0, 2**32))), draw
        self.kinds = KINDS if cancels else KINDS[:-1]
        self.compared = 0
        self.run.attach()
        self.check()

    def running(self) -> list[str]:
        """The steps that run."""
        return [name for name, held in self.run.state.steps.items() if held.status is StepStatus.RUNNING]

    def act(self) -> None:
        """One fact, drawn, and what follows."""
        kind, running = self.draw.draw(st.sampled_from(self.kinds)), self.running()
        if kind in ("pause", "resume", "cancel"):
            self.run.signal(kind)
        elif kind == "wait" or not running:
            self.run.wait(6.0)
        elif kind == "crash":
            self.run.attach()
        else:
            self._touch(kind, self.draw.draw(st.sampled_from(running)))

    def _touch(self, kind: str, name: str) -> None:
        if kind == "complete":
            self.run.complete(name)
        elif kind == "ask":
            self.run.request(name, self.draw.draw(st.sampled_from(list(Safety))))
        else:
            self.run.fail(name, kind="timeout" if kind == "timeout" else "error", retryable=kind != "hopeless")

    def finish(self) -> None:
        """Let everything that is left succeed: doubts are resolved, pauses lifted, clocks go on."""
        run = self.run
        for _ in range(500):
            if run.state.status.ended:
                return
            doubtful = [(request, effect) for request, effect in run.state.open.items() if effect.in_doubt]
            if run.state.pausing:
                run.signal("resume")
            elif doubtful:
                run.resolve(doubtful[0][1].step, doubtful[0][0], "again")
            elif running := self.running():
                run.complete(running[0])
            else:
                run.wait(60.0)
            self.check()
        raise AssertionError(f"the run does not end: {run.state}")

    def check(self) -> None:
        """The laws, on what was recorded since the last look."""
        state, plan = self.run.state, self.run.plan
        assert state.counts[StepStatus.RUNNING] <= plan.limit
        chain = [n for n in plan.serial if state.steps[n].status in (StepStatus.RUNNING, StepStatus.WAITING, StepStatus.IN_DOUBT)]
        assert len(chain) <= 1
        for recorded in self.run.events[self.compared :]:
            if recorded.event.type == "step.started":
                then = project(self.run.events[: recorded.version - 1])
                assert recorded.step is not None
                assert all(then.steps[need].status is StepStatus.COMPLETED for need in plan.needs[recorded.step])
                assert then.status is RunStatus.RUNNING
        self.compared = len(self.run.events)


SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@SETTINGS
@given(plans(), st.data(), st.integers(0, 40), st.booleans())
def test_every_run_keeps_the_laws_and_ends(plan: Plan, data: st.DataObject, length: int, cancels: bool) -> None:
    """No step starts before its dependencies completed or while paused, no limit is passed, one serial step at most is under way,
    every transition is in the table (checked as it is folded), and every run ends with all steps settled and the right verdict.
    """
    driven = Driven(plan, data, cancels)
    for _ in range(length):
        driven.act()
        driven.check()
    driven.finish()
    state = driven.run.state
    assert state.settled == len(state.steps)
    held = {name: step.status for name, step in state.steps.items()}
    if state.status is RunStatus.COMPLETED:
        assert set(held.values()) == {StepStatus.COMPLETED}
    elif state.status is RunStatus.FAILED:
        assert any(status in (StepStatus.FAILED, StepStatus.TIMED_OUT) for status in held.values())
        for name, status in held.items():
            blocked = any(held[need] in SKIPPED_OR_FAILED for need in plan.needs[name])
            assert (status is StepStatus.SKIPPED) == blocked
    else:
        assert driven.run.state.cancelling


@SETTINGS
@given(plans(), st.data(), st.integers(0, 30))
def test_a_schedule_rebuilt_at_any_event_decides_the_same(plan: Plan, data: st.DataObject, length: int) -> None:
    """`Schedule(plan, project(first n events))` makes the decision that was recorded next, or none where a fact came next.

    But for doubts: they follow from the takeover's own event, and a commit is whole, so that none is ever found half made.
    """
    driven = Driven(plan, data, cancels=True)
    for _ in range(length):
        driven.act()
    driven.finish()
    run = driven.run
    for recorded in run.events[1:]:
        if recorded.event.type == "effect.in_doubt":
            continue
        state, schedule = run.at(recorded.version - 1)
        decision = schedule.decide(state, recorded.at)
        if recorded.event.decision:
            assert decision == (recorded.event, recorded.step, recorded.attempt)
        elif decision is not None:
            # The clock stood later when this fact came than when it was last asked: only a due retry may follow meanwhile.
            assert decision[0].type == "step.started"
            assert state.steps[str(decision[1])].status is StepStatus.WAITING

"""What holds for every run, whatever the graph, the modes, the failures and the commands: laws of the scheduler, by hypothesis."""

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.commands import facts_of
from engine.graph import COMPENSATE, Plan
from engine.scheduler import Schedule
from store.events import (
    BudgetReached,
    EffectInDoubt,
    EffectSucceeded,
    Event,
    Failure,
    RunMigrated,
    Safety,
    StepAdded,
    StepCompleted,
    StepEnabled,
    StepEvaluated,
    StepFailed,
    StepPublished,
    StepReset,
    StepSkipped,
    StepStarted,
    Usage,
)
from store.projector import evolve
from store.state import RunState, RunStatus, StepStatus, child_of, group_of
from tests import drawing
from tests.deciding import Run, plan_at
from tests.oracle import BUSY, FAILED, Oracle

ACTS = (
    ["complete"] * 14 + ["fail"] * 4 + ["look"] * 8 + ["wait"] * 3 + ["approve"] * 3
    + ["hopeless", "timeout", "ask", "ask", "model", "model", "crash", "pause", "resume", "resume", "decline", "publish", "enable"]
    + ["add", "race", "skip", "cancel", "retry", "retry", "budget", "migrate", "stop"]
)  # fmt: skip
QUICK = 1.0


class Driven:
    """A run driven by chance, checked against the oracle at every event."""

    def __init__(self, plan: Plan, random: Random) -> None:
        self.random, self.run, self.checked, self.extra = random, Run(plan, seed=random.randrange(2**32)), 1, 0
        self.before = RunState()
        evolve(self.before, self.run.events[0])
        self.run.attach()
        self.check()

    # -- acts

    def act(self) -> None:
        """One fact, drawn, and what follows."""
        getattr(self, f"_{self.random.choice(ACTS)}")()
        self.check()

    def leaves(self) -> list[str]:
        """The attempts that run."""
        steps = self.run.state.steps
        return [path for path, held in steps.items() if held.status is StepStatus.RUNNING and held.items is None]

    def _touch(self) -> str | None:
        leaves = self.leaves()
        return self.random.choice(leaves) if leaves else None

    def _complete(self) -> None:
        if path := self._touch():
            self.finish_attempt(path)

    def finish_attempt(self, path: str) -> None:
        """The attempt returns; a switch chooses."""
        definition = self.run.plan.steps.get(path)
        branches = list((definition.switch if definition is not None else None) or ())
        closes = [branch for branch in branches if branch != branches[0]] if branches else []
        if branches and self.random.random() < 0.5:
            closes = branches[:1]
        self.run.settle((StepCompleted(closes=closes), path, self.run.attempt(path)))

    def _fail(self, kind: str = "error", retryable: bool = True) -> None:
        if path := self._touch():
            self.run.fail(path, kind=kind, retryable=retryable)

    def _hopeless(self) -> None:
        self._fail(retryable=False)

    def _timeout(self) -> None:
        self._fail("timeout")

    def _decline(self) -> None:
        if path := self._touch():
            passes = self.run.plan.step_of(path).skip != "propagate"
            self.run.settle((StepSkipped("a model said no", None, passes), path, self.run.attempt(path)))

    def _look(self) -> None:
        if looking := list(self.run.schedule.looking):
            name = self.random.choice(looking)
            self.run.look(name, self._seen(name))

    def _seen(self, name: str) -> Event:
        step, held, random = self.run.plan.steps[name], self.run.state.steps[name], self.random
        if held.status is StepStatus.RUNNING and held.items is not None:
            return self._gathered(name)
        fits = [dep for dep in step.depends_on if dep.type in ("data", "validation") and dep.step not in held.refused]
        completed = [dep.step for dep in fits if self.run.state.steps[dep.step].status is StepStatus.COMPLETED]
        if completed and random.random() < 0.3:
            return StepEvaluated("wait", "its output does not do", [random.choice(completed)])
        if step.condition is not None and random.random() < 0.3:
            return StepEvaluated("skip", "its condition does not hold")
        if random.random() < 0.1:
            return StepEvaluated("fail", "a path is missing")
        if step.while_ is not None:
            return StepEvaluated("run", items=1)
        return StepEvaluated("run", items=random.randint(0, 6) if step.for_each is not None else None)

    def _gathered(self, name: str) -> Event:
        step, steps, items = self.run.plan.steps[name], self.run.state.steps, self.run.state.steps[name].items or 0
        broken = [index for index in range(items) if steps[child_of(name, index)].status in FAILED]
        if broken and (step.while_ is not None or step.item_failures == "fail"):
            return StepFailed(Failure("items", "an item failed", retryable=False))
        if step.while_ is not None and items < 4 and self.random.random() < 0.6:
            return StepEvaluated("run", items=items + 1)
        return StepCompleted()

    def _wait(self) -> None:
        self.run.wait(self.random.choice([0.5, 4.0, 6.0]))

    def _approve(self, kind: bool | None = None) -> None:
        asked = [name for name, held in self.run.state.steps.items() if held.approval and held.approval.answer == "asked"]
        waiting = [name for name in asked if self.run.state.steps[name].status is StepStatus.WAITING]
        if waiting:
            self.run.command("approve", step=self.random.choice(waiting), approved=self.random.random() < 0.7)

    def _ask(self) -> None:
        if path := self._touch():
            self.run.request(path, self.random.choice(list(Safety)))

    def _model(self) -> None:
        if path := self._touch():
            request = self.run.request(path, Safety.READ)
            self.run.settle((EffectSucceeded(request, usage=Usage("m", 10, 5, 0.01)), path, self.run.attempt(path)))

    def _crash(self) -> None:
        self.run.attach()

    def _pause(self) -> None:
        self.run.command("pause")

    def _resume(self) -> None:
        self.run.command("resume")

    def _publish(self) -> None:
        if path := self._touch():
            self.run.settle((StepPublished(), path, self.run.attempt(path)))

    def _enable(self) -> None:
        if path := self._touch():
            target = self.random.choice(self.run.plan.names)
            self.run.settle((StepEnabled(target, self.random.random() < 0.4), path, self.run.attempt(path)))

    def _add(self) -> None:
        path, plan = self._touch(), self.run.plan
        if path is None or path.endswith(COMPENSATE) or self.extra > 3:
            return
        self.extra += 1
        needs = self.random.sample(plan.names, min(len(plan.names), self.random.randint(0, 2)))
        step = drawing.added(self.random, f"x{self.extra}", needs)
        awaited = {one for need in needs for one in (need, *plan.standins(need))}
        before = [
            name
            for name in plan.names
            if self.run.state.steps[name].status is StepStatus.PENDING and not plan.descendants({name}) & awaited
        ]
        chosen = self.random.sample(before, min(len(before), self.random.randint(0, 1)))
        self.run.settle((StepAdded(step.name, step.to_json(), "f", chosen), path, self.run.attempt(path)))

    def _of_any(self, kind: str) -> None:
        self.run.command(kind, step=self.random.choice(list(self.run.state.steps)))

    def _race(self) -> None:
        """A command and the end of an attempt come in one commit."""
        path, random = self._touch(), self.random
        if path is None:
            return
        target = path if random.random() < 0.7 else random.choice(list(self.run.state.steps))
        facts = facts_of(self.run.state, random.choice(["cancel", "skip"]), {"step": target}, strict=False)[0]
        ends = [StepCompleted(), StepFailed(Failure("error", "it broke", random.random() < 0.7))]
        self.run.settle(*facts, (random.choice(ends), path, self.run.attempt(path)))

    def _skip(self) -> None:
        self._of_any("skip")

    def _cancel(self) -> None:
        self._of_any("cancel")

    def _retry(self) -> None:
        failed = [path for path, held in self.run.state.steps.items() if held.status in FAILED]
        if failed:
            self.run.command("retry", step=self.random.choice(failed))

    def _budget(self) -> None:
        self.run.command("budget", calls=self.random.randint(1, 9))

    def _stop(self) -> None:
        if self.random.random() < 0.1:
            self.run.command("cancel")

    def _migrate(self) -> None:
        """The pipeline changed; no step that is in doubt may be among those that start over."""
        run, state = self.run, self.run.state
        if state.status.ended or state.undoing is not None or state.open or self.random.random() < 0.7:
            return
        names = [step.name for step in run.plan.definition.steps]
        changed = self.random.sample(names, min(len(names), 2))
        run.settle((RunMigrated("0" * 64, names, changed=changed), None, 0))

    # -- to the end

    def finish(self) -> None:
        """Let everything that is left come to its end: doubts are resolved, pauses lifted, clocks go on."""
        run = self.run
        for _ in range(900):
            if run.state.status.ended:
                return
            doubtful = [(request, effect) for request, effect in run.state.open.items() if effect.in_doubt]
            if run.state.pausing and any(reached.startswith(":") for reached in run.state.reached):
                run.command("budget", calls=1_000_000_000, seconds=1e9)
            elif run.state.pausing:
                run.command("resume")
            elif doubtful:
                run.resolve(doubtful[0][1].step, doubtful[0][0], "again")
            elif run.schedule.looking:
                self._look()
            elif leaves := self.leaves():
                self.finish_attempt(leaves[0])
            elif any(held.approval and held.approval.answer == "asked" for held in run.state.steps.values()):
                self._approve()
                run.wait(QUICK)
            else:
                run.wait(60.0)
            self.check()
        raise AssertionError(f"the run does not end: {run.state}")

    # -- the laws

    def check(self) -> None:
        """Hold everything that was recorded since the last look against the oracle, and what was not decided too."""
        for recorded in self.run.events[self.checked :]:
            plan = self.run.plan if not self.extra else plan_at(self.run.plan, self.run.events[: recorded.version])
            oracle = Oracle(plan, self.before)
            self._justified(oracle, recorded.event, recorded.step, recorded.at)
            evolve(self.before, recorded)
        self.checked = len(self.run.events)
        self._nothing_left(Oracle(self.run.plan, self.run.state))

    def _justified(self, oracle: Oracle, event: Event, path: str | None, now: float) -> None:
        """One event follows from the moment before it."""
        if isinstance(event, StepStarted):
            assert path is not None
            why = oracle.may_start(path, now)
            assert why is None, f"{path} started although {why}"
        elif isinstance(event, StepSkipped) and path in oracle.steps and not oracle.state.steps[path].wish:
            if oracle.state.steps[path].status is StepStatus.PENDING:
                stand = oracle.stand(path)
                assert stand in ("skip", "impossible"), f"{path} was skipped although {stand}"
        elif isinstance(event, BudgetReached):
            assert event.used >= event.limit

    def _nothing_left(self, oracle: Oracle) -> None:
        """Where nothing follows any more nothing should: what could start has, what cannot run is skipped, limits hold."""
        state, plan, schedule = self.run.state, self.run.plan, self.run.schedule
        assert len(oracle.leaves()) <= plan.limit
        assert len(oracle.chain(BUSY)) <= 1
        for name in plan.names:
            if oracle.grouped(name):
                assert len(oracle.children(name, BUSY)) <= oracle.width(name), name
        assert all(state.steps[path].status.settled for path in state.wishes), state.wishes
        if state.status is not RunStatus.RUNNING or state.undoing is not None:
            return
        for name in plan.names:
            if state.steps[name].status is StepStatus.PENDING:
                self._rightly_pending(oracle, name, name in schedule.looking)
        for path, held in state.steps.items():
            group = group_of(path)
            due = held.status is StepStatus.WAITING and held.due is not None
            if due or (held.status is StepStatus.PENDING and group is not None and state.steps[group].status is StepStatus.RUNNING):
                assert oracle.may_start(path, self.run.now) is not None, f"{path} could start"

    def _rightly_pending(self, oracle: Oracle, name: str, looked: bool) -> None:
        stand = oracle.stand(name)
        assert (stand == "look") == looked, f"{name}: {stand}, looked at: {looked}"
        assert stand in ("waiting", "look", "ready"), f"{name} is pending although {stand}"
        assert stand != "ready" or oracle.may_start(name, self.run.now) is not None, f"{name} could start"

    def check_end(self) -> None:
        """The verdict is the oracle's, everything has settled, and what completed is undone where the run failed."""
        state, plan = self.run.state, self.run.plan
        oracle = Oracle(plan, state)
        assert state.settled + state.nested_settled == len(state.steps), state
        assert not (state.reason or "").startswith("deadlock")
        spent = any(item.event.action == "fail" for item in self.run.events if isinstance(item.event, BudgetReached))
        if not spent:
            assert state.status.word == oracle.verdict()
        if state.status is RunStatus.FAILED:
            done = [name for name in plan.compensable if state.steps[name].status is StepStatus.COMPLETED]
            done.sort(key=lambda name: -(state.steps[name].output or 0))
            assert (state.undoing or []) == [f"{name}{COMPENSATE}" for name in done]


def driven(plan: Plan, random: Random, length: int) -> Driven:
    """A run with so many acts of chance, then let come to its end."""
    found = Driven(plan, random)
    for _ in range(length):
        found.act()
    found.finish()
    return found


def rebuilt(run: Run) -> Iterator[tuple[RunState, Schedule, int]]:
    """State and schedule as a driver that comes anew makes them, after every event; what a commit leaves undone is left out."""
    state, plan, owed = RunState(), Plan(run.plan.definition, run.plan.limit), False
    for recorded in run.events:
        evolve(state, recorded)
        if isinstance(recorded.event, StepAdded):
            plan = plan_at(run.plan, run.events[: recorded.version])
        following = run.events[recorded.version] if recorded.version < len(run.events) else None
        kind = recorded.event
        owed = (owed or isinstance(kind, RunMigrated) or kind.type == "run.attached") and recorded.version not in run.quiet
        next_kind = following.event if following is not None else None
        doubt = isinstance(next_kind, EffectInDoubt)
        reset = isinstance(next_kind, StepReset) and next_kind.reason == "the definition changed"
        if not doubt and not reset:
            yield state, Schedule(plan, state), recorded.version


def check_rebuilt(run: Run) -> None:
    """Whoever comes anew at any event decides what was decided, and wants the same looks and timers where nothing followed."""
    live = {item.version: item for item in run.events}
    for state, schedule, version in rebuilt(run):
        following = live.get(version + 1)
        if following is not None and following.version in run.followed:
            decision = schedule.decide(state, following.at)
            assert decision == (following.event, following.step, following.attempt), (version, decision, following)
        elif version in run.quiet:
            decision = schedule.decide(state, run.quiet[version])
            assert decision is None, (version, decision)
            assert set(schedule.looking) == run.wanted[version], version
            assert schedule.next_timer(state) == run.timers[version], version


SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@SETTINGS
@given(st.randoms(use_true_random=False), st.integers(0, 60))
def test_every_run_keeps_the_laws_and_ends(random: Random, length: int) -> None:
    """No step starts before the oracle lets it or while paused, none that could start is left waiting, no limit is passed, one
    serial step at most is under way, every transition is in the table, and every run ends with the right verdict.
    """
    driven(drawing.plan(random), random, length).check_end()


@SETTINGS
@given(st.randoms(use_true_random=False), st.integers(0, 60))
def test_a_schedule_rebuilt_at_any_event_decides_the_same(random: Random, length: int) -> None:
    """`Schedule(plan, project(first n events))` makes the decision that was recorded next, or none where none followed.

    But for doubts and a migration's resets: they follow from the event itself, and a commit is whole, so that neither is ever
    found half made.
    """
    check_rebuilt(driven(drawing.plan(random), random, length).run)


@pytest.mark.torture
@pytest.mark.parametrize("block", range(20))
def test_many_more_runs_keep_the_laws(block: int) -> None:
    """Twenty thousand drawn runs, both laws."""
    for seed in range(block * 1000, block * 1000 + 1000):
        random = Random(seed)
        held = driven(drawing.plan(random), random, random.randint(0, 80))
        held.check_end()
        check_rebuilt(held.run)

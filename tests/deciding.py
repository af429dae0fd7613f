"""A run in miniature for tests of the scheduler: facts go in at a time, the decisions that follow come out, no I/O anywhere."""

from collections.abc import Iterable
from typing import Any

from engine.commands import facts_of
from engine.definition import Definition, Dep, ExecutionMode, StepDefinition
from engine.graph import Plan
from engine.policies import RetryPolicy
from engine.scheduler import Schedule
from engine.wishes import Decision
from store.events import (
    EffectRequested,
    EffectResolved,
    Event,
    Failure,
    Recorded,
    RunAttached,
    RunCreated,
    Safety,
    SignalReceived,
    StepAdded,
    StepCompleted,
    StepFailed,
)
from store.projector import evolve, project
from store.state import STEP_TRANSITIONS, RunState, StepStatus

NO_RETRY = RetryPolicy(max_retries=0)


def step(name: str, *needs: str, mode: str = "concurrent", retry: RetryPolicy = NO_RETRY) -> StepDefinition:
    """A function step that needs others."""
    return StepDefinition(
        name, run=f"tests:{name}", depends_on=tuple(Dep(need) for need in needs), execution_mode=ExecutionMode(mode), retry=retry
    )


def plan_of(*steps: StepDefinition, limit: int = 5) -> Plan:
    """A plan of these steps."""
    return Plan(Definition("tried", steps=tuple(steps)), limit)


class Run:
    """A run being decided. `events` is its whole history; every transition is checked against the table as it is folded.

    `followed` are the versions of events that were decided; `quiet` has, by version, the time at which nothing followed any more;
    `wanted` and `timers` what was to be looked at then, and when to come back.
    The plan is the run's own: it grows with steps that are added.
    """

    def __init__(self, plan: Plan, *, seed: int = 7) -> None:
        self.plan, self.now = Plan(plan.definition, plan.limit), 1000.0
        self.events: list[Recorded] = []
        self.followed: set[int] = set()
        self.quiet: dict[int, float] = {}
        self.wanted: dict[int, set[str]] = {}
        self.timers: dict[int, float | None] = {}
        self.state = RunState()
        self.schedule = Schedule(self.plan, self.state)
        created = RunCreated("tried", "0" * 64, list(plan.names), seed=seed)
        self.fold(created)
        self.schedule = Schedule(self.plan, self.state)

    def fold(self, event: Event, name: str | None = None, attempt: int = 0) -> Recorded:
        """Fold one event and let the schedule note it."""
        before = self.state.steps[name].status if name in self.state.steps else StepStatus.PENDING
        recorded = Recorded(self.state.version + 1, self.now, event, name, attempt)
        evolve(self.state, recorded)
        if name is not None:
            assert legal(event, before, self.state.steps[name].status), (event, name, before)
        self.events.append(recorded)
        self.schedule.note(self.state, recorded)
        return recorded

    def settle(self, *facts: tuple[Event, str | None, int]) -> list[Decision]:
        """Fold facts, then every decision that follows; returns the decisions."""
        for event, name, attempt in facts:
            self.fold(event, name, attempt)
        made = []
        while (decision := self.schedule.decide(self.state, self.now)) is not None:
            made.append(decision)
            self.followed.add(self.fold(*decision).version)
        self.quiet[self.state.version] = self.now
        self.wanted[self.state.version] = set(self.schedule.looking)
        self.timers[self.state.version] = self.schedule.next_timer(self.state)
        return made

    def attach(self) -> list[Decision]:
        """A driver takes over."""
        return self.settle((RunAttached(1, 1.0), None, 0))

    def complete(self, *names: str) -> list[Decision]:
        """The running attempts of these steps return."""
        return self.settle(*((StepCompleted(), name, self.attempt(name)) for name in names))

    def fail(self, *names: str, kind: str = "error", retryable: bool = True, after: float | None = None) -> list[Decision]:
        """The running attempts of these steps fail."""
        failure = Failure(kind, "it broke", retryable, after)
        return self.settle(*((StepFailed(failure), name, self.attempt(name)) for name in names))

    def signal(self, kind: str) -> list[Decision]:
        """Somebody asks for something."""
        return self.settle((SignalReceived(0, kind), None, 0))

    def command(self, kind: str, **body: Any) -> list[Decision]:
        """Somebody gives a command, as it is recorded where it fits and where it does not."""
        return self.settle(*facts_of(self.state, kind, body, strict=False)[0])

    def look(self, name: str, event: Event) -> list[Decision]:
        """What a look at contents came to."""
        assert name in self.schedule.looking
        return self.settle((event, name, self.attempt(name)))

    def request(self, name: str, safety: Safety = Safety.IRREVERSIBLE) -> int:
        """The running attempt of a step asks the world; returns the request's version."""
        return self.fold(EffectRequested("once", "x", "0", safety), name, self.attempt(name)).version

    def resolve(self, name: str, request: int, outcome: str) -> list[Decision]:
        """Somebody says what became of an effect in doubt."""
        return self.settle((EffectResolved(request, outcome), name, self.attempt(name)))

    def wait(self, seconds: float) -> list[Decision]:
        """Time passes."""
        self.now += seconds
        return self.settle()

    def attempt(self, name: str) -> int:
        """The number of a step's latest attempt."""
        return self.state.steps[name].attempt

    def at(self, version: int) -> tuple[RunState, Schedule]:
        """State and schedule rebuilt from the first events, as a driver that comes anew makes them."""
        state = project(self.events[:version])
        return state, Schedule(plan_at(self.plan, self.events[:version]), state)


def legal(event: Event, before: StepStatus, after: StepStatus) -> bool:
    """Whether the table of transitions allows what an event did to its step (events that move no step are always legal)."""
    allowed = STEP_TRANSITIONS.get(event.type)
    return allowed is None or (before, after) in allowed


def plan_at(plan: Plan, events: Iterable[Recorded]) -> Plan:
    """The plan as it was after these events: with the steps that were added by then."""
    added = [item.event for item in events if isinstance(item.event, StepAdded)]
    return Plan(plan.definition, plan.limit, [(StepDefinition.from_json(event.definition), event.before) for event in added])


def words(decisions: Iterable[Decision]) -> list[str]:
    """Decisions as short texts: `step.started a` or `run.completed`."""
    return [event.type if name is None else f"{event.type} {name}" for event, name, _ in decisions]

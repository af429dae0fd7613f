"""Breakers: what recorded outcomes say about asking a model or tool again."""

import asyncio
from typing import Any

import pytest

from engine.breakers import Closed, Open, Trial, verdict
from engine.errors import CircuitOpenError
from engine.limits import Gate
from engine.models.errors import ModelError, ModelErrorKind
from engine.policies import BreakerPolicy
from store.effect_rules import BREAKERS_LIMIT, COUNTED
from store.events import (
    EffectFailed,
    EffectRequested,
    EffectSucceeded,
    Event,
    Failure,
    Payload,
    Recorded,
    Safety,
    StepFailed,
    StepStarted,
)
from store.projector import evolve, project
from store.state import Breaker, RunState
from tests.happenings import created

POLICY = BreakerPolicy(failures=3, seconds=60)


class Run:
    """A run in which a step asks `m`; a second passes with each event."""

    def __init__(self) -> None:
        self.events = [created(["a", "b"])]
        self.state = project(self.events)
        self.now = 100.0
        for name in ("a", "b"):
            self.fold(StepStarted(), name)

    def fold(self, event: Event, step: str = "a", attempt: int = 1) -> int:
        self.now += 1
        self.events.append(Recorded(self.state.version + 1, self.now, event, step, attempt))
        evolve(self.state, self.events[-1])
        return self.state.version

    def ask(self, name: str = "m", kind: str = "model", step: str = "a") -> int:
        return self.fold(EffectRequested(kind, name, "0", Safety.READ), step)

    def fails(self, failure: str = "model.unavailable", **asked: Any) -> None:
        self.fold(EffectFailed(self.ask(**asked), Failure(failure, "down")))

    def answers(self, **asked: Any) -> None:
        self.fold(EffectSucceeded(self.ask(**asked), Payload()))

    def verdict(self, after: float = 0.0, kind: str = "model") -> Closed | Open | Trial:
        return verdict(self.state, kind, "m", self.now + after, POLICY)


@pytest.fixture
def run() -> Run:
    return Run()


def test_failures_in_a_row_open_it_for_a_time_and_then_one_may_try(run: Run) -> None:
    """Closed up to the last but one failure, open from the last for the policy's seconds, half open after that."""
    for _ in range(2):
        run.fails()
        assert run.verdict() == Closed()
    run.fails()
    failed_at = run.now
    assert run.verdict() == run.verdict(after=59.9) == Open(failed_at + 60)
    assert run.verdict(after=60) == Trial(failed_at)


def test_an_answer_closes_it_and_a_failed_trial_opens_it_anew(run: Run) -> None:
    """One success forgets all failures; one more failure at half open leaves it alone for the whole time again."""
    for _ in range(3):
        run.fails()
    run.now += 100
    run.fails()
    assert run.verdict() == Open(run.now + 60)
    run.now += 100
    run.answers()
    assert run.verdict() == Closed()
    assert run.state.breakers == {}


@pytest.mark.parametrize("kind", [kind.value for kind in ModelErrorKind])
def test_only_failures_of_the_other_side_count(run: Run, kind: str) -> None:
    """Time-outs, rate limits and a server that is down count; what is wrong with the request or the key does not, nor resets it."""
    run.fails()
    run.fails(f"model.{kind}")
    counts = kind in ("timeout", "rate_limit", "unavailable")
    assert run.state.breakers["model m"].failures == 1 + counts


def test_a_refused_call_is_no_failure_of_the_model(run: Run) -> None:
    """Calls an open breaker refused do not keep it open."""
    for _ in range(3):
        run.fails()
    failed_at = run.now
    run.fails("circuit")
    assert run.state.breakers["model m"] == Breaker(3, failed_at)


def test_models_tools_and_other_effects_are_kept_apart(run: Run) -> None:
    """A tool's own exceptions count for the tool of that name, and functions called by `once` have no breaker."""
    for _ in range(3):
        run.fails("error", kind="tool")
        run.fails("error", kind="once")
        run.fails("timeout", kind="once")
    assert isinstance(run.verdict(kind="tool"), Open)
    assert run.verdict() == Closed()
    assert set(run.state.breakers) == {"tool m"}
    assert set(COUNTED) == {"tool", "model"}


def test_what_was_taken_from_a_recording_says_nothing(run: Run) -> None:
    """Outcomes with a source are old news: they neither count nor close."""
    run.fails()
    run.fold(EffectFailed(run.ask(), Failure("model.unavailable", "down"), source=("r", 1)))
    run.fold(EffectSucceeded(run.ask(), Payload(), source=("r", 2)))
    assert run.state.breakers["model m"].failures == 1


def test_no_failures_means_never_left_alone(run: Run) -> None:
    """A policy of 0 failures has no breaker."""
    for _ in range(9):
        run.fails()
    assert verdict(run.state, "model", "m", run.now, BreakerPolicy(failures=0)) == Closed()


def test_the_state_stays_small(run: Run) -> None:
    """Of more names than are kept, the ones that failed last are."""
    for number in range(BREAKERS_LIMIT + 10):
        run.fails(name=f"m{number}")
        run.fails(name="often")
    assert len(run.state.breakers) == BREAKERS_LIMIT
    assert run.state.breakers["model often"].failures == BREAKERS_LIMIT + 10
    assert "model m0" not in run.state.breakers


class NoSlots:
    """Where no limit is set nobody asks for a place."""


@pytest.fixture
def gate(run: Run) -> Gate:
    for _ in range(3):
        run.fails()
    run.now += 100
    return Gate(run.state, POLICY, {}, NoSlots(), now=lambda: run.now, say=print)  # type: ignore[arg-type]


async def attempt(gate: Gate, step: str = "a") -> str:
    """One call through the gate."""
    try:
        async with gate.admitted("model", "m", (step, 1)):
            return "asked"
    except CircuitOpenError as error:
        return f"refused: {error.retry_after}"


async def test_only_one_call_tries_at_half_open(run: Run, gate: Gate) -> None:
    """Until the trial's outcome is recorded others are refused at once; its failure opens the breaker, a success closes it."""
    trial = run.ask()
    run.ask(step="b")
    assert await attempt(gate) == "asked"
    assert await attempt(gate, "b") == "refused: 1.0"
    run.fold(EffectFailed(trial, Failure("model.timeout", "slow")))
    assert await attempt(gate, "b") == "refused: 60.0"
    run.now += 60
    trial = run.ask()
    assert await attempt(gate) == "asked"
    run.fold(EffectSucceeded(trial, Payload()))
    assert await attempt(gate, "b") == "asked"


async def test_a_trial_that_comes_to_nothing_leaves_the_next_one(run: Run, gate: Gate) -> None:
    """A cancelled trial, one that failed by its own fault, and one whose attempt was closed each let another call try."""
    mine = run.ask()
    with pytest.raises(asyncio.CancelledError):
        async with gate.admitted("model", "m", ("a", 1)):
            raise asyncio.CancelledError
    run.ask(step="b")
    assert await attempt(gate, "b") == "asked"
    run.fold(StepFailed(Failure("timeout", "too slow")), "b")
    with pytest.raises(ModelError):
        async with gate.admitted("model", "m", ("a", 1)):
            raise ModelError(ModelErrorKind.BAD_REQUEST, "no such parameter")
    run.fold(EffectFailed(mine, Failure("model.bad_request", "no such parameter")))
    run.ask()
    assert await attempt(gate) == "asked"


def test_a_breaker_survives_the_driver(run: Run) -> None:
    """A state folded anew from the same events says the same."""
    for _ in range(3):
        run.fails()
    assert verdict(project(run.events, RunState()), "model", "m", run.now, POLICY) == run.verdict() == Open(run.now + 60)

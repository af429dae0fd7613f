"""What child runs mean in their caller's state: what they used, and when a caller only waits for them. Pure."""

import pytest

from engine.budgets import allowance, held, raises
from engine.definition import Budget
from engine.spending import by_model, uncounted
from store.events import (
    BudgetReached,
    BudgetSet,
    ChildParked,
    ChildResumed,
    ChildSpent,
    EffectFailed,
    EffectRequested,
    EffectSucceeded,
    Event,
    Failure,
    Payload,
    Recorded,
    RunAttached,
    RunCreated,
    RunPaused,
    Safety,
    SignalReceived,
    Spent,
    StepStarted,
    Usage,
)
from store.projector import project
from store.state import RunState, RunStatus, shown_status, waits_for_person, working

ASKED = EffectRequested("child", "inner", "h", Safety.IDEMPOTENT)
OTHER = EffectRequested("sleep", "sleep", "h", Safety.PURE)


def after(*events: Event) -> RunState:
    """A run with a step that runs from event 3 on, and these events of it from 4 on."""
    of_run = (RunCreated, RunAttached, RunPaused, SignalReceived)
    all_of_it = [RunCreated("p", "d", ["calls"], "p"), RunAttached(1, 1.0), StepStarted(), *events]
    return project(
        Recorded(version, float(version), event, None if isinstance(event, of_run) else "calls", 1)
        for version, event in enumerate(all_of_it, 1)
    )


@pytest.mark.parametrize(
    ("events", "waits"),
    [
        ((ASKED,), False),
        ((ASKED, ChildParked(4, "waiting")), True),
        ((ASKED, ChildParked(4, "paused")), True),
        ((ASKED, ChildParked(4, "waiting"), ChildResumed(4)), False),
        ((ASKED, ChildParked(4, "waiting"), RunAttached(2, 2.0)), False),
        ((ASKED, OTHER, ChildParked(4, "waiting")), False),
        ((ASKED, OTHER, ChildParked(4, "waiting"), EffectSucceeded(5)), True),
        ((ASKED, ChildParked(4, "waiting"), EffectSucceeded(4)), False),
    ],
)
def test_a_run_waits_when_all_that_is_under_way_waits_for_parked_children(events: tuple[Event, ...], waits: bool) -> None:
    """A parked child makes its caller wait unless something else is open; it ends with the child going on or another driver."""
    state = after(*events)
    assert waits_for_person(state) is waits
    assert working(state) == (0 if waits else 1)


def test_a_paused_run_whose_children_are_paused_is_paused() -> None:
    """It rests: nobody is waited for, and it is not interrupted."""
    state = after(ASKED, SignalReceived(1, "pause"), RunPaused(), ChildParked(4, "paused"))
    assert not waits_for_person(state)
    assert shown_status(state, alive=False) is RunStatus.PAUSED


def test_what_children_used_counts_once_by_model() -> None:
    """Calls of its own and sums of children add up by model, of failed ones too; what came from a recording was paid there."""
    spent = (Spent("a", 2, 10, 4, 0.5, 1), Spent("b", 1, 3, 1, 0.25))
    events: list[Event] = [
        EffectSucceeded(4, Payload(), Usage("a", 5, 5, 0.25)),
        EffectSucceeded(5, spent=spent),
        EffectFailed(6, Failure("child", "no"), spent=spent[1:]),
        EffectSucceeded(7, source=("other", 3), spent=spent),
        ChildSpent(4, spent[1:]),
    ]
    recorded = [Recorded(number, 1.0, event, "calls", 1) for number, event in enumerate(events, 8)]
    assert by_model(recorded) == (Spent("a", 3, 15, 9, 0.75, 1), Spent("b", 3, 9, 3, 0.75))
    state = after(*events)
    assert (state.calls, state.prompt_tokens, state.completion_tokens, state.cost, state.unpriced) == (6, 24, 12, 1.5, 1)
    assert (state.steps["calls"].calls, state.steps["calls"].cost) == (6, 1.5)


def test_what_a_caller_has_counted_of_a_child_is_not_counted_again() -> None:
    """The open effect knows what was said of its child by model; what is left is the child's sum without it, and no rounding."""
    told = (ChildSpent(4, (Spent("a", 1, 3, 4, 0.1),)), ChildSpent(4, (Spent("b", 1), Spent("a", 1, 2, 2, 0.2))))
    counted = after(ASKED, *told).open[4].spent
    assert counted == (Spent("a", 2, 5, 6, 0.1 + 0.2), Spent("b", 1))
    assert uncounted((Spent("a", 5, 5, 6, 0.75), Spent("b", 1, cost=1e-17), Spent("c", 2)), counted) == (
        Spent("a", 3, 0, 0, 0.75 - (0.1 + 0.2)),
        Spent("c", 2),
    )


BUDGETS = {"": Budget(calls=4), "calls": Budget(tokens=20, action="fail"), "other": Budget(calls=1)}


def child(*events: Event, calls: int = 3, tokens: int = 6) -> RunState:
    """A child that was given what is left, and used so much."""
    used = ChildSpent(9, (Spent("m", calls, tokens),))
    return project(
        Recorded(version, 1.0, event, "asks") for version, event in enumerate((RunCreated("c", "d", ["asks"]), *events, used), 1)
    )


def test_a_child_may_use_what_it_used_and_what_all_around_it_leave() -> None:
    """What it used stands in its caller already; where nothing is left that is all it may use, and a child that begins, nothing."""
    caller = after(ASKED, ChildSpent(4, (Spent("m", 3, 6),)))
    assert allowance(BUDGETS, caller, "calls", None, 9.0, child()) == BudgetSet(calls=4, tokens=20, action="fail")
    assert allowance(BUDGETS, caller, "calls", Budget(calls=2), 9.0) == BudgetSet(calls=1, tokens=14, action="fail")
    more = after(ASKED, ChildSpent(4, (Spent("m", 5, 60),)))
    assert allowance(BUDGETS, more, "calls", None, 9.0, child()) == BudgetSet(calls=3, tokens=6, action="fail")
    assert allowance(BUDGETS, more, "calls", None, 9.0) == BudgetSet(calls=0, tokens=0, action="fail")


def test_a_used_up_budget_holds_a_child_at_what_it_used() -> None:
    """Of the run's budget or its step's, never of another step's or one that somebody let go on; it is held once."""
    reached = BudgetReached("", "calls", 4, 5, "pause")
    paused = after(ASKED, reached)
    assert held(BUDGETS, paused, "calls", child(), 9.0) == BudgetSet(calls=3, action="pause")
    assert held(BUDGETS, paused, "calls", child(BudgetSet(calls=3), BudgetReached("", "calls", 3, 3, "pause")), 9.0) is None
    assert held(BUDGETS, after(ASKED, reached, SignalReceived(1, "resume")), "calls", child(), 9.0) is None
    assert held(BUDGETS, after(ASKED, BudgetReached("other", "calls", 1, 1, "pause")), "calls", child(), 9.0) is None
    failing = after(ASKED, BudgetReached("calls", "tokens", 20, 21, "fail"))
    assert held(BUDGETS, failing, "calls[2]", child(), 9.0) == BudgetSet(tokens=6, action="fail")


def test_an_allowance_raises_only_what_is_more_than_a_child_was_given() -> None:
    """What is less, the same but for rounding, or was never limited, is left as it is."""
    given = child(BudgetSet(cost=0.3, calls=5, tokens=10))
    assert raises(BudgetSet(cost=0.1 + 0.2, calls=4, tokens=11, seconds=2.0), given) == {"tokens": 11}
    assert raises(None, given) == {}

"""What child runs mean in their caller's state: what they used, and when a caller only waits for them. Pure."""

import pytest

from engine.spending import by_model
from store.events import (
    ChildParked,
    ChildResumed,
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
    ]
    recorded = [Recorded(number, 1.0, event, "calls", 1) for number, event in enumerate(events, 8)]
    assert by_model(recorded) == (Spent("a", 3, 15, 9, 0.75, 1), Spent("b", 2, 6, 2, 0.5))
    state = after(*events)
    assert (state.calls, state.prompt_tokens, state.completion_tokens, state.cost, state.unpriced) == (5, 21, 11, 1.25, 1)
    assert (state.steps["calls"].calls, state.steps["calls"].cost) == (5, 1.25)

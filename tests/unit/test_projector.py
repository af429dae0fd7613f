"""The fold: complete, total, and the same however it is cut."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store import snapshots
from store.events import (
    EVENTS,
    EffectInDoubt,
    EffectRequested,
    EffectResolved,
    EffectSucceeded,
    Event,
    Failure,
    Recorded,
    RunAttached,
    RunCompleted,
    RunForked,
    RunMigrated,
    Safety,
    SignalReceived,
    StepCompleted,
    StepFailed,
    StepReset,
    StepRetryScheduled,
    StepStarted,
    UnknownEvent,
    Usage,
)
from store.projector import RULES, project
from store.state import RunState, RunStatus, StepStatus
from tests.happenings import DEFINITION_HASH, STEPS, created, one_of_each, payload, runs


def folded(*events: tuple[Event, str | None] | Event) -> RunState:
    """The state of a run of these events, a second apart; a step's come as (event, step), all in attempt 1."""
    recorded = [created()]
    for version, one in enumerate(events, 2):
        event, step = one if isinstance(one, tuple) else (one, None)
        recorded.append(Recorded(version, float(version), event, step, 1 if step else 0))
    return project(recorded)


def test_every_type_has_a_rule() -> None:
    """The table of rules is complete and has nothing else in it."""
    assert set(RULES) == {*EVENTS.values(), UnknownEvent}


@given(runs())
def test_any_history_folds(history: list[Recorded]) -> None:
    """Folding never refuses: any events in any order make a state at the last one's version and time."""
    state = project(history)
    assert (state.version, state.last_at) == (history[-1].version, history[-1].at)


@given(runs())
@settings(max_examples=60)
def test_a_snapshot_anywhere_changes_nothing(history: list[Recorded]) -> None:
    """Folding all equals folding the tail over a kept snapshot, at every version; the law that makes snapshots disposable."""
    whole = project(history)
    state = RunState()
    for place in range(len(history) + 1):
        kept = snapshots.decode(snapshots.compressed(snapshots.encode(state)))
        assert kept == state
        assert project(history[place:], kept) == whole
        state = project(history[place : place + 1], state)


@given(runs())
def test_counts_are_counts(history: list[Recorded]) -> None:
    """The counts by status add up to the steps there are."""
    state = project(history)
    statuses = [step.status for step in state.steps.values()]
    assert state.counts == [statuses.count(status) for status in StepStatus]


@given(runs(), st.integers(0, 40))
def test_folding_changes_only_its_own_state(history: list[Recorded], place: int) -> None:
    """A state folded from another's copy leaves that one alone (nothing is shared through defaults)."""
    state = project(history[:place])
    before = msgspec.msgpack.encode(state)
    project(history[place:], msgspec.msgpack.decode(before, type=RunState))
    assert msgspec.msgpack.encode(state) == before
    assert RunState() == RunState()


def test_a_state_survives_as_compact_arrays() -> None:
    """A state with something in every field comes back from a snapshot equal."""
    history = [Recorded(place, float(place), event, "search", 1) for place, event in enumerate(one_of_each(), 1)]
    state = project(history)
    assert snapshots.decode(snapshots.compressed(snapshots.encode(state))) == state


def test_a_damaged_snapshot_is_no_snapshot() -> None:
    """Bytes that are no snapshot of ours read as None, so the events are folded instead."""
    good = snapshots.compressed(snapshots.encode(folded(RunAttached(1, 1.0))))
    assert [snapshots.decode(bad) for bad in (b"", b"x", good[:-9], snapshots.compressed(b"\x91\xa1x"))] == [None] * 4


def test_a_retried_step_remembers_its_tries() -> None:
    """A failed attempt, the wait and the next start leave one try with its times and reason, and the new attempt running."""
    state = folded(
        RunAttached(1, 1.0),
        (StepStarted(), "search"),
        (StepFailed(Failure("timeout", "too slow")), "search"),
        (StepRetryScheduled(9.0), "search"),
        (StepStarted(), "search"),
    )
    step = state.steps["search"]
    assert (step.status, step.first_started_at, step.started_at, step.due) == (StepStatus.RUNNING, 3.0, 6.0, None)
    ((attempt, started, ended, status, reason),) = [msgspec.structs.astuple(one) for one in step.tries]
    assert (attempt, started, ended, status, reason) == (1, 3.0, 4.0, StepStatus.TIMED_OUT, "too slow")
    assert (state.status, state.failures) == (RunStatus.RUNNING, 1)


def test_paid_outcomes_are_added_once() -> None:
    """Cost and tokens add up over step and run; what a recording gave again (`source`) costs nothing; no price is not zero."""
    usage = Usage("m", 10, 5, 0.5)
    state = folded(
        (StepStarted(), "search"),
        (EffectRequested("model", "m", "h", Safety.READ), "search"),
        (EffectSucceeded(3, payload("a"), usage), "search"),
        (EffectRequested("model", "m", "h", Safety.READ, 1), "search"),
        (EffectSucceeded(5, payload("a"), Usage("m", 1, 1, None)), "search"),
        (EffectRequested("model", "m", "h", Safety.READ, 2), "search"),
        (EffectSucceeded(7, payload("a"), usage, source=("other", 4)), "search"),
    )
    step = state.steps["search"]
    assert (state.cost, state.unpriced, state.tokens, state.calls, state.effects) == (0.5, 1, 17, 2, 3)
    assert (step.cost, step.unpriced, step.calls, step.effects) == (0.5, 1, 2, 3)
    assert state.open == {}


def test_a_closed_attempt_has_no_open_effects() -> None:
    """When an attempt ends, effects it left open are forgotten: their outcomes, should they come, are rejected."""
    request = (EffectRequested("once", "pay", "h", Safety.IRREVERSIBLE), "search")
    for end in (StepCompleted(payload(1)), StepFailed(Failure("error", "no")), StepReset()):
        assert folded((StepStarted(), "search"), request, (end, "search")).open == {}


def test_a_doubt_stays_until_all_are_resolved() -> None:
    """A step in doubt runs again only when none of its effects is in doubt any more."""
    asked = [(EffectRequested("once", name, "h", Safety.IRREVERSIBLE), "search") for name in ("pay", "post")]
    doubts = [(StepStarted(), "search"), *asked, (EffectInDoubt(3), "search"), (EffectInDoubt(4), "search")]
    once = folded(*doubts, (EffectResolved(3, "succeeded"), "search"))
    twice = folded(*doubts, (EffectResolved(3, "succeeded"), "search"), (EffectResolved(4, "again"), "search"))
    assert once.steps["search"].status is StepStatus.IN_DOUBT
    assert twice.steps["search"].status is StepStatus.RUNNING
    assert twice.open == {}, "one to be issued again is a new request"


def test_a_reset_does_not_reset_attempts() -> None:
    """After a reset the step is pending and its next attempt is numbered on."""
    state = folded((StepStarted(), "count"), (StepCompleted(payload(1)), "count"), (StepReset("edited"), "count"))
    step = state.steps["count"]
    assert (step.status, step.output, step.first_attempt, step.attempt) == (StepStatus.PENDING, None, 2, 1)


def test_a_fork_begins_pending_with_its_past() -> None:
    """A fork keeps the steps and costs of its past and the inbox cursor, and is not ended even if its past was."""
    past = [(StepStarted(), "search"), (StepCompleted(payload(1)), "search"), SignalReceived(7, "pause"), RunCompleted()]
    state = folded(*past, RunForked("parent", 5, 6))
    assert (state.status, state.ended_at, state.parent, state.parent_version) == (RunStatus.PENDING, None, "parent", 5)
    assert (state.steps["search"].status, state.inbox, state.pausing) == (StepStatus.COMPLETED, 7, False)


def test_a_migration_keeps_known_steps() -> None:
    """A migrated run has the new definition's steps in its order, known ones with their outcome, removed ones gone."""
    migrated = RunMigrated(DEFINITION_HASH, ["report", "search", "extra"], "ffg", ["report"], ["extra"], ["reviews", "count"])
    state = folded((StepStarted(), "search"), (StepCompleted(payload(1)), "search"), migrated)
    assert list(state.steps) == ["report", "search", "extra"]
    assert [step.status for step in state.steps.values()] == [StepStatus.PENDING, StepStatus.COMPLETED, StepStatus.PENDING]
    assert state.steps["extra"].kind == "g"


def test_the_inbox_cursor_only_grows() -> None:
    """A signal recorded directly (id 0) does not move the cursor back."""
    assert folded(SignalReceived(5, "pause"), SignalReceived(0, "resume")).inbox == 5


@pytest.mark.parametrize("path", ["made_up_later", ""])
def test_an_unknown_step_is_made(path: str) -> None:
    """An event about a step the run does not know makes that step, so a damaged or future log still shows."""
    state = folded((StepStarted(), path) if path else StepStarted())
    assert list(state.steps) == [*STEPS, path]

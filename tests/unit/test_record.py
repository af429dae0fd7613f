"""The one way events enter a run: folded, decided to closure, appended as one, numbered without a gap, never back in time."""

from collections.abc import Sequence
from typing import Any

import msgspec

from engine.record import Record
from store.events import (
    EffectRequested,
    Failure,
    Recorded,
    RunAttached,
    RunCreated,
    RunMigrated,
    Safety,
    SignalReceived,
    StepCompleted,
    StepEvaluated,
    StepFailed,
)
from store.projector import project
from store.runs import RunSummary
from store.state import RunState
from tests.deciding import NO_RETRY, plan_of, step


class Kept:
    """What a lease is asked to keep, as a list: one entry a commit."""

    def __init__(self) -> None:
        self.batches: list[tuple[list[Recorded], list[tuple[str, bytes]], RunSummary | None, bool]] = []
        self.offered: list[int] = []

    def append(self, batch: Sequence[Recorded], blobs: Any = (), *, row: RunSummary | None = None, wake: bool = False) -> None:
        self.batches.append((list(batch), list(blobs), row, wake))

    def snapshot(self, state: RunState) -> None:
        self.offered.append(state.version)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def made(*names: str, limit: int = 5) -> tuple[Record, Kept, Clock]:
    """A run of a chain of steps, created at 1000."""
    steps = [step(name, *names[place - 1 : place] if place else ()) for place, name in enumerate(names)]
    state = project([Recorded(1, 1000.0, RunCreated("p", "0" * 64, list(names)), actor="user")])
    kept, clock = Kept(), Clock()
    return Record(kept, state, plan_of(*steps, limit=limit), clock), kept, clock  # type: ignore[arg-type]


ATTACHED = (RunAttached(1, 1.0), None, 0)


def test_a_fact_and_all_that_follows_is_one_append() -> None:
    """A completion, the next start and nothing else: one batch, consecutive versions, the decision caused by the fact."""
    record, kept, _ = made("a", "b")
    record.commit([ATTACHED])
    batch = record.commit([(StepCompleted(), "a", 1)], [("h", b"x")], wake=True)
    assert [(e.version, e.event.type, e.step, e.causation) for e in batch] == [
        (4, "step.completed", "a", None),
        (5, "step.started", "b", 4),
    ]
    assert len(kept.batches) == 2
    appended, blobs, row, wake = kept.batches[1]
    assert appended == batch
    assert (blobs, wake) == ([("h", b"x")], True)
    assert row is not None
    assert (row.status, row.settled, row.running, row.now) == ("running", 1, 1, "b")
    assert kept.offered == [3, 5]


def test_the_last_completion_ends_the_run_in_the_same_append() -> None:
    """No reader ever sees all steps settled and the run not ended."""
    record, kept, _ = made("a")
    record.commit([ATTACHED])
    record.commit([(StepCompleted(), "a", 1)])
    assert [e.event.type for e in kept.batches[-1][0]] == ["step.completed", "run.completed"]


def test_time_never_goes_back() -> None:
    """Events of a clock that was set back carry the time of the last event; all of a commit carry the same."""
    record, kept, clock = made("a", "b")
    record.commit([ATTACHED])
    clock.time = 500.0
    record.commit([(StepCompleted(), "a", 1)])
    assert [e.at for batch, *_ in kept.batches for e in batch] == [1000.0] * 4
    assert record.now() == 1000.0
    clock.time = 2000.0
    assert record.now() == 2000.0


def test_a_fact_without_decisions_is_appended_alone() -> None:
    """An effect's request is one row, without the run list's row, and wakes nobody unless it is paid for."""
    record, kept, _ = made("a")
    record.commit([ATTACHED])
    version = record.fact(EffectRequested("once", "x", "0", Safety.READ), "a", 1)
    assert version == 4
    assert [(len(batch), row, wake) for batch, _, row, wake in kept.batches[1:]] == [(1, None, False)]
    assert record.state.effects == 1


def test_the_running_attempts_are_known() -> None:
    """`running` has exactly the steps whose latest attempt runs, by attempt, also when a run is taken up in the middle."""
    record, kept, _ = made("a", "b")
    record.commit([ATTACHED])
    assert record.running == {"a": 1}
    record.commit([(StepCompleted(), "a", 1)])
    assert record.running == {"b": 1}
    events = [Recorded(1, 1000.0, RunCreated("p", "0" * 64, ["a", "b"])), *(e for batch, *_ in kept.batches for e in batch)]
    again = Record(kept, project(events), record.plan, Clock())  # type: ignore[arg-type]
    assert again.running == {"b": 1}
    record.commit([(StepFailed(Failure("error", "x")), "b", 1)])
    assert record.running == {}
    assert record.plan.steps["b"].retry == NO_RETRY


def test_the_row_says_why_it_ended() -> None:
    """The run list's phrase of a failed run is its reason, of a paused one what still runs."""
    record, kept, _ = made("a")
    record.commit([ATTACHED])
    record.commit([(SignalReceived(1, "pause"), None, 0)], actor="user")
    paused = kept.batches[-1]
    assert [(e.event.type, e.actor) for e in paused[0]] == [("signal.received", "user"), ("run.paused", "driver")]
    assert paused[2] is not None
    assert (paused[2].status, paused[2].now, paused[2].inbox) == ("paused", "a", 1)
    record.commit([(StepFailed(Failure("error", "it broke")), "a", 1)])
    row = kept.batches[-1][2]
    assert row is not None
    assert (row.status, row.now, row.failed) == ("failed", "a: it broke", 1)


def test_nothing_to_record_appends_nothing() -> None:
    """A turn in which nothing happened leaves no trace."""
    record, kept, _ = made("a")
    record.commit([ATTACHED])
    assert record.commit([]) == []
    assert len(kept.batches) == 1


def test_a_group_that_is_reset_leaves_no_child_running() -> None:
    """When a migration resets a running group its children are gone, also from what counts as running."""
    each = msgspec.structs.replace(step("each"), for_each="params.items")
    state = project([Recorded(1, 1000.0, RunCreated("p", "0" * 64, ["each"]), actor="user")])
    record = Record(Kept(), state, plan_of(each), Clock())  # type: ignore[arg-type]
    record.commit([ATTACHED])
    record.commit([(StepEvaluated("run", items=2), "each", 0)])
    assert set(record.running) == {"each[0]", "each[1]"}
    record.commit([(RunMigrated("0" * 64, ["each"], changed=["each"]), None, 0)])
    assert record.running == {}

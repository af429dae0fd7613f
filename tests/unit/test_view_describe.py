"""One event as one line: every type has its words, colours say what failed, hostile texts say their characters."""

from __future__ import annotations

import msgspec
import pytest

from store import events
from store.events import (
    EVENTS,
    ApprovalExpired,
    ApprovalGiven,
    ApprovalRequested,
    BudgetReached,
    BudgetSet,
    CheckpointMade,
    EditApplied,
    EffectFailed,
    EffectInDoubt,
    EffectRequested,
    EffectResolved,
    EffectSucceeded,
    Event,
    Failure,
    LogWritten,
    Payload,
    Recorded,
    RunAttached,
    RunCancelled,
    RunCompensating,
    RunFailed,
    RunForked,
    RunMigrated,
    Safety,
    SignalReceived,
    StepAdded,
    StepCompleted,
    StepEnabled,
    StepEvaluated,
    StepFailed,
    StepPublished,
    StepRefused,
    StepRetryScheduled,
    StepReused,
    StepSkipped,
    StepStarted,
    UnknownEvent,
    Usage,
)
from store.projector import project
from tagent_tui.rows import Ink
from tagent_tui.view.describe import FAILURE_TYPES, RULES, STEP_TYPES, Around, is_failure, say
from tests.acceptance.made_runs import BASE, HOSTILE, research


def words(event: Event, **envelope: object) -> str:
    """What is said of an event in an envelope of its own."""
    return say(Recorded(**{"version": 9, "at": BASE, "event": event, "step": "s", "attempt": 1, **envelope})).text.text


def test_every_event_type_has_its_words() -> None:
    """The table is complete: a new event type cannot be forgotten here."""
    assert set(RULES) == {*EVENTS.values(), UnknownEvent}


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (RunForked("abc", 204, 300), "from abc at event 204"),
        (RunAttached(12, 1.0, "desk", 1, "resume"), "driver 12 on desk · resume"),
        (RunMigrated("h", [], "", ["a", "b"], ["c"]), "2 changed, 1 added"),
        (RunMigrated("h", []), "no step changed"),
        (SignalReceived(3, "pause"), "pause by driver"),
        (StepStarted(), ""),
        (StepCompleted(Payload(size=4_200)), "4.2 kB"),
        (StepFailed(Failure("error", "no such host")), "no such host"),
        (StepFailed(Failure("timeout", "")), "timeout"),
        (StepRetryScheduled(BASE + 8), "in 8 s, at "),
        (StepSkipped("a failed", "a"), "a failed"),
        (StepReused(("old", 12)), "from old event 12"),
        (EditApplied("a.goal", reason="too vague"), "a.goal by driver · too vague"),
        (CheckpointMade("tidy"), "tidy"),
        (CheckpointMade("pay", "approval"), "pay · by itself (approval)"),
        (EffectFailed(3, Failure("model", "HTTP 429")), "of 3 · HTTP 429"),
        (EffectInDoubt(3), "of 3 · no known outcome"),
        (EffectResolved(3, "again", note="looked"), "of 3 · again · looked"),
        (EffectSucceeded(3, simulated=True, usage=Usage("offline", 100, 12)), "of 3 · 112 tok · simulated"),
        (LogWritten("kept 41"), "kept 41"),
        (RunFailed("1 step failed: legal", ["legal"]), "1 step failed: legal"),
        (RunCancelled("by you"), "by you"),
        (SignalReceived(3, "approve.refused", target="pay"), "approve pay by driver, refused"),
        (StepAdded("more", "{}", before=["end"]), "more, before end"),
        (StepEnabled("b", False), "b is disabled"),
        (StepEvaluated("run", items=3), "it runs · 3 children"),
        (StepEvaluated("skip", "its condition does not hold: x > 1"), "it is skipped · its condition does not hold: x > 1"),
        (StepEvaluated("wait", "needs a path", ["a"]), "it waits for others · needs a path"),
        (ApprovalRequested("deploy?"), "deploy?"),
        (ApprovalRequested("", BASE + 60), "waits for approval · rejected by itself at "),
        (ApprovalGiven(False, "too late"), "rejected by driver · too late"),
        (ApprovalExpired(True), "nobody answered in time: approved"),
        (StepPublished(Payload(size=12)), "12 B"),
        (StepRefused("rejected", "rejected: too late"), "rejected: too late"),
        (BudgetReached("", "cost", 0.5, 0.512, "pause"), "$0.51 of $0.50 · the run pauses"),
        (BudgetReached("reviews", "tokens", 1000.0, 1200.0, "fail"), "1,200 tokens of 1,000 tokens of reviews · it fails"),
        (BudgetSet(cost=2.0, calls=40), "$2.00, 40 calls"),
        (RunCompensating(["pay/compensate"], "ship failed"), "1 step to undo · ship failed"),
        (UnknownEvent("step.dreamt", 3, "{}"), "not known to this version · 2 B"),
    ],
)
def test_what_is_said(event: Event, said: str) -> None:
    """Each type says in a few words what it holds."""
    assert words(event).startswith(said)
    assert bool(words(event)) == bool(said)


def test_a_later_try_says_its_number() -> None:
    """The first try of a step needs no number."""
    assert words(StepStarted(), attempt=3) == "try 3"


def test_what_is_known_around_is_used() -> None:
    """With the request at hand an outcome names its effect and how long it took; with the step, how long a try took."""
    made = research()
    state = project(made.events)
    around = Around(lambda version: made.events[version - 1], state.steps.get)
    said = [(one.event.type, say(one, around).text.text) for one in made.events]
    assert ("effect.succeeded", "model gpt-4.1 · 12.2 s · 508 tok") in said
    assert ("effect.succeeded", "read_page · 1.2 s") in said
    assert ("step.completed", "19.7 s · 48 B") in said


def test_colours_say_what_failed_and_what_wants_somebody() -> None:
    """Failures are red, doubt and warnings amber, the rest quiet."""
    assert say(Recorded(1, BASE, StepFailed(Failure("error", "x")))).ink is Ink.ERROR
    assert say(Recorded(1, BASE, StepRefused("rejected", "no"))).ink is Ink.ERROR
    assert say(Recorded(1, BASE, EffectInDoubt(1))).ink is Ink.WARNING
    assert say(Recorded(1, BASE, ApprovalRequested())).ink is Ink.WARNING
    assert say(Recorded(1, BASE, EffectRequested("ask", "ship it?", "h", Safety.READ))).ink is Ink.WARNING
    assert say(Recorded(1, BASE, BudgetReached("", "cost", 1.0, 1.0, "pause"))).ink is Ink.WARNING
    assert say(Recorded(1, BASE, LogWritten("x", "warning"))).ink is Ink.WARNING
    assert say(Recorded(1, BASE, LogWritten("x", "error"))).ink is Ink.ERROR
    assert say(Recorded(1, BASE, StepStarted())).ink is Ink.TEXT


def test_failures_and_boundaries_are_known_by_type_and_by_event() -> None:
    """The types asked of the store and the test of one event agree."""
    for made in (research("failed"),):
        assert {one.event.type for one in made.events if is_failure(one)} <= FAILURE_TYPES
    assert all(name.startswith("step.") for name in STEP_TYPES)
    assert len(STEP_TYPES) >= 8


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_are_named_not_obeyed(text: str) -> None:
    """Whatever stands in an event, its line has no control, bidi or zero-width character and is short."""
    lone = text.replace("\ud800", "?")
    for event in (LogWritten(text), StepFailed(Failure(text, text)), UnknownEvent(text, 1, text), StepSkipped(lone)):
        line = say(Recorded(1, BASE, event, text, 1, None, text))
        shown = line.type + line.text.text
        assert not {"\x1b", "\x07", "\x00", "\r", "\n", "\u202e", "\u200b", "\ufeff", "\ud800"} & set(shown)
        assert len(shown) < 3_000


def test_a_megabyte_of_text_is_one_short_line() -> None:
    """A line of the log costs the same however long its text is."""
    assert len(words(LogWritten("y\u202e" * 500_000))) < 4_000


@pytest.mark.parametrize("at", [float("nan"), float("inf"), -1e300, 1e300, 0.0])
def test_impossible_times_are_unknown(at: float) -> None:
    """A recorded time that no clock can show is a dash, not an error."""
    assert say(Recorded(1, at, StepRetryScheduled(at))).type == "step.retry_scheduled"


def test_events_of_all_types_can_be_described_with_defaults() -> None:
    """A minimal event of each type, as a damaged log may hold, has a line."""
    for name, cls in EVENTS.items():
        fields = {field.name: _any(field) for field in msgspec.structs.fields(cls) if field.required}
        assert say(Recorded(1, BASE, cls(**fields))).type == name


def _any(field: msgspec.structs.FieldInfo) -> object:
    kinds: dict[str, object] = {
        "failure": Failure("k", "m"),
        "safety": events.Safety.READ,
        "source": ("r", 1),
        "content": Payload(),
    }
    numbers = ("request", "version", "reuse_upto", "pid", "started", "inbox", "due", "limit", "used")
    return kinds.get(field.name, 1 if field.name in numbers else [] if field.name == "steps" else "word")

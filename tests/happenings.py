"""Events for tests of the store: one of every type, and random runs of them. Nothing here touches a file."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st

from store import values
from store.events import (
    ApprovalExpired,
    ApprovalGiven,
    ApprovalRequested,
    ArtifactMade,
    BudgetReached,
    BudgetSet,
    CheckpointMade,
    ChildParked,
    ChildResumed,
    ChildSpent,
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
    RunCompleted,
    RunCreated,
    RunFailed,
    RunForked,
    RunMigrated,
    RunPaused,
    RunReopened,
    RunUnpaused,
    Safety,
    SignalReceived,
    Spent,
    StepAdded,
    StepCancelled,
    StepCompleted,
    StepEnabled,
    StepEvaluated,
    StepFailed,
    StepPublished,
    StepRefused,
    StepReset,
    StepRetryScheduled,
    StepReused,
    StepSkipped,
    StepStarted,
    UnknownEvent,
    Usage,
)

STEPS = ["search", "reviews", "count", "report"]
DEFINITION = b'{"name": "research"}'
DEFINITION_HASH = values.digest(DEFINITION)


def pinned() -> list[tuple[str, bytes]]:
    """The content every made run refers to."""
    return [(DEFINITION_HASH, DEFINITION)]


def created(steps: list[str] | None = None, at: float = 1.0) -> Recorded:
    """The first event of a run."""
    return Recorded(1, at, RunCreated("research", DEFINITION_HASH, STEPS if steps is None else steps))


def lines(first: int, count: int, *, step: str | None = "search", text: str = "a line", at: float = 2.0) -> list[Recorded]:
    """`count` lines written by a step, from version `first` on."""
    return [Recorded(first + offset, at, LogWritten(f"{text} {first + offset}"), step, 1) for offset in range(count)]


def payload(value: object) -> Payload:
    """A value, inline or by hash."""
    return values.pack(value)[0]


def one_of_each() -> list[Event]:
    """An event of every type with every field set to something telling."""
    usage = Usage("acme/large", 120, 30, 0.0042)
    spent = (Spent("acme/large", 3, 400, 90, 0.01, 1), Spent("acme/small", 1, 10, 5))
    failure = Failure("timeout", "The step took longer than 30 s.", False, 12.5, payload("Traceback: …"))
    return [
        RunCreated(
            "research",
            DEFINITION_HASH,
            STEPS,
            "fgfg",
            "Who are they?",
            payload({"company": "Acmé"}),
            payload({"model": "offline"}),
            "pipelines.research:pipeline",
            "/home/somebody/work",
            2**40 + 7,
            "0.1.0",
            "caller-run",
            "child",
            2,
        ),
        RunForked("parent-run", 41, 97),
        RunAttached(4711, 1700000000.25, "host-1", 3, "resumed after a crash"),
        RunMigrated(DEFINITION_HASH, [*STEPS, "extra"], "fgfgf", ["report"], ["extra"], ["old"]),
        SignalReceived(12, "resolve", payload({"effect": 7, "outcome": "failed"}), "pay", 31),
        StepAdded("extra", '{"name": "extra", "run": "tools:extra"}', "f", ["report"]),
        StepEnabled("reviews", False),
        StepEvaluated("run", "two items", ["count"], 2, payload(["a", "b"])),
        ApprovalRequested("May it be sent?", 1700000100.5, True),
        ApprovalGiven(True, "looked at it"),
        ApprovalExpired(False),
        StepStarted({"search": 12}),
        StepPublished(payload({"so": "far"})),
        StepCompleted(
            payload({"links": ["a", "b"], "score": 3.5, "nan": float("nan"), "raw": b"\x00\xff", "big": 2**80}), ["plain"]
        ),
        StepFailed(failure),
        StepRefused("rejected", "rejected: not today"),
        StepRetryScheduled(1700000060.5),
        StepSkipped("its condition does not hold", "reviews", True),
        StepCancelled("somebody cancelled"),
        StepReset("an edit reached it"),
        StepReused(("other-run", 55), payload([1, 2, 3]), ["plain"]),
        EditApplied("search.output", payload([1]), payload([2]), "it was wrong", ["search"], payload([1]), 7),
        CheckpointMade("before the report", "approval", payload({"n": 1})),
        EffectRequested("model", "acme/large", "0f" * 16, Safety.READ, 2, "left", payload({"messages": {"chain": "ab" * 32}})),
        EffectSucceeded(17, payload("an answer"), usage, True, ("other-run", 56), spent),
        EffectFailed(18, failure, usage, ("other-run", 57), spent),
        EffectInDoubt(19),
        EffectResolved(19, "succeeded", payload({"paid": True}), "I looked it up"),
        ChildParked(20, "waiting"),
        ChildResumed(20),
        ChildSpent(20, spent),
        LogWritten("half a line, \u2028 and \u202e more", "warning", "stderr", payload({"n": 1})),
        ArtifactMade("report.md", "text/markdown", Payload(5000, blob="cd" * 32)),
        BudgetReached("report", "cost", 0.5, 0.51, "pause"),
        BudgetSet(1.5, 20000, 50, 3600.0),
        RunCompensating(["pay/compensate"], "report: it broke"),
        RunReopened(),
        RunPaused(),
        RunUnpaused(),
        RunCompleted(),
        RunFailed("report failed", ["report"]),
        RunCancelled("no longer needed"),
    ]


def plain(event: Event) -> dict[str, object]:
    """An event's fields as JSON values, for keeping what a stored text must mean."""
    return {name: _plain(getattr(event, name)) for name in event.__struct_fields__}


def _plain(value: object) -> object:
    if isinstance(value, msgspec.Raw):
        return bytes(value).decode()
    if isinstance(value, Safety):
        return value.value
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


_texts = st.text(max_size=20)
_steps = st.sampled_from([*STEPS, "made_up_later"])
_requests = st.integers(1, 30)
_payloads = st.sampled_from([payload(None), payload({"a": 1}), payload("x" * 2000)])
_failures = st.builds(Failure, st.sampled_from(["error", "timeout", "model"]), _texts, st.booleans())
_usages = st.none() | st.builds(Usage, st.just("m"), st.integers(0, 9), st.integers(0, 9), st.none() | st.floats(0, 1))
_spent = st.lists(st.builds(Spent, st.just("m"), st.integers(0, 9), st.integers(0, 9)), max_size=2).map(tuple)
_sources = st.none() | st.just(("other", 3))

EVENTS_OF_RUNS = st.one_of(
    st.builds(RunAttached, st.integers(1, 9), st.floats(1, 9)),
    st.builds(RunForked, st.just("parent"), st.integers(1, 9), st.integers(9, 12)),
    st.builds(RunMigrated, st.just(DEFINITION_HASH), st.lists(_steps, unique=True), st.sampled_from(["", "fgf"])),
    st.builds(SignalReceived, st.integers(0, 9), st.sampled_from(["pause", "resume", "cancel", "resolve"])),
    st.sampled_from([RunPaused(), RunUnpaused(), RunCompleted(), RunFailed("why"), RunCancelled(), RunReopened()]),
    st.builds(BudgetSet, st.none() | st.floats(0.1, 9)),
    st.builds(RunCompensating, st.lists(st.sampled_from([f"{name}/compensate" for name in STEPS]), unique=True), _texts),
    st.builds(UnknownEvent, _texts, st.integers(1, 3), _texts),
)
EVENTS_OF_STEPS = st.one_of(
    st.builds(StepStarted, st.none() | st.dictionaries(_steps, st.integers(1, 9), max_size=2)),
    st.builds(StepAdded, _steps, st.just("{}"), st.just("f"), st.lists(_steps, max_size=1)),
    st.builds(StepEnabled, _steps, st.booleans()),
    st.builds(StepEvaluated, st.sampled_from(["run", "skip", "fail", "wait"]), _texts, st.just([]), st.none() | st.integers(0, 4)),
    st.builds(ApprovalRequested, _texts, st.none() | st.floats(1, 99), st.booleans()),
    st.builds(ApprovalGiven, st.booleans(), _texts),
    st.builds(ApprovalExpired, st.booleans()),
    st.builds(StepPublished, _payloads),
    st.builds(StepRefused, st.sampled_from(["rejected", "condition"]), _texts),
    st.builds(BudgetReached, st.sampled_from(["", *STEPS]), st.just("cost"), st.just(1.0), st.just(1.5), st.just("pause")),
    st.builds(StepCompleted, _payloads, st.lists(_steps, max_size=1)),
    st.builds(StepFailed, _failures),
    st.builds(StepRetryScheduled, st.floats(1, 99)),
    st.builds(StepSkipped, _texts, st.none(), st.booleans()),
    st.builds(StepCancelled, _texts),
    st.builds(StepReset),
    st.builds(StepReused, st.just(("other", 4)), _payloads, st.lists(_steps, max_size=1)),
    st.builds(EditApplied, st.just("a.output"), _payloads, output=st.none() | _payloads),
    st.builds(CheckpointMade, _texts),
    st.builds(EffectRequested, st.just("once"), _texts, st.just("h"), st.sampled_from(Safety)),
    st.builds(EffectSucceeded, _requests, _payloads, _usages, st.booleans(), _sources, _spent),
    st.builds(EffectFailed, _requests, _failures),
    st.builds(EffectInDoubt, _requests),
    st.builds(EffectResolved, _requests, st.sampled_from(["succeeded", "failed", "again"])),
    st.builds(ChildParked, _requests, st.sampled_from(["paused", "waiting"])),
    st.builds(ChildResumed, _requests),
    st.builds(ChildSpent, _requests, _spent),
    st.builds(LogWritten, _texts),
    st.builds(ArtifactMade, _texts, st.just("text/plain"), st.just(Payload(9, blob="ab" * 32))),
)


@st.composite
def runs(draw: st.DrawFn, *, longest: int = 40) -> list[Recorded]:
    """A run of random events in random order, legal or not: what a log may hold, not what a scheduler would decide."""
    recorded, at = [created()], 1.0
    for version in range(2, draw(st.integers(1, longest)) + 1):
        at += draw(st.sampled_from([0.0, 0.25, 7.0]))
        of_run = draw(st.booleans()) and draw(st.booleans())
        event = draw(EVENTS_OF_RUNS if of_run else EVENTS_OF_STEPS)
        step = None if of_run else draw(_steps)
        recorded.append(Recorded(version, at, event, step, draw(st.integers(0, 3)), draw(st.none() | st.integers(1, version))))
    return recorded

"""Two runs compared, by values: what is the same thing in both, where they part first, what steps came to; and the laws of it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from hypothesis import given, settings

from engine.replay.aligning import History
from engine.replay.diff import Side, compare
from engine.replay.difference import Divergence, RunDiff
from engine.replay.meaning import unseeded
from store.events import (
    ApprovalGiven,
    ArtifactMade,
    EditApplied,
    EffectFailed,
    EffectRequested,
    EffectResolved,
    EffectSucceeded,
    Event,
    Failure,
    LogWritten,
    Recorded,
    RunAttached,
    RunCompleted,
    RunForked,
    RunId,
    Safety,
    SignalReceived,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepRefused,
    StepReused,
    StepSkipped,
    StepStarted,
    Usage,
)
from store.projector import project
from tests.happenings import created, payload, runs

MIRRORED = {"missing": "extra", "extra": "missing", "a": "b", "b": "a"}


class Told:
    """A run while it is made: a list of events one second apart, or as far as is said."""

    def __init__(self, *steps: str) -> None:
        self.events = [created(list(steps) or ["look", "tell"])]

    def add(self, event: Event, step: str | None = None, attempt: int = 1, after: float = 1.0) -> int:
        version = len(self.events) + 1
        self.events.append(Recorded(version, self.events[-1].at + after, event, step, attempt if step else 0))
        return version

    def effect(self, step: str, name: str, arguments: str, value: object, *, cost: float | None = None, **options: object) -> None:
        """A call and what it came back with."""
        request = EffectRequested("model" if cost is not None else "once", name, arguments, Safety.READ)
        version = self.add(msgspec.structs.replace(request, **options), step)
        usage = Usage(name, 10, 5, cost) if cost is not None else None
        self.add(EffectSucceeded(version, payload(value), usage), step)

    def step(self, name: str, output: object, took: float = 1.0) -> None:
        """A step from start to end."""
        self.add(StepStarted(), name)
        self.add(StepCompleted(payload(output)), name, after=took)


def side(events: Sequence[Recorded], run: str = "a", reused: frozenset[str] = frozenset(), after: int = 0) -> Side:
    history = History(list(events[after:]), {one.version: one for one in events[:after] if isinstance(one.event, EffectRequested)})
    return Side(RunId(run), project(list(events)), history, reused=reused)


def diff(a: Told, b: Told, **options: object) -> RunDiff:
    return compare(side(a.events), side(b.events, "b"), **options)  # type: ignore[arg-type]


def first(found: RunDiff) -> tuple[str, int | None, int | None]:
    assert found.first is not None
    return found.first.what, found.first.a and found.first.a.version, found.first.b and found.first.b.version


def whats(found: RunDiff) -> dict[str, str]:
    return {one.step: one.what for one in found.steps}


def test_what_differs_by_nature_is_no_difference() -> None:
    """Times, drivers, signals, log lines, the clock and chance leave two runs equal."""
    a, b = Told(), Told()
    for told, number in ((a, 1), (b, 2)):
        told.add(RunAttached(number, 1.0 * number))
        if number == 2:
            told.add(LogWritten("slow today"), "look")
            told.add(SignalReceived(1, "pause"))
            told.add(RunAttached(77, 3.0))
        told.add(StepStarted(), "look")
        told.effect("look", "now", "h", 1000.0 * number, kind="now")
        told.effect("look", "uuid", "h", f"u{number}", kind="uuid")
        told.add(StepCompleted(payload("same")), "look", after=5.0 * number)
    found = diff(a, b)
    assert not found.different
    assert whats(found) == {"look": "same", "tell": "same"}


def test_branches_that_ran_in_another_order_are_the_same() -> None:
    """Alignment is by what an event is about, never by its place."""
    a, b = Told("x", "y"), Told("x", "y")
    for told, names in ((a, "xy"), (b, "yx")):
        for name in names:
            told.add(StepStarted(), name)
        for name in names:
            told.effect(name, "get", f"h{name}", name)
            told.add(StepCompleted(payload(name)), name)
    assert not diff(a, b).different


def test_an_outcome_that_changed_is_the_first_divergence() -> None:
    """The same call came back with something else: both versions are named, and what follows is not first."""
    a, b = Told(), Told()
    b.add(LogWritten("one event later"), "look")
    for told, value in ((a, 1), (b, 2)):
        told.add(StepStarted(), "look")
        told.effect("look", "get", "h", value)
        told.add(StepCompleted(payload(value)), "look")
        told.step("tell", "the same")
    found = diff(a, b)
    assert first(found) == ("outcome", 4, 5)
    assert whats(found) == {"look": "changed", "tell": "same"}
    assert [one.what for one in found.steps[0].events] == ["outcome", "outcome"]
    assert found.steps[0].equal == 2


def test_a_call_with_other_arguments_is_paired_with_its_like() -> None:
    """Of calls that only one run made, those of one name in one attempt are each other's; another model is asked otherwise too."""
    a, b = Told(), Told()
    a.effect("look", "get", "h1", 1)
    a.effect("look", "gpt-4", "m", "x", cost=0.1)
    b.effect("look", "get", "h2", 1)
    b.effect("look", "gpt-5", "m", "x", cost=0.1)
    found = diff(a, b)
    assert first(found) == ("arguments", 2, 2)
    assert [(one.what, one.a and one.a.version, one.b and one.b.version) for one in found.steps[0].events] == [
        ("arguments", 2, 2),
        ("arguments", 4, 4),
    ]


def test_equal_calls_are_told_apart_by_occurrence_and_key() -> None:
    """The second of two equal calls is compared with the second; with keys the order does not matter."""
    a, b = Told(), Told()
    for told, values in ((a, (1, 2)), (b, (1, 3))):
        told.effect("look", "get", "h", values[0])
        told.effect("look", "get", "h", values[1], occurrence=1)
    assert first(diff(a, b)) == ("outcome", 5, 5)
    a, b = Told(), Told()
    for told, keys in ((a, "lr"), (b, "rl")):
        for place, key in enumerate(keys):
            told.effect("look", "get", "h", key, key=key, occurrence=place)
    assert not diff(a, b).different


def test_what_only_one_run_did_is_missing_or_extra() -> None:
    """An event without its like is told with the run that has it; where both go on alone, both are told."""
    a, b = Told(), Told()
    a.add(StepStarted(), "look")
    b.add(StepStarted(), "look")
    b.effect("look", "get", "h", 1)
    assert first(diff(a, b)) == ("extra", None, 3)
    assert first(diff(b, a)) == ("missing", 3, None)
    a.add(StepSkipped("no"), "tell")
    assert first(diff(a, b)) == ("other", 3, 3)


def test_a_step_that_failed_in_one_run() -> None:
    """Failing and completing are one end that differs; what was skipped because of it ran in one run only."""
    a, b = Told(), Told()
    a.add(StepStarted(), "look")
    a.add(StepFailed(Failure("error", "HTTP 429", False)), "look", after=100.0)
    a.add(StepSkipped("look failed", "look"), "tell")
    b.step("look", 1, 10.0)
    b.step("tell", 2, 7.0)
    found = diff(a, b)
    assert whats(found) == {"look": "changed", "tell": "b"}
    assert (found.steps[0].seconds, found.steps[1].seconds) == (-90.0, 7.0)
    assert found.steps[0].a is not None
    assert found.steps[0].a.reason == "HTTP 429"


def test_unknown_prices_stay_unknown() -> None:
    """A cost that is not known in one run makes its difference unknown, for the step and in total; tokens are counted."""
    a, b = Told(), Told()
    for told, cost in ((a, 0.25), (b, None)):
        told.effect("look", "gpt", "h", "x", cost=0.25)
        if cost is None:
            last = told.events[-1]
            told.events[-1] = msgspec.structs.replace(last, event=msgspec.structs.replace(last.event, usage=Usage("gpt", 7, 1)))
    found = diff(a, b)
    assert not found.different
    assert (found.cost, found.steps[0].cost, found.b.total.cost) == (None, None, None)
    assert (found.a.total.cost, found.tokens) == (0.25, -7)


def test_a_fork_that_reused_a_step_saved_nothing() -> None:
    """A step taken from a recording is the same, is said to be reused, and is left out of what the runs took."""
    a, b = Told(), Told()
    a.add(StepStarted(), "look")
    a.effect("look", "gpt", "h", "x", cost=0.5)
    a.add(StepCompleted(payload("found")), "look", after=60.0)
    b.add(RunForked("a", 1, 5))
    b.add(StepReused(("a", 5), payload("found")), "look")
    a.step("tell", "it", 4.0)
    b.step("tell", "it", 3.0)
    found = diff(a, b)
    assert not found.different
    assert found.reused
    look, tell = found.steps
    assert look.reused
    assert (look.seconds, look.cost, look.tokens) == (None, None, None)
    assert (tell.seconds, found.seconds) == (-1.0, -1.0)
    assert (found.a.total.cost, found.cost) == (0.0, 0.0)


def test_an_edit_is_where_a_fork_parts() -> None:
    """The events a fork shares are not compared; the edit is the first that only it has."""
    a = Told()
    a.step("look", 1)
    b = Told()
    b.step("look", 1)
    b.add(RunForked("a", 3, 5))
    b.add(EditApplied("tell.prompt", payload("louder")), "tell")
    a.step("tell", "quietly")
    b.step("tell", "loudly")
    found = compare(side(a.events, after=3), side(b.events, "b", frozenset({"look"}), after=3), shared=3)
    assert first(found) == ("extra", None, 5)
    assert found.shared == 3
    assert whats(found) == {"look": "same", "tell": "changed"}
    assert found.steps[0].reused


def test_what_came_from_other_runs_is_compared_without_their_numbers() -> None:
    """A message taken is what it says, not which it was, when and by whom it was sent; a body that differs is a difference."""
    for body, different in (("hello", False), ("bye", True)):
        a, b = Told(), Told()
        a.effect("look", "query", "h", {"id": 1, "at": 5.0, "sender": "x", "body": "hello"}, kind="receive")
        b.effect("look", "query", "h", {"id": 9, "at": 7.0, "sender": "y", "body": body}, kind="receive")
        assert diff(a, b).different is different
    a, b = Told(), Told()
    a.effect("look", "query", "h", [{"id": 1, "text": "x" * 2_000}], kind="recall")
    b.effect("look", "query", "h", [{"id": 2, "text": "x" * 2_000}], kind="recall")
    assert first(diff(a, b)) == ("outcome", 3, 3)  # too large to stand in the event: compared as it is


def test_ends_and_answers_that_differ_are_told() -> None:
    """What became of a doubt, a person's word, a refusal and a cancelled step are compared, and named by what they say."""
    told = []
    for one, other in (
        (ApprovalGiven(True), ApprovalGiven(False)),
        (StepRefused("rejected", "not today"), StepRefused("rejected", "never")),
        (StepCancelled("enough"), StepSkipped("no need")),
        (EffectResolved(2, "succeeded", payload(1)), EffectResolved(2, "failed")),
        (ArtifactMade("report.md", "text/markdown", payload(1)), ArtifactMade("report.md", "text/markdown", payload(2))),
    ):
        a, b = Told(), Told()
        for run, event in ((a, one), (b, other)):
            run.add(EffectRequested("once", "pay", "h", Safety.IRREVERSIBLE), "look")
            run.add(event, "look")
        found = diff(a, b)
        assert first(found) == ("outcome", 3, 3)
        assert found.first is not None
        told.append((found.first.a and found.first.a.says, found.first.b and found.first.b.says))
    assert told == [
        ("approved", "rejected"),
        ("not today", "never"),
        ("enough", "no need"),
        ("pay resolved as succeeded", "pay resolved as failed"),
        ("report.md", "report.md"),
    ]


def test_a_request_to_a_model_is_known_without_the_seed() -> None:
    """The run's seed in its arguments is chance; what is no mapping, or cannot be read, stays as it is."""
    request = EffectRequested("model", "m", "h", Safety.READ)
    one, other = (unseeded(request, b'{"model":"m","seed":%d}' % seed) for seed in (1, 2))
    assert one == other != request
    assert unseeded(request, b"[1]") == unseeded(request, b"{") == unseeded(request, b'{"model":"m"}') == request


def test_an_output_that_somebody_gave_took_no_time() -> None:
    """An edited step ran, says so, and has no seconds that would compare with work."""
    a = Told()
    a.step("look", 1)
    b = Told()
    b.events = list(a.events)
    b.add(RunForked("a", 3, 3))
    b.add(EditApplied("look.output", payload(2), output=payload(2)), "look", after=9_000.0)
    found = compare(side(a.events, after=3), side(b.events, "b", after=3), shared=3)
    figures = found.steps[0].b
    assert figures is not None
    assert (figures.ran, figures.reused, figures.seconds, figures.reason) == (True, False, None, "edited")
    assert first(found) == ("extra", None, 5)


def test_an_outcome_after_the_fork_finds_its_request_before_it() -> None:
    """Effects in flight at the point are compared by what was asked."""
    a = Told()
    request = a.add(EffectRequested("once", "get", "h", Safety.READ), "look")
    b = Told()
    b.events = list(a.events)
    a.add(EffectSucceeded(request, payload(1)), "look")
    b.add(EffectFailed(request, Failure("error", "gone")), "look")
    found = compare(side(a.events, after=2), side(b.events, "b", after=2), shared=2)
    assert first(found) == ("outcome", 3, 3)
    assert found.first is not None
    assert found.first.b is not None
    assert found.first.b.says == "get: gone"


def test_params_and_definitions_differ_at_the_first_event() -> None:
    """Runs started with other params part where they were created, and each changed place is told."""
    a, b = Told(), Told()
    started = msgspec.structs.replace(b.events[0].event, params=payload({"company": "Globex"}))
    b.events[0] = msgspec.structs.replace(b.events[0], event=started)
    one = msgspec.structs.replace(side(a.events), params={"company": "Acme"})
    other = msgspec.structs.replace(side(b.events, "b"), params={"company": "Globex"})
    found = compare(one, other)
    assert first(found) == ("arguments", 1, 1)
    assert [(change.path, change.a, change.b) for change in found.params.changes] == [("company", '"Acme"', '"Globex"')]


def test_steps_of_one_run_only_stand_at_their_place() -> None:
    """The table has A's steps in order, B's own behind what they follow there."""
    a, b = Told("plan", "old", "end"), Told("plan", "new", "end")
    for told in (a, b):
        for name in list(project(told.events).steps):
            told.step(name, 1)
    assert whats(diff(a, b)) == {"plan": "same", "new": "b", "old": "a", "end": "same"}


def mirrored(found: Divergence | None) -> tuple[object, ...] | None:
    return None if found is None else (MIRRORED.get(found.what, found.what), found.b, found.a)


def plain(found: Divergence | None) -> tuple[object, ...] | None:
    return None if found is None else (found.what, found.a, found.b)


@settings(max_examples=40)
@given(runs(longest=25))
def test_a_run_is_like_itself(events: list[Recorded]) -> None:
    """Whatever was recorded: compared with itself nothing differs, whether or not it was taken for shared."""
    found = compare(side(events), side(events))
    assert not found.different
    assert found.differing == ()
    assert (found.seconds, found.tokens, found.cost) in ((0.0, 0, 0.0), (0.0, 0, None))


@settings(max_examples=40)
@given(runs(longest=20), runs(longest=20))
def test_from_b_to_a_is_the_mirror_of_from_a_to_b(one: list[Recorded], other: list[Recorded]) -> None:
    """First divergence, steps, deltas and totals are the same, with the sides exchanged."""
    there, back = compare(side(one), side(other, "b")), compare(side(other, "b"), side(one))
    assert mirrored(there.first) == plain(back.first)
    assert (there.a, there.b, there.different, there.reused) == (back.b, back.a, back.different, back.reused)
    assert {one.step: MIRRORED.get(one.what, one.what) for one in there.steps} == whats(back)
    returned = {one.step: one for one in back.steps}
    for step in there.steps:
        other_way = returned[step.step]
        assert (step.a, step.b, step.reused) == (other_way.b, other_way.a, other_way.reused)
        assert step.tokens is None or step.tokens == -(other_way.tokens or 0)
        assert sorted(map(str, map(mirrored, step.events))) == sorted(map(str, map(plain, other_way.events)))


@settings(max_examples=40)
@given(runs(longest=20), runs(longest=20))
def test_runs_differ_exactly_where_there_is_a_first_divergence(one: list[Recorded], other: list[Recorded]) -> None:
    """A step that differs has events that do, or children that do; where none differs at all there is no first."""
    found = compare(side(one), side(other, "b"))
    assert (found.first is not None) >= bool(found.differing)
    for step in found.differing:
        assert step.events or any(child.step.startswith(step.step) for child in found.differing if child.step != step.step)


def test_ended_runs_are_compared_too() -> None:
    """A run that ended is more than one that did not."""
    a, b = Told(), Told()
    b.add(RunCompleted())
    assert first(diff(a, b)) == ("extra", None, 2)

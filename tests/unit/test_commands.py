"""What a command becomes: facts when it fits the run's state, a refusal in one sentence when it does not."""

from typing import Any

import pytest

from engine.commands import body_of, facts_of, refusal
from engine.errors import CommandRefusedError
from store.events import EffectResolved, SignalReceived
from store.state import RunState
from tests.deciding import Run, plan_of, step


def doubtful() -> tuple[RunState, int, int]:
    """A run whose step `pay` has two effects in doubt, with their requests."""
    run = Run(plan_of(step("pay"), step("other")))
    run.attach()
    first, second = run.request("pay"), run.request("pay")
    run.attach()
    return run.state, first, second


@pytest.mark.parametrize("kind", ["pause", "resume", "cancel"])
def test_a_command_that_fits_is_one_fact(kind: str) -> None:
    """Pause, resume and cancel are recorded as received, with their place in the inbox; the decisions follow by themselves."""
    run = Run(plan_of(step("a")))
    run.attach()
    facts, blobs = facts_of(run.state, kind, {}, 12, strict=True)
    assert [(type(event), step, attempt) for event, step, attempt in facts] == [(SignalReceived, None, 0)]
    assert (facts[0][0].inbox, facts[0][0].kind) == (12, kind)
    assert blobs == []


def test_resolving_settles_every_effect_in_doubt_of_the_step() -> None:
    """Without naming a request, all effects of the step that are in doubt are resolved alike, with the given value."""
    state, first, second = doubtful()
    facts, _ = facts_of(state, "resolve", {"step": "pay", "outcome": "succeeded", "value": {"id": 7}, "note": "seen"}, strict=True)
    assert [(type(event), name, attempt) for event, name, attempt in facts[1:]] == [(EffectResolved, "pay", 1)] * 2
    assert [event.request for event, _, _ in facts[1:]] == [first, second]
    assert bytes(facts[1][0].value.json) == b'{"id":7}'
    assert facts[1][0].note == "seen"


def test_resolving_one_of_two_names_its_request() -> None:
    """With a request only that effect is resolved."""
    state, _, second = doubtful()
    facts, _ = facts_of(state, "resolve", {"step": "pay", "outcome": "failed", "request": second}, strict=True)
    assert [event.request for event, _, _ in facts[1:]] == [second]


def test_a_large_value_comes_with_its_blobs() -> None:
    """A resolution's value past the inline limit is stored by hash, and so is the command's body."""
    state, _, _ = doubtful()
    facts, blobs = facts_of(state, "resolve", {"step": "pay", "outcome": "succeeded", "value": "x" * 5000}, strict=True)
    assert {facts[0][0].body.blob, facts[1][0].value.blob} == {hash for hash, _ in blobs}


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("dance", {}, "'dance' is not a command"),
    ("budget", {"tokens": 1.5}, "tokens is 1.5; give a whole number"),
    ("budget", {"calls": 0.5}, "calls is 0.5; give a whole number"),
    ("resolve", {}, "is resolved as again, succeeded, failed"),
    ("resolve", {"step": "pay", "outcome": "maybe"}, "is resolved as again, succeeded, failed"),
    ("resolve", {"step": "other", "outcome": "again"}, "'other' is not in doubt; in doubt are: pay"),
    ("resolve", {"step": ["pay"], "outcome": "again"}, "is not in doubt"),
]


@pytest.mark.parametrize(("kind", "body", "said"), REFUSED)
def test_a_command_that_does_not_fit_is_refused_in_a_sentence(kind: str, body: dict[str, Any], said: str) -> None:
    """Asked directly it raises; through the inbox it is recorded as refused and settles nothing."""
    state, _, _ = doubtful()
    with pytest.raises(CommandRefusedError, match=said):
        facts_of(state, kind, body, strict=True)
    facts, _ = facts_of(state, kind, body, 3, strict=False)
    assert [(event.kind, event.inbox) for event, _, _ in facts] == [(f"{kind}.refused", 3)]


def test_pausing_twice_and_commanding_an_ended_run_are_refused() -> None:
    """A paused run is not paused again, and nothing can be asked of a run that ended."""
    run = Run(plan_of(step("a")))
    run.attach()
    run.signal("pause")
    assert "paused already" in str(refusal(run.state, "pause", {}))
    assert refusal(run.state, "resume", {}) is None
    run.signal("resume")
    run.complete("a")
    for kind in ("pause", "resume", "cancel", "resolve"):
        assert "has completed" in str(refusal(run.state, kind, {}))


@pytest.mark.parametrize("stored", [b"", b"{", b"[1]", b"\xff", b"null", b"3", b"[" * 100_000])
def test_an_inbox_body_that_is_no_object_says_nothing(stored: bytes) -> None:
    """Whatever another process put into the inbox, reading it never stops a driver."""
    assert body_of(stored) == {}

"""The vocabulary: every event is named, classified and small."""

from __future__ import annotations

import re

import pytest

from store.events import EVENTS, Event, Payload, UnknownEvent
from tests.happenings import one_of_each

FACTS = {
    "run.created",
    "run.forked",
    "run.attached",
    "run.migrated",
    "signal.received",
    "step.added",
    "step.enabled",
    "step.published",
    "approval.given",
    "budget.set",
    "step.completed",
    "step.failed",
    "effect.requested",
    "effect.succeeded",
    "effect.failed",
    "effect.resolved",
    "log.written",
    "artifact.made",
    "checkpoint.made",
    "edit.applied",
    "child.parked",
    "child.resumed",
    "child.spent",
}
DECISIONS = {
    "step.evaluated",
    "step.refused",
    "approval.requested",
    "approval.expired",
    "budget.reached",
    "run.compensating",
    "run.reopened",
    "step.started",
    "step.retry_scheduled",
    "step.skipped",
    "step.cancelled",
    "step.reset",
    "step.reused",
    "effect.in_doubt",
    "run.paused",
    "run.unpaused",
    "run.completed",
    "run.failed",
    "run.cancelled",
}


def test_every_event_is_a_fact_or_a_decision() -> None:
    """Facts come from the world and decisions follow from state and time: every type is one of them, as ARCHITECTURE lists them."""
    assert {name for name, cls in EVENTS.items() if not cls.decision} == FACTS
    assert {name for name, cls in EVENTS.items() if cls.decision} == DECISIONS


def test_names_are_dotted_words() -> None:
    """A type's name is two dotted lower-case words, never an import path, and no two types share one."""
    assert all(re.fullmatch(r"[a-z]+\.[a-z_]+", name) for name in EVENTS)
    assert len(set(EVENTS.values())) == len(EVENTS)


def test_every_event_class_is_listed() -> None:
    """A class somebody adds and forgets to list is noticed here."""

    def below(cls: type[Event]) -> set[type[Event]]:
        return {found for child in cls.__subclasses__() for found in {child, *below(child)}}

    assert below(Event) - {UnknownEvent} == set(EVENTS.values())


def test_the_samples_cover_every_type() -> None:
    """The tests' own list of events has one of each type, so that what holds for it holds for all."""
    assert [type(event) for event in one_of_each()] == list(EVENTS.values())


@pytest.mark.parametrize("event", one_of_each(), ids=lambda event: event.type)
def test_events_cannot_be_changed(event: Event) -> None:
    """A recorded event is frozen."""
    field = event.__struct_fields__[0] if event.__struct_fields__ else "type"
    with pytest.raises(AttributeError):
        setattr(event, field, "other")


def test_an_empty_payload_is_no_text() -> None:
    """A payload without inline text says so: its `json` is false."""
    assert not Payload().json
    assert not Payload(5000, blob="ab" * 32).json

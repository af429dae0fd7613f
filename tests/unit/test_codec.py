"""Events as text and back: exact for ours, harmless for whatever else a log may hold."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from store import codec
from store.events import EVENTS, Event, Failure, LogWritten, RunCompleted, StepFailed, StepSkipped, UnknownEvent
from tests.happenings import EVENTS_OF_RUNS, EVENTS_OF_STEPS, one_of_each, plain

GOLDEN = Path(__file__).parents[1] / "golden"


@given(st.one_of(EVENTS_OF_RUNS, EVENTS_OF_STEPS))
def test_what_is_encoded_decodes_to_the_same(event: Event) -> None:
    """Decoding is the inverse of encoding, for every event there can be."""
    assert codec.decode(*codec.encode(event)) == event


@pytest.mark.parametrize("event", one_of_each(), ids=lambda event: event.type)
def test_one_of_each_round_trips(event: Event) -> None:
    """Every type comes back as it was, under its stable name and current version."""
    name, schema, text = codec.encode(event)
    assert (name, schema) == (event.type, type(event).schema)
    assert codec.decode(name, schema, text) == event


def golden() -> list[dict[str, object]]:
    """The lines of the logs that versions 1 and 2 of the store wrote: what each of them was the first to have."""
    return [json.loads(line) for path in sorted(GOLDEN.glob("log_v*.jsonl")) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("line", golden(), ids=lambda line: line["type"])
def test_a_log_of_before_means_what_it_meant(line: dict[str, object]) -> None:
    """A text once stored decodes to the same values for ever (the files are never made anew; upcasters answer for them)."""
    event = codec.decode(str(line["type"]), int(str(line["schema"])), str(line["text"]))
    assert event.type == line["type"]
    assert covers(plain(event), line["means"])


def covers(now: object, then: object) -> bool:
    """Whether everything it meant then it means now (a field may have been added since, with a default)."""
    if isinstance(then, dict) and isinstance(now, dict):
        return all(key in now and covers(now[key], then[key]) for key in then)
    return now == then


def test_the_golden_logs_have_every_type() -> None:
    """No type lacks a golden line."""
    assert {line["type"] for line in golden()} == set(EVENTS)


def test_an_unknown_type_is_kept_as_it_is() -> None:
    """A type of a later version becomes an UnknownEvent with its text, and encodes to the very same again."""
    event = codec.decode("step.teleported", 3, '{"to": "mars"}')
    assert event == UnknownEvent("step.teleported", 3, '{"to": "mars"}')
    assert codec.encode(event) == ("step.teleported", 3, '{"to": "mars"}')


@given(st.one_of(EVENTS_OF_RUNS, EVENTS_OF_STEPS))
def test_the_short_name_means_the_same(event: Event) -> None:
    """Decoding by `type` or `type/schema` in one word gives what decoding by both gives."""
    name, schema, text = codec.encode(event)
    assume("/" not in name)
    assert codec.decode_named(name if schema == 1 else f"{name}/{schema}", text) == event
    for odd in ("step.skipped/9", "step.skipped/x", "nothing", "", "step.skipped"):
        name, _, number = odd.partition("/")
        assert codec.decode_named(odd, text) == codec.decode(name, int(number) if number.isdecimal() else 1, text)


def test_a_newer_schema_is_kept_as_it_is() -> None:
    """A known type in a schema of the future is not half read but kept whole."""
    assert codec.decode("run.completed", 99, "{}") == UnknownEvent("run.completed", 99, "{}")


def test_an_older_schema_is_lifted(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event of version 1 reaches version 3 through both upcasters, in order."""

    class StepSkippedLater(Event, frozen=True, omit_defaults=True):
        type = "step.skipped"
        schema = 3
        why: str
        loud: bool

    monkeypatch.setattr(codec, "EVENTS", {"step.skipped": StepSkippedLater})
    monkeypatch.setattr(codec, "_CURRENT", {})
    monkeypatch.setattr(
        codec,
        "UPCASTERS",
        {
            ("step.skipped", 1): lambda fields: {"why": fields["reason"]},
            ("step.skipped", 2): lambda fields: {**fields, "loud": fields["why"].isupper()},
        },
    )
    assert codec.decode(*codec.encode(StepSkipped("NO"))) == StepSkippedLater("NO", True)
    assert isinstance(codec.decode("step.skipped", 1, '{"other": 1}'), UnknownEvent)


def test_gaps_between_versions_are_found() -> None:
    """A type raised to schema 3 without its upcasters, and an upcaster nobody needs, are named at start."""

    class Later(Event, frozen=True):
        type = "step.skipped"
        schema = 3

    gaps = codec.missing_upcasters({"step.skipped": Later}, {("step.skipped", 2): dict, ("run.paused", 1): dict})
    assert gaps == [
        "step.skipped has no upcaster from version 1",
        "run.paused has an upcaster from version 1 that nothing needs",
    ]
    assert codec.missing_upcasters(EVENTS, codec.UPCASTERS) == []


HOSTILE = [
    "",
    "null",
    "[]",
    "{",
    "0",
    '"x"',
    "nul",
    "NaN",
    "\x00",
    "{}\x00",
    '{"output": {"size": "x"}}',
    '{"reason": 5}',
    '{"reason": null}',
    '{"output": {"json": }}',
    '{"failure": {"kind": ["a"]}}',
    '{"request": 1e999}',
    '{"request": 99999999999999999999999999}',
    '{"source": ["a"]}',
    '{"__class__": "os.system"}',
    '{"reason": "\\ud800"}',
    "[" * 100_000,
    '{"a":' * 100_000,
    '{"a": 1, "a": 2}',
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:20])
@pytest.mark.parametrize("name", [*EVENTS, "os.system", "builtins.eval", "store.events.RunCreated", ""])
def test_hostile_text_becomes_an_event(name: str, text: str) -> None:
    """Whatever stands in a row decodes to an event of ours or an UnknownEvent; it never raises."""
    event = codec.decode(name, 1, text)
    assert isinstance(event, UnknownEvent) or event.type == name


@pytest.mark.parametrize("stored", [b"\xff\xfe", None, 5, 2.5, b"{}"], ids=repr)
def test_a_damaged_column_becomes_an_event(stored: object) -> None:
    """A column that does not hold text any more is kept as text, not raised about."""
    event = codec.decode("step.skipped", 1, stored)  # type: ignore[arg-type]
    assert isinstance(event, UnknownEvent)
    assert isinstance(event.body, str)


def test_mutated_texts_never_raise_and_never_import() -> None:
    """20,000 random mutations of real texts decode without raising and without importing a module."""
    dice = random.Random(20_240_817)
    texts = [codec.encode(event) for event in one_of_each()]
    names = [*EVENTS, "subprocess", "antigravity.this"]
    before = set(sys.modules)
    for _ in range(20_000):
        name, schema, text = dice.choice(texts)
        letters = list(text)
        for _ in range(dice.randrange(1, 4)):
            place = dice.randrange(len(letters) + 1)
            letters[place : place + dice.randrange(3)] = dice.choice(
                ['"', "{", "}", "\\u0000", "$", "9" * 30, "\x7f", "é", "[", ","]
            )
        event = codec.decode(dice.choice([name, dice.choice(names)]), dice.choice([schema, 0, -1, 2]), "".join(letters))
        assert isinstance(event, Event)
    assert set(sys.modules) == before


def test_lone_surrogates_are_written_as_the_replacement_character() -> None:
    """A program's undecodable output does not stop its run: lone surrogates become U+FFFD, everything else stays."""
    name, schema, text = codec.encode(LogWritten("caf\udce9 and \ud83d\ude00"))
    assert codec.decode(name, schema, text) == LogWritten("caf\ufffd and 😀")
    failed = StepFailed(Failure("error", "no \ud800"))
    assert codec.decode(*codec.encode(failed)) == StepFailed(Failure("error", "no \ufffd"))


def test_text_is_compact_and_readable() -> None:
    """Defaults are left out, and what is left is plain JSON that any tool can read."""
    assert codec.encode(RunCompleted()) == ("run.completed", 1, "{}")
    assert msgspec.json.decode(codec.encode(StepSkipped("late"))[2]) == {"reason": "late"}

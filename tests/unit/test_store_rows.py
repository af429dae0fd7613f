"""Rows and their checksums."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store import rows
from store.events import LogWritten, Recorded
from tests.happenings import one_of_each, runs

COLUMNS = {
    "version": 8,
    "kind": "log.written",
    "schema": 1,
    "at": 1700000000.25,
    "step": "search",
    "attempt": 2,
    "causation": 7,
    "actor": "user",
    "text": '{"text":"x"}',
}


def check(**changed: object) -> int:
    """The checksum of a row with some columns changed."""
    return rows.checksum(rows.seed("run"), **{**COLUMNS, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 9}, {"kind": "log.writtem"}, {"schema": 2}, {"at": 1700000000.2500002}, {"step": None}, {"step": "search "},
        {"attempt": 3}, {"causation": 6}, {"actor": None}, {"text": '{"text":"y"}'}, {"text": '{"text":"x"} '},
    ],
    ids=str,
)  # fmt: skip
def test_every_column_counts(changed: dict[str, object]) -> None:
    """A change in any one column changes the checksum."""
    assert check(**changed) != check()


def test_the_run_counts() -> None:
    """An event moved to another run is not what was recorded there."""
    assert rows.checksum(rows.seed("other"), **COLUMNS) != check()  # type: ignore[arg-type]


@given(st.binary(min_size=1, max_size=300), st.data())
def test_every_flipped_bit_of_a_payload_changes_it(content: bytes, data: st.DataObject) -> None:
    """One flipped bit anywhere in a payload always changes the checksum (a CRC finds all of them, not most)."""
    text = content.decode("latin-1")
    raw = bytearray(text.encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    flipped = raw.decode("utf-8", "surrogateescape")
    if flipped.isprintable() and all(not 0xD800 <= ord(letter) <= 0xDFFF for letter in flipped):
        assert check(text=flipped) != check(text=text)


@given(runs())
def test_rows_are_the_inverse_of_events(history: list[Recorded]) -> None:
    """What is encoded for the table reads back as the same events, and carries the checksum of its columns."""
    encoded = rows.encoded(5, rows.seed("run"), history)
    read = [(version, at, kind, schema, step, attempt, causation, actor, 0, text) for _, version, kind, schema, at, step, attempt,
            causation, actor, text, _ in encoded]  # fmt: skip
    assert rows.recorded(read) == history
    for run, version, kind, schema, at, step, attempt, causation, actor, text, stored in encoded:
        assert run == 5
        assert stored == rows.checksum(rows.seed("run"), version, kind, schema, at, step, attempt, causation, actor, text)
        assert -(2**31) <= stored < 2**31, "four bytes in a row"


def test_the_usual_actor_costs_nothing() -> None:
    """The driver is stored as NULL and read as `driver`; anybody else by name."""
    encoded = rows.encoded(1, 0, [Recorded(1, 1.0, LogWritten("x")), Recorded(2, 1.0, LogWritten("x"), actor="user")])
    assert [row[8] for row in encoded] == [None, "user"]


def test_marks_are_types_there_are() -> None:
    """What a timeline marks are types of today, or ones that are named for later."""
    later = {"checkpoint.made", "edit.applied"}
    assert rows.MARKED - later <= {event.type for event in one_of_each()}

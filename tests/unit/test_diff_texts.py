"""Differences of values and texts, by values and by law."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.replay.texts import CHANGES, LINES, Change, TextDiff, TextLine, ValueDiff, hunks, readable, text_diff, value_diff
from store import values

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-1, 1) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=4),
    max_leaves=12,
)
TEXTS = st.lists(st.sampled_from(["", "a", "b", "c", "# d"]), max_size=14).map("\n".join)


def places(a: Any, b: Any) -> list[tuple[str, str]]:
    return [(change.kind, change.path) for change in value_diff(a, b).changes]


def signs(a: str, b: str) -> str:
    return "".join(line.sign for line in text_diff(a, b).lines)


def test_changed_places_are_named_by_path() -> None:
    """Keys and indices lead to each place; what is new, gone and changed is told apart, with both values."""
    a = {"score": 3, "links": ["x", "y"], "old": 1, "odd key": {"n": 1}}
    b = {"score": 4, "links": ["x", "z"], "new": None, "odd key": {"n": 2}}
    assert value_diff(a, b).changes == (
        Change("links[1]", "changed", '"y"', '"z"'),
        Change("new", "added", None, "null"),
        Change('["odd key"].n', "changed", "1", "2"),
        Change("old", "removed", "1", None),
        Change("score", "changed", "3", "4"),
    )


def test_an_item_put_into_a_list_is_one_change() -> None:
    """What is equal before and behind it stays equal."""
    assert places([1, 2, 3], [1, 9, 2, 3]) == [("added", "[1]")]
    assert places([1, 2, 3], [1, 3]) == [("removed", "[1]")]
    assert places([1, 2], [5, 2, 6]) == [("changed", "[0]"), ("added", "[2]")]


def test_values_are_equal_as_they_are_stored() -> None:
    """NaN is NaN; one is neither 1.0 nor true; other kinds are one change."""
    assert not value_diff({"x": math.nan}, {"x": math.nan})
    assert places(1, True) == places(1, 1.0) == places({"a": 1}, [1]) == [("changed", "")]


def test_changes_are_capped_and_counted() -> None:
    """Of many places the first are told and the others counted; long values are cut."""
    found = value_diff(dict.fromkeys(map(str, range(CHANGES + 50)), 1), {})
    assert (len(found.changes), found.left_out) == (CHANGES, 50)
    assert len(value_diff("x" * 5_000, "y").changes[0].a or "") < 300


def test_texts_are_compared_line_by_line() -> None:
    """Removed lines stand before those in their place, each with its number."""
    found = text_diff("one\ntwo\nthree", "one\n2\nthree\nfour\n")
    assert [(line.sign, line.text, line.a, line.b) for line in found.lines] == [
        (" ", "one", 1, 1),
        ("-", "two", 2, None),
        ("+", "2", None, 2),
        (" ", "three", 3, 3),
        ("+", "four", None, 4),
    ]
    assert (found.removed, found.added) == (1, 2)


def test_equal_texts_have_no_lines() -> None:
    """Nothing differs: nothing is kept; a final line break is no difference."""
    assert text_diff("a\nb\n", "a\nb") == TextDiff()
    assert signs("", "a") == "+"
    assert signs("a", "") == "-"


def test_texts_are_capped_and_the_rest_counted() -> None:
    """Lines above the cap are not compared and say so; that alone is a difference."""
    found = text_diff("x\n" * (LINES + 7), "x\n" * (LINES + 9))
    assert found
    assert found.left_out + found.skipped * 2 + len(found.lines) * 2 >= 2 * LINES
    head = "same\n" * 9_000
    late = text_diff(head + "a", head + "b")
    assert (late.removed, late.added, late.left_out) == (1, 1, 0)
    assert late.skipped == 8_997
    assert late.lines[-1] == TextLine("+", "b", None, 9_001)


def test_paragraphs_that_all_changed_take_no_minutes() -> None:
    """A thousand new lines with blank ones between are compared by what is rare (52 s otherwise)."""
    a, b = ("\n".join(f"{sign}{number}\n" for number in range(1_000)) for sign in "ab")
    found = text_diff(a, b)
    assert found.removed >= 1_000
    assert found.added >= 1_000


def test_a_long_line_is_compared_whole_and_kept_cut() -> None:
    """The difference behind the cut is told."""
    found = text_diff("x" * 9_000 + "a", "x" * 9_000 + "b")
    assert (found.removed, found.added, len(found.lines[0].text)) == (1, 1, 4_000)


def test_hunks_are_the_surroundings_of_differences() -> None:
    """Three equal lines around each; stretches that touch are one."""
    a = [str(number) for number in range(30)]
    b = [*a[:5], "new", *a[6:20], *a[21:]]
    found = hunks(text_diff("\n".join(a), "\n".join(b)))
    assert ["".join(line.sign for line in hunk) for hunk in found] == ["   -+   ", "   -   "]


def test_stored_text_reads_as_a_person_would_write_it() -> None:
    """Strings are themselves, objects indented; what is no JSON, or deep, is shown as it is."""
    assert readable(values.encode("a\nb")) == "a\nb"
    assert readable(values.encode({"b": 1, "a": [2]})) == '{\n  "a": [\n    2\n  ],\n  "b": 1\n}'
    assert readable(b'{"cut') == '{"cut'
    assert readable(b"[" * 5_000) == "[" * 5_000


@settings(max_examples=60)
@given(PLAIN, PLAIN)
def test_values_differ_both_ways_alike(a: Any, b: Any) -> None:
    """From B to A what was added is removed; there is no difference exactly where the stored texts are equal."""
    there, back = value_diff(a, b), value_diff(b, a)
    turned = {"added": "removed", "removed": "added", "changed": "changed"}
    assert [(one.path, turned[one.kind], one.b, one.a) for one in there.changes] == [
        (one.path, one.kind, one.a, one.b) for one in back.changes
    ]
    assert bool(there) == (values.encode(a) != values.encode(b))
    assert value_diff(a, a) == ValueDiff()


@given(TEXTS, TEXTS)
def test_texts_differ_both_ways_alike(a: str, b: str) -> None:
    """Either text can be read off the lines, and from B to A the same lines are removed that were added."""
    there, back = text_diff(a, b), text_diff(b, a)
    if there:
        assert [line.text for line in there.lines if line.a is not None] == a.removesuffix("\n").split("\n") * bool(a)
        assert [line.text for line in there.lines if line.b is not None] == b.removesuffix("\n").split("\n") * bool(b)
    assert {(line.text, line.a, line.b) for line in there.lines} == {(line.text, line.b, line.a) for line in back.lines}
    assert (there.removed, there.added) == (back.added, back.removed)

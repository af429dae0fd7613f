"""Edits as texts: how values are shown so that nothing in them acts, what is a change, what the command line is given."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagent_tui.glyphs import ASCII
from tagent_tui.rows import Ink, Row, Tint
from tagent_tui.text import typed_lines
from tagent_tui.view.editing import (
    TYPED_MOST,
    Change,
    Draft,
    Editable,
    Effect,
    Form,
    Target,
    Wish,
    adds,
    before_rows,
    change_row,
    shown,
    target_row,
    targets_of,
)
from tests.acceptance.made_runs import HOSTILE

FOUND = Editable(
    "report",
    {"timeout": 5.0, "goal": "Write it", "while_": "x < 3"},
    b'{"score": 3}',
    {"company": b'"Acme"', "since": b"2023"},
    "gpt-4.1",
    {"cost": 0.5},
)


def text(row: Row) -> str:
    """A row's pieces joined."""
    return "".join(seg.text for seg in (*row.left, *row.right))


def change(before: str, after: str, form: Form = Form.TEXT) -> Change:
    """A change of a text."""
    return Change(Target("report.goal", "", before, form), after)


def test_what_can_be_edited_is_told_in_the_order_in_which_people_edit() -> None:
    """A goal first, then the output, other fields, to run again, params, model and budget."""
    paths = [one.path for one in targets_of(FOUND)]
    fields = ["report.goal", "report.output", "report.timeout", "report.while"]
    assert paths == [*fields, "report", "params.company", "params.since", "model", "budget"]
    assert [one.form for one in targets_of(FOUND)][:5] == [Form.TEXT, Form.JSON, Form.EITHER, Form.TEXT, Form.NOTHING]
    assert adds(targets_of(FOUND)) == "goal, output, timeout, while, run again, params, model, budget"


def test_the_effect_that_is_looked_at_comes_first() -> None:
    """Its value is offered under the version of its request; one without a value is empty."""
    first = targets_of(FOUND._replace(effect=Effect(12, "once", "read_page", b'{"bytes": 4}')))[0]
    assert (first.path, first.word, first.text) == ("effects.12.value", "result of read_page", '{\n  "bytes": 4\n}')
    assert targets_of(Editable(effect=Effect(12, "once", "read_page", None)))[0].held is False


def test_what_is_too_large_is_not_put_into_a_box() -> None:
    """A value that no command line takes is named, without its text."""
    large = targets_of(Editable("a", {}, b'"' + b"x" * TYPED_MOST + b'"'))[0]
    assert (large.path, large.text, large.whole) == ("a.output", "", False)
    assert "too large to edit here" in text(target_row(large))


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_is_edited_as_escapes(value: str) -> None:
    """What is shown draws nothing but itself, and is the same value still."""
    clean = value.replace("\ud800", "?")
    said, form = shown(json.dumps(clean).encode())
    assert typed_lines(said) == said
    assert (said if form is Form.TEXT else json.loads(said)) == clean


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_a_value_that_is_not_touched_is_given_back_as_it_was(value: object) -> None:
    """Whatever the value, what would be sent for its text is that value."""
    said, form = shown(json.dumps(value).encode())
    made = Change(Target("a.output", "", said, form), said)
    assert not made.made
    assert json.loads(made.said) == value


def test_a_text_that_looks_like_a_number_stays_a_text() -> None:
    """A string goes as JSON string, so the command line does not read it as anything else."""
    assert change("Write it", "42").said == '"42"'
    assert change("3", "42", Form.EITHER).said == "42"


def test_what_is_no_value_is_told_in_one_sentence() -> None:
    """Broken JSON names its place, nothing typed asks for something; a text is never wrong."""
    assert change("{}", "{", Form.JSON).wrong == (
        "report.goal is no JSON at line 1, column 2: Expecting property name enclosed in double quotes."
    )
    assert change("3", " ", Form.EITHER).wrong == "report.goal has no value; type one, or leave it out."
    assert change("a", "", Form.TEXT).wrong == ""
    assert change("{", "{", Form.JSON).wrong == ""


def test_a_draft_becomes_the_wish_of_what_differs() -> None:
    """What was only looked at is no edit; to run again is one by itself; adding a second time goes to the first."""
    draft = Draft(reason="  what if ")
    targets = targets_of(FOUND)
    for index in (0, 1, 4, 0):
        draft.add(targets[index])
    assert draft.at == 0
    assert draft.current is not None
    draft.current.text = "Write less"
    assert draft.wish("7f3a", 9) == Wish("7f3a", 9, (("report.goal", '"Write less"'),), ("report",), "what if")
    draft.remove()
    assert draft.wish("7f3a", 9).sets == ()
    draft.remove()
    draft.remove()
    draft.remove()
    assert (draft.current, draft.at, draft.made) == (None, 0, [])


def test_a_change_says_how_far_it_goes() -> None:
    """Lines that go and come, that nothing differs yet, that it is wrong; also in ASCII."""
    assert text(change_row(change("a\nb\nc", "a\nx\ny\nc"))).endswith("- 1  + 2 lines")
    assert text(change_row(change("a", "a"))).endswith("not changed yet")
    assert text(change_row(change("{}", "{", Form.JSON), ASCII)).endswith("x JSON")
    assert text(change_row(Change(Target("a", "run it again", form=Form.NOTHING), ""))).endswith("runs again")


def test_what_held_is_shown_from_where_it_differs() -> None:
    """Lines that go are marked and tinted, and in a low pane the first of them is seen."""
    before = "\n".join(f"line {number}" for number in range(40))
    rows = before_rows(change(before, before.replace("line 30\n", "")), 40, 6)
    assert [text(row).strip() for row in rows] == ["line 28", "line 29", "- line 30", "line 31", "line 32", "line 33"]
    assert (rows[2].tint, rows[2].left[0].ink) == (Tint.REMOVED, Ink.ERROR)
    assert text(before_rows(change("", "x", Form.EITHER), 40, 6)[0]) == "it is empty"


@pytest.mark.parametrize("value", HOSTILE)
def test_names_and_values_are_made_safe_in_rows(value: str) -> None:
    """No control character of a step's name or of a value reaches a row."""
    target = Target(f"{value}.output", value, value)
    for row in (target_row(target), change_row(Change(target, "x")), *before_rows(Change(target, "x"), 30, 9)):
        assert not any(ord(char) < 32 or char in "\u202e\u200b\x7f" for char in text(row))

"""What a model wrote, as a value: what is tolerated, what is refused, and with which words."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.models.replies import MAX_BYTES, ReplyProblem, parse, read, repair_messages, validate

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "items": {"type": "array", "items": {"type": "object", "properties": {"score": {"type": "number", "maximum": 1}}}}
    },
    "required": ["items"],
}

TOLERATED = [
    ('{"a": 1}', {"a": 1}),
    ('  \n{"a": 1}\n', {"a": 1}),
    ('```json\n{"a": 1}\n```', {"a": 1}),
    ("```\n[1, 2]\n```", [1, 2]),
    ('Here you are:\n```json\n{"a": 1}\n```\nAnything else?', {"a": 1}),
    ('<think>{"no": 1}</think>\n{"a": 1}', {"a": 1}),
    ('{"code": "```py\\nx\\n```"}', {"code": "```py\nx\n```"}),
    ('```json\n{"code": "```py\\nx\\n```"}\n```', {"code": "```py\nx\n```"}),
    ('{"text": "two\nlines"}', {"text": "two\nlines"}),
    ("\ufeff[1]", [1]),
    ("null", None),
    ("9223372036854775807", 2**63 - 1),
    ("-9223372036854775808", -(2**63)),
    ('"\\ud83d\\ude00"', "😀"),
]


@pytest.mark.parametrize(("text", "value"), TOLERATED)
def test_what_models_wrap_around_json_is_taken_off(text: str, value: Any) -> None:
    """A value is found alone, in a fence, after a thought, and with line breaks in its strings."""
    assert parse(text) == value


REFUSED = [
    ("", "empty"),
    ("   ", "empty"),
    ("I am sorry.", "not valid JSON at line 1, column 1"),
    ('{"a": 1', "not valid JSON"),
    ('{"a": 1} and {"b": 2}', "not valid JSON"),
    ("NaN", "NaN"),
    ('{"a": NaN}', "NaN"),
    ("[-Infinity]", "-Infinity"),
    ("[1e999]", "too large"),
    ("9223372036854775808", "64 bits"),
    ("[-9223372036854775809]", "64 bits"),
    ("1" * 5000, "64 bits"),
    ('{"a": 1, "a": 2}', "'a' twice"),
    ('[{"b": {"x": 1, "y": 2, "x": 1}}]', "'x' twice"),
    ('"\\ud800"', "lone surrogate"),
    ('{"\\udfff": 1}', "lone surrogate"),
    ("[1, \ud800]", "lone surrogate at character 4"),
    ("[" * 100_000 + "]" * 100_000, "deeper than 100"),
    ('{"a":' * 100_000 + "1" + "}" * 100_000, "deeper than 100"),
    ("[" * 100_000, "deeper than 100"),
    ('"' + "x" * MAX_BYTES + '"', "10,000,000"),
    ('"' + "é" * (MAX_BYTES // 2) + '"', "10,000,000"),
]


@pytest.mark.parametrize(("text", "words"), REFUSED, ids=lambda part: part[:20].encode("ascii", "replace").decode())
def test_what_is_no_value_is_refused_in_a_sentence(text: str, words: str) -> None:
    """Every bad reply of the catalogue is one sentence that says what is wrong, and no exception."""
    problem = parse(text)
    assert isinstance(problem, ReplyProblem)
    assert words in problem.sentence
    assert problem.sentence.endswith(".")
    assert len(problem.sentence) < 300


@pytest.mark.parametrize("text", ['"' + '\\"' * 2_000_000, '{"a": "' + "x" * 4_000_000, '"[' * 1_000_000, "```\n" * 1_000_000])
def test_hostile_text_costs_linear_time(text: str) -> None:
    """Unclosed strings and fences of megabytes are refused in seconds, not in hours."""
    started = time.monotonic()
    assert isinstance(parse(text), ReplyProblem)
    assert time.monotonic() - started < 10


def test_brackets_inside_strings_are_not_depth() -> None:
    """A text full of brackets is one level."""
    assert parse(json.dumps("[" * 1000 + '"{')) == "[" * 1000 + '"{'


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
@settings(max_examples=150, deadline=None)
def test_values_survive(value: Any) -> None:
    """Whatever JSON can say within the limits is read back as it was."""
    assert parse(json.dumps(value)) == value


def test_a_misfit_names_its_place() -> None:
    """What does not fit the schema is told by its path in the reply."""
    problem = read('{"items": [{"score": 0.5}, {"score": 7}]}', SCHEMA)
    assert isinstance(problem, ReplyProblem)
    assert "$.items[1].score" in problem.sentence
    assert "7 is greater than the maximum of 1" in problem.sentence


def test_a_fitting_reply_is_its_value() -> None:
    """A reply that fits comes back as the value, and without a schema nothing is checked."""
    assert read('{"items": [], "more": 1}', SCHEMA) == {"items": [], "more": 1}
    assert read('"text"', None) == "text"


def test_extra_fields_are_refused_where_the_schema_forbids_them() -> None:
    """`additionalProperties: false` names the field that is too many."""
    problem = validate({"a": 1}, {"type": "object", "additionalProperties": False})
    assert problem is not None
    assert "'a'" in problem.sentence


def test_a_huge_offending_value_is_not_quoted_whole() -> None:
    """The sentence stays short however long the value is."""
    problem = validate({"a": "x" * 100_000}, {"properties": {"a": {"type": "integer"}}})
    assert problem is not None
    assert len(problem.sentence) < 500


def test_a_repair_shows_the_reply_and_the_problem() -> None:
    """The repair prompt is the old messages, the bad reply, and the sentence; the old list stays as it was."""
    asked = [{"role": "user", "content": "Give me a number."}]
    repaired = repair_messages(asked, "seven \ud800", ReplyProblem("The reply is not valid JSON."))
    assert [message["role"] for message in repaired] == ["user", "assistant", "user"]
    assert repaired[1]["content"] == "seven ?"
    assert repaired[2]["content"].startswith("The reply is not valid JSON. Answer again")
    assert len(asked) == 1


def test_a_repair_does_not_send_megabytes_again() -> None:
    """A long bad reply is cut in the repair prompt, and an empty one is said to be."""
    assert len(repair_messages([], "x" * 1_000_000, "No.")[0]["content"]) < 21_000
    assert repair_messages([], "", "No.")[0]["content"] == "(empty)"

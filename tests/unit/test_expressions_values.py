"""What expressions are worth: operators, paths, functions, refusals at run time and limits."""

from __future__ import annotations

import time
from types import MappingProxyType
from typing import Any

import pytest

from engine.errors import ExpressionError
from engine.expressions import parse
from engine.expressions.tree import MAX_ITEMS, MAX_TEXT

NAMES: dict[str, Any] = {
    "steps": {
        "a": {"status": "completed", "output": {"score": 4, "links": ["x", "y"], "url": None, "_id": 7, "keys": {"if": 1}}},
        "b": {"status": "failed"},
        "c": {"status": "skipped"},
        "d": {"status": "timed_out", "output": "some text"},
    },
    "params": MappingProxyType({"n": 3, "company": "Acme", "rate": 0.5, "flag": True, "items": [3, 1, 2]}),
    "item": "i",
}


def worth(text: str) -> Any:
    return parse(text).evaluate(NAMES)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("steps.a.output.score > 3 and not exists(steps.b.output.url)", True),
        ("1 + 2 * 3 - 4 / 2 - 7 // 2 + 7 % 4", 5.0),
        ("-params.n + 1", -2),
        ("1 < 2 <= 2 != 3", True),
        ("1 < 3 < 2", False),
        ("'a' < 'b'", True),
        ("'a' + 'b' == 'ab'", True),
        ("[1] + [2, 'x']", [1, 2, "x"]),
        ("{'a': 1 + 1, 'b': [item]}", {"a": 2, "b": ["i"]}),
        ("true == 1", False),
        ("[true] == [1]", False),
        ("1 == 1.0", True),
        ("{'a': [1]} == {'a': [1.0]}", True),
        ("null == false", False),
        ("1 in [true]", False),
        ("'x' in steps.a.output.links", True),
        ("'cm' in params.company", True),
        ("'n' in params", True),
        ("3 not in params.items", False),
        ("0 or '' or 'last'", "last"),
        ("0 and missing", 0),
        ("1 or missing", 1),
        ("'yes' if params.flag else missing", "yes"),
        ("missing if not params.flag else 'no'", "no"),
        ("steps.a.output.links[-1]", "y"),
        ("params.company[0]", "A"),
        ("steps['a'].output['_id']", 7),
        ("steps.a.output.keys.if", 1),
        ("steps[\"a\"].output[\"li\" + \"nks\"][params.n - 2]", "y"),
        ("exists(steps.a.output.score)", True),
        ("exists(steps.a.output.url)", False),
        ("exists(steps.a.output.links[2])", False),
        ("exists(steps.a.output.score.deep[0].x)", False),
        ("exists(nothing.at.all)", False),
        ("exists(steps[nothing.at].all)", False),
        ("default(steps.a.output.url, 'none')", "none"),
        ("default(steps.a.output.score, missing)", 4),
        ("default(steps.b.output.url, params.n)", 3),
        ('step_succeeded("a") and step_completed("a")', True),
        ('step_failed("b") and step_failed("d")', True),
        ('step_skipped("c") and not step_skipped("a")', True),
        ("len(params.items) + len('ab') + len(params)", 10),
        ("lower('AB') + upper('ab') + trim('  x ')", "abABx"),
        ("starts_with('abc', 'ab') and ends_with('abc', 'bc')", True),
        ("contains(params.items, 1) and contains('abc', 'b') and contains(params, 'n')", True),
        ("matches('3 gaps found', '\\\\bgaps?\\\\b')", True),
        ("matches('abc', '^b')", False),
        ("min(params.items) + max(1, 5, 2)", 6),
        ("min('b', 'a')", "a"),
        ("sum(params.items) + sum([])", 6),
        ("abs(-2) + round(2.567, 1) + round(2.4)", 6.6),
        ("int('-12') + int(2.9) + int(true)", -9),
        ("float('1.5') + float(2)", 3.5),
        ("str(1) + str('x') + str([1, null, 'é'])", '1x[1,null,"é"]'),
        ("keys({'b': 1, 'a': 2}) + values({'b': 1, 'a': 2})", ["a", "b", 2, 1]),
        ("any([0, 1]) and not all([0, 1]) and all([]) and not any([])", True),
        ("first(params.items) + last(params.items)", 5),
        ("first('abc') + last('abc')", "ac"),
        ("join(['a', 1], '-') + join(['b'])", "a-1b"),
        ("split('a b') + split('c,d', ',')", ["a", "b", "c", "d"]),
        ("to_json({'b': [1.5, true], 'a': 'x'})", '{"a":"x","b":[1.5,true]}'),
        ("to_json(params.items)", "[3,1,2]"),
        ("to_json(params)", '{"company":"Acme","flag":true,"items":[3,1,2],"n":3,"rate":0.5}'),
        ("'\\ud83d\\ude00'", "😀"),
    ],
)  # fmt: skip
def test_what_an_expression_is_worth(text: str, value: Any) -> None:
    """Operators, paths and functions give the documented value, of the documented type."""
    assert worth(text) == value
    assert type(worth(text)) is type(value)


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("missing > 1", 1, "there is no missing"),
        ("stepz.a", 1, "did you mean 'steps'?"),
        ("1 + steps.b.output.url", 12, "steps.b.output is not there; ask with exists(...)"),
        ("steps.a.output.scor > 1", 15, "steps.a.output.scor is not there; did you mean 'score'?"),
        ("steps.a.output.score.x", 21, "steps.a.output.score is a number; ask with exists(...)"),
        ("steps.a.output.links[2]", 21, "steps.a.output.links has 2 items"),
        ("steps.a.output.links.x", 21, "is a list, which has numbers as keys"),
        ("params.company[9]", 15, "has 4 characters"),
        ("params.company.x", 15, "is text"),
        ("params.items[true]", 13, "true is no key"),
        ("params.items[1.0]", 13, "a number is no key"),
        ("params[params]", 7, "a mapping is no key"),
        ('step_failed("zzz")', 13, "steps.zzz is not there"),
        ("params.n > 'a'", 10, "> orders two numbers or two texts, not a number and text"),
        ("params.flag > 0", 13, "not true and a number"),
        ("null < 1", 6, "not null and a number"),
        ("1 + 'a'", 3, "write str(...)"),
        ("'a' + 1", 5, "write str(...)"),
        ("1 + null", 3, "not a number and null"),
        ("params.company * 2", 16, "* takes two numbers, not text and a number"),
        ("params.company % 2", 16, "% takes two numbers, not text and a number"),
        ("params.items * 2", 14, "* takes two numbers, not a list and a number"),
        ("params.flag + 1", 13, "not true and a number"),
        ("-params.company", 1, "- takes a number, not text"),
        ("1 in params.company", 3, "a text can hold text only"),
        ("1 in params.n", 3, "only a list, a text or a mapping"),
        ("1 / 0", 3, "divides by zero"),
        ("1 // (params.n - 3)", 3, "divides by zero"),
        ("1 % 0.0", 3, "divides by zero"),
        ("1e308 * 10", 7, "cannot be calculated with"),
        ("len(params.n)", 1, "len takes a text, a list or a mapping, not a number"),
        ("upper(params.n)", 1, "upper takes text, not a number"),
        ("int('1_0')", 1, "int takes a whole number, not the text '1_0'"),
        ("int('٣')", 1, "int takes a whole number"),
        ("float('nan')", 1, "float takes a number"),
        ("round(7.5, 'a')", 1, "places up to 300"),
        ("float('1e999')", 1, "the number is inf"),
        ("sum(['a'])", 1, "sum takes a number, not text"),
        ("max([])", 1, "the list is empty"),
        ("max(1, 'a')", 1, "orders two numbers or two texts"),
        ("first([])", 1, "this is empty"),
        ("split('a', '')", 1, "not empty"),
        ("round(1, 1000)", 1, "places up to 300"),
        ("keys([1])", 1, "keys takes a mapping, not a list"),
        ("any('a')", 1, "any takes a list, not text"),
        ("matches('a', '(a')", 1, "a group is not closed (character 3 of the pattern)"),
        ("exists(params.items[1/0])", 22, "divides by zero"),
        ("default(params.items[1/0], 1)", 23, "divides by zero"),
        ('ask_model("Good?")', 1, "no model has answered the question 'Good?' here"),
    ],
)  # fmt: skip
def test_what_has_no_value_is_refused_with_its_position(text: str, position: int, says: str) -> None:
    """A missing path, a wrong type, a division by zero: one sentence with the position in the text."""
    with pytest.raises(ExpressionError) as refused:
        worth(text)
    assert says in str(refused.value)
    assert refused.value.position == position


def test_python_attributes_are_never_read() -> None:
    """A dot reads keys only: what is an attribute of a Python value and no key is not there."""

    class Loaded:
        secret = "read"

        def __getattr__(self, name: str) -> str:
            raise AssertionError(name)

    for text in ("x.secret", "x['secret']", "d.keys", "d.items", "t.upper", "n.real"):
        with pytest.raises(ExpressionError, match="is not there"):
            parse(text).evaluate({"x": Loaded(), "d": {}, "t": "t", "n": 1})


def test_the_answers_of_a_model_come_from_the_caller() -> None:
    """ask_model gives the recorded answer and asks nobody."""
    expression = parse('params.n > 1 and ask_model("Good?")')
    assert expression.holds(NAMES, {"Good?": True}) is True
    assert expression.holds(NAMES, {"Good?": False}) is False


def test_what_holds() -> None:
    """False, null, zero and what is empty do not hold; everything else does."""
    assert [parse(text).holds({}) for text in ("false", "null", "0", "''", "[]", "{}", "0.0")] == [False] * 7
    assert [parse(text).holds({}) for text in ("true", "1", "'false'", "[0]", "-0.5")] == [True] * 5


BIG = {
    "text": "x" * (MAX_TEXT // 2 + 1),
    "items": [0] * (MAX_ITEMS // 2 + 1),
    "number": 2**1000,
    "huge": 10**5000,
    "most": 2**1024 - 1,
    "many": [0] * 400_000,
}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("text + text", "characters, more than"),
        ("join([text, text])", "characters, more than"),
        ("to_json([text, text])", "characters, more than"),
        ("items + items", "items, more than"),
        ("split(text + text, 'x')", "more than"),
        ("number * number", "larger than 2^1024"),
        ("number * number * number * number", "larger than 2^1024"),
        ("huge + 1", "larger than 2^1024"),
        ("-huge", "larger than 2^1024"),
        ("sum([huge])", "larger than 2^1024"),
        ("number / 0.0000001 * 1e300", "cannot be calculated with"),
        ("{'a': 1}[huge]", '{"a": 1}[huge] is not there'),
        ("items[huge]", "items[huge] is not there"),
        ("float(most)", "the number is too large"),
        ("str(huge)", "cannot be written as JSON"),
        (" and ".join(["1 not in many"] * 100), "more than 2000000 steps"),
        (" and ".join(["many == many"] * 100), "more than 2000000 steps"),
        (" and ".join(["min(many) == 0"] * 100), "more than 2000000 steps"),
        (" and ".join(["'y' not in text"] * 100), "more than 2000000 steps"),
        (" and ".join(["join(many) != ''"] * 100), "more than 2000000 steps"),
        ("matches(text, '(x+x+)+y')", "more than 2000000 steps"),
    ],
    ids=lambda value: value[:40],
)
def test_small_texts_make_no_huge_values(text: str, says: str) -> None:
    """Texts, lists, numbers and the work of an evaluation are bounded, whatever is put together, and within seconds."""
    began = time.perf_counter()
    with pytest.raises(ExpressionError) as refused:
        parse(text).evaluate(BIG)
    assert says in str(refused.value)
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize("text", ["x == y", "str(x)", "x in [y]", "to_json(x)", "exists(x) and str(x)"])
def test_values_nested_without_end_are_refused(text: str) -> None:
    """A value that is nested too deep, or contains itself, is an ExpressionError."""
    x: list[Any] = []
    y: list[Any] = []
    for _ in range(100_000):
        x, y = [x], [y]
    with pytest.raises(ExpressionError, match="nested too deep"):
        parse(text).evaluate({"x": x, "y": y})


def test_bytes_have_no_json() -> None:
    """What JSON has no form for is refused with its kind."""
    with pytest.raises(ExpressionError, match="it holds a value of type bytes"):
        parse("to_json([x])").evaluate({"x": b"bytes"})

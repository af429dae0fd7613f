"""Conditions as objects and as mappings: the same expressions as texts."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import ExpressionError
from engine.expressions import ConditionDSL, condition_of, parse
from engine.expressions.conditions import FIELDS


def two(operator: str, left: Any, right: Any) -> dict[str, Any]:
    """A mapping with two sides."""
    return {"operator": operator, "left": left, "right": right}


SAME: list[tuple[ConditionDSL, dict[str, Any], str]] = [
    (ConditionDSL.equals("steps.a.output.gap", True), two("equals", "$a.result.gap", True), "steps.a.output.gap == true"),
    (ConditionDSL.not_equals("$a.output", None), two("not_equals", "$a", None), "steps.a.output != null"),
    (ConditionDSL.greater_than("params.n", -1), two("greater_than", "$params.n", -1), "params.n > -1"),
    (ConditionDSL.greater_or_equal("item.x", 1.5), two("greater_or_equal", "$item.x", 1.5), "item.x >= 1.5"),
    (ConditionDSL.less_than("len(output)", 3), two("less_than", "len(output)", 3), "len(output) < 3"),
    (ConditionDSL.less_or_equal(1, "$params.n"), two("less_or_equal", 1, "$params.n"), "1 <= params.n"),
    (ConditionDSL.contains("$a.result[0].t", "x"), two("contains", "$a.result[0].t", "x"), 'contains(steps.a.output[0].t, "x")'),
    (ConditionDSL.in_("$my-step.status", ["failed", 1]), two("in", "$my-step.status", ["failed", 1]),
     'steps["my-step"].status in ["failed", 1]'),
    (ConditionDSL.matches("output", "^a+$"), two("matches", "output", "^a+$"), 'matches(output, "^a+$")'),
    (ConditionDSL.exists("$a.result.url"), {"operator": "exists", "left": "$a.result.url"}, "exists(steps.a.output.url)"),
    (ConditionDSL.data_exists("steps.a"), {"operator": "data_exists", "left": "steps.a"}, "exists(steps.a)"),
    (ConditionDSL.not_exists("steps.a"), {"operator": "not_exists", "left": "steps.a"}, "not exists(steps.a)"),
    (ConditionDSL.step_succeeded("a"), {"operator": "step_succeeded", "step": "a"}, 'step_succeeded("a")'),
    (ConditionDSL.step_failed("a"), {"operator": "step_failed", "step": "a"}, 'step_failed("a")'),
    (ConditionDSL.step_skipped("a"), {"operator": "step_skipped", "step": "a"}, 'step_skipped("a")'),
    (ConditionDSL.step_result_contains("params", "x"), {"operator": "step_result_contains", "step": "params", "right": "x"},
     'contains(str(steps.params.output), "x")'),
    (ConditionDSL.equals("output", "$$x"), two("equals", "output", "$$x"), 'output == "$x"'),
    (ConditionDSL.equals("output", {"k": [1, "$n"]}), two("equals", "output", {"k": [1, "$n"]}), 'output == {"k": [1, "$n"]}'),
    (ConditionDSL.combine_and(ConditionDSL.expression("a or b"), ConditionDSL.expression("c")),
     {"operator": "and", "conditions": ["a or b", "c"]}, "(a or b) and c"),
    (ConditionDSL.combine_or(ConditionDSL.expression("a"), ConditionDSL.expression("b or c")),
     {"operator": "or", "conditions": ["a", {"operator": "or", "conditions": ["b", "c"]}]}, "a or b or c"),
    (ConditionDSL.negate(ConditionDSL.equals("a", 1)),
     {"operator": "not", "conditions": [ConditionDSL.equals("a", 1)]}, "not a == 1"),
    (ConditionDSL.combine_and(ConditionDSL.expression("a")), {"operator": "and", "conditions": ["a"]}, "a"),
]  # fmt: skip


@pytest.mark.parametrize(("built", "mapping", "text"), SAME, ids=[text for *_, text in SAME])
def test_three_ways_to_one_tree(built: ConditionDSL, mapping: dict[str, Any], text: str) -> None:
    """Object, mapping and text give the same expression, whose text is the canonical one."""
    assert str(condition_of(built)) == str(condition_of(mapping)) == str(condition_of(text)) == text
    assert repr(condition_of(built).tree) == repr(condition_of(mapping).tree) == repr(parse(text).tree)
    assert str(built) == text


def test_every_operator_is_tried() -> None:
    """The table above has each operator of mappings."""
    assert {mapping["operator"] for _, mapping, _ in SAME} == set(FIELDS)


def test_conditions_are_joined_with_signs() -> None:
    """`&`, `|` and `~` join conditions; `and` and `or` of Python, which would drop one, are refused."""
    a, b, c = (ConditionDSL.expression(name) for name in "abc")
    assert str(a & b | ~c) == "a and b or not c"
    assert str(~(a | b) & c & ~~a) == "not (a or b) and c and not not a"
    assert {a & b, ConditionDSL.expression("(a) and b")} == {a & b}
    assert repr(~a) == "ConditionDSL('not a')"
    with pytest.raises(TypeError, match="join conditions with &"):
        bool(a)


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ({}, "has no operator"),
        ({"operator": "equal", "left": "a", "right": 1}, "the operator is 'equal'; did you mean 'equals'?"),
        ({"operator": 3}, "the operator is '3'; use equals"),
        ({"operator": "equals", "left": "a"}, "equals has no 'right'; it takes left and right"),
        ({"operator": "exists", "left": "a", "rihgt": 1}, "the field 'rihgt' is not known; exists takes left"),
        ({"operator": "equals", "left": "a", "right": 1, "rigth": 1}, "the field 'rigth' is not known; did you mean 'right'?"),
        ({"operator": "equals", "left": "a ==", "right": 1}, "left: a value is expected here"),
        ({"operator": "equals", "left": "a", "right": "$b.score"}, "right: a step has no 'score'; write $b.result.score"),
        ({"operator": "equals", "left": "a", "right": "$"}, "right: '$' is not part of the language"),
        ({"operator": "equals", "left": "a", "right": float("nan")}, "right: the number is nan"),
        ({"operator": "equals", "left": "a", "right": 10**5000}, "right: the number is larger than 2^1024"),
        ({"operator": "equals", "left": "a", "right": b"x"}, "right: is a value of type bytes; write a plain value"),
        ({"operator": "equals", "left": "a", "right": {1: 2}}, "right: is a mapping; write a plain value"),
        ({"operator": "equals", "left": "a", "right": "\ud800"}, "the text holds half a character (a lone surrogate)"),
        ({"operator": "exists", "left": 3}, "exists asks about a path"),
        ({"operator": "exists", "left": "len(a)"}, "exists asks about a path"),
        ({"operator": "matches", "left": "a", "right": 3}, "right: is a number; write text"),
        ({"operator": "step_failed", "step": 3}, "step: is a number; write the name of a step"),
        ({"operator": "step_failed", "step": " "}, "step_failed takes a step's name written out"),
        ({"operator": "and", "conditions": []}, "and takes a list of conditions"),
        ({"operator": "or", "conditions": "a"}, "or takes a list of conditions"),
        ({"operator": "not", "conditions": ["a", "b"]}, "not takes a list of one condition"),
        ({"operator": "and", "conditions": ["a", {"operator": "not", "conditions": [two("equals", "a = b", 1)]}]},
         "conditions[1].conditions[0].left: '=' is not part of the language; write == to compare (position 3, near 'a = b')"),
        ({"operator": "and", "conditions": ["a", "b b"]}, "conditions[1]: an operator or the end is expected here"),
        ({"operator": "and", "conditions": ["a", 3]}, "conditions[1]: is a number; write a condition"),
    ],
)  # fmt: skip
def test_a_wrong_mapping_is_told_with_its_place(mapping: dict[str, Any], said: str) -> None:
    """An error in a mapping says where in the mapping it stands and what to write."""
    with pytest.raises(ExpressionError) as refused:
        condition_of(mapping)
    assert str(refused.value).startswith(said)


def test_conditions_nested_without_end_are_refused() -> None:
    """Mappings, objects and values nested too deep, or in themselves, are refused."""
    mapping: dict[str, Any] = {"operator": "and", "conditions": ["a"]}
    mapping["conditions"].append(mapping)
    condition = ConditionDSL.expression("a")
    for _ in range(5_000):
        condition = ~condition
    value: list[Any] = []
    value.append(value)
    for wrong in (mapping, condition, {"operator": "equals", "left": "a", "right": value}):
        with pytest.raises(ExpressionError, match="nested"):
            condition_of(wrong)


def test_what_is_no_condition_is_refused() -> None:
    """Anything but text, ConditionDSL and a mapping is refused with what to write."""
    wrong: Any = 3
    with pytest.raises(ExpressionError, match="is a number; write a condition as text"):
        condition_of(wrong)
    with pytest.raises(ExpressionError, match="combine_or takes at least one condition"):
        ConditionDSL.combine_or()


def test_a_condition_that_was_built_is_evaluated_like_a_text() -> None:
    """A built condition holds or not, and refuses with positions in its canonical text."""
    condition = condition_of(ConditionDSL.greater_than("$a.result.score", 3) & ConditionDSL.step_succeeded("a"))
    assert condition.holds({"steps": {"a": {"output": {"score": 4}, "status": "completed"}}})
    with pytest.raises(ExpressionError) as refused:
        condition.evaluate({"steps": {"a": {"output": {}}}})
    assert (refused.value.position, refused.value.text) == (15, 'steps.a.output.score > 3 and step_succeeded("a")')

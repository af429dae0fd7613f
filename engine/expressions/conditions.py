"""Conditions as objects (`ConditionDSL`) and as mappings (`{"operator": "equals", ...}`): two more ways to the one tree.

Stands apart because both are only built here: what they build is written as canonical text and read like any other expression, so a
condition is the same text in files, in the log and on screens however it was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from engine.errors import ExpressionError, suggestion
from engine.expressions.arithmetic import RefusedError, bounded, kind
from engine.expressions.canonical import written
from engine.expressions.expression import Expression, parse
from engine.expressions.tree import MAX_DEPTH, Call, Compare, Const, Items, Link, Name, Node, Not, Pairs, Part, logic, path

ROOTS = frozenset({"steps", "params", "shared", "item", "index", "output", "attempt"})
"""First words of a `$` path that are names; any other is a step."""
_DOLLAR = re.compile(r"\$([A-Za-z_][A-Za-z0-9_-]*)(.*)", re.DOTALL)
_OF_STEP = re.compile(r"\.([A-Za-z]\w*)(.*)", re.DOTALL | re.ASCII)


class ConditionDSL:
    """A condition built of objects: `ConditionDSL.greater_than("steps.a.output.score", 3) & ConditionDSL.step_succeeded("b")`.

    The first argument of a comparison is a path (`steps.a.output`, `$a.result`) or any expression as text; a value that is not text
    stands for itself. The second is a value; a text that begins with `$` is a path, and `$$` stands for `$`. `&`, `|` and `~` join.
    """

    def __init__(self, tree: Node) -> None:
        self.tree = tree

    @property
    def text(self) -> str:
        """The condition in the language."""
        return _readable(self.tree).text

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"ConditionDSL({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConditionDSL) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __and__(self, other: ConditionDSL) -> ConditionDSL:
        return ConditionDSL.combine_and(self, other)

    def __or__(self, other: ConditionDSL) -> ConditionDSL:
        return ConditionDSL.combine_or(self, other)

    def __invert__(self) -> ConditionDSL:
        return ConditionDSL.negate(self)

    def __bool__(self) -> bool:
        raise TypeError("a condition has no value yet; join conditions with &, | and ~ instead of and, or and not")

    @staticmethod
    def expression(text: str) -> ConditionDSL:
        """A condition written in the language."""
        return ConditionDSL(parse(text).tree)

    @staticmethod
    def equals(left: Any, right: Any) -> ConditionDSL:
        """`left == right`."""
        return _compared("==", left, right)

    @staticmethod
    def not_equals(left: Any, right: Any) -> ConditionDSL:
        """`left != right`."""
        return _compared("!=", left, right)

    @staticmethod
    def greater_than(left: Any, right: Any) -> ConditionDSL:
        """`left > right`."""
        return _compared(">", left, right)

    @staticmethod
    def greater_or_equal(left: Any, right: Any) -> ConditionDSL:
        """`left >= right`."""
        return _compared(">=", left, right)

    @staticmethod
    def less_than(left: Any, right: Any) -> ConditionDSL:
        """`left < right`."""
        return _compared("<", left, right)

    @staticmethod
    def less_or_equal(left: Any, right: Any) -> ConditionDSL:
        """`left <= right`."""
        return _compared("<=", left, right)

    @staticmethod
    def in_(left: Any, right: Any) -> ConditionDSL:
        """`left in right`: `right` a list, a text, or a `$` path to one."""
        return _compared("in", left, right)

    @staticmethod
    def contains(left: Any, right: Any) -> ConditionDSL:
        """Whether the list, text or mapping `left` holds `right`."""
        return _of(Call("contains", (_left(left), _right(right))))

    @staticmethod
    def matches(left: Any, right: str) -> ConditionDSL:
        """Whether the pattern `right` is found in the text `left`."""
        return _of(Call("matches", (_left(left), Const(right))))

    @staticmethod
    def exists(left: str) -> ConditionDSL:
        """Whether the path leads to something other than null."""
        return _of(Call("exists", (_left(left),)))

    @staticmethod
    def not_exists(left: str) -> ConditionDSL:
        """Whether the path leads nowhere, or to null."""
        return _of(Not(Call("exists", (_left(left),))))

    @staticmethod
    def data_exists(left: str) -> ConditionDSL:
        """Like `exists`: the word of data dependencies."""
        return ConditionDSL.exists(left)

    @staticmethod
    def step_succeeded(step: str) -> ConditionDSL:
        """Whether a step has completed."""
        return _of(Call("step_succeeded", (Const(step),)))

    @staticmethod
    def step_failed(step: str) -> ConditionDSL:
        """Whether a step has failed or run out of time."""
        return _of(Call("step_failed", (Const(step),)))

    @staticmethod
    def step_skipped(step: str) -> ConditionDSL:
        """Whether a step was skipped."""
        return _of(Call("step_skipped", (Const(step),)))

    @staticmethod
    def step_result_contains(step: str, text: str) -> ConditionDSL:
        """Whether a step's output, written as text, holds a text."""
        output = path(Name("steps"), [Part(Const(step)), Part(Const("output"))])
        return _of(Call("contains", (Call("str", (output,)), Const(text))))

    @staticmethod
    def combine_and(*conditions: ConditionDSL) -> ConditionDSL:
        """Whether all hold."""
        return _combined("and", conditions)

    @staticmethod
    def combine_or(*conditions: ConditionDSL) -> ConditionDSL:
        """Whether one holds."""
        return _combined("or", conditions)

    @staticmethod
    def negate(condition: ConditionDSL) -> ConditionDSL:
        """Whether the condition does not hold."""
        return ConditionDSL(Not(condition.tree))


_COMPARING: dict[str, Callable[[Any, Any], ConditionDSL]] = {
    "equals": ConditionDSL.equals,
    "not_equals": ConditionDSL.not_equals,
    "greater_than": ConditionDSL.greater_than,
    "greater_or_equal": ConditionDSL.greater_or_equal,
    "less_than": ConditionDSL.less_than,
    "less_or_equal": ConditionDSL.less_or_equal,
    "contains": ConditionDSL.contains,
    "in": ConditionDSL.in_,
    "matches": ConditionDSL.matches,
}
_ASKING: dict[str, Callable[[str], ConditionDSL]] = {
    "exists": ConditionDSL.exists,
    "not_exists": ConditionDSL.not_exists,
    "data_exists": ConditionDSL.data_exists,
}
_OF_STEPS: dict[str, Callable[[str], ConditionDSL]] = {
    "step_succeeded": ConditionDSL.step_succeeded,
    "step_failed": ConditionDSL.step_failed,
    "step_skipped": ConditionDSL.step_skipped,
}
FIELDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_COMPARING, ("left", "right")),
    **dict.fromkeys(_ASKING, ("left",)),
    **dict.fromkeys(_OF_STEPS, ("step",)),
    "step_result_contains": ("step", "right"),
    **dict.fromkeys(("and", "or", "not"), ("conditions",)),
}
"""The operators of mappings and the fields each has beside `operator`."""


def condition_of(value: str | ConditionDSL | Mapping[str, Any]) -> Expression:
    """The expression of a condition however it is written; `ExpressionError` says where in a mapping it is wrong."""
    if isinstance(value, str):
        return parse(value)
    return _readable(_tree(value, "", 0))


def _readable(tree: Node) -> Expression:
    try:
        text = written(tree)
    except RecursionError:
        raise ExpressionError("the condition is nested too deep; compute parts of it in steps") from None
    return parse(text)


def _tree(value: Any, place: str, depth: int) -> Node:
    """The tree of a condition that stands at a place of a mapping."""
    if isinstance(value, ConditionDSL):
        return value.tree
    try:
        if isinstance(value, str):
            return parse(value).tree
        if not isinstance(value, Mapping):
            raise ExpressionError(f"is {kind(value)}; write a condition as text, as ConditionDSL or as a mapping with operator:")
        operator = _operator(value)
        if operator not in ("and", "or", "not"):
            return _leaf(operator, value)
        inner = value["conditions"]
        if not isinstance(inner, list | tuple) or not inner or (operator == "not" and len(inner) != 1):
            raise ExpressionError(f"{operator} takes {'a list of one condition' if operator == 'not' else 'a list of conditions'}")
        if depth >= MAX_DEPTH:
            raise ExpressionError(f"conditions are nested deeper than {MAX_DEPTH}; compute parts of them in steps")
    except ExpressionError as error:
        raise _placed(error, place) from None
    trees = [_tree(item, f"{place}.conditions[{index}]".lstrip("."), depth + 1) for index, item in enumerate(inner)]
    if operator == "not":
        return Not(trees[0])
    return trees[0] if len(trees) == 1 else logic(operator, trees)


def _operator(value: Mapping[str, Any]) -> str:
    """The operator of a mapping that has its fields and no others."""
    operator = value.get("operator")
    if not isinstance(operator, str) or operator not in FIELDS:
        said = "has no operator" if operator is None else f"the operator is {str(operator)[:40]!r}"
        raise ExpressionError(f"{said}{suggestion(str(operator), list(FIELDS)) or '; use ' + ', '.join(FIELDS)}")
    fields = FIELDS[operator]
    for field in fields:
        if field not in value:
            raise ExpressionError(f"{operator} has no {field!r}; it takes {' and '.join(fields)}")
    for key in value:
        if key not in (*fields, "operator"):
            near = suggestion(str(key), fields) or f"; {operator} takes {' and '.join(fields)}"
            raise ExpressionError(f"the field {str(key)[:40]!r} is not known{near}")
    return operator


def _leaf(operator: str, value: Mapping[str, Any]) -> Node:
    if operator in _OF_STEPS or operator == "step_result_contains":
        step = value["step"]
        if not isinstance(step, str):
            raise ExpressionError(f"is {kind(step)}; write the name of a step", place="step")
        if operator in _OF_STEPS:
            return _OF_STEPS[operator](step).tree
        return ConditionDSL.step_result_contains(step, _right_text(value["right"])).tree
    if operator in _ASKING:
        return _ASKING[operator](value["left"]).tree
    right = _right_text(value["right"]) if operator == "matches" else value["right"]
    return _COMPARING[operator](value["left"], right).tree


def _right_text(right: Any) -> str:
    if not isinstance(right, str):
        raise ExpressionError(f"is {kind(right)}; write text", place="right")
    return right


def _placed(error: ExpressionError, place: str) -> ExpressionError:
    return error.at_place(".".join(filter(None, (place, error.place))))


def _compared(operator: str, left: Any, right: Any) -> ConditionDSL:
    return _of(Compare(_left(left), (Link(operator, _right(right)),)))


def _of(tree: Node) -> ConditionDSL:
    """A single condition; reading it back refuses what the language does not have, such as `exists` of a number."""
    return ConditionDSL(_readable(tree).tree)


def _combined(operator: str, conditions: tuple[ConditionDSL, ...]) -> ConditionDSL:
    if not conditions:
        raise ExpressionError(f"combine_{operator} takes at least one condition")
    if len(conditions) == 1:
        return conditions[0]
    return ConditionDSL(logic(operator, [condition.tree for condition in conditions]))


def _left(value: Any) -> Node:
    """The left side: a text is a path or an expression, anything else a value."""
    try:
        return _found(value) if isinstance(value, str) else _literal(value, 0)
    except ExpressionError as error:
        raise error.at_place("left") from None


def _right(value: Any) -> Node:
    """The right side: a value, unless it is a text that begins with one `$`."""
    try:
        if isinstance(value, str) and value.startswith("$"):
            return Const(value[1:]) if value.startswith("$$") else _found(value)
        return _literal(value, 0)
    except ExpressionError as error:
        raise error.at_place("right") from None


def _found(text: str) -> Node:
    """The tree of a path with or without `$`."""
    found = _DOLLAR.fullmatch(text)
    if not found:
        return parse(text).tree
    name, rest = found[1], found[2]
    if name in ROOTS:
        return parse(name + rest).tree
    field, after = "output", rest
    if named := _OF_STEP.fullmatch(rest):
        field, after = named[1], named[2]
    if field not in ("result", "output", "status", "error"):
        raise ExpressionError(f"a step has no {field[:40]!r}; write ${name}.result.{field[:40]}")
    return parse(f'steps["{name}"].{"output" if field == "result" else field}{after}').tree


def _literal(value: Any, depth: int) -> Node:
    """A value written out."""
    if depth > MAX_DEPTH:
        raise ExpressionError(f"the value is nested deeper than {MAX_DEPTH}")
    if value is None or isinstance(value, bool | str):
        return Const(value)
    if isinstance(value, int | float):
        try:
            return Const(bounded(int(value) if isinstance(value, int) else float(value)))
        except RefusedError as error:
            raise ExpressionError(str(error)) from None
    if isinstance(value, list | tuple):
        return Items(tuple(_literal(item, depth + 1) for item in value))
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return Pairs(tuple((key, _literal(held, depth + 1)) for key, held in value.items()))
    raise ExpressionError(f"is {kind(value)}; write a plain value: null, true, a number, text, a list or a mapping")

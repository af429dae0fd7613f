"""Laws of the expression language that hold for any text and any tree."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.errors import ExpressionError
from engine.expressions import ConditionDSL, Expression, Template, condition_of, parse
from engine.expressions.canonical import written
from engine.expressions.evaluation import _RULES, _SPECIAL
from engine.expressions.functions import FUNCTIONS, SPECIAL
from engine.expressions.patterns import PatternError, matched
from engine.expressions.tree import Node

WORDS = st.sampled_from(
    ["steps", "params", ".a", ".output", "[0]", '["k"]', "(", ")", "[", "]", "{", "}", ",", ":", ".", "and", "or", "not", "in",
     "not in", "if", "else", "==", "!=", "<", ">=", "+", "-", "*", "/", "//", "%", "1", "0", "2.5", "1e3", '"x"', "'y'", "true",
     "null", "exists(", "default(", "len(", "str(", "matches(", "min(", "join(", "step_failed(", "ask_model(", "sum(", "round(",
     "=", "||", "lambda", "\n", "\0", "ｓ", "é", "\ud800", "${{", "}}", "$${{", "_x"]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=60), st.lists(WORDS, max_size=25).map(" ".join), st.lists(WORDS, max_size=25).map("".join))
NAMES: dict[str, Any] = {
    "steps": {"a": {"output": {"k": [1, 2.5, "x", None, True, {"k": "y"}]}, "status": "completed"}, "output": "text"},
    "params": [3, -1, 0, "a", 10**400, float("nan"), float("inf"), b"bytes", [], {}],
}


def quick(call: Any, *arguments: Any) -> Any:
    """What a call returns, None where it refuses; it takes less than two seconds."""
    began = time.perf_counter()
    try:
        return call(*arguments)
    except ExpressionError:
        return None
    finally:
        assert time.perf_counter() - began < 2


@settings(max_examples=600, deadline=None)
@given(TEXTS)
@example("not " * 79 + "a")
@example(" and ".join(["a"] * 1400))
@example('exists(steps.a) if "" else {"k": [1][0]}')
def test_any_text_is_an_expression_or_refused_and_reads_back(text: str) -> None:
    """Any text gives an expression or an ExpressionError; the canonical text reads back as the same tree."""
    expression = quick(parse, text)
    if expression is not None:
        again = parse(expression.text)
        assert repr(again.tree) == repr(expression.tree)
        assert (again, again.text) == (expression, expression.text)
        quick(expression.evaluate, NAMES)


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_any_text_is_a_template_or_refused(text: str) -> None:
    """Any text gives a template or an ExpressionError, and rendering a value or an ExpressionError."""
    template = quick(Template.parse, text)
    if template is not None:
        quick(template.render, NAMES)
        if "${{" not in text:
            assert template.render({}) == text


def _trees() -> st.SearchStrategy[str]:
    """Texts of well-formed expressions over NAMES, nested."""
    leaves = st.one_of(
        st.sampled_from(["steps", "params[0]", "params[1]", "steps.a.output.k", "steps.a.output.k[2]", "missing.x", "params[4]"]),
        st.integers(-5, 10**6).map(str),
        st.floats(0, 1e20, allow_nan=False).map(repr),
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=5).map(
            lambda t: '"' + re.sub(r'(["\\])', r"\\\1", t) + '"'
        ),
        st.sampled_from(["true", "false", "null", "[]", "exists(steps.b)", 'default(params[99], "d")', 'step_failed("a")']),
    )

    def more(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        operators = ["and", "or", "==", "<", "in", "not in", "+", "-", "*", "/", "//", "%"]
        return st.one_of(
            st.tuples(inner, st.sampled_from(operators), inner).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
            st.tuples(inner, st.sampled_from(operators), inner).map(" ".join),
            st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} else {t[2]})"),
            inner.map(lambda t: f"not ({t})"),
            inner.map(lambda t: f"-({t})"),
            st.tuples(st.sampled_from([n for n, f in FUNCTIONS.items() if f.least == 1 and n != "exists"]), inner).map(
                lambda t: f"{t[0]}({t[1]})"
            ),
            st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
            st.tuples(inner, inner).map(lambda t: f"({t[0]})[{t[1]}]"),
            inner.map(lambda t: f'{{"k": {t}}}.k'),
        )

    return st.recursive(leaves, more, max_leaves=12)


@settings(max_examples=500, deadline=None)
@given(_trees())
def test_the_canonical_text_means_the_same(text: str) -> None:
    """An expression and its canonical text have the same tree and the same value or the same refusal."""
    expression = quick(parse, text)
    if expression is None:
        return
    again = parse(str(expression))
    assert repr(again.tree) == repr(expression.tree)
    assert outcome(again) == outcome(expression)
    assert [reference.path for reference in again.references] == [reference.path for reference in expression.references]


def outcome(expression: Expression) -> str:
    """The value or the message of an evaluation."""
    try:
        return repr(expression.evaluate(NAMES))
    except ExpressionError as error:
        return error.message


WRITTEN = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    | WRITTEN.filter(lambda text: not text.startswith("$")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WRITTEN, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
COMPARING = ["equals", "not_equals", "greater_than", "greater_or_equal", "less_than", "less_or_equal", "contains"]
SIGNS = {"equals": "==", "not_equals": "!=", "greater_than": ">", "greater_or_equal": ">=", "less_than": "<", "less_or_equal": "<="}


@given(st.sampled_from(COMPARING), PLAIN)
def test_object_mapping_and_text_are_one_condition(operator: str, value: Any) -> None:
    """The same comparison as ConditionDSL, as a mapping and as text is the same expression, and a literal is worth itself."""
    built = condition_of(getattr(ConditionDSL, operator)("steps.a.output", value))
    assert condition_of({"operator": operator, "left": "$a.result", "right": value}) == built
    literal = built.text.removeprefix("contains(steps.a.output, ").removesuffix(")") if operator == "contains" else None
    literal = literal or built.text.partition(f" {SIGNS.get(operator)} ")[2]
    assert condition_of(built.text) == built
    assert parse(literal).evaluate({}) == value or value != value


def test_every_node_and_function_has_its_rule() -> None:
    """Each form of the tree is evaluated by one rule, and each function that asks about a path is answered where paths are read."""
    assert set(_RULES) == set(Node.__args__)
    assert set(_SPECIAL) >= SPECIAL


PIECES = st.sampled_from(
    ["a", "b", " ", "1", ".", "^", "$", "\\d", "\\w", "\\s", "\\b", "\\B", "\\.", "[ab]", "[^a]", "[0-9a]", "[a-]", "[]a]",
     "\n", "é"]
)  # fmt: skip


def _patterns() -> st.SearchStrategy[str]:
    def more(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        counts = st.sampled_from(["*", "+", "?", "{2}", "{1,}", "{,2}", "{0,1}", "*?", "+?"])
        return st.one_of(
            st.lists(inner, min_size=1, max_size=3).map("".join),
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
            st.tuples(inner, counts).map(lambda t: f"(?:{t[0]}){t[1]}"),
        )

    return st.recursive(PIECES, more, max_leaves=8)


@settings(max_examples=500, deadline=None)
@given(_patterns(), st.text("ab1 .é\n", min_size=1, max_size=12))
def test_a_pattern_is_found_where_python_finds_it(pattern: str, text: str) -> None:
    """For the patterns that are known the answer is that of Python's `re.search` (not tried: `\\B` in an empty text, which versions
    answer differently)."""
    assert matched(pattern, text, lambda work: None) is bool(re.search(pattern, text))


def answer(pattern: str, text: str) -> bool | str:
    """Whether a pattern is found, or why it is refused."""
    try:
        return matched(pattern, text, lambda work: None)
    except PatternError as error:
        return str(error)


@given(st.text("ab(|)[]{}*+?\\^$.,-1d\0", max_size=20), st.text("ab1", max_size=10))
def test_any_pattern_is_searched_for_or_refused(pattern: str, text: str) -> None:
    """Any text as a pattern gives an answer or a PatternError, and the same one when asked again."""
    assert answer(pattern, text) == answer(pattern, text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("a  and\n(b and c)", "a and b and c"),
        ("(a or b) and c", "(a or b) and c"),
        ("not(a==1)", "not a == 1"),
        ("(not a) == 1", "(not a) == 1"),
        ("a-(b-c)", "a - (b - c)"),
        ("(a-b)-c", "a - b - c"),
        ("(a<b)<c", "(a < b) < c"),
        ("- 1 + -(-2)", "-1 + 2"),
        ("-(a.b)", "-a.b"),
        ("(-1)[0]", "(-1)[0]"),
        ("(a if b else c) if d else e", "(a if b else c) if d else e"),
        ("a['b']['c d']", 'a.b["c d"]'),
        ("a.not.in.if", "a.not.in.if"),
        ("a.not in b", "a.not in b"),
        ("a.not  not in b", "a.not not in b"),
        ("'it\\'s \"so\"\\n'", '"it\'s \\"so\\"\\n"'),
        ("None == True", "null == true"),
        ("[1,2,]", "[1, 2]"),
        ('{"a":1, "b": {}}', '{"a": 1, "b": {}}'),
        ("x not   in y", "x not in y"),
        ("1e3 + 0.10", "1000.0 + 0.1"),
        ("{'a': 1}.a", '{"a": 1}.a'),
    ],
)
def test_the_canonical_text_has_one_form(text: str, canonical: str) -> None:
    """Blanks, quotes and needless parentheses do not matter; what changes the meaning is kept."""
    assert str(parse(text)) == canonical
    assert written(parse(canonical).tree) == canonical

"""Reading expressions: what is refused and how, what an expression reads and asks."""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Callable

import pytest

from engine.errors import EngineError, ExpressionError
from engine.expressions import Expression, Reference, Scope, Template, parse, problems

NO_EXPRESSIONS = [
    ("", 1, "is empty"),
    (" \n\t ", 5, "is empty"),
    ("\0", 1, "'\\x00' is not part of the language"),
    ("a \0 b", 3, "is not part of the language"),
    ("(" * 100_000, 1, "100000 characters, more than 10000"),
    ("(" * 5_000, 81, "nested deeper than 80"),
    ("[" * 5_000, 81, "nested deeper than 80"),
    ("not " * 100_000, 1, "400000 characters"),
    ("not " * 2_000 + "a", 321, "nested deeper than 80"),
    ("-" * 5_000 + "a", 81, "nested deeper than 80"),
    ("a if b else " * 500 + "c", 954, "nested deeper than 80"),
    ("a[" * 200 + "0" + "]" * 200, 161, "nested deeper than 80"),
    ("9" * 5_000, 1, "5000 digits"),
    ("1e999", 1, "too large"),
    ("\ud800", 1, "'\\ud800' is not part"),
    ("'\ud800'", 1, "lone surrogate"),
    ("'\\ud800'", 1, "lone surrogate"),
    ("ｓteps.a", 1, "'ｓ' is not a letter the language knows"),
    ("stepｓ.a", 5, "'ｓ' is not a letter the language knows"),
    ("steps.ａ", 7, "'ａ' is not a letter the language knows"),
    ("f'{a}'", 1, "a letter before the quote"),
    ("b'a'", 1, "a letter before the quote"),
    ("lambda: 1", 1, "functions cannot be made"),
    ("len(lambda x: x)", 5, "functions cannot be made"),
    ("[x for x in a]", 4, "items cannot be gone through"),
    ("a := 1", 3, "names cannot be assigned"),
    ("len(a=1)", 6, "write == to compare"),
    ("len(*a)", 5, "a value is expected here, not '*'"),
    ("a.__class__", 3, 'write ["__class__"]'),
    ("_a", 1, "names that begin with _"),
    ("2 ** 3", 3, "powers are not part"),
    ("'a' * 3", 1, "* takes numbers only"),
    ("3 * 'a'", 5, "* takes numbers only"),
    ("'%s' % a", 1, "% takes numbers only"),
    ("1j", 1, "is not a number"),
    ("0x10", 1, "is not a number"),
    ("1_000", 1, "is not a number"),
    ("012", 1, "is not a number"),
    ("1.", 1, "is not a number"),
    ("...", 1, "has no meaning here"),
    ("a.b()", 4, "write upper(x), not x.upper()"),
    ("a.b(1).c", 4, "only functions are called"),
    ("'a'.join(b)", 9, "only functions are called"),
    ("(len)(a)", 6, "only functions are called"),
    ("a || b", 3, "write or"),
    ("a && b", 3, "write and"),
    ("a | b", 3, "write or"),
    ("a & b", 3, "write and"),
    ("!a", 1, "write not"),
    ("a = 1", 3, "write == to compare"),
    ("a === 1", 3, "write == to compare"),
    ("a is b", 3, "write =="),
    ("a AND b", 3, "write and"),
    ("a[1:2]", 4, "slices are not part"),
    ("a.0", 3, "an index in brackets"),
    ("a.", 3, "not the end"),
    ("a b", 3, "an operator or the end is expected here, not 'b'"),
    ("a and", 6, "a value is expected here, not the end"),
    ("a == not b", 6, "put it in parentheses"),
    ("+a", 1, "a value is expected here, not '+'"),
    ("(a", 3, "')' is expected here"),
    ("[a", 3, "',' or ']' is expected here"),
    ("a)", 2, "not ')'"),
    ("()", 2, "a value is expected here"),
    ("a, b", 2, "not ','"),
    ("{a: 1}", 2, "a key in quotes"),
    ("{'a': 1, 'a': 2}", 10, "written twice"),
    ("'a", 1, "not closed"),
    ("'a\nb'", 1, "not closed"),
    ("'\\d'", 2, "write \\\\ for a backslash"),
    ("a if b", 7, "'else' is expected here"),
    ("import os", 8, "not 'os'"),
    ("eval('1')", 1, "there is no function 'eval'"),
    ("lenn(a)", 1, "did you mean 'len'?"),
    ("len()", 1, "len takes one value, not 0"),
    ("exists(1 + 1)", 10, "exists asks about a path"),
    ("default(len(a), 1)", 9, "default asks about a path"),
    ("step_failed(a)", 13, "a step's name written out in quotes"),
    ("ask_model(a)", 11, "a question written out in quotes"),
    ("${{ a }}", 1, "a path is written without it"),
    ("a; b", 2, "join conditions with and"),
    ("a # b", 3, "'#' is not part of the language"),
]


@pytest.mark.parametrize(("text", "position", "says"), NO_EXPRESSIONS, ids=lambda value: ascii(value)[:40])
def test_what_is_no_expression_is_refused_with_its_position(text: str, position: int, says: str) -> None:
    """Bad input gives one ExpressionError: a sentence that says what, where and what to do, without delay."""
    began = time.perf_counter()
    with pytest.raises(ExpressionError) as refused:
        parse(text)
    assert says in str(refused.value)
    assert refused.value.position == position
    assert isinstance(refused.value, EngineError)
    assert len(str(refused.value)) < 600
    assert str(refused.value).isprintable()
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize("operator", ["and", "or", "+", "*", "==", "."])
def test_a_chain_may_be_as_long_as_the_text_may_be(operator: str) -> None:
    """A chain of a thousand links is read and evaluated without Python's recursion limit in sight; a longer text is refused."""
    chain = "x" + f"{operator}x" * 999 if operator == "." else f" {operator} ".join(["1"] * 1000)
    names: dict[str, object] = {}
    names["x"] = names
    assert parse(chain).evaluate(names) is not None
    with pytest.raises(ExpressionError, match="more than 10000"):
        parse(f" {operator} ".join(["x"] * 6000))


def test_what_grows_too_long_in_its_canonical_form_is_refused() -> None:
    """A text within the limit whose canonical form is beyond it is refused, so that the form can always be read back."""
    with pytest.raises(ExpressionError, match="canonical form"):
        parse("a==b or " * 1_200 + "a==b" + " or[1,1,1,1,1,1,1,1,1,1,1]" * 10 + "or[" + ",".join("1" * 60) + "]")


def test_the_surroundings_of_the_position_are_shown() -> None:
    """The sentence shows the text near the position, cut where it is longer."""
    with pytest.raises(ExpressionError) as refused:
        parse("steps.analysis.output.gap = true and steps.b.output.x")
    assert str(refused.value) == (
        "'=' is not part of the language; write == to compare (position 27, near …'utput.gap = true and steps.b.o'…)"
    )


def test_newlines_are_blanks() -> None:
    """An expression may stand on several lines, inside brackets and outside."""
    assert parse("a\nand (\r\n b\tor c\n)\n") == parse("a and (b or c)")


def test_an_expression_is_read_once() -> None:
    """The same text gives the same object; another text of the same meaning an equal one."""
    assert parse("a  == 1") is parse("a  == 1")
    assert {parse("a  == 1"), parse("a == 1")} == {parse("(a)==1")}
    assert parse("1 == 1") != parse("1 == true")
    assert repr(parse("a==1")) == "Expression('a == 1')"


def references(text: str) -> list[tuple[tuple[str | int, ...], int, bool]]:
    """What a text reads, as tuples."""
    return [(found.path, found.position, found.asked) for found in parse(text).references]


def test_the_paths_an_expression_reads() -> None:
    """Paths come with their positions in the text's order; an index that is not written out cuts them."""
    assert references("steps.a.output.score > params.n") == [
        (("steps", "a", "output", "score"), 1, False),
        (("params", "n"), 24, False),
    ]
    assert references('steps["a"].output[0].x[index].y') == [(("steps", "a", "output", 0, "x"), 1, False), (("index",), 24, False)]
    assert references("exists(steps.a) and default(b, c)") == [(("steps", "a"), 8, True), (("b",), 29, True), (("c",), 32, False)]
    assert references('step_failed("a") or 1 in [x, {"k": -y}]') == [
        (("steps", "a", "status"), 13, False),
        (("x",), 27, False),
        (("y",), 37, False),
    ]
    assert references("split(a, b)[c] if not d else e") == [
        ((name,), at, False) for name, at in zip("abcde", (7, 10, 13, 23, 30), strict=True)
    ]
    assert Reference(("a",), 1) == parse("a").references[0]


def test_the_questions_to_a_model() -> None:
    """The literal questions of ask_model are told once each, wherever they stand."""
    assert parse('not ask_model("Good?") and (ask_model("Long?") or ask_model("Good?"))').asks_model == ("Good?", "Long?")
    assert parse("a").asks_model == ()


SCOPE = Scope(
    roots=["steps", "params", "item"], steps=["search", "my-step", "late"], dependencies=["search", "my-step"],
    params=["company"], fields=["output", "status"],
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said", "position"),
    [
        ("stpes.search.output", "there is no 'stpes' here; did you mean 'steps'?", 1),
        ("zzz", "there is no 'zzz' here; there are item, params, steps", 1),
        ("1 + steps.serch.output", "there is no step 'serch'; did you mean 'search'?", 5),
        ("steps.my-item", "there is no step 'my'; write steps[\"my-step\"]", 1),
        ("exists(steps.late)", "step 'late' may not have ended by then; add it to depends_on", 8),
        ('step_failed("lat")', "there is no step 'lat'; did you mean 'late'?", 13),
        ("steps.search.outptu", "a step has no 'outptu', only output, status; did you mean 'output'?", 1),
        ("steps.search.score", "a step has no 'score', only output, status; write steps.search.output.score", 1),
        ("params.compani", "there is no param 'compani'; did you mean 'company'?", 1),
        ("params.zzz", "there is no param 'zzz'; add it to params", 1),
    ],
)  # fmt: skip
def test_what_is_not_there_by_the_definition(text: str, said: str, position: int) -> None:
    """An unknown name, step, field or param is told with its position and the nearest word, before anything runs."""
    assert problems(parse(text), SCOPE) == [str(ExpressionError(said, position, text))]


def test_what_is_there_or_not_known_is_no_problem() -> None:
    """Known paths, dynamic indexes and what the scope does not know are not told; a repeated problem is told at each place."""
    assert problems(parse('steps.search.output.x[item.n] + steps["my-step"].status + params.company + steps[item].x'), SCOPE) == []
    assert problems(parse("steps.other.thing + params.other"), Scope(roots=["steps", "params"])) == []
    assert len(problems(parse("zzz and zzz"), SCOPE)) == 2


def test_positions_in_a_template_count_in_its_text() -> None:
    """What a template reads that is not there is told with its position in the whole text."""
    assert problems(Template.parse("Find ${{ params.x }}!"), SCOPE) == [
        "there is no param 'x'; add it to params (position 10, near 'Find ${{ params.x }}!')"
    ]


def test_an_expression_is_text_again() -> None:
    """The text of an expression is its canonical form."""
    expression = parse("(steps.a.output['score'])>3")
    assert isinstance(expression, Expression)
    assert str(expression) == expression.text == "steps.a.output.score > 3"
    assert expression.source == "(steps.a.output['score'])>3"


def test_a_deep_caller_gets_the_same_error() -> None:
    """Where Python's stack is almost used up by the caller, reading and evaluating refuse with an ExpressionError."""

    def deep(levels: int, call: Callable[[], object]) -> object:
        return call() if levels == 0 else deep(levels - 1, call)

    text = "[" * 70 + "deeper" + "]" * 70
    expression = parse(text + " ")
    left = sys.getrecursionlimit() - len(inspect.stack())
    for call in (lambda: parse(text), lambda: expression.evaluate({"deeper": 1})):
        with pytest.raises(ExpressionError, match="nested too deep"):
            deep(left - 60, call)

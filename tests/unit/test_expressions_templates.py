"""Text with `${{ ... }}` in it, alone and in nested arguments."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import ExpressionError
from engine.expressions import Reference, Template, map_templates, parse
from engine.expressions.tree import MAX_TEXT

NAMES: dict[str, Any] = {
    "steps": {"search": {"output": {"links": ["x", "y"], "count": 2, "none": None}}},
    "params": {"company": "Acme", "price": 5},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no expression, $ { } {{ }} ${", "no expression, $ { } {{ }} ${"),
        ("", ""),
        ("Find ${{ params.company }}!", "Find Acme!"),
        ("${{params.company}}${{ params.price }}", "Acme5"),
        ("${{ steps.search.output.links }}", ["x", "y"]),
        ("\n  ${{ steps.search.output.count }}\n", 2),
        ("${{ steps.search.output.none }}", None),
        ("see ${{ steps.search.output.links }}", 'see ["x","y"]'),
        ("see ${{ steps.search.output }}", 'see {"count":2,"links":["x","y"],"none":null}'),
        ("${{ steps.search.output.links[0] }} first", "x first"),
        ("${{ {'a': {'b': 1}} }}", {"a": {"b": 1}}),
        ("${{ {'a': {'b': 1}}}}", {"a": {"b": 1}}),
        ("${{ 'a }} b' }}", "a }} b"),
        ("${{ params.company\n  + '!' }}.", "Acme!."),
        ("$${{ params.company }}", "${{ params.company }}"),
        ("$${{ a }} and ${{ params.price }}", "${{ a }} and 5"),
        ("$$${{ a }}", "$${{ a }}"),
        ("costs ${{ '$' }}${{ params.price }}", "costs $5"),
    ],
)
def test_what_a_template_becomes(text: str, value: Any) -> None:
    """One expression alone gives its value; in text, texts stand as they are and other values as compact JSON; `$${{` escapes."""
    assert Template.parse(text).render(NAMES) == value


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("Find ${{ }}", 10, "the expression is empty"),
        ("Find ${{", 9, "the expression is empty"),
        ("Find ${{ a", 11, "}} to end the expression is expected here, not the end"),
        ("Find ${{ a }", 12, "}} to end the expression is expected here"),
        ("Find ${{ a b }}", 12, "not 'b'"),
        ("${{ a }} and ${{ ｓ }}", 18, "is not a letter"),
        ("${{ " + "a and " * 3000 + "a }}", 10_003, "more than 10000 characters"),
        ("${{ '" + "a" * 20_000 + "' }}", 5, "more than 10000 characters"),
        ("${{ " + "(" * 5_000, 85, "nested deeper than 80"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_a_broken_template_is_refused_with_its_position(text: str, position: int, says: str) -> None:
    """A broken expression is refused with its position in the whole text."""
    with pytest.raises(ExpressionError) as refused:
        Template.parse(text)
    assert says in str(refused.value)
    assert refused.value.position == position


def test_a_value_that_is_missing_is_told_with_its_position_in_the_text() -> None:
    """A path that leads nowhere is refused where it stands in the whole text, not in its own piece."""
    with pytest.raises(ExpressionError, match=r"params\.nam is not there") as refused:
        Template.parse("Find ${{ params.company }} ${{params.nam}}").render({"params": {"company": "A", "x": 1}})
    assert refused.value.position == 37


def test_a_long_text_with_short_expressions_is_fine() -> None:
    """The limit of an expression is not that of the text around it."""
    assert Template.parse("x" * 100_000 + "${{ 1 }}").render({}).endswith("x1")


def test_what_a_template_reads_and_asks() -> None:
    """The paths come with their positions in the whole text, the questions once each."""
    template = Template.parse(
        '${{ params.a }} and ${{ ask_model("Good?") or exists(steps.b) }} $${{ c }} ${{ ask_model("Good?") }}'
    )
    assert template.references == (Reference(("params", "a"), 5), Reference(("steps", "b"), 54, True))
    assert template.asks_model == ("Good?",)
    assert template.expressions[0] == parse("params.a")
    assert template.whole is None
    assert Template.parse(" ${{ a }}\n").whole == parse("a")
    assert template.expressions[1].evaluate({}, {"Good?": True}) is True
    assert Template.parse('so ${{ ask_model("Good?") }}').render({}, {"Good?": True}) == "so true"


def test_a_template_is_its_text() -> None:
    """A template keeps the text it was read from, and equal texts are equal templates."""
    assert str(Template.parse("a ${{b}}")) == "a ${{b}}"
    assert {Template.parse("a ${{b}}"), Template.parse("a ${{b}}")} == {Template.parse("a ${{b}}")}
    assert repr(Template.parse("a")) == "Template('a')"


@pytest.mark.parametrize("value", [b"bytes", float("nan"), 10**5000], ids=["bytes", "nan", "huge"])
def test_what_has_no_text_is_not_put_in(value: Any) -> None:
    """A value without a form in JSON is given on alone, but never put into text except NaN, which JSON writers agree on."""
    assert Template.parse("${{ x }}").render({"x": value}) is value
    if isinstance(value, float):
        assert Template.parse("a ${{ x }}").render({"x": value}) == "a NaN"
    else:
        with pytest.raises(ExpressionError, match="cannot be written as JSON"):
            Template.parse("a ${{ x }}").render({"x": value})


def test_a_text_does_not_grow_without_end() -> None:
    """A text that would pass the limit with its values is refused."""
    half = "x" * (MAX_TEXT // 2)
    with pytest.raises(ExpressionError, match="characters, more than"):
        Template.parse("${{ x }}${{ x }} and more").render({"x": half})


def test_a_value_nested_without_end_is_refused() -> None:
    """A value that is nested too deep for JSON is refused where it would be put in."""
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ExpressionError, match=r"nested too deep \(position 7"):
        Template.parse("a ${{ x }}").render({"x": value})


ARGUMENTS = {
    "query": "${{ params.company }}",
    "urls": ["a", {"at": "see ${{ params.price }}"}],
    "limit": 3,
    "${{ key }}": ("$${{ x }}",),
}


def test_nested_arguments_get_their_values() -> None:
    """Every text in nested mappings and lists is rendered, everything else is kept, and the original is not changed."""
    rendered = map_templates(ARGUMENTS, lambda template, place: template.render(NAMES))
    assert rendered == {"query": "Acme", "urls": ["a", {"at": "see 5"}], "limit": 3, "${{ key }}": ["${{ x }}"]}
    assert ARGUMENTS["query"] == "${{ params.company }}"


def test_nested_arguments_tell_their_places() -> None:
    """Each text with an expression is given with its place; a broken one is refused with it."""
    places: list[str] = []
    map_templates(ARGUMENTS, lambda template, place: places.append(place))
    assert places == ["query", "urls[1].at", "${{ key }}[0]"]
    with pytest.raises(ExpressionError, match=r"^arguments\.urls\[0\]: a value is expected here"):
        map_templates({"urls": ["${{ + }}"]}, lambda template, place: template, "arguments")
    with pytest.raises(ExpressionError, match=r"^x\[0\]: there is no missing"):
        map_templates({"x": ["${{ missing }}"]}, lambda template, place: template.render({}))
    with pytest.raises(ExpressionError, match=r"^'=' is not"):
        map_templates("${{ a = b }}", lambda template, place: template)


def test_arguments_that_contain_themselves_are_refused() -> None:
    """Arguments nested without end are refused instead of being followed."""
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ExpressionError, match="nested deeper than 100 levels"):
        map_templates(value, lambda template, place: template)

"""Params with types: declared, held against what a run is given, and plain values in the definition."""

from typing import Any

import pytest

from engine import Pipeline
from engine.definition import Definition
from engine.params import Param, misfit, problems_of, split


def fine(company: str, count: int = 1) -> int:
    return 1


def made(**params: Any) -> Pipeline:
    """A pipeline with these params."""
    return Pipeline("p", params=params).step("x", run=fine)


@pytest.mark.parametrize(
    ("param", "value", "said"),
    [
        (Param("string"), 5, "is 5; give text"),
        (Param("string"), None, "is null; give text"),
        (Param("integer"), 1.0, "is 1.0; give a whole number"),
        (Param("integer"), True, "is true; give a whole number"),
        (Param("number"), "1", "is '1'; give a number"),
        (Param("boolean"), 1, "is 1; give true or false"),
        (Param("array"), {"a": 1}, "is {'a': 1}; give a list"),
        (Param("object"), [1], "is [1]; give a mapping"),
        (Param("number", minimum=1), 0.5, "is 0.5; give at least 1"),
        (Param("number", maximum=1), float("nan"), "is nan; give at most 1"),
        (Param("integer", maximum=10), 11, "is 11; give at most 10"),
        (Param("string", choices=("short", "long")), "shrot", "is 'shrot'; give one of 'short', 'long'; did you mean 'short'?"),
        (Param(choices=(1, 2)), True, "is true; give one of 1, 2"),
    ],
)
def test_a_value_that_does_not_fit_says_what_would(param: Param, value: Any, said: str) -> None:
    """One sentence: what it is, and what to give."""
    assert misfit(param, value) == said


@pytest.mark.parametrize(
    ("param", "value"),
    [
        (Param("string"), ""),
        (Param("number", minimum=0, maximum=2), 2),
        (Param("integer"), 10**30),
        (Param("boolean", choices=(True,)), True),
        (Param("array"), []),
        (Param(), None),
    ],
)
def test_a_value_that_fits_is_taken(param: Param, value: Any) -> None:
    """Limits belong to what they allow."""
    assert misfit(param, value) is None


@pytest.mark.parametrize(
    ("param", "said"),
    [
        (Param("text"), "has the type 'text'; use string, number"),
        (Param("strng"), "has the type 'strng'; did you mean 'string'?"),
        (Param("string", minimum=1), "has a minimum but is of type string; limits are for numbers"),
        (Param("number", minimum="1"), "has the minimum '1'; give a number"),  # type: ignore[arg-type]
        (Param("number", minimum=2, maximum=1), "has a minimum of 2 above its maximum of 1; exchange them"),
        (Param("integer", choices=(1, "2")), "has a choice that is '2'; give a whole number"),
        (Param(choices=[]), "has no choices, so nothing fits; name some, or leave choices out for any value"),
        (Param("string", choices="abc"), "has the choices 'abc'; give a list of values"),
        (Param(choices=5), "has the choices 5; give a list of values"),
    ],
)
def test_a_declaration_that_cannot_be_is_a_problem(param: Param, said: str) -> None:
    """The type is one of the words, limits are for numbers, choices are of the type."""
    (problem,) = problems_of(param)
    assert problem.startswith(said)


def test_what_a_run_is_given_is_held_against_the_types() -> None:
    """All misfits and all that is missing are told at once, before anything runs."""
    pipeline = made(company=Param("string", description="whom to look at"), count=Param("integer", default=2, minimum=1))
    assert [str(problem) for problem in pipeline.problems({"count": 0})] == [
        "params.company: has to be given (whom to look at); give it with -p company=... or params={'company': ...}",
        "params.count: is 0; give at least 1",
    ]
    assert pipeline.problems({"company": "Acme"}) == []
    assert pipeline.problems() == []
    assert pipeline.problems(["company"]) == []


def test_a_default_has_to_fit_too() -> None:
    """A default that its own declaration refuses is a problem of the pipeline."""
    (problem,) = made(company=Param("string", default=5)).problems()
    assert str(problem) == "params.company: has a default that is 5; give text"


def test_a_misspelt_name_is_told_from_a_declared_one() -> None:
    """A declared param without a default counts as one that the pipeline takes."""
    problems = [str(problem) for problem in made(company=Param("string")).problems({"compny": "Acme"})]
    assert problems[1:] == ["params.compny: nothing asks for it; did you mean 'company'?"]


def test_declarations_are_plain_values_of_the_definition() -> None:
    """Defaults stand with the other params, types beside them, and both read back from JSON."""
    definition = made(company=Param("string", default="Acme", choices=("Acme", "Bell")), plain=3, n=Param("integer")).define()
    assert definition.params == {"company": "Acme", "plain": 3}
    assert definition.declared == {"company": Param("string", choices=("Acme", "Bell")), "n": Param("integer")}
    assert Definition.from_json(definition.to_json()) == definition


def test_a_param_of_any_type_is_a_plain_default() -> None:
    """A declaration that says nothing but a default is the default."""
    assert split({"a": Param(default=1), "b": Param()}) == ({"a": 1}, {"b": Param()})

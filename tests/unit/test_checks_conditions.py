"""Conditions are read and held against the pipeline before anything runs; every mistake has its place and position."""

from typing import Any

import pytest

from engine import ConditionDSL, Dep, Pipeline


def fine() -> int:
    return 1


def told(pipeline: Pipeline, *, given: list[str] | None = None) -> list[str]:
    """The problems as texts."""
    return [str(problem) for problem in pipeline.problems(given)]


def x(**options: Any) -> Pipeline:
    """A step `x` after `near`, which comes after `far`; `beside` comes before neither."""
    pipeline = (
        Pipeline("p", params={"limit": 3}).step("far", run=fine).step("near", run=fine, depends_on="far").step("beside", run=fine)
    )
    return pipeline.step("x", **{"run": fine, "depends_on": ["near"], **options})


CASES: list[tuple[Pipeline, str]] = [
    (x(condition="steps.near.output = 1"), "steps.x.condition: '=' is not part of the language; write == to compare (position 19"),
    (x(condition="steps.naer.output"), "steps.x.condition: there is no step 'naer'; did you mean 'near'? (position 1"),
    (x(condition="steps.beside.output"), "step 'beside' may not have ended by then; add it to depends_on (position 1"),
    (x(condition="steps.near.ouput"), "a step has no 'ouput', only error, output, status; did you mean 'output'?"),
    (x(condition="params.limt > 1"), "there is no param 'limt'; did you mean 'limit'?"),
    (x(condition="exists(params.limt)"), "there is no param 'limt'; did you mean 'limit'?"),
    (x(condition="item > 1", for_each="[1]"), "steps.x.condition: there is no 'item' here"),
    (x(condition="output > 1"), "steps.x.condition: there is no 'output' here"),
    (x(condition="steps.x.output > 1"), "steps.x.condition: reads the step itself, which has not run yet"),
    (x(condition="steps.x.output > 1", condition_mode="post"), "steps.x.condition: reads the step itself; write output"),
    (x(condition=5), "steps.x.condition: is a number; write a condition as text"),
    (x(condition={"operator": "equls", "left": 1, "right": 1}), "the operator is 'equls'; did you mean 'equals'?"),
    (x(condition=ConditionDSL.step_failed("beside")), "step 'beside' may not have ended by then"),
    (x(while_="outptu.done"), "steps.x.while: there is no 'outptu' here; did you mean 'output'?"),
    (x(while_='ask_model("Enough?")'), "steps.x.while: asks a model, which only the condition of a single step before it runs can"),
    (x(for_each="[1]", condition='ask_model("Any?")'), "steps.x.condition: asks a model"),
    (x(while_="iteration < 2", condition='ask_model("Any?")'), "steps.x.condition: asks a model"),
    (x(condition='ask_model("Good?")', condition_mode="post"), "steps.x.condition: asks a model"),
    (x(switch={"y": 'ask_model("Left?")'}).step("y", run=fine), "steps.x.switch.y: asks a model"),
    (
        x(run=None, pipeline="self", params={"a": [{"b": "${{ steps.beside.output }}"}]}),
        "steps.x.params.a[0].b: step 'beside' may not",
    ),
    (x(run=None, pipeline="self", params={"a": "${{ item }}"}), "steps.x.params.a: there is no 'item' here"),
    (x(run=None, pipeline="self", params={"a": "${{ 1 + "}), "steps.x.params: "),
    (x(for_each="steps.beside.output"), "steps.x.for_each: step 'beside' may not have ended by then"),
    (x(for_each='ask_model("Which?")'), "steps.x.for_each: asks a model"),
    (x(switch={"y": "steps.beside.output"}).step("y", run=fine), "steps.x.switch.y: step 'beside' may not"),
    (x(run=None, switch={"y": "output > 1"}).step("y", run=fine), "steps.x.switch.y: there is no 'output' here"),
    (x(depends_on=["far", Dep("near", "validation", when="outputs.n")]), "steps.x.depends_on: there is no 'outputs' here"),
    (x(read_data=["steps.beside.output"]), "steps.x.read_data: step 'beside' may not"),
    (x(read_data=["steps.near.output + 1"]), "which is not a path"),
    (x(run=None, goal="Say ${{ steps.beside.output }}"), "steps.x.goal: step 'beside' may not have ended by then"),
    (x(run=None, goal="Say ${{ item }}"), "steps.x.goal: there is no 'item' here"),
    (x(run=None, goal="Say ${{ "), "steps.x.goal: "),
]


@pytest.mark.parametrize(("pipeline", "said"), CASES, ids=lambda value: value[:60] if isinstance(value, str) else "")
def test_each_mistake_is_one_problem_with_its_place(pipeline: Pipeline, said: str) -> None:
    """One mistake is one problem, in one sentence that says where in the text."""
    problems = told(pipeline)
    assert len(problems) == 1, problems
    assert said in problems[0]


@pytest.mark.parametrize(
    "pipeline",
    [
        x(condition="steps.far.output > params.limit and shared.x and attempt == 1"),
        x(condition='ask_model("Is it right?") and step_succeeded("near")'),
        x(condition="output.score > 3", condition_mode="post"),
        x(condition="output.score > index and item", condition_mode="post", for_each="[1]"),
        x(run=None, goal="Look at ${{ item.url }}, the ${{ index }}th", for_each="steps.far.output"),
        x(run=None, goal="Mend ${{ output }} (${{ iteration }})", while_="iteration < 3 or not output"),
        x(condition={"operator": "equals", "left": "$near.result", "right": 1}),
        x(switch={"y": "output.ok and steps.far.output", "z": "otherwise"}).step("y", "${{ steps.x.output }}").step("z", run=fine),
        x(run=None, pipeline="self", for_each="[1]", params={"a": "${{ item }} of ${{ steps.far.output }}"}),
        x(fallback="y").step("y", "Why ${{ steps.x.error }}? ${{ steps.far.output }}"),
        x(depends_on=[Dep("near", "validation", when="output > params.limit")]),
    ],
)
def test_what_will_be_there_can_be_read(pipeline: Pipeline) -> None:
    """Ancestors through dependencies, switches and fallbacks; the params; and what the place gives besides."""
    assert told(pipeline, given=[]) == []


def test_a_param_that_may_be_given_can_be_asked_for() -> None:
    """Without declared params asking whether one was given is no mistake, and reading one is one only once they are known."""
    pipeline = Pipeline("p").step("x", run=fine, condition="exists(params.deep)").step("y", run=fine, condition="params.n > 1")
    assert told(pipeline) == []
    assert told(pipeline, given=["n"]) == []
    assert told(pipeline, given=["n", "deep"]) == []
    (problem,) = told(pipeline, given=[])
    assert problem.startswith("steps.y.condition: there is no param 'n'; add it to params")


def test_a_param_that_only_a_condition_reads_is_asked_for() -> None:
    """A given param that a condition names is no misspelling; any other is."""
    pipeline = Pipeline("p").step("x", run=fine, condition="default(params.deep, false)")
    assert told(pipeline, given=["deep"]) == []
    assert told(pipeline, given=["deeep"]) == ["params.deeep: nothing asks for it; did you mean 'deep'?"]


def test_mistakes_of_all_kinds_are_told_together() -> None:
    """One pass finds everything, in definition order."""
    pipeline = (
        Pipeline("p", on_failure="never")
        .step("a", run=fine, condition="steps.c.output", join="any")
        .step("b", run=fine, depends_on="a", for_each="[", fallback="a")
    )
    assert [problem.where for problem in pipeline.problems([])] == [
        "on_failure",
        "steps.a.join",
        "steps.a.condition",
        "steps.b.for_each",
        "steps",
    ]

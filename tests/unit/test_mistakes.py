"""Calls that were meant otherwise: one sentence with what to do, and for definitions all that is wrong at once."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from engine import EngineError, Param, Pipeline, PipelineStep, PipelineValidationError, RetryPolicy, StepContext, run_agent
from engine.files import parse


def nothing() -> None:
    """A body."""


def made(**options: Any) -> Pipeline:
    """A pipeline of one step with these options."""
    return Pipeline("p", params={"limit": 3}).step("a", run=nothing, **options)


def told(pipeline: Pipeline) -> list[str]:
    """All that is wrong with it."""
    return [str(problem) for problem in pipeline.problems()]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: run_agent(None), "run_agent needs a Pipeline, or a goal as text, not None; make one with Pipeline(NAME)."),
        (lambda: run_agent(5), "run_agent needs a Pipeline, or a goal as text, not 5; make one with Pipeline(NAME)."),
        (lambda: run_agent(made), "call it, if it makes one."),
        (lambda: made().then(None), "Pipeline.then needs a Pipeline, not None; make one with Pipeline(NAME)."),
        (lambda: made().include("b"), "Pipeline.include needs a Pipeline, not 'b'; make one with Pipeline(NAME)."),
        (
            lambda: made().add_step("x", run=nothing),
            "add_step was given 'x', run=...; make the step first: add_step(PipelineStep(NAME, GOAL, OPTIONS...)).",
        ),
        (lambda: made().add_step(PipelineStep("x"), goal="Say"), "add_step was given goal=...; make the step first"),
    ],
)  # fmt: skip
def test_what_is_called_with_something_else_says_what_it_needs(call: Callable[[], Any], sentence: str) -> None:
    """The error is one of ours, with what was given and what to do, and never Python's about an attribute."""
    with pytest.raises(EngineError, match=re.escape(sentence)):
        call()


def test_a_body_that_adds_a_step_by_its_name_is_told_how() -> None:
    """The same words as outside; the step fails once, as it would again."""

    async def adds(ctx: StepContext) -> None:
        await ctx.add_step("x", run=nothing)  # type: ignore[arg-type]

    async def calls(ctx: StepContext) -> None:
        await ctx.child(None)  # type: ignore[arg-type]

    failures = run_agent(Pipeline("p").step("adds", run=adds).step("calls", run=calls), db=":memory:").failures
    assert [(failure.step, failure.attempts) for failure in failures] == [("adds", 1), ("calls", 1)]
    assert failures[0].message.startswith("add_step was given 'x', run=...; make the step first")
    assert failures[1].message.startswith("A child run needs a Pipeline, 'self', module:name or a file, not None")


def test_options_that_are_no_lists_are_told_with_everything_else() -> None:
    """What should be a name or several and is neither is a problem in its place; a single text is a list of one."""
    wrong = made(depends_on=5, constraints=None, read_data=7, fallback_models=8, retry=3)
    places = [problem.partition(": ")[0] for problem in told(wrong)]
    assert set(places) == {f"steps.a.{name}" for name in ("depends_on", "constraints", "read_data", "fallback_models", "retry")}
    assert "steps.a.depends_on: has 5; give names of steps or Dep(...), or leave it out" in told(wrong)
    assert told(made(depends_on=[None])) == ["steps.a.depends_on: has None; give names of steps or Dep(...), or leave it out"]
    assert made(constraints="Be brief").steps[0].constraints == ["Be brief"]


def fine() -> int:
    return 1


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        (Pipeline("p").step("a", run=fine, switch=5), "steps.a.switch: is 5"),
        (Pipeline("p", params=5).step("a", run=fine), "params: is 5"),  # type: ignore[arg-type]
        (Pipeline("p", checkpoints=5).step("a", run=fine), "checkpoints: is 5"),  # type: ignore[arg-type]
        (Pipeline("p", 5).step("a", run=fine), "description: is 5"),  # type: ignore[arg-type]
        (Pipeline("p").constraint(5).step("a", run=fine), "constraints: 5 is not text"),  # type: ignore[arg-type]
        (Pipeline("p").step("a", run=fine, model=5), "steps.a.model: is 5"),
        (Pipeline("p").step("a", "Go", model=""), "steps.a.model: is ''"),
    ],
    ids=lambda held: held if isinstance(held, str) else "",
)
def test_what_is_of_another_kind_altogether_is_told(wrong: Pipeline, place: str) -> None:
    """No number where names belong, and nothing that only fails when the definition is read back."""
    assert [problem for problem in told(wrong) if problem.startswith(place)]


def test_other_defaults_are_for_params_there_are() -> None:
    """All unknown names are refused at once, with the nearest; what a function asks for and what is declared anew are known."""
    with pytest.raises(PipelineValidationError) as refused:
        made().with_params(limt=1, unknown=2)
    assert [str(problem) for problem in refused.value.problems] == [
        "params.limt: nothing asks for it; did you mean 'limit'?",
        "params.unknown: nothing asks for it; it takes limit",
    ]
    pipeline = Pipeline("p").step("a", run=lambda unit: unit).with_params(unit="m", more=Param("integer", default=1))
    assert pipeline.params == {"unit": "m", "more": 1}
    assert Pipeline("p").step("a", "Say it").with_params(anything=1).params == {"anything": 1}  # a goal is told every param


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("time_out", "timeout"), ("Rate_Limit", "rate_limit"), ("models.timeout", "model.timeout"),
        ("model.ratelimit", "model.rate_limit"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("list_of", ["on", "never"])
def test_a_word_for_a_failure_that_there_is_not_is_refused_with_the_nearest(word: str, near: str, list_of: str) -> None:
    """Kinds are checked in both lists; what can be the name of a class is not."""
    problem = f"steps.a.retry: {list_of} has {word!r}, which is no kind of failure; did you mean {near!r}?"
    assert told(made(retry=RetryPolicy(**{list_of: [word]}))) == [problem]
    assert told(made(retry=RetryPolicy(**{list_of: ["requests.Timeout", "Timeout", "zlib.error", "socket.timeout"]}))) == []


def test_a_file_that_names_no_choices_is_refused_too() -> None:
    """An empty list is not the same as none."""
    text = "name: p\nparams:\n  size: {type: string, choices: []}\nsteps:\n  - {name: a, goal: Say it}\n"
    (problem,) = parse(text, "p.yaml").problems()
    assert "has no choices, so nothing fits; name some" in str(problem)

"""Everything wrong with a pipeline is told at once, each with its place and what to do."""

from typing import Any

import pydantic
import pytest

from engine import BreakerPolicy, Dep, Pipeline, PipelineValidationError, RetryPolicy


class Answer(pydantic.BaseModel):
    text: str


def fine() -> int:
    return 1


def only_by_position(x: int, /) -> int:
    return x


class NotASchema:
    def __init__(self) -> None:
        raise OSError("never")


def told(pipeline: Pipeline, *, given: list[str] | None = None, model: str | None = "m") -> list[str]:
    """The problems as texts."""
    return [str(problem) for problem in pipeline.problems(given or [], model=model)]


def limited(limits: Any) -> Pipeline:
    """A pipeline with these limits."""
    return Pipeline("p", limits=limits).step("x", run=fine)


CASES: list[tuple[Pipeline, str]] = [
    (limited({"models": {"m": {"concurrent": 0}}}), "limits.models.m: concurrent is 0; give a whole number from 1 up"),
    (limited({"models": {"m": {"per_minute": "60"}}}), "limits.models.m: per_minute is '60'; give a whole number from 1 up"),
    (limited({"models": {"m": {"at_once": 1}}}), "limits.models.m: is {'at_once': 1}; give concurrent and per_minute"),
    (limited({"models": {"m": {}}}), "limits.models.m: is {}; give concurrent and per_minute, or one of them"),
    (limited({"steps": {"m": {"concurrent": 1}}}), "limits.steps: cannot be limited so; give models or tools"),
    (limited({"tools": [1]}), "limits.tools: cannot be limited so; give models or tools"),
    (limited([1]), "limits: is [1]; give a mapping with models and tools"),
    (Pipeline("p", breaker=3).step("x", run=fine), "breaker: is 3; give BreakerPolicy("),  # type: ignore[arg-type]
    (Pipeline("p", breaker=BreakerPolicy(-1)).step("x", run=fine), "breaker: failures is -1; give 0 to 1000"),
    (Pipeline("p", breaker=BreakerPolicy(1, -1)).step("x", run=fine), "breaker: seconds is -1; give a number from 0 up"),
    (Pipeline("p").step("x", run=fine, total_timeout=0), "steps.x.total_timeout: is 0; give seconds greater than 0"),
    (Pipeline("p").step("x", "Go", fallback_models=[""]), "steps.x.fallback_models: '' is not the name of a model"),
    (
        Pipeline("p").step("x", "Go", config={"temprature": 0}),
        "x.config.temprature: is nothing that can be set; did you mean",
    ),
    (Pipeline("p").step("x", "Go", config={"temperature": 3}), "steps.x.config.temperature: is 3.0; give a number from 0 to 2"),
    (Pipeline("p").step("x", "Go", config={"max_tokens": "9"}), "steps.x.config.max_tokens: is '9': expected `int | null`"),
    (Pipeline("p", config={"model_timeout": 0}).step("x", run=fine), "config.model_timeout: is 0.0; give seconds greater than 0"),
    (Pipeline("p", config={"model_params": {"messages": 1}}).step("x", run=fine), "config.model_params.messages: is not set here"),
    (Pipeline("p", config={"model_params": {"top_p": 1}}).step("x", run=fine), "write it beside model_params as top_p"),
    (Pipeline("p", config={"model_params": {"a": fine}}).step("x", run=fine), "config.model_params.a: "),
    (Pipeline("p", config=7).step("x", run=fine), "config: is 7; give a mapping with temperature"),  # type: ignore[arg-type]
    (Pipeline("p", config={"stop": [""]}).step("x", run=fine), "config.stop: is ('',); give a list of texts"),
    (Pipeline("p"), "steps: the pipeline has no steps; add one with .step(...)"),
    (Pipeline("").step("x", run=fine), "name: '' is not a name; use a letter, then letters, digits, '_' or '-'"),
    (Pipeline("a b").step("x", run=fine), "name: 'a b' is not a name"),
    (Pipeline("p").step("1x", run=fine), "steps: '1x' is not a step name"),
    (Pipeline("p").step("x\ny", run=fine), "is not a step name"),
    (Pipeline("p").step("x" * 200, run=fine), "is not a step name"),
    (Pipeline("p").step(["x"], run=fine), "steps: ['x'] is not a step name"),  # type: ignore[arg-type]
    (Pipeline("p").step("x", run=fine).step("x", run=fine), "steps.x: is defined twice; rename one"),
    (Pipeline("p").step("x"), "steps.x: has neither a goal nor a function nor a pipeline; give goal=..., run=... or pipeline=..."),
    (Pipeline("p").step("x", "Say", run=fine), "steps.x: has goal and run; keep one"),
    (Pipeline("p").step("x", "  "), "steps.x.goal: is empty; say what the model should achieve"),
    (Pipeline("p").step("x", fine), "steps.x.goal: is a function; give it as run=..."),  # type: ignore[arg-type]
    (Pipeline("p").step("x", 5), "steps.x.goal: is 5, not a text; say what the model should achieve"),  # type: ignore[arg-type]
    (Pipeline("p").step("x", run=5), "steps.x.run: is 5, which cannot be called; give a function"),
    (Pipeline("p").step("x", run=only_by_position), "steps.x.run: takes 'x' by position only"),
    (
        Pipeline("p").step("x", run=lambda y: y),
        "steps.x.run: parameter 'y' is neither a dependency nor a param; give it with -p y=...",
    ),
    (
        Pipeline("p").step("other", run=fine).step("x", run=lambda other: other),
        "steps.x.run: parameter 'other' is neither a dependency nor a param; add depends_on=['other']",
    ),
    (
        Pipeline("p", params={"colour": 1}).step("x", run=lambda color: color),
        "parameter 'color' is neither a dependency nor a param; did you mean 'colour'?",
    ),
    (Pipeline("p").step("x", run=fine, depends_on="x"), "steps.x.depends_on: names the step itself; remove it"),
    (
        Pipeline("p").step("first", run=fine).step("x", run=fine, depends_on="frist"),
        "there is no step 'frist'; did you mean 'first'?",
    ),
    (Pipeline("p").step("x", run=fine, depends_on=[Dep(5)]), "there is no step 5"),  # type: ignore[arg-type]
    (
        Pipeline("p").step("a", run=fine).step("x", run=fine, depends_on=["a", "a"]),
        "steps.x.depends_on: names 'a' twice; remove one",
    ),
    (Pipeline("p").step("a", run=fine).step("x", run=fine, depends_on=[Dep("a", "sofft")]), "'sofft' is not a dependency type"),
    (
        Pipeline("p").step("a", run=fine, depends_on="c").step("b", run=fine, depends_on="a").step("c", run=fine, depends_on="b"),
        "steps: these wait for each other:",
    ),
    (
        Pipeline("p").step("x", run=fine, execution_mode="parallel"),
        "steps.x.execution_mode: is 'parallel'; use serial, concurrent, conditional or parallel_merge",
    ),
    *((Pipeline("p").step("x", run=fine, timeout=value), "steps.x.timeout: is") for value in (0, -1, "5", True, float("nan"))),
    *((Pipeline("p").step("x", run=fine, max_retries=value), "steps.x.") for value in (-1, "2", True, 1.5, 10**6)),
    (Pipeline("p").step("x", run=fine, retry={"max_retries": 2}), "steps.x.retry: is {'max_retries': 2}; give RetryPolicy(...)"),
    (Pipeline("p").step("x", run=fine, retry=RetryPolicy(delay=-1)), "steps.x.retry: delay is -1; give a number from 0 up"),
    (Pipeline("p").step("x", run=fine, constraints=[5]), "steps.x.constraints: 5 is not text"),
    (Pipeline("p").step("x", run=fine, output_schema=NotASchema), "steps.x.output_schema: cannot be read as a schema"),
    (Pipeline("p", params={"x": object()}).step("x", run=fine), "params.x: The value at its root is a builtins.object"),
    (Pipeline("p").shared("x", {1: print}).step("x", run=fine), "shared.x: The value at"),
    (Pipeline("p").step("x", run=fine, final=True).step("y", run=fine, final=True), "steps: x and y are all final; mark one"),
]


@pytest.mark.parametrize(("pipeline", "said"), CASES, ids=lambda value: value[:40] if isinstance(value, str) else "")
def test_each_mistake_is_one_problem_with_its_place(pipeline: Pipeline, said: str) -> None:
    """One mistake is one problem, in one sentence."""
    problems = told(pipeline)
    assert len(problems) == 1, problems
    assert said in problems[0]


def test_a_cycle_names_the_chain() -> None:
    """Who waits for whom, all the way round."""
    pipeline = (
        Pipeline("p").step("a", run=fine, depends_on="c").step("b", run=fine, depends_on="a").step("c", run=fine, depends_on="b")
    )
    (problem,) = told(pipeline)
    names = problem.split(": ")[2].split(";")[0].split(" -> ")
    assert names[0] == names[-1]
    assert set(names) == {"a", "b", "c"}


def test_all_mistakes_are_told_at_once_in_definition_order() -> None:
    """Five mistakes in three steps are five lines of one error."""
    pipeline = (
        Pipeline("p").step("a", run=fine, timeout=-1, max_retries=-1).step("b", run=lambda missing: 0, depends_on="zzz").step("c")
    )
    with pytest.raises(PipelineValidationError) as refused:
        pipeline.define([])
    assert [problem.where for problem in refused.value.problems] == [
        "steps.a.timeout",
        "steps.a.retry",
        "steps.b.run",
        "steps.b.depends_on",
        "steps.c",
    ]
    assert str(refused.value).startswith("The pipeline 'p' has 5 problems:\n  steps.a.timeout: ")


def test_a_goal_without_a_model_says_how_to_configure_one() -> None:
    """Nothing simulated appears unasked: the offline model is one of the ways that are named, not a fallback."""
    pipeline = Pipeline("p").step("g", "Say").step("own", "Say", model="mine")
    (problem,) = told(pipeline, model=None)
    assert problem.startswith("steps.g: has a goal but no model is configured; give --model NAME")
    assert "--offline" in problem


def test_a_sound_pipeline_has_no_problems() -> None:
    """Names of every kind of parameter are found; `ctx`, defaults, `*args` and `**kwargs` need nothing."""

    def body(a: int, given: int, own: int, ctx: Any, d: int = 1, *args: Any, k: int = 2, **more: Any) -> None: ...

    pipeline = (
        Pipeline("p-1", params={"own": 1})
        .step("a", run=fine)
        .step("b_2", run=body, depends_on=["a"], timeout=0.5, max_retries=0, output_schema=Answer)
    )
    assert told(pipeline, given=["given"]) == []


def test_before_params_are_known_free_parameters_are_no_problem() -> None:
    """Looking at a pipeline without running it takes a free parameter for one that the run will be given."""
    assert Pipeline("p").step("x", run=lambda y: y).problems() == []


def reads(ctx: Any, own: int = 1) -> None: ...


@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        (Pipeline("p").step("x", run=lambda name: name), "params.nmae: nothing asks for it; did you mean 'name'?"),
        (Pipeline("p").step("x", run=lambda name=1, **more: name), "params.nmae: nothing asks for it; did you mean 'name'?"),
        (Pipeline("p", params={"name": 1}).step("x", run=reads), "params.nmae: nothing asks for it; did you mean 'name'?"),
        (Pipeline("p", params={"a": 1}).step("g", "Say").step("x", run=reads), "nothing asks for it; it takes a, own"),
        (Pipeline("p").step("x", run=fine), "params.nmae: nothing asks for it; it takes none"),
        (Pipeline("p").step("nmae", run=fine).step("x", run=lambda nmae: nmae, depends_on="nmae"), "it takes none"),
    ],
)
def test_a_param_that_nothing_asks_for_is_a_problem(pipeline: Pipeline, said: str) -> None:
    """Neither declared nor a function's parameter: the run was not meant to be given it, and the nearest name is said."""
    given = ["name"] if "name" in said else []
    (problem,) = told(pipeline, given=[*given, "nmae"])
    assert said in problem


@pytest.mark.parametrize("step", [{"goal": "Say"}, {"run": reads}])
def test_without_declared_params_a_goal_or_a_ctx_may_see_any(step: dict[str, Any]) -> None:
    """A goal is told every param and a body may read `ctx.params`, so no name can be known to be wrong."""
    pipeline = Pipeline("p").step("x", run=lambda name=1: name).step("y", **step)
    assert told(pipeline, given=["nmae"]) == []


def test_what_a_changed_pipeline_no_longer_takes_does_not_keep_a_run_from_its_definition() -> None:
    """A run that is resumed has the params it was given; the definition is made all the same."""
    assert Pipeline("p", params={"a": 1}).step("x", run=fine).define(["a", "gone"]).params == {"a": 1}


def test_a_hundred_thousand_steps_are_the_most() -> None:
    """More are refused by number."""
    pipeline = Pipeline("p").step("x", run=fine)
    pipeline.steps *= 100_001
    assert "100001 steps are more than 100000; split the pipeline" in str(pipeline.problems([])[0])


def test_an_option_that_there_is_not_names_the_nearest() -> None:
    """In Python as in a file."""
    with pytest.raises(TypeError, match="step 'a' has no option 'depend_on'; did you mean 'depends_on'"):
        Pipeline("p").step("a", "Say a", depend_on=["x"])

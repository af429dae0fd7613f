"""The options of steps that do not go together, each told with its place and what to do."""

from typing import Any

import pytest

from engine import Dep, Pipeline
from engine.checks.options import of_budget
from engine.definition import Approval, Budget
from engine.kinds import FunctionName


def fine() -> int:
    return 1


def needs_two(one: Any, two: Any) -> None: ...


def undo(output: Any, ctx: Any, n: int = 1) -> None: ...


def undo_with(outputs: Any) -> None: ...


def ab() -> Pipeline:
    """A pipeline with two function steps to depend on."""
    return Pipeline("p", params={"limit": 3}).step("a", run=fine).step("b", run=fine)


def told(pipeline: Pipeline, *, given: list[str] | None = None, model: str | None = "m") -> list[str]:
    """The problems as texts."""
    return [str(problem) for problem in pipeline.problems(given or [], model=model)]


def x(**options: Any) -> Pipeline:
    """A step `x` with these options and a function, after `a` and `b`."""
    return ab().step("x", **{"run": fine, **options})


CASES: list[tuple[Pipeline, str]] = [
    # dependencies
    (x(depends_on=[Dep("a", "data")]), "steps.x.depends_on: is 'data' on 'a' without paths; name the paths"),
    (x(depends_on=[Dep("a", "soft", paths=("q",))]), "has paths for 'a', which only a 'data' dependency checks"),
    (x(depends_on=[Dep("a", "data", paths=("q +",))]), "(position"),
    (x(depends_on=[Dep("a", "data", paths=("q + 1",))]), "has 'q + 1', which is not a path; write one such as items[0].url"),
    (x(depends_on=[Dep("a", "data", paths=(1,))]), "has the path 1; write paths as text"),  # type: ignore[arg-type]
    (x(depends_on=[Dep("a", "validation")]), "is 'validation' on 'a' without a condition; add when=..., such as output.score > 3"),
    (x(depends_on=[Dep("a", when="output > 1")]), "has a condition for 'a', which only a 'validation' dependency checks"),
    (x(depends_on=[Dep("a", wait=False)]), "does not wait for 'a', which only a 'soft' dependency can"),
    # joins
    (x(depends_on=["a", "b"], join=3), "steps.x.join: is 3, but the step has 2 dependencies; give 1 to 2"),
    (x(depends_on=["a"], join=0), "steps.x.join: is 0, but the step has 1 dependency; give 1 to 1"),
    (x(depends_on=["a"], join="frist"), "is 'frist'; use 'all', 'any', 'first' or a number; did you mean 'first'?"),
    (x(depends_on=["a"], join=True), "is True; use 'all', 'any', 'first' or a number"),
    (x(join="any"), "steps.x.join: is 'any', but the step depends on nothing; add depends_on, or remove it"),
    # loops
    (x(for_each="[1]", while_="iteration < 3"), "steps.x: has both for_each and while_; keep one"),
    (x(for_each="[1]", max_concurrent=0), "steps.x.max_concurrent: is 0; give 1 to 10000"),
    (x(max_concurrent=2), "steps.x.max_concurrent: is for the items of for_each; add that, or remove it"),
    *((x(while_="output", max_iterations=n), "steps.x.max_iterations: is ") for n in (0, 100_001, 1.5, True, "3")),
    (x(item_failures="keep"), "steps.x.item_failures: is for the items of for_each"),
    (x(for_each="[1]", item_failures="keeep"), "steps.x.item_failures: is 'keeep'; use fail or keep; did you mean 'keep'?"),
    (x(for_each=3), "steps.x.for_each: is a number; write an expression as text"),
    (x(for_each="see ${{ params.limit }}"), "for_each is one expression; write it without text around it"),
    # conditions and modes
    (x(condition_mode="post"), "steps.x.condition_mode: is 'post', but there is no condition; add condition=..."),
    (x(condition="true", condition_mode="after"), "steps.x.condition_mode: is 'after'; use pre or post"),
    (x(execution_mode="conditional"), "steps.x.execution_mode: is conditional, but there is no condition; add condition=... or"),
    (x(skip="propogate"), "steps.x.skip: is 'propogate'; use settle or propagate; did you mean 'propagate'?"),
    (x(enabled="no"), "steps.x.enabled: is 'no'; give True or False"),
    # merges
    (x(merge="list"), "steps.x.merge: is for steps that merge; add execution_mode='parallel_merge'"),
    (x(execution_mode="parallel_merge", depends_on="a"), "steps.x: merges, so it has no goal or function of its own"),
    (x(run=None, execution_mode="parallel_merge"), "steps.x.depends_on: is empty, so there is nothing to merge"),
    (
        x(run=None, execution_mode="parallel_merge", depends_on="a", merge="depe"),
        "steps.x.merge: is 'depe', which is no way to merge; did you mean 'deep'?",
    ),
    (
        x(run=None, execution_mode="parallel_merge", depends_on="a", merge=needs_two),
        "steps.x.merge: has to be a function of one argument, the list of outputs; write def merge(outputs)",
    ),
    (x(run=None, execution_mode="parallel_merge", depends_on="a", for_each="[1]"), "steps.x: merges, which is done once"),
    # switches
    (x(run=None, switch={}), "steps.x.switch: has no cases; write branch: condition for each"),
    (x(switch={"y": "output > 1"}), "steps.x.switch.y: there is no step 'y'"),
    (x(switch={"x": "output > 1"}), "steps.x.switch.x: leads to the step itself"),
    (x(switch={"a": "otherwise", "b": "otherwise"}), "steps.x.switch: a and b are all 'otherwise'; keep one"),
    (x(switch={"a": "1 > 2", "b": "otherwise"}), "steps.x.switch.a: can never be chosen, because its condition never holds"),
    (x(switch={"a": "2 > 1", "b": "otherwise"}), "steps.x.switch.b: can never be chosen, because the case of 'a' before it"),
    (x(run=None, switch={"a": "otherwise"}, for_each="[1]"), "steps.x: has nothing to repeat or undo: it only switches"),
    (
        x(run=None, switch={"a": "params.limit > 1", "b": "otherwise"}).step("y", run=fine, switch={"a": "output > 1"}),
        "steps.y.switch.a: is a branch of 'x' too; a step can be chosen by one switch only",
    ),
    (
        x(run=fine, switch={"y": "output > 1"})
        .step("y", run=fine)
        .step("z", run=fine, depends_on="y", switch={"x": "output == 1"}),
        "steps: these wait for each other: ",
    ),
    # fallbacks and compensation
    (x(fallback="x"), "steps.x.fallback: is the step itself; name another step"),
    (x(fallback="c"), "steps.x.fallback: there is no step 'c'"),
    (x(fallback="y").step("y", run=fine, depends_on=Dep("x", "soft")), "'y' depends on this step, so it could not run when"),
    (x(fallback="y").step("y", run=fine).step("z", run=fine, fallback="y"), "steps.z.fallback: 'y' stands in for 'x' already"),
    (x(fallback="y").step("y", run=fine, fallback="x"), "steps: these wait for each other: "),
    (
        x(fallback="y").step("y", run=fine, depends_on="z").step("z", run=fine, fallback="w").step("w", run=fine, depends_on="x"),
        "steps: these wait for each other: ",  # should both fail, y waits for w, and w for y
    ),
    (
        x(fallback="y")
        .step("s", run=None, switch={"y": "params.limit > 1", "z": "otherwise"})
        .step("y", run=fine)
        .step("z", run=fine),
        "steps.x.fallback: 'y' is a branch that 's' chooses; name a step that runs for this one only",
    ),
    (x(compensate=undo_with), "steps.x.compensate: parameter 'outputs' is neither output nor a param; did you mean 'output'?"),
    (x(compensate=3), "steps.x.compensate: is 3, which cannot be called; give a function"),
    # approvals and budgets
    (x(approval=Approval(timeout=0)), "steps.x.approval: has the timeout 0; give seconds greater than 0"),
    (x(approval=Approval(default="aprove")), "has the default 'aprove'; use approve or reject; did you mean 'approve'?"),
    (x(approval=3), "steps.x.approval: is 3; give True, a message or Approval(...)"),
    (x(budget=-1), "steps.x.budget: has the cost -1.0; give a number greater than 0"),
    (x(budget="much"), "steps.x.budget: is 'much'; give US dollars or Budget(...)"),
    # the pipeline
    (Pipeline("p", on_failure="fail").step("x", run=fine), "on_failure: is 'fail'; use continue or fail_fast"),
    (Pipeline("p", budget=0).step("x", run=fine), "budget: has the cost 0.0; give a number greater than 0"),
]


@pytest.mark.parametrize(("pipeline", "said"), CASES, ids=lambda value: value[:60] if isinstance(value, str) else "")
def test_each_mistake_is_one_problem_with_its_place(pipeline: Pipeline, said: str) -> None:
    """One mistake is one problem, in one sentence."""
    problems = told(pipeline)
    assert len(problems) == 1, problems
    assert said in problems[0]


def test_every_option_can_be_right() -> None:
    """A pipeline that uses every option as it is meant has no problem."""
    pipeline = (
        Pipeline("p", params={"limit": 3}, on_failure="fail_fast", budget=Budget(cost=1, tokens=10, action="warn"))
        .step("a", run=fine, approval="Go on?", compensate=undo, fallback="a2", budget=0.5)
        .step("a2", run=fine)
        .step("b", run=fine, execution_mode="concurrent")
        .step("each", run=lambda item, index, limit: 1, for_each="${{ steps.a.output }}", depends_on="a", max_concurrent=2)
        .step(
            "poll",
            run=lambda output, iteration: 1,
            while_="not output.done and iteration < 5",
            depends_on=[Dep("b", "soft", wait=False)],
        )
        .step("sum", execution_mode="parallel_merge", depends_on=["a", "b"])
        .step("reduce", execution_mode="parallel_merge", depends_on=["a", "b"], merge=sum)
        .step("first", run=fine, depends_on=["a", "b"], join="first", condition="attempt < 3", skip="propagate")
        .step("two", run=fine, depends_on=["a", "b", "sum"], join=2, condition="output > params.limit", condition_mode="post")
        .step("checked", run=fine, depends_on=[Dep("a", "data", paths=["q[0].r", "[1]"]), Dep("b", "validation", when="output.ok")])
        .step("route", switch={"yes": "steps.a.output.gap == true", "no": "otherwise"}, depends_on="a")
        .step("yes", "Say ${{ steps.a.output }} because of ${{ steps.route.status }}")
        .step("no", run=fine, enabled=False, final=True, read_data=["params.limit"])
    )
    assert told(pipeline) == []


def test_a_model_merge_needs_a_model() -> None:
    """A summary by a model is refused without one, with the ways to configure one; the step's own model is enough."""
    merge = {"execution_mode": "parallel_merge", "merge": "model", "depends_on": ["a", "b"]}
    (problem,) = told(ab().step("x", **merge), model=None)
    assert problem.startswith("steps.x: merges by a model but no model is configured; give --model NAME")
    assert told(ab().step("x", model="mine", **merge), model=None) == []


def test_functions_that_are_only_names_can_merge_and_compensate() -> None:
    """A file's functions are not imported, so nothing is known against them."""
    named = FunctionName("tools:merge")
    pipeline = ab().step("x", execution_mode="parallel_merge", depends_on=["a", "b"], merge=named, compensate=named)
    assert told(pipeline) == []


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        (Budget(), "limits nothing; give one of cost, tokens, calls, seconds"),
        (Budget(tokens=1.5), "has the tokens 1.5; give a whole number greater than 0"),  # type: ignore[arg-type]
        (Budget(calls=0), "has the calls 0; give a whole number greater than 0"),
        (Budget(seconds=float("inf")), "has the seconds inf; give a number greater than 0"),
        (Budget(cost=1, action="stop"), "has the action 'stop'; use warn, pause or fail"),
    ],
)
def test_a_budget_says_what_is_wrong_with_it(budget: Budget, said: str) -> None:
    """Limits are positive, there is one at least, and the action is one of three."""
    assert of_budget(budget) == [said]

"""Pipelines in steps of others: judged by what they see and by what their step gives them, told by the way in."""

from __future__ import annotations

from typing import Any

import pytest

from engine import BreakerPolicy, Param, Pipeline


def fine() -> int:
    return 1


def outer(nested: Pipeline, params: Any = None, **options: Any) -> Pipeline:
    """A step that runs `nested`, after one with an output."""
    made = Pipeline("outer", params={"own": 1}).step("before", run=fine)
    return made.step("calls", pipeline=nested, params=params, depends_on="before", **options)


def inner(*, goal: str = "Say it", **params: Any) -> Pipeline:
    return Pipeline("inner", params=params).step("x", goal)


CASES: list[tuple[Pipeline, str]] = [
    (outer(inner(goal="Say ${{ steps.before.output }}")), "steps.calls.pipeline.steps.x.goal: there is no step 'before'"),
    (outer(inner(goal="Say ${{ params.own }}", n=1)), "steps.calls.pipeline.steps.x.goal: there is no param 'own'"),
    (outer(inner(goal="Say ${{ item }}"), for_each="[1]"), "steps.calls.pipeline.steps.x.goal: there is no 'item' here"),
    (outer(inner(n=Param("integer"))), "steps.calls.pipeline.params.n: has to be given"),
    (outer(inner(n=Param("integer")), {"n": "many"}), "steps.calls.params.n: is 'many'; give a whole number"),
    (outer(inner(limit=1), {"limt": 2}), "steps.calls.params.limt: nothing asks for it; did you mean 'limit'?"),
    (outer(inner(), 3), "steps.calls.params: is 3; give a mapping of names to values"),
    (outer(Pipeline("inner", breaker=BreakerPolicy(-1)).step("x", "g")), "steps.calls.pipeline.breaker: failures is -1"),
    (outer(outer(inner(n=1), {"m": 1})), "steps.calls.pipeline.steps.calls.params.m: nothing asks for it"),
]


@pytest.mark.parametrize(("pipeline", "said"), CASES, ids=[said for _, said in CASES])
def test_each_mistake_inside_is_one_problem_with_the_way_to_it(pipeline: Pipeline, said: str) -> None:
    """Conditions and goals see their own pipeline only; what a step gives is held against what the pipeline takes."""
    problems = [str(problem) for problem in pipeline.problems({})]
    assert len(problems) == 1, problems
    assert said in problems[0]


def test_what_is_filled_in_at_run_time_is_not_judged_before() -> None:
    """A text with `${{ ... }}` may become a number, also deep inside a value."""
    nested = inner(n=Param("integer"), deep=Param("array"))
    given = {"n": "${{ steps.before.output }}", "deep": ["${{ params.own }}"]}
    assert outer(nested, given).problems({}) == []

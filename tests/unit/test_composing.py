"""Pipelines made of pipelines: after one another, inside one another, under a prefix, with other params."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from engine import BreakerPolicy, ConditionDSL, Dep, Limit, Pipeline, PipelineValidationError
from engine.definition import Budget
from engine.errors import EngineError
from engine.expressions import Template, parse
from engine.expressions.renaming import renamed, renamed_template
from engine.params import Param


def fetch(company: str) -> list[int]:
    return [len(company)]


def count(fetch: list[int], ctx: Any, limit: int = 3) -> int:
    return len(fetch) + limit


async def judge(count: int) -> int:
    return count


def first() -> Pipeline:
    return Pipeline("first", params={"company": "Acme"}).constraint("Be brief").step("fetch", run=fetch)


def second() -> Pipeline:
    return (
        Pipeline("second", params={"limit": 3})
        .constraint("Be kind")
        .shared("tone", "calm")
        .step("count", run=count, depends_on=Dep("fetch", "validation", when="output and steps.fetch.output"), fallback="guess")
        .step("guess", "Guess, ${{ steps.count.error }}; write $${{ and ${{ params.limit }}")
        .step("judge", run=judge, depends_on="count", condition="steps.count.output > 1 and step_succeeded('count')", final=True)
    )


def test_one_after_another() -> None:
    """The first steps of the later wait for the last of the earlier, and its result is the result."""
    later = Pipeline("later").step("x", "Say", final=True).step("y", run=lambda fetch: fetch)
    made = first().then(later)
    assert made.problems([]) == []
    assert [(step.name, step.depends_on) for step in made.steps] == [("fetch", []), ("x", ["fetch"]), ("y", ["fetch"])]
    assert [step.final for step in made.steps] == [False, True, False]
    assert later.steps[0].depends_on == []


def test_what_is_included_keeps_its_constraints_params_and_shared_values() -> None:
    """Rules of a part are told to its steps only; what it may be given, the whole may be given."""
    part = (
        Pipeline("part", params={"limit": Param("integer", default=3)})
        .constraint("Be kind")
        .shared("tone", "calm")
        .step("s", "Say")
    )
    made = first().include(part, prefix="p_", depends_on="fetch")
    definition = made.define()
    assert (definition.constraints, definition.steps[1].constraints) == (("Be brief",), ("Be kind",))
    assert (definition.params, definition.shared) == ({"company": "Acme", "limit": 3}, {"tone": "calm"})
    assert definition.declared == {"limit": Param("integer")}
    assert (definition.steps[1].name, definition.steps[1].depends_on) == ("p_s", (Dep("fetch"),))


def test_a_prefix_reaches_every_place_that_names_a_step() -> None:
    """Dependencies, fallbacks, switches, conditions of every kind, loops and goals name the steps as they are called now."""
    whole = (
        Pipeline("whole")
        .step("fetch", run=lambda: [1])
        .include(second().step("fetch", run=lambda: [1]), prefix="b_")
        .include(
            Pipeline("more")
            .step("a", run=lambda: {"ok": True})
            .step("route", switch={"yes": ConditionDSL.equals("$a.result.ok", True), "no": "otherwise"}, depends_on="a")
            .step("yes", run=lambda item: item, for_each="${{ steps.a.output.items }}", read_data=["steps.a.output"])
            .step("no", run=lambda a: a, while_="not output and steps.a.status == 'completed'", depends_on=["a"]),
            prefix="c_",
        )
    )
    assert whole.problems([]) == []
    steps = {step.name: step for step in whole.define().steps}
    assert steps["b_count"].depends_on == (Dep("b_fetch", "validation", when="output and steps.b_fetch.output"),)
    assert steps["b_count"].fallback == "b_guess"
    assert steps["b_guess"].goal == "Guess, ${{ steps.b_count.error }}; write $${{ and ${{ params.limit }}"
    assert steps["b_judge"].condition == 'steps.b_count.output > 1 and step_succeeded("b_count")'
    assert steps["c_route"].switch == {"c_yes": "steps.c_a.output.ok == true", "c_no": "otherwise"}
    assert (steps["c_yes"].for_each, steps["c_yes"].read_data) == ("steps.c_a.output.items", ("steps.c_a.output",))
    assert steps["c_no"].while_ == 'not output and steps.c_a.status == "completed"'


async def test_functions_keep_the_parameters_they_have() -> None:
    """A function is given the output of a renamed step under the name it knows; `ctx` and defaults stay."""
    made = Pipeline("w").include(second().step("fetch", run=lambda: [1]), prefix="b_")
    body, judged = made.steps[0].run, made.steps[2].run
    assert body is not None
    assert judged is not None
    assert list(inspect.signature(body).parameters) == ["b_fetch", "limit", "ctx"]
    assert body(b_fetch=[1, 2], ctx=None) == 5
    assert inspect.iscoroutinefunction(judged)
    assert await judged(b_count=7) == 7
    assert made.define().steps[0].run == f"{__name__}:count(fetch=b_fetch)"
    with pytest.raises(EngineError, match=r"runs .*count\(fetch=b_fetch\), which a file cannot name"):
        made.to_yaml()


def test_what_two_pipelines_do_not_agree_on_is_told_at_once() -> None:
    """Names, params, shared values and policies; nothing is included then."""
    one = Pipeline("one", params={"n": 1, "t": Param("string", default="x")}).shared("s", 1).step("fetch", run=lambda: 1)
    other = Pipeline("two", params={"n": 2, "t": Param("integer", default=1)}, on_failure="fail_fast", budget=1).shared("s", 2)
    other.step("fetch", run=lambda: 1)
    with pytest.raises(PipelineValidationError) as refused:
        one.include(other)
    assert [problem.where for problem in refused.value.problems] == [
        "steps.fetch",
        "params.n",
        "params.t",
        "params.t",
        "shared_values.s",
        "on_failure",
        "budget",
    ]
    assert str(refused.value.problems[0]) == "steps.fetch: is in both pipelines; give prefix=..."
    assert len(one.steps) == 1


def test_what_a_step_gives_the_pipeline_it_runs_names_the_renamed_steps() -> None:
    """Templates in `params`, however deep, follow the prefix; the rest of the params stays."""
    part = Pipeline("part").step("a", run=lambda: 1)
    part.step("b", pipeline="x.yaml", params={"q": ["${{ steps.a.output }}", 2], "r": "steps.a"}, depends_on="a")
    made = Pipeline("w").include(part, prefix="p_")
    assert made.problems([]) == []
    assert made.steps[1].params == {"q": ["${{ steps.p_a.output }}", 2], "r": "steps.a"}


def test_limits_of_a_part_are_limits_of_the_whole() -> None:
    """They hold for models and tools by name, so they come together; two for one name have to be alike."""
    part = Pipeline("part", limits={"models": {"m": {"concurrent": 1}}}).step("s", "Say")
    whole = Pipeline("w", limits={"models": {"n": Limit(2)}, "tools": {"t": {"per_minute": 3}}}).include(part)
    assert whole.define().limits == {"models": {"m": Limit(1), "n": Limit(2)}, "tools": {"t": Limit(per_minute=3)}}
    with pytest.raises(PipelineValidationError, match=r"limits\.models\.m: is Limit\(.*\) in one and Limit\(.*in the other"):
        Pipeline("w", limits={"models": {"m": {"concurrent": 2}}}).include(part)
    with pytest.raises(PipelineValidationError, match=r"limits\.models\.m: concurrent is 0"):
        Pipeline("w").include(Pipeline("part", limits={"models": {"m": {"concurrent": 0}}}).step("s", "Say"))


def test_a_breaker_of_a_part_is_not_lost() -> None:
    """It would hold for every step of the whole, so it is refused unless the whole has the same."""
    part = Pipeline("part", breaker=BreakerPolicy(3, 5)).step("s", "Say")
    with pytest.raises(PipelineValidationError, match="breaker: of a part cannot be kept apart from the whole"):
        Pipeline("w").include(part)
    assert Pipeline("w", breaker=BreakerPolicy(3, 5)).include(part).define().breaker == BreakerPolicy(3, 5)


def test_self_does_not_come_to_mean_another_pipeline() -> None:
    """A step that runs the pipeline it stands in is refused as a part; the pipeline that takes parts in may have one."""
    again = Pipeline("again").step("s", pipeline="self", condition="params.n > 0")
    plain = Pipeline("plain").step("p", "Say")
    for refused in (lambda: plain.copy().include(again), lambda: plain.then(again), lambda: again.then(plain)):
        with pytest.raises(PipelineValidationError, match=r"steps\.s\.pipeline: is 'self', which would be the whole then"):
            refused()
    assert [step.name for step in again.copy().include(plain).steps] == ["s", "p"]


def test_a_pipeline_can_be_followed_by_itself() -> None:
    """With a prefix the same pipeline is done twice; a budget that both have is the budget of the whole."""
    once = Pipeline("once", budget=Budget(cost=1)).step("a", "Say").step("b", "Say more", depends_on="a")
    twice = once.then(once, prefix="again_").define()
    assert [(step.name, [dep.step for dep in step.depends_on]) for step in twice.steps] == [
        ("a", []),
        ("b", ["a"]),
        ("again_a", ["b"]),
        ("again_b", ["again_a"]),
    ]
    assert twice.budget == Budget(cost=1)


def test_a_prefix_is_a_word() -> None:
    """What no parameter can be called is refused; nothing is included then."""
    with pytest.raises(PipelineValidationError, match="prefix: is 'b-'; use letters, digits and '_'"):
        Pipeline("w").include(second(), prefix="b-")


def test_a_fallback_is_no_end_of_its_own() -> None:
    """What stands in for the last step counts with that step, so that the next does not wait for both."""
    end = Pipeline("end").step("pay", "Pay", fallback="later").step("later", "Pay later")
    assert end.then(Pipeline("n").step("x", "Say")).steps[-1].depends_on == ["pay"]


def test_other_defaults_make_another_pipeline() -> None:
    """The copy has the new defaults and declarations, the original its own."""
    made = first().with_params(company="Bell", limit=Param("integer", minimum=1))
    assert (made.params, made.declared) == ({"company": "Bell"}, {"limit": Param("integer", minimum=1)})
    assert first().params == {"company": "Acme"}


def test_only_names_of_steps_are_renamed() -> None:
    """The same word as a text, a param, a key or the name of another step is left alone."""
    names = {"a": "x_a"}
    text = 'steps.a.output.a + params.a + "steps.a" + steps[params.a].output + steps.b.output[steps.a.output]'
    want = 'steps.x_a.output.a + params.a + "steps.a" + steps[params.a].output + steps.b.output[steps.x_a.output]'
    assert renamed(parse(text), names) == want
    assert renamed(parse('step_failed("a") or step_failed("b")'), names) == 'step_failed("x_a") or step_failed("b")'
    template = Template.parse("a $${{ steps.a }} ${{ steps.a.output }}")
    assert renamed_template(template, names) == "a $${{ steps.a }} ${{ steps.x_a.output }}"

"""Execution plans: foreign values, checked against the kinds of work there are, mapped onto a pipeline."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest

from engine import Agent, Dep, PipelineValidationError, RetryPolicy
from engine.definition import ExecutionMode
from engine.plan import AgentStep, ExecutionPlan, ExecutionStrategy, PlanRetry, Task, select_strategy


def search(query: str, limit: int = 3) -> list[str]:
    return [query] * limit


async def score(item: str, ctx: Any, weight: float) -> float:
    return weight


REGISTRY: dict[str, Task] = {"search": search, "score": score, "write": "Write the report."}


def plan(*steps: dict[str, Any], **more: Any) -> ExecutionPlan:
    """A plan as a model would give it: plain values."""
    return ExecutionPlan.model_validate({"plan_id": "p1", "intent": "Find out", "steps": list(steps), **more})


FIND = {"step_id": "find", "task_type": "search", "parameters": {"query": "${{ params.company }}"}}
WRITE = {
    "step_id": "report",
    "agent_id": "writer",
    "task_type": "write",
    "dependencies": ["find"],
    "parameters": {"length": 80, "sources": ["${{ steps.find.output[0] }}", "memory"], "deep": {"a b": True}},
    "retry_policy": {"max_retries": 1, "backoff": "fixed"},
    "timeout": 30,
}


def test_a_plan_becomes_a_pipeline() -> None:
    """Kinds of work become functions and goals, parameters arguments and lines, the rest the options of the same meaning."""
    definition = plan(FIND, WRITE, metadata={"by": "m"}).to_pipeline(REGISTRY).define()
    find, report = definition.steps
    assert (definition.name, definition.description, definition.shared) == ("p1", "Find out", {"plan": {"by": "m"}})
    assert find.run == f'{__name__}:search(query="${{{{ params.company }}}}")'
    assert (
        report.goal == "Write the report.\nlength: 80\nsources[0]: ${{ steps.find.output[0] }}\nsources[1]: memory\ndeep.a b: true"
    )
    assert (report.depends_on, report.timeout, report.constraints) == ((Dep("find"),), 30.0, ("You act as writer.",))
    assert report.retry == RetryPolicy(max_retries=1, backoff="fixed")


def test_agents_of_a_plan_are_found_among_those_given() -> None:
    """`agent_id` names an agent where there are some: nothing is said of it in words, and one that nobody is, is a problem."""
    agents = {"writer": Agent("m1", system="Write plainly."), "other": Agent("m2")}
    _, report = plan(FIND, WRITE).to_pipeline(REGISTRY, agents).define().steps
    assert (report.agent, report.model, report.system, report.constraints) == ("writer", "m1", "Write plainly.", ())
    told = [str(problem) for problem in plan(FIND, {**WRITE, "agent_id": "wirter"}).problems(REGISTRY, agents)]
    assert told == ["steps.report.agent_id: is 'wirter', and there is no such agent; did you mean 'writer'?"]
    assert plan(FIND, WRITE).problems(REGISTRY, {})[0].where == "steps.report.agent_id"


def test_a_sequence_waits_for_the_step_before() -> None:
    """Sequential steps run in the order of the list, each after the one before it; others only after what they depend on."""
    other = {"step_id": "other", "task_type": "write"}
    sequence = plan(FIND, other, WRITE, strategy="sequential").to_pipeline(REGISTRY).define()
    assert [[dep.step for dep in step.depends_on] for step in sequence.steps] == [[], ["find"], ["find", "other"]]
    assert {step.execution_mode for step in sequence.steps} == {ExecutionMode.SERIAL}
    together = plan(FIND, other, WRITE).to_pipeline(REGISTRY).define()
    assert [[dep.step for dep in step.depends_on] for step in together.steps] == [[], [], ["find"]]
    assert {step.execution_mode for step in together.steps} == {ExecutionMode.CONCURRENT}


def test_a_loop_gives_each_item() -> None:
    """A loop is a for_each; its function is given the item beside the plan's parameters."""
    each = {"step_id": "each", "task_type": "score", "loop": "steps.find.output", "dependencies": ["find"]}
    made = plan(FIND, {**each, "parameters": {"weight": "${{ index + 1 }}"}}).to_pipeline(REGISTRY)
    assert made.problems({"company": "Acme"}) == []
    assert made.define().steps[1].for_each == "steps.find.output"


@pytest.mark.parametrize(
    ("steps", "strategy"),
    [
        ([FIND, WRITE], ExecutionStrategy.SEQUENTIAL),
        ([FIND, {**FIND, "step_id": "find2"}], ExecutionStrategy.PARALLEL),
        ([FIND, {**WRITE, "condition": "steps.find.output"}], ExecutionStrategy.CONDITIONAL),
        ([FIND, {**WRITE, "condition": "true", "loop": "steps.find.output"}], ExecutionStrategy.LOOP),
        ([FIND], ExecutionStrategy.SEQUENTIAL),
    ],
)
def test_the_strategy_follows_from_the_steps(steps: list[dict[str, Any]], strategy: ExecutionStrategy) -> None:
    """Loops, then conditions, then whether any two steps may run together."""
    assert select_strategy(plan(*steps)) is strategy


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (plan({**FIND, "task_type": "serach"}), "steps.find.task_type: there is no kind of work 'serach'; did you mean 'search'?"),
        (
            plan({**FIND, "parameters": {"qury": "x"}}),
            "steps.find.parameters.qury: is no parameter of search; did you mean 'query'?",
        ),
        (plan({**FIND, "parameters": {"query": "${{ x"}}), "steps.find.parameters: query: "),
        (
            plan(FIND, {**FIND, "step_id": "b", "parameters": {"query": "${{ steps.find.output }}"}}),
            "steps.b.parameters.query: step 'find' may not have ended by then; add it to dependencies",
        ),
        (plan(FIND, {**WRITE, "dependencies": ["fnd"], "parameters": {}}), "steps.report.dependencies: there is no step 'fnd'"),
        (plan(FIND, {**WRITE, "condition": "steps.find.out"}), "steps.report.condition: a step has no 'out'"),
        (plan({**FIND, "loop": "["}), "steps.find.loop: "),
        (plan({**FIND, "retry_policy": {"backoff": "random"}}), "steps.find.retry_policy: backoff is 'random'"),
        (plan(FIND, FIND), "steps.find: is defined twice; rename one"),
        (plan(FIND, plan_id="a b"), "plan_id: 'a b' is not a name"),
        (plan(FIND, strategy="loop"), "strategy: is loop, but no step has a loop"),
        (plan(FIND, strategy="conditional"), "strategy: is conditional, but no step has a condition"),
        (plan(), "steps: the pipeline has no steps"),
        (
            plan({**FIND, "dependencies": ["b"]}, {**FIND, "step_id": "b", "dependencies": ["find"]}),
            "steps: these wait for each other: ",
        ),
        (plan({**FIND, "parameters": {"limit": object()}}), "steps.find.parameters: The value at"),
    ],
)
def test_each_mistake_is_one_problem_in_the_words_of_a_plan(broken: ExecutionPlan, said: str) -> None:
    """One mistake is one problem with its place, and a broken plan becomes no pipeline."""
    problems = [str(problem) for problem in broken.problems(REGISTRY)]
    assert len(problems) == 1, problems
    assert problems[0].startswith(said)
    with pytest.raises(PipelineValidationError):
        broken.to_pipeline(REGISTRY)


def test_all_mistakes_of_a_plan_are_told_at_once() -> None:
    """Kinds of work, parameters, dependencies and conditions in one answer, for a model that mends its plan."""
    broken = plan({**FIND, "task_type": "no"}, {**WRITE, "dependencies": ["nothing"], "condition": "="}, plan_id="1")
    assert [problem.where for problem in broken.problems(REGISTRY)] == [
        "steps.find.task_type",
        "steps.report.parameters.sources[0]",
        "plan_id",
        "steps.report.dependencies",
        "steps.report.condition",
    ]


@pytest.mark.parametrize("extra", [{"code": "import os"}, {"timeout": -1}, {"parameters": []}])
def test_a_plan_has_no_other_fields(extra: dict[str, Any]) -> None:
    """What a plan has no word for is refused when it is read, not ignored."""
    with pytest.raises(pydantic.ValidationError):
        AgentStep.model_validate({"step_id": "a", "task_type": "write", **extra})


def test_a_retry_policy_is_the_same_as_that_of_a_step() -> None:
    """Defaults and fields agree with `RetryPolicy`."""
    assert PlanRetry().policy() == RetryPolicy()
    assert list(PlanRetry.model_fields) == list(RetryPolicy.__struct_fields__)

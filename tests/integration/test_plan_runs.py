"""Plans and composed pipelines, run."""

from __future__ import annotations

from typing import Any

from engine import Pipeline, run_agent
from engine.plan import ExecutionPlan


def search(query: str, limit: int) -> list[str]:
    return [query] * limit


async def report(find: list[str], first: str, ctx: Any) -> str:
    return f"{ctx.step}: {first} and {len(find)}"


def test_parameters_of_a_plan_are_filled_in_when_it_runs() -> None:
    """Params and outputs reach functions through `${{ ... }}`, beside the outputs they ask for by name."""
    plan = ExecutionPlan.model_validate(
        {
            "plan_id": "p",
            "intent": "Find out",
            "steps": [
                {"step_id": "find", "task_type": "search", "parameters": {"query": "${{ params.who }}!", "limit": 2}},
                {
                    "step_id": "tell",
                    "task_type": "report",
                    "dependencies": ["find"],
                    "parameters": {"first": "${{ steps.find.output[0] }}"},
                },
            ],
        }
    )
    result = run_agent(plan.to_pipeline({"search": search, "report": report}), params={"who": "Acme"}, db=":memory:")
    assert result.output("tell") == "tell: Acme! and 2"


def test_a_pipeline_that_is_included_twice_runs_twice() -> None:
    """Functions are given the outputs of their own copies under the names they know."""
    part = Pipeline("part").step("find", run=lambda base: [base]).step("tell", run=lambda find: find * 2, depends_on="find")
    whole = Pipeline("whole", params={"base": 3}).include(part, prefix="a_").include(part, prefix="b_", depends_on="a_tell")
    result = run_agent(
        whole.step("end", run=lambda a_tell, b_tell: [a_tell, b_tell], depends_on=["a_tell", "b_tell"]), db=":memory:"
    )
    assert result.final_output == [[3, 3], [3, 3]]

"""Budgets: what is used is folded from the outcomes; used up, the run warns, pauses or fails, and a raised budget goes on."""

from pathlib import Path
from typing import Any

import pytest

from engine import CommandRefusedError, Pipeline, StepContext
from engine.definition import Budget
from tests.driving import Scripted, engine_at, typed


def asking(count: int, budget: Budget | float | None = None, **options: Any) -> Pipeline:
    """So many goal steps, one after another, each a model call of 15 tokens and one cent."""
    pipeline = Pipeline("asking", budget=budget)
    for number in range(count):
        pipeline.step(f"ask{number}", f"Say {number}.", **options)
    return pipeline


async def test_a_budget_that_is_used_up_pauses_until_it_is_raised(tmp_path: Path) -> None:
    """Two cents pay for two of four calls; the run rests and cannot be resumed as it is; with a raised budget it completes."""
    pipeline = asking(4, 0.02)
    async with engine_at(tmp_path / "runs.db") as engine:
        engine._models["scripted"] = model = Scripted("a", "b", "c", "d")
        run = await engine.start(pipeline, model="scripted")
        assert await engine.wait(run) == "paused"
        assert len(model.asked) == 2
        with pytest.raises(CommandRefusedError, match=r"budget \(cost\) is used up; raise it"):
            await engine.resume(run, pipeline)
        await engine.set_budget(run, cost=0.1)
        await engine.resume(run, pipeline)
        result = await engine.result(run)
        assert (result.status, len(model.asked)) == ("completed", 4)
        kinds = typed(await engine.events(run), "budget.reached", "budget.set", "run.paused", "run.unpaused", "run.completed")
        assert kinds == ["budget.reached", "run.paused", "budget.set", "run.unpaused", "run.completed"]


@pytest.mark.parametrize(("what", "limit"), [("cost", 0.015), ("tokens", 20), ("calls", 2)])
async def test_a_budget_may_fail_the_run(what: str, limit: float) -> None:
    """What is under way is let finish, the rest is cancelled, and the reason names the budget."""
    async with engine_at() as engine:
        engine._models["scripted"] = Scripted("a", "b", "c", "d")
        run = await engine.start(asking(4, Budget(**{what: limit}, action="fail")), model="scripted")
        result = await engine.result(run)
    assert result.status == "failed"
    assert "budget of" in result.summary
    assert [step["status"] for step in result.step_metadata.values()] == ["completed", "completed", "cancelled", "cancelled"]


async def test_a_budget_may_only_warn() -> None:
    """It is recorded once, and the run completes."""
    async with engine_at() as engine:
        engine._models["scripted"] = Scripted("a", "b", "c")
        run = await engine.start(asking(3, Budget(calls=1, action="warn")), model="scripted")
        assert (await engine.result(run)).success
        assert typed(await engine.events(run)).count("budget.reached") == 1


async def test_a_steps_own_budget_counts_what_its_items_use() -> None:
    """The budget of a group is that of all its children; the run pauses and names the step."""
    pipeline = Pipeline("each").step("ask", "Say ${{ item }}.", for_each="[1, 2, 3]", max_concurrent=1, budget=Budget(calls=2))
    async with engine_at() as engine:
        engine._models["scripted"] = Scripted("a", "b", "c")
        run = await engine.start(pipeline, model="scripted")
        assert await engine.wait(run) == "paused"
        (reached,) = [e for e in await engine.events(run) if e.event.type == "budget.reached"]
    assert (reached.step, reached.event.what, reached.event.used) == ("ask", "calls", 2)


async def test_time_is_a_budget() -> None:
    """The run's time is up while a step waits: nothing new starts, what runs is let finish."""

    async def waits(ctx: StepContext) -> None:
        await ctx.sleep(0.3)

    pipeline = Pipeline("slow", budget=Budget(seconds=0.1, action="fail")).step("waits", run=waits).step("after", run=lambda: 1)
    async with engine_at() as engine:
        result = await engine.result(await engine.start(pipeline))
    assert result.status == "failed"
    assert "0.1 s" in result.summary
    assert result.step_metadata["after"]["status"] == "cancelled"


@pytest.mark.parametrize("limits", [{}, {"cost": -1}, {"cost": True}, {"tokens": "many"}, {"sense": 1}])
async def test_a_budget_that_is_none_is_refused(limits: dict[str, Any]) -> None:
    """Nothing, too little, and what is no number are told apart."""
    async with engine_at() as engine:
        run = await engine.start(asking(1, 0.5), model="offline")
        with pytest.raises(CommandRefusedError, match=r"budget|nothing left"):
            await engine.set_budget(run, **limits)


@pytest.mark.parametrize("where", ["run", "step"])
async def test_a_child_run_may_use_what_is_left_of_the_budgets_around_it(where: str, tmp_path: Path) -> None:
    """Three calls are allowed and one is used: the child stands after two of four, and goes on once its caller may use more."""
    child = asking(4)
    around = Budget(calls=3) if where == "run" else None
    pipeline = asking(1, around).step("child", pipeline=child, depends_on="ask0", budget=None if around else Budget(calls=2))
    async with engine_at(tmp_path / "runs.db") as engine:
        engine._models["scripted"] = model = Scripted(*"abcdefgh")
        run = await engine.start(pipeline, model="scripted")
        await engine.wait(run)
        (below,) = await engine.log.runs(caller=run)
        assert (len(model.asked), below.status) == (3, "paused")
        if where == "step":
            await engine.set_budget(below.id, calls=9)
        else:
            await engine.set_budget(run, calls=9)
        await engine.resume(run, pipeline)
        result = await engine.result(run)
        assert (result.status, len(model.asked)) == ("completed", 5)


async def test_a_child_run_fails_of_its_callers_budget_where_that_says_so() -> None:
    """`fail` is handed down with what is left."""
    pipeline = Pipeline("p", budget=Budget(calls=2, action="fail")).step("child", pipeline=asking(4), max_retries=0)
    async with engine_at() as engine:
        engine._models["scripted"] = model = Scripted(*"abcdefgh")
        run = await engine.start(pipeline, model="scripted")
        result = await engine.result(run)
        assert (result.status, len(model.asked)) == ("failed", 2)
        assert "budget of 2 calls" in result.summary

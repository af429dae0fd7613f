"""Budgets around child runs: they hold for the caller and all its live children together, however deep, and when raised."""

import asyncio
from pathlib import Path

import pytest

from engine import Engine, Pipeline, StepContext
from engine.definition import Budget
from engine.models.port import ModelReply, ModelRequest
from store.state import RunStatus
from tests.driving import Scripted, engine_at, typed, until
from tests.integration.test_engine_budgets import asking

BESIDE = {"execution_mode": "concurrent", "max_retries": 0}


class Slow(Scripted):
    """A model that gives the others their turn before it answers; `at_once` is how many calls were ever in flight together.

    One more may be under way: a call that was answered is counted once its answer is recorded.
    """

    def __init__(self, seconds: float = 0.01) -> None:
        super().__init__()
        self.seconds, self.flying, self.at_once = seconds, 0, 0

    async def complete(self, request: ModelRequest) -> ModelReply:
        self.answers.append("text")
        self.flying += 1
        self.at_once = max(self.at_once, self.flying)
        await asyncio.sleep(self.seconds)
        self.flying -= 1
        return await super().complete(request)


def callers(budget: Budget | None, children: int = 3, calls: int = 3, *, deep: bool = False) -> Pipeline:
    """Concurrent children of several calls each, each one level down or two."""
    pipeline = Pipeline("callers", budget=budget)
    for number in range(children):
        child = asking(calls)
        pipeline.step(f"child{number}", pipeline=Pipeline("middle").step("below", pipeline=child) if deep else child, **BESIDE)
    return pipeline


async def asked_of(engine: Engine, run: str) -> int:
    """How many model calls the caller has counted."""
    return (await engine.view(run)).calls


@pytest.mark.parametrize("deep", [False, True], ids=["children", "grandchildren"])
@pytest.mark.parametrize("limits", [{"calls": 4}, {"tokens": 60}, {"cost": 0.04}], ids=str)
async def test_concurrent_children_share_what_is_left(deep: bool, limits: dict[str, float], tmp_path: Path) -> None:
    """Three children of three calls may use four together, and two more that are in flight by then; raised, all of it goes on."""
    pipeline = callers(Budget(**limits), deep=deep)
    async with engine_at(tmp_path / "runs.db") as engine:
        engine._models["scripted"] = model = Slow()
        run = await engine.start(pipeline, model="scripted")
        assert await engine.wait(run) == "paused"
        assert 4 <= len(model.asked) <= 4 + model.at_once
        assert await asked_of(engine, run) == len(model.asked)
        assert {row.status for row in await engine.runs(caller=run)} <= {"paused", "running", "completed"}
        await engine.set_budget(run, **{what: limit * 100 for what, limit in limits.items()})
        await engine.resume(run, pipeline)
        result = await engine.result(run)
        assert (result.status, len(model.asked), await asked_of(engine, run)) == ("completed", 9, 9)
        assert result.token_usage["scripted"]["calls"] == 9


@pytest.mark.parametrize("deep", [False, True], ids=["children", "grandchildren"])
async def test_a_used_up_budget_that_fails_the_run_fails_what_is_below(deep: bool) -> None:
    """The children stop where the last calls in flight end, and the run fails of its budget."""
    async with engine_at() as engine:
        engine._models["scripted"] = model = Slow()
        run = await engine.start(callers(Budget(calls=4, action="fail"), deep=deep), model="scripted")
        result = await engine.result(run)
        assert (result.status, result.summary.count("budget of 4 calls")) == ("failed", 1)
        assert 4 <= len(model.asked) <= 4 + model.at_once
        assert {row.status for row in await engine.runs(caller=run)} == {"failed"}


async def test_the_callers_own_steps_stop_of_what_its_live_children_use() -> None:
    """The caller counts a live child's calls at once: beside it, no step of its own begins once they are used up together."""
    pipeline = Pipeline("beside", budget=Budget(calls=4)).step("child", pipeline=asking(9), **BESIDE)
    for number in range(9):
        pipeline.step(f"own{number}", "Say it.", depends_on=[f"own{number - 1}"] if number else [], **BESIDE)
    async with engine_at() as engine:
        engine._models["scripted"] = model = Slow()
        run = await engine.start(pipeline, model="scripted")
        assert await engine.wait(run) == "paused"
        assert 4 <= len(model.asked) <= 5
        (reached,) = [item for item in await engine.events(run) if item.event.type == "budget.reached"]
        assert reached.event.used >= 4


async def test_a_step_s_budget_holds_for_the_children_of_its_items_together() -> None:
    """Children that a `for_each` calls side by side share the step's budget; those of another step do not."""
    pipeline = Pipeline("each").step("each", pipeline=asking(3), for_each="[1, 2, 3]", max_concurrent=3, budget=Budget(calls=4))
    pipeline.step("other", pipeline=asking(5), **BESIDE)
    async with engine_at() as engine:
        engine._models["scripted"] = Slow()
        run = await engine.start(pipeline, model="scripted")
        assert await engine.wait(run) == "paused"
        rows = await engine.runs(caller=run)
        shared = [(await engine.view(row.id)).calls for row in rows if row.caller_step != "other"]
        (other,) = [await engine.view(row.id) for row in rows if row.caller_step == "other"]
        assert 4 <= sum(shared) <= 6
        assert (other.calls, other.status) == (5, RunStatus.COMPLETED)


@pytest.mark.parametrize("deep", [False, True], ids=["children", "grandchildren"])
async def test_children_go_on_when_the_budget_is_raised_while_the_caller_is_driven(deep: bool) -> None:
    """Beside a step that keeps the driver alive the raised budget is handed down in place, to children that rest too."""
    busy = asyncio.Event()

    async def keeps_busy() -> None:
        await busy.wait()

    pipeline = callers(Budget(calls=4), deep=deep).step("busy", run=keeps_busy, **BESIDE)
    async with engine_at() as engine:
        engine._models["scripted"] = model = Slow()
        run = await engine.start(pipeline, model="scripted")

        async def rests() -> bool:
            return sum(effect.parked is not None for effect in (await engine.view(run)).open.values()) == 3

        await until(rests, "the parked children")
        await engine.set_budget(run, calls=6)
        await until(lambda: len(model.asked) >= 6, "two calls more")
        await until(rests, "the children that rest again")
        assert len(model.asked) <= 6 + model.at_once
        await engine.set_budget(run, calls=60)
        await until(lambda: len(model.asked) == 9, "all calls")
        busy.set()
        assert (await engine.result(run)).status == "completed"


async def test_a_budget_raised_in_time_is_handed_to_children_that_run() -> None:
    """A child that began with one allowance goes past it, if its caller may use more by then."""
    pipeline = callers(Budget(calls=4), children=1, calls=8)
    async with engine_at() as engine:
        engine._models["scripted"] = model = Slow(0.1)
        run = await engine.start(pipeline, model="scripted")
        await until(lambda: len(model.asked) >= 2, "the first calls")
        await engine.set_budget(run, calls=90)
        assert (await engine.result(run)).status == "completed"
        (child,) = await engine.runs(caller=run)
        assert "budget.reached" not in typed(await engine.events(child.id))


async def test_what_a_cancelled_child_used_counts() -> None:
    """A step that ran out of time: the calls of the child it cancelled stand in the caller's sums, and once."""

    async def stuck(ctx: StepContext) -> None:
        await ctx.sleep(60)

    child = asking(2).step("stuck", run=stuck, depends_on="ask1")
    pipeline = Pipeline("p", on_failure="continue").step("calls", pipeline=child, timeout=1.0, max_retries=0).step("own", "Say it.")
    async with engine_at() as engine:
        engine._models["scripted"] = Scripted("a", "b", "c")
        run = await engine.start(pipeline, model="scripted")
        result = await engine.result(run)
        state = await engine.view(run)
        assert (await engine.runs(caller=run))[0].status == "cancelled"
        assert (state.calls, state.steps["calls"].calls, result.token_usage["scripted"]["calls"]) == (3, 2, 3)
        assert state.cost == pytest.approx(0.03)


async def test_a_child_called_when_nothing_is_left_waits_at_once() -> None:
    """A body that goes on calling children after the budget is used up gets no call for each of them."""

    async def calls(ctx: StepContext) -> None:
        await asyncio.gather(*(ctx.child(asking(2), {"n": n}) for n in range(5)))

    pipeline = Pipeline("p", params={"n": 0}, budget=Budget(calls=1)).step("first", "Say it.").step("calls", run=calls, **BESIDE)
    async with engine_at() as engine:
        engine._models["scripted"] = model = Slow()
        run = await engine.start(pipeline, model="scripted")
        assert await engine.wait(run) == "paused"
        assert len(model.asked) <= 1 + model.at_once


async def test_what_a_crash_left_uncounted_is_counted_when_the_child_is_taken_up(tmp_path: Path) -> None:
    """A child that was driven on alone while nobody drove its caller: its calls count in the caller's budget before it goes on."""
    inner = asking(4)
    pipeline = Pipeline("p", budget=Budget(calls=6)).step("child", pipeline=inner)
    async with engine_at(tmp_path / "runs.db") as engine:
        engine._models["scripted"] = model = Slow(0.2)
        run = await engine.start(pipeline, model="scripted")
        await until(lambda: len(model.asked) >= 1, "the first call")
        await engine.pause(run)
        assert await engine.wait(run) == "paused"
        (child,) = await engine.runs(caller=run)
        before = await asked_of(engine, run)
        await engine.resume(child.id, inner)
        assert (await engine.result(child.id)).status == "completed"
        assert await asked_of(engine, run) == before < 4
        await engine.resume(run, pipeline)
        assert (await engine.result(run)).status == "completed"
        assert (await asked_of(engine, run), len(model.asked)) == (4, 4)


async def test_a_budget_raised_as_the_last_step_comes_to_rest_is_not_lost() -> None:
    """Raised in the moment it was used up: the driver that takes the command lets caller and child go on before it lets go."""
    pipeline = callers(Budget(calls=2), children=2, calls=4)
    async with engine_at() as engine:
        engine._models["scripted"] = model = Slow()
        run = await engine.start(pipeline, model="scripted")

        async def reached() -> bool:
            return bool((await engine.view(run)).reached)

        await until(reached, "the used-up budget")
        await engine.set_budget(run, calls=90)
        parked = await engine.wait(run)
        assert parked in (None, "paused")
        if parked is not None:  # it had let go before: then the command was recorded without it
            await engine.resume(run, pipeline)
        assert (await engine.result(run)).status == "completed"
        assert len(model.asked) == 8

"""Forks on a real store: what is taken, what runs again, what it costs, at every event of several pipelines."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from engine import Engine, Pipeline, StepContext
from store.state import StepStatus
from tests.driving import engine_at

CALLS: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def nothing_called() -> None:
    CALLS.clear()


async def touch(ctx: StepContext, name: str, value: Any = None) -> Any:
    """One recorded touch of the world, counted when it is really made."""

    async def world() -> Any:
        CALLS[name] += 1
        return value if value is not None else f"{name} answered"

    return await ctx.once(name, world)


async def first(ctx: StepContext) -> Any:
    await ctx.memory.put("seen", ["first"])
    return await touch(ctx, "first", 1)


async def left(ctx: StepContext, first: int) -> Any:
    return first + len(await touch(ctx, "left", "ab"))


async def right(ctx: StepContext, first: int) -> Any:
    await touch(ctx, "right")
    return {"first": first, "memory": await ctx.memory.get("seen")}


async def last(ctx: StepContext, left: int, right: Any) -> Any:
    return [left, right, await touch(ctx, "last")]


def diamond() -> Pipeline:
    return (
        Pipeline("diamond")
        .step("first", run=first)
        .step("left", run=left, depends_on=["first"], execution_mode="concurrent")
        .step("right", run=right, depends_on=["first"], execution_mode="concurrent")
        .step("last", run=last, depends_on=["left", "right"])
    )


async def finished(engine: Engine, pipeline: Pipeline, **options: Any) -> str:
    run = await engine.start(pipeline, **options)
    await engine.wait(run)
    return str(run)


async def outputs(engine: Engine, run: str) -> dict[str, Any]:
    await engine.wait(run)
    return (await engine.result(run)).step_outputs


async def test_a_fork_with_no_edit_ends_the_same_at_every_event_and_pays_for_nothing() -> None:
    """Whatever event it is forked at, also inside a step, it comes to the same outputs without one touch of the world."""
    async with engine_at() as engine:
        run = await finished(engine, diamond())
        expected, head = await outputs(engine, run), await engine.log.head(run)
        CALLS.clear()
        for at in range(1, head + 1):
            fork = await engine.fork(run, at, pipeline=diamond())
            assert await outputs(engine, fork) == expected, at
            assert (await engine.result(fork)).status == "completed"
        assert not CALLS


async def test_an_edited_output_runs_only_what_depends_on_it() -> None:
    """Descendants run with the edited output; siblings stay recorded; the source run is untouched."""
    async with engine_at() as engine:
        run = await finished(engine, diamond())
        before = await engine.events(run)
        CALLS.clear()
        fork = await engine.fork(run, None, {"left.output": 40}, reason="what if", pipeline=diamond())
        assert (await outputs(engine, fork))["last"][0] == 40
        assert dict(CALLS) == {}  # the effect of `last` has the same identity
        state = await engine.view(fork)
        assert (state.steps["left"].edited, state.steps["right"].status) == (True, StepStatus.COMPLETED)
        assert await engine.events(run) == before


async def test_an_edit_of_a_field_runs_the_step_again() -> None:
    """A goal that is another asks the model again, and only it."""
    pipeline = (
        Pipeline("goals")
        .step("one", goal="Say one")
        .step("two", goal="Say two", depends_on=["one"])
        .step("three", goal="Say three", depends_on=["one"])
    )
    async with engine_at() as engine:
        run = await finished(engine, pipeline, model="offline")
        fork = await engine.fork(run, None, {"two.goal": "Say deux"})
        await engine.wait(fork)
        live = [e.step for e in await engine.events(fork, after=await engine.log.head(run)) if e.event.type == "effect.succeeded"]
        result = await engine.result(fork)
        assert (live, result.status) == (["two"], "completed")
        assert result.step_outputs["three"] == (await engine.result(run)).step_outputs["three"]

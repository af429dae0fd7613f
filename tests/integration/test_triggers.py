"""Events that start pipelines: one run an event, whoever looks and however often."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine import Engine, Pipeline, PipelineValidationError, StepContext
from tests.driving import engine_at, until


async def take(event: dict[str, Any]) -> Any:
    return [event["topic"], event["body"], event["tags"]]


HANDLED = Pipeline("handled").step("take", run=take)


def shop(*orders: int) -> Pipeline:
    """Publishes orders."""

    async def publish(ctx: StepContext) -> None:
        await ctx.publish("other", 0)
        for order in orders:
            await ctx.publish("order.new", order, ["eu"] if order % 2 else [])

    return Pipeline("shop").step("publish", run=publish)


async def next_of(runs: AsyncIterator[Any], count: int) -> list[str]:
    """The next runs that are started."""
    async with asyncio.timeout(20):
        return [await anext(runs) for _ in range(count)]


async def outputs(engine: Engine, runs: list[str]) -> list[Any]:
    return [(await engine.result(run)).final_output for run in runs]


async def test_each_post_starts_one_run_with_the_event_as_param() -> None:
    """Posts that match topic and tags start a run each, in order; others none."""
    async with engine_at() as engine:
        await engine.result(await engine.start(shop(1, 2, 3)))
        started = await next_of(engine.on("order.*", HANDLED, tags=["eu"], after="start"), 2)
        assert await outputs(engine, started) == [["order.new", 1, ["eu"]], ["order.new", 3, ["eu"]]]


async def test_from_now_on_earlier_posts_start_nothing() -> None:
    """Without `after` only what is published from then on starts a run."""
    async with engine_at() as engine:
        await engine.result(await engine.start(shop(1)))
        waiting = asyncio.ensure_future(next_of(engine.on("order.*", HANDLED), 1))
        await asyncio.sleep(0)
        await engine.start(shop(2))
        assert await outputs(engine, await waiting) == [["order.new", 2, []]]


async def test_two_engines_and_a_later_one_start_each_run_once(tmp_path: Path) -> None:
    """Two engines over one file that look at the same posts share them; one that begins again later starts only what is new."""
    db = tmp_path / "runs.db"
    started: list[str] = []

    async def look(engine: Engine) -> None:
        async for run in engine.on("order.*", HANDLED, after="start"):
            started.append(run)

    async with engine_at(db) as one, engine_at(db) as other:
        looking = [asyncio.ensure_future(look(engine)) for engine in (one, other)]
        await one.result(await one.start(shop(*range(8))))
        await until(lambda: len(started) == 8, "a run for each order")
        for run in started:
            await one.result(run)
            await other.result(run)
        for task in looking:
            task.cancel()
        assert len(await one.runs(pipeline="handled")) == len(set(started)) == 8
    async with engine_at(db) as later:
        await later.result(await later.start(shop(9)))
        assert await outputs(later, await next_of(later.on("order.*", HANDLED, after="start"), 1)) == [["order.new", 9, ["eu"]]]
        assert len(await later.runs(pipeline="handled")) == 9


async def test_the_end_of_a_run_starts_another_pipeline_but_not_itself() -> None:
    """`run.completed` starts a run for each other run that completed, and none for those it started."""

    async def after(event: dict[str, Any]) -> Any:
        return [event["pipeline"], event["body"]["status"]]

    async with engine_at() as engine:
        first = await engine.start(shop(1))
        await engine.result(first)
        runs = engine.on("run.completed", Pipeline("after").step("after", run=after), after="start")
        assert await outputs(engine, await next_of(runs, 1)) == [["shop", "completed"]]
        await engine.result(await engine.start(Pipeline("more").step("one", run=lambda: 1)))
        assert await outputs(engine, await next_of(runs, 1)) == [["more", "completed"]]
        assert len(await engine.runs(pipeline="after")) == 2


async def test_a_pipeline_that_cannot_work_is_refused_before_anything_is_waited_for() -> None:
    """What is wrong with the definition is raised when the first run is asked for."""
    async with engine_at() as engine:
        with pytest.raises(PipelineValidationError):
            await next_of(engine.on("order.*", Pipeline("bad").step("one", run=lambda missing: 1)), 1)

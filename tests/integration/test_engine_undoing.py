"""When steps fail for good: fail fast, what stands in, what is undone, and trying one step again."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engine import CommandRefusedError, Pipeline, StepContext
from store.state import RunStatus, shown_status
from tests.driving import drive, engine_at, history, typed, until


def broken() -> None:
    raise ValueError("it broke")


def saga(undone: list[Any], *, undo_fails: bool = False) -> Pipeline:
    """Three steps that can be undone, and one that fails."""

    def undo(output: Any, ctx: Any) -> None:
        if undo_fails and output == 2:
            raise OSError("cannot be undone")
        undone.append((ctx.step, output))

    pipeline = Pipeline("saga")
    for number in (1, 2, 3):
        needs = [f"step{number - 1}"] if number > 1 else []
        pipeline.step(f"step{number}", run=lambda number=number: number, depends_on=needs, compensate=undo)
    pipeline.step("never", run=lambda: 1, depends_on="broken", compensate=undo)
    return pipeline.step("broken", run=broken, depends_on="step3", max_retries=0)


async def test_what_completed_is_undone_last_first_when_the_run_fails() -> None:
    """Each compensation gets its step's output, one after another in reverse order; the run has failed all the same."""
    undone: list[Any] = []
    result, events = await history(saga(undone))
    assert undone == [("step3/compensate", 3), ("step2/compensate", 2), ("step1/compensate", 1)]
    assert (result.status, result.failed_steps) == ("failed", ["broken"])
    assert typed(events)[-8:-1] == ["run.compensating"] + [
        f"step.{what} step{number}/compensate" for number in (3, 2, 1) for what in ("started", "completed")
    ]


async def test_a_compensation_that_fails_does_not_keep_the_others() -> None:
    """It is tried again by the default policy, said in the reason, and the rest is undone."""
    undone: list[Any] = []
    pipeline = saga(undone, undo_fails=True)
    result = await drive(pipeline)
    assert undone == [("step3/compensate", 3), ("step1/compensate", 1)]
    assert "step2/compensate failed too" in result.summary


async def test_nothing_is_undone_when_the_run_completes() -> None:
    """Compensations belong to failures."""
    undone: list[Any] = []
    pipeline = saga(undone)
    pipeline.steps[-1].run = lambda: 1
    assert (await drive(pipeline)).success
    assert undone == []


async def test_a_crash_in_the_middle_of_undoing_goes_on_undoing(tmp_path: Path) -> None:
    """What was undone is not undone again."""
    undone: list[str] = []
    gate = asyncio.Event()

    async def undo(ctx: StepContext) -> None:
        await ctx.once("undo", undone.append, ctx.step)
        if ctx.step.startswith("a"):
            await gate.wait()

    def pipeline() -> Pipeline:
        made = Pipeline("p").step("a", run=lambda: 1, compensate=undo).step("b", run=lambda: 2, depends_on="a", compensate=undo)
        return made.step("broken", run=broken, depends_on="b", max_retries=0)

    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(pipeline())

        async def recorded() -> bool:
            return len([e for e in await engine.events(run) if e.event.type == "effect.succeeded"]) == 2

        await until(recorded, "both are recorded")
    gate.set()
    async with engine_at(tmp_path / "runs.db") as engine:
        await engine.resume(run, pipeline())
        assert (await engine.result(run)).status == "failed"
        with pytest.raises(CommandRefusedError, match="was compensated"):
            await engine.retry(run, "broken")
    assert undone == ["b/compensate", "a/compensate"]


async def test_failing_fast_cancels_everything_else() -> None:
    """A step that runs is stopped, what has not begun is cancelled, and the first to fail is to blame."""
    stopped: list[str] = []

    async def long(ctx: StepContext) -> None:
        try:
            await ctx.sleep(60)
        finally:
            stopped.append("long")

    async def fails(ctx: StepContext) -> None:
        await ctx.sleep(0.01)
        raise ValueError("it broke")

    pipeline = Pipeline("p", on_failure="fail_fast").step("long", run=long, execution_mode="concurrent")
    pipeline.step("fails", run=fails, max_retries=0, execution_mode="concurrent").step("later", run=lambda: 1, depends_on="long")
    result = await drive(pipeline)
    held = {name: (step["status"], step["reason"]) for name, step in result.step_metadata.items()}
    assert (held["long"], held["later"]) == (("cancelled", "fails failed"), ("cancelled", "fails failed"))
    assert (result.failed_steps, stopped) == (["fails"], ["long"])


async def test_what_stands_in_gives_the_output_and_the_run_completes() -> None:
    """A chain of fallbacks: the second stands in for both; dependants are given its output under the first one's name."""

    def uses(first: str) -> str:
        return f"used {first}"

    pipeline = (
        Pipeline("p")
        .step("first", run=broken, max_retries=0, fallback="second")
        .step("second", run=broken, max_retries=0, fallback="third")
        .step("third", run=lambda: "third")
        .step("uses", run=uses, depends_on="first")
    )
    result = await drive(pipeline)
    assert (result.status, result.output("uses")) == ("completed", "used third")
    pipeline.steps[0].run = lambda: "itself"
    result = await drive(pipeline)
    assert result.output("uses") == "used itself"
    assert [result.step_metadata[name]["status"] for name in ("second", "third")] == ["skipped", "skipped"]


async def test_a_failed_step_is_tried_again_with_what_fell_with_it() -> None:
    """The run is open again, the skipped dependant is pending, and both complete; attempts go on counting."""
    works: list[bool] = []

    def flaky() -> str:
        if not works:
            raise OSError("not yet")
        return "now"

    pipeline = Pipeline("p").step("flaky", run=flaky, max_retries=0).step("after", run=lambda flaky: flaky, depends_on="flaky")
    async with engine_at() as engine:
        run = await engine.start(pipeline)
        assert (await engine.result(run)).status == "failed"
        with pytest.raises(CommandRefusedError, match="has not failed"):
            await engine.retry(run, "after", pipeline)
        works.append(True)
        await engine.retry(run, "flaky", pipeline)
        result = await engine.result(run)
        assert (result.status, result.output("after"), result.step_metadata["flaky"]["attempts"]) == ("completed", "now", 2)
        with pytest.raises(CommandRefusedError, match="has completed"):
            await engine.retry(run, "flaky", pipeline)


async def test_a_failed_item_is_tried_again_and_the_others_are_kept() -> None:
    """Trying a failed group again runs only the items that failed."""
    ran: list[int] = []

    def one(item: int) -> int:
        ran.append(item)
        if item == 2 and ran.count(2) == 1:
            raise ValueError("two")
        return item * 10

    pipeline = Pipeline("p").step("each", run=one, for_each="[1, 2, 3]", max_concurrent=1, max_retries=0, item_failures="keep")
    pipeline.step("strict", run=one, for_each="[1]", max_retries=0)
    strict = Pipeline("p").step("each", run=one, for_each="[1, 2, 3]", max_concurrent=3, max_retries=0)
    async with engine_at() as engine:
        kept = await engine.result(await engine.start(pipeline))
        assert kept.output("each") == [10, None, 30]
        ran.clear()
        run = await engine.start(strict)
        assert (await engine.result(run)).status == "failed"
        await engine.retry(run, "each", strict)
        result = await engine.result(run)
    assert (result.status, result.output("each")) == ("completed", [10, 20, 30])
    assert sorted(ran) == [1, 2, 2, 3]


async def test_pausing_now_stops_what_runs_and_resuming_drives_it_again() -> None:
    """The body is stopped at its wait; resumed it is driven again over its record and asks nothing twice."""
    asked: list[int] = []

    async def body(ctx: StepContext) -> str:
        await ctx.once("first", asked.append, 1)
        if len(asked) == 1 and not gate.is_set():
            await ctx.once("wait", gate.wait)
        return "done"

    gate = asyncio.Event()
    pipeline = Pipeline("p").step("body", run=body)
    async with engine_at() as engine:
        run = await engine.start(pipeline)
        await until(lambda: asked, "the first effect")
        await engine.pause(run, now=True)
        assert await engine.wait(run) == "paused"
        assert shown_status(await engine.log.state(run), alive=False) is RunStatus.PAUSED  # not interrupted
        gate.set()
        await engine.resume(run, pipeline)
        result = await engine.result(run)
    assert (result.status, result.output("body"), asked) == ("completed", "done", [1])
    assert result.step_metadata["body"]["attempts"] == 1

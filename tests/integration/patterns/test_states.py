"""State-based patterns: what may run depends on where the run is, or on what the world does first."""

from __future__ import annotations

from typing import Any

from engine import Dep, Pipeline, StepContext
from engine.memory import Space
from tests.mistaken import ALL_AT_ONCE, NO_CONDITION, NONE_SERIAL, REST_GOES_ON
from tests.patterning import Mutation, Play, about, instead, pattern


@pattern(16, REST_GOES_ON)
async def test_deferred_choice(play: Play) -> None:
    """The event that comes first chooses the branch and withdraws the other; wrong would be to go on waiting for both."""

    async def wait(ctx: StepContext) -> Any:
        post = await ctx.wait_for(ctx.step, after="start")
        return None if post is None else post.body

    async def world(ctx: StepContext) -> None:
        await ctx.publish(await play.held(ctx), "it happened")

    step = {"execution_mode": "concurrent"}
    await play.start(
        Pipeline("deferred")
        .step("world", run=world, **step)
        .step("paid", run=wait, **step)
        .step("withdrawn", run=wait, **step)
        .step("chosen", run=play.held, **step, depends_on=["paid", "withdrawn"], join="first")
        .step("ship", run=play.held, **step, depends_on="paid")
        .step("forget", run=play.held, **step, depends_on="withdrawn")
    )
    await play.running("world", "paid", "withdrawn")
    await play.end("world", output="paid")
    await play.end("chosen", "ship")
    assert about(await play.finish(), "paid", "withdrawn", "chosen", "ship", "forget") == [
        "started paid", "started withdrawn", "completed paid", "cancelled withdrawn", "skipped forget", "started chosen",
        "started ship", "completed chosen", "completed ship",
    ]  # fmt: skip


@pattern(17, NONE_SERIAL, ALL_AT_ONCE)
async def test_interleaved_parallel_routing(play: Play) -> None:
    """Steps in a partial order run one at a time, in any order that keeps it; wrong would be to run two that are free together."""
    await play.start(
        Pipeline("interleaved")
        .step("c", run=play.held, depends_on="a")
        .step("a", run=play.held)
        .step("b", run=play.held)
        .step("d", run=play.held, depends_on=["b", "c"])
    )
    await play.end("a", "c", "b", "d")
    assert await play.finish() == [
        "started a", "completed a", "started c", "completed c", "started b", "completed b", "started d", "completed d",
        "run.completed",
    ]  # fmt: skip


@pattern(18, NO_CONDITION)
async def test_milestone(play: Play) -> None:
    """An order is changed as long as it is not sent; wrong would be to ask only whether it was booked."""
    step = {"run": play.held, "execution_mode": "concurrent"}
    pipeline = Pipeline("milestone").step("book", **step).step("send", **step, depends_on="book")
    unwaited = Dep("send", "soft", wait=False)
    for wish in ("early", "late"):
        pipeline.step(wish, **step)
        pipeline.step(f"change_{wish}", **step, depends_on=["book", wish, unwaited], condition='not step_completed("send")')
    await play.start(pipeline)
    await play.end("book", "early", "change_early", "send", "late")
    assert about(await play.finish(), "send", "change_early", "change_late") == [
        "started send", "evaluated change_early", "started change_early", "completed change_early", "completed send",
        "evaluated change_late", "skipped change_late",
    ]  # fmt: skip


async def last_writer(right: Any, space: Space, key: str, expected_version: int, value: Any) -> int:
    """Write whether somebody else was first or not."""
    return await space.put(key, value)


@pattern(39, Mutation("the last one gets in too", Space, "compare_and_set", instead(last_writer)))
async def test_critical_section(play: Play) -> None:
    """Two regions of two steps are never inside at once, in one run or in several; wrong would be to let both in."""

    async def enter(ctx: StepContext) -> None:
        lock = ctx.space("lock")
        while True:
            seen = await lock.look("held")
            if seen.value is None and await lock.compare_and_set("held", seen.version, ctx.step) is not None:
                return
            await lock.watch("held", after=seen.version)

    async def leave(ctx: StepContext) -> None:
        await ctx.space("lock").delete("held")

    step = {"execution_mode": "concurrent"}
    pipeline = Pipeline("regions").step("key", run=play.held, **step)
    for region in "xy":
        pipeline.step(f"enter_{region}", run=enter, **step, depends_on="key")
        pipeline.step(f"one_{region}", run=play.held, **step, depends_on=f"enter_{region}")
        pipeline.step(f"two_{region}", run=play.held, **step, depends_on=f"one_{region}")
        pipeline.step(f"leave_{region}", run=leave, **step, depends_on=f"two_{region}")
    await play.start(pipeline)
    await play.end("key")
    state = await play.until(lambda state: bool(inside(state.steps)), "that somebody is inside")
    first = inside(state.steps)[0]
    second = "y" if first == "x" else "x"
    await play.running(f"one_{first}", f"enter_{second}")
    await play.end(f"one_{first}", f"two_{first}", f"one_{second}", f"two_{second}")
    worked = [f"{work}_{region}" for region in "xy" for work in ("one", "two")]
    assert about(await play.finish(), *worked) == [
        f"{what} {work}_{region}" for region in (first, second) for work in ("one", "two") for what in ("started", "completed")
    ]


def inside(steps: Any) -> list[str]:
    """The regions that have begun their work."""
    return [region for region in "xy" if steps[f"one_{region}"].attempt]


@pattern(40, NONE_SERIAL)
async def test_interleaved_routing(play: Play) -> None:
    """Steps without an order among them run each once, one at a time; wrong would be to run them together."""
    await play.start(Pipeline("interleaved").step("a", run=play.held).step("b", run=play.held).step("c", run=play.held))
    await play.end("a", "b", "c")
    assert await play.finish() == [
        "started a", "completed a", "started b", "completed b", "started c", "completed c", "run.completed",
    ]  # fmt: skip

"""Advanced branching and synchronisation: choices of several branches, and the joins that do not wait for all of them."""

from __future__ import annotations

from engine import Pipeline, PipelineStep, StepContext
from engine.definition import Dep
from tests.mistaken import (
    ADDED_ONCE,
    ALL_ARE_NEEDED,
    NO_CONDITION,
    NOT_WAITED_FOR,
    ONE_CONDITION,
    ONE_IS_ENOUGH,
    REST_GOES_ON,
    REST_IS_CANCELLED,
    SKIPPED_IS_UNMET,
)
from tests.patterning import Play, about, pattern


def three(play: Play, join: str | int) -> Pipeline:
    """Three branches that run together, and a step behind them."""
    pipeline = Pipeline("three")
    for name in "abc":
        pipeline.step(name, run=play.held, execution_mode="concurrent")
    return pipeline.step("end", run=play.held, execution_mode="concurrent", depends_on=["a", "b", "c"], join=join)


def several(play: Play) -> Pipeline:
    """A choice of any of three branches, of which `b` and `c` are taken with n = 2."""
    return (
        Pipeline("several", params={"n": 2})
        .step("a", run=play.held)
        .step("b", run=play.held, execution_mode="concurrent", depends_on="a", condition="params.n > 0")
        .step("c", run=play.held, execution_mode="concurrent", depends_on="a", condition="params.n > 1")
        .step("d", run=play.held, execution_mode="concurrent", depends_on="a", condition="params.n > 5")
    )


@pattern(6, ONE_CONDITION, NO_CONDITION)
async def test_multi_choice(play: Play) -> None:
    """Every branch whose condition holds runs, together; wrong would be to take the first one only, or all."""
    await play.start(several(play))
    await play.end("a")
    await play.running("b", "c")
    await play.end("c", "b")
    story = await play.finish()
    assert about(story, "a", "c") == ["started a", "completed a", "evaluated c", "started c", "completed c"]
    assert about(story, "d") == ["evaluated d", "skipped d"]
    assert story[-3:] == ["completed c", "completed b", "run.completed"]


@pattern(7, ONE_IS_ENOUGH, SKIPPED_IS_UNMET)
async def test_structured_synchronising_merge(play: Play) -> None:
    """The merge waits for the branches that were taken and for no other; wrong would be to start with the first of them."""
    merge = {"run": play.held, "execution_mode": "concurrent", "depends_on": ["b", "c", "d"]}
    await play.start(several(play).step("merge", **merge))
    await play.end("a")
    await play.running("b", "c")
    await play.end("c", "b", "merge")
    story = await play.finish()
    assert about(story, "d") == ["evaluated d", "skipped d"]
    assert story[-5:] == ["completed c", "completed b", "started merge", "completed merge", "run.completed"]


@pattern(8, ADDED_ONCE)
async def test_multi_merge(play: Play) -> None:
    """What follows two branches runs once for each that ends; wrong would be to let it run once for both."""

    async def branch(ctx: StepContext) -> None:
        await play.held(ctx)
        after = PipelineStep(f"then_{ctx.step}", run=play.held, execution_mode="concurrent", depends_on=ctx.step)
        await ctx.add_step(after)

    await play.start(
        Pipeline("merge").step("b", run=branch, execution_mode="concurrent").step("c", run=branch, execution_mode="concurrent")
    )
    await play.end("c", "then_c", "b", "then_b")
    story = await play.finish()
    assert about(story, "c", "then_c") == ["started c", "added c", "completed c", "started then_c", "completed then_c"]
    assert story[-5:] == ["added b", "completed b", "started then_b", "completed then_b", "run.completed"]


@pattern(9, ALL_ARE_NEEDED, REST_IS_CANCELLED)
async def test_structured_discriminator(play: Play) -> None:
    """The first branch starts what follows, once; the others end without effect. Wrong would be to wait, or to cancel them."""
    await play.start(three(play, "any"))
    await play.end("b", "a", "end", "c")
    assert await play.finish() == [
        "started a", "started b", "started c", "completed b", "started end", "completed a", "completed end", "completed c",
        "run.completed",
    ]  # fmt: skip


@pattern(29, REST_GOES_ON, ALL_ARE_NEEDED)
async def test_cancelling_discriminator(play: Play) -> None:
    """The first branch starts what follows and stops the others first; wrong would be to let them go on."""
    await play.start(three(play, "first"))
    await play.begun("a", "b", "c")
    await play.end("b", "end")
    assert await play.finish() == [
        "started a", "started b", "started c", "completed b", "cancelled a", "cancelled c", "started end", "completed end",
        "run.completed",
    ]  # fmt: skip
    await play.stopped("a", "c")


@pattern(30, ONE_IS_ENOUGH, ALL_ARE_NEEDED, REST_IS_CANCELLED)
async def test_structured_partial_join(play: Play) -> None:
    """The second of three branches starts what follows, the third ends without effect; wrong would be another count."""
    await play.start(three(play, 2))
    await play.end("c", "a", "end", "b")
    assert await play.finish() == [
        "started a", "started b", "started c", "completed c", "completed a", "started end", "completed end", "completed b",
        "run.completed",
    ]  # fmt: skip


@pattern(37, ONE_IS_ENOUGH, NO_CONDITION)
async def test_acyclic_synchronising_merge(play: Play) -> None:
    """A merge in no block structure waits as long as a branch may still come, and no longer; wrong would be a fixed count."""
    step = {"run": play.held, "execution_mode": "concurrent"}
    await play.start(
        Pipeline("acyclic", params={"n": 2})
        .step("a", **step)
        .step("b", **step, depends_on="a", condition="params.n > 5", skip="propagate")
        .step("b2", **step, depends_on="b")
        .step("c", **step, depends_on="a")
        .step("near", **step, depends_on=[Dep("b", "soft"), Dep("c", "soft")])
        .step("c2", **step, depends_on="c")
        .step("far", **step, depends_on=[Dep("b2", "soft"), Dep("near", "soft"), Dep("c2", "soft")])
    )
    await play.end("a")
    await play.settled("b2")
    await play.end("c", "near", "c2", "far")
    story = await play.finish()
    assert about(story, "b", "b2") == ["evaluated b", "skipped b", "skipped b2"]
    assert about(story, "c", "near", "c2", "far") == [
        "started c", "completed c", "started near", "started c2", "completed near", "completed c2", "started far", "completed far",
    ]  # fmt: skip


class Laps:
    """A branch that goes round until it is told to leave; each lap is a step of its own that `end` waits for."""

    def __init__(self, play: Play) -> None:
        self._play, self._number = play, 1

    async def lap(self, ctx: StepContext) -> None:
        """Go round once, and again if told so."""
        if await self._play.held(ctx) == "again":
            self._number += 1
            lap = PipelineStep(f"lap_{self._number}", run=self.lap, execution_mode="concurrent", depends_on=ctx.step)
            await ctx.add_step(lap, before=["end"])


@pattern(38, NOT_WAITED_FOR, ONE_IS_ENOUGH)
async def test_general_synchronising_merge(play: Play) -> None:
    """The merge waits also for a branch that goes round a few times more; wrong would be to count what was there at the start."""
    step = {"execution_mode": "concurrent"}
    await play.start(
        Pipeline("general", params={"n": 2})
        .step("lap", run=Laps(play).lap, **step)
        .step("b", run=play.held, **step)
        .step("no", run=play.held, **step, condition="params.n > 5")
        .step("end", run=play.held, **step, depends_on=["lap", "b", "no"])
    )
    await play.settled("no")
    await play.end("lap", output="again")
    await play.end("b")
    await play.end("lap_2", output="again")
    await play.end("lap_3", "end")
    assert about(await play.finish(), "lap", "lap_2", "lap_3", "b", "end") == [
        "started lap", "started b", "added lap", "completed lap", "started lap_2", "completed b", "added lap_2",
        "completed lap_2", "started lap_3", "completed lap_3", "started end", "completed end",
    ]  # fmt: skip

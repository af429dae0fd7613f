"""Multiple instances of a step: as many as are written, as are found, or as become known while they run; and how they end."""

from __future__ import annotations

from typing import Any

import engine.looks
from engine import Pipeline, PipelineStep, StepContext
from engine.surroundings import RunSurroundings
from store import values
from store.events import StepEvaluated
from tests.mistaken import (
    ALL_ARE_NEEDED,
    CHILDREN_GO_ON,
    NOT_WAITED_FOR,
    ONE_AT_A_TIME,
    ONE_CHILD_IS_ENOUGH,
    ONE_IS_ENOUGH,
    SKIPPED_IS_UNMET,
)
from tests.patterning import Mutation, Play, about, always, instead, pattern

ONE_ITEM = Mutation(
    "one instance", engine.looks, "_items", always((StepEvaluated("run", items=1, values=values.pack([1])[0]), None))
)


def instance(play: Play, name: str, *needs: str) -> PipelineStep:
    """An instance that is added at run time."""
    return PipelineStep(name, run=play.held, execution_mode="concurrent", depends_on=needs)


def of_items(play: Play, for_each: str) -> Pipeline:
    """A step for each item, and one behind all of them."""
    return (
        Pipeline("items")
        .step("list", run=play.held)
        .step("each", run=play.held, for_each=for_each, depends_on="list")
        .step("next", run=play.held, depends_on="each")
    )


def wait_for_them(right: Any, around: RunSurroundings, step: str, attempt: int, added: PipelineStep, before: Any) -> None:
    """What is added comes before what follows, whether it was asked for or not."""
    right(around, step, attempt, added, ["next"])


@pattern(12, Mutation("what follows waits for them", RunSurroundings, "add_step", instead(wait_for_them)))
async def test_instances_without_synchronisation(play: Play) -> None:
    """What follows the step that made the instances does not wait for them; wrong would be to gather them."""

    async def make(ctx: StepContext) -> None:
        for number in (1, 2, 3):
            await ctx.add_step(instance(play, f"i{number}", ctx.step))

    next_step = {"run": play.held, "execution_mode": "concurrent", "depends_on": "make"}
    await play.start(Pipeline("made").step("make", run=make).step("next", **next_step))
    await play.end("next", "i2", "i1", "i3")
    assert await play.finish() == [
        "started make", "added make", "added make", "added make", "completed make", "started next", "started i1", "started i2",
        "started i3", "completed next", "completed i2", "completed i1", "completed i3", "run.completed",
    ]  # fmt: skip


@pattern(13, ONE_CHILD_IS_ENOUGH, ONE_ITEM)
async def test_instances_known_when_written(play: Play) -> None:
    """Three instances run together, and what follows starts after the last; wrong would be to go on with the first."""
    await play.start(of_items(play, "[1, 2, 3]"))
    await play.end("list", "each[2]", "each[0]", "each[1]", "next")
    assert await play.finish() == [
        "started list", "completed list", "evaluated each", "started each", "started each[0]", "started each[1]", "started each[2]",
        "completed each[2]", "completed each[0]", "completed each[1]", "completed each", "started next", "completed next",
        "run.completed",
    ]  # fmt: skip


@pattern(14, ONE_CHILD_IS_ENOUGH, ONE_ITEM)
async def test_instances_known_when_reached(play: Play) -> None:
    """As many instances run as the step before has found; wrong would be a number fixed before it ended."""
    await play.start(of_items(play, "steps.list.output"))
    await play.end("list", output=["x", "y"])
    await play.end("each[1]", "each[0]", "next")
    assert await play.finish() == [
        "started list", "completed list", "evaluated each", "started each", "started each[0]", "started each[1]",
        "completed each[1]", "completed each[0]", "completed each", "started next", "completed next", "run.completed",
    ]  # fmt: skip


class Growing:
    """An instance that adds another, which what follows waits for too."""

    def __init__(self, play: Play) -> None:
        self._play = play

    async def grow(self, ctx: StepContext) -> None:
        """Add the instances one is told to when one ends."""
        for name in await self._play.held(ctx) or ():
            await ctx.add_step(PipelineStep(name, run=self.grow, execution_mode="concurrent"), before=["next"])


@pattern(15, NOT_WAITED_FOR)
async def test_instances_that_become_known_while_others_run(play: Play) -> None:
    """Instances are added until the last says no more, and all are waited for; wrong would be to wait for those at the start."""
    first = {"run": Growing(play).grow, "execution_mode": "concurrent"}
    await play.start(Pipeline("growing").step("i1", **first).step("next", run=play.held, depends_on="i1"))
    await play.end("i1", output=["i2", "i3"])
    await play.end("i3", output=["i4"])
    await play.end("i2", "i4", "next")
    story = await play.finish()
    assert about(story, "i2", "i3", "i4", "next") == [
        "started i2", "started i3", "added i3", "completed i3", "started i4", "completed i2", "completed i4", "started next",
        "completed next",
    ]  # fmt: skip


@pattern(26, CHILDREN_GO_ON)
async def test_cancel_the_instances(play: Play) -> None:
    """What has ended stays, the rest is stopped, and what follows is not done; wrong would be to cancel the group's name only."""
    await play.start(of_items(play, "[1, 2, 3]"))
    await play.end("list", "each[1]")
    await play.begun("each[0]", "each[2]")
    await play.engine.cancel(play.run, step="each")
    assert (await play.finish())[7:] == [
        "completed each[1]", "cancelled each[0]", "cancelled each[2]", "cancelled each", "skipped next", "run.completed",
    ]  # fmt: skip
    await play.stopped("each[0]", "each[2]")


@pattern(27, CHILDREN_GO_ON, SKIPPED_IS_UNMET)
async def test_complete_the_instances(play: Play) -> None:
    """The rest is stopped and what follows starts at once; wrong would be to do nothing behind a group that was cut short."""
    await play.start(of_items(play, "[1, 2, 3]"))
    await play.end("list", "each[1]")
    await play.begun("each[0]", "each[2]")
    await play.engine.skip(play.run, "each")
    await play.end("next")
    assert (await play.finish())[7:] == [
        "completed each[1]", "cancelled each[0]", "cancelled each[2]", "skipped each", "started next", "completed next",
        "run.completed",
    ]  # fmt: skip
    await play.stopped("each[0]", "each[2]")


@pattern(34, ALL_ARE_NEEDED, ONE_IS_ENOUGH)
async def test_static_partial_join_of_instances(play: Play) -> None:
    """Two of as many instances as were made start what follows, the others end without effect; wrong would be another count."""

    async def make(ctx: StepContext, count: int) -> None:
        names = [f"i{number}" for number in range(count)]
        for name in names:
            await ctx.add_step(instance(play, name, ctx.step))
        await ctx.add_step(PipelineStep("next", run=play.held, execution_mode="concurrent", depends_on=names, join=2))

    await play.start(Pipeline("static", params={"count": 3}).step("make", run=make))
    await play.end("i2", "i0", "next", "i1")
    assert (await play.finish())[6:] == [
        "started i0", "started i1", "started i2", "completed i2", "completed i0", "started next", "completed next", "completed i1",
        "run.completed",
    ]  # fmt: skip


@pattern(36, NOT_WAITED_FOR, ALL_ARE_NEEDED)
async def test_dynamic_partial_join_of_instances(play: Play) -> None:
    """Two instances start what follows, also ones that were added meanwhile; wrong would be to count those at the start only."""
    grow = {"run": Growing(play).grow, "execution_mode": "concurrent"}
    following = {"run": play.held, "execution_mode": "concurrent", "depends_on": ["i1", "i2"], "join": 2}
    await play.start(Pipeline("dynamic").step("i1", **grow).step("i2", **grow).step("next", **following))
    await play.end("i1", output=["i3", "i4"])
    await play.end("i4", "next", "i2", "i3")
    assert about(await play.finish(), "i1", "i2", "i3", "i4", "next") == [
        "started i1", "started i2", "added i1", "added i1", "completed i1", "started i3", "started i4", "completed i4",
        "started next", "completed next", "completed i2", "completed i3",
    ]  # fmt: skip


@pattern(41, ONE_CHILD_IS_ENOUGH)
async def test_thread_merge(play: Play) -> None:
    """As many threads as were split become one, which goes on once; wrong would be to go on with the first of them."""
    await play.start(of_items(play, "[1, 2]"))
    await play.end("list", "each[1]", "each[0]", "next")
    assert about(await play.finish(), "each[0]", "each[1]", "each", "next")[2:] == [
        "started each[0]", "started each[1]", "completed each[1]", "completed each[0]", "completed each", "started next",
        "completed next",
    ]  # fmt: skip


@pattern(42, ONE_ITEM, ONE_AT_A_TIME)
async def test_thread_split(play: Play) -> None:
    """One thread becomes several of the same step, which run together; wrong would be to run them as one, or one by one."""
    await play.start(Pipeline("split").step("each", run=play.held, for_each="[1, 2]"))
    await play.running("each[0]", "each[1]")
    await play.end("each[1]", "each[0]")
    assert await play.finish() == [
        "evaluated each", "started each", "started each[0]", "started each[1]", "completed each[1]", "completed each[0]",
        "completed each", "run.completed",
    ]  # fmt: skip

"""What an attempt is given is read from the log although its commit is still under way: groups and partial outputs on a file."""

import asyncio
from pathlib import Path

from engine import Dep, Pipeline, StepContext
from tests.driving import drive


def double(item: int) -> int:
    """One item."""
    return item * 2


async def test_items_are_there_when_the_first_child_starts(tmp_path: Path) -> None:
    """A group over literal items on a file, whose look and start are in one commit with its first child's start, gathers them."""
    pipeline = Pipeline("many").step("each", run=double, for_each="[1, 2, 3]", execution_mode="concurrent")
    result = await drive(pipeline, tmp_path / "runs.db")
    assert result.output("each") == [2, 4, 6]


async def test_a_partial_output_is_there_as_soon_as_it_is_published(tmp_path: Path) -> None:
    """A step that does not wait is given what was published just now, before that is on the disk."""
    begun = asyncio.Event()

    async def publishes(ctx: StepContext) -> str:
        await ctx.publish_partial("so far")
        await begun.wait()
        return "all"

    async def takes(ctx: StepContext) -> str:
        begun.set()
        return str(ctx.inputs["publishes"])

    async def opens(ctx: StepContext) -> None:
        await ctx.publish_partial(None)

    pipeline = Pipeline("partial").step("publishes", run=publishes, execution_mode="concurrent")
    pipeline.step("opens", run=opens, execution_mode="concurrent")
    pipeline.step("takes", run=takes, depends_on=["opens", Dep("publishes", "soft", wait=False)])
    assert (await drive(pipeline, tmp_path / "runs.db")).output("takes") == "so far"

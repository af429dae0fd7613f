"""Recursion: a step that runs the pipeline it stands in."""

from __future__ import annotations

from typing import Any

from engine import Pipeline, StepContext
from engine.children import Children
from tests.patterning import Mutation, Play, instead, pattern


async def answer_at_once(right: Any, children: Children, *asked: Any) -> int:
    """A call that does not wait for what it called."""
    return 1


@pattern(22, Mutation("the call returns at once", Children, "ask", instead(answer_at_once)))
async def test_recursion(play: Play) -> None:
    """Each depth starts inside the one above and ends before it does; wrong would be to go on without the answer."""

    async def factorial(ctx: StepContext, n: int) -> int:
        return 1 if n == 0 else n * await ctx.child("self", {"n": n - 1})

    await play.start(Pipeline("factorial", params={"n": 2}).step("times", run=factorial))
    assert await play.finish() == ["started times", "completed times", "run.completed"]
    told = [
        (recorded.at, f"{recorded.event.type.removeprefix('step.')} {row.id.count('.')}")
        for row in await play.engine.runs(children=True)
        for recorded in await play.engine.events(row.id, types={"step.started", "step.completed"})
    ]
    assert [text for _, text in sorted(told)] == [
        "started 0",
        "started 1",
        "started 2",
        "completed 2",
        "completed 1",
        "completed 0",
    ]
    assert (await play.engine.result(play.run)).final_output == 2

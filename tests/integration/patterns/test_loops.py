"""Iteration and termination: loops of one step and of several, and when a run is at its end."""

from __future__ import annotations

from typing import Any

import engine.looks
from engine import Pipeline, PipelineStep, StepContext
from engine.scheduler import Schedule
from store.events import RunCompleted, StepCompleted
from store.state import RunState, StepStatus
from tests.mistaken import ADDED_ONCE, NO_CONDITION, NOT_WAITED_FOR
from tests.patterning import Mutation, Play, about, always, instead, pattern


class Places:
    """Three places in a ring; a visit says where to go next, and each visit is a step that `end` waits for."""

    def __init__(self, play: Play) -> None:
        self._play, self._visits = play, 0

    async def visit(self, ctx: StepContext) -> None:
        """Be at a place, and go to the next if there is one."""
        place = await self._play.held(ctx)
        if place is not None:
            self._visits += 1
            there = PipelineStep(f"{place}_{self._visits}", run=self.visit, execution_mode="concurrent", depends_on=ctx.step)
            await ctx.add_step(there, before=["end"])


@pattern(10, ADDED_ONCE, NOT_WAITED_FOR)
async def test_arbitrary_cycles(play: Play) -> None:
    """A ring is entered at one place, left at another, and gone round in between; wrong would be to be at each place once."""
    first = {"run": Places(play).visit, "execution_mode": "concurrent"}
    await play.start(Pipeline("ring").step("start", **first).step("end", run=play.held, depends_on="start"))
    await play.end("start", output="b")
    await play.end("b_1", output="c")
    await play.end("c_2", output="a")
    await play.end("a_3", output="b")
    await play.end("b_4", "end")
    story = [line for line in await play.finish() if not line.startswith("added")]
    assert story == [
        "started start", "completed start", "started b_1", "completed b_1", "started c_2", "completed c_2", "started a_3",
        "completed a_3", "started b_4", "completed b_4", "started end", "completed end", "run.completed",
    ]  # fmt: skip


@pattern(21, Mutation("one iteration", engine.looks, "_iterated", always((StepCompleted(), None))), NO_CONDITION)
async def test_structured_loop(play: Play) -> None:
    """A step runs again as long as its condition holds, and not at all if another does not; wrong would be a fixed number."""
    await play.start(
        Pipeline("loop", params={"n": 0})
        .step("never", run=play.held, condition="params.n > 0", while_="output < params.n")
        .step("again", run=play.held, while_="output < 3")
        .step("next", run=play.held, depends_on="again")
    )
    for index, output in enumerate((1, 2, 3)):
        await play.end(f"again[{index}]", output=output)
    await play.end("next")
    story = await play.finish()
    assert about(story, "never", "never[0]") == ["evaluated never", "skipped never"]
    assert about(story, "again", "again[0]", "again[1]", "again[2]", "next") == [
        "evaluated again", "started again", "started again[0]", "completed again[0]", "evaluated again", "started again[1]",
        "completed again[1]", "evaluated again", "started again[2]", "completed again[2]", "completed again", "started next",
        "completed next",
    ]  # fmt: skip


def final_ends_it(right: Any, schedule: Schedule, state: RunState) -> Any:
    """The run is at its end when the step is that gives its output."""
    final = next(name for name, step in schedule.plan.steps.items() if step.final)
    return (RunCompleted(), None, 0) if state.steps[final].status is StepStatus.COMPLETED else right(schedule, state)


@pattern(11, Mutation("the final step ends the run", Schedule, "_end", instead(final_ends_it)))
async def test_implicit_termination(play: Play) -> None:
    """The run ends when nothing is left to do, whichever step that was; wrong would be to end with a step marked as the last."""
    await play.start(
        Pipeline("implicit")
        .step("long", run=play.held, execution_mode="concurrent")
        .step("report", run=play.held, execution_mode="concurrent", final=True)
    )
    await play.end("report", "long")
    assert await play.finish() == ["started long", "started report", "completed report", "completed long", "run.completed"]

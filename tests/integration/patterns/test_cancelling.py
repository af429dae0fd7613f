"""Cancellation: of a step, of a part of the run, of the whole run."""

from __future__ import annotations

from typing import Any

from engine import Pipeline
from engine.commanding import Commanding
from engine.scheduler import Schedule
from tests.mistaken import BODIES_GO_ON
from tests.patterning import Mutation, Play, always, instead, pattern


def whole_run(right: Any, engine: Any, run: str, reason: str = "", *, step: str | None = None) -> Any:
    """Cancel the run, whatever was named."""
    return right(engine, run, reason)


CANCEL_ALL = Mutation("the run is cancelled", Commanding, "cancel", instead(whole_run))


def rows(play: Play, *names: str) -> Pipeline:
    """Two steps behind each other in each row, the rows beside each other."""
    pipeline = Pipeline("rows")
    for name in names:
        pipeline.step(name, run=play.held, execution_mode="concurrent")
        pipeline.step(f"{name}2", run=play.held, execution_mode="concurrent", depends_on=name)
    return pipeline


@pattern(19, CANCEL_ALL, BODIES_GO_ON)
async def test_cancel_a_step(play: Play) -> None:
    """The step is stopped, what needs it is skipped, the rest goes on; wrong would be to stop the run, or nobody's body."""
    await play.start(rows(play, "a", "b"))
    await play.running("a", "b")
    await play.begun("a")
    await play.engine.cancel(play.run, step="a")
    await play.end("b")
    await play.stopped("a")
    await play.end("b2")
    assert await play.finish() == [
        "started a", "started b", "cancelled a", "skipped a2", "completed b", "started b2", "completed b2", "run.completed",
    ]  # fmt: skip


@pattern(20, Mutation("steps are left as they are", Schedule, "_stop_rest", always(None)))
async def test_cancel_the_case(play: Play) -> None:
    """What runs is stopped and what has not begun never begins; wrong would be a run that has ended with steps that have not."""
    await play.start(rows(play, "a", "b"))
    await play.begun("a", "b")
    await play.end("a")
    await play.begun("a2")
    await play.engine.cancel(play.run)
    assert await play.finish() == [
        "started a", "started b", "completed a", "started a2", "cancelled a2", "cancelled b", "cancelled b2", "run.cancelled",
    ]  # fmt: skip
    await play.stopped("a2", "b")


@pattern(25, CANCEL_ALL, BODIES_GO_ON)
async def test_cancel_a_region(play: Play) -> None:
    """Any set of steps is stopped, in whichever rows they stand; wrong would be to take what is not in it along."""
    await play.start(rows(play, "a", "b", "c"))
    await play.end("a")
    await play.running("a2", "b", "c")
    await play.begun("a2", "b")
    await play.engine.cancel(play.run, step="a2")
    await play.running("b", "c")
    await play.engine.cancel(play.run, step="b")
    await play.end("c")
    await play.stopped("a2", "b")
    await play.end("c2")
    assert (await play.finish())[5:] == [
        "cancelled a2", "cancelled b", "skipped b2", "completed c", "started c2", "completed c2", "run.completed",
    ]  # fmt: skip

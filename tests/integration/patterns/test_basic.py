"""Basic control flow: sequence, parallel split, synchronisation, exclusive choice, simple merge."""

from __future__ import annotations

from engine import Pipeline
from tests.mistaken import ALL_ARE_NEEDED, ALL_AT_ONCE, ALL_SERIAL, LAST_CASE, NO_BRANCH_CLOSED, ONE_IS_ENOUGH, SKIPPED_IS_MET
from tests.patterning import Play, pattern


@pattern(1, ALL_AT_ONCE)
async def test_sequence(play: Play) -> None:
    """Each step starts when the one before has ended; wrong would be to start all that is defined."""
    await play.start(
        Pipeline("sequence")
        .step("a", run=play.held, execution_mode="concurrent")
        .step("b", run=play.held, execution_mode="concurrent", depends_on="a")
        .step("c", run=play.held, execution_mode="concurrent", depends_on="b")
    )
    await play.end("a", "b", "c")
    assert await play.finish() == [
        "started a", "completed a", "started b", "completed b", "started c", "completed c", "run.completed",
    ]  # fmt: skip


@pattern(2, ALL_SERIAL)
async def test_parallel_split(play: Play) -> None:
    """Both branches run before either ends; wrong would be to run one behind the other."""
    await play.start(
        Pipeline("split")
        .step("a", run=play.held)
        .step("b", run=play.held, execution_mode="concurrent", depends_on="a")
        .step("c", run=play.held, execution_mode="concurrent", depends_on="a")
    )
    await play.end("a", "c", "b")
    assert await play.finish() == [
        "started a", "completed a", "started b", "started c", "completed c", "completed b", "run.completed",
    ]  # fmt: skip


@pattern(3, ONE_IS_ENOUGH)
async def test_synchronisation(play: Play) -> None:
    """The step behind the branches starts once, when the last has ended; wrong would be to start it with the first."""
    await play.start(
        Pipeline("synchronisation")
        .step("a", run=play.held, execution_mode="concurrent")
        .step("b", run=play.held, execution_mode="concurrent")
        .step("end", run=play.held, execution_mode="concurrent", depends_on=["a", "b"])
    )
    await play.end("b", "a", "end")
    assert await play.finish() == [
        "started a", "started b", "completed b", "completed a", "started end", "completed end", "run.completed",
    ]  # fmt: skip


@pattern(4, NO_BRANCH_CLOSED, LAST_CASE)
async def test_exclusive_choice(play: Play) -> None:
    """Exactly one branch runs, that of the first case that holds; wrong would be to run every branch whose case holds."""
    await play.start(
        Pipeline("choice", params={"n": 2})
        .step("route", switch={"x": "params.n > 5", "y": "params.n > 1", "z": "params.n > 0"})
        .step("x", run=play.held, execution_mode="concurrent")
        .step("y", run=play.held, execution_mode="concurrent")
        .step("z", run=play.held, execution_mode="concurrent")
    )
    await play.end("y")
    assert await play.finish() == [
        "started route", "completed route", "skipped x", "skipped z", "started y", "completed y", "run.completed",
    ]  # fmt: skip


@pattern(5, SKIPPED_IS_MET, ALL_ARE_NEEDED)
async def test_simple_merge(play: Play) -> None:
    """The step behind a choice follows the branch that was taken; wrong would be to start it as soon as one is skipped."""
    await play.start(
        Pipeline("merge", params={"n": 2})
        .step("route", switch={"x": "params.n > 1", "y": "otherwise"})
        .step("x", run=play.held, execution_mode="concurrent")
        .step("y", run=play.held, execution_mode="concurrent")
        .step("end", run=play.held, execution_mode="concurrent", depends_on=["x", "y"], join="any")
    )
    await play.end("x", "end")
    assert await play.finish() == [
        "started route", "completed route", "skipped y", "started x", "completed x", "started end", "completed end",
        "run.completed",
    ]  # fmt: skip

"""Child runs on screen: told below the step that called them, opened from there, and hidden from the list of runs."""

from __future__ import annotations

from pathlib import Path

from engine import Pipeline, StepContext
from tagent_tui.screens.run import RunScreen
from tagent_tui.screens.runs import RunsScreen
from tests.acceptance.piloting import opened, sees, until
from tests.driving import engine_at
from tests.integration.test_children import Doubt, inner


async def finished(db: Path) -> str:
    """A run with children of a step and of a body."""

    async def asks(ctx: StepContext) -> int:
        return int(await ctx.child(inner()))

    async with engine_at(db) as engine:
        run = await engine.start(Pipeline("outer").step("calls", pipeline=inner()).step("asks", run=asks), run_id="0123456789ab")
        await engine.result(run)
    return run


async def test_a_child_is_opened_from_its_step_and_from_its_effect(tmp_path: Path) -> None:
    """Enter on a step that runs a pipeline opens the child's screen; unfolded, a body's child is a line that opens it too."""
    run = await finished(tmp_path / "runs.db")
    async with opened(tmp_path / "runs.db") as pilot:
        screen = RunScreen(run)
        await pilot.app.push_screen(screen)
        await until(pilot, lambda: screen.looks > 0)
        await pilot.press("g", "enter")
        await sees(pilot, "inner  01234567.4", "✓ tenfold")
        await pilot.press("escape", "G", "space")
        await sees(pilot, "child inner  run ….8")
        await pilot.press("j", "enter")
        await sees(pilot, "inner  01234567.8")


async def test_a_child_that_waits_is_told_and_the_caller_can_be_resumed(tmp_path: Path) -> None:
    """The caller's screen says whose child waits for somebody and which key opens it; `R` is there, `d` on the child's screen."""
    doubt = Doubt()
    run, child = await doubt.interrupted(tmp_path / "runs.db")
    async with engine_at(tmp_path / "runs.db") as engine:
        await engine.resume(run, doubt.outer())
        assert await engine.wait(run) == "waiting"
    async with opened(tmp_path / "runs.db") as pilot:
        screen = RunScreen(run)
        await pilot.app.push_screen(screen)
        await until(pilot, lambda: screen.looks > 0)
        await sees(pilot, f"calls  child ….{child.rpartition('.')[2]} waits for somebody", "opens it")
        assert screen.check_action("resume", ())
        await pilot.press("enter")
        await sees(pilot, "pays  pay may have happened")


async def test_children_are_not_in_the_list_of_runs(tmp_path: Path) -> None:
    """The list has the run that somebody started and none that it called."""
    await finished(tmp_path / "runs.db")
    async with opened(tmp_path / "runs.db") as pilot:
        await sees(pilot, "outer")
        assert isinstance(pilot.app.screen, RunsScreen)
        assert [row.pipeline for row in pilot.app.screen.known.list.runs.values()] == ["outer"]

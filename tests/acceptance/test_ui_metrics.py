"""The metrics pane on real stores: waterfall, order, zoom, tries, critical path, plots, and that it costs nothing while hidden."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.log import Log
from tagent_tui.screens.run import RunScreen
from tests.acceptance.made_runs import BASE, in_doubt, many_steps, research, write
from tests.acceptance.piloting import misses, opened, sees, text, until


async def test_the_waterfall_says_when_what_and_how_much(tmp_path: Path) -> None:
    """Axis, blocks, waits, figures; the tries of the selected step; the critical path; plots from samples."""
    made = research()
    async with await Log.open(tmp_path / "runs.db") as log:
        lease = await write(log, made, alive=True)
        for number in range(20):
            log.sample(lease.run, BASE + number * 4.0, 10.0 + number, 200_000_000 + number)
        async with opened(tmp_path / "runs.db", now=made.at + 2) as pilot:
            screen = RunScreen(made.run)
            await pilot.app.push_screen(screen)
            await sees(pilot, "LIVE", "✗ legal")
            await pilot.press("right_square_bracket", "4")
            await sees(pilot, "│0 s", "│15 s", "time      cost  tokens")
            await sees(pilot, "▌✗ legal", "┄", "legal  selected", "try 1  ✗ 10.2 s  wait 2 s", "try 4  ✗ 3.0 s   gave up")
            await sees(pilot, "Critical path  1m 32s", "plan 12.3 s → search 38.0 s → pages 41.4 s → score → report")
            await sees(pilot, "pages is 45 % of the time")
            await sees(pilot, "cpu", "29 %  max 29 %", "200 MB", "in flight", "max 4")
        await lease.release()


async def test_sorting_and_zooming_keep_the_step(tmp_path: Path) -> None:
    """`s` sorts by start, time and cost with the cursor on its step; `+` and `-` zoom around it."""
    made = research("completed")
    async with await Log.open(tmp_path / "runs.db") as log:
        await (await write(log, made)).release()
    async with opened(tmp_path / "runs.db") as pilot:
        screen = RunScreen(made.run)
        await pilot.app.push_screen(screen)
        await sees(pilot, "COMPLETED", "✗ legal")
        await pilot.press("4")
        await sees(pilot, "sort: start   scale: whole run")
        await pilot.press("g", "j")
        step = screen.metrics.step
        await pilot.press("s")
        await sees(pilot, "sort: time")
        assert screen.metrics.step == step
        await pilot.press("s")
        await sees(pilot, "sort: cost")
        await pilot.press("plus", "plus")
        await sees(pilot, "scale: 1/4 of it")
        await pilot.press("minus", "minus", "minus")
        await sees(pilot, "scale: whole run")
        await pilot.press("enter")
        await until(pilot, lambda: screen.pane == 1)
        assert screen.step_tree.subject is not None
        assert screen.step_tree.subject.step == step


async def test_failures_are_found_in_the_waterfall(tmp_path: Path) -> None:
    """`]` moves the cursor of the waterfall to the next failed step."""
    made = research("failed")
    async with await Log.open(tmp_path / "runs.db") as log:
        await (await write(log, made)).release()
    async with opened(tmp_path / "runs.db") as pilot:
        screen = RunScreen(made.run)
        await pilot.app.push_screen(screen)
        await sees(pilot, "FAILED", "✗ legal")
        await pilot.press("g", "4")
        await sees(pilot, "▌✓ plan")
        await pilot.press("right_square_bracket")
        await sees(pilot, "▌✗ legal", "legal  selected")


async def test_a_narrow_metrics_pane_is_whole(tmp_path: Path) -> None:
    """At 80x24 the waterfall, a sentence about the selected step and four small graphs are seen."""
    made = research()
    async with await Log.open(tmp_path / "runs.db") as log:
        await (await write(log, made)).release()
    async with opened(tmp_path / "runs.db", (80, 24)) as pilot:
        screen = RunScreen(made.run)
        await pilot.app.push_screen(screen)
        await sees(pilot, "INTERRUPTED", "✗ legal")
        await pilot.press("right_square_bracket", "4")
        await sees(pilot, "✗ legal  4 tries · 38.0 s, 12.8 s of it waiting to retry · all HTTP")
        await sees(pilot, "cpu", "memory", "tokens", "in flight", "–")


@pytest.mark.parametrize("height", [5, 12, 16, 24, 30, 60])
async def test_no_height_breaks_the_pane(tmp_path: Path, height: int) -> None:
    """What does not fit below the waterfall is left out; the waterfall stays."""
    made = in_doubt()
    async with await Log.open(tmp_path / "runs.db") as log:
        await (await write(log, made)).release()
    async with opened(tmp_path / "runs.db", (110, height)) as pilot:
        screen = RunScreen(made.run)
        await pilot.app.push_screen(screen)
        await until(pilot, lambda: screen.looks > 0)
        await pilot.press("4")
        await until(pilot, lambda: screen.metrics.looks > 0)
        if height >= 12:
            await sees(pilot, "charge", "┄")


async def test_hidden_metrics_are_not_computed(tmp_path: Path) -> None:
    """Nothing is looked at for the pane until it is opened, and at most twice a second while it is."""
    made = many_steps(3_000)
    async with await Log.open(tmp_path / "runs.db") as log:
        lease = await write(log, made, alive=True)
        async with opened(tmp_path / "runs.db", now=made.at) as pilot:
            screen = RunScreen(made.run)
            await pilot.app.push_screen(screen)
            await sees(pilot, "1,500/3,000")
            await pilot.pause(0.6)
            assert screen.metrics.looks == 0
            await pilot.press("4")
            await sees(pilot, "4 Waterfall", "list")
            before = screen.metrics.looks
            await pilot.pause(1.5)
            assert screen.metrics.looks - before <= 4
            await pilot.press("1")
            await misses(pilot, "4 Waterfall")
            assert screen.metrics.view.painted_rows < 600
            assert text(pilot)
        await lease.release()

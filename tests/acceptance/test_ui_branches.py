"""A run's forks on screen: the tree of them, the marks on the timeline, what an edited step says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine import Pipeline
from engine.config import TAgentConfig
from tagent_tui.screens.branches import BranchesScreen
from tagent_tui.screens.run import RunScreen
from tests.acceptance.forked_runs import family
from tests.acceptance.made_runs import research
from tests.acceptance.piloting import opened, sees, text, until
from tests.driving import engine_at

TREE = """\
▌✓ 7f3a19c2 · this run  company_research                            9/9   $0.04
 · ├ ⑂ 8a10bb00  at 60  params.company  what of Beta  → Beta        3/9   $0.00
 · └ ⑂ 7e41aa00  at 92  report.goal  shorter  → Write less          9/9   $0.04
 ·    └ ⑂ 9c00dd00  at 94  plan.output  → 1. Nothing.               9/9   $0.04"""


async def test_the_tree_shows_where_each_fork_left_and_what_it_edits(tmp_path: Path) -> None:
    """`B` on the run shows the family; enter opens a fork, `B` there the same tree with the cursor on it."""
    path = await family(tmp_path / "runs.db", research("completed"))
    async with opened(path, (80, 24)) as pilot:
        await pilot.app.push_screen(RunScreen("7f3a19c2"))
        await sees(pilot, "COMPLETED  company_research")
        await pilot.press("B")
        await sees(pilot, "BRANCHES  company_research   3 forks", "this run")
        assert TREE in text(pilot)
        await pilot.press("j", "j", "j", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen))
        await sees(pilot, "9c00dd00", "plan  ≠ edited")
        await pilot.press("B")
        await sees(pilot, "9c00dd00 · this run  at 94  plan.output")
        screen = pilot.app.screen
        assert isinstance(screen, BranchesScreen)
        assert screen.view.cursor == 3
        await pilot.press("escape")
        await sees(pilot, "plan  ≠ edited")


async def test_the_parent_is_shown_where_the_fork_left_it(tmp_path: Path) -> None:
    """`r` on a fork replays its parent at that event; on the oldest run there is no such key."""
    path = await family(tmp_path / "runs.db", research("completed"))
    async with opened(path) as pilot:
        await sees(pilot, "4 runs")
        await pilot.press("B")
        await sees(pilot, "BRANCHES", "this run")
        assert "the parent there" not in text(pilot).splitlines()[-1]
        await pilot.press("g", "j")
        await sees(pilot, "r the parent there")
        await pilot.press("r")
        await sees(pilot, "REPLAY  company_research", "as of event 60")


async def test_the_timeline_marks_forks(tmp_path: Path) -> None:
    """Forks stand on the rail at the event they left at, counted in the legend; the fork's own start is marked in its own past."""
    path = await family(tmp_path / "runs.db", research("completed"))
    async with opened(path) as pilot:
        await pilot.app.push_screen(RunScreen("7f3a19c2", 20))
        await sees(pilot, "✗ 6 failures   ⑂ 2 forks")
        assert text(pilot).splitlines()[-4].count("⑂") == 2
        await pilot.app.push_screen(RunScreen("9c00dd00", 20))
        await sees(pilot, "≠ 2 edits")
        assert text(pilot).splitlines()[-4].count("⑂") + text(pilot).splitlines()[-4].count("≠") >= 1


async def test_a_fork_is_compared_with_its_parent(tmp_path: Path) -> None:
    """`D` on a fork puts the two beside each other, the parent first; `esc` leads back to the tree."""
    path = await family(tmp_path / "runs.db", research("completed"))
    async with opened(path) as pilot:
        await sees(pilot, "4 runs")
        await pilot.press("B")
        await sees(pilot, "BRANCHES", "this run")
        await pilot.press("g", "j", "j")
        await sees(pilot, "D diff with the parent")
        await pilot.press("D")
        await sees(pilot, "DIFF", "fork of A at 92")
        await pilot.press("escape")
        await sees(pilot, "BRANCHES")


@pytest.mark.parametrize("glyphs", ["unicode", "ascii"])
async def test_the_tree_in_ascii(tmp_path: Path, glyphs: str) -> None:
    """With ASCII glyphs every cell of the tree is ASCII."""
    path = await family(tmp_path / "runs.db", research("completed"))
    async with opened(path, (100, 24), TAgentConfig.model_validate({"ui": {"glyphs": glyphs}})) as pilot:
        await sees(pilot, "4 runs")
        await pilot.press("B")
        await sees(pilot, "BRANCHES", "this run")
        assert text(pilot).isascii() is (glyphs == "ascii")


async def test_a_fork_with_a_changed_pipeline_says_which_steps_are_others(tmp_path: Path) -> None:
    """What `--reuse` and `--definition migrate` change is what was edited."""

    def made(count: Callable[..., int]) -> Pipeline:
        return Pipeline("words").step("text", run=lambda: "a b").step("count", run=count, depends_on=["text"])

    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(made(lambda text: len(text)))
        await engine.wait(run)
        await engine.wait(await engine.reuse(run, made(lambda text: len(text.split())).step("more", run=lambda: 1)))
    async with opened(tmp_path / "runs.db", (140, 24)) as pilot:
        await sees(pilot, "2 runs")
        await pilot.press("B")
        await sees(pilot, "at 1  pipeline  reuse of", "→ count changed; more added")

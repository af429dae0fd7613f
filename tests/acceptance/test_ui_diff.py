"""The diff screen, through keys, on a real store: opening it from the list, moving, tabs, narrow terminals, hostile text."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from engine.config import TAgentConfig
from store.log import Log
from tagent_tui.screens.diff import DiffScreen
from tagent_tui.screens.run import RunScreen
from tagent_tui.screens.runs import RunsScreen
from tagent_tui.view.difftext import Tab
from tests.acceptance import made_runs
from tests.acceptance.diff_runs import A, write_pair
from tests.acceptance.made_runs import BASE, write
from tests.acceptance.piloting import app_of, misses, opened, sees, simple, store, text, until


def diff_screen(pilot: Pilot[None]) -> DiffScreen:
    screen = pilot.app.screen
    assert isinstance(screen, DiffScreen)
    return screen


async def compared(pilot: Pilot[None]) -> DiffScreen:
    """From the list to the comparison of the fork with its parent, its texts read."""
    await sees(pilot, "2 runs")
    await pilot.press("j", "D")
    await until(pilot, lambda: isinstance(pilot.app.screen, DiffScreen) and pilot.app.screen.texts is not None)
    return diff_screen(pilot)


def chosen(screen: DiffScreen) -> str:
    return screen.step.step if screen.step is not None else ""


async def test_a_fork_is_compared_with_its_parent(tmp_path: Path) -> None:
    """`D` on a fork shows pairs, the first divergence at its place, totals without what was reused; the cursor is on the first."""
    async with opened(await write_pair(tmp_path / "runs.db")) as pilot:
        screen = await compared(pilot)
        assert chosen(screen) == "competitors"
        shown = text(pilot)
        for words in ("A 7d12 ✗ failed  →  B 7e41 ✓ fork of A at 25", "B is 1m 21s faster", "5 same   ≠ 2 differ   1 only in B"):
            assert words in shown
        rows = shown.splitlines()
        rule = next(index for index, row in enumerate(rows) if "─ first divergence" in row)
        assert "prices" in rows[rule - 1]
        assert "reused" in rows[rule - 1]
        assert "competitors  HTTP 429" in rows[rule + 1]
        assert "total  without the reused" in shown
        assert "market  6 items" in shown


async def test_keys_go_from_difference_to_difference(tmp_path: Path) -> None:
    """`n` and `N`, and the brackets, go round; `j` and `k` pass the rule; the title counts."""
    async with opened(await write_pair(tmp_path / "runs.db")) as pilot:
        screen = await compared(pilot)
        await pilot.press("n")
        assert chosen(screen) == "opportunity"
        await sees(pilot, "2 of 3", "Competitors: unknown (the step failed).", "- 5  + 5  lines")
        await pilot.press("right_square_bracket")
        assert chosen(screen) == "report"
        await pilot.press("n")
        assert chosen(screen) == "competitors"
        await pilot.press("k")
        assert chosen(screen) == "prices"
        await pilot.press("j")
        assert chosen(screen) == "competitors"
        await pilot.press("N")
        assert chosen(screen) == "report"
        await pilot.press("g", "left_square_bracket")
        assert chosen(screen) == "report"


async def test_tabs_words_and_the_rest(tmp_path: Path) -> None:
    """`l` and `h` turn the tabs, `w` marks words, `=` hides what is the same, `tab` and `enter` go to the text."""
    async with opened(await write_pair(tmp_path / "runs.db")) as pilot:
        screen = await compared(pilot)
        await pilot.press("n")
        await sees(pilot, "word by word")
        await pilot.press("w")
        await sees(pilot, "whole lines")
        await pilot.press("l")
        await sees(pilot, "the input is the same in both runs")
        await pilot.press("l")
        await sees(pilot, "Competitors: seven.")
        await pilot.press("l")
        await sees(pilot, "event 33 / 36 · effect.succeeded", "1 event says the same in both runs")
        await pilot.press("l")
        assert screen.tab is Tab.OUTPUT
        await pilot.press("equals_sign")
        await misses(pilot, "plan", "archive")
        await sees(pilot, "show all")
        assert chosen(screen) == "opportunity"
        await pilot.press("equals_sign", "enter")
        assert screen.text.has_focus
        await sees(pilot, "archive", "n N difference")
        await pilot.press("tab")
        assert screen.table.has_focus


async def test_copying_makes_text_safe_and_runs_open(tmp_path: Path) -> None:
    """`y` copies the signed lines; `o` opens the run; `esc` leads back to the list."""
    async with opened(await write_pair(tmp_path / "runs.db")) as pilot:
        await compared(pilot)
        await pilot.press("n")
        await sees(pilot, "4 sources")
        await pilot.press("y")
        assert "- 4 sources, 1 primary\n+ 11 sources, 6 primary" in pilot.app.clipboard
        await pilot.press("o")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, DiffScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))


async def test_marked_runs_are_compared(tmp_path: Path) -> None:
    """`m` marks and unmarks, shown by a glyph; the third mark drops the first; `D` needs a pair and puts the older run first."""
    path = await store(tmp_path / "runs.db", *(simple(number) for number in (1, 2, 3)))
    async with opened(path) as pilot:
        await sees(pilot, "3 runs")
        assert "D diff" not in text(pilot)
        await pilot.press("m")
        await sees(pilot, "0003≠ audit")
        await pilot.press("m")
        await misses(pilot, "≠")
        await pilot.press("m", "j", "m", "j")
        await sees(pilot, "0003≠ audit", "0002≠ audit", "D diff")
        await pilot.press("m")
        await misses(pilot, "0003≠")
        await pilot.press("D")
        await sees(pilot, "A 0001", "B 0002", "first divergence  none")
        await pilot.press("escape")
        await sees(pilot, "0001≠ audit")
        await pilot.press("escape")
        await misses(pilot, "≠")
        await pilot.press("m", "k", "k", "D")
        await sees(pilot, "A 0001", "B 0003")


async def test_one_pane_at_a_time_where_it_is_narrow(tmp_path: Path) -> None:
    """At 80 columns the table is full width with one name a row, the text a pane of its own with lines below each other."""
    async with opened(await write_pair(tmp_path / "runs.db"), (80, 24)) as pilot:
        await compared(pilot)
        await sees(pilot, "1 Steps   2 Text", "✗ ≠ ✓  competitors  HTTP 429", "– + ✓  report", "first divergence")
        await pilot.press("n", "enter")
        await sees(pilot, "6 - Competitors: unknown (the step failed).", "6 + Competitors: 7, three of them")
        assert "✗ ≠ ✓" not in text(pilot)
        await pilot.press("escape")
        await sees(pilot, "✗ ≠ ✓  competitors")


async def test_the_help_names_every_key(tmp_path: Path) -> None:
    """Keys have ids and are told by the help and, by name, in the palette; a keymap may change them."""
    config = TAgentConfig(ui={"keys": {"diff.words": "W"}})
    async with opened(await write_pair(tmp_path / "runs.db"), config=config) as pilot:
        await compared(pilot)
        await pilot.press("n")
        await sees(pilot, "W words")
        await pilot.press("question_mark")
        await sees(pilot, "diff.next", "diff.same", "diff.open", "mark changed words")
        await pilot.press("escape")
        commands = {command.title for command in app_of(pilot).get_system_commands(pilot.app.screen)}
        assert {"next difference", "mark changed words", "copy the difference"} <= commands


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (20, 5)])
async def test_hostile_runs_do_nothing(tmp_path: Path, size: tuple[int, int]) -> None:
    """Two runs full of texts that break terminals are compared at every size, each tab of each step, with nothing raw on screen."""
    async with await Log.open(tmp_path / "runs.db") as log:
        for run, stage in (("bad0bad0", 0.0), ("bad1bad1", 9.0)):
            made = made_runs.hostile(run, BASE + stage)
            if stage:
                made.fail(made_runs.HOSTILE[0], 2, made_runs.HOSTILE[3], took=1.0)
            await (await write(log, made)).release()
    async with opened(tmp_path / "runs.db", size) as pilot:
        await until(pilot, lambda: len(pilot.app.screen.query("#list")) and pilot.app.screen.known.list.entries)  # type: ignore[attr-defined]
        await pilot.press("m", "j", "D")
        await until(pilot, lambda: isinstance(pilot.app.screen, DiffScreen) and pilot.app.screen.texts is not None)
        for _ in range(3):
            await pilot.press("j", "l", "2", "j", "1")
            shown = text(pilot)
            assert not [char for char in shown if ord(char) < 32 and char != "\n"]
            assert "\u202e" not in shown


async def test_a_run_that_goes_on_is_compared_again(tmp_path: Path) -> None:
    """What a driver records shows by itself; the cursor stays on its step."""
    async with await Log.open(tmp_path / "runs.db") as log:
        await (await write(log, made_runs.research("completed", run="7f3b19c2"))).release()
        made = made_runs.research("live")
        lease = await write(log, made, alive=True)
        async with opened(tmp_path / "runs.db") as pilot:
            await sees(pilot, "2 runs")
            await pilot.press("m", "j", "D")
            await until(pilot, lambda: isinstance(pilot.app.screen, DiffScreen) and pilot.app.screen.texts is not None)
            screen = diff_screen(pilot)
            step = chosen(screen)
            before = len(made.events)
            made_runs._finished(made, "completed", simulated=False)
            lease.append(made.events[before:], made.blobs.items())
            await lease.flush()
            await until(pilot, lambda: screen.diff is not None and screen.diff.b.version == len(made.events))
            assert chosen(screen) == step
        await lease.release()


async def test_a_run_that_is_gone_is_a_sentence(tmp_path: Path) -> None:
    """A comparison that cannot be read says why, and `esc` leads back."""
    async with opened(await write_pair(tmp_path / "runs.db")) as pilot:
        app = app_of(pilot)
        await app.open_diff(A, "0ff0ff")
        await sees(pilot, "There is no run 0ff0ff")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))


async def test_ascii_and_light_and_without_colour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same is said in ASCII marks, on the light theme, and where NO_COLOR leaves signs, bold and reverse."""
    path = await write_pair(tmp_path / "runs.db")
    async with opened(path, (80, 24), TAgentConfig(ui={"glyphs": "ascii", "theme": "light"})) as pilot:
        await compared(pilot)
        shown = text(pilot)
        assert "x # +  competitors  HTTP 429" in shown
        assert shown.isascii()
    monkeypatch.setenv("NO_COLOR", "1")
    async with opened(path, now=BASE) as pilot:
        await compared(pilot)
        strips = pilot.app.screen._compositor.render_strips()
        colours = {segment.style.color for strip in strips for segment in strip if segment.style}
        assert all(colour is None or colour.is_default for colour in colours)

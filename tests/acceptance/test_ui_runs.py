"""The runs screen, through keys, on a real store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from store.events import LogWritten, Recorded, RunId
from store.log import Log
from tagent_tui.screens.runs import RunsScreen
from tagent_tui.watch import PAGE
from tagent_tui.widgets.lines import LineView
from tests.acceptance import made_runs
from tests.acceptance.made_runs import write
from tests.acceptance.piloting import app_of, misses, opened, sees, simple, store, text, until


def runs_screen(pilot: Pilot[None]) -> RunsScreen:
    """The screen with the list."""
    screen = pilot.app.screen
    assert isinstance(screen, RunsScreen)
    return screen


def rows(pilot: Pilot[None]) -> list[str]:
    """The ids of the listed runs, from the top."""
    return [entry.run.id for entry in runs_screen(pilot).known.list.entries]


async def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    """Without a store the page says what to press, and looking makes no file."""
    async with opened(tmp_path / "none.db") as pilot:
        await sees(pilot, "No runs yet.", "see one in 20 seconds", "start your own", "no runs yet", "Model: none configured")
        assert list(tmp_path.iterdir()) == []


async def test_every_key_on_the_empty_page_works(tmp_path: Path) -> None:
    """The keys the page and the footer name are bound; those that need a run are not shown."""
    async with opened(tmp_path / "none.db") as pilot:
        await sees(pilot, "No runs yet.", "d demo", "n new", "i init here", "q quit", "? help")
        shown = {active.binding.key for active in pilot.app.screen.active_bindings.values() if active.enabled}
        assert {"d", "n", "i", "q", "question_mark"} <= shown
        assert not {"R", "slash", "s"} & shown
        assert "resume" not in text(pilot)


async def test_the_empty_page_gives_way_to_the_first_run(tmp_path: Path) -> None:
    """When another process makes the store, its run appears by itself."""
    async with opened(tmp_path / "runs.db") as pilot:
        await sees(pilot, "No runs yet.")
        await store(tmp_path / "runs.db", simple(1))
        await sees(pilot, "0001", "audit", "1 run · newest first")
        await misses(pilot, "No runs yet.")


async def test_the_list_says_what_each_run_is_about(tmp_path: Path) -> None:
    """Newest first, with status, steps, reason, and what helps."""
    failed, doubtful = made_runs.research("failed"), made_runs.in_doubt(base=made_runs.BASE + 10)
    path = await store(tmp_path / "runs.db", failed, doubtful, simple(0x9999, ended=False))
    async with opened(path) as pilot:
        await sees(pilot, "interrupted · R resumes", "waits for you", "1 step failed", "1 waits for you", "3 runs · newest first")
        assert rows(pilot) == ["9999cafe", "7d0b11aa", "7f3a19c2"]


async def test_the_peek_is_there_from_34_rows(tmp_path: Path) -> None:
    """At 40 rows the selected run's steps and last events fill the bottom; at 24 rows the list has them."""
    path = await store(tmp_path / "runs.db", made_runs.research("completed"))
    async with opened(path) as pilot:
        await sees(pilot, "started", "✓ plan", "✓ report", "run.completed", "model calls", "events")
        await pilot.resize_terminal(80, 24)
        await misses(pilot, "run.completed")
        await sees(pilot, "company_research", "9/9")


async def test_the_peek_follows_the_cursor(tmp_path: Path) -> None:
    """Another row, another run in the peek."""
    path = await store(tmp_path / "runs.db", made_runs.research("completed"), simple(0x9999))
    async with opened(path) as pilot:
        await sees(pilot, "scan")
        await pilot.press("j")
        await sees(pilot, "translate")
        await pilot.press("k")
        await misses(pilot, "translate")


async def test_another_process_writes(tmp_path: Path) -> None:
    """What any other process records shows without a key being pressed."""
    path = tmp_path / "runs.db"
    async with await Log.open(path) as log:
        lease = await write(log, simple(1, ended=False), alive=True)
        async with opened(path) as pilot:
            await sees(pilot, "1 live", "0/1")
            await lease.commit([Recorded(lease.head + 1, made_runs.BASE + 5, LogWritten("hello from afar"), "scan", 1)])
            await sees(pilot, "hello from afar")
            await lease.release()


async def test_the_cursor_stays_on_its_run(tmp_path: Path) -> None:
    """A new run above does not move the selection to another run."""
    path = await store(tmp_path / "runs.db", *(simple(number) for number in range(1, 6)))
    async with opened(path) as pilot:
        await sees(pilot, "5 runs")
        await pilot.press("j", "j")
        screen = runs_screen(pilot)
        assert screen.chosen is not None
        chosen = screen.chosen.run.id
        await store(path, simple(9))
        await sees(pilot, "6 runs")
        assert screen.chosen.run.id == chosen == "0003cafe"


async def test_filter_by_words(tmp_path: Path) -> None:
    """`/` narrows while one types, enter keeps it, esc shows all again."""
    path = await store(tmp_path / "runs.db", simple(1), simple(2, name="report"), simple(3))
    async with opened(path) as pilot:
        await sees(pilot, "3 runs")
        await pilot.press("slash", *"rep")
        await until(pilot, lambda: rows(pilot) == ["0002cafe"])
        await pilot.press("enter")
        await sees(pilot, "/ rep", "1 run ·", "esc all runs")
        await pilot.press("escape")
        await until(pilot, lambda: len(rows(pilot)) == 3)


async def test_filter_by_status_and_pipeline(tmp_path: Path) -> None:
    """`s` and `p` go through what there is; a filter that leaves nothing says so and can be left."""
    path = await store(tmp_path / "runs.db", simple(1), simple(2, name="report"), simple(3, ended=False))
    async with opened(path) as pilot:
        await sees(pilot, "3 runs")
        await pilot.press("p")
        await sees(pilot, "pipeline audit", "2 runs")
        await pilot.press("p")
        await sees(pilot, "pipeline report", "1 run ·")
        await pilot.press("p", "s")
        await sees(pilot, "status running", "0 runs")
        await pilot.press("s", "s", "s")
        await sees(pilot, "status interrupted", "1 run ·")
        await pilot.press("escape")
        await sees(pilot, "status any", "3 runs")


async def test_a_filter_reads_on_until_it_finds(tmp_path: Path) -> None:
    """A run that is pages away is found by its words, without loading it by hand."""
    path = await store(tmp_path / "runs.db", simple(0, name="needle"), *(simple(number) for number in range(1, 2 * PAGE + 20)))
    async with opened(path) as pilot:
        await sees(pilot, f"{PAGE}+ runs")
        await pilot.press("slash", *"needle")
        await until(pilot, lambda: rows(pilot) == ["0000cafe"])


async def test_pages_are_read_when_one_comes_near(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long list is read in pages, at most one a request, as the reader scrolls; the end is where it ends."""
    total = 2 * PAGE + 30
    path = await store(tmp_path / "runs.db", *(simple(number) for number in range(1, total + 1)))
    asked: list[int] = []
    ask = Log.runs

    async def counted(self: Log, **wanted: Any) -> Any:
        asked.append(wanted["limit"])
        return await ask(self, **wanted)

    monkeypatch.setattr(Log, "runs", counted)
    async with opened(path) as pilot:
        await until(pilot, lambda: len(rows(pilot)) == PAGE)
        await pilot.press("G")
        await until(pilot, lambda: len(rows(pilot)) == 2 * PAGE)
        await pilot.press("G")
        await until(pilot, lambda: len(rows(pilot)) == total)
        await pilot.press("G")
        screen = runs_screen(pilot)
        assert screen.chosen is not None
        assert screen.chosen.run.id == "0001cafe"
        assert set(asked) == {PAGE}


async def test_nothing_is_done_while_nothing_changes(tmp_path: Path) -> None:
    """Looks that find nothing new read no runs and paint no rows."""
    path = await store(tmp_path / "runs.db", *(simple(number) for number in range(1, 40)))
    async with opened(path) as pilot:
        await sees(pilot, "39 runs")
        feed, view = app_of(pilot).feed, pilot.app.screen.query_one(LineView)
        news: list[int] = []

        def settled() -> bool:
            news.append(feed.updates)
            return len(news) > 20 and len(set(news[-20:])) == 1

        await until(pilot, settled)
        looks, updates, painted = feed.looks, feed.updates, view.painted_rows
        await until(pilot, lambda: feed.looks > looks + 5)
        assert feed.updates == updates
        assert view.painted_rows - painted <= 2 * view.size.height


async def test_moving_the_cursor_paints_two_rows(tmp_path: Path) -> None:
    """A step of the cursor inside the window lays out the row it left and the one it came to."""
    path = await store(tmp_path / "runs.db", *(simple(number) for number in range(1, 40)))
    async with opened(path, (80, 24)) as pilot:
        await sees(pilot, "39 runs")
        view = pilot.app.screen.query_one(LineView)
        await pilot.pause()
        before = view.painted_rows
        view.action_move(1)
        await pilot.pause()
        assert view.painted_rows - before <= 4


@pytest.mark.parametrize("size", [(120, 40), (100, 34), (80, 24), (60, 16), (40, 12), (20, 6), (5, 3), (1, 1)])
async def test_hostile_runs_at_every_size(tmp_path: Path, size: tuple[int, int]) -> None:
    """A run whose every text is hostile shows at any size without a control character reaching the screen."""
    path = await store(tmp_path / "runs.db", made_runs.hostile(), made_runs.research("live", base=made_runs.BASE + 5))
    async with opened(path, size) as pilot:
        await until(pilot, lambda: len(rows(pilot)) == 2)
        await pilot.press("j", "k", "slash", "x", "escape", "question_mark", "escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
        shown = text(pilot)
        assert not [char for char in shown if ord(char) < 32 and char != "\n"]
        assert not {"\u202e", "\u200b", "\ufeff", "\x9b"} & set(shown)


async def test_resize_storm(tmp_path: Path) -> None:
    """Any sequence of sizes, 1x1 among them, leaves a working screen."""
    path = await store(tmp_path / "runs.db", made_runs.research("completed"), *(simple(number) for number in range(60)))
    async with opened(path) as pilot:
        for size in [(1, 1), (200, 60), (2, 40), (120, 1), (80, 24), (99, 33), (100, 34), (1, 50), (37, 9), (120, 40)]:
            await pilot.resize_terminal(*size)
            await pilot.press("j")
        await sees(pilot, "61 runs", "newest first")


async def test_mouse(tmp_path: Path) -> None:
    """A click selects a run, the wheel scrolls, a click on a footer entry is its key."""
    path = await store(tmp_path / "runs.db", *(simple(number) for number in range(1, 60)))
    async with opened(path) as pilot:
        await sees(pilot, "59 runs")
        screen = runs_screen(pilot)
        await pilot.click("#list", offset=(10, 3))
        assert screen.view.cursor == 3
        await pilot._post_mouse_events([_wheel()], "#list", offset=(10, 3), button=0)
        await until(pilot, lambda: screen.view.top == 3)
        await pilot.click("#footer", offset=(text(pilot).splitlines()[-1].index("help") + 1, 0))
        await sees(pilot, "ids can be given other keys")


def _wheel() -> Any:
    from textual.events import MouseScrollDown

    return MouseScrollDown


async def test_opening_and_leaving_a_run(tmp_path: Path) -> None:
    """Enter opens the run's own screen, esc comes back to the same row."""
    path = await store(tmp_path / "runs.db", made_runs.research("completed"), simple(0x9999))
    async with opened(path) as pilot:
        await sees(pilot, "2 runs")
        await pilot.press("j", "enter")
        await until(pilot, lambda: not isinstance(pilot.app.screen, RunsScreen))
        await sees(pilot, "company_research", "translate")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
        assert runs_screen(pilot).view.cursor == 1


async def test_a_run_is_opened_at_once_where_asked(tmp_path: Path) -> None:
    """The command line may name a run: its screen comes first, the list lies under it."""
    made = made_runs.research("completed")
    path = await store(tmp_path / "runs.db", made)
    async with opened(path, run_id=RunId(made.run)) as pilot:
        await sees(pilot, "company_research", "translate")
        assert not isinstance(pilot.app.screen, RunsScreen)
        await pilot.press("escape")
        await sees(pilot, "1 run · newest first")

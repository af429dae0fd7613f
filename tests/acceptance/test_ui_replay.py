"""Replay on real stores: what is shown of the past, every way to move in it, and that moving does not queue up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot

from store.events import CheckpointMade, LogWritten, Recorded, RunId
from store.log import Log
from store.projector import project
from tagent_tui.past import Moment, Past
from tagent_tui.places import next_of, previous_of
from tagent_tui.screens.run import RunScreen
from tagent_tui.view.describe import FAILURE_TYPES, STEP_TYPES
from tagent_tui.widgets.timeline import TimelineView
from tests.acceptance.made_runs import BASE, Made, hostile, many_steps, research, write, write_long
from tests.acceptance.piloting import misses, opened, sees, text, until


@asynccontextmanager
async def replayed(
    tmp_path: Path, made: Made, at: int | None, size: tuple[int, int] = (120, 40)
) -> AsyncIterator[tuple[Pilot[None], RunScreen]]:
    """A made run that nobody drives any more, opened at an event."""
    path = tmp_path / "runs.db"
    async with await Log.open(path) as log:
        lease = await write(log, made)
        await lease.release()
    async with opened(path, size) as pilot:
        screen = RunScreen(made.run, at)
        await pilot.app.push_screen(screen)
        await until(pilot, lambda: screen.looks > 0 and (at is None or screen.moment is not None))
        yield pilot, screen


def at(screen: RunScreen) -> int:
    """Where the replay stands."""
    return screen.moment.version if screen.moment is not None else 0


async def stands(pilot: Pilot[None], screen: RunScreen, version: int) -> None:
    """Wait until the replay stands at an event."""
    await until(pilot, lambda: at(screen) == version)


async def test_the_past_says_that_it_is_the_past(tmp_path: Path) -> None:
    """Chip, event number, that nothing runs, how the run ended, the tree of then, the event with what it changed, the timeline."""
    async with replayed(tmp_path, research("completed"), 48) as (pilot, screen):
        await sees(pilot, "REPLAY  company_research", "as of event 48  nothing runs, nothing is paid", "run ended ✓ in 1m 57s")
        await sees(pilot, "pages  ● → ✗  HTTP 429", "1 Steps", "as of 48")
        await sees(pilot, "2 Event", "step.failed   version 48   seq 48   fact")
        await sees(pilot, "What it changed   decided with it: 49 step.retry_scheduled")
        await sees(pilot, "● running    → ✗ failed", "3 Events around 48", "49  step.retry_scheduled")
        await sees(pilot, "event 48 of 93", "59 s into 1m 57s", "✗ 6 failures", "one by one")
        assert screen.has_class("-replay")
        assert not screen._spinning


async def test_every_event_shows_the_fold_up_to_it(tmp_path: Path) -> None:
    """One event at a time on to the end, and back in held strides, what is shown is the fold of the events so far."""
    made = research("failed")
    folds = [project(made.events[:version]) for version in range(1, len(made.events) + 1)]
    async with replayed(tmp_path, made, 1) as (pilot, screen):
        for version in range(2, len(made.events) + 1):
            await pilot.press("full_stop")
            await stands(pilot, screen, version)
            assert screen.moment is not None
            assert screen.moment.state == folds[version - 1]
        await pilot.press("full_stop")
        for version in range(len(made.events) - 9, 0, -9):
            await pilot.press(*["comma"] * 9)
            await stands(pilot, screen, version)
            assert screen.moment.state == folds[version - 1]


async def test_steps_failures_and_ends_are_reached_by_key(tmp_path: Path) -> None:
    """`>` and `<` stop where a step changed, `]` and `[` at failures, `home` and `end` at the ends."""
    made = research("completed")
    boundaries = [one.version for one in made.events if one.event.type in STEP_TYPES]
    failures = [one.version for one in made.events if one.event.type in FAILURE_TYPES]
    async with replayed(tmp_path, made, 1) as (pilot, screen):
        for version in boundaries[:4]:
            await pilot.press("greater_than_sign")
            await stands(pilot, screen, version)
        await pilot.press("less_than_sign")
        await stands(pilot, screen, boundaries[2])
        for version in failures[:2]:
            await pilot.press("right_square_bracket")
            await stands(pilot, screen, max(version, at(screen)))
        await pilot.press("home")
        await stands(pilot, screen, 1)
        await pilot.press("left_square_bracket")
        await sees(pilot, "No failure before this event.")
        await pilot.press("end")
        await stands(pilot, screen, len(made.events))
        await pilot.press("left_square_bracket")
        await stands(pilot, screen, failures[-1])


@pytest.mark.parametrize(("typed", "version"), [("60", 60), ("+5", 45), ("-5", 35), ("end", 93), ("999,999", 93), ("23:59", 93)])
async def test_going_to_an_event_or_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, version: int) -> None:
    """`:` takes an event, a distance, the end, or a time of day."""
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    made = research("completed")
    async with replayed(tmp_path, made, 40) as (pilot, screen):
        await pilot.press("colon", *typed, "enter")
        await stands(pilot, screen, version)


async def test_going_to_a_time_stands_at_the_last_event_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A time with a fraction is exact: what happened after it has not happened."""
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    made = research("completed")
    wanted = max(one.version for one in made.events if one.at <= BASE + 20.5)
    async with replayed(tmp_path, made, 40) as (pilot, screen):
        await pilot.press("colon", *"10:09:27.5", "enter")
        await stands(pilot, screen, wanted)


async def test_going_nowhere_is_said(tmp_path: Path) -> None:
    """What is neither event nor time is one sentence, and the playhead stays."""
    async with replayed(tmp_path, research("completed"), 40) as (pilot, screen):
        await pilot.press("colon", *"soon", "enter")
        await sees(pilot, "no checkpoint 'soon'", "+90s, or end.")
        assert at(screen) == 40


async def test_going_to_a_checkpoint_or_a_boundary(tmp_path: Path) -> None:
    """`:` offers the checkpoints, newest first, and takes a name or a step's boundary; the rail and its legend mark them."""
    made = research("completed")
    made.add(CheckpointMade("draft"), after=1.0)
    made.add(LogWritten("later"), after=1.0)
    made.add(CheckpointMade("tidy state"), after=1.0)
    search = next(one.version for one in made.events if one.step == "search" and one.event.type == "step.completed")
    async with replayed(tmp_path, made, 40) as (pilot, screen):
        await sees(pilot, "⚑ 2 checkpoints")
        await pilot.press("colon")
        await sees(pilot, "tidy state, draft, an event, +10, -3")
        await pilot.press(*"draft", "enter")
        await stands(pilot, screen, len(made.events) - 2)
        await sees(pilot, "checkpoint.made", "▌⚑▌")
        await pilot.press("colon", *"search:end", "enter")
        await stands(pilot, screen, search)


async def test_leaving_the_past(tmp_path: Path) -> None:
    """`esc` leads back to the run as it is, then to the runs; `r` goes in again."""
    async with replayed(tmp_path, research("completed"), 40) as (pilot, screen):
        await pilot.press("escape")
        await sees(pilot, "COMPLETED  company_research", "9/9", "3 Log")
        assert screen.moment is None
        assert not screen.has_class("-replay")
        await pilot.press("r")
        await stands(pilot, screen, 93)
        await sees(pilot, "REPLAY", "the last event")


async def test_replay_starts_at_the_line_of_the_log(tmp_path: Path) -> None:
    """With the keys in the log, `r` goes to the line the cursor is on."""
    async with replayed(tmp_path, research("completed"), None) as (pilot, screen):
        await pilot.press("3", "g", "j", "j", "r")
        await stands(pilot, screen, 3)


async def test_the_log_is_a_way_to_move(tmp_path: Path) -> None:
    """In a replay the cursor of the log is the playhead."""
    async with replayed(tmp_path, research("completed"), 40) as (pilot, screen):
        await pilot.press("3", "j")
        await stands(pilot, screen, 41)
        await pilot.press("k", "k")
        await stands(pilot, screen, 39)
        await sees(pilot, "3 Events around 39")


async def test_a_click_on_the_timeline_goes_there(tmp_path: Path) -> None:
    """A click on the density or the rail moves the playhead to that time."""
    async with replayed(tmp_path, research("completed"), 40) as (pilot, screen):
        await sees(pilot, "of 93")
        await pilot.click(TimelineView, offset=(118, 2))
        await stands(pilot, screen, 93)
        await pilot.click(TimelineView, offset=(1, 1))
        await until(pilot, lambda: at(screen) <= 3)


async def test_what_is_to_come_says_where(tmp_path: Path) -> None:
    """A step that misses nothing says at which event it starts; the future of the log is there, and muted."""
    made = many_steps(30, settled=0.6)
    async with replayed(tmp_path, made, 4) as (pilot, _):
        await sees(pilot, "◦ item_00003  starts at event 11")


async def test_an_unfolded_step_shows_only_its_past(tmp_path: Path) -> None:
    """Effects of an unfolded step appear one by one as the playhead passes them."""
    made = research("completed")
    first = next(one.version for one in made.events if one.step == "search" and one.event.type == "effect.requested")
    async with replayed(tmp_path, made, first + 1) as (pilot, screen):
        screen.step_tree.post_message(screen.step_tree.Unfold("search"))
        await sees(pilot, "✓ web_search 1")
        await misses(pilot, "web_search 2  ")
        before = screen.step_tree.lines.count()
        await pilot.press("full_stop")
        await until(pilot, lambda: screen.step_tree.lines.count() == before + 1)
        await sees(pilot, "● web_search 2")
        await pilot.press("escape")
        await until(pilot, lambda: screen.step_tree.lines.count() == before + 7)


async def test_outputs_are_those_of_then(tmp_path: Path) -> None:
    """The output tab of a step that had none yet says how it stood."""
    made = research("completed")
    async with replayed(tmp_path, made, 40) as (pilot, _):
        await pilot.press("2", "l")
        await pilot.press("1", "G")
        await sees(pilot, "needs  · score")
        await pilot.press("end")
        await sees(pilot, "# Acme Robotics")


async def test_a_narrow_replay_says_the_event(tmp_path: Path) -> None:
    """At 80x24 the timeline says the event in words, and the tab row how many rows changed."""
    async with replayed(tmp_path, research("completed"), 48, (80, 24)) as (pilot, screen):
        await sees(pilot, "as of event 48 · esc leave", "1 row changed", "event 48 of 93")
        await sees(pilot, "step.failed  pages  HTTP 429 Too Many Requests")
        await pilot.press("2")
        await sees(pilot, "Event   Output   Error", "What it changed")
        await pilot.press("4")
        await sees(pilot, "│0 s", "event 48 of 93")
        assert at(screen) == 48


async def test_metrics_of_the_past_end_there(tmp_path: Path) -> None:
    """The waterfall of a replay ends at the playhead."""
    async with replayed(tmp_path, research("completed"), 20) as (pilot, _):
        await pilot.press("4")
        await sees(pilot, "4 Waterfall", "· pages", "needs search")


async def test_hostile_runs_can_be_replayed(tmp_path: Path) -> None:
    """Every event of a run made of hostile texts can be stood at, and nothing is obeyed."""
    made = hostile()
    async with replayed(tmp_path, made, 1) as (pilot, screen):
        for version in range(1, len(made.events) + 1, 3):
            screen.past.go(version)  # type: ignore[union-attr]
            await stands(pilot, screen, version)
            assert not {"\x1b", "\x07", "\x00", "\r", "\t", "\u202e", "\u200b"} & set(text(pilot))


async def test_a_run_that_goes_on_does_not_disturb_its_replay(tmp_path: Path) -> None:
    """New events of a run that is replayed move the end, not the playhead."""
    path = tmp_path / "runs.db"
    made = research()
    async with await Log.open(path) as log:
        lease = await write(log, made, alive=True)
        async with opened(path, now=made.at) as pilot:
            screen = RunScreen(made.run, 30)
            await pilot.app.push_screen(screen)
            await stands(pilot, screen, 30)
            lease.append([Recorded(lease.head + 1, made.at, LogWritten("later"), "pages", 2)])
            await lease.flush()
            await until(pilot, lambda: screen.past is not None and screen.past.head == 80)
            assert at(screen) == 30
            await pilot.press("end")
            await stands(pilot, screen, 80)
        await lease.release()


async def test_held_keys_do_not_queue_up(tmp_path: Path) -> None:
    """Five hundred wishes made at once are a few seeks, and the last wish is where it ends."""
    path = tmp_path / "runs.db"
    async with await Log.open(path) as log:
        await write_long(log, 20_000)
        reached: list[int] = []

        async def show(moment: Moment) -> None:
            reached.append(moment.version)

        past = Past(log, RunId("1000000f"), 20_000, show, lambda why: None)
        moving = asyncio.create_task(past.keep_up())
        past.go(10_000)
        for _ in range(500):
            past.go(past.target + 1)
            await asyncio.sleep(0)
        async with asyncio.timeout(15):
            while not reached or reached[-1] != 10_500:
                await asyncio.sleep(0.01)
        moving.cancel()
        assert past.seeks <= 10
        assert past.moment is not None
        assert past.moment.around[10_500].version == 10_500


async def test_a_wish_outside_the_run_is_kept_inside(tmp_path: Path) -> None:
    """Before the first event and after the last there is nothing to stand at."""
    path = tmp_path / "runs.db"
    async with await Log.open(path) as log:
        lease = await write(log, research())

        async def show(moment: Moment) -> None:
            del moment

        past = Past(log, lease.run, lease.head, show, lambda why: None)
        past.go(-5)
        assert past.target == 1
        past.go(10**9)
        assert past.target == lease.head
        past.grow(lease.head + 4)
        past.go(10**9)
        assert past.target == lease.head + 4


async def test_places_are_found_in_both_directions(tmp_path: Path) -> None:
    """The next and the previous event of a type are found far away, and nothing where there is none."""
    path = tmp_path / "runs.db"
    async with await Log.open(path) as log:
        lease = await write_long(log, 9_000)
        assert await previous_of(log, lease.run, {"step.started"}, 9_000) == 3
        assert await previous_of(log, lease.run, {"step.started"}, 3) is None
        assert await next_of(log, lease.run, {"step.started"}, 2) == 3
        assert await next_of(log, lease.run, FAILURE_TYPES, 2) is None
        await lease.release()

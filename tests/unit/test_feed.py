"""The feed looks at the log in turns and tells its listener only what is new."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from store.errors import StoreBusyError, StoreDamagedError, StoreForeignError
from store.events import LogWritten, Recorded, RunId, Version
from store.log import Log
from store.state import RunState
from tagent_tui.feed import QUIET, QUIET_AFTER, RETRY, Feed, Pace, Rates, RunFollower


class ScriptedLog:
    """A log whose answers are set by the test."""

    def __init__(self) -> None:
        self.answers: list[bool | Exception] = []
        self.closed = False
        self.asked = 0
        self.recorded: list[Recorded] = []

    async def changed(self) -> bool:
        """The next answer of the script; False when there is none left."""
        self.asked += 1
        answer = self.answers.pop(0) if self.answers else False
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        """Remembered."""
        self.closed = True

    async def state(self, run: RunId) -> RunState:
        """An empty state."""
        return RunState()

    async def events(self, run: RunId, *, after: int, limit: int) -> Sequence[Recorded]:
        """The recorded ones after a version."""
        return [one for one in self.recorded if one.version > after][:limit]


class Clock:
    """Time that moves when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def make(path: Path, clock: Clock, *logs: ScriptedLog | Exception) -> Feed:
    """A feed that opens these, in turn."""
    waiting = list(logs)

    async def opener(_: Path) -> Log:
        found = waiting.pop(0)
        if isinstance(found, Exception):
            raise found
        return cast("Log", found)

    return Feed(path, clock=clock, opener=opener)


async def test_nothing_new_is_nothing_said(tmp_path: Path) -> None:
    """After the first look only a changed log is news, and a clean look asks the log once and nothing else."""
    path = tmp_path / "runs.db"
    path.touch()
    log = ScriptedLog()
    feed = make(path, Clock(), log)
    assert await feed.look()
    log.answers = [False, True, False]
    assert [await feed.look() for _ in range(3)] == [False, True, False]
    assert log.asked == 3


async def test_a_store_that_is_not_there_yet(tmp_path: Path) -> None:
    """Without a file there is no log and no trouble; when the file appears it is opened within a second."""
    path, clock, log = tmp_path / "runs.db", Clock(), ScriptedLog()
    feed = make(path, clock, log)
    assert await feed.look()
    assert feed.log is None
    assert feed.trouble == ""
    path.touch()
    assert not await feed.look()
    clock.now += RETRY
    assert await feed.look()
    assert feed.log is cast("Log", log)


async def test_a_store_that_cannot_be_used_is_said_once_and_tried_again(tmp_path: Path) -> None:
    """Trouble is a sentence and news once; when it is over the store opens by itself."""
    path, clock = tmp_path / "runs.db", Clock()
    path.touch()
    feed = make(path, clock, StoreForeignError("not ours"), StoreForeignError("not ours"), ScriptedLog())
    assert await feed.look()
    assert feed.trouble == "not ours"
    clock.now += RETRY
    assert not await feed.look()
    clock.now += RETRY
    assert await feed.look()
    assert feed.trouble == ""
    assert feed.log is not None


async def test_a_store_that_fails_while_open_is_closed_and_opened_again(tmp_path: Path) -> None:
    """An error while looking closes the log and is said; the next try opens it again."""
    path, clock, first, second = tmp_path / "runs.db", Clock(), ScriptedLog(), ScriptedLog()
    path.touch()
    feed = make(path, clock, first, second)
    await feed.look()
    first.answers = [StoreDamagedError("page 7 is damaged")]
    assert await feed.look()
    assert first.closed
    assert feed.trouble == "page 7 is damaged"
    clock.now += RETRY
    assert await feed.look()
    assert feed.log is cast("Log", second)


async def test_a_file_that_was_replaced_is_opened_anew(tmp_path: Path) -> None:
    """When another file stands at the path, the log of the old one is closed."""
    path, clock, first, second = tmp_path / "runs.db", Clock(), ScriptedLog(), ScriptedLog()
    path.touch()
    feed = make(path, clock, first, second)
    await feed.look()
    (tmp_path / "other").touch()
    (tmp_path / "other").rename(path)
    clock.now += RETRY
    assert await feed.look()
    assert first.closed
    assert feed.log is cast("Log", second)


async def test_a_poke_is_news(tmp_path: Path) -> None:
    """A poked feed tells its listener at the next look, changed or not."""
    path = tmp_path / "runs.db"
    path.touch()
    feed = make(path, Clock(), ScriptedLog())
    await feed.look()
    feed.poke()
    assert await feed.look()
    assert not await feed.look()


async def test_run_tells_and_ends(tmp_path: Path) -> None:
    """The loop tells its listener of news, looks again only after it returned, and ends when closed, closing the store."""
    path, log = tmp_path / "runs.db", ScriptedLog()
    path.touch()
    log.answers = [True] * 5
    feed = make(path, Clock(), log)
    feed.set_pace(Pace.SCRUBBING)
    told: list[int] = []
    enough = asyncio.Event()

    async def listener() -> None:
        told.append(feed.looks)
        await asyncio.sleep(0)
        if len(told) == 3:
            enough.set()

    feed.listen(listener)
    running = asyncio.create_task(feed.run())
    async with asyncio.timeout(10):
        await enough.wait()
        await feed.close()
        await running
    assert told == [1, 2, 3]
    assert log.closed


async def test_who_closes_while_that_is_under_way_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app's end cancels the looking, which closes the store; the process ends only once that is done, cancelled or not."""
    async with await Log.open(tmp_path / "runs.db"):
        pass
    feed, begun, closed = Feed(tmp_path / "runs.db"), asyncio.Event(), []
    close = Log.close

    async def slow(self: Log) -> None:
        begun.set()
        await asyncio.sleep(0.05)
        await close(self)
        closed.append(True)

    monkeypatch.setattr(Log, "close", slow)
    looking = asyncio.create_task(feed.run())
    while feed.log is None:
        await asyncio.sleep(0.01)
    looking.cancel()
    await begun.wait()
    looking.cancel()
    await feed.close()
    assert closed == [True]


async def test_an_error_while_opening_does_not_end_the_loop(tmp_path: Path) -> None:
    """A busy store is trouble, not the end: the loop goes on and a poke tries it at once."""
    path = tmp_path / "runs.db"
    path.touch()
    feed = make(path, Clock(), StoreBusyError("locked"), ScriptedLog())
    opened = asyncio.Event()

    async def listener() -> None:
        if feed.log is not None:
            opened.set()
        else:
            feed.poke()

    feed.listen(listener)
    running = asyncio.create_task(feed.run())
    async with asyncio.timeout(10):
        await opened.wait()
        await feed.close()
        await running


async def test_a_follower_folds_what_is_new() -> None:
    """The first pull folds what is there; later ones return the new events and have folded them."""
    log = ScriptedLog()
    follower = RunFollower(cast("Log", log), RunId("r"))
    assert not await follower.pull()
    log.recorded = [Recorded(Version(number), 5.0, LogWritten("x"), None, 1, None, "driver") for number in (1, 2, 3)]
    assert [one.version for one in await follower.pull(limit=2)] == [1, 2]
    assert [one.version for one in await follower.pull(limit=2)] == [3]
    assert follower.state is not None
    assert (follower.state.version, follower.state.logs) == (3, 3)


def test_rates_count_events_a_second() -> None:
    """Heads seen become counts of whole seconds; the running second and what was before the first sight are left out."""
    rates = Rates()
    for now, head in ((10.0, 500), (10.5, 503), (11.2, 510), (13.9, 511), (14.1, 600)):
        rates.seen("r", head, now)
    assert rates.series("r", 14.5, 5) == [0, 3, 7, 0, 1]
    assert rates.rate("r", 14.5, over=4) == 11 / 4
    assert rates.series("other", 14.5, 3) == [0, 0, 0]


def test_rates_keep_a_minute_and_forget_runs() -> None:
    """Counts older than the window and runs that are gone take no room."""
    rates = Rates(seconds=10)
    for second in range(100):
        rates.seen("r", second * 2, float(second))
    assert sum(rates.series("r", 100.0, 60)) == 20
    rates.forget(keep=[])
    assert rates.known == []


async def test_a_quiet_log_is_looked_at_less_often(tmp_path: Path) -> None:
    """While something happens the pace is ten looks a second; after five seconds of nothing it is four, unfocused it stays one."""
    clock = Clock()
    feed = make(tmp_path / "none.db", clock)
    assert feed.rest == Pace.LIVE.value
    clock.now += QUIET_AFTER + 0.1
    assert feed.rest == QUIET
    feed.set_pace(Pace.UNFOCUSED)
    assert feed.rest == Pace.UNFOCUSED.value

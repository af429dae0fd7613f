"""Places under a limit: never more than there are, in order, and none lost with whoever held it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from store import Driver, Log
from store.limits import Slots
from tests.stores import ME, until

GONE = Driver(2**22 + 1, 1.0, ME.host)


@pytest.fixture(params=["memory", "file"])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Log]:
    """A store in memory, or one in a file."""
    async with await Log.open(":memory:" if request.param == "memory" else tmp_path / "runs.db") as opened:
        yield opened


class Clock:
    """A time that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Holder:
    """A task that holds a place until it is let go."""

    def __init__(self, slots: Slots, *, concurrent: int | None = None, per_minute: int | None = None) -> None:
        self.slots, self.limit = slots, (concurrent, per_minute)
        self.waits = self.holds = False
        self.done = asyncio.Event()
        self.task = asyncio.create_task(self._hold())

    async def _hold(self) -> None:
        async with self.slots.held("m", *self.limit, self._wait):
            self.holds = True
            await self.done.wait()
        self.holds = False

    def _wait(self) -> None:
        self.waits = True

    async def end(self) -> None:
        """Give it back."""
        self.done.set()
        await self.task


async def test_no_more_are_held_at_a_time_than_there_are(log: Log) -> None:
    """The third of two waits and says so, until one of the two is given back; then nothing is left in the table."""
    slots = Slots(log.writer, ME)
    holders = [Holder(slots, concurrent=2) for _ in range(3)]
    await until(lambda: holders[2].waits, "the third waits")
    assert [holder.holds for holder in holders] == [True, True, False]
    await holders[0].end()
    await until(lambda: holders[2].holds, "the third holds a place")
    await asyncio.gather(*(holder.end() for holder in holders))

    async def empty() -> bool:
        return await log.reader.all("SELECT 1 FROM slots") == []

    await until(empty, "all were given back")


async def test_who_asked_first_is_served_first(log: Log) -> None:
    """Places are given in the order in which they were first asked for."""
    slots = Slots(log.writer, ME)
    first = Holder(slots, concurrent=1)
    await until(lambda: first.holds, "the first holds")
    waiting = []
    for _ in range(5):
        waiting.append(Holder(slots, concurrent=1))
        await until(lambda: waiting[-1].waits, "it waits")
    await first.end()
    for number, holder in enumerate(waiting):
        await until(lambda holder=holder: holder.holds, "its turn")  # type: ignore[misc]
        assert not any(later.holds for later in waiting[number + 1 :])
        await holder.end()


async def test_a_minute_holds_only_so_many(log: Log) -> None:
    """Of four a minute the fifth waits although all were given back, until the first is 60 seconds old."""
    clock = Clock()
    slots = Slots(log.writer, ME, clock)
    for _ in range(4):
        holder = Holder(slots, per_minute=4)
        await until(lambda holder=holder: holder.holds, "it holds")  # type: ignore[misc]
        await holder.end()
        clock.now += 10
    fifth = Holder(slots, per_minute=4)
    await until(lambda: fifth.waits, "it waits")
    clock.now = 1059.9
    other = Holder(slots, per_minute=4)
    await until(lambda: other.waits, "another look was taken")
    assert not fifth.holds
    clock.now = 1060.1
    await until(lambda: fifth.holds, "the first is older than a minute")
    assert not other.holds
    clock.now = 1070.1
    await until(lambda: other.holds, "the second is older than a minute")
    await asyncio.gather(fifth.end(), other.end())


async def test_a_clock_that_was_set_back_stops_nobody(log: Log) -> None:
    """What was taken in the future of a clock that was corrected does not count, and does not stay."""
    clock = Clock()
    slots = Slots(log.writer, ME, clock)
    for _ in range(2):
        await Holder(slots, per_minute=2).end()
    clock.now -= 3600
    late = Holder(slots, per_minute=2)
    await until(lambda: late.holds, "it holds at once")
    assert not late.waits
    await late.end()


async def test_who_is_cancelled_gives_its_place_back(log: Log) -> None:
    """A holder and a waiting caller that are cancelled leave nothing behind, whatever they were about to be given."""
    slots = Slots(log.writer, ME)
    for turns in range(6):
        holder, waiting = Holder(slots, concurrent=1), Holder(slots, concurrent=1)
        for _ in range(turns):
            await asyncio.sleep(0)
        holder.task.cancel()
        waiting.task.cancel()
        await asyncio.gather(holder.task, waiting.task, return_exceptions=True)
    last = Holder(slots, concurrent=1)
    await until(lambda: last.holds, "the place is free")
    await last.end()


async def test_what_a_dead_process_held_is_freed(log: Log) -> None:
    """Places of a process that is gone, held and waited for, go to whoever is kept waiting; what it took counts for its minute."""
    clock = Clock()
    dead = Slots(log.writer, GONE, clock)
    lost = [Holder(dead, concurrent=1, per_minute=2) for _ in range(2)]
    await until(lambda: lost[1].waits, "the second waits")
    slots = Slots(log.writer, ME, clock)
    heirs = [Holder(slots, concurrent=1, per_minute=2) for _ in range(2)]
    await until(lambda: heirs[0].holds, "the place was freed")
    await heirs[0].end()
    await until(lambda: heirs[1].waits, "the minute is full: the dead one took one of two")
    assert not heirs[1].holds
    clock.now += 61
    await heirs[1].end()
    for holder in lost:
        holder.task.cancel()


async def test_another_process_of_the_same_number_is_not_the_holder(log: Log) -> None:
    """A process that took over a dead one's number does not keep its places."""
    before = Slots(log.writer, Driver(os.getpid(), ME.started - 1000, ME.host))
    lost, heir = Holder(before, concurrent=1), Holder(Slots(log.writer, ME), concurrent=1)
    await until(lambda: heir.holds, "the place was freed")
    lost.task.cancel()
    await heir.end()


async def test_waiting_writes_nothing(tmp_path: Path) -> None:
    """Looking again and again for a free place adds nothing to the write-ahead log."""
    async with await Log.open(tmp_path / "runs.db") as log:
        slots = Slots(log.writer, ME)
        holder, waiting = Holder(slots, concurrent=1), Holder(slots, concurrent=1)
        await until(lambda: waiting.waits, "it waits")
        commits, size = log.writer.commits, (tmp_path / "runs.db-wal").stat().st_size
        await until(lambda: log.writer.commits > commits + 3, "it looked three times more")
        assert (tmp_path / "runs.db-wal").stat().st_size == size
        await asyncio.gather(holder.end(), waiting.end())


async def test_a_copy_of_the_store_holds_no_places(tmp_path: Path) -> None:
    """A backup made while places are held has all of them free."""
    async with await Log.open(tmp_path / "runs.db") as log:
        holder = Holder(Slots(log.writer, ME), concurrent=1)
        await until(lambda: holder.holds, "it holds")
        await log.backup(tmp_path / "copy.db")
        async with await Log.open(tmp_path / "copy.db") as copy:
            other = Holder(Slots(copy.writer, ME), concurrent=1)
            await until(lambda: other.holds, "the copy's place is free")
            assert not other.waits
            await other.end()
        await holder.end()

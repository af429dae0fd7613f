"""The writing thread: what shares a commit, what a failure reaches, and that no caller can leave anything open."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

import store.lease
from store import Lease, LeaseLostError, Log, RunId, RunSummary, StoreUnusableError, ValueEncodingError
from store.events import LogWritten, Recorded, StepStarted
from tests.happenings import lines
from tests.stores import ME, lead, until


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    """A new store in a file."""
    async with await Log.open(tmp_path / "runs.db") as opened:
        yield opened


async def test_what_queued_in_one_turn_shares_a_commit(log: Log) -> None:
    """A hundred producers of ten runs that wait at the same time cost a commit or two, not a hundred."""
    leases = [await lead(log, f"run-{number}") for number in range(10)]
    before = log.writer.commits

    async def produce(number: int) -> None:
        lease = leases[number % 10]
        await lease.commit(lines(lease.head + 1, 1))

    await asyncio.gather(*(produce(number) for number in range(100)))
    assert log.writer.commits - before <= 2
    assert [await log.head(RunId(f"run-{number}")) for number in range(10)] == [11] * 10


async def test_a_waiter_joins_the_commit_its_rows_are_in(log: Log) -> None:
    """Who waits for rows that are on their way waits for that commit; no second one is made."""
    lease = await lead(log)
    before = log.writer.commits
    lease.append(lines(2, 1), wake=True)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await lease.flush()
    await asyncio.gather(*(lease.flush() for _ in range(50)))
    assert log.writer.commits - before == 1
    assert await log.head(RunId("run")) == 2


async def test_flushing_nothing_costs_nothing(log: Log) -> None:
    """A flush with nothing queued makes no commit."""
    lease = await lead(log)
    before = log.writer.commits
    for _ in range(100):
        await lease.flush()
    assert log.writer.commits == before


async def test_rows_nobody_waits_for_do_not_wake_the_thread_but_land_soon(log: Log) -> None:
    """Unawaited rows ride with the next commit, or go by themselves within a few tenths of a second, all in one."""
    lease = await lead(log)
    before = log.writer.commits
    started = time.monotonic()
    for _ in range(200):
        lease.append(lines(lease.head + 1, 1))
        await asyncio.sleep(0)
    if time.monotonic() - started < 0.09:
        assert log.writer.commits == before

    async def landed() -> bool:
        return await log.head(RunId("run")) == 201

    await until(landed, "the rows to land by themselves")
    assert log.writer.commits - before <= 1 + (time.monotonic() - started) / 0.1


async def test_woken_rows_are_written_at_once(log: Log) -> None:
    """`wake` writes without a waiter and without the linger: a paid outcome does not wait for company."""
    lease = await lead(log)
    before = log.writer.commits
    lease.append(lines(2, 1), wake=True)
    for _ in range(2):
        await asyncio.sleep(0)
    await until(lambda: log.writer.commits == before + 1, "the commit")
    assert await log.head(RunId("run")) == 2


async def cancel_appends(log: Log, count: int) -> None:
    """Append, wait and be cancelled at another moment each time; then see that nothing is left open."""
    lease = await lead(log)
    appended = 0

    async def append() -> None:
        nonlocal appended
        appended += 1
        await lease.commit(lines(lease.head + 1, 1))

    for number in range(count):
        task = asyncio.create_task(append())
        for _ in range(number % 5):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        if number % 7 == 0:
            sender = asyncio.create_task(log.send(RunId("run"), "pause", b"", actor="a", at=1.0))
            await asyncio.sleep(0)
            sender.cancel()
    await lease.flush()
    with closing(sqlite3.connect(log.path, timeout=0.2, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert other.execute("SELECT count(*), max(version) FROM events").fetchone() == (lease.head, lease.head)
        other.execute("ROLLBACK")
    assert await log.check() == []
    assert lease.head == appended + 1


async def told_where(log: Log, lease: Lease, monkeypatch: pytest.MonkeyPatch, count: int = 1, took: float = 0.0) -> list[bool]:
    """Whether each of some commits of one row was written on the loop's own thread; `took` is how slow they were lately."""
    here: list[bool] = []
    advance = store.lease.advance

    def told(*arguments: Any) -> bool:
        here.append(threading.current_thread() is threading.main_thread())
        return advance(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(store.lease, "advance", told)
        for _ in range(count):
            log.writer._took = took
            await lease.commit(lines(lease.head + 1, 1))
            await asyncio.sleep(0)
    return here


async def test_a_lone_caller_on_a_quick_disk_is_written_for_at_once(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hops to the thread would cost as much as the commit; a slow disk, or much to write, is left to the thread."""
    lease = await lead(log)
    await lease.commit(lines(lease.head + 1, 1))
    assert await told_where(log, lease, monkeypatch, 3) == [True] * 3
    assert await told_where(log, lease, monkeypatch, 3, took=1.0) == [False] * 3
    lease.append(lines(lease.head + 1, 100))
    assert await told_where(log, lease, monkeypatch) == [False]
    assert await log.check() == []


async def test_another_process_that_writes_does_not_hold_up_the_loop(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody else holds the file's lock the commit waits on the thread, and the loop goes on."""
    lease = await lead(log)
    await lease.commit(lines(lease.head + 1, 1))
    with closing(sqlite3.connect(log.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        committing = asyncio.create_task(told_where(log, lease, monkeypatch))
        turns = 0
        for _ in range(20):
            await asyncio.sleep(0.005)
            turns += 1
        assert (turns, committing.done()) == (20, False)
        other.execute("COMMIT")
        assert await committing == [False]
    assert await log.check() == []


async def test_who_comes_second_in_a_turn_shares_a_commit(log: Log) -> None:
    """Many leases that wait in one turn are not written for one by one, however quick the disk is."""
    leases = [await lead(log, f"run-{number}") for number in range(20)]
    for lease in leases:
        await lease.commit(lines(lease.head + 1, 1))
    log.writer._took, before = 0.0, log.writer.commits
    await asyncio.gather(*(lease.commit(lines(lease.head + 1, 1)) for lease in leases))
    assert log.writer.commits - before <= 3


async def test_cancelled_callers_leave_nothing_open(log: Log) -> None:
    """500 callers cancelled at any moment leave no transaction open and no gap; what they queued is kept."""
    await cancel_appends(log, 500)


@pytest.mark.torture
async def test_ten_thousand_cancelled_callers_leave_nothing_open(log: Log) -> None:
    """10,000 cancelled appends leave no transaction open and no gap."""
    await cancel_appends(log, 10_000)


async def test_a_cancelled_creation_leaves_no_lock(log: Log) -> None:
    """A caller cancelled at any moment until its run is created does not keep the run's lock: it can be led afterwards."""
    number, created = 0, False
    while not created:
        number += 1
        task = asyncio.create_task(lead(log, f"run-{number}"))
        await asyncio.sleep((number - 1) * 0.0001)
        created = task.done()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await (await task).release()
    assert await log.send(RunId(f"run-{number}"), "pause", b"", actor="a", at=1.0)
    for row in await log.runs():
        lease = await log.acquire(row.id, driver=ME)
        await lease.release()


async def test_what_cannot_be_written_fails_its_own_run_only(log: Log) -> None:
    """A run's unwritable event fails that run, for good; others in the same commit are kept."""
    good, bad = await lead(log, "good"), await lead(log, "bad")
    bad.append([Recorded(2, float("nan"), StepStarted(), "search", 1)])
    good.append(lines(2, 1))
    sent = asyncio.create_task(log.send(RunId("good"), "pause", b"", actor="a", at=1.0))
    await good.flush()
    assert await sent == 1
    for _ in range(2):
        with pytest.raises(ValueEncodingError, match="run bad cannot be written"):
            await bad.flush()
    bad.append(lines(3, 1))
    with pytest.raises(ValueEncodingError):
        await bad.commit(lines(4, 1))
    assert (await log.head(RunId("good")), await log.head(RunId("bad"))) == (2, 1)


@pytest.mark.parametrize(
    "one",
    [
        Recorded(2, 2.0, LogWritten("x"), "step \ud800", 1),
        Recorded(2, 2.0, LogWritten("x"), "step", 2**70),
        Recorded(2, 2.0, LogWritten(object()), "step", 1),  # type: ignore[arg-type]
        Recorded(2, 2.0, "no event", "step", 1),
    ],
    ids=["surrogate", "attempt", "field", "event"],
)
async def test_an_unwritable_event_is_named(log: Log, one: Recorded) -> None:
    """What no row can hold is one clear error of the run it belongs to, and the thread lives on."""
    lease, other = await lead(log), await lead(log, "other")
    with pytest.raises(ValueEncodingError, match="run run cannot be written"):
        await lease.commit([one])
    await other.commit(lines(2, 1), row=RunSummary("running"))
    assert await log.check() == []


async def test_a_failing_call_leaves_the_others_alone(log: Log) -> None:
    """In one commit, a creation that is refused does not undo the one beside it."""
    await lead(log, "taken")
    one, two, three = await asyncio.gather(lead(log, "new"), lead(log, "taken"), lead(log, "newer"), return_exceptions=True)
    assert [type(found).__name__ for found in (one, two, three)] == ["Lease", "RunConflictError", "Lease"]
    assert {row.id for row in await log.runs()} == {"taken", "new", "newer"}


async def keep_writing(lease: Lease) -> None:
    """Commit for a few seconds (whether the file is still there is looked at twice a second)."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        await lease.commit(lines(lease.head + 1, 1))


async def test_a_store_deleted_while_open_acknowledges_nothing(log: Log) -> None:
    """Once the file is gone, or another stands in its place, writing says so instead of writing into the void."""
    lease = await lead(log)
    Path(log.path).unlink()
    Path(log.path).write_bytes(b"something else")
    with pytest.raises(StoreUnusableError, match="deleted or replaced while in use"):
        await keep_writing(lease)
    assert Path(log.path).read_bytes() == b"something else"


async def test_a_log_file_deleted_while_open_is_noticed(log: Log) -> None:
    """The write-ahead log removed under us is as bad: what goes there would be lost."""
    lease = await lead(log)
    await lease.commit(lines(2, 1))
    Path(f"{log.path}-wal").unlink()
    with pytest.raises(StoreUnusableError, match="-wal was deleted or replaced"):
        await keep_writing(lease)


async def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    """The store, its write-ahead log and its locks are 0600, a folder we make is 0700, whatever the umask."""
    before = os.umask(0)
    try:
        async with await Log.open(tmp_path / "deep" / "runs.db") as log:
            lease = await lead(log)
            await lease.commit(lines(2, 5))
            await log.backup(tmp_path / "deep" / "copy.db")
            modes = {found.name: found.stat().st_mode & 0o777 for found in (tmp_path / "deep").rglob("*")}
            assert (tmp_path / "deep").stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)
    assert modes == {
        "runs.db": 0o600,
        "runs.db-wal": 0o600,
        "runs.db-shm": 0o600,
        "runs.db-leases": 0o700,
        "run.lock": 0o600,
        "copy.db": 0o600,
    }


async def test_the_settings_that_make_commits_durable(log: Log) -> None:
    """WAL, a full flush at every commit, no code from the schema, and readers that cannot write."""

    def ask(connection: sqlite3.Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "trusted_schema", "busy_timeout")
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert await log.writer.call(ask) == ["wal", 2, 0, 30_000]
    assert await log.reader.all("PRAGMA query_only") == [(1,)]
    with pytest.raises(StoreUnusableError):
        await log.reader.all("DELETE FROM inbox")


async def test_recorded_events_never_change(log: Log) -> None:
    """The table refuses updates and deletions; only retention, which says so in the store, may delete."""
    await (await lead(log)).commit(lines(2, 3))
    with closing(sqlite3.connect(log.path, isolation_level=None)) as other:
        with pytest.raises(sqlite3.IntegrityError, match="recorded events never change"):
            other.execute("UPDATE events SET at = 0 WHERE version = 2")
        with pytest.raises(sqlite3.IntegrityError, match="go by retention only"):
            other.execute("DELETE FROM events WHERE version = 2")
        other.execute("BEGIN")
        other.execute("INSERT INTO meta(name, value) VALUES ('retention', 1)")
        assert other.execute("DELETE FROM events WHERE version = 4").rowcount == 1
        other.execute("ROLLBACK")
        assert other.execute("SELECT run_id, version, type FROM log_view WHERE version = 1").fetchall() == [
            ("run", 1, "run.created")
        ]


async def test_a_lost_lease_loses_nothing_of_others(log: Log) -> None:
    """A superseded driver's rows are dropped whole, also beside a good run's in the same commit."""
    stale, good = await lead(log, "stale"), await lead(log, "good")
    await log.writer.call(lambda connection: connection.execute("UPDATE runs SET token = token + 1 WHERE id = 'stale'") and None)
    stale.append([*lines(2, 3)], row=RunSummary("completed"))
    good.append(lines(2, 3))
    await good.flush()
    for _ in range(2):
        with pytest.raises(LeaseLostError, match="taken over by another driver"):
            await stale.flush()
    assert (await log.head(RunId("stale")), await log.head(RunId("good"))) == (1, 4)
    assert (await log.find("stale")).status == "pending"

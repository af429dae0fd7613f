"""One writer a run: in one process, between processes, when they die, stop, fork and come back."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from store import Driver, LeaseLostError, Log, RunConflictError, RunId, RunNotFoundError, RunSummary
from tests.happenings import lines
from tests.integration.store_driver import Process
from tests.stores import ME, branch, lead, until


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "runs.db"


@pytest.fixture
async def log(db: Path) -> AsyncIterator[Log]:
    """A new store in a file."""
    async with await Log.open(db) as opened:
        yield opened


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    """Starts processes that are ended with the test."""
    started: list[Process] = []

    def begin(*arguments: str | Path) -> Process:
        started.append(Process(*arguments))
        return started[-1]

    yield begin
    for process in started:
        process.end()


async def test_two_engines_of_one_process_cannot_drive_one_run(log: Log, db: Path) -> None:
    """A second lease in the same process is refused, over the same log and over another one of the same file."""
    lease = await lead(log)
    with pytest.raises(RunConflictError, match="already driven in this process"):
        await log.acquire(RunId("run"), driver=ME)
    async with await Log.open(db.parent / "." / "runs.db") as again:
        with pytest.raises(RunConflictError):
            await again.acquire(RunId("run"), driver=ME)
        await lease.release()
        await (await again.acquire(RunId("run"), driver=ME)).release()


async def test_memory_stores_do_not_know_each_other(log: Log) -> None:
    """Runs of one name in two memory stores are two runs."""
    async with await Log.open(":memory:") as one, await Log.open(":memory:") as two:
        for store in (one, two):
            lease = await lead(store)
            with pytest.raises(RunConflictError):
                await store.acquire(RunId("run"), driver=ME)
            await lease.commit(lines(2, 1))
        assert [await store.head(RunId("run")) for store in (one, two)] == [2, 2]


async def test_taking_over_raises_the_token(log: Log, db: Path) -> None:
    """Every take-over counts the token up and names the driver; release takes the name and the lock file away."""
    lease = await lead(log)
    assert lease.token == 1
    await lease.release()
    for token in (2, 3):
        assert (await log.find("run")).driver is None
        lease = await log.acquire(RunId("run"), driver=ME)
        assert (lease.token, lease.head, (await log.find("run")).driver) == (token, 1, ME)
        assert [found.name for found in Path(f"{db}-leases").iterdir()] == ["run.lock"]
        await lease.release()
        await lease.release()
    assert not Path(f"{db}-leases").exists()


async def test_an_unknown_run_cannot_be_taken(log: Log, db: Path) -> None:
    """Asking for a run there is not leaves no lock behind."""
    with pytest.raises(RunNotFoundError):
        await log.acquire(RunId("nobody"), driver=ME)
    assert not Path(f"{db}-leases").exists()


async def test_a_released_lease_writes_nothing_more(log: Log) -> None:
    """What is appended after release is not kept, and a flush says why."""
    lease = await lead(log)
    await lease.release()
    with pytest.raises(LeaseLostError, match="was let go"):
        await lease.commit(lines(2, 1))
    assert await log.head(RunId("run")) == 1


async def test_a_closed_log_lets_its_runs_go(db: Path) -> None:
    """Closing the store releases what is still led over it: nothing is held afterwards, and what was queued is there."""
    log = await Log.open(db)
    lease = await lead(log)
    lease.append(lines(2, 3))
    await log.close()
    async with await Log.open(db) as again:
        assert (await again.find("run")).driver is None
        lease = await again.acquire(RunId("run"), driver=ME)
        assert lease.head == 4
        await lease.release()
    assert not Path(f"{db}-leases").exists()


async def test_a_link_to_a_store_is_that_store(log: Log, db: Path, tmp_path: Path) -> None:
    """Over a symbolic link it is the same file: the same locks, the same write-ahead log."""
    lease = await lead(log)
    link = tmp_path / "elsewhere" / "link.db"
    link.parent.mkdir()
    link.symlink_to(db)
    async with await Log.open(link) as other:
        with pytest.raises(RunConflictError):
            await other.acquire(RunId("run"), driver=ME)
        await lease.commit(lines(2, 1))
        assert await other.head(RunId("run")) == 2
    assert [found.name for found in link.parent.iterdir()] == ["link.db"]


async def test_a_fork_is_a_run_of_its_own(log: Log) -> None:
    """Parent and fork are led at the same time, each by its lease."""
    lease = await lead(log)
    await lease.commit(lines(2, 4))
    fork = await branch(log, "fork", "run", 3, 5)
    await lease.commit(lines(6, 1))
    await fork.commit(lines(5, 2))
    assert (await log.head(RunId("run")), await log.head(RunId("fork"))) == (6, 6)


async def test_another_process_holds_its_run(log: Log, db: Path, start: Callable[..., Process]) -> None:
    """While a process drives a run nobody else can take it; once it let go, anybody can."""
    holder = start("hold", db, "run")
    await until(holder.said("holds 1"), "the run to be taken")
    with pytest.raises(RunConflictError, match="driven by another process"):
        await log.acquire(RunId("run"), driver=ME)
    assert (await log.find("run")).alive()
    holder.tell("append")
    await until(holder.said("wrote 3"), "the holder to go on")
    holder.tell("end")
    await until(holder.said("released"), "the release")
    lease = await log.acquire(RunId("run"), driver=ME)
    assert (lease.token, lease.head) == (2, 3)
    await lease.release()


async def test_a_killed_drivers_run_is_free(log: Log, db: Path, start: Callable[..., Process]) -> None:
    """SIGKILL drops the kernel's lock with the process: the run is not alive and can be taken at once."""
    holder = start("hold", db, "run")
    await until(holder.said("holds 1"), "the run to be taken")
    holder.tell("append")
    await until(holder.said("wrote 3"), "the events")
    row = await log.find("run")
    assert row.driver is not None
    assert (row.driver.pid, row.alive()) == (holder.pid, True)
    holder.signal(signal.SIGKILL)
    holder.wait()
    assert not row.alive()
    lease = await log.acquire(RunId("run"), driver=ME)
    assert (lease.token, lease.head) == (2, 3)
    await lease.commit(lines(4, 1))
    await lease.release()


async def test_a_stopped_driver_that_comes_back_cannot_write(log: Log, db: Path, start: Callable[..., Process]) -> None:
    """A stopped process keeps its run until somebody takes it by force; continued, it is told that it lost it."""
    holder = start("hold", db, "run")
    await until(holder.said("holds 1"), "the run to be taken")
    holder.tell("append")
    await until(holder.said("wrote 3"), "the events")
    holder.signal(signal.SIGSTOP)
    with pytest.raises(RunConflictError):
        await log.acquire(RunId("run"), driver=ME)
    lease = await log.acquire(RunId("run"), driver=ME, force=True)
    await lease.commit(lines(4, 3, text="the new driver"))
    holder.tell("append")
    holder.tell("append")
    holder.signal(signal.SIGCONT)
    await until(lambda: sum(line.startswith("refused LeaseLostError") for line in holder.lines) == 2, "two refusals")
    other = start("take", db, "run")
    other.wait()
    assert other.lines[0].startswith("refused HeldElsewhereError"), "the stale driver's lock file is not the run's any more"
    await lease.commit(lines(7, 1))
    holder.tell("end")
    holder.wait()
    with pytest.raises(RunConflictError):
        await log.acquire(RunId("run"), driver=ME)
    assert [found.name for found in Path(f"{db}-leases").iterdir()] == ["run.lock"]
    assert [one.version for one in await log.events(RunId("run"))] == list(range(1, 8))
    assert await log.check() == []
    await lease.release()


async def test_a_forked_child_does_not_keep_the_lock(log: Log, db: Path, start: Callable[..., Process]) -> None:
    """A child that a driver forked and that outlives it holds nothing: the run is free when the driver is gone."""
    holder = start("hold", db, "run")
    await until(holder.said("holds 1"), "the run to be taken")
    holder.tell("fork")
    await until(holder.said("child"), "the child")
    child = int(next(line for line in holder.lines if line.startswith("child")).split()[1])
    try:
        row = await log.find("run")
        holder.signal(signal.SIGKILL)
        await until(lambda: not row.alive(), "the driver's end")
        os.kill(child, 0)
        lease = await log.acquire(RunId("run"), driver=ME)
        await lease.release()
    finally:
        os.kill(child, signal.SIGKILL)


async def test_processes_racing_for_a_run_win_one_at_a_time(db: Path, log: Log, start: Callable[..., Process]) -> None:
    """Of many processes that want a run, each holds it alone: every token is given out once."""
    await (await lead(log)).release()
    takers = [start("take", db, "run") for _ in range(6)]
    for taker in takers:
        taker.wait()
    said = [line for taker in takers for line in taker.lines]
    tokens = sorted(int(line.split()[1]) for line in said if line.startswith("holds"))
    assert tokens == list(range(2, 2 + len(tokens)))
    assert tokens
    assert all(line.startswith(("holds", "refused HeldElsewhereError")) for line in said)


async def test_a_superseded_token_writes_neither_events_nor_row(log: Log) -> None:
    """A driver whose token is old loses its whole batch, its blobs' events and its summary alike."""
    lease = await lead(log)
    await log.writer.call(lambda connection: connection.execute("UPDATE runs SET token = 9 WHERE id = 'run'") and None)
    lease.append(lines(2, 5), row=RunSummary("completed"))
    with pytest.raises(LeaseLostError):
        await lease.flush()
    with pytest.raises(LeaseLostError):
        await lease.release()
    row = await log.find("run")
    assert (row.status, row.head) == ("pending", 1)
    await (await log.acquire(RunId("run"), driver=ME)).release()


async def test_a_stale_head_is_fenced_too(log: Log, db: Path) -> None:
    """Even with the right token nothing is written over a head that moved: versions stay without gaps."""
    lease = await lead(log)
    with closing(sqlite3.connect(db, isolation_level=None)) as other:
        other.execute("UPDATE runs SET head = 5 WHERE id = 'run'")
    with pytest.raises(LeaseLostError):
        await lease.commit(lines(2, 1))
    with closing(sqlite3.connect(db, isolation_level=None)) as other:
        assert other.execute("SELECT count(*) FROM events").fetchone() == (1,)


async def test_signals_reach_a_run_that_another_process_drives(log: Log, db: Path, start: Callable[..., Process]) -> None:
    """The inbox takes signals from any process, whoever holds the run."""
    holder = start("hold", db, "run")
    await until(holder.said("holds 1"), "the run to be taken")
    assert await log.send(RunId("run"), "pause", b"{}", actor="user", at=1.0) == 1
    holder.tell("append")
    await until(holder.said("wrote 3"), "the holder to go on")


async def test_followers_in_another_process_are_woken(db: Path, log: Log, start: Callable[..., Process]) -> None:
    """A reader sees what another process commits, soon and in order, without being told."""
    holder = start("hold", db, "run")
    await until(holder.said("holds 1"), "the run to be taken")
    async with await Log.open(db, readonly=True) as reader:
        stream = reader.follow(RunId("run"), 0)
        assert [one.version for one in await anext(stream)] == [1]
        for head in (3, 5, 7):
            holder.tell("append")
            assert [one.version for one in await anext(stream)] == [head - 1, head]
        await stream.aclose()  # type: ignore[attr-defined]


def test_a_driver_is_a_pid_and_its_start() -> None:
    """A reused pid, a process of another host and one that ended are not the driver."""
    assert ME.alive()
    assert Driver.current() == ME
    assert not Driver(ME.pid, ME.started - 100, ME.host).alive()
    assert not Driver(ME.pid, ME.started, "elsewhere").alive()
    assert not Driver(2**22 + 1, ME.started, ME.host).alive()

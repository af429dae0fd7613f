"""What survives when processes are killed and writes are lost: every acknowledged event, and never a gap."""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import sqlite3
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from store import Log, RunId, RunSummary, schema
from tests.happenings import lines
from tests.integration.store_driver import Process
from tests.stores import ME, lead, until


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


async def kill_again_and_again(db: Path, rounds: int, dice: random.Random) -> None:
    """Drivers under load, killed at any moment; after each, the store is whole and has all that was acknowledged."""
    for number in range(rounds):
        driver = Process("load", db, f"run-{number}", str(dice.choice([1, 3, 20])))
        await until(driver.said("created"), "the driver to begin")
        await asyncio.sleep(dice.random() * 0.25)
        driver.signal(signal.SIGKILL)
        driver.wait()
        durable = max((int(line.split()[1]) for line in driver.lines if line.startswith("durable")), default=1)
        async with await Log.open(db) as log:
            run = RunId(f"run-{number}")
            events = await log.events(run)
            assert [one.version for one in events] == list(range(1, len(events) + 1)), f"round {number}: a gap"
            assert len(events) >= durable, f"round {number}: {durable} was acknowledged, {len(events)} are there"
            assert (await log.find(run)).head == len(events)
            lease = await log.acquire(run, driver=ME)
            await lease.commit(lines(lease.head + 1, 1), row=RunSummary("completed"))
            await lease.release()
    async with await Log.open(db) as log:
        assert await log.check() == []


async def test_killed_under_load(tmp_path: Path) -> None:
    """Ten kills at random moments lose no acknowledged event and leave no gap."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    await kill_again_and_again(tmp_path / "runs.db", 10, random.Random(seed))


@pytest.mark.torture
async def test_killed_two_hundred_times_under_load(tmp_path: Path) -> None:
    """200 kills at random moments lose no acknowledged event and leave no gap."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    await kill_again_and_again(tmp_path / "runs.db", 200, random.Random(seed))


async def test_killed_while_folding_the_log_back(tmp_path: Path) -> None:
    """A kill while a large write-ahead log is folded into the file (on closing) loses nothing."""
    for delay in (0.0, 0.002, 0.01, 0.03):
        db = tmp_path / f"{delay}" / "runs.db"
        driver = Process("grow", db, "run", "150")
        await until(driver.said("durable 1501"), "the last acknowledgement")
        await asyncio.sleep(delay)
        driver.signal(signal.SIGKILL)
        driver.wait()
        async with await Log.open(db) as log:
            assert await log.head(RunId("run")) == 1501
            assert await log.check() == []


# --- crash images: the file system keeps a part of what was written


_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")


async def recorded(folder: Path, commits: int) -> tuple[bytes, bytes, list[tuple[int, int]]]:
    """The bytes of a store and its write-ahead log while it is open, and (size of the log, version) at each acknowledgement."""
    points: list[tuple[int, int]] = []
    db = folder / "runs.db"
    async with await Log.open(db) as log:
        lease = await lead(log)
        for number in range(commits):
            await lease.commit(lines(lease.head + 1, 1 + number % 3, text="z" * (number * 53 % 1500)))
            points.append((Path(f"{db}-wal").stat().st_size, lease.head))
        # copied by another process: reading the file here would drop SQLite's locks on it
        copying = await asyncio.create_subprocess_exec("cp", db, f"{db}-wal", folder.parent)
        assert await copying.wait() == 0
    return (folder.parent / "runs.db").read_bytes(), (folder.parent / "runs.db-wal").read_bytes(), points


async def image(folder: Path, main: bytes, log: bytes) -> int:
    """The head of the run in a store of these bytes, which is whole."""
    folder.mkdir()
    (folder / "runs.db").write_bytes(main)
    (folder / "runs.db-wal").write_bytes(log)
    async with await Log.open(folder / "runs.db") as opened:
        rows = await opened.runs()
        head = rows[0].head if rows else 0
        assert await opened.check() == []
    shutil.rmtree(folder)
    return head


def commits_in(log: bytes) -> list[int]:
    """Where each transaction in a write-ahead log ends."""
    page_size = _HEADER.unpack(log[: _HEADER.size])[2]
    step = _FRAME.size + page_size
    places = range(_HEADER.size, len(log) - step + 1, step)
    return [place + step for place in places if _FRAME.unpack_from(log, place)[1]]


async def torn(tmp_path: Path, samples: int) -> None:
    """Crash images with the tail of the log cut, zeroed or garbled at random places."""
    main, log, points = await recorded(tmp_path / "made", 60)
    ends = commits_in(log)
    dice = random.Random(samples)
    versions: dict[int, int] = {}
    for end in ends:
        versions[end] = await image(tmp_path / "image", main, log[:end])
    assert sorted(versions.values()) == list(versions.values()), "a longer log holds at least as much"
    for size, version in points:
        assert versions[max(end for end in ends if end <= size)] >= version, "what was acknowledged was in the log by then"
    for number in range(samples):
        cut = dice.randrange(len(log))
        kept = max((versions[end] for end in ends if end <= cut), default=0)
        tail = [b"", b"\x00" * (len(log) - cut), dice.randbytes(min(len(log) - cut, 9000))][number % 3]
        assert await image(tmp_path / "image", main, log[:cut] + tail) == kept, f"cut at {cut}, sample {number}"


async def test_torn_logs_keep_every_commit_before_the_tear(tmp_path: Path) -> None:
    """Wherever the write-ahead log's tail is lost, zeroed or garbled, every commit that was whole before that place is there."""
    await torn(tmp_path, 60)


@pytest.mark.torture
async def test_a_thousand_torn_logs(tmp_path: Path) -> None:
    """The same for a thousand images."""
    await torn(tmp_path, 1000)


async def test_pages_lost_inside_the_log_end_it_there(tmp_path: Path) -> None:
    """A page of the log that never reached the disk ends the history at the commit before it, whatever comes after."""
    main, log, _ = await recorded(tmp_path / "made", 40)
    ends = commits_in(log)
    whole = {end: await image(tmp_path / "image", main, log[:end]) for end in ends}
    dice = random.Random(7)
    for _ in range(30):
        place = dice.randrange(_HEADER.size, len(log) - 512) // 512 * 512
        lost = log[:place] + b"\x00" * 512 + log[place + 512 :]
        head = await image(tmp_path / "image", main, lost)
        assert head >= max((whole[end] for end in ends if end <= place), default=0)


# --- migrations and backups


def version_of(db: Path) -> int:
    """The format number in the file."""
    with closing(sqlite3.connect(db)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


async def test_killed_inside_a_migration(tmp_path: Path, start: Callable[..., Process]) -> None:
    """A migration that is killed at any of its steps leaves the old store, whole; begun again it succeeds."""
    db = tmp_path / "runs.db"
    async with await Log.open(db) as log:
        lease = await lead(log)
        await lease.commit(lines(2, 200))
        await lease.release()
    for step in (0, 1, 150, 390):
        migration = start("migrate", db)
        await until(migration.said(f"step {step}"), f"step {step}")
        migration.signal(signal.SIGKILL)
        migration.wait()
        if version_of(db) == schema.current() + 1:
            break  # it was done before the signal came
        async with await Log.open(db) as log:
            assert await log.check() == []
            assert await log.head(RunId("run")) == 201
    assert start("migrate", db).wait()[0] == 0
    assert version_of(db) == schema.current() + 1


async def test_two_migrations_at_once_are_one(tmp_path: Path, start: Callable[..., Process]) -> None:
    """Processes that bring a store up to date at the same time do it once."""
    db = tmp_path / "runs.db"
    async with await Log.open(db):
        pass
    migrations = [start("migrate", db) for _ in range(3)]
    for migration in migrations:
        code, error = migration.wait()
        assert code == 0, error
    with closing(sqlite3.connect(db)) as connection:
        assert connection.execute("SELECT count(*) FROM later").fetchone() == (400,)


async def test_killed_while_copying(tmp_path: Path, start: Callable[..., Process]) -> None:
    """A backup that is killed leaves the file of that name as it was: absent, or a whole earlier copy."""
    db, target = tmp_path / "runs.db", tmp_path / "copies" / "copy.db"
    target.parent.mkdir()
    async with await Log.open(db) as log:
        lease = await lead(log)
        for _ in range(20):
            await lease.commit(lines(lease.head + 1, 500, text="x" * 300))
        await lease.release()
    dice = random.Random(3)
    for number in range(8):
        copying = start("backup", db, target)
        await until(copying.said("begins" if number % 2 else "copied"), "the copying")
        await asyncio.sleep(dice.random() * 0.1)
        copying.signal(signal.SIGKILL)
        copying.wait()
        if target.exists():
            async with await Log.open(target, readonly=True) as log:
                assert await log.head(RunId("run")) == 10_001
    assert target.exists()


async def test_a_copy_is_of_one_moment(tmp_path: Path, start: Callable[..., Process]) -> None:
    """A backup taken while drivers write is a whole store as it was at one moment, and writing goes on meanwhile."""
    db = tmp_path / "runs.db"
    async with await Log.open(db):
        pass
    driver = start("load", db, "run", "8")
    await until(driver.said("durable"), "the load")
    for number in range(3):
        before = len(driver.lines)
        async with await Log.open(db, readonly=True) as log:
            await log.backup(tmp_path / f"copy-{number}.db")
        async with await Log.open(tmp_path / f"copy-{number}.db") as copy:
            assert await copy.check() == []
            assert await copy.head(RunId("run")) > 1
        await until(lambda before=before: len(driver.lines) > before, "writing to go on")  # type: ignore[misc]


async def test_a_log_does_not_grow_while_many_read(tmp_path: Path) -> None:
    """Readers hold no transaction: under steady reading the write-ahead log stays small."""
    db = tmp_path / "runs.db"
    async with await Log.open(db) as log, await Log.open(db, readonly=True) as reader:
        lease = await lead(log)
        done = False

        async def read() -> None:
            while not done:
                await reader.events(RunId("run"), after=max(0, lease.head - 50))
                await reader.state(RunId("run"))

        readers = [asyncio.create_task(read()) for _ in range(3)]
        deadline = time.monotonic() + 10
        while lease.head < 8000 and time.monotonic() < deadline:
            await lease.commit(lines(lease.head + 1, 20, text="w" * 400))
        done = True
        await asyncio.gather(*readers)
        assert lease.head > 2000
        assert Path(f"{db}-wal").stat().st_size < 12 << 20


async def test_a_new_store_killed_while_made_is_absent_or_whole(tmp_path: Path) -> None:
    """A process killed while it makes a store leaves none or a whole one, never a part; what it left does not disturb the next."""
    db = tmp_path / "runs.db"
    for delay in (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3):
        maker = Process("write", db)
        await asyncio.sleep(delay)
        maker.end()
        if db.exists():
            async with await Log.open(db) as log:
                assert await log.runs() == []
            assert version_of(db) == schema.current()
            db.unlink()


async def test_a_torn_first_page_is_not_taken_for_a_foreign_one(tmp_path: Path) -> None:
    """A frame of the first page whose bytes were lost, with its header whole, is a torn tail and no reason to refuse the store."""
    main, log, _ = await recorded(tmp_path / "made", 40)
    page_size = _HEADER.unpack(log[: _HEADER.size])[2]
    step = _FRAME.size + page_size
    ends = commits_in(log)
    firsts = [place for place in range(_HEADER.size, len(log) - step + 1, step) if _FRAME.unpack_from(log, place)[0] == 1]
    assert firsts
    for place in firsts[:: max(1, len(firsts) // 5)]:
        torn_page = log[: place + _FRAME.size] + b"\x00" * page_size
        kept = max((end for end in ends if end <= place), default=0)
        assert await image(tmp_path / "image", main, torn_page) == await image(tmp_path / "image", main, log[:kept])

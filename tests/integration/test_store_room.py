"""Room in the write-ahead log: made while a store is written in small commits, and nothing else is different for it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from store import Log, RunId
from store.room import ENOUGH, EVERY, PAGE, Room
from tests.happenings import lines
from tests.stores import lead


def log_of(path: Path) -> int:
    """Bytes of the store's write-ahead log."""
    return Path(f"{path}-wal").stat().st_size


def used(path: Path) -> int:
    """Bytes of it that hold what was committed since it was begun; asking ends that, at a reader's cost."""
    with closing(sqlite3.connect(path)) as connection:
        _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return 32 + int(pages) * PAGE


async def test_a_log_of_small_commits_is_longer_than_what_is_in_it(tmp_path: Path) -> None:
    """After 100 commits of one row the log has room for more of them; without it, it would end with the last."""
    path = tmp_path / "runs.db"
    async with await Log.open(path) as log:
        lease = await lead(log)
        for number in range(100):
            await lease.commit(lines(number + 2, 1))
        assert log_of(path) > used(path) + 20 * PAGE
        assert (await log.reader.all("SELECT count(*) FROM meta WHERE name = 'room'")) == [(0,)]
        for number in range(400):
            await lease.commit(lines(number + 102, 1))
        assert log_of(path) < ENOUGH + 40 * PAGE
        assert await log.head(RunId("run")) == 501


async def test_a_store_taken_after_its_log_grew_has_every_acknowledged_row(tmp_path: Path) -> None:
    """What a power cut leaves while there is room in the log: the file and the log as they are, opened elsewhere."""
    path, cut = tmp_path / "runs.db", tmp_path / "cut.db"
    async with await Log.open(path) as log:
        lease = await lead(log)
        for number in range(3 * EVERY):
            await lease.commit(lines(number + 2, 1))
            shutil.copy(path, cut)
            shutil.copy(f"{path}-wal", f"{cut}-wal")
            with closing(sqlite3.connect(cut)) as connection:
                assert connection.execute("SELECT max(version), count(*) FROM events").fetchone() == (number + 2, number + 2)
                assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            for leftover in (cut, Path(f"{cut}-wal"), Path(f"{cut}-shm")):
                leftover.unlink(missing_ok=True)


async def test_large_commits_make_no_room(tmp_path: Path) -> None:
    """Where one commit is many pages, the log grows by what is written only."""
    path = tmp_path / "runs.db"
    async with await Log.open(path) as log:
        lease = await lead(log)
        for _ in range(2 * EVERY):
            await lease.commit(lines(lease.head + 1, 600))
        there = log_of(path)
        assert there == used(path)


def test_a_full_disk_leaves_the_log_as_long_as_it_is(tmp_path: Path) -> None:
    """Room that cannot be made is gone without, and the connection is as before."""
    path = tmp_path / "plain.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE meta(name TEXT NOT NULL PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID")
        connection.execute("PRAGMA max_page_count = 20")
        room = Room(str(path))
        room.wanted, before = 1_000_000, connection.execute("PRAGMA cache_size").fetchone()
        room.make(connection)
        assert not connection.in_transaction
        assert connection.execute("PRAGMA cache_size").fetchone() == before
        connection.execute("INSERT INTO meta VALUES ('a', 1)")
        assert connection.execute("SELECT name FROM meta").fetchall() == [("a",)]


def test_another_process_that_writes_is_not_waited_for_twice(tmp_path: Path) -> None:
    """While another connection holds the lock, no room is made and nothing is left open."""
    path = tmp_path / "plain.db"
    with closing(sqlite3.connect(path)) as other, closing(sqlite3.connect(path, isolation_level=None)) as mine:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE meta(name TEXT NOT NULL PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID")
        mine.execute("PRAGMA busy_timeout = 0")
        other.commit()
        other.execute("BEGIN IMMEDIATE")
        room = Room(str(path))
        room.wanted = 100_000
        room.make(mine)
        assert not mine.in_transaction
        assert room.wanted == 0
        other.execute("ROLLBACK")


def test_a_damaged_file_is_left_to_the_commit_that_follows(tmp_path: Path) -> None:
    """Room is made between commits, where nobody waits: what is wrong with the file is said by the next commit."""
    path = tmp_path / "plain.db"
    path.write_bytes(b"no store at all" * 1_000)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        room = Room(str(path))
        room.wanted = 100_000
        room.make(connection)
        assert not connection.in_transaction
        assert room.wanted == 0
        with pytest.raises(sqlite3.DatabaseError):
            connection.execute("BEGIN IMMEDIATE")

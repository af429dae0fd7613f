"""What is not a usable store is refused in one sentence, by its kind, and left byte for byte as it was."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from store import (
    Log,
    RunId,
    StoreBusyError,
    StoreDamagedError,
    StoreError,
    StoreForeignError,
    StoreFullError,
    StoreNewerError,
    StoreReadOnlyError,
    StoreUnusableError,
    schema,
)
from tests.happenings import lines
from tests.integration.store_driver import Process
from tests.stores import ME, bytes_beside, lead, until

SENTENCE = re.compile(r"[^\n]+[^.\n]\.")


@pytest.fixture
async def db(tmp_path: Path) -> Path:
    """A whole, closed store with a run of 2,000 events."""
    path = tmp_path / "box" / "runs.db"
    async with await Log.open(path) as log:
        lease = await lead(log)
        await lease.commit(lines(2, 1999, text="some text that fills pages " * 4))
        await lease.release()
    return path


async def refused(path: Path, kind: type[StoreError], *, create: bool = True) -> str:
    """Opening for writing and for reading is refused with one sentence of this kind that names the file; nothing changed."""
    before = bytes_beside(path) if path.parent.is_dir() else {}
    said = []
    for readonly in (False, True):
        with pytest.raises(StoreUnusableError) as caught:
            await Log.open(path, readonly=readonly, create=create, patience=0.1)
        assert type(caught.value) is kind
        said.append(str(caught.value))
        assert SENTENCE.fullmatch(said[-1])
        assert str(path) in said[-1]
    assert (bytes_beside(path) if path.parent.is_dir() else {}) == before
    return said[0]


def damage(path: Path, place: int, content: bytes) -> None:
    """Overwrite bytes of a closed file."""
    with path.open("r+b") as file:
        file.seek(place)
        file.write(content)


async def test_a_missing_store(tmp_path: Path) -> None:
    """Without leave to make one, a missing store is said to be missing and none is made; reading never makes one."""
    path = tmp_path / "nowhere" / "runs.db"
    assert "There is no store at" in await refused(path, StoreUnusableError, create=False)
    with pytest.raises(StoreUnusableError, match="There is no store at"):
        await Log.open(path, readonly=True)
    assert list(tmp_path.iterdir()) == []


async def test_a_folder(tmp_path: Path) -> None:
    """A folder is not a store."""
    assert "is a folder" in await refused(tmp_path, StoreForeignError)


async def test_an_empty_file(tmp_path: Path) -> None:
    """A file of zero bytes is refused: we never leave one, so somebody else's command did."""
    path = tmp_path / "runs.db"
    path.touch()
    assert "is empty (0 bytes)" in await refused(path, StoreForeignError)


@pytest.mark.parametrize("content", [b"x", b"name: pipeline\nsteps: []\n", b"\x00" * 5000, b"SQLite format 3\x00" + b"\x00" * 84])
async def test_a_file_that_is_no_database(tmp_path: Path, content: bytes) -> None:
    """Text, zeros, or a header with nothing behind it are no store."""
    path = tmp_path / "runs.db"
    path.write_bytes(content)
    assert str(path) in await refused(path, StoreForeignError)


@pytest.mark.parametrize("mode", ["delete", "wal"])
async def test_another_applications_database(tmp_path: Path, mode: str) -> None:
    """Another application's SQLite file is refused by its mark, before anything is done to it."""
    path = tmp_path / "cookies.sqlite"
    with closing(sqlite3.connect(path)) as other:
        other.execute(f"PRAGMA journal_mode = {mode}")
        other.execute("CREATE TABLE moz_cookies(name TEXT)")
        other.commit()
    assert "another application" in await refused(path, StoreForeignError)


async def test_a_newer_store(db: Path) -> None:
    """A store of a later version names both versions and what to do."""
    with closing(sqlite3.connect(db)) as other:
        other.execute("PRAGMA user_version = 900")
    said = await refused(db, StoreNewerError)
    assert f"newer version of tagent-tui (format 900, this one reads up to {schema.current()})" in said


async def test_a_store_without_a_version(db: Path) -> None:
    """Our mark without a format number is damage."""
    with closing(sqlite3.connect(db)) as other:
        other.execute("PRAGMA user_version = 0")
    await refused(db, StoreDamagedError)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER planted AFTER INSERT ON events BEGIN DELETE FROM inbox; END",
        "CREATE TABLE more(a)",
        "CREATE VIEW extra AS SELECT 1",
        "CREATE INDEX slow ON events(data)",
        "DROP TRIGGER events_never_change",
        "DROP INDEX inbox_run",
        "ALTER TABLE live ADD COLUMN more TEXT",
        "DROP TABLE samples",
    ],
)
async def test_a_changed_schema(db: Path, statement: str) -> None:
    """One trigger more, one column more, one index less: a schema that is not the expected text is not opened."""
    with closing(sqlite3.connect(db)) as other:
        other.execute(statement)
        other.commit()
    gone = statement.startswith("DROP")
    said = await refused(db, StoreDamagedError if gone else StoreForeignError)
    assert ("lacks the" if gone else "not ours or was changed") in said


@pytest.mark.parametrize("keep", [100, 4096, 5000, 40_960, -4096, -1])
async def test_a_truncated_store(db: Path, keep: int) -> None:
    """A file that ends too early is damaged, wherever it was cut."""
    size = db.stat().st_size
    os.truncate(db, keep if keep > 0 else size + keep)
    with pytest.raises(StoreUnusableError) as caught:
        await Log.open(db)
    assert isinstance(caught.value, StoreDamagedError | StoreForeignError)
    assert "damaged" in str(caught.value) or "not a SQLite database" in str(caught.value)


async def test_a_zeroed_first_page(db: Path) -> None:
    """Without its header the file is no database."""
    damage(db, 0, b"\x00" * 4096)
    await refused(db, StoreForeignError)


async def test_a_zeroed_page_anywhere(db: Path) -> None:
    """Whichever page is zeroed: the store is refused at once, or reading says it is damaged, or check names the place."""
    whole = db.read_bytes()
    for page in range(1, len(whole) // 4096, 4):
        db.write_bytes(whole)
        damage(db, page * 4096, b"\x00" * 4096)
        before = db.read_bytes()
        noticed = False
        try:
            async with await Log.open(db, readonly=True) as log:
                noticed = bool(await log.check())
                with suppress(StoreDamagedError):
                    await log.events(RunId("run"))
        except StoreUnusableError as error:
            noticed = isinstance(error, StoreDamagedError | StoreForeignError)
        assert noticed or whole[page * 4096 : (page + 1) * 4096].count(0) == 4096, f"page {page}"
        assert db.read_bytes() == before


async def test_a_damaged_newest_event_is_not_built_upon(db: Path) -> None:
    """A store whose newest events are not what was recorded is not opened for writing; it can still be read and checked."""
    content = db.read_bytes()
    place = content.rindex(b"a line 2000") if b"a line 2000" in content else content.rindex(b"pages  2000") + 7
    damage(db, place, b"A")
    before = bytes_beside(db)
    with pytest.raises(StoreDamagedError, match="event 2000 of run run is not what was recorded"):
        await Log.open(db)
    assert bytes_beside(db) == before
    async with await Log.open(db, readonly=True) as log:
        assert [(found.run, found.version) for found in await log.check()] == [("run", 2000)]


async def test_a_locked_store(db: Path) -> None:
    """A store another process keeps locked is busy, after the patience given."""
    with closing(sqlite3.connect(db, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusyError, match="stayed locked by another process") as caught:
            await Log.open(db, patience=0.1)
        assert SENTENCE.fullmatch(str(caught.value))
        async with await Log.open(db, readonly=True) as log:
            assert len(await log.runs()) == 1
        other.execute("ROLLBACK")
    async with await Log.open(db, patience=0.1):
        pass


# --- what may not be written


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


@pytest.fixture
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that others may enter (pytest's own are 0700)."""
    folder = Path(f"/tmp/store-public-{os.getpid()}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    yield folder
    for found in (folder, *folder.rglob("*")):
        found.chmod(0o700)
    shutil.rmtree(folder)


def kept(db: Path, folder: Path, file_mode: int, folder_mode: int) -> Path:
    """A copy of the store that belongs to nobody, with these rights."""
    path = folder / "runs.db"
    shutil.copy(db, path)
    if os.getuid() == 0:
        os.chown(path, 65534, 65534)
        os.chown(folder, 65534, 65534)
    path.chmod(file_mode)
    folder.chmod(folder_mode)
    return path


def outcome(process: Process) -> str:
    """What it said, having ended in order."""
    code, error = process.wait()
    assert code == 0, error
    own = process.lines.index("begins") + 1 if "begins" in process.lines else 0
    return "\n".join(process.lines[own:])


@pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o444, 0o755), (0o444, 0o555), (0o644, 0o555)])
async def test_a_store_that_may_not_be_written(
    db: Path, public: Path, start: Callable[..., Process], file_mode: int, folder_mode: int
) -> None:
    """A read-only file or folder is refused for writing in one sentence, and reads as well as any."""
    path = kept(db, public, file_mode, folder_mode)
    before = bytes_beside(path)
    said = outcome(start("unprivileged", "write", path))
    assert said.startswith("refused StoreReadOnlyError")
    assert "may not be written" in said
    assert bytes_beside(path) == before
    assert outcome(start("unprivileged", "read", path)) == "run run 2000 2000"
    assert path.read_bytes() == before["runs.db"]


async def test_a_store_that_may_not_be_read(db: Path, public: Path, start: Callable[..., Process]) -> None:
    """A file without the right to read it is one sentence."""
    path = kept(db, public, 0o000, 0o755)
    for way in ("read", "write"):
        said = outcome(start("unprivileged", way, path))
        assert re.match(r"refused Store\w*Error .*runs\.db .*\.", said)


async def test_a_folder_where_no_store_can_be_made(public: Path, start: Callable[..., Process]) -> None:
    """A new store in a folder that may not be written is one sentence, and leaves nothing."""
    public.chmod(0o555)
    said = outcome(start("unprivileged", "write", public / "runs.db"))
    assert said.startswith("refused StoreReadOnlyError")
    assert list(public.iterdir()) == []


async def test_an_unfolded_log_where_nothing_may_be_written(public: Path, db: Path, start: Callable[..., Process]) -> None:
    """A store with a write-ahead log in a folder that may not be written reads, or says why not in one sentence."""
    holder = start("hold", db, "run")
    await until(holder.said("holds"), "the holder")
    holder.tell("append")
    await until(holder.said("wrote"), "the holder")
    for suffix in ("", "-wal"):
        shutil.copy(f"{db}{suffix}", public / f"runs.db{suffix}")
        (public / f"runs.db{suffix}").chmod(0o444)
    public.chmod(0o555)
    said = outcome(start("unprivileged", "read", public / "runs.db"))
    assert said == "run run 2002 2002" or re.fullmatch(r"refused Store\w+Error [^\n]+\.", said)


# --- full


@pytest.mark.parametrize("size", [1000, 30_000])
async def test_a_disk_full_at_open(tmp_path: Path, start: Callable[..., Process], size: int) -> None:
    """Where not even an empty store fits, that is said in one sentence and nothing is left behind."""
    said = outcome(start("limited", str(size), "grow", tmp_path / "runs.db", "run", "1"))
    assert said.startswith("refused StoreFullError")
    assert "is full; make room" in said
    assert list(tmp_path.iterdir()) == []


async def test_a_disk_full_mid_run(tmp_path: Path, start: Callable[..., Process]) -> None:
    """When room runs out in the middle, what was acknowledged is there, and the store goes on once there is room."""
    db = tmp_path / "runs.db"
    process = start("limited", "1500000", "grow", db, "run", "2000")
    said = outcome(process).splitlines()
    assert said[-1].startswith("refused StoreFullError")
    durable = int(said[-2].split()[1])
    assert durable > 100
    async with await Log.open(db) as log:
        assert await log.head(RunId("run")) >= durable
        assert await log.check() == []
        lease = await lead(log, "another")
        await lease.commit(lines(2, 50))
        await lease.release()


async def test_a_full_file_system(tmp_path: Path) -> None:
    """On a real full disk (a small tmpfs, where we may mount one) a store says it is full and loses nothing."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = (
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False).returncode == 0
    )
    try:
        process = (
            Process("grow", disk / "runs.db", "run", "2000")
            if mounted
            else Process("limited", "900000", "grow", disk / "runs.db", "run", "2000")
        )
        said = outcome(process).splitlines()
        durable = int(said[-2].split()[1])
        assert said[-1].startswith("refused StoreFullError")
        saved = tmp_path / "saved"
        shutil.copytree(disk, saved)
        async with await Log.open(saved / "runs.db") as log:
            assert await log.head(RunId("run")) >= durable
            assert await log.check() == []
    finally:
        if mounted:
            subprocess.run(["umount", disk], check=True)


# --- write-ahead logs that are missing or not ours


async def unfolded(db: Path, folder: Path, start: Callable[..., Process]) -> Path:
    """A copy of a store whose driver was killed: its last events are in the write-ahead log only."""
    holder = start("hold", db, "run")
    await until(holder.said("holds"), "the holder")
    for _ in range(3):
        holder.tell("append")
    await until(holder.said("wrote 2006"), "the holder")
    holder.end()
    folder.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{db}{suffix}", folder / f"runs.db{suffix}")
    return folder / "runs.db"


async def test_a_log_left_by_a_crash_is_folded_in(db: Path, tmp_path: Path, start: Callable[..., Process]) -> None:
    """A store whose driver was killed opens with everything that was acknowledged."""
    path = await unfolded(db, tmp_path / "copy", start)
    async with await Log.open(path) as log:
        assert await log.head(RunId("run")) == 2006
        assert await log.check() == []


async def test_a_missing_log_leaves_a_whole_prefix(db: Path, tmp_path: Path, start: Callable[..., Process]) -> None:
    """With the write-ahead log taken away the store is what it was when that was begun: shorter, without a gap."""
    path = await unfolded(db, tmp_path / "copy", start)
    Path(f"{path}-wal").unlink()
    async with await Log.open(path) as log:
        assert await log.head(RunId("run")) == 2000
        assert await log.check() == []


def another(folder: Path, ours: bool) -> Path:
    """The write-ahead log of a database of another application, or of another store."""
    folder.mkdir()
    path = folder / "other.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("CREATE TABLE t(a)")
    if ours:
        connection.execute("PRAGMA application_id = 0x74616774")
    for number in range(2000):
        connection.execute("INSERT INTO t VALUES (?)", ("z" * 900 + str(number),))
    shutil.copy(f"{path}-wal", folder / "foreign-wal")
    connection.close()
    return folder / "foreign-wal"


@pytest.mark.parametrize("ours", [False, True])
async def test_a_foreign_log_is_not_applied(db: Path, tmp_path: Path, ours: bool) -> None:
    """Another database's write-ahead log beside the store is refused; SQLite itself would overwrite the store with it."""
    shutil.copy(another(tmp_path / "other", ours), f"{db}-wal")
    before = db.read_bytes()
    with pytest.raises(StoreUnusableError) as caught:
        await Log.open(db)
    assert isinstance(caught.value, StoreForeignError | StoreDamagedError)
    assert SENTENCE.fullmatch(str(caught.value))
    assert "-wal" in str(caught.value)
    assert db.read_bytes() == before
    for leftover in ("-wal", "-shm"):
        Path(f"{db}{leftover}").unlink(missing_ok=True)
    async with await Log.open(db) as log:
        assert await log.check() == []


async def test_another_stores_log_is_not_applied(db: Path, tmp_path: Path, start: Callable[..., Process]) -> None:
    """The write-ahead log of another store of ours is told by the store's own name, and refused."""
    async with await Log.open(tmp_path / "two" / "runs.db"):
        pass
    holder = start("load", tmp_path / "two" / "runs.db", "other", "4")
    await until(lambda: len(holder.lines) >= 400, "the load")
    holder.end()
    shutil.copy(tmp_path / "two" / "runs.db-wal", f"{db}-wal")
    before = db.read_bytes()
    with pytest.raises(StoreUnusableError) as caught:
        await Log.open(db)
    assert isinstance(caught.value, StoreForeignError | StoreDamagedError)
    assert db.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"x", b"\x00" * 100, b"garbage " * 5000])
async def test_a_log_that_is_none_is_passed_over(db: Path, content: bytes) -> None:
    """Rubbish where the write-ahead log should be loses nothing."""
    Path(f"{db}-wal").write_bytes(content)
    async with await Log.open(db) as log:
        assert await log.head(RunId("run")) == 2000
        assert await log.check() == []


# --- making one


async def test_many_openers_at_once_make_one_store(tmp_path: Path, start: Callable[..., Process]) -> None:
    """Processes that open a missing store at the same time all get the same one."""
    openers = [start("hold", tmp_path / "runs.db", f"run-{number}") for number in range(5)]
    for opener in openers:
        opener.tell("end")
        outcome(opener)
    async with await Log.open(tmp_path / "runs.db") as log:
        assert {row.id for row in await log.runs()} == {f"run-{number}" for number in range(5)}
    assert sorted(found.name for found in tmp_path.iterdir()) == ["runs.db"]


@pytest.mark.parametrize("name", ["a b.db", "ünï.db", "100%.db", "what?.db", "a#b.db", "-x.db", "file:x.db", ":memory:.db"])
async def test_odd_names_of_files(tmp_path: Path, name: str) -> None:
    """A store may have any name a file may have: none of its letters mean anything to SQLite."""
    async with await Log.open(tmp_path / name) as log:
        await (await lead(log)).release()
    async with await Log.open(tmp_path / name, readonly=True) as log:
        assert await log.head(RunId("run")) == 1
    left = {found.name.removeprefix(name) for found in tmp_path.iterdir()}
    assert left <= {"", "-wal", "-shm"}, "what a reader leaves, and nothing of another name"


async def test_reading_never_writes(db: Path) -> None:
    """A store opened for reading refuses every write with one sentence and leaves no trace."""
    before = bytes_beside(db)
    async with await Log.open(db, readonly=True) as log:
        with pytest.raises(StoreReadOnlyError, match="opened for reading only"):
            await lead(log, "new")
        with pytest.raises(StoreReadOnlyError):
            await log.send(RunId("run"), "pause", b"", actor="a", at=1.0)
        with pytest.raises(StoreReadOnlyError):
            log.progress(RunId("run"), "search", "x", 1.0)
        assert len(await log.events(RunId("run"))) == 2000
    after = bytes_beside(db)
    assert after["runs.db"] == before["runs.db"]


async def test_a_full_store_is_full_for_one_commit_only(tmp_path: Path) -> None:
    """SQLITE_FULL is the store being full, for those of that commit; a new lease works once there is room."""
    async with await Log.open(tmp_path / "runs.db") as log:
        lease = await lead(log)
        await log.writer.call(lambda connection: connection.execute("PRAGMA max_page_count = 60").fetchall() and None)
        with pytest.raises(StoreFullError, match="is full"):
            await lease.commit(lines(2, 2000, text="z" * 500))
        with pytest.raises(StoreFullError):
            await lease.release()
        await log.writer.call(lambda connection: connection.execute("PRAGMA max_page_count = 100000").fetchall() and None)
        assert await log.head(RunId("run")) == 1
        again = await log.acquire(RunId("run"), driver=ME)
        await again.commit(lines(2, 2000, text="z" * 500))
        await again.release()


async def test_a_reader_that_is_cancelled_while_it_connects_leaves_nothing_behind(tmp_path: Path) -> None:
    """Whoever asked first may go away: the next is answered by the same connection, and closing waits for it."""
    await (await Log.open(tmp_path / "runs.db")).close()
    for turns in range(12):
        log = await Log.open(tmp_path / "runs.db", readonly=True)
        asking = asyncio.ensure_future(log.runs())
        for _ in range(turns):
            await asyncio.sleep(0.0003)
        asking.cancel()
        if turns % 2:
            assert await log.runs() == []
        await log.close()
        await until(lambda: not [one for one in threading.enumerate() if "_connection_worker" in one.name], "the thread's end")

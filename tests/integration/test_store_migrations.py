"""Stores of earlier versions: brought up to date in one step that happens or does not."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from store import Log, RunId, StoreNewerError, StoreUnusableError, schema
from store.projector import project
from tests.happenings import lines, plain
from tests.stores import lead

NOW = schema.current()

NEXT = """-- The version after this one: notes.

CREATE TABLE notes(run INTEGER NOT NULL, text TEXT NOT NULL) STRICT;
INSERT INTO notes SELECT run, 'old' FROM runs;
"""


@pytest.fixture
async def db(tmp_path: Path) -> Path:
    """A closed store of this version with a run in it."""
    path = tmp_path / "runs.db"
    async with await Log.open(path) as log:
        lease = await lead(log)
        await lease.commit(lines(2, 20))
        await lease.release()
    return path


@pytest.fixture
def next_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later version of this program, with one migration more."""
    scripts = {**schema.migrations(), NOW + 1: NEXT}
    table = next(statement for statement in schema.statements(NEXT) if statement.startswith("CREATE"))
    wanted = frozenset({*schema.expected(), ("table", "notes", table.rstrip(";"))})
    monkeypatch.setattr(schema, "migrations", lambda: scripts)
    monkeypatch.setattr(schema, "expected", lambda: wanted)


def test_the_migrations_lead_to_the_schema() -> None:
    """Running all migrations on an empty database makes exactly what schema.sql makes."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        schema.migrate(connection)
        assert schema.found(connection) == set(schema.expected())
        assert connection.execute("PRAGMA user_version").fetchone() == (schema.current(),)


def test_migrations_are_numbered_without_gaps() -> None:
    """Number n follows n - 1, from 1."""
    assert list(schema.migrations()) == list(range(1, schema.current() + 1))


def test_a_script_is_taken_apart_statement_by_statement() -> None:
    """Triggers with statements inside stay whole, comments between are left out, and an unfinished script is an error."""
    trigger = "CREATE TRIGGER t AFTER INSERT ON a\nBEGIN\n    SELECT 1;\n    SELECT 2;\nEND;\n"
    script = f"-- a; comment\nCREATE TABLE a(b);\n\n{trigger}-- end\n"
    assert [statement.split()[1] for statement in schema.statements(script)] == ["TABLE", "TRIGGER"]
    with pytest.raises(ValueError, match="ends inside a statement"):
        list(schema.statements("CREATE TABLE a(b"))


async def test_an_older_store_is_brought_up_to_date(db: Path, next_version: None) -> None:
    """Opening an older store for writing migrates it; nothing in it is lost."""
    async with await Log.open(db) as log:
        assert await log.head(RunId("run")) == 21
        assert await log.reader.all("SELECT text FROM notes") == [("old",)]
        assert await log.check() == []
    async with await Log.open(db, readonly=True) as log:
        assert await log.head(RunId("run")) == 21


async def test_an_older_store_is_not_changed_by_reading(db: Path, next_version: None) -> None:
    """Opened for reading an older store is left alone, and the sentence says how to bring it up to date."""
    before = db.read_bytes()
    with pytest.raises(StoreUnusableError, match=f"older format {NOW}; open it once for writing"):
        await Log.open(db, readonly=True)
    assert db.read_bytes() == before


async def test_a_failing_migration_changes_nothing(db: Path, next_version: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration that fails at its last statement leaves the store of the old version, whole."""
    scripts = schema.migrations()
    monkeypatch.setattr(schema, "migrations", lambda: {**scripts, NOW + 1: NEXT + "INSERT INTO nowhere VALUES (1);\n"})
    with pytest.raises(StoreUnusableError):
        await Log.open(db)
    with closing(sqlite3.connect(db)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (NOW,)
        assert ("table", "notes") not in {(kind, name) for kind, name, _ in schema.found(connection)}


async def test_a_store_of_the_later_version_is_refused_by_this_one(
    db: Path, next_version: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the later version brought up to date, the earlier one does not touch any more."""
    async with await Log.open(db):
        pass
    monkeypatch.undo()
    before = db.read_bytes()
    with pytest.raises(StoreNewerError):
        await Log.open(db)
    assert db.read_bytes() == before


async def test_a_migrated_store_with_its_log_unfolded_opens(db: Path, next_version: None, tmp_path: Path) -> None:
    """A migration that is still in the write-ahead log only is taken for this store's own."""
    connection = sqlite3.connect(db, isolation_level=None)
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    schema.migrate(connection)
    for suffix in ("", "-wal"):
        shutil.copy(f"{db}{suffix}", tmp_path / f"copy.db{suffix}")
    connection.close()
    async with await Log.open(tmp_path / "copy.db") as log:
        assert await log.head(RunId("run")) == 21


def as_then(now: Any, then: Any) -> Any:
    """A value without the fields that came later, also inside."""
    return {name: as_then(now[name], then[name]) for name in then} if isinstance(then, dict) else now


async def test_the_store_of_version_1_opens_for_ever(tmp_path: Path) -> None:
    """A file written by version 1 (kept, never made anew) opens in this version with every event meaning what it meant."""
    golden = Path(__file__).parents[1] / "golden"
    means = [json.loads(line)["means"] for line in (golden / "log_v1.jsonl").read_text("utf-8").splitlines()]
    run, fork = RunId("run-of-version-1"), RunId("fork-of-version-1")
    shutil.copy(golden / "store_v1.db", tmp_path / "runs.db")
    async with await Log.open(tmp_path / "runs.db") as log:
        events = await log.events(run)
        assert [one.version for one in events] == list(range(1, 28))
        for one, then in zip(events, means[:25], strict=False):
            assert as_then(plain(one.event), then) == then, one.event.type
        assert (events[4].step, events[4].attempt, events[4].causation, events[4].actor) == ("search", 1, 4, "driver")
        assert (events[0].at, events[0].actor, events[26].at) == (1700000000.5, "user", 1700000101.0)
        assert await log.output(run, 27) == {"text": "x" * 3000}
        asked = await log.value(events[25].event.arguments)
        assert [message["content"] for message in await log.messages(asked["messages"]["chain"])] == ["Who are they?", "A company."]
        state = await log.state(run)
        assert state == project(events)
        assert (state.pipeline, state.inbox, len(state.artifacts)) == ("research", 12, 1)
        assert [(one.version, one.event.type) for one in (await log.events(fork))[9:]] == [
            (10, "step.skipped"),
            (11, "run.forked"),
            (12, "log.written"),
        ]
        row = await log.find("fork")
        assert (row.parent, row.parent_version, row.reuse_upto, row.head, row.created) == (run, 10, 27, 12, 1700000200.0)
        (signal,) = await log.inbox(run, 0)
        assert (signal.kind, signal.body, signal.actor, signal.at) == ("pause", b'{"why":"lunch"}', "user", 1700000102.0)
        assert [(one.cpu, one.rss) for one in await log.samples(run)] == [(12.5, 1000000)]
        assert [(found.version, found.what[:24]) for found in await log.check()] == [
            (14, "the content abababababab"),
            (20, "the content cdcdcdcdcdcd"),
        ]

"""Checking: a whole store is whole, and whatever is changed in one is found and named."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from store import Log, RunId, StoreUnusableError, values
from store.events import Recorded, StepCompleted
from store.integrity import LIMIT
from tests.happenings import lines, one_of_each
from tests.stores import branch, lead


@pytest.fixture
async def db(tmp_path: Path) -> Path:
    """A closed store: a run with all types of events, a content, and a fork."""
    path = tmp_path / "runs.db"
    async with await Log.open(path) as log:
        lease = await lead(log)
        payload, content = values.pack("a large output " * 200)
        assert payload.blob is not None
        assert content is not None
        await lease.commit(
            [*lines(2, 300, text="the quick brown fox"), Recorded(302, 3.0, StepCompleted(payload), "search", 1)],
            [(payload.blob, content)],
        )
        await branch(log, "fork", "run", 200, 302, more=lines(202, 20, text="a fork's own line"))
    return path


def change(db: Path, *statements: str) -> None:
    """Change a closed store by SQL, as no part of ours would."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        trigger = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'events_never_change'").fetchone()[0]
        connection.execute("DROP TRIGGER events_never_change")
        connection.execute("INSERT INTO meta VALUES ('retention', 1)")
        for statement in statements:
            connection.execute(statement)
        connection.execute("DELETE FROM meta WHERE name = 'retention'")
        connection.execute(trigger)


async def findings(db: Path) -> list[tuple[str | None, int | None, str]]:
    """What check says of a closed store."""
    async with await Log.open(db, readonly=True) as log:
        return [(found.run, found.version, found.what) for found in await log.check()]


async def test_a_whole_store_is_whole(db: Path) -> None:
    """Nothing is found in a store that is as it was written."""
    assert await findings(db) == []


@pytest.mark.parametrize(
    "column",
    [
        "at = at + 1e-6", "type = 'log.writtem'", "step = 'count'", "step = NULL", "attempt = 2", "causation = 7", "actor = 'user'",
        "schema = 2", "data = replace(data, 'fox', 'dog')", "data = '{}'", "checksum = checksum + 1", "run = 2, version = 9001",
    ],
)  # fmt: skip
async def test_any_changed_column_is_found(db: Path, column: str) -> None:
    """One column of one event changed: that event is named, with its run and version."""
    change(db, f"UPDATE events SET {column} WHERE run = 1 AND version = 77")
    found = await findings(db)
    assert ("run", 77) in {(run, version) for run, version, _ in found}
    if "version" not in column:
        assert len(found) == 1
        assert "is not what was recorded" in found[0][2]


async def test_any_flipped_byte_of_a_payload_is_found(db: Path) -> None:
    """A byte of a payload flipped in the file, whatever it becomes, is found and named: run, version and seq."""
    whole = db.read_bytes()
    dice = random.Random(11)
    for _ in range(40):
        version = dice.randrange(2, 302)
        place = whole.index(f'fox {version}"'.encode()) - dice.randrange(1, 15)
        flipped = bytearray(whole)
        flipped[place] ^= 1 << dice.randrange(8)
        db.write_bytes(flipped)
        async with await Log.open(db, readonly=True) as log:
            (found,) = await log.check()
            assert (found.run, found.version, found.seq) == ("run", version, version)
            assert len(await log.events(RunId("run"))) == 302, "it is still shown"
            assert (await log.state(RunId("run"))).version == 302


async def test_flipped_bytes_anywhere_never_go_unnoticed(db: Path) -> None:
    """A flipped byte anywhere in the file is found, unless it lies in unused space; opening and checking never crash."""
    whole = db.read_bytes()
    dice = random.Random(12)
    for _ in range(150):
        place = dice.randrange(len(whole))
        flipped = bytearray(whole)
        flipped[place] ^= 0xFF
        db.write_bytes(flipped)
        try:
            async with await Log.open(db, readonly=True) as log:
                found = await log.check()
                events = [await log.events(RunId(run)) for run in ("run", "fork")]
        except StoreUnusableError:
            continue
        if not found:
            assert [len(each) for each in events] == [302, 221]
    db.write_bytes(whole)
    assert await findings(db) == []


async def test_missing_events_are_found(db: Path) -> None:
    """A gap and a missing end are named with the version at which they begin."""
    change(
        db, "DELETE FROM events WHERE run = 1 AND version IN (50, 51, 302)", "DELETE FROM events WHERE run = 2 AND version = 221"
    )
    assert await findings(db) == [
        ("run", 50, "2 events are missing before version 52"),
        ("run", 302, "its last 1 events are missing"),
        ("fork", 221, "its last 1 events are missing"),
    ]


async def test_a_missing_parent_is_found(db: Path) -> None:
    """A fork whose parent is shorter than the fork point is named."""
    change(db, "UPDATE runs SET head = 100 WHERE run = 1")
    assert ("fork", None, "the run it was forked from is missing or shorter than the fork point") in await findings(db)


async def test_missing_and_damaged_contents_are_found(db: Path) -> None:
    """A content that is gone is named where it is referred to; one that is not what its name says is named by that."""
    change(db, "UPDATE blobs SET data = x'00' WHERE size > 1000", "DELETE FROM blobs WHERE size < 1000")
    found = await findings(db)
    assert [(run, version) for run, version, _ in found] == [("run", 1), (None, None)]
    assert "it refers to is missing" in found[0][2]
    assert "is not what was stored" in found[1][2]


async def test_a_zeroed_page_names_its_events(db: Path) -> None:
    """Events on a page that cannot be read are named one by one; those around it are still checked."""
    content = bytearray(db.read_bytes())
    start = content.index(b'fox 150"') // 4096 * 4096
    content[start : start + 4096] = bytes(4096)
    db.write_bytes(content)
    found = await findings(db)
    unread = [version for run, version, what in found if run == "run" and "cannot be read" in what]
    assert unread
    assert unread == list(range(unread[0], unread[-1] + 1))
    assert any("structure" in what for _, _, what in found)


async def test_a_hopeless_store_is_not_told_event_by_event(tmp_path: Path) -> None:
    """After a thousand findings looking ends, and says so."""
    db = tmp_path / "runs.db"
    async with await Log.open(db) as log:
        lease = await lead(log)
        await lease.commit(lines(2, 2000))
    change(db, "UPDATE events SET at = 0")
    found = await findings(db)
    assert len(found) == LIMIT + 1
    assert found[-1][2] == "there is more; the rest was not looked at"


async def test_checking_works_in_memory() -> None:
    """A memory store is checked the same way."""
    async with await Log.open(":memory:") as log:
        lease = await lead(log)
        await lease.commit([Recorded(place, float(place), event, None, 0) for place, event in enumerate(one_of_each(), 2)])
        assert [found.what for found in await log.check()] == [
            "the content abababababab it refers to is missing",
            "the content cdcdcdcdcdcd it refers to is missing",
        ]

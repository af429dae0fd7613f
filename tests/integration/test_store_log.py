"""What a log promises, held on both kinds there are: a file and memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store import (
    BlobMissingError,
    LeaseLostError,
    Log,
    RunAmbiguousError,
    RunConflictError,
    RunId,
    RunIdError,
    RunNotFoundError,
    RunSummary,
    VersionRangeError,
    chain,
    values,
)
from store.errors import StoreDamagedError, StoreUnusableError
from store.events import (
    ArtifactMade,
    ChildParked,
    ChildSpent,
    EffectInDoubt,
    EffectRequested,
    Failure,
    LogWritten,
    Payload,
    Recorded,
    RunAttached,
    RunCompleted,
    Safety,
    SignalReceived,
    Spent,
    StepCompleted,
    StepFailed,
    StepStarted,
)
from store.history import History
from store.projector import project
from store.state import RunState
from tests.happenings import created, lines, one_of_each, pinned, runs
from tests.stores import ME, branch, lead, until


@pytest.fixture(params=["file", "memory"])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Log]:
    """A new, empty store of each kind."""
    async with await Log.open(tmp_path / "runs.db" if request.param == "file" else ":memory:") as opened:
        yield opened


async def test_what_is_flushed_is_read_back(log: Log) -> None:
    """Events come back as they were recorded, envelope and all, with versions without gaps and growing seq."""
    lease = await lead(log)
    batch = [
        Recorded(
            place, float(place), event, "search" if place % 2 else None, place % 3, place - 1, "user" if place % 5 else "driver"
        )
        for place, event in enumerate(one_of_each(), 2)
    ]
    await lease.commit(batch)
    found = await log.events(RunId("run"), after=1)
    assert [one.seq for one in found] == list(range(2, len(batch) + 2))
    assert [(one.version, one.at, one.event, one.step, one.attempt, one.causation, one.actor) for one in found] == [
        (one.version, one.at, one.event, one.step, one.attempt, one.causation, one.actor) for one in batch
    ]
    assert (await log.head(RunId("run")), lease.head) == (len(batch) + 1, len(batch) + 1)


async def test_events_are_asked_for_by_place_step_attempt_and_type(log: Log) -> None:
    """`after` is exclusive, `upto` inclusive, and step, attempt, types and limit narrow."""
    lease = await lead(log)
    await lease.commit([*lines(2, 5), *lines(7, 5, step="count"), Recorded(12, 3.0, StepStarted(), "count", 2)])

    async def versions(**asked: object) -> list[int]:
        return [one.version for one in await log.events(RunId("run"), **asked)]  # type: ignore[arg-type]

    assert await versions(after=3, upto=5) == [4, 5]
    assert await versions(step="count") == [7, 8, 9, 10, 11, 12]
    assert await versions(step="count", attempt=2) == [12]
    assert await versions(types=["run.created", "step.started"]) == [1, 12]
    assert await versions(types=[]) == []
    assert await versions(limit=2) == [1, 2]
    assert await versions(after=12) == []
    await lease.commit(lines(13, 5000))
    assert await versions() == list(range(1, 5013))
    assert await versions(limit=4500) == list(range(1, 4501))
    assert await versions(step="search") == [*range(2, 7), *range(13, 5013)]


async def test_a_batch_that_does_not_follow_is_refused(log: Log) -> None:
    """Versions must go on from the head, inside a batch too; what was refused left nothing behind."""
    lease = await lead(log)
    for batch in (lines(3, 1), lines(1, 1), [*lines(2, 1), *lines(4, 1)]):
        with pytest.raises(VersionRangeError, match="at version 1"):
            lease.append(batch)
    await lease.commit(lines(2, 1))
    assert await log.head(RunId("run")) == 2


async def test_a_run_begins_with_its_creation(log: Log) -> None:
    """A first batch that is empty, begins later or with something else makes no run."""
    for batch in ([], lines(1, 1), [Recorded(2, 1.0, created().event)]):
        with pytest.raises(VersionRangeError):
            await log.create(RunId("run"), batch, driver=ME)
    assert await log.runs() == []


@pytest.mark.parametrize("name", ["", "last", "-x", " x", "a\nb", "\x1b[2J", "x" * 201, "\ud800"])
async def test_ids_that_cannot_be_typed_are_refused(log: Log, name: str) -> None:
    """A run's id must be something a person can type again."""
    with pytest.raises(RunIdError):
        await lead(log, name)


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "ünï", "a'; DROP TABLE runs; --", ".", "..", "x" * 200, "100%", "a b"])
async def test_odd_ids_stay_text(log: Log, name: str) -> None:
    """An id is never a path and never SQL."""
    lease = await lead(log, name)
    assert (await log.find(name)).id == name
    assert len(await log.events(RunId(name))) == 1
    await lease.release()


async def test_two_runs_cannot_have_one_id(log: Log) -> None:
    """A second run of a name is refused and the first is untouched."""
    lease = await lead(log)
    await lease.release()
    with pytest.raises(RunConflictError, match="There is a run run already"):
        await lead(log)
    assert await log.head(RunId("run")) == 1


async def test_a_run_is_found_by_id_prefix_and_last(log: Log) -> None:
    """An exact id wins over being a prefix; an ambiguous prefix names its candidates; nothing found says so."""
    for name in ("alpha", "alphabet", "alpine", "beta"):
        await (await lead(log, name)).release()
    assert (await log.find("alpha")).id == "alpha"
    assert (await log.find("alphab")).id == "alphabet"
    assert (await log.find("last")).id == "beta"
    with pytest.raises(RunAmbiguousError, match="begin with alp: alpha, alphabet, alpine; give more letters"):
        await log.find("alp")
    for unknown in ("gamma", "", "%", "_", "*"):
        with pytest.raises(RunNotFoundError):
            await log.find(unknown)
    for ask in (log.head, log.events, log.state):
        with pytest.raises(RunNotFoundError, match="no run gamma"):
            await ask(RunId("gamma"))


async def test_an_empty_store_has_no_last_run(log: Log) -> None:
    """`last` in an empty store says how to begin."""
    with pytest.raises(RunNotFoundError, match="no run in this store yet"):
        await log.find("last")


async def test_the_run_list_is_kept_with_the_events(log: Log) -> None:
    """A run's row is as new as its last commit: the newest summary of it, its head and its last time."""
    lease = await lead(log)
    state = project([created()])
    for event, step in (
        (RunAttached(1, 1.0), None),
        (StepStarted(), "search"),
        (StepCompleted(), "search"),
        (RunCompleted(), None),
    ):
        one = Recorded(lease.head + 1, 10.0 + lease.head, event, step, 1)
        project([one], state)
        lease.append([one], row=RunSummary.of(state, now=f"at {one.version}"))
    await lease.flush()
    row = await log.find("run")
    assert (row.status, row.head, row.last_at, row.ended, row.settled, row.now) == ("completed", 5, 14.0, 14.0, 1, "at 5")
    assert (row.created, row.pipeline, row.steps, row.driver) == (1.0, "research", 4, ME)
    await lease.release()
    assert (await log.find("run")).driver is None


async def test_the_run_list_is_paged_and_filtered(log: Log) -> None:
    """Newest first, by page, by status, by pipeline, by parent."""
    for number in range(7):
        lease = await lead(log, f"run-{number}")
        if number % 2:
            await lease.commit([], row=RunSummary("failed"))
        await lease.release()
    await (await branch(log, "fork", "run-3", 1, 1)).release()
    names: list[str] = []
    before = None
    while page := await log.runs(limit=3, before=before):
        names += [row.id for row in page]
        before = page[-1].row
    assert names == ["fork", *(f"run-{number}" for number in reversed(range(7)))]
    assert [row.id for row in await log.runs(status="failed")] == ["run-5", "run-3", "run-1"]
    assert len(await log.runs(pipeline="research")) == 8
    assert await log.runs(pipeline="other") == []
    assert [row.id for row in await log.runs(parent=RunId("run-3"))] == ["fork"]


async def test_a_state_is_its_events_at_any_version(log: Log) -> None:
    """The state at a version is the fold of the events up to it; versions the run does not have are refused."""
    lease = await lead(log)
    await lease.commit([Recorded(2, 2.0, StepStarted(), "search", 1), Recorded(3, 3.0, StepCompleted(), "search", 1)])
    history = await log.events(RunId("run"))
    for version in range(4):
        assert await log.state(RunId("run"), version) == project(history[:version])
    assert await log.state(RunId("run")) == project(history)
    for version in (-1, 4):
        with pytest.raises(VersionRangeError, match="has versions 1 to 3"):
            await log.state(RunId("run"), version)


async def test_snapshots_come_by_the_rule_and_can_go(log: Log) -> None:
    """A snapshot is kept once 512 events passed; with it, without it, and with a damaged one every answer is the same."""
    lease = await lead(log)
    state = project([created()])
    for _ in range(15):
        batch = lines(lease.head + 1, 100)
        project(batch, state)
        lease.append(batch)
        lease.snapshot(state)
    await lease.flush()
    kept = [row[0] for row in await log.reader.all("SELECT version FROM snapshots ORDER BY version")]
    assert kept == [601, 1201]
    answers = [await log.state(RunId("run"), version) for version in (600, 601, 602, 1300, 1501)]
    await log.writer.call(lambda connection: connection.execute("UPDATE snapshots SET data = x'00' WHERE version = 1201") and None)
    assert [await log.state(RunId("run"), version) for version in (600, 601, 602, 1300, 1501)] == answers
    await log.writer.call(lambda connection: connection.execute("DELETE FROM snapshots") and None)
    assert [await log.state(RunId("run"), version) for version in (600, 601, 602, 1300, 1501)] == answers


async def test_a_state_with_many_steps_waits_longer_for_its_snapshot(log: Log) -> None:
    """With 2,000 steps a snapshot comes after half as many events (in memory as many): keeping them costs a constant an event."""
    lease = await lead(log, steps=[f"step-{number}" for number in range(2000)])
    state = project(await log.events(RunId("run")))
    for _ in range(25):
        batch = lines(lease.head + 1, 100, step="step-7")
        project(batch, state)
        lease.append(batch)
        lease.snapshot(state)
    await lease.flush()
    assert await log.reader.all("SELECT version FROM snapshots") == ([(2001,)] if log.writer.inline else [(1001,), (2001,)])


# --- forks


async def test_a_fork_reads_its_ancestors_first(log: Log) -> None:
    """A fork's events are its parent's up to the point, then its own; the parent's later events are no part of it."""
    lease = await lead(log)
    await lease.commit(lines(2, 9))
    fork = await branch(log, "fork", "run", 5, 10, more=lines(7, 2, text="mine", at=91.0))
    found = await log.events(RunId("fork"))
    assert [one.version for one in found] == list(range(1, 9))
    assert found[:5] == (await log.events(RunId("run")))[:5]
    assert [one.event.type for one in found[5:]] == ["run.forked", "log.written", "log.written"]
    assert (await log.state(RunId("fork"))).parent == "run"
    row = await log.find("fork")
    assert (row.parent, row.parent_version, row.reuse_upto, row.head) == ("run", 5, 10, 8)
    await fork.commit(lines(9, 1))
    assert await log.head(RunId("run")) == 10


async def test_the_tape_is_read_from_the_parent(log: Log) -> None:
    """What the parent did after the point stays readable by its versions, up to where it was when the fork was made."""
    lease = await lead(log)
    await lease.commit(lines(2, 9))
    await branch(log, "fork", "run", 5, 10)
    await lease.commit(lines(11, 5))
    row = await log.find("fork")
    assert row.parent is not None
    tape = await log.events(RunId(row.parent), after=row.parent_version or 0, upto=row.reuse_upto)
    assert [one.version for one in tape] == [6, 7, 8, 9, 10]


async def test_forks_of_forks_share_all_their_past(log: Log) -> None:
    """A lineage of several runs reads as one history, also when a fork's point lies before its parent's own beginning."""
    lease = await lead(log)
    await lease.commit(lines(2, 9))
    await branch(log, "child", "run", 6, 10, more=lines(8, 3))
    await branch(log, "grandchild", "child", 8, 10, more=lines(10, 1))
    await branch(log, "cousin", "child", 3, 10)
    assert [one.version for one in await log.events(RunId("grandchild"))] == list(range(1, 11))
    shared = await log.events(RunId("cousin"), upto=3)
    assert shared == await log.events(RunId("run"), upto=3)
    assert [segment.id for segment in await log.segments(RunId("grandchild"))] == ["run", "child", "grandchild"]
    assert [segment.id for segment in await log.segments(RunId("cousin"))] == ["run", "cousin"]
    for run in ("grandchild", "cousin"):
        assert await log.state(RunId(run)) == project(await log.events(RunId(run)))


async def test_a_fork_uses_its_ancestors_snapshots(log: Log) -> None:
    """A snapshot below the point serves the fork; one above it does not."""
    lease = await lead(log)
    state = project([created()])
    for _ in range(3):
        batch = lines(lease.head + 1, 600)
        project(batch, state)
        lease.append(batch)
        lease.snapshot(state)
    await lease.flush()
    await branch(log, "fork", "run", 900, 1801)
    assert await log.state(RunId("fork")) == project(await log.events(RunId("fork")))


@pytest.mark.parametrize(("version", "upto"), [(0, 5), (11, 11), (5, 11), (7, 6)])
async def test_a_fork_from_nowhere_is_refused(log: Log, version: int, upto: int) -> None:
    """A point the parent has not reached, and a tape that ends before the point or after the head, make no run."""
    lease = await lead(log)
    await lease.commit(lines(2, 9))
    with pytest.raises(VersionRangeError):
        await branch(log, "fork", "run", version, upto)
    assert len(await log.runs()) == 1


# --- contents


async def test_values_small_and_large_come_back(log: Log) -> None:
    """A value is found whether it stands in its event or in a content of its own; a missing content is named."""
    lease = await lead(log)
    for version, value in enumerate(({"a": [1, 2.5, None]}, "x" * 5000, b"\x00" * 3000), 2):
        payload, content = values.pack(value)
        held = [(payload.blob, content)] if payload.blob and content else []
        await lease.commit([Recorded(version, 2.0, StepCompleted(payload), "search", 1)], held)
        assert await log.value(payload) == value
        assert await log.output(RunId("run"), version) == value
        assert values.decode(await log.text(payload)) == value
    assert await log.value(Payload()) is None
    with pytest.raises(BlobMissingError, match="abababababab"):
        await log.value(Payload(9, blob="ab" * 32))
    for hash in ("", "zz", "'; --"):
        with pytest.raises(BlobMissingError):
            await log.blob(hash)
    with pytest.raises(VersionRangeError, match="Version 1 of run run is not an output"):
        await log.output(RunId("run"), 1)


async def test_equal_contents_are_stored_once(log: Log) -> None:
    """The same content sent by two runs a hundred times is one row."""
    one, two = await lead(log, "one"), await lead(log, "two")
    payload, content = values.pack("y" * 4000)
    assert payload.blob is not None
    assert content is not None
    for version in range(2, 52):
        one.append([Recorded(version, 2.0, ArtifactMade("a", "text/plain", payload))], [(payload.blob, content)])
        two.append([Recorded(version, 2.0, ArtifactMade("a", "text/plain", payload))], [(payload.blob, content)])
    await one.flush()
    await two.flush()
    assert await log.reader.all("SELECT count(*) FROM blobs") == [(2,)]


async def test_a_damaged_content_is_not_handed_out(log: Log) -> None:
    """A content that is not what its name says is refused."""
    await lead(log)
    payload, _ = values.pack("z" * 4000)
    assert payload.blob is not None
    key = bytes.fromhex(payload.blob)
    await log.writer.call(lambda connection: connection.execute("INSERT INTO blobs VALUES (?, 3, x'010203')", (key,)) and None)
    with pytest.raises(StoreDamagedError, match=payload.blob[:12]):
        await log.blob(payload.blob)


async def test_a_conversation_comes_back_in_order(log: Log) -> None:
    """A chain's messages are read oldest first; one that misses a link says so."""
    lease = await lead(log)
    said = [{"role": "user" if number % 2 else "assistant", "content": f"message {number} é"} for number in range(50)]
    head, contents = chain(said)
    lease.append([], contents)
    await lease.flush()
    assert await log.messages(head) == said
    for missing in ("cd" * 32, "", "no hash"):
        with pytest.raises(BlobMissingError):
            await log.messages(missing)
    gone = bytes.fromhex(contents[10][0])
    await log.writer.call(lambda connection: connection.execute("DELETE FROM blobs WHERE hash = ?", (gone,)) and None)
    with pytest.raises(BlobMissingError):
        await log.messages(head)


# --- followers, signals, telemetry


async def test_a_follower_gets_all_of_a_run_and_then_what_comes(log: Log) -> None:
    """Following starts after the version given, hands out every event once and in order, and waits for more."""
    lease = await lead(log)
    await lease.commit(lines(2, 1500))
    seen: list[int] = []

    async def watch() -> None:
        async with aclosing(log.follow(RunId("run"), 5)) as batches:
            async for batch in batches:
                seen.extend(one.version for one in batch)

    watcher = asyncio.create_task(watch())
    for _ in range(20):
        await lease.commit(lines(lease.head + 1, 3))
    await until(lambda: len(seen) == lease.head - 5, "all events")
    assert seen == list(range(6, lease.head + 1))
    watcher.cancel()


async def test_a_follower_of_everything_gets_all_runs(log: Log) -> None:
    """Following no run in particular hands out the whole log by seq, each event with its run."""
    seen: list[tuple[str, int]] = []

    async def watch() -> None:
        async with aclosing(log.follow(None, 0)) as batches:
            async for batch in batches:
                seen.extend((run, one.version) for run, one in batch)

    watcher = asyncio.create_task(watch())
    leases = [await lead(log, f"run-{number}") for number in range(3)]
    for lease in leases:
        await lease.commit(lines(2, 2))
    await until(lambda: len(seen) == 9, "nine events")
    assert sorted(seen) == [(f"run-{number}", version) for number in range(3) for version in (1, 2, 3)]
    assert [run for run, _ in await log.tail(0, limit=4)] == ["run-0", "run-1", "run-2", "run-0"]
    watcher.cancel()


async def test_a_follower_ends_when_the_log_is_closed(log: Log) -> None:
    """Closing the store ends its followers without an error."""
    await lead(log)

    async def watch() -> int:
        return sum([len(batch) async for batch in log.follow(RunId("run"), 0)])

    watcher = asyncio.create_task(watch())
    await until(lambda: bool(log.pulse.waiting), "the follower to wait")
    await log.close()
    assert await watcher == 1


async def test_signals_wait_in_the_inbox(log: Log) -> None:
    """A signal is there when `send` returns, in order, for its run only; the cursor leaves out what was read."""
    await lead(log, "one")
    await lead(log, "two")
    first = await log.send(RunId("one"), "pause", b"{}", actor="user", at=5.0)
    second = await log.send(RunId("two"), "cancel", b'{"why":1}', actor="cli", at=6.0)
    third = await log.send(RunId("one"), "resume", b"{}", actor="user", at=7.0)
    assert first < second < third
    assert [(one.id, one.kind, one.actor, one.at) for one in await log.inbox(RunId("one"), 0)] == [
        (first, "pause", "user", 5.0),
        (third, "resume", "user", 7.0),
    ]
    assert [one.id for one in await log.inbox(RunId("one"), first)] == [third]
    (only,) = await log.inbox(RunId("two"), 0)
    assert (only.run, only.body) == ("two", b'{"why":1}')
    with pytest.raises(RunNotFoundError):
        await log.send(RunId("three"), "pause", b"{}", actor="user", at=5.0)


async def test_a_fork_inherits_the_cursor_not_the_messages(log: Log) -> None:
    """A fork has read what its past had read, and its inbox is empty."""
    lease = await lead(log)
    sent = await log.send(RunId("run"), "pause", b"{}", actor="user", at=2.0)
    await lease.commit([Recorded(2, 2.0, SignalReceived(sent, "pause"))])
    await branch(log, "fork", "run", 2, 2)
    assert (await log.state(RunId("fork"))).inbox == sent
    assert (await log.find("fork")).inbox == sent
    assert await log.inbox(RunId("fork"), 0) == []


async def test_live_lines_and_samples_are_no_history(log: Log) -> None:
    """Watchers find the newest line of each step and the samples, soon; the history has none of it, and lines end with the run."""
    lease = await lead(log)
    for number in range(30):
        log.progress(RunId("run"), "search", f"line {number}", 2.0 + number)
        log.progress(RunId("run"), "count", f"\ud800 {number}", 2.0 + number)
        log.sample(RunId("run"), 2.0 + number, number * 1.5, number * 1000)

    async def there() -> bool:
        return len(await log.samples(RunId("run"))) == 30

    await until(there, "30 samples")
    assert await log.lives(RunId("run")) == {"search": "line 29", "count": "? 29"}
    assert [(one.at, one.cpu, one.rss) for one in await log.samples(RunId("run"), 29.5)] == [
        (30.0, 42.0, 28000),
        (31.0, 43.5, 29000),
    ]
    assert await log.head(RunId("run")) == 1
    state = project([*await log.events(RunId("run")), Recorded(2, 99.0, RunCompleted())])
    await lease.commit([Recorded(2, 99.0, RunCompleted())], row=RunSummary.of(state))
    assert await log.lives(RunId("run")) == {}


async def test_changes_are_noticed_cheaply(log: Log) -> None:
    """`changed` is true the first time and after somebody committed, and false in between."""
    lease = await lead(log)
    assert await log.changed()
    assert not await log.changed()
    await lease.commit(lines(2, 1))
    assert await log.changed()
    assert not await log.changed()


# --- scrubbing and the timeline


async def test_the_cursor_goes_anywhere(log: Log) -> None:
    """Seeking and stepping, on and back, gives the state that folding to that version gives."""
    lease = await lead(log)
    state = project([created()])
    for number in range(400):
        batch = [
            Recorded(lease.head + 1, 2.0 + number, StepStarted(), f"step-{number % 9}", number),
            *lines(lease.head + 2, 5, step=f"step-{number % 9}", at=2.0 + number),
            Recorded(lease.head + 7, 2.5 + number, StepFailed(Failure("error", str(number))), f"step-{number % 9}", number),
        ]
        project(batch, state)
        lease.append(batch)
        lease.snapshot(state)
    await lease.flush()
    history = log.history(RunId("run"))
    assert history.version == 0
    for version in (2801, 2800, 2790, 1, 0, 1400, 1401, 1530, 1400, 2700, 600, 599):
        assert await history.seek(version) == await log.state(RunId("run"), version), version
    for by in (-1, -1, 1, 1, -70, -5, 300, -1, -599, -1):
        await history.step(by)
        assert history.state == await log.state(RunId("run"), history.version), by
    for version in (-1, 2802):
        with pytest.raises(VersionRangeError):
            await history.seek(version)
    await history.seek(2801)
    assert (await history.step(1)).version == 2801


@given(runs(longest=60), st.lists(st.integers(-8, 8) | st.integers(0, 60).map(str), max_size=12))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_going_back_is_the_inverse_of_going_on(history: list[Recorded], moves: list[int | str]) -> None:
    """Whatever the events and the moves, the cursor shows the fold of the events up to where it stands."""

    async def walk() -> None:
        async with await Log.open(":memory:") as log:
            lease = await log.create(RunId("run"), history[:1], pinned(), driver=ME)
            await lease.commit(history[1:])
            cursor = log.history(RunId("run"))
            for move in moves:
                if isinstance(move, str):
                    await cursor.seek(min(int(move), len(history)))
                else:
                    await cursor.step(move)
                assert cursor.state == project(history[: cursor.version])
            await lease.release()

    asyncio.run(walk())


async def test_going_back_past_what_changed_an_open_effect(log: Log) -> None:
    """A child run rests, in two events' distance from where its effect was last seen: before that it did not rest."""
    lease = await lead(log)
    began = (await log.events(RunId("run")))[-1].version
    facts = [
        EffectRequested("child", "below", "h", Safety.IDEMPOTENT), LogWritten("one"), LogWritten("two"),
        ChildParked(began + 1, "paused"), ChildSpent(began + 1, (Spent("m", 1),)), EffectInDoubt(began + 1),
    ]  # fmt: skip
    await lease.commit([Recorded(began + place, 1.0, fact, "search", 1) for place, fact in enumerate(facts, 1)])
    history, recorded = log.history(RunId("run")), await log.events(RunId("run"))
    await history.seek(began + 6)
    for _ in range(5):
        await history.step(-1)
        assert history.state == project(recorded[: history.version])


async def test_the_cursor_follows_a_run_that_goes_on(log: Log) -> None:
    """At the head a step stays; once there is more, it goes on."""
    lease = await lead(log)
    history = log.history(RunId("run"))
    assert (await history.seek(1)).version == 1
    assert (await history.step(1)).version == 1
    await lease.commit(lines(2, 300))
    assert (await history.step(1)).version == 2
    assert (await history.seek(301)).logs == 300


async def test_stepping_back_over_a_trails_end_needs_no_wait(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the trail ends an earlier one is ready: 3,000 steps back in a row show the right states all the way."""
    monkeypatch.setattr("store.history.TRAIL", 200)
    lease = await lead(log)
    state = project([created()])
    while lease.head < 4000:
        batch = lines(lease.head + 1, 100, step=f"step-{lease.head % 7}")
        project(batch, state)
        lease.append(batch)
        lease.snapshot(state)
    await lease.flush()
    history: History = log.history(RunId("run"))
    await history.seek(3900)
    for version in range(3899, 900, -1):
        assert (await history.step(-1)).version == version
        assert history.state.logs == version - 1
    assert history.state == await log.state(RunId("run"), 901)


async def test_a_timeline_gets_its_marks_counts_and_moments(log: Log) -> None:
    """Marked events are found without a scan, events are counted by slices of time, and moments are versions; in forks too."""
    lease = await lead(log)
    for number in range(100):
        event = StepFailed(Failure("error", "no")) if number % 25 == 0 else RunAttached(1, 1.0) if number == 60 else StepStarted()
        lease.append([Recorded(lease.head + 1, 10.0 + number, event, "search", 1)])
    await lease.flush()
    await branch(log, "fork", "run", 51, 101, at=200.0)
    marks = await log.marks(RunId("run"))
    assert [(mark.version, mark.type, mark.step) for mark in marks] == [
        (2, "step.failed", "search"), (27, "step.failed", "search"), (52, "step.failed", "search"), (62, "run.attached", "search"),
        (77, "step.failed", "search"),
    ]  # fmt: skip
    assert [mark.version for mark in await log.marks(RunId("run"), limit=2)] == [2, 27]
    assert [(mark.version, mark.type) for mark in await log.marks(RunId("fork"))] == [
        (2, "step.failed"), (27, "step.failed"), (52, "run.forked"),
    ]  # fmt: skip
    assert await log.density(RunId("run"), 10, 10.0, 110.0) == [10] * 10
    assert await log.density(RunId("run"), 3, 1.0, 109.0) == [28, 36, 37]
    assert await log.density(RunId("fork"), 2, 1.0, 399.0) == [51, 1]
    assert await log.density(RunId("run"), 2, 500.0, 600.0) == [0, 0]
    for moment, version in ((0.0, 0), (1.0, 1), (9.9, 1), (10.0, 2), (59.99, 51), (1e9, 101)):
        assert await log.locate(RunId("run"), at=moment) == version
    assert await log.locate(RunId("fork"), at=199.0) == 51
    assert await log.locate(RunId("run"), step="search") == 2
    assert await log.locate(RunId("run"), step="nobody") == 0


# --- closing


async def test_closing_writes_what_was_queued(tmp_path: Path) -> None:
    """Rows nobody waited for are durable once the store is closed."""
    async with await Log.open(tmp_path / "runs.db") as log:
        lease = await lead(log)
        lease.append(lines(2, 50))
        log.progress(RunId("run"), "search", "here", 2.0)
    async with await Log.open(tmp_path / "runs.db") as log:
        assert await log.head(RunId("run")) == 51
        assert await log.lives(RunId("run")) == {"search": "here"}


async def test_a_closed_store_says_so(log: Log) -> None:
    """After closing every use is one clear error, and closing again is nothing."""
    lease = await lead(log)
    await log.close()
    await log.close()
    for use in (log.find("run"), log.send(RunId("run"), "pause", b"", actor="a", at=1.0), lead(log, "two")):
        with pytest.raises(StoreUnusableError, match="was closed"):
            await use
    with pytest.raises(LeaseLostError, match="was let go"):
        await lease.commit(lines(2, 1))


async def test_states_are_the_callers_own(log: Log) -> None:
    """A state handed out is not shared: changing it changes no later answer."""
    lease = await lead(log)
    await lease.commit(lines(2, 3))
    state = await log.state(RunId("run"))
    state.steps.clear()
    assert len((await log.state(RunId("run"))).steps) == 4
    assert RunState() == RunState()

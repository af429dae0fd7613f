"""Runs as one portable file: out and in without loss, and nothing in a stranger's file gets further than a sentence."""

from __future__ import annotations

import asyncio
import io
import json
import stat
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from store import BundleError, Log, RunId, RunSummary, StoreDamagedError, StoreError, chain, rows, values
from store.bundle import BundledEvent, export_runs
from store.events import EffectRequested, Recorded, Safety, SignalReceived, StepCompleted, UnknownEvent
from store.unbundling import import_bundle
from tests.happenings import lines, one_of_each, pinned
from tests.stores import ME, branch, lead


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    """A store with a run that refers to contents of every kind, and a fork of it."""
    async with await Log.open(tmp_path / "here.db") as opened:
        lease = await lead(opened)
        head, contents = chain([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho " * 600}])
        arguments, _ = values.pack({"model": "m", "messages": {"chain": head, "count": 2}})
        big, content = values.pack({"text": "x" * 5000})
        assert big.blob is not None
        assert content is not None
        await lease.commit(
            [
                Recorded(2, 2.0, EffectRequested("model", "m", "h", Safety.READ, arguments=arguments), "search", 1),
                Recorded(3, 2.5, StepCompleted(big), "search", 1, 2, "user"),
                Recorded(4, 2.5, UnknownEvent("step.teleported", 7, '{\n "to": "mars"\n}'), "search", 1),
                *lines(5, 1500),
            ],
            [*contents, (big.blob, content)],
        )
        lease.append([], row=RunSummary.of(await opened.state(RunId("run"))))
        await branch(opened, "fork", "run", 900, 1504, more=lines(902, 5))
        yield opened


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[Log]:
    """Another store, with a run of its own."""
    async with await Log.open(tmp_path / "there.db") as opened:
        await lead(opened, "theirs")
        yield opened


@pytest.fixture
async def bundle(log: Log, tmp_path: Path) -> Path:
    """Both runs as a file."""
    assert await export_runs(log, [RunId("fork")], tmp_path / "runs.zip") == 2
    return tmp_path / "runs.zip"


async def test_runs_come_back_as_they_were(log: Log, there: Log, bundle: Path) -> None:
    """A fork travels with its ancestors; events, states, contents and conversations are the same on the other side."""
    assert await import_bundle(there, bundle) == ["run", "fork"]
    for run in (RunId("run"), RunId("fork")):
        here, gone = await log.events(run), await there.events(run)
        assert [(one.version, one.at, one.event, one.step, one.attempt, one.causation, one.actor) for one in gone] == [
            (one.version, one.at, one.event, one.step, one.attempt, one.causation, one.actor) for one in here
        ]
        assert await there.state(run) == await log.state(run)
        mine, theirs = await log.find(run), await there.find(run)
        for name in (
            "pipeline",
            "status",
            "head",
            "created",
            "last_at",
            "parent",
            "parent_version",
            "reuse_upto",
            "steps",
            "settled",
        ):
            assert getattr(theirs, name) == getattr(mine, name), name
        assert (mine.imported, theirs.imported, theirs.driver) == (False, True, None)
    assert await there.output(RunId("fork"), 3) == {"text": "x" * 5000}
    asked = (await there.events(RunId("run"), upto=2))[1].event
    assert len(await there.messages((await there.value(asked.arguments))["messages"]["chain"])) == 2
    assert await there.check() == []
    assert await there.marks(RunId("fork")) == await log.marks(RunId("fork"))


async def test_importing_again_changes_nothing(log: Log, there: Log, bundle: Path) -> None:
    """What is there already is passed over, also when it has gone on since."""
    await import_bundle(there, bundle)
    lease = await there.acquire(RunId("fork"), driver=ME)
    await lease.commit(lines(lease.head + 1, 3))
    await lease.release()
    assert await import_bundle(there, bundle) == []
    assert await there.head(RunId("fork")) == 909
    assert await import_bundle(log, bundle) == []


async def test_a_run_of_the_same_name_with_another_past_is_refused(there: Log, bundle: Path) -> None:
    """A name that is taken by a different run refuses the whole bundle and names it; nothing was taken in."""
    other = await lead(there, "run", at=5.0)
    await other.commit(lines(2, 3))
    with pytest.raises(BundleError, match="this store has another run run, with another past; nothing was changed"):
        await import_bundle(there, bundle)
    assert {row.id for row in await there.runs()} == {"theirs", "run"}
    assert await there.head(RunId("run")) == 4


async def test_an_imported_run_can_be_led(there: Log, bundle: Path) -> None:
    """An imported run goes on and is forked like any other."""
    await import_bundle(there, bundle)
    lease = await there.acquire(RunId("fork"), driver=ME)
    await lease.commit(lines(907, 2))
    await (await branch(there, "again", "fork", 905, 908)).release()
    assert len(await there.events(RunId("again"))) == 906
    await lease.release()


async def test_signals_to_an_imported_run_are_new(log: Log, there: Log, tmp_path: Path) -> None:
    """A run that read signal 40 elsewhere gets its next one here with a higher id, so that it is not taken for read."""
    lease = await lead(log, "asked")
    await lease.commit([Recorded(2, 2.0, SignalReceived(40, "pause"))])
    await export_runs(log, [RunId("asked")], tmp_path / "asked.zip")
    await import_bundle(there, tmp_path / "asked.zip")
    cursor = (await there.state(RunId("asked"))).inbox
    assert await there.send(RunId("asked"), "resume", b"", actor="user", at=3.0) == 41
    assert [signal.id for signal in await there.inbox(RunId("asked"), cursor)] == [41]


async def test_only_what_is_referred_to_travels(log: Log, tmp_path: Path) -> None:
    """A bundle holds the contents of its runs and no others, even if a value mentions another's hash."""
    secret, content = values.pack("a secret of another run " * 100)
    assert secret.blob is not None
    assert content is not None
    (await lead(log, "secret")).append([Recorded(2, 2.0, StepCompleted(secret), "search", 1)], [(secret.blob, content)], wake=True)
    nosy = await lead(log, "nosy")
    await nosy.commit([Recorded(2, 2.0, StepCompleted(values.pack({"blob": secret.blob, "chain": secret.blob})[0]), "search", 1)])
    await export_runs(log, [RunId("nosy")], tmp_path / "nosy.zip")
    with zipfile.ZipFile(tmp_path / "nosy.zip") as archive:
        assert [name for name in archive.namelist() if name.startswith("blobs/")] == [f"blobs/{pinned()[0][0]}"]


async def test_a_bundle_is_private_whole_and_the_same_each_time(log: Log, bundle: Path, tmp_path: Path) -> None:
    """The file is 0600, the same runs make the same bytes, and any zip and JSON tool can read it."""
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o600
    await export_runs(log, [RunId("run"), RunId("fork")], tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == bundle.read_bytes()
    with zipfile.ZipFile(bundle) as archive:
        first = [json.loads(line) for line in archive.read("events/1.jsonl").splitlines()]
        assert json.loads(archive.read("manifest.json"))["format"] == "tagent-bundle"
    assert first[0]["data"]["pipeline"] == "research"
    assert first[3]["text"] == '{\n "to": "mars"\n}'
    assert sorted(found.name for found in tmp_path.glob(".*")) == []


async def test_an_existing_file_is_not_overwritten_unasked(log: Log, bundle: Path) -> None:
    """A file of that name stays as it is, unless the caller says otherwise; a link is replaced, not followed."""
    target = bundle.parent / "precious.txt"
    target.write_text("precious")
    with pytest.raises(StoreError, match=r"precious\.txt exists"):
        await export_runs(log, [RunId("run")], target)
    assert target.read_text() == "precious"
    link = bundle.parent / "link.zip"
    link.symlink_to(target)
    with pytest.raises(StoreError, match=r"link\.zip exists"):
        await log.backup(link)
    await export_runs(log, [RunId("run")], link, overwrite=True)
    assert not link.is_symlink()
    assert target.read_text() == "precious"


async def test_a_copy_onto_the_store_itself_is_refused(log: Log, tmp_path: Path) -> None:
    """A backup never replaces the store it copies, under any name of it."""
    (tmp_path / "same.db").hardlink_to(log.path)
    for target in (Path(log.path), tmp_path / "same.db"):
        with pytest.raises(StoreError, match="is the store itself"):
            await log.backup(target, overwrite=True)
    with pytest.raises(StoreError):
        await log.backup(tmp_path / "nowhere" / "copy.db")
    assert await log.check() == []


async def test_memory_is_copied_to_a_file(tmp_path: Path) -> None:
    """A backup of a memory store is a store like any other."""
    async with await Log.open(":memory:") as log:
        lease = await lead(log)
        await lease.commit(lines(2, 50))
        await log.backup(tmp_path / "copy.db")
    async with await Log.open(tmp_path / "copy.db") as copy:
        assert await copy.head(RunId("run")) == 51
        assert await copy.check() == []


async def test_a_damaged_run_is_not_exported(log: Log, tmp_path: Path) -> None:
    """A run with an event that is not what was recorded is not passed on, and no file is left."""
    await log.writer.call(lambda connection: connection.execute("DROP TRIGGER events_never_change") and None)
    await log.writer.call(
        lambda connection: connection.execute("UPDATE events SET at = 3 WHERE run = 1 AND version = 700") and None
    )
    with pytest.raises(StoreDamagedError, match="Event 700 of run run is damaged"):
        await export_runs(log, [RunId("fork")], tmp_path / "out.zip")
    assert list(tmp_path.glob("*.zip")) == []
    assert list(tmp_path.glob(".*")) == []


# --- strangers' files


def remade(bundle: Path, change: Callable[[dict[str, bytes]], Any]) -> Path:
    """A copy of a bundle with its entries changed."""
    with zipfile.ZipFile(bundle) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    path = bundle.with_name("changed.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def manifest(entries: dict[str, bytes], **changes: Any) -> None:
    """Change fields of the manifest's first run."""
    found = json.loads(entries["manifest.json"])
    found["runs"][0].update(changes)
    entries["manifest.json"] = json.dumps(found).encode()


def event(entries: dict[str, bytes], number: int, **changes: Any) -> None:
    """Change fields of one event of the first run."""
    found = entries["events/1.jsonl"].splitlines(keepends=True)
    found[number] = json.dumps({**json.loads(found[number]), **changes}).encode() + b"\n"
    entries["events/1.jsonl"] = b"".join(found)


def checked(kind: str, entries: dict[str, bytes], number: int) -> int:
    """The checksum a line of the first run would have with another type."""
    line = msgspec.json.decode(entries["events/1.jsonl"].splitlines()[number], type=BundledEvent)
    text = bytes(line.data).decode()
    return rows.checksum(rows.seed("run"), line.version, kind, 1, line.at, line.step, line.attempt, line.causation, None, text)


def dropped(entries: dict[str, bytes], name: str) -> None:
    """Take an entry out."""
    del entries[name]


STRANGE: dict[str, Callable[[dict[str, bytes]], Any]] = {
    "a payload changed": lambda entries: event(entries, 10, data={"text": "other"}),
    "a time changed": lambda entries: event(entries, 10, at=99.0),
    "a step changed": lambda entries: event(entries, 10, step="report"),
    "a version changed": lambda entries: event(entries, 10, version=12),
    "a type with a slash": lambda entries: event(entries, 10, type="a/1", checksum=checked("a/1", entries, 10)),
    "a time that is none": lambda entries: event(entries, 10, at=None),
    "an event dropped": lambda entries: entries.update(
        {"events/1.jsonl": b"".join(entries["events/1.jsonl"].splitlines(True)[:-1])}
    ),
    "an event twice": lambda entries: entries.update(
        {"events/1.jsonl": entries["events/1.jsonl"] + entries["events/1.jsonl"][-200:]}
    ),
    "lines that are no JSON": lambda entries: entries.update({"events/1.jsonl": b"\x00\xff\n" * 50}),
    "a deep line": lambda entries: entries.update({"events/1.jsonl": b"[" * 200_000}),
    "no events": lambda entries: dropped(entries, "events/1.jsonl"),
    "no manifest": lambda entries: dropped(entries, "manifest.json"),
    "an empty manifest": lambda entries: entries.update({"manifest.json": b""}),
    "a manifest of another": lambda entries: entries.update({"manifest.json": b'{"format": "zip", "version": 1, "runs": []}'}),
    "a newer manifest": lambda entries: entries.update({"manifest.json": b'{"format": "tagent-bundle", "version": 9, "runs": []}'}),
    "another run's name": lambda entries: manifest(entries, id="other"),
    "a name that is a path": lambda entries: manifest(entries, id="../../x\n"),
    "a name that is a flag": lambda entries: manifest(entries, id="--help"),
    "the same run twice": lambda entries: manifest(entries, id="fork"),
    "a head too high": lambda entries: manifest(entries, head=10**12),
    "a head below the beginning": lambda entries: manifest(entries, head=0),
    "a beginning of zero": lambda entries: manifest(entries, first=0),
    "a parent nobody has": lambda entries: manifest(entries, parent="nobody", parent_version=3, first=4, reuse_upto=3),
    "its own parent": lambda entries: manifest(entries, parent="run", parent_version=3, first=4, reuse_upto=3),
    "a file outside": lambda entries: manifest(entries, file="../../etc/passwd"),
    "a file that is a content": lambda entries: manifest(entries, file=next(name for name in entries if name.startswith("blobs"))),
    "a path that leaves": lambda entries: entries.update({"../../evil.py": b"boom"}),
    "an absolute path": lambda entries: entries.update({"/tmp/evil": b"boom"}),
    "a backslash path": lambda entries: entries.update({"..\\evil": b"boom"}),
    "a script": lambda entries: entries.update({"setup.py": b"boom"}),
    "a folder": lambda entries: entries.update({"blobs/": b""}),
    "a content that is another": lambda entries: entries.update({f"blobs/{'ab' * 32}": b"not that"}),
    "a bomb": lambda entries: entries.update({f"blobs/{'ab' * 32}": b"\x00" * (200 << 20)}),
    "a huge manifest": lambda entries: entries.update({"manifest.json": b" " * (65 << 20)}),
}


@pytest.mark.parametrize("change", STRANGE.values(), ids=STRANGE)
async def test_a_bundle_that_does_not_add_up(there: Log, bundle: Path, change: Callable[[dict[str, bytes]], Any]) -> None:
    """Anything changed, missing, too much or too large refuses the bundle in one sentence; nothing is taken in or written."""
    path = remade(bundle, change)
    before = sorted(bundle.parent.iterdir())
    with pytest.raises(BundleError) as caught:
        await import_bundle(there, path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path} cannot be taken in: ")
    assert str(caught.value).endswith("; nothing was changed.")
    assert [row.id for row in await there.runs()] == ["theirs"]
    assert sorted(bundle.parent.iterdir()) == before


@pytest.mark.parametrize("content", [b"", b"x", b"PK\x05\x06" + b"\x00" * 18, b"PK\x03\x04" * 100, b"SQLite format 3\x00" * 10])
async def test_a_file_that_is_no_bundle(there: Log, tmp_path: Path, content: bytes) -> None:
    """An empty file, an empty zip, a database: no bundle, in one sentence."""
    path = tmp_path / "strange.zip"
    path.write_bytes(content)
    with pytest.raises(BundleError, match="cannot be taken in"):
        await import_bundle(there, path)


async def test_a_bundle_that_is_not_there(there: Log, tmp_path: Path) -> None:
    """A missing file and a folder are one sentence each."""
    for path in (tmp_path / "missing.zip", tmp_path):
        with pytest.raises(BundleError, match="cannot be taken in"):
            await import_bundle(there, path)


async def test_a_truncated_or_flipped_bundle(there: Log, bundle: Path) -> None:
    """Cut or flipped anywhere, a bundle is refused or, where the byte meant nothing, taken in whole; never a part."""
    whole = bundle.read_bytes()
    path = bundle.with_name("damaged.zip")
    for place in range(0, len(whole), max(1, len(whole) // 60)):
        flipped = bytearray(whole)
        flipped[place] ^= 0x41
        for content in (whole[:place], bytes(flipped)):
            path.write_bytes(content)
            try:
                taken = await import_bundle(there, path)
            except BundleError:
                assert [row.id for row in await there.runs()] == ["theirs"]
            else:
                assert taken == ["run", "fork"]
                assert await there.check() == []
                return


async def test_an_encrypted_bundle_is_refused(there: Log, bundle: Path) -> None:
    """An entry that says it is encrypted is refused."""
    content = bytearray(bundle.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(mark)
        while place >= 0:
            content[place + offset] |= 1
            place = content.find(mark, place + 4)
    path = bundle.with_name("locked.zip")
    path.write_bytes(content)
    with pytest.raises(BundleError):
        await import_bundle(there, path)


async def test_two_entries_of_one_name_are_refused(there: Log, bundle: Path) -> None:
    """A name that stands twice (tools differ in which they take) is refused."""
    content = io.BytesIO(bundle.read_bytes())
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(content, "a") as archive:
        archive.writestr("manifest.json", b"{}")
    path = bundle.with_name("twice.zip")
    path.write_bytes(content.getvalue())
    with pytest.raises(BundleError, match="does not belong"):
        await import_bundle(there, path)


async def test_a_run_of_every_event_travels(there: Log, log: Log, tmp_path: Path) -> None:
    """Every type of event goes out and in unchanged."""
    lease = await lead(log, "all")
    await lease.commit([Recorded(place, float(place), one, "search", 1) for place, one in enumerate(one_of_each(), 2)])
    await export_runs(log, [RunId("all")], tmp_path / "all.zip")
    await import_bundle(there, tmp_path / "all.zip")
    assert [one.event for one in await there.events(RunId("all"))] == [one.event for one in await log.events(RunId("all"))]


async def test_a_cancelled_export_leaves_nothing(log: Log, tmp_path: Path) -> None:
    """An export that is cancelled half way leaves neither its file nor a draft."""
    exporting = asyncio.create_task(export_runs(log, [RunId("fork")], tmp_path / "out.zip"))
    for _ in range(5):
        await asyncio.sleep(0)
    exporting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await exporting
    assert [found.name for found in tmp_path.iterdir() if "zip" in found.name] == []

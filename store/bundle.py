"""Runs as one portable file, out and in.

A zip of JSON lines and contents, not a SQLite file: any tool can read it, and taking one in parses text to known types instead of
opening a foreign database. Nothing in it is ever executed or unpacked to a path; names that are not expected are refused.

    manifest.json      format, version, the runs (an ancestor before its forks)
    events/N.jsonl     the own events of run N, one a line, each with its checksum
    blobs/HASH         the contents they refer to
"""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from store import rows
from store.backup import whole
from store.blobs import SELECT as SELECT_BLOB
from store.blobs import unhex32
from store.errors import BundleError, StoreDamagedError, StoreError
from store.events import RunId
from store.inspection import row_checksum
from store.references import References

if TYPE_CHECKING:
    from store.log import Log
    from store.reader import Row

FORMAT = "tagent-bundle"
VERSION = 1

_PAGE = 1000
_OWN = f"SELECT {rows.COLUMNS}, checksum FROM events WHERE run = ? AND version > ? ORDER BY version LIMIT {_PAGE}"  # noqa: S608

_CALLED = "SELECT r.id FROM callers k JOIN runs r USING (run) WHERE k.caller = ? ORDER BY run"


class BundledRun(msgspec.Struct, omit_defaults=True):
    """A run in the manifest: its own events are versions `first` to `head`, in `file`."""

    id: str
    file: str
    first: int
    head: int
    parent: str | None = None
    parent_version: int | None = None
    reuse_upto: int | None = None


class Manifest(msgspec.Struct):
    """What a bundle holds."""

    format: str
    version: int
    runs: list[BundledRun]


class BundledEvent(msgspec.Struct, omit_defaults=True):
    """One line: the columns of the event. `data` is its JSON as it is; `text` stands instead where it is no JSON on one line."""

    version: int
    at: float
    type: str
    schema: int
    checksum: int
    step: str | None = None
    attempt: int = 0
    causation: int | None = None
    actor: str | None = None
    data: msgspec.Raw = msgspec.Raw()
    text: str | None = None


async def export_runs(log: Log, runs: Sequence[RunId], target: Path, overwrite: bool = False) -> int:
    """Write runs, those they were forked from and their child runs into one file (0600, whole or not there); how many they were.

    Raises `StoreDamagedError` for a run that is not whole, `StoreError` when there is such a file already.
    """
    place = Path(target).absolute()
    for own in (log.path, f"{log.path}-wal", f"{log.path}-shm"):
        if place.exists() and Path(own).exists() and place.samefile(own):
            raise StoreError(f"{target} is the store itself; choose another file.")
    order: dict[str, int] = {}
    await _with_relatives(log, runs, order)
    with whole(place, overwrite=overwrite) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
        await _write(log, order, archive)
    return len(order)


async def _with_relatives(log: Log, runs: Sequence[RunId], order: dict[str, int]) -> None:
    """Run ids to row numbers: an ancestor before its forks, a caller before its children."""
    for run in runs:
        for number, id in await log.lineages.family(run):
            if id not in order:
                order[id] = number
                called = await log.reader.all(_CALLED, (id,))
                await _with_relatives(log, [RunId(child) for (child,) in called], order)


async def _write(log: Log, order: dict[str, int], archive: zipfile.ZipFile) -> None:
    references = References(log.reader)
    manifest = Manifest(FORMAT, VERSION, [])
    wanted: list[str] = []
    for place, (id, number) in enumerate(order.items(), 1):
        run = await _describe(log, id, f"events/{place}.jsonl")
        with archive.open(_entry(run.file), "w", force_zip64=True) as entry:
            async for page in _own_events(log, id, number, run):
                wanted += await references.new(recorded.event for recorded in rows.recorded(row[:-1] for row in page))
                lines = b"".join(msgspec.json.encode(_line(row)) + b"\n" for row in page)
                await asyncio.to_thread(entry.write, lines)
        manifest.runs.append(run)
    for hash in wanted:
        found = await log.reader.all(SELECT_BLOB, (unhex32(hash),))
        if found:
            await asyncio.to_thread(archive.writestr, _entry(f"blobs/{hash}"), found[0][0])
    archive.writestr(_entry("manifest.json"), msgspec.json.format(msgspec.json.encode(manifest)))


def _entry(name: str) -> zipfile.ZipInfo:
    """An entry without a date, so that the same runs make the same file."""
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


async def _describe(log: Log, id: str, file: str) -> BundledRun:
    row = await log.find(id)
    return BundledRun(id, file, (row.parent_version or 0) + 1, row.head, row.parent, row.parent_version, row.reuse_upto)


async def _own_events(log: Log, id: str, number: int, run: BundledRun) -> AsyncIterator[list[Row]]:
    """The rows of a run, verified, up to the head the manifest will name."""
    after = run.first - 1
    while after < run.head:
        page = [row for row in await log.reader.all(_OWN, (number, after)) if row[0] <= run.head]
        for due, row in enumerate(page, after + 1):
            if row[0] != due or row_checksum(id, list(row[:-1])) != row[-1]:
                raise StoreDamagedError(f"Event {due} of run {id} is damaged, so the run is not exported; see what `check` finds.")
        if not page:
            raise StoreDamagedError(f"Run {id} lacks its events after {after}, so it is not exported; see what `check` finds.")
        after = page[-1][0]
        yield page


def _line(row: Row) -> BundledEvent:
    version, at, kind, schema, step, attempt, causation, actor, _, text, check = row
    line = BundledEvent(version, at, kind, schema, check, step, attempt, causation, actor)
    if is_one_line_of_json(text):
        line.data = msgspec.Raw(text.encode())
    else:
        line.text = text
    return line


_read_raw = msgspec.json.Decoder(msgspec.Raw).decode


def is_one_line_of_json(text: str) -> bool:
    """Whether a text can stand in a line as it is."""
    if "\n" in text or not text:
        return False
    try:
        _read_raw(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return text == text.strip()


def damaged(path: Path, what: str) -> BundleError:
    """The sentence for a file that cannot be taken in."""
    return BundleError(f"{path} cannot be taken in: {what}; nothing was changed.")

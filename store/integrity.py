"""Is everything still what was written? The file's structure, a checksum for each event, gaps, contents.

Stands apart because it distrusts what the rest relies on: it reads around damage and names each event it cannot read
or that is not what was recorded.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from store import blobs, rows, values
from store.errors import StoreDamagedError, StoreUnusableError
from store.events import RunId
from store.inspection import row_checksum
from store.reader import Reader, Row
from store.references import References

PAGE = 500
LIMIT = 1000
"""Findings after which looking stops: the file is past naming single events."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong: where (None: in the file as a whole, or not known) and what, as a clause."""

    run: RunId | None
    version: int | None
    seq: int | None
    what: str


async def check(reader: Reader) -> list[Finding]:
    """Everything found wrong, at most `LIMIT`; empty for a whole store. Reads every byte; other readers and the writer go on."""
    found: list[Finding] = []
    async for finding in _findings(reader):
        found.append(finding)
        if len(found) == LIMIT:
            found.append(Finding(None, None, None, "there is more; the rest was not looked at"))
            break
    return found


async def _findings(reader: Reader) -> AsyncIterator[Finding]:
    async for finding in _structure(reader):
        yield finding
    try:
        runs = await reader.all("SELECT run, id, head, parent, parent_version FROM runs ORDER BY run")
    except StoreUnusableError:
        yield Finding(None, None, None, "the list of runs cannot be read")
        return
    heads = {run: head for run, _, head, _, _ in runs}
    references = References(reader)
    for run, id, head, parent, parent_version in runs:
        if parent is not None and heads.get(parent, 0) < (parent_version or 0):
            yield Finding(id, None, None, "the run it was forked from is missing or shorter than the fork point")
        async for finding in _run(reader, references, run, id, (parent_version or 0) + 1, head):
            yield finding
    async for finding in _contents(reader):
        yield finding
    async for finding in _spaces(reader):
        yield finding


async def _structure(reader: Reader) -> AsyncIterator[Finding]:
    try:
        for (line,) in await reader.all("PRAGMA integrity_check(100)"):
            if line != "ok":
                yield Finding(None, None, None, f"the file's structure: {line}")
    except StoreUnusableError as error:
        yield Finding(None, None, None, f"the file's structure cannot be checked: {error.__cause__}")


async def _run(reader: Reader, references: References, run: int, id: str, first: int, head: int) -> AsyncIterator[Finding]:
    due = first
    async for row in _rows(reader, run, first, head):
        if isinstance(row, int):
            yield Finding(RunId(id), row, None, "the event cannot be read: its page is damaged")
            due = row + 1
            continue
        version, seq, stored = row[0], row[8], row[10]
        if version != due:
            yield Finding(RunId(id), due, None, f"{version - due} events are missing before version {version}")
        due = version + 1
        if row_checksum(id, list(row[:-1])) != stored:
            yield Finding(RunId(id), version, seq, "the event is not what was recorded: its checksum differs")
            continue
        for (hash,) in await _missing(reader, references, row):
            yield Finding(RunId(id), version, seq, f"the content {hash[:12]} it refers to is missing")
    if due != head + 1:
        yield Finding(RunId(id), due, None, f"its last {head + 1 - due} events are missing")


async def _rows(reader: Reader, run: int, first: int, head: int) -> AsyncIterator[Row | int]:
    """The rows of a run; where a page cannot be read, one by one, the unreadable ones as their version."""
    wanted = f"SELECT {rows.COLUMNS}, checksum FROM events WHERE run = ? AND version BETWEEN ? AND ? ORDER BY version LIMIT {PAGE}"  # noqa: S608
    while first <= head:
        try:
            page = await reader.all(wanted, (run, first, head))
        except StoreDamagedError:
            for version in range(first, min(first + PAGE, head + 1)):
                try:
                    for row in await reader.all(wanted, (run, version, version)):
                        yield row
                except StoreDamagedError:
                    yield version
            first += PAGE
            continue
        for row in page:
            yield row
        if len(page) < PAGE:
            return
        first = page[-1][0] + 1


async def _missing(reader: Reader, references: References, row: Row) -> list[Row]:
    wanted = await references.new([recorded.event for recorded in rows.recorded([row[:-1]])])
    if not wanted:
        return []
    return await reader.all(
        "SELECT value FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM blobs WHERE hash = unhex32(value))",
        (msgspec.json.encode(wanted).decode(),),
    )


async def _contents(reader: Reader) -> AsyncIterator[Finding]:
    after = 0
    while True:
        try:
            page = await reader.all("SELECT rowid, hash, size FROM blobs WHERE rowid > ? ORDER BY rowid LIMIT 1000", (after,))
        except StoreDamagedError:
            yield Finding(None, None, None, "the contents after the damaged page cannot be read")
            return
        for row, key, size in page:
            problem = await _content_problem(reader, row, key, size)
            if problem:
                yield Finding(None, None, None, f"the content {key.hex()[:12]} {problem}")
        if not page:
            return
        after = page[-1][0]


async def _spaces(reader: Reader) -> AsyncIterator[Finding]:
    """Versions of a memory space count from 1 without gaps."""
    try:
        counted = await reader.all("SELECT space, max(version) - count(*) FROM spaces GROUP BY space")
    except StoreDamagedError:
        yield Finding(None, None, None, "the changes of memory spaces cannot be read")
        return
    for space, missing in counted:
        if missing:
            yield Finding(None, None, None, f"the memory space {space!r} lacks {missing} of its changes")


async def _content_problem(reader: Reader, row: int, key: bytes, size: int) -> str | None:
    try:
        ((content,),) = await reader.all("SELECT data FROM blobs WHERE rowid = ?", (row,))
    except StoreDamagedError:
        return "cannot be read: its page is damaged"
    if len(content) != size or blobs.key(values.digest(content)) != key:
        return "is not what was stored"
    return None

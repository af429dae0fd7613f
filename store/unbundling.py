"""Taking a bundle in: every name, size, checksum and hash is checked before anything is written, and again while writing.

Stands apart because the file is a stranger's. It is read twice: once to check, outside any transaction, and once to write, in one.
Entries are read as streams and never unpacked to a path, so no name in it can leave its place; sizes are bounded before reading.
"""

from __future__ import annotations

import asyncio
import io
import math
import re
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from store import audit, births, blobs, folding, lineage, rows, values
from store.bundle import FORMAT, VERSION, BundledEvent, BundledRun, Manifest, damaged
from store.errors import BundleError, StoreError
from store.events import RunId
from store.lease import insert
from store.state import RunState

if TYPE_CHECKING:
    from store.log import Log

MANIFEST_LIMIT = 64 << 20
LINE_LIMIT = 64 << 20
BLOB_LIMIT = 1 << 30
TOTAL_LIMIT = 64 << 30
"""Bytes an entry, or all of them together, may have."""

SWELL_LIMIT = 200
"""How many times its own size a bundle may unpack to (beyond 64 MiB): deflate reaches 1,000 on what is made to hurt."""

CURSOR_LIMIT = 1 << 60
"""The highest inbox id a run may have read: ours go on from there, so that no signal is mistaken for a read one."""

_NAME = re.compile(r"manifest\.json|events/[1-9][0-9]{0,8}\.jsonl|blobs/[0-9a-f]{64}")
_PAGE = 1000

_read_manifest = msgspec.json.Decoder(Manifest).decode
_read_event = msgspec.json.Decoder(BundledEvent).decode


async def import_bundle(log: Log, source: Path) -> list[RunId]:
    """Take in the runs of a bundle, all or none; returns those that were not there yet. They can be viewed, nothing is executed.

    Raises `BundleError` for what is no bundle, is damaged, or has a run that differs from the one of that name here.
    """
    bundle = await asyncio.to_thread(Bundle, Path(source))
    try:
        await asyncio.to_thread(bundle.verify)
        taken = await log.writer.call(bundle.take_in)
    finally:
        bundle.close()
    return [RunId(run) for run in taken]


class Bundle:
    """An open bundle. Raises `BundleError` for what is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._complaining():
            self._archive = zipfile.ZipFile(path)
        try:
            with self._complaining():
                self._check_entries()
                self.manifest = _read_manifest(self._archive.read("manifest.json"))
                self._check_manifest()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._archive.close()

    @contextmanager
    def _complaining(self) -> Iterator[None]:
        """What zip, zlib and JSON raise becomes one sentence."""
        try:
            yield
        except IsADirectoryError as error:
            raise damaged(self.path, "it is a folder") from error
        except OSError as error:
            raise damaged(self.path, str(error.strerror or error)) from error
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise damaged(self.path, f"it is no bundle or is damaged ({error})") from error
        except (KeyError, ValueError, OverflowError) as error:  # a missing entry, or text that is not of its shape
            raise damaged(self.path, f"it is damaged ({error})") from error

    def _refuse(self, what: str) -> BundleError:
        return damaged(self.path, what)

    def _check_entries(self) -> None:
        seen: set[str] = set()
        total = 0
        for entry in self._archive.infolist():
            name, size = entry.filename, entry.file_size
            limit = BLOB_LIMIT if name.startswith("blobs/") else MANIFEST_LIMIT if name == "manifest.json" else TOTAL_LIMIT
            if not _NAME.fullmatch(name) or name in seen:
                raise self._refuse(f"it holds {name[:80]!r}, which does not belong in a bundle")
            if size > limit:
                raise self._refuse(f"its entry {name[:80]} is too large")
            seen.add(name)
            total += size
        if total > TOTAL_LIMIT or total > (64 << 20) + SWELL_LIMIT * self.path.stat().st_size:
            raise self._refuse("it would unpack to far more than it can honestly hold")

    def _check_manifest(self) -> None:
        manifest = self.manifest
        if manifest.format != FORMAT:
            raise self._refuse("it is not a bundle of ours")
        if manifest.version > VERSION:
            raise self._refuse(f"a newer version of tagent-tui wrote it (format {manifest.version}); upgrade tagent-tui")
        heads: dict[str, int] = {}
        for run in manifest.runs:
            try:
                births.refuse_bad_id(run.id)
            except StoreError as error:
                raise self._refuse(str(error)) from error
            point = run.parent_version or 0
            whole = 0 < run.first <= run.head and run.first == point + 1 and run.id not in heads
            parented = run.parent is None if point == 0 else 0 < point <= (run.reuse_upto or 0) <= heads.get(run.parent or "", 0)
            if not whole or not parented or run.file not in self._archive.NameToInfo:
                raise self._refuse(f"run {run.id} in it does not add up")
            heads[run.id] = run.head

    def verify(self) -> None:
        """Read everything once, without writing."""
        with self._complaining():
            for run in self.manifest.runs:
                for _ in self.pages(run):
                    pass
            for _ in self.contents():
                pass

    def pages(self, run: BundledRun) -> Iterator[list[rows.Row]]:
        """The rows of a run (its number left 0), each verified."""
        start, due, page = rows.seed(run.id), run.first, []
        with self._archive.open(run.file) as entry:
            stream = io.BufferedReader(entry, 1 << 20)  # type: ignore[type-var]
            while line := stream.readline(LINE_LIMIT):
                event = _read_event(line)
                row = _row(start, event)
                if row is None or event.version != due or not math.isfinite(event.at):
                    raise self._refuse(f"event {due} of run {run.id} is not what was exported")
                due += 1
                page.append(row)
                if len(page) == _PAGE:
                    yield page
                    page = []
        if due != run.head + 1:
            raise self._refuse(f"run {run.id} lacks its events from {due} on")
        yield page

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """The contents, each verified against its name."""
        for name in self._archive.namelist():
            if name.startswith("blobs/"):
                content = self._archive.read(name)
                hash = name.removeprefix("blobs/")
                if values.digest(content) != hash:
                    raise self._refuse(f"its content {hash[:12]} is not what was exported")
                yield hash, content

    def take_in(self, connection: sqlite3.Connection) -> list[str]:
        """Write the runs that are not there yet; the caller holds the transaction. Returns their ids."""
        taken: list[str] = []
        with self._complaining():
            for run in self.manifest.runs:
                found = connection.execute("SELECT run FROM runs WHERE id = ?", (run.id,)).fetchone()
                if found is None:
                    self._add(connection, run)
                    taken.append(run.id)
                else:
                    self._compare(connection, run, found[0])
            if taken:
                blobs.put(connection, self.contents())
                audit.write(connection, audit.IMPORT, {"file": str(self.path), "runs": taken})
        return taken

    def _compare(self, connection: sqlite3.Connection, run: BundledRun, number: int) -> None:
        """A run of that name is here: it must have the same past (it may have gone on since)."""
        parent = connection.execute(
            "SELECT p.id, r.parent_version FROM runs r LEFT JOIN runs p ON p.run = r.parent WHERE r.run = ?", (number,)
        ).fetchone()
        same = parent == (run.parent, run.parent_version)
        for page in self.pages(run) if same else ():
            theirs = [(row[1], row[-1]) for row in page]
            ours = connection.execute(
                "SELECT version, checksum FROM events WHERE run = ? AND version BETWEEN ? AND ? ORDER BY version",
                (number, page[0][1], page[-1][1]),
            ).fetchall()
            if theirs != ours:
                same = False
                break
        if not same:
            raise self._refuse(f"this store has another run {run.id}, with another past")

    def _add(self, connection: sqlite3.Connection, run: BundledRun) -> None:
        parent, point = None, None
        if run.parent is not None:
            (parent,) = connection.execute("SELECT run FROM runs WHERE id = ?", (run.parent,)).fetchone()
            point = (run.parent_version or 0, run.reuse_upto or 0)
        number = births.insert_run(connection, run.id, RunState(), None, 0.0, run.head, parent, point)
        for page in self.pages(run):
            if page and page[0][1] == run.first:
                connection.execute("UPDATE runs SET created = ? WHERE run = ?", (page[0][4], number))
            insert(connection, [(number, *row[1:]) for row in page])
        state = _fold(connection, run.id)
        if not 0 <= state.inbox <= CURSOR_LIMIT:
            raise self._refuse(f"run {run.id} in it read signals that cannot be")
        births.summarise(connection, number, state)
        _raise_inbox(connection, state.inbox)


def _row(start: int, event: BundledEvent) -> rows.Row | None:
    text = event.text if event.text is not None else bytes(event.data).decode()
    actor = event.actor
    try:
        check = rows.checksum(
            start, event.version, event.type, event.schema, event.at, event.step, event.attempt, event.causation, actor, text
        )
    except (rows.PackError, UnicodeEncodeError):
        return None
    if check != event.checksum or "/" in event.type:  # a slash parts type and schema where events are folded
        return None
    return (0, event.version, event.type, event.schema, event.at, event.step, event.attempt, event.causation, actor, text, check)


def _fold(connection: sqlite3.Connection, run: str) -> RunState:
    """The state of a run that was just written, for its row in the list."""
    state = RunState()
    for number, _, first, last in lineage.segments(connection.execute(lineage.SELECT, (run,)).fetchall()):
        cursor = connection.execute(folding.SELECT, (number, first - 1, folding.NO_END if last is None else last, -1))
        while page := cursor.fetchmany(folding.PAGE):
            folding.evolve_page(state, page)
    return state


def _raise_inbox(connection: sqlite3.Connection, cursor: int) -> None:
    """Ids of signals to come are above all that an imported run has read elsewhere."""
    (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'inbox'").fetchone()
    if last < cursor:
        connection.execute("DELETE FROM sqlite_sequence WHERE name = 'inbox'")
        connection.execute("INSERT INTO sqlite_sequence(name, seq) VALUES ('inbox', ?)", (cursor,))

"""Is this file a store of ours, and whole enough to be written? Answered without changing a byte of it.

Stands apart because an honest "no" must come before the first touch. The first look goes through SQLite with `immutable=1`: reading
the file by hand would, on closing it, drop the locks other connections of this process hold on it. The others are
read-only connections, which cannot fold a write-ahead log back.
"""

from __future__ import annotations

import sqlite3
import struct
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO

from store import rows, schema
from store.connections import READ, READ_UNCHANGING, connect
from store.errors import StoreDamagedError, StoreForeignError, StoreUnusableError
from store.trouble import translate

NEWEST = 64
"""Events looked at before a store is opened for writing (0.3 ms): a lost or foreign log shows in the newest."""

MIGRATED = 10_000
"""By how much migrations may have raised the mark in a log that is not folded back yet."""

SECOND_LOOK = 0.05
"""Seconds between two looks at a file that seems unusable."""

_WAL_HEADER = struct.Struct(">8I")
_FRAME_HEADER = struct.Struct(">6I")
_MAGIC = (0x377F0682, 0x377F0683)

_LOOK = f"""
SELECT r.id, r.head, (SELECT max(version) FROM events m WHERE m.run = e.run), {rows.COLUMNS}, checksum
FROM (SELECT * FROM events ORDER BY seq DESC LIMIT {NEWEST}) e LEFT JOIN runs r ON r.run = e.run
"""  # noqa: S608 - no input in it


def identify(path: Path) -> None:
    """Refuse what cannot be a store of ours."""
    place = str(path)
    if path.is_dir():
        raise StoreForeignError(f"{place} is a folder, not a store; name a file in it with --db.")
    if path.stat().st_size == 0:
        raise StoreForeignError(f"{place} is empty (0 bytes), so it is not a store; delete it or choose another file with --db.")
    with closing(connect(path, READ_UNCHANGING, 0)) as connection:
        try:
            schema.identify(connection, place)
        except sqlite3.DatabaseError as error:
            if not isinstance(translate(error, place), StoreDamagedError) or not has_wal(path):
                raise  # else: a crash inside a checkpoint looks like this; the log beside the file has the rest


def has_wal(path: Path) -> bool:
    """Whether a write-ahead log with something in it stands beside the file."""
    with suppress(OSError):
        return Path(f"{path}-wal").stat().st_size > _WAL_HEADER.size
    return False


def admit(path: Path, patience: float, *, writing: bool) -> None:
    """Refuse what is not ours, has another schema or another database's log beside it; before writing, damaged newest events too.

    Without a log beside the file this leaves no trace; a refusal then stands only if a second look agrees, because another process
    may have been folding its log back at that moment.
    """
    for last in (False, True):
        try:
            _admit(path, patience, writing)
            return
        except (StoreUnusableError, sqlite3.Error, UnicodeDecodeError):
            if last or has_wal(path):
                raise
        time.sleep(SECOND_LOOK)


def _admit(path: Path, patience: float, writing: bool) -> None:
    identify(path)
    logged = has_wal(path)
    if logged:
        with Path(f"{path}-wal").open("rb") as log, closing(connect(path, READ_UNCHANGING, 0)) as connection:
            problem = foreign_log(log, connection, path.stat().st_size)
        if problem:
            raise _foreign(path, problem)
    with closing(connect(path, READ if logged else READ_UNCHANGING, patience)) as connection:
        version = schema.identify(connection, str(path))
        if version < schema.current():
            if writing:
                return
            raise StoreUnusableError(f"{path} has the older format {version}; open it once for writing to bring it up to date.")
        schema.compare(connection, str(path))
        if writing and (problem := _newest(connection)):
            raise StoreDamagedError(
                f"{path} is damaged ({problem}); put its -wal file back if it was moved, or restore the store from a backup."
            )


def _foreign(path: Path, problem: str) -> StoreForeignError:
    return StoreForeignError(f"{path}-wal is another database's ({problem}); put the right one back, or move it away.")


def foreign_log(log: BinaryIO, connection: sqlite3.Connection, size: int) -> str | None:
    """Why a write-ahead log cannot be this database's (SQLite itself would apply it): None if nothing speaks against it."""
    header = log.read(_WAL_HEADER.size)
    magic, _, page_size, _, *salts, first, second = _WAL_HEADER.unpack(header)
    if magic not in _MAGIC:
        return None  # SQLite takes no notice of it either
    try:
        (ours,) = connection.execute("PRAGMA page_size").fetchone()
        (mark,) = connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.DatabaseError:
        return None
    if page_size != ours:
        return f"its pages have {page_size} bytes, not {ours}"
    if problem := _foreign_frames(_frames(log, page_size, salts), page_size, size, mark):
        log.seek(_WAL_HEADER.size)  # once more, with checksums: of a torn frame SQLite takes no notice
        frames = _summed(_frames(log, page_size, salts), ">" if magic & 1 else "<", first, second)
        problem = _foreign_frames(frames, page_size, size, mark)
    return problem


Frame = tuple[bytes, bytes]
"""The header and the page."""


def _frames(log: BinaryIO, page_size: int, salts: list[int]) -> Iterator[Frame]:
    """The frames since the log was begun, whole or torn."""
    while len(header := log.read(_FRAME_HEADER.size)) == _FRAME_HEADER.size and len(page := log.read(page_size)) == page_size:
        if list(_FRAME_HEADER.unpack(header)[2:4]) != salts:
            return  # left over from before the log was begun anew
        yield header, page


def _summed(frames: Iterator[Frame], order: str, first: int, second: int) -> Iterator[Frame]:
    """The frames up to the first whose checksum (over all before it) is wrong: those SQLite reads. 60 us a frame."""
    for header, page in frames:
        content = header[:8] + page
        words = struct.unpack(f"{order}{len(content) // 4}I", content)
        for one, other in zip(words[::2], words[1::2], strict=True):
            first = (first + one + second) & 0xFFFFFFFF
            second = (second + other + first) & 0xFFFFFFFF
        if _FRAME_HEADER.unpack(header)[4:] != (first, second):
            return
        yield header, page


def _foreign_frames(frames: Iterator[Frame], page_size: int, size: int, mark: int) -> str | None:
    pages = None
    for header, page in frames:
        number, commit, *_ = _FRAME_HEADER.unpack(header)
        if number == 1 and (problem := _foreign_page(page, mark)):
            return problem
        pages = commit or pages
    if pages is not None and pages * page_size < size:  # we never shrink a file
        return f"it is of a database of {pages} pages, this one has {size // page_size}"
    return None


def _foreign_page(first: bytes, mark: int) -> str | None:
    """What in the first page of a database (see its file format) says that it is not ours."""
    if int.from_bytes(first[68:72], "big") != schema.APPLICATION_ID:
        return "its first page is another application's"
    if not 0 <= int.from_bytes(first[40:44], "big") - mark <= MIGRATED:
        return "it belongs to another store of ours"
    return None


def _newest(connection: sqlite3.Connection) -> str | None:
    """What is wrong with the newest events of the log, if anything."""
    for id, head, last, *row, stored in connection.execute(_LOOK):
        version = row[0]
        if id is None:
            return f"event {row[8]} belongs to no run"
        if head != last:
            return f"run {id} ends at event {last}, not at {head}"
        if row_checksum(id, row) != stored:
            return f"event {version} of run {id} is not what was recorded"
    return None


def row_checksum(id: str, row: list[object]) -> int | None:
    """The checksum a row (read as `rows.COLUMNS`) of run `id` must have; None when a column holds what it cannot."""
    version, at, kind, schema_version, step, attempt, causation, actor, _, text = row
    try:
        return rows.checksum(rows.seed(id), version, kind, schema_version, at, step, attempt, causation, actor, text)  # type: ignore[arg-type]
    except (rows.PackError, TypeError, UnicodeEncodeError):
        return None

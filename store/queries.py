"""The questions asked of the tables: runs, events, the tail of the log, conversations. Paged by key, never by OFFSET.

Stands apart from `log.py` so that the SQL of reading is in one place, parameters only.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from store import blobs, rows, values
from store import runs as run_list
from store.errors import BlobMissingError, RunAmbiguousError, RunNotFoundError
from store.events import Recorded, RunId
from store.lineage import Segment
from store.reader import Reader
from store.runs import RunRow

_NO_END = 2**63 - 1
_PAGE = 2000
"""Events a read: about 6 ms of decoding, in which the loop cannot answer."""

_CANDIDATES = 5
_TOP = "NOT EXISTS (SELECT 1 FROM callers k WHERE k.run = r.run)"
"""Runs that no other run called."""
_BEGINS = (
    "r.id > ?1 AND r.id < ?1 || char(1114111) AND NOT EXISTS "
    "(SELECT 1 FROM callers k WHERE k.run = r.run AND k.caller > ?1 AND k.caller < ?1 || char(1114111))"
)
"""Runs whose ids begin so, without the children of such runs."""


class Wanted(NamedTuple):
    """Which events: of this step, of this attempt, of these types (None: any)."""

    step: str | None = None
    attempt: int | None = None
    types: Collection[str] | None = None

    def clause(self) -> tuple[str, list[Any]]:
        """As SQL after WHERE, with its parameters."""
        sql = ""
        parameters: list[Any] = []
        if self.step is not None:
            sql += " AND step = ?"
            parameters.append(self.step)
        if self.attempt is not None:
            sql += " AND attempt = ?"
            parameters.append(self.attempt)
        if self.types is not None:
            sql += f" AND type IN ({', '.join('?' * len(self.types))})"
            parameters += self.types
        return sql, parameters


async def events(
    reader: Reader, segments: Sequence[Segment], after: int, upto: int | None, wanted: Wanted, limit: int | None
) -> list[Recorded]:
    """Events of a lineage, oldest first."""
    clause, parameters = wanted.clause()
    sql = (
        f"SELECT {rows.COLUMNS} FROM events WHERE run = ? AND version > ? AND version <= ?{clause} "  # noqa: S608 - no input in it
        "ORDER BY version LIMIT ?"
    )
    end = _NO_END if upto is None else upto
    found: list[Recorded] = []
    for run, _, first, last in segments:
        stop = end if last is None else min(last, end)
        start = max(after, first - 1)
        while start < stop and (limit is None or len(found) < limit):
            size = _PAGE if limit is None else min(_PAGE, limit - len(found))
            page = rows.recorded(await reader.all(sql, (run, start, stop, *parameters, size)))
            found += page
            if len(page) < size:
                break
            start = page[-1].version
    return found


async def tail(reader: Reader, after_seq: int, limit: int) -> list[tuple[RunId, Recorded]]:
    """Events of all runs, by seq."""
    columns = ", ".join(f"e.{name}" for name in rows.COLUMNS.split(", "))
    found = await reader.all(
        f"SELECT {columns}, r.id FROM events e JOIN runs r ON r.run = e.run WHERE e.seq > ? "  # noqa: S608 - no input in it
        "ORDER BY e.seq LIMIT ?",
        (after_seq, limit),
    )
    return list(zip((RunId(row[-1]) for row in found), rows.recorded(row[:-1] for row in found), strict=True))


async def find(reader: Reader, wanted: str) -> RunRow:
    """The run somebody means. A child is meant only by what is not the beginning of its caller's id too."""
    select = f"SELECT {run_list.COLUMNS} FROM runs r"  # noqa: S608 - no input in it
    if wanted == "last":
        found = await reader.all(f"{select} WHERE {_TOP} ORDER BY r.run DESC LIMIT 1")
        if not found:
            raise RunNotFoundError("There is no run in this store yet; start one with `run` or `demo`.")
        return run_list.from_columns(found[0])
    found = await reader.all(f"{select} WHERE r.id = ?", (wanted,))
    if not found and wanted:
        found = await reader.all(f"{select} WHERE {_BEGINS} ORDER BY r.id LIMIT ?2", (wanted, _CANDIDATES + 1))
    if not found:
        raise RunNotFoundError(f"There is no run {wanted} in this store; `runs` lists what there is.")
    if len(found) > 1:
        names = ", ".join(run_list.from_columns(row).id for row in found[:_CANDIDATES])
        more = ", and more" if len(found) > _CANDIDATES else ""
        raise RunAmbiguousError(f"Several runs begin with {wanted}: {names}{more}; give more letters.")
    return run_list.from_columns(found[0])


async def runs(
    reader: Reader, status: str | None, pipeline: str | None, limit: int, before: int | None, parent: RunId | None,
    caller: RunId | None, children: bool,
) -> list[RunRow]:  # fmt: skip
    """The run list, newest first."""
    conditions = ["r.run < ?"] if children or caller is not None else ["r.run < ?", _TOP]
    parameters: list[Any] = [_NO_END if before is None else before]
    for column, value in (("r.status", status), ("r.pipeline", pipeline)):
        if value is not None:
            conditions.append(f"{column} = ?")
            parameters.append(value)
    if parent is not None:
        conditions.append("r.parent = (SELECT run FROM runs WHERE id = ?)")
        parameters.append(parent)
    if caller is not None:
        conditions.append("r.run IN (SELECT run FROM callers WHERE caller = ?)")
        parameters.append(caller)
    found = await reader.all(
        f"SELECT {run_list.COLUMNS} FROM runs r WHERE {' AND '.join(conditions)} "  # noqa: S608 - fixed texts only
        "ORDER BY r.run DESC LIMIT ?",
        (*parameters, limit),
    )
    return [run_list.from_columns(row) for row in found]


async def grown(reader: Reader, run: RunId) -> int:
    """The sum of the heads of a run and of those whose ids go on from its own with a dot."""
    sql = "SELECT coalesce(sum(head), 0) FROM runs WHERE id = ?1 OR (id > ?1 || '.' AND id < ?1 || '/')"
    return int((await reader.all(sql, (run,)))[0][0])


async def messages(reader: Reader, head: str) -> list[dict[str, Any]]:
    """A conversation, oldest first."""
    found = await reader.all(blobs.WALK, (blobs.unhex32(head),))
    if not found:
        raise BlobMissingError(f"The conversation {head[:12]} is not in the store; it was removed, or the store is damaged.")
    result = []
    for item, text in found:
        if item is None or text is None:
            raise BlobMissingError(f"A message of the conversation {head[:12]} is not in the store; it was removed, or is damaged.")
        result.append(values.decode(blobs.checked(item, text)))
    return result

"""The questions asked of the tables: runs, events, the tail of the log, conversations. Paged by key, never by OFFSET.

Stands apart from `log.py` so that the SQL of reading is in one place, parameters only.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, TypedDict

import msgspec

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

_COLUMNS = ", ".join(f"e.{name}" for name in rows.COLUMNS.split(", "))
_CANDIDATES = 5
_TOP = "NOT EXISTS (SELECT 1 FROM callers k WHERE k.run = r.run)"
"""Runs that no other run called."""
_BEGINS = (
    "r.id > ?1 AND r.id < ?1 || char(1114111) AND NOT EXISTS "
    "(SELECT 1 FROM callers k WHERE k.run = r.run AND k.caller > ?1 AND k.caller < ?1 || char(1114111))"
)
"""Runs whose ids begin so, without the children of such runs."""


SMALL = 65_536
"""Bytes up to which a stored content is searched for a text."""

_IN_CONTENTS = f"""
CASE WHEN (instr(e.data, '"blob":"') OR instr(e.data, '"chain":"')) AND json_valid(e.data) THEN EXISTS (
    SELECT 1 FROM json_tree(e.data) j JOIN blobs b ON b.hash = unhex32(j.value)
    WHERE j.key IN ('blob', 'chain') AND j.type = 'text' AND b.size <= {SMALL} AND (
        CAST(b.data AS TEXT) LIKE ?1 ESCAPE '\\' OR CAST(b.data AS TEXT) LIKE ?2 ESCAPE '\\'
        OR CASE WHEN j.key = 'chain' AND json_valid(CAST(b.data AS TEXT)) THEN EXISTS (
            SELECT 1 FROM blobs m WHERE m.hash = unhex32(json_extract(CAST(b.data AS TEXT), '$.item'))
            AND m.size <= {SMALL} AND CAST(m.data AS TEXT) LIKE ?1 ESCAPE '\\'
        ) END
    )
) END
"""  # noqa: S608 - no input in it
"""Whether a text is in a content an event refers to; of a conversation its last message is what the event added."""


class Filters(TypedDict, total=False):
    """Which events, all of it together. `types` and `actor` may be patterns (`step.*`), `text` is looked for in any case, also in
    small contents that the event refers to; `since` and `until` are unix seconds, both included."""

    step: str | None
    attempt: int | None
    types: Collection[str] | None
    actor: str | None
    text: str | None
    since: float | None
    until: float | None


def clause(filters: Filters) -> tuple[str, list[Any]]:
    """Filters of events (table `e`) as SQL after WHERE, and the numbered parameters it has, of which the first are numbered 1."""
    given: list[Any] = []

    def place(value: Any) -> str:
        given.append(value)
        return f"?{len(given)}"

    sql = ""
    text, types = filters.get("text"), filters.get("types")
    if text is not None:
        written = msgspec.json.encode(text).decode()[1:-1]
        place(_contains(written))
        place(_contains(text))
        sql += f" AND (e.data LIKE ?1 ESCAPE '\\' OR {_IN_CONTENTS})"
    for column, test in (("step", "e.step ="), ("attempt", "e.attempt ="), ("since", "e.at >="), ("until", "e.at <=")):
        value = filters.get(column)
        if value is not None:
            sql += f" AND {test} {place(value)}"
    if types is not None:
        exact = [kind for kind in types if not _is_pattern(kind)]
        told = [f"e.type IN ({', '.join(map(place, exact))})"]
        told += [f"e.type GLOB {place(_glob(kind))}" for kind in types if _is_pattern(kind)]
        sql += f" AND ({' OR '.join(told)})"
    if (actor := filters.get("actor")) is not None:
        sql += f" AND coalesce(e.actor, '{rows.DRIVER}') GLOB {place(_glob(actor))}"
    return sql, given


def _contains(text: str) -> str:
    return "%" + "".join(f"\\{char}" if char in "\\%_" else char for char in text) + "%"


def _is_pattern(word: str) -> bool:
    return any(char in word for char in "*?[")


def _glob(word: str) -> str:
    """A pattern as shells write it: SQLite says `[^a]` where they also say `[!a]`."""
    return word.replace("[!", "[^")


async def events(
    reader: Reader, segments: Sequence[Segment], after: int, upto: int | None, limit: int | None, filters: Filters
) -> list[Recorded]:
    """Events of a lineage, oldest first."""
    wanted, given = clause(filters)
    first = len(given) + 1
    sql = (
        f"SELECT {_COLUMNS} FROM events e WHERE e.run = ?{first} AND e.version > ?{first + 1} "  # noqa: S608 - no input in it
        f"AND e.version <= ?{first + 2}{wanted} ORDER BY e.version LIMIT ?{first + 3}"
    )
    end = _NO_END if upto is None else upto
    found: list[Recorded] = []
    for run, _, begin, last in segments:
        stop = end if last is None else min(last, end)
        start = max(after, begin - 1)
        while start < stop and (limit is None or len(found) < limit):
            size = _PAGE if limit is None else min(_PAGE, limit - len(found))
            page = rows.recorded(await reader.all(sql, (*given, run, start, stop, size)))
            found += page
            if len(page) < size:
                break
            start = page[-1].version
    return found


async def tail(reader: Reader, after_seq: int, limit: int, filters: Filters) -> list[tuple[RunId, Recorded]]:
    """Events of all runs, by seq."""
    wanted, given = clause(filters)
    first = len(given) + 1
    found = await reader.all(
        f"SELECT {_COLUMNS}, r.id FROM events e JOIN runs r ON r.run = e.run WHERE e.seq > ?{first}{wanted} "  # noqa: S608
        f"ORDER BY e.seq LIMIT ?{first + 1}",
        (*given, after_seq, limit),
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

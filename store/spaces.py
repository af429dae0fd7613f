"""Shared memory spaces: each a stream of changes with many writers, gap-free versions, and compare-and-set.

Stands apart because a space belongs to no run. The version of a key is that of the space's change that set it; a key that is not
there has version 0. Writes stand in the stream, reads in the logs of the runs that read: `access` puts both together.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from store import values
from store.events import EffectRequested, Recorded
from store.rows import COLUMNS, recorded
from store.streams import SPACES, Author, admit

if TYPE_CHECKING:
    from store.log import Log

PAGE = 1000

_FIELDS = "space, version, key, op, value, run, step, actor, at"
_NEWEST = "SELECT version, op, value FROM spaces WHERE space = ? AND key = ? ORDER BY version DESC LIMIT 1"
_OWN = "SELECT version FROM spaces WHERE run = ? AND request = ?"
_KEYS = (
    "SELECT key FROM spaces s WHERE space = ?1 AND key GLOB ?2 AND op = 'put' AND version = "
    "(SELECT max(version) FROM spaces WHERE space = ?1 AND key = s.key) ORDER BY key"
)
_NEXT = (
    f"SELECT {_FIELDS} FROM spaces WHERE space = ? AND version > ? AND at >= ? AND key GLOB ? "  # noqa: S608 - fixed texts only
    "ORDER BY version LIMIT ?"
)
_INSERT = "INSERT INTO spaces(space, version, key, op, value, run, request, step, actor, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_READS = f"""
SELECT {", ".join(f"e.{column}" for column in COLUMNS.split(", "))}, r.id FROM events e JOIN runs r ON r.run = e.run
WHERE e.type = 'effect.requested' AND substr(e.data, 1, ?1) = ?2 ORDER BY e.seq
"""  # noqa: S608 - fixed texts only
"""The requests of one space, by how their text begins: 0.3 us an event of the store, 0.3 s for a million."""


class Held(msgspec.Struct, frozen=True):
    """What a space holds under a key: its value, and the version of the change that put it there (0: nothing is there)."""

    version: int = 0
    value: Any = None


class Change(msgspec.Struct, frozen=True):
    """One change of a space: `op` is `put` or `delete`; `run` and `step` made it, or `actor` from outside a run."""

    space: str
    version: int
    key: str
    op: str
    value: Any
    run: str | None
    step: str | None
    actor: str
    at: float


class Access(msgspec.Struct, frozen=True):
    """One line of an access log: who did what (`get`, `keys`, `watch`, `put`, `delete`, `compare_and_set`) to which key.

    `version` is what a write made and a read saw (0: nothing was there); None where the outcome is not known or was a conflict.
    """

    at: float
    op: str
    key: str
    version: int | None
    run: str | None
    step: str | None
    actor: str


class Spaces:
    """The spaces of a store."""

    def __init__(self, log: Log) -> None:
        self._log = log

    async def look(self, space: str, key: str) -> Held:
        """What is under a key now."""
        found = await self._log.reader.all(_NEWEST, (space, key))
        return _held(found[0] if found else None)

    async def keys(self, space: str, pattern: str = "*") -> list[str]:
        """The keys that are there, sorted."""
        return [key for (key,) in await self._log.reader.all(_KEYS, (space, pattern))]

    async def changes(
        self, space: str, *, after: int = 0, since: float = 0.0, pattern: str = "*", limit: int = PAGE
    ) -> list[Change]:
        """The changes after a version and not before a time (unix seconds), of keys that match, oldest first."""
        rows = await self._log.reader.all(_NEXT, (space, after, since, pattern, limit))
        return [_change(row) for row in rows]

    async def names(self) -> list[str]:
        """The spaces there are, sorted."""
        return [space for (space,) in await self._log.reader.all("SELECT DISTINCT space FROM spaces ORDER BY space")]

    async def write(
        self, author: Author, space: str, key: str, op: str, value: Any, clock: Callable[[], float], *, expected: int | None = None
    ) -> int | None:
        """Put or delete; durable when it returns the version made. 0: there was nothing to delete.

        The clock is asked inside the transaction. With `expected`, only while that is the key's version: None when it is another.
        """
        text = values.encode(value)

        def work(connection: sqlite3.Connection) -> int | None:
            admit(connection, author)
            return _write(connection, author, (space, key, op, text), clock, expected)

        made = await self._log.writer.call(work, SPACES)
        return None if made is None else int(made)

    async def access(self, space: str) -> list[Access]:
        """Who read and wrote what, and which versions they saw, oldest first; of the whole store's runs."""
        start = f'{{"kind":"space","name":{msgspec.json.encode(space).decode()}'
        found: list[Access] = []
        asked = await self._log.reader.all(_READS, (len(start), start))
        outcomes = await self._outcomes(asked)
        for row in asked:
            request, run = recorded([row[:-1]])[0], row[-1]
            found.append(await self._access(run, request, outcomes.get((run, request.version))))
        rows = await self._log.reader.all(
            f"SELECT {_FIELDS} FROM spaces WHERE space = ? AND run IS NULL ORDER BY version",  # noqa: S608 - fixed texts only
            (space,),
        )
        found += [Access(at, op, key, version, None, step, actor) for _, version, key, op, _, _, step, actor, at in rows]
        return sorted(found, key=lambda access: access.at)

    async def _outcomes(self, asked: list[tuple[Any, ...]]) -> dict[tuple[str, int], Recorded]:
        """What became of requests; the events of each run are read once, from its first request on."""
        first: dict[str, int] = {}
        for row in asked:
            first.setdefault(row[-1], row[0])
        found = {}
        for run, version in first.items():
            for one in await self._log.events(run, after=version, types={"effect.succeeded"}):  # type: ignore[arg-type]
                found[run, one.event.request] = one
        return found

    async def _access(self, run: str, request: Recorded, outcome: Recorded | None) -> Access:
        event: EffectRequested = request.event
        arguments = await self._log.value(event.arguments)
        value = await self._log.value(outcome.event.value) if outcome is not None else None
        version = value.get("version") if isinstance(value, dict) else value if isinstance(value, int) else None
        key = arguments.get("key", "*")
        return Access(request.at, arguments["op"], key, version, run, request.step, request.actor)


def _change(row: Sequence[Any]) -> Change:
    space, version, key, op, value, run, step, actor, at = row
    return Change(space, version, key, op, values.decode(value), run, step, actor, at)


def _held(row: tuple[Any, ...] | None) -> Held:
    if row is None or row[1] == "delete":
        return Held()
    return Held(row[0], values.decode(row[2]))


def _write(
    connection: sqlite3.Connection,
    author: Author,
    change: tuple[str, str, str, bytes],
    clock: Callable[[], float],
    expected: int | None,
) -> int | None:
    if author.request is not None:
        own = connection.execute(_OWN, (author.run, author.request)).fetchone()
        if own is not None:
            return int(own[0])
    space, key, op, _ = change
    newest = connection.execute(_NEWEST, (space, key)).fetchone()
    there = 0 if newest is None or newest[1] == "delete" else newest[0]
    if expected is not None and expected != there:
        return None
    if op == "delete" and not there:
        return 0
    (last,) = connection.execute("SELECT coalesce(max(version), 0) FROM spaces WHERE space = ?", (space,)).fetchone()
    connection.execute(_INSERT, (space, last + 1, *change[1:], author.run, author.request, author.step, author.actor, clock()))
    return int(last) + 1

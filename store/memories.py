"""What runs learned, kept beyond them: searched by words, each with the runs and events it came from.

Stands apart because a memory outlives its run. The index of words is a plain table: SQLite's own full-text search is not in every
build, and the tables it makes differ from version to version, so a store would be refused elsewhere as not ours.
At 10,000 memories of 20 words a search of 5 words takes 3 ms, and 10 if they are the commonest.
"""

from __future__ import annotations

import math
import re
import sqlite3
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from store import values
from store.streams import TAGGED, Author, admit, text_of

if TYPE_CHECKING:
    from store.log import Log

TEXT_WORDS = 500
"""Words of a text that can be found by."""
QUERY_WORDS = 32
"""Words of a question that are looked for."""
WORD_LIMIT = 64

_OWN = "SELECT memory FROM memory_sources WHERE run = ? AND request = ?"
_COUNT = "SELECT word, count(*) FROM memory_words WHERE word IN (SELECT value FROM json_each(?)) GROUP BY word"
_FIELDS = "m.id, m.kind, m.text, m.tags, m.fields, m.at"
_MATCHES = f"(?2 IS NULL OR m.kind = ?2) AND {TAGGED.format(wanted='?3', held='m.tags')}"
_BEST = f"""
SELECT {_FIELDS}, b.score FROM (
    SELECT x.memory AS id, sum(w.value) AS score FROM json_each(?1) w CROSS JOIN memory_words x ON x.word = w.key
    WHERE (?2 IS NULL AND ?3 = '[]') OR EXISTS (SELECT 1 FROM memories m WHERE m.id = x.memory AND {_MATCHES})
    GROUP BY x.memory ORDER BY score DESC, x.memory DESC LIMIT ?4
) b JOIN memories m ON m.id = b.id ORDER BY b.score DESC, m.id DESC
"""  # noqa: S608 - fixed texts only
"""Scored on the index of words alone, and only the best are read: joined first it took 21 ms."""
_NEWEST = f"SELECT {_FIELDS}, 0.0 FROM memories m WHERE ?1 IS NULL AND {_MATCHES} ORDER BY m.id DESC LIMIT ?4"  # noqa: S608
_SOURCES = "SELECT run, request, step, at FROM memory_sources WHERE memory = ? ORDER BY rowid"
_OF_RUN = f"SELECT DISTINCT {_FIELDS}, 0.0 FROM memory_sources s JOIN memories m ON m.id = s.memory WHERE s.run = ? ORDER BY m.id"  # noqa: S608


class Source(msgspec.Struct, frozen=True):
    """Where a memory came from: the run, the event in it, the step, when. No run: somebody outside of one."""

    run: str | None
    version: int | None
    step: str | None
    at: float


class Memory(msgspec.Struct, frozen=True):
    """Something remembered. `sources` holds every time it was, the first one first; `score` says how well it fits the question."""

    id: int
    kind: str
    text: str
    tags: list[str]
    fields: dict[str, Any]
    at: float
    score: float = 0.0
    sources: list[Source] = []

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Memory:
        """The memory with these fields, as it was recorded."""
        sources = [Source(**source) for source in fields.get("sources", ())]
        return cls(
            **{name: fields[name] for name in cls.__struct_fields__ if name in fields and name != "sources"}, sources=sources
        )


def words(text: str, limit: int) -> list[str]:
    """The words of a text, each once, as they are looked for: without case and accents, `running` and `Running` alike."""
    plain = unicodedata.normalize("NFKD", text.encode("utf-8", "replace").decode()).casefold()
    bare = "".join(letter for letter in plain if not unicodedata.combining(letter))
    found = dict.fromkeys(word[:WORD_LIMIT] for word in re.findall(r"\w+", bare))
    return list(found)[:limit]


class Memories:
    """The memories of a store."""

    def __init__(self, log: Log) -> None:
        self._log = log

    async def remember(self, author: Author, kind: str, text: str, tags: Sequence[str], fields: dict[str, Any], at: float) -> int:
        """Keep a text; durable when it returns the memory's id. The same text of a kind is one memory with a source more."""
        stored = values.encode(text)
        digest = bytes.fromhex(values.digest(values.encode([kind, " ".join(text.split()).casefold()])))
        row = (kind, stored, text_of(tags), values.encode(fields), digest, at)
        found = words(text, TEXT_WORDS)

        def work(connection: sqlite3.Connection) -> int:
            admit(connection, author)
            own = connection.execute(_OWN, (author.run, author.request)).fetchone()
            if own is not None:
                return int(own[0])
            held = connection.execute("SELECT id FROM memories WHERE digest = ?", (digest,)).fetchone()
            memory = held[0] if held is not None else _insert(connection, row, found)
            connection.execute(
                "INSERT INTO memory_sources(memory, run, request, step, at) VALUES (?, ?, ?, ?, ?)",
                (memory, author.run, author.request, author.step, at),
            )
            return int(memory)

        return int(await self._log.writer.call(work))

    async def search(self, query: str, *, limit: int = 5, kind: str | None = None, tags: Sequence[str] = ()) -> list[Memory]:
        """The memories that share most of the question's rarer words, the best first; the newest for an empty question."""
        asked = words(query, QUERY_WORDS)
        if not asked:
            return await self._with_sources(await self._log.reader.all(_NEWEST, (None, kind, text_of(tags), limit)))
        counts: dict[str, int] = dict(await self._log.reader.all(_COUNT, (text_of(asked),)))
        ((total,),) = await self._log.reader.all("SELECT count(*) FROM memories")
        weights = {word: math.log(1 + total / count) for word, count in counts.items()}
        return await self._with_sources(
            await self._log.reader.all(_BEST, (msgspec.json.encode(weights).decode(), kind, text_of(tags), limit))
        )

    async def of_run(self, run: str) -> list[Memory]:
        """What a run remembered, in the order it became known."""
        return await self._with_sources(await self._log.reader.all(_OF_RUN, (run,)))

    async def _with_sources(self, rows: Iterable[Sequence[Any]]) -> list[Memory]:
        found = []
        for id, kind, text, tags, fields, at, score in rows:
            sources = [Source(*source) for source in await self._log.reader.all(_SOURCES, (id,))]
            found.append(
                Memory(id, kind, values.decode(text), values.decode(tags), values.decode(fields), at, round(score, 3), sources)
            )
        return found


def _insert(connection: sqlite3.Connection, row: tuple[Any, ...], found: list[str]) -> int:
    cursor = connection.execute("INSERT INTO memories(kind, text, tags, fields, digest, at) VALUES (?, ?, ?, ?, ?, ?)", row)
    memory = cursor.lastrowid
    assert memory is not None  # noqa: S101 - an INSERT always has one
    connection.executemany("INSERT INTO memory_words(word, memory) VALUES (?, ?)", [(word, memory) for word in found])
    return memory

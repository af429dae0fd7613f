"""Events between runs: published once, seen by everybody who waits for their topic; and the ends of runs, seen the same way.

Stands apart from mail because a post is taken by nobody: any number of runs may see it, each from where it asks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from store import values
from store.streams import POSTS, TAGGED, Author, admit, text_of

if TYPE_CHECKING:
    from store.log import Log

PAGE = 1000

LIFE = "run."
"""How the topics begin that tell the life of runs; nobody may publish such."""

_INSERT = "INSERT INTO posts(topic, tags, body, run, request, step, actor, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_OWN = "SELECT id FROM posts WHERE run = ? AND request = ?"
_SELECT = f"""
SELECT p.id, p.topic, p.body, p.tags, p.run, r.pipeline, p.actor, p.at FROM posts p LEFT JOIN runs r ON r.id = p.run
WHERE p.id > ?1 AND p.at >= ?2 AND p.topic GLOB ?3 AND {TAGGED.format(wanted="?4", held="p.tags")}
  AND (?5 IS NULL OR r.pipeline = ?5)
ORDER BY p.id LIMIT ?6
"""  # noqa: S608 - fixed texts only
_LIVES = """
SELECT * FROM (
    SELECT 'run.created' AS topic, id, pipeline, created AS at, status, now FROM runs WHERE created >= ?1
    UNION ALL
    SELECT 'run.' || status, id, pipeline, ended, status, now FROM runs
    WHERE ended >= ?1 AND status IN ('completed', 'failed', 'cancelled')
) WHERE topic GLOB ?2 AND (?3 IS NULL OR pipeline = ?3) AND id != ?4 ORDER BY at LIMIT ?5
"""
"""From the run list, which is kept in the commit of the events it tells: asking the events themselves would read them all."""


class Post(msgspec.Struct, frozen=True):
    """An event as those who wait for it have it. `id` is its place among the posts (0 for the life of a run, which has none).

    `run` published it, or is the one whose life it tells; `sender` is that run, or the actor outside of runs; `at` is unix seconds.
    """

    topic: str
    body: Any
    id: int = 0
    tags: list[str] = []
    run: str | None = None
    pipeline: str | None = None
    sender: str = ""
    at: float = 0.0


class Posts:
    """What was published in a store."""

    def __init__(self, log: Log) -> None:
        self._log = log

    async def publish(self, author: Author, topic: str, body: Any, tags: Sequence[str], clock: Callable[[], float]) -> int:
        """Publish; durable when it returns the post's id.

        The clock is asked inside the transaction, so that whoever began to wait before it finds the post later than that.
        """
        fields = (topic, text_of(tags), values.encode(body), author.run, author.request, author.step, author.actor)

        def work(connection: sqlite3.Connection) -> int | None:
            admit(connection, author)
            own = connection.execute(_OWN, (author.run, author.request)).fetchone()
            return own[0] if own is not None else connection.execute(_INSERT, (*fields, clock())).lastrowid

        return int(await self._log.writer.call(work, POSTS))

    async def after(
        self,
        id: int,
        *,
        since: float = 0.0,
        pattern: str = "*",
        tags: Sequence[str] = (),
        pipeline: str | None = None,
        limit: int = PAGE,
    ) -> list[Post]:
        """Posts with a higher id, not before a time, that match, in the order of publishing."""
        rows = await self._log.reader.all(_SELECT, (id, since, pattern, text_of(tags), pipeline, limit))
        return [_post(row) for row in rows]

    async def lives(self, since: float, pattern: str, pipeline: str | None, own: str, limit: int = 1) -> list[Post]:
        """What happened to other runs than `own` since a time, oldest first: created, completed, failed, cancelled."""
        rows = await self._log.reader.all(_LIVES, (since, pattern, pipeline, own, limit))
        return [
            Post(topic, {"status": status, "reason": why or None}, 0, [], run, name, run, at)
            for topic, run, name, at, status, why in rows
        ]


def _post(row: Sequence[Any]) -> Post:
    id, topic, body, tags, run, pipeline, actor, at = row
    return Post(topic, values.decode(body), id, values.decode(tags), run, pipeline, run or actor, at)

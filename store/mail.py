"""Messages from run to run: sent once, waiting until somebody takes them, each given to one receiver.

Stands apart because mail belongs to no run until it is received. An address is a name; a run answers to its id, to its pipeline's
name and to the roles it offers. Giving is a claim: it names the request that gets the message, so that after a crash the same
request gets the same message again. It is settled in the commit that records it in the receiver's history; a claim that
never will be (its run ended, its attempt was closed) is given back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from store import values
from store.streams import MAIL, TAGGED, Author, admit, text_of

if TYPE_CHECKING:
    from store.log import Log

TYPES = ("data", "command", "query", "response", "notification")
"""What a message may be."""
PAGE = 1000

_FIELDS = "id, run, request, address, type, topic, priority, expires, reply_to, tags, headers, body, actor, at"
_INSERT = (
    "INSERT INTO mail(address, type, topic, priority, expires, reply_to, tags, headers, body, run, request, step, actor, at) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_OWN = "SELECT id FROM mail WHERE run = ? AND request = ?"
_CLAIMED = f"SELECT {_FIELDS} FROM mail WHERE taker = ? AND claim = ?"  # noqa: S608 - fixed texts only
_FREE = f"""
SELECT m.priority, m.id FROM mail m LEFT JOIN runs r ON r.id = m.taker
WHERE m.settled = 0 AND m.address = ?1 AND (m.expires IS NULL OR m.expires > ?2) AND (r.id IS NULL OR r.ended IS NOT NULL)
  AND (?3 IS NULL OR m.type = ?3) AND (?4 IS NULL OR m.topic GLOB ?4) AND (?5 IS NULL OR m.run = ?5)
  AND CASE WHEN ?6 IS NOT NULL THEN m.reply_to = ?6 ELSE m.reply_to IS NULL OR ?3 = 'response' END
  AND {TAGGED.format(wanted="?7", held="m.tags")}
ORDER BY m.priority DESC, m.id LIMIT 1
"""  # noqa: S608 - fixed texts only
"""The first message that waits at an address; one whose taker ended without having it in its history waits again."""
_TAKE = f"UPDATE mail SET taker = ?, claim = ?, taken = ? WHERE id = ? RETURNING {_FIELDS}"  # noqa: S608 - fixed texts only
_EXPIRE = "UPDATE mail SET settled = 2 WHERE settled = 0 AND expires IS NOT NULL AND expires <= ? AND +taker IS NULL"
"""Takes expired messages out of the way of those that wait; they count as expired without it.
`+` keeps SQLite from the takers' index, which has all that wait."""
_FREED = "UPDATE mail SET taker = NULL, claim = NULL, taken = NULL WHERE settled = 0 AND taker = ?"
_GIVE_BACK = f"{_FREED} AND claim = ?"
_GIVE_BACK_CLOSED = f"{_FREED} AND claim NOT IN (SELECT value FROM json_each(?))"  # noqa: S608 - fixed texts only
_LISTED = f"""
SELECT {_FIELDS}, taker, claim, settled FROM mail
WHERE id > ?2 AND (run = ?1 OR taker = ?1 OR address IN (SELECT value FROM json_each(?3))) ORDER BY id LIMIT ?4
"""  # noqa: S608 - fixed texts only


class Message(msgspec.Struct, frozen=True):
    """A message as its receiver has it. `sender` is a run's id, or the actor outside of runs; times are unix seconds.

    `reply_to` is the id of the message this one answers.
    """

    id: str
    sender: str
    to: str
    type: str
    body: Any
    topic: str = ""
    priority: int = 0
    sent_at: float = 0.0
    expires: float | None = None
    reply_to: str | None = None
    tags: list[str] = []
    headers: dict[str, Any] = {}

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Message:
        """The message with these fields, as it was recorded; what this version does not know is left out."""
        return cls(**{name: fields[name] for name in cls.__struct_fields__ if name in fields})


class Wanted(msgspec.Struct, frozen=True):
    """Which messages: of a type, with a topic that matches a glob pattern, with all of these tags, from a run, in reply."""

    type: str | None = None
    pattern: str | None = None
    sender: str | None = None
    reply_to: str | None = None
    tags: list[str] = []


class Posted(msgspec.Struct, frozen=True):
    """A message and how it stands: `waiting`, `taken` (not yet in the taker's history), `received`, or `expired`.

    `number` is its place in the mail; `taker` and `claim` are the run and the request it was given to.
    """

    number: int
    message: Message
    status: str
    taker: str | None
    claim: int | None


class Mail:
    """The mail of a store."""

    def __init__(self, log: Log) -> None:
        self._log = log

    async def send(self, author: Author, message: Message) -> str:
        """Send; durable when it returns the message's id. `message.id` and `.sender` are not looked at: the author decides them."""
        fields = (
            message.to, message.type, message.topic, message.priority, message.expires, message.reply_to,
            text_of(message.tags), values.encode(message.headers), values.encode(message.body),
            author.run, author.request, author.step, author.actor, message.sent_at,
        )  # fmt: skip

        def work(connection: sqlite3.Connection) -> str:
            admit(connection, author)
            own = connection.execute(_OWN, (author.run, author.request)).fetchone()
            number = own[0] if own is not None else connection.execute(_INSERT, fields).lastrowid
            return _id(author.run, author.request, number)

        return str(await self._log.writer.call(work, MAIL))

    async def waits(self, taker: str, claim: int, addresses: Collection[str], wanted: Wanted, now: float) -> bool:
        """Whether there is something to claim; asked before `claim`, which takes the writer's turn."""
        if await self._log.reader.all(_CLAIMED, (taker, claim)):
            return True
        for address in addresses:
            if await self._log.reader.all(_FREE, _free(address, wanted, now)):
                return True
        return False

    async def claim(
        self, author: Author, taker: str, claim: int, addresses: Collection[str], wanted: Wanted, now: float
    ) -> Message | None:
        """The message of this request: the one it has, else the first that waits (the highest priority, then the oldest)."""

        def work(connection: sqlite3.Connection) -> Sequence[Any] | None:
            admit(connection, author)
            row: Sequence[Any] | None = connection.execute(_CLAIMED, (taker, claim)).fetchone()
            if row is not None:
                return row
            connection.execute(_EXPIRE, (now,))
            found = [connection.execute(_FREE, _free(address, wanted, now)).fetchone() for address in addresses]
            waiting = sorted((-one[0], one[1]) for one in found if one is not None)
            if not waiting:
                return None
            (taken,) = connection.execute(_TAKE, (taker, claim, now, waiting[0][1])).fetchall()
            return taken  # type: ignore[no-any-return]

        row = await self._log.writer.call(work)
        return None if row is None else _message(row)

    def settle(self, taker: str, claim: int) -> None:
        """The message of this request stands in the taker's history, which must have been appended in this turn: one commit."""
        self._log.writer.ride(
            lambda connection: connection.execute("UPDATE mail SET settled = 1 WHERE taker = ? AND claim = ?", (taker, claim))
        )

    def give_back(self, author: Author, taker: str, claim: int) -> None:
        """The request will not get its message: it waits again. Written soon."""

        def work(connection: sqlite3.Connection) -> None:
            admit(connection, author)
            connection.execute(_GIVE_BACK, (taker, claim))

        self._log.writer.ride(work, MAIL)
        self._log.writer.wake()

    def give_back_closed(self, author: Author, taker: str, open_claims: Collection[int]) -> None:
        """Give back what a driver that died had claimed for requests that are not open any more."""
        kept = text_of(sorted(open_claims))

        def work(connection: sqlite3.Connection) -> None:
            admit(connection, author)
            connection.execute(_GIVE_BACK_CLOSED, (taker, kept))

        self._log.writer.ride(work, MAIL)

    async def of_run(self, run: str, addresses: Collection[str], now: float, *, after: int = 0, limit: int = PAGE) -> list[Posted]:
        """What a run sent, took, or may take at these addresses, in the order of sending."""
        rows = await self._log.reader.all(_LISTED, (run, after, text_of(list(addresses)), limit))
        return [Posted(row[0], _message(row[:-3]), _status(row, now), row[-3], row[-2]) for row in rows]


def _free(address: str, wanted: Wanted, now: float) -> tuple[Any, ...]:
    return address, now, wanted.type, wanted.pattern, wanted.sender, wanted.reply_to, text_of(wanted.tags)


def _id(run: str | None, request: int | None, number: int | None) -> str:
    """A message's id says where it was sent: run and event; from outside of runs its place in the mail."""
    return f"mail/{number}" if run is None else f"{run}/{request}"


def _message(row: Sequence[Any]) -> Message:
    number, run, request, address, type_, topic, priority, expires, reply_to, tags, headers, body, actor, at = row
    return Message(
        _id(run, request, number), run or actor, address, type_, values.decode(body), topic, priority, at, expires, reply_to,
        values.decode(tags), values.decode(headers),
    )  # fmt: skip


def _status(row: Sequence[Any], now: float) -> str:
    expires, taker, settled = row[7], row[-3], row[-1]
    if settled:
        return "received" if settled == 1 else "expired"
    if taker is not None:
        return "taken"
    return "expired" if expires is not None and expires <= now else "waiting"

"""Contents stored once, by their hash; a conversation as a chain of them.

A chat is sent again and again with one message more. As a chain each message is one content and each prefix one small node
`{"item": hash, "prev": hash|null}`, so a conversation of n turns costs n messages, not n^2 / 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from store import values
from store.connections import Statements
from store.errors import StoreDamagedError

Blobs = Iterable[tuple[str, bytes]]
"""(hash in hex, content)."""

SELECT = "SELECT data FROM blobs WHERE hash = ?"

WALK = """
WITH RECURSIVE walk(place, node) AS (
    SELECT 0, data FROM blobs WHERE hash = ?
    UNION ALL
    SELECT place + 1, (SELECT data FROM blobs WHERE hash = unhex32(json_extract(CAST(node AS TEXT), '$.prev')))
    FROM walk WHERE json_extract(CAST(node AS TEXT), '$.prev') IS NOT NULL
)
SELECT json_extract(CAST(node AS TEXT), '$.item'),
       (SELECT data FROM blobs WHERE hash = unhex32(json_extract(CAST(node AS TEXT), '$.item')))
FROM walk ORDER BY place DESC
"""
"""A chain in one query, oldest first: asking node by node cost 60 us a message."""


class Node(msgspec.Struct, frozen=True):
    """One link: the message `item` after the chain that ends with `prev`."""

    item: str
    prev: str | None


class ChainCache:
    """What was chained last: the text and node of each message, so that a growing conversation hashes only its new ones."""

    __slots__ = ("links",)

    def __init__(self) -> None:
        self.links: list[tuple[bytes, str]] = []


def key(hash: str) -> bytes:
    """The hash as it is stored: 32 bytes instead of 64 letters."""
    return bytes.fromhex(hash)


def unhex32(text: object) -> bytes | None:
    """`key` for SQL (SQLite before 3.41 has no unhex); None for what is no hash."""
    try:
        return bytes.fromhex(text) if isinstance(text, str) else None
    except ValueError:
        return None


def put(connection: Statements, blobs: Blobs) -> None:
    """Store what is not there yet; the caller holds the transaction."""
    connection.executemany(
        "INSERT INTO blobs(hash, size, data) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [(bytes.fromhex(hash), len(content), content) for hash, content in blobs],
    )


def checked(hash: str, content: bytes) -> bytes:
    """`content` if it is what its name says; raises `StoreDamagedError` naming the blob."""
    if values.digest(content) != hash:
        raise StoreDamagedError(f"The content {hash[:12]} in the store is damaged; restore the store from a backup.")
    return content


def chain(messages: Sequence[object], cache: ChainCache | None = None) -> tuple[str, list[tuple[str, bytes]]]:
    """The hash of the last link of a conversation, and the contents that are new since the cache's last call.

    Every message is encoded (about 2 us) so that one changed in place is noticed; only new ones are hashed and returned.
    `messages` is not empty. One that cannot be encoded raises `ValueEncodingError` and leaves the cache as it was.
    """
    texts = [values.encode(message) for message in messages]
    links = [] if cache is None else cache.links
    fresh: list[tuple[str, bytes]] = []
    head: str | None = None
    for place, text in enumerate(texts):
        if place < len(links) and links[place][0] == text:
            head = links[place][1]
            continue
        del links[place:]
        item = values.digest(text)
        node = msgspec.json.encode(Node(item, head))
        head = values.digest(node)
        fresh += [(item, text), (head, node)]
        links.append((text, head))
    if head is None:
        raise ValueError("a conversation has at least one message")
    return head, fresh

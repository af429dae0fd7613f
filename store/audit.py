"""The store's own trail: what was done to the file as a whole, which no run's log could say.

Stands apart from the events because these are of the store: imports, exports, backups, runs taken from a driver by force, damage
that a check found. Rows are only added. An open that is refused because of damage is not here: nothing is written to such a file.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from store import values

if TYPE_CHECKING:
    from store.reader import Reader
    from store.writer import Writer

IMPORT, EXPORT, BACKUP, TAKEOVER, DAMAGE = "import", "export", "backup", "takeover", "damage"


class Entry(msgspec.Struct, frozen=True):
    """One thing that was done: `action` is a word of this module, `at` unix seconds, `detail` its particulars by name."""

    seq: int
    at: float
    action: str
    detail: dict[str, Any]


def write(connection: sqlite3.Connection, action: str, detail: Mapping[str, Any]) -> None:
    """Add to the trail; the caller holds the transaction."""
    text = values.encode(dict(detail)).decode()
    connection.execute("INSERT INTO audit(at, action, detail) VALUES (?, ?, ?)", (time.time(), action, text))


async def note(writer: Writer, action: str, detail: Mapping[str, Any]) -> None:
    """Add to the trail; durable when it returns. A log opened for reading has no writer: `log.writer` raises there."""
    await writer.call(lambda connection: write(connection, action, detail))


async def trail(reader: Reader, after: int = 0, limit: int = 1000) -> list[Entry]:
    """What was done after a `seq`, oldest first, at most `limit`."""
    found = await reader.all(
        "SELECT seq, at, action, detail FROM audit WHERE seq > ? ORDER BY seq LIMIT ?",
        (after, limit),
    )
    return [Entry(seq, at, action, values.decode(text.encode())) for seq, at, action, text in found]

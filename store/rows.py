"""Recorded events as rows of the table, and back; the checksum over all of a row.

Stands apart because it is the hot path of writing and reading alike, and the only place that knows the column order.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any
from zlib import crc32

from store import codec
from store.events import Recorded

DRIVER = "driver"
"""The usual actor; stored as NULL (7 bytes an event)."""

COLUMNS = "version, at, type, schema, step, attempt, causation, actor, seq, data"
"""What `recorded` reads, in this order."""

INSERT = "INSERT INTO events(run, version, type, schema, at, step, attempt, causation, actor, data, checksum) VALUES "
PLACES = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

_numbers = struct.Struct("<qqdqq").pack
PackError = struct.error
"""A number of the envelope does not fit 64 bits."""

Row = tuple[Any, ...]


def seed(run: str) -> int:
    """The start of all checksums of a run: moving an event to another run is found too."""
    return crc32(run.encode("utf-8", "surrogatepass"))


def checksum(
    start: int, version: int, kind: str, schema: int, at: float, step: str | None, attempt: int, causation: int | None,
    actor: str | None, text: str,
) -> int:  # fmt: skip
    """CRC-32 over every column, signed (4 bytes a row). It finds every changed byte, which a cut hash only probably does."""
    words = f"{kind}\0{step}\0{actor}\0{text}".encode("utf-8", "surrogatepass")
    return crc32(words, crc32(_numbers(version, schema, at, attempt, causation or 0), start)) - 0x80000000


def encoded(run: int, start: int, batch: Sequence[Recorded]) -> list[Row]:
    """The rows of a batch, in the order of `INSERT`."""
    rows = []
    for recorded in batch:
        kind, schema, text = codec.encode(recorded.event)
        actor = None if recorded.actor == DRIVER else recorded.actor
        version, at, step, attempt, causation = (
            recorded.version, recorded.at, recorded.step, recorded.attempt, recorded.causation,
        )  # fmt: skip
        check = checksum(start, version, kind, schema, at, step, attempt, causation, actor, text)
        rows.append((run, version, kind, schema, at, step, attempt, causation, actor, text, check))
    return rows


def recorded(rows: Iterable[Row]) -> list[Recorded]:
    """The events of rows read as `COLUMNS`."""
    decode = codec.decode
    return [
        Recorded(version, at, decode(kind, schema, text), step, attempt, causation, actor or DRIVER, seq)
        for version, at, kind, schema, step, attempt, causation, actor, seq, text in rows
    ]

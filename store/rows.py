"""Recorded events as rows of the table, and back; the checksum over all of a row.

Stands apart because it is the hot path of writing and reading alike, and the only place that knows the column order.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any
from zlib import crc32

from msgspec.structs import astuple

from store import codec
from store.events import Recorded

MARKED = frozenset(
    {
        *("run.forked", "run.attached", "step.failed", "step.refused", "effect.in_doubt"),
        *("approval.requested", "budget.reached", "artifact.made", "checkpoint.made", "edit.applied"),
    }
)
"""Types a timeline marks: kept in a table of their own besides."""

INSERT_MARK = "INSERT INTO marks(run, version, type, at, step) VALUES (?, ?, ?, ?, ?)"

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
    numbers = crc32(_numbers(version, schema, at, attempt, causation or 0), start)
    return crc32(f"{kind}\0{step}\0{actor}\0{text}".encode(), numbers) - 0x80000000


def encoded(run: int, start: int, batch: Sequence[Recorded]) -> list[Row]:
    """The rows of a batch, in the order of `INSERT`."""
    rows: list[Row] = []
    keep, encode, numbers = rows.append, codec.encode, _numbers
    for recorded in batch:
        version, at, event, step, attempt, causation, actor, _ = astuple(recorded)
        kind, schema, text = encode(event)
        if actor == DRIVER:
            actor = None
        # `checksum`, written out: called, it cost 0.2 of the 1.0 us of a row.
        check = crc32(
            f"{kind}\0{step}\0{actor}\0{text}".encode(), crc32(numbers(version, schema, at, attempt, causation or 0), start)
        )
        keep((run, version, kind, schema, at, step, attempt, causation, actor, text, check - 0x80000000))
    return rows


def recorded(rows: Iterable[Row]) -> list[Recorded]:
    """The events of rows read as `COLUMNS`."""
    decode = codec.decode
    return [
        Recorded(version, at, decode(kind, schema, text), step, attempt, causation, actor or DRIVER, seq)
        for version, at, kind, schema, step, attempt, causation, actor, seq, text in rows
    ]

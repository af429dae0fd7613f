"""What an attempt asks, or comes to, otherwise than it did: both sides as texts, line by line.

Stands apart from living an attempt through again, which finds the place: here is only what a person reads there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from engine.replay.texts import TextDiff, readable, spoken, text_diff
from store import Log, values
from store.blobs import Node
from store.errors import StoreError, ValueEncodingError
from store.events import Payload

Fresh = Mapping[str, bytes]
"""Contents by hash that are in no store: they were made just now, and are not kept."""


async def asked_otherwise(log: Log, then: Payload, now: Payload, fresh: Fresh) -> TextDiff:
    """Where the arguments of two requests differ; conversations with models are told message by message."""
    return text_diff(await _asked(log, then, {}), await _asked(log, now, fresh))


async def came_otherwise(log: Log, then: Payload, now: Payload, fresh: Fresh) -> TextDiff:
    """Where two outputs differ."""
    return text_diff(readable(await _stored(log, then, {})), readable(await _stored(log, now, fresh)))


async def _asked(log: Log, arguments: Payload, fresh: Fresh) -> str:
    stored = await _stored(log, arguments, fresh)
    try:
        value = values.decode(stored or b"null")
    except ValueEncodingError:
        return readable(stored)
    head = value.get("messages", {}).get("chain") if isinstance(value, dict) and isinstance(value.get("messages"), dict) else None
    if not isinstance(head, str):
        return readable(stored)
    rest = {name: held for name, held in value.items() if name not in ("messages", "seed")}
    return "\n".join(
        [*(line for message in await _messages(log, head, fresh) for line in spoken(message)), readable(values.encode(rest))]
    )


async def _messages(log: Log, head: str, fresh: Fresh) -> list[Any]:
    found: list[Any] = []
    here: str | None = head
    while here is not None:
        node = msgspec.json.decode(await _content(log, here, fresh) or b'{"item":"","prev":null}', type=Node)
        found.append(values.decode(await _content(log, node.item, fresh) or b"null"))
        here = node.prev
    return found[::-1]


async def _stored(log: Log, payload: Payload, fresh: Fresh) -> bytes:
    return bytes(payload.json) if payload.blob is None else await _content(log, payload.blob, fresh)


async def _content(log: Log, hash: str, fresh: Fresh) -> bytes:
    if hash in fresh:
        return fresh[hash]
    try:
        return await log.blob(hash)
    except StoreError:  # removed, or damaged: then what differs is not shown
        return b""

"""Which contents an event refers to: the blobs of its payloads, the pinned definition, the conversation a model call sent.

Stands apart because checking, exporting and (later) retention must agree on it. Only typed fields count: text that looks like a
hash inside a user's value is not a reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import get_type_hints

import msgspec

from store import blobs
from store.events import EVENTS, EffectRequested, Event, Failure, Payload, RunCreated, RunMigrated
from store.reader import Reader

_PAYLOADS: dict[type[Event], tuple[str, ...]] = {
    cls: tuple(name for name, hint in get_type_hints(cls).items() if hint in (Payload, Payload | None)) for cls in EVENTS.values()
}
_FAILURES: dict[type[Event], tuple[str, ...]] = {
    cls: tuple(name for name, hint in get_type_hints(cls).items() if hint is Failure) for cls in EVENTS.values()
}


class _Chain(msgspec.Struct):
    chain: str


class _ModelArguments(msgspec.Struct):
    """A model call's arguments, as far as this needs them: its conversation is a chain (`blobs.chain`)."""

    messages: _Chain


_read_arguments = msgspec.json.Decoder(_ModelArguments).decode
_read_node = msgspec.json.Decoder(blobs.Node).decode


def direct(event: Event) -> Iterator[str]:
    """The hashes that stand in the event itself."""
    kind = type(event)
    if isinstance(event, RunCreated | RunMigrated):
        yield event.definition
    for name in _PAYLOADS.get(kind, ()):
        payload = getattr(event, name)
        if payload is not None and payload.blob is not None:
            yield payload.blob
    for name in _FAILURES.get(kind, ()):
        detail = getattr(event, name).detail
        if detail is not None and detail.blob is not None:
            yield detail.blob


class References:
    """Follows references, each content once."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._seen: set[str] = set()

    async def new(self, events: Iterable[Event]) -> list[str]:
        """The hashes these events lead to that were not led to before, missing contents among them."""
        found: list[str] = []
        for event in events:
            found += [hash for hash in direct(event) if self._first_time(hash)]
            if type(event) is EffectRequested and event.kind == "model":
                found += await self._conversation(event.arguments)
        return found

    def _first_time(self, hash: str) -> bool:
        if hash in self._seen:
            return False
        self._seen.add(hash)
        return True

    async def _conversation(self, arguments: Payload) -> list[str]:
        text = await self._content(arguments.blob) if arguments.blob is not None else bytes(arguments.json)
        try:
            link: str | None = _read_arguments(text or b"").messages.chain
        except msgspec.MsgspecError:
            return []
        found = []
        while link is not None and self._first_time(link):
            found.append(link)
            try:
                node = _read_node(await self._content(link) or b"")
            except msgspec.MsgspecError:
                break
            if self._first_time(node.item):
                found.append(node.item)
            link = node.prev
        return found

    async def _content(self, hash: str) -> bytes | None:
        rows = await self._reader.all(blobs.SELECT, (blobs.unhex32(hash),))
        return rows[0][0] if rows else None

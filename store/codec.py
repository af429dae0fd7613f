"""Events as they are stored, and back: (type name, schema version, JSON text).

The only place that knows old versions: an upcaster takes the plain JSON of version n to n + 1. What this version does not know,
or cannot read, becomes an `UnknownEvent` that keeps the text: shown, counted, never executed, never lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from store.events import EVENTS, Event, UnknownEvent

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTERS: Mapping[tuple[str, int], Upcaster] = {}
"""(type name, from version) -> the same event's JSON object one version later. Checked for gaps at import."""

_encoder = msgspec.json.Encoder()
_DECODERS: dict[str, Callable[[bytes | str], Event]] = {name: msgspec.json.Decoder(cls).decode for name, cls in EVENTS.items()}
_BY_NAME: dict[str, Callable[[bytes | str], Event]] = {
    name if cls.schema == 1 else f"{name}/{cls.schema}": _DECODERS[name] for name, cls in EVENTS.items()
}
_CURRENT: dict[tuple[str, int], Callable[[bytes | str], Event]] = {
    (name, cls.schema): _DECODERS[name] for name, cls in EVENTS.items()
}


def encode(event: Event) -> tuple[str, int, str]:
    """`event` as (type, schema version, JSON text)."""
    if type(event) is UnknownEvent:
        return event.name, event.version, event.body
    try:
        return event.type, event.schema, _encoder.encode(event).decode()
    except UnicodeEncodeError:
        return event.type, event.schema, _encoder.encode(_mended(event)).decode()


def _mended(value: Any) -> Any:
    """The same with lone surrogates (which UTF-8 cannot hold: names and output of programs have them) as U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list | tuple):
        return type(value)([_mended(item) for item in value])
    if isinstance(value, msgspec.Struct):
        return type(value)(**{name: _mended(getattr(value, name)) for name in value.__struct_fields__})
    return value


def decode(name: str, schema: int, text: bytes | str) -> Event:
    """The event that was stored; never raises for what a log may hold, and never imports or calls what it names."""
    decoder = _CURRENT.get((name, schema))
    try:
        if decoder is not None:
            return decoder(text)
        if name in EVENTS and schema < EVENTS[name].schema:
            return _upcast(name, schema, text)
    except (msgspec.DecodeError, RecursionError, ValueError, TypeError, LookupError):
        pass  # of another shape than its type says, in whatever way: kept as it is
    return UnknownEvent(name, schema, text if isinstance(text, str) else _text(text))


def decode_named(named: str, text: bytes | str) -> Event:
    """`decode` for the hot path: `named` is the type for schema 1, `type/schema` for others; one look-up, one decoding."""
    try:
        return _BY_NAME[named](text)
    except (msgspec.DecodeError, RecursionError, ValueError, TypeError, LookupError):
        name, _, schema = str(named).partition("/")
        return decode(name, int(schema) if schema.isdecimal() else 1, text)


def _text(stored: Any) -> str:
    """A column that does not even hold text, as text."""
    return bytes(stored).decode("utf-8", "replace") if isinstance(stored, bytes | bytearray) else str(stored)


def _upcast(name: str, schema: int, text: bytes | str) -> Event:
    fields = msgspec.json.decode(text, type=dict[str, Any])
    for version in range(schema, EVENTS[name].schema):
        fields = UPCASTERS[name, version](fields)
    return msgspec.convert(fields, EVENTS[name])


def missing_upcasters(events: Mapping[str, type[Event]], upcasters: Mapping[tuple[str, int], Upcaster]) -> list[str]:
    """The gaps: every version below the current one of every type needs an upcaster, and none may be left over."""
    needed = {(name, version) for name, cls in events.items() for version in range(1, cls.schema)}
    gaps = [f"{name} has no upcaster from version {version}" for name, version in sorted(needed - set(upcasters))]
    return gaps + [
        f"{name} has an upcaster from version {version} that nothing needs" for name, version in sorted(set(upcasters) - needed)
    ]


if _gaps := missing_upcasters(EVENTS, UPCASTERS):
    raise AssertionError("; ".join(_gaps))

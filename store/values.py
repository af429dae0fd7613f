"""Any value a pipeline passes around, as JSON text and back, without loss.

Stands apart because JSON alone loses NaN, bytes, large integers, lone surrogates and keys that are not text. Those are written
as an object with one reserved key (`$float`, `$bytes`, `$int`, `$str`, `$map`); a user's own object whose keys begin with `$` is
written as `$map` too, so reading is exact. Decoding makes plain values only: it imports and calls nothing named in the text.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import decimal
import enum
import hashlib
import math
import pathlib
import uuid
from typing import Any

import msgspec

from store.errors import ValueEncodingError
from store.events import INLINE_LIMIT, Payload

MAX_DEPTH = 200
"""Levels of nesting a value may have: deep enough for real ones, far from Python's recursion limit."""

_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder().decode
_INT_LIMIT = 2**53
NONE = Payload(size=4, json=msgspec.Raw(b"null"))


def encode(value: object) -> bytes:
    """`value` as canonical JSON text (keys sorted), the same for equal values. Raises `ValueEncodingError` with the place."""
    return _encode(_plain(value, "", 0))


def decode(text: bytes | msgspec.Raw | str) -> Any:
    """The value that `encode` wrote (tuples come back as lists, dataclasses and models as objects).

    Raises `ValueEncodingError` for what is no JSON or is nested too deep; never anything else, whatever the text.
    """
    try:
        value = _decode(text)
        return _restore(value) if isinstance(value, dict | list) and _marked(text) else value
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueEncodingError(f"A stored value is not JSON ({error}); the store or what wrote it is at fault.") from error
    except RecursionError as error:
        raise ValueEncodingError("A stored value is nested too deep to be read.") from error


def _marked(text: bytes | msgspec.Raw | str) -> bool:
    """Whether a reserved key may be in the text (a `$` may stand escaped): without one nothing is to be restored.

    A definition of 10,000 steps is read in 8 ms, before 20.
    """
    if isinstance(text, str):
        return '"$' in text or "\\u0024" in text
    raw = bytes(text)
    return b'"$' in raw or b"\\u0024" in raw


def digest(content: bytes) -> str:
    """The name of a content in the store: SHA-256, in hex."""
    return hashlib.sha256(content).hexdigest()


def pack(value: object) -> tuple[Payload, bytes | None]:
    """`value` as a payload, and the blob that has to be stored with it (None when it stands inline)."""
    if value is None:
        return NONE, None
    return pack_json(encode(value))


def pack_json(text: bytes) -> tuple[Payload, bytes | None]:
    """The same for text that is already JSON."""
    if len(text) <= INLINE_LIMIT:
        return Payload(size=len(text), json=msgspec.Raw(text)), None
    return Payload(size=len(text), blob=digest(text)), text


def _plain(value: Any, place: str, depth: int) -> Any:
    kind = type(value)
    if kind is str:
        return value if value.isascii() else _text(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if -_INT_LIMIT < value < _INT_LIMIT else {"$int": _digits(value)}
    if kind is float:
        return value if math.isfinite(value) else {"$float": repr(value)}
    if depth >= MAX_DEPTH:
        raise ValueEncodingError(
            f"The value at {_shown(place)} is nested deeper than {MAX_DEPTH} levels or contains itself; flatten it."
        )
    if kind is dict:
        return _object(value, place, depth)
    if kind is list or kind is tuple:
        return [_plain(item, f"{place}[{index}]", depth + 1) for index, item in enumerate(value)]
    return _other(value, place, depth)


def _shown(place: str) -> str:
    """The place for a sentence: what is deep is cut in the middle."""
    return place if 0 < len(place) <= 80 else f"{place[:40]}…{place[-20:]}" if place else "its root"


def _text(value: str) -> Any:
    try:
        value.encode()
    except UnicodeEncodeError:
        return {"$str": base64.b64encode(value.encode("utf-8", "surrogatepass")).decode()}
    return value


def _digits(value: int) -> str:
    return hex(value)


def _object(value: dict[Any, Any], place: str, depth: int) -> Any:
    if all(type(key) is str and key[:1] != "$" and key.isascii() for key in value):
        return {key: _plain(item, f"{place}.{key}", depth + 1) for key, item in value.items()}
    if all(type(key) is str and key[:1] != "$" and type(_text(key)) is str for key in value):
        return {key: _plain(item, f"{place}.{key}", depth + 1) for key, item in value.items()}
    pairs = [[_plain(key, f"{place}.<key>", depth + 1), _plain(item, f"{place}.{key!r}", depth + 1)] for key, item in value.items()]
    return {"$map": sorted(pairs, key=_encode)}


def _other(value: Any, place: str, depth: int) -> Any:
    """Values JSON has no word for: the ones with an encoding of their own, then models, then refusal."""
    if isinstance(value, bytes | bytearray | memoryview):
        return {"$bytes": base64.b64encode(bytes(value)).decode()}
    if isinstance(value, enum.Enum):
        return _plain(value.value, place, depth + 1)
    if isinstance(value, str):
        return _text(str.__str__(value))
    if isinstance(value, int):
        return _plain(int(value), place, depth)
    if isinstance(value, float):
        return _plain(float(value), place, depth)
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal | uuid.UUID | pathlib.PurePath):
        return _plain(str(value), place, depth + 1)
    if isinstance(value, set | frozenset):
        return sorted((_plain(item, f"{place}{{}}", depth + 1) for item in value), key=_encode)
    if isinstance(value, dict):
        return _object(dict(value), place, depth)
    if isinstance(value, list | tuple):
        return _plain(list(value), place, depth)
    fields = _fields(value)
    if fields is not None:
        return _object(fields, place, depth)
    raise ValueEncodingError(
        f"The value at {_shown(place)} is a {type(value).__module__}.{type(value).__qualname__}, which cannot be kept as "
        f"JSON; return plain values, dataclasses, or pydantic or msgspec objects."
    )


def _fields(value: Any) -> dict[Any, Any] | None:
    if isinstance(value, type):
        return None
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    dump = getattr(type(value), "model_dump", None)
    if dump is not None and hasattr(type(value), "model_fields"):
        fields = dump(value)
        return fields if isinstance(fields, dict) else None
    return None


def _restore(value: Any) -> Any:
    if type(value) is list:
        return [_restore(item) for item in value]
    if type(value) is not dict:
        return value
    if len(value) == 1:
        ((key, item),) = value.items()
        if key[:1] == "$":
            return _special(key, item)
    return {key: _restore(item) for key, item in value.items()}


def _special(key: str, item: Any) -> Any:
    """The value a reserved key stands for; what `encode` never wrote so is an object like any other."""
    try:
        return _reserved(key, item)
    except (TypeError, ValueError):
        return {key: _restore(item)}


def _reserved(key: str, item: Any) -> Any:
    if key == "$int":
        return int(item, 16)
    if key == "$float":
        return float(item)
    if key == "$bytes":
        return base64.b64decode(item)
    if key == "$str":
        return base64.b64decode(item).decode("utf-8", "surrogatepass")
    if key == "$map":
        return {_hashable(_restore(name)): _restore(held) for name, held in item}
    return {key: _restore(item)}


def _hashable(value: Any) -> Any:
    return tuple(_hashable(item) for item in value) if isinstance(value, list) else value

"""Values as JSON text and back, without loss and without running anything."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import math
import pathlib
import uuid
from contextlib import suppress
from typing import Any

import msgspec
import pydantic
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from store import values
from store.errors import ValueEncodingError
from store.events import INLINE_LIMIT

anything = st.text() | st.text(st.characters(categories=["Cs", "Lu", "Cc", "So"]))
leaves = st.none() | st.booleans() | st.integers() | st.floats() | anything | st.binary(max_size=40)
keys = anything | st.sampled_from(["$int", "$map", "$bytes", "$", ""]) | st.integers() | st.booleans() | st.none()
trees = st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=20)


def same(one: Any, other: Any) -> bool:
    """Equal in type and value; NaN equals NaN, and -0.0 is not 0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return (math.isnan(one) and math.isnan(other)) or (one == other and math.copysign(1, one) == math.copysign(1, other))
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    return bool(one == other)


@given(trees)
@example("\ud800\udc00")
def test_plain_values_come_back_exactly(value: Any) -> None:
    """NaN, infinities, -0.0, integers of any size, bytes, lone surrogates and odd keys round-trip in type and value."""
    assert same(values.decode(values.encode(value)), value)


@given(trees)
def test_the_text_is_strict_json(value: Any) -> None:
    """The text is JSON by the book: no NaN, no byte outside UTF-8, readable by any parser."""
    json.loads(values.encode(value).decode("utf-8"), parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


@given(st.dictionaries(st.text(), st.integers(), max_size=6))
def test_equal_values_have_equal_texts(value: dict[str, int]) -> None:
    """The text does not depend on the order in which keys were put in: contents and arguments are compared by hash."""
    assert values.encode(dict(reversed(value.items()))) == values.encode(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.nan, b'{"$float":"nan"}'),
        (-math.inf, b'{"$float":"-inf"}'),
        (2**53, b'{"$int":"0x20000000000000"}'),
        (2**53 - 1, b"9007199254740991"),
        (b"\x00\xff", b'{"$bytes":"AP8="}'),
        ("\ud800", b'{"$str":"7aCA"}'),
        ({1: "a"}, b'{"$map":[[1,"a"]]}'),
        ({"$int": "5"}, b'{"$map":[["$int","5"]]}'),
        ({"b": 1, "a": [1.5, None, True]}, b'{"a":[1.5,null,true],"b":1}'),
    ],
    ids=repr,
)
def test_the_encodings_are_fixed(value: object, text: bytes) -> None:
    """The reserved keys are part of the format of every stored row: they stay as they are."""
    assert values.encode(value) == text
    assert same(values.decode(text), value)


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: float


class Review(pydantic.BaseModel):
    stars: int
    day: datetime.date


class Link(msgspec.Struct):
    url: str
    seen: list[int] = []


@pytest.mark.parametrize(
    ("value", "comes_back"),
    [
        ((1, 2), [1, 2]),
        ({3, 1, 2}, [1, 2, 3]),
        (Colour.RED, "red"),
        (Point(1, 2.5), {"x": 1, "y": 2.5}),
        (Review(stars=5, day=datetime.date(2024, 2, 29)), {"stars": 5, "day": "2024-02-29"}),
        (Link("http://a", [1]), {"url": "http://a", "seen": [1]}),
        (datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.UTC), "2024-01-02T03:04:05+00:00"),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        (pathlib.PurePosixPath("/a/b"), "/a/b"),
        (bytearray(b"ab"), b"ab"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_steps_return_becomes_plain(value: object, comes_back: object) -> None:
    """Tuples, sets, enums, dataclasses, pydantic and msgspec objects, dates and paths are kept as plain values."""
    assert same(values.decode(values.encode(value)), comes_back)


def test_what_cannot_be_kept_says_where() -> None:
    """A value JSON has no word for is refused with its place and its type, in one sentence."""
    with pytest.raises(ValueEncodingError, match=r"at \.rows\[1\]\.handle is a builtins\.object, which cannot be kept as JSON"):
        values.encode({"rows": [1, {"handle": object()}]})


def test_a_value_that_contains_itself_is_refused() -> None:
    """A cycle is refused like a value nested too deep, without running out of stack."""
    loop: list[Any] = []
    loop.append({"again": loop})
    with pytest.raises(ValueEncodingError, match="deeper than 200 levels or contains itself"):
        values.encode(loop)


@pytest.mark.parametrize(
    "text",
    [
        b'{"$int": "zz"}',
        b'{"$int": 5}',
        b'{"$float": "x"}',
        b'{"$bytes": 1}',
        b'{"$bytes": "a"}',
        b'{"$str": "AA"}',
        b'{"$map": 3}',
        b'{"$map": [1]}',
        b'{"$map": [[{"a": 1}, 2]]}',
        b'{"$other": {"$int": "0x5"}}',
        b'{"$int": "0x5", "more": 1}',
        b'{"$map": [[[1, [2]], 3]]}',
    ],
)
def test_a_malformed_reserved_key_is_an_object_like_any_other(text: bytes) -> None:
    """Text we did not write that uses our reserved keys wrongly still reads as something plain."""
    read = values.decode(text)
    assert isinstance(read, dict)


@pytest.mark.parametrize("text", [b"", b"{", b"nul", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b'{"$int":' * 100_000])
def test_what_is_no_json_is_one_kind_of_error(text: bytes) -> None:
    """Text that is no JSON, or nested without end, raises ValueEncodingError and nothing else."""
    with pytest.raises(ValueEncodingError):
        values.decode(text)


@given(st.binary(max_size=60))
def test_random_bytes_never_surprise(text: bytes) -> None:
    """Any bytes decode to a plain value or raise ValueEncodingError."""
    with suppress(ValueEncodingError):
        values.encode(values.decode(text))


def test_small_values_stand_inline_and_large_ones_by_hash() -> None:
    """Up to 1 KiB of text is in the event; one byte more is a content of its own, named by its SHA-256."""
    inline, none = values.pack("x" * (INLINE_LIMIT - 2))
    assert (inline.size, inline.blob, none) == (INLINE_LIMIT, None, None)
    by_hash, content = values.pack("x" * (INLINE_LIMIT - 1))
    assert content is not None
    assert (by_hash.size, by_hash.blob, bool(by_hash.json)) == (INLINE_LIMIT + 1, values.digest(content), False)
    assert values.decode(content) == "x" * (INLINE_LIMIT - 1)


def test_none_is_packed_as_null() -> None:
    """None is a value of its own, four bytes of JSON."""
    assert values.pack(None) == (values.NONE, None)
    assert bytes(values.NONE.json) == b"null"

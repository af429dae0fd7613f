"""The offline model's values: they fit every schema the engine can be given, or the place that prevents it is named."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import ipaddress
import json
import pathlib
import re
import uuid
from typing import Annotated, Any, Literal, NotRequired

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from engine.models import schemas
from engine.models.invent import UnsatisfiableError, invent
from engine.models.invent.dice import Dice
from engine.models.invent.patterns import UnreadablePatternError, matching

SEEDS = [f"seed-{number}" for number in range(12)]


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Tree(BaseModel):
    name: str
    children: list[Tree] = []
    left: Tree | None = None


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(ge=3, lt=5)


class Dog(BaseModel):
    kind: Literal["dog"]
    weight: float = Field(gt=0, le=1)


class Everything(BaseModel):
    model_config = ConfigDict(extra="forbid")

    short: Annotated[str, Field(min_length=5, max_length=8)]
    code: Annotated[str, Field(pattern=r"^[A-Z]{3}-\d{4,6}(foo|bar)?$")]
    colour: Colour
    maybe: int | None
    counts: dict[str, int]
    keyed: dict[Annotated[str, Field(pattern="^[a-z]{2}$")], bool] = Field(min_length=2)
    pair: tuple[int, str]
    numbers: set[int] = Field(min_length=3)
    colours: frozenset[Colour] = Field(min_length=2)
    animal: Annotated[Cat | Dog, Field(discriminator="kind")]
    when: datetime.datetime
    day: datetime.date
    hour: datetime.time
    span: datetime.timedelta
    price: decimal.Decimal
    id: uuid.UUID
    path: pathlib.Path
    url: pydantic.HttpUrl
    address: ipaddress.IPv4Address
    network: ipaddress.IPv6Network
    raw: bytes
    text: pydantic.Json[list[int]]
    anything: Any
    tree: Tree
    step: Annotated[float, Field(multiple_of=0.05)]
    third: Annotated[int, Field(multiple_of=3, gt=9, le=14)]
    yes: bool
    nothing: None
    nested: list[dict[str, list[int]]]


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.5


class Movie(TypedDict):
    title: str
    year: NotRequired[Annotated[int, Field(ge=1888)]]


class Node(msgspec.Struct, tag="node"):
    name: Annotated[str, msgspec.Meta(min_length=2, pattern="^[a-z]+$")]
    score: Annotated[float, msgspec.Meta(ge=0, le=1)]
    next: Node | None = None


@pytest.mark.parametrize("seed", SEEDS)
def test_a_model_with_every_kind_of_field_validates(seed: str) -> None:
    """What is made up for pydantic's schema passes pydantic's own, stricter validation."""
    value = invent(schemas.schema_of(Everything), seed)
    Everything.model_validate_json(json.dumps(value))


@pytest.mark.parametrize("kind", [Point, Movie, list[Point], dict[str, Movie], int, Literal["a", 1], Tree, tuple[int, ...]])
def test_types_validate(kind: Any) -> None:
    """What is made up for a dataclass, a TypedDict, a container or a scalar is a value of that type."""
    for seed in SEEDS:
        assert schemas.misfit_of_type(invent(schemas.schema_of(kind), seed), kind) is None


def test_structs_validate() -> None:
    """A msgspec Struct with a tag, bounds and recursion is filled so that msgspec takes it."""
    for seed in SEEDS:
        msgspec.convert(invent(schemas.schema_of(Node), seed), Node)


FITTING: list[dict[str, Any]] = [
    {},
    {"type": ["null", "integer"], "minimum": 4, "maximum": 4},
    {"enum": [1, "two", None, [3]]},
    {"enum": ["a", "b", 3], "type": "integer"},
    {"const": {"a": [1]}},
    {"not": {"type": "string"}, "enum": ["a", 1]},
    {"allOf": [{"type": "integer", "minimum": 2}, {"maximum": 3}, {"type": "number", "multipleOf": 3}]},
    {"allOf": [{"properties": {"a": {"type": "integer"}}}, {"properties": {"a": {"minimum": 7}}, "required": ["a"]}]},
    {"allOf": [{"anyOf": [{"minLength": 4}, {"minLength": 6}]}, {"anyOf": [{"maxLength": 5}, {"maxLength": 1}]}], "type": "string"},
    {"allOf": [{"type": ["number", "string"]}, {"type": "integer", "multipleOf": 0.5}, {"multipleOf": 2.0}]},
    {"allOf": [{"not": {"const": 1}}, {"not": {"const": 2}}], "enum": [1, 2, 3]},
    {"allOf": [{"items": {"type": "integer"}}, {"items": {"minimum": 3}}], "type": "array", "minItems": 1},
    {"allOf": [{"enum": [1, 2, 3]}, {"enum": [3, 4]}]},
    {"allOf": [{"const": 4}, {"const": 4}]},
    {"allOf": [True, {"type": "null"}]},
    {"type": "number", "multipleOf": 0.25, "minimum": 3.1, "maximum": 3.3},
    {"type": "integer", "multipleOf": 7, "maximum": -50},
    {"type": "number", "minimum": 2, "maximum": 2},
    {"type": "string", "pattern": r"(?P<word>[^a-z0-9\-]{2})\x41\u0042\t?[\w.-]+?\S\D\W{1,}a{,2}b{x}", "minLength": 9},
    {"type": "array", "items": {"anyOf": [{"type": "array", "items": {"$ref": "#"}}, {"type": ["object", "null", "array"]}]}},
    {"type": "object", "additionalProperties": {"enum": []}},
    {"oneOf": [{"type": "integer", "multipleOf": 2}, {"type": "integer", "multipleOf": 3}]},
    {"if": {"properties": {"a": {"const": 1}}, "required": ["a"]}, "then": {"required": ["b"]}, "else": {"required": ["c"]}},
    {"type": "array", "prefixItems": [{"type": "string"}, {"const": 2}], "items": False, "minItems": 2},
    {"type": "array", "items": {"type": "boolean"}, "uniqueItems": True, "minItems": 2},
    {"type": "array", "contains": {"const": "needle"}, "minContains": 2, "items": {"type": "string"}, "maxItems": 4},
    {"type": "array", "items": {"type": "integer"}, "maxItems": 0},
    {"type": "object", "patternProperties": {"^x_[a-z]+$": {"type": "integer"}}, "additionalProperties": False, "minProperties": 2},
    {"type": "object", "propertyNames": {"maxLength": 3}, "additionalProperties": {"type": "null"}, "minProperties": 3},
    {"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "required": ["c"], "maxProperties": 1},
    {"type": "object", "properties": {"a": {}, "b": False}},
    {"type": "object", "required": ["a"], "dependentRequired": {"a": ["b"], "b": ["c"]}},
    {"type": "number", "exclusiveMinimum": 0.1, "exclusiveMaximum": 0.2},
    {"type": "integer", "exclusiveMinimum": 10**20, "maximum": 10**20 + 1},
    {"type": "integer", "maximum": -3},
    {"type": "number", "minimum": 1e300},
    {"type": "string", "minLength": 500},
    {"type": "string", "maxLength": 0},
    {"type": "string", "pattern": "^(?:[A-F0-9]{2}:){5}[A-F0-9]{2}$"},
    {"type": "string", "pattern": r"^(?!x)[^\s@]+@[^\s@]+\.(com|org)$", "minLength": 12, "maxLength": 40},
    {
        "$ref": "#/$defs/A",
        "$defs": {"A": {"type": "object", "required": ["b"], "properties": {"b": {"$ref": "#/$defs/B"}}}, "B": {"const": 1}},
    },
    {"type": "object", "properties": {"self": {"$ref": "#"}, "n": {"type": "integer"}}, "required": ["n"]},
    {
        "anyOf": [{"$ref": "#/$defs/list"}, {"type": "null"}],
        "$defs": {"list": {"type": "array", "items": {"$ref": "#"}, "minItems": 1}},
    },
]


@pytest.mark.parametrize("schema", FITTING, ids=lambda schema: json.dumps(schema)[:60])
def test_json_schemas_are_fitted(schema: dict[str, Any]) -> None:
    """Every keyword of JSON Schema that bounds a value is kept, for every seed."""
    for seed in SEEDS:
        assert schemas.misfit(invent(schema, seed), schema) is None


FORMATS = {
    "date": r"2000-01-\d\d",
    "date-time": r"2000-01-\d\dT\d\d:\d\d:00Z",
    "time": r"\d\d:\d\d:00Z",
    "duration": r"PT\d+M",
    "email": r"simulated-\w+@example\.com",
    "uri": r"https://example\.com/simulated/\w+",
    "hostname": r"simulated-\w+\.example\.com",
    "ipv4": r"192\.0\.2\.\d+",
    "ipv6": r"2001:db8::\w+",
    "ipv4network": r"192\.0\.2\.\d+/32",
    "ipv6network": r"2001:db8::\w+/128",
    "json-string": r'"simulated \w+"',
    "base64url": r"[A-Za-z0-9]+",
    "uuid": r"\w{8}-\w{4}-4\w{3}-8\w{3}-\w{12}",
    "uuid1": r"\w{8}-\w{4}-1\w{3}-8\w{3}-\w{12}",
    "phone": r"simulated text \w+",
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats_are_kept_with_reserved_names(name: str) -> None:
    """A format is kept with addresses nobody owns (RFC 2606, 5737, 3849); an unknown one is a labelled text."""
    assert re.fullmatch(FORMATS[name], invent({"type": "string", "format": name}, "seed"))


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    (
        {"type": "object", "properties": {"a": {"type": "integer", "minimum": 5, "maximum": 4}}, "required": ["a"]},
        "#/properties/a",
        "between 5 and 4",
    ),
    ({"type": "string", "minLength": 3, "maxLength": 2}, "#", "minLength 3"),
    ({"type": "string", "minLength": 10**9}, "#", "at most"),
    ({"type": "string", "pattern": r"(a)\1"}, "#", "pattern"),
    ({"type": "array", "items": {"type": "boolean"}, "uniqueItems": True, "minItems": 3}, "#/items", "different items"),
    ({"type": "object", "properties": {"me": {"$ref": "#"}}, "required": ["me"]}, "#/properties/me", "levels"),
    ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}, "#", "refers to itself"),
    ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "#", "at once"),
    ({"type": "number", "exclusiveMinimum": 1, "maximum": 1}, "#", "between 1 and 1"),
    ({"type": "array", "minItems": 2, "maxItems": 1}, "#", "at most 1"),
    ({"type": "string", "pattern": "^a$", "minLength": 2}, "#", "length bounds"),
    ({"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}, "required": ["a"]}, "#/properties/a", "not in it"),
    ({"type": "object", "additionalProperties": False, "minProperties": 1}, "#/additionalProperties", "nothing is allowed"),
    ({"anyOf": []}, "#", "no branch"),
    ({"allOf": [{"const": 1}, {"const": 2}]}, "#", "const"),
    ({"allOf": [{"enum": [1]}, {"enum": [2]}]}, "#", "enum"),
    ({"enum": []}, "#", "nothing is allowed"),
    ({"not": {}}, "#", "fits"),
    ({"type": "array", "items": False, "minItems": 1}, "#/items", "nothing is allowed"),
    ({"type": "array", "minItems": 10**9}, "#/items", "too large"),
    ({"type": "object", "required": ["a", "b"], "maxProperties": 1}, "#", "required"),
]


@pytest.mark.parametrize(("schema", "place", "words"), REFUSED, ids=lambda part: json.dumps(part)[:40])
def test_the_impossible_is_refused_by_place(schema: dict[str, Any], place: str, words: str) -> None:
    """A schema nothing fits is refused with the position in the schema and the reason, and within the allowed effort."""
    with pytest.raises(UnsatisfiableError) as refused:
        invent(schema, "seed")
    assert refused.value.place.startswith(place)
    assert words in refused.value.reason


def test_a_seed_is_a_value() -> None:
    """The same seed makes the same value, another seed another one."""
    schema = schemas.schema_of(Everything)
    assert invent(schema, "a") == invent(schema, "a")
    assert invent(schema, "a") != invent(schema, "b")


def test_choices_are_the_same_everywhere() -> None:
    """The row of numbers behind a seed is fixed: a change would change every recorded simulation."""
    dice = Dice("seed")
    assert [dice.below(1000) for _ in range(4)] == [459, 226, 764, 3]


def test_texts_say_that_they_are_simulated() -> None:
    """A free text inside a value names itself simulated and carries its property's name."""
    value = invent({"type": "object", "properties": {"summary": {"type": "string"}}}, "seed")
    assert re.fullmatch(r"simulated summary [0-9a-f]{6}", value["summary"])


def test_recursion_stays_small() -> None:
    """A recursive model gets a value of some levels, not of thousands of nodes."""
    for seed in SEEDS:
        assert len(json.dumps(invent(schemas.schema_of(Tree), seed))) < 20_000


PATTERNS = st.from_regex(r"\A(?:[a-f.]|\\d|\\w|\[[a-c0-3]{1,3}\]|\([a-c]\|[d-f]\))(?:\?|\*|\+|\{1,3\}|\{2\})?\Z", fullmatch=True)


@given(st.lists(PATTERNS, min_size=1, max_size=6), st.booleans(), st.integers(0, 5))
@settings(max_examples=150, deadline=None)
def test_patterns_are_matched(parts: list[str], anchored: bool, seed: int) -> None:
    """For every expression of literals, classes, groups and repetitions a text is found that `re` agrees with."""
    pattern = "^" + "".join(parts) + "$" if anchored else "".join(parts)
    text = matching(pattern, 0, None, Dice(str(seed)))
    assert text is not None
    assert re.search(pattern, text)


@pytest.mark.parametrize("pattern", [r"(a)\1", r"\p", "(?i)a", "a{100000}", "(a", "a)", "[a", "a\\", "[^\\s\\S]"])
def test_unreadable_patterns_are_said_to_be(pattern: str) -> None:
    """What the reader of expressions does not know is refused, not guessed."""
    with pytest.raises(UnreadablePatternError):
        matching(pattern, 0, None, Dice("seed"))


NAMES = st.sampled_from(["a", "b", "c"])
SCHEMAS = st.recursive(
    st.one_of(
        st.builds(
            lambda low, room: {"type": "integer", "minimum": low, "maximum": low + room}, st.integers(-9, 9), st.integers(0, 9)
        ),
        st.builds(
            lambda low, room: {"type": "string", "minLength": low, "maxLength": low + room}, st.integers(0, 9), st.integers(0, 9)
        ),
        st.builds(
            lambda low, room: {"type": "number", "minimum": low, "maximum": low + room}, st.integers(-9, 9), st.integers(0, 9)
        ),
        st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"enum": [1, "a"]}, {"const": 0}, True]),
    ),
    lambda inner: st.one_of(
        st.builds(
            lambda items, low: {"type": "array", "items": items, "minItems": low, "maxItems": low + 2}, inner, st.integers(0, 3)
        ),
        st.builds(
            lambda properties, required: {"type": "object", "properties": properties, "required": sorted(required)},
            st.dictionaries(NAMES, inner, max_size=3),
            st.sets(NAMES, max_size=2),
        ),
        st.builds(lambda branches: {"anyOf": branches}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda one: {"allOf": [one, {"title": "same"}]}, inner),
        st.builds(lambda values: {"type": "object", "additionalProperties": values, "minProperties": 1}, inner),
    ),
    max_leaves=8,
)


@given(SCHEMAS, st.integers(0, 3))
@settings(max_examples=200, deadline=None)
def test_satisfiable_schemas_are_satisfied(schema: Any, seed: int) -> None:
    """Any nesting of schemas that can be satisfied is satisfied."""
    wrapped = {"type": "object", "properties": {"value": schema}, "required": ["value"]}
    assert schemas.misfit(invent(wrapped, str(seed)), wrapped) is None

"""Output schemas: every accepted form becomes a JSON Schema, everything else a sentence."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import msgspec
import pytest
from pydantic import BaseModel, field_validator

from engine.models.errors import OutputSchemaError
from engine.models.schemas import misfit, misfit_of_type, schema_of


class Even(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def check(cls, number: int) -> int:
        if number % 2:
            raise ValueError("odd")
        return number


class Point(msgspec.Struct):
    x: int


@dataclasses.dataclass
class Named:
    name: str


@pytest.mark.parametrize("kind", [Even, Point, Named, list[int], Literal["a"], {"type": "integer"}, {}])
def test_every_form_becomes_a_valid_schema(kind: Any) -> None:
    """Models, Structs, dataclasses, annotations and schemas come back as a schema that is itself accepted."""
    schema = schema_of(kind)
    assert schema_of(schema) is schema


class Plain:
    pass


def loop() -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    schema["properties"] = {"me": schema}
    return schema


def deep() -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(5000):
        schema = {"items": schema}
    return schema


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"type": "strin"}, "not valid JSON Schema at #/type"),
        ({"properties": {"a": {"minimum": "1"}}}, "#/properties/a/minimum"),
        ({"properties": {"a": {"$ref": "https://example.com/a.json"}}}, "another document at #/properties/a"),
        ({"$ref": "#/$defs/Missing"}, "is not in it"),
        ({"properties": {"a": {"pattern": r"\p{L}"}}}, "#/properties/a/pattern"),
        ({"patternProperties": {"(": True}}, "not valid JSON Schema at #/patternProperties"),
        (loop(), "contains itself"),
        (deep(), "deeper than 100"),
        (Plain, "Plain cannot be written"),
        (lambda: 1, "cannot be written"),
    ],
)
def test_what_is_no_schema_is_refused_by_place(wrong: Any, words: str) -> None:
    """A wrong schema is one sentence with the place, and nothing is fetched."""
    with pytest.raises(OutputSchemaError, match=r"\.$") as refused:
        schema_of(wrong)
    assert words in str(refused.value)


def test_references_and_places() -> None:
    """A value is checked through references, and against part of a larger document."""
    root = {"$defs": {"positive": {"type": "integer", "minimum": 1}}, "properties": {"a": {"$ref": "#/$defs/positive"}}}
    assert misfit({"a": 1}, root) is None
    found = misfit({"a": 0}, root)
    assert found is not None
    assert (found.place, found.rule) == ("$.a", "#/properties/a/minimum")
    part = misfit(0, {"$ref": "#/$defs/positive"}, root)
    assert part is not None
    assert part.place == "$"


@pytest.mark.parametrize(
    ("value", "kind", "place"),
    [({"number": 3}, Even, "$.number"), ({"x": "1"}, Point, "$.x"), ([1, "a"], list[int], "$[1]"), ({}, {"required": ["a"]}, "$")],
)
def test_a_types_own_rules_count(value: Any, kind: Any, place: str) -> None:
    """What only the type knows (a validator, a strict type) is found with its place; a fitting value has no misfit."""
    found = misfit_of_type(value, kind)
    assert found is not None
    assert found.place == place
    assert misfit_of_type({"number": 2}, Even) is None
    assert misfit_of_type({"x": 1}, Point) is None

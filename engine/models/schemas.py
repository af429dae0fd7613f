"""JSON Schemas: made from what a user gives as an output schema, and values held against them.

Stands apart because four kinds of Python types and plain dictionaries arrive here and one kind of dictionary leaves; and because
`jsonschema` (0.06 s) is imported here only, when a value is first checked.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from engine.models.errors import OutputSchemaError

TEXT_LIMIT = 300
"""Characters of a validator's message that are shown; it quotes the offending value, which may be long."""
MAX_DEPTH = 100
"""Levels of nesting of a schema; every step into `properties` counts as two."""


@dataclass(frozen=True)
class Misfit:
    """Where a value does not fit (`$.items[2].name`), how, and by which rule of the schema (`#/properties/items/minItems`)."""

    place: str
    text: str
    rule: str = "#"


def schema_of(output_schema: Any) -> dict[str, Any]:
    """The JSON Schema for a pydantic model, a msgspec Struct, a dataclass, TypedDict or other annotation, or a JSON Schema itself.

    Raises `OutputSchemaError` for what is none, is not valid, or refers to a document elsewhere.
    """
    if isinstance(output_schema, dict):
        _check(output_schema)
        return output_schema
    return _from_type(output_schema)


def misfit(value: Any, schema: dict[str, Any], root: dict[str, Any] | None = None) -> Misfit | None:
    """The most telling misfit of `value`, or None. `format` is a remark in JSON Schema and is not checked.

    `root` is the document that references in `schema` point into, where that is not `schema` itself.
    """
    from jsonschema.exceptions import best_match  # type: ignore[import-untyped, unused-ignore]

    validator = _validator(schema if root is None else root)
    error = best_match((validator if root is None else validator.evolve(schema=schema)).iter_errors(value))
    if error is None:
        return None
    text = error.message if len(error.message) <= TEXT_LIMIT else f"{error.message[:TEXT_LIMIT]}..."
    rule = "/".join(["#", *map(str, error.absolute_schema_path)])
    return Misfit(error.json_path, text.rstrip("."), rule)


def misfit_of_type(value: Any, output_schema: Any) -> Misfit | None:
    """What a type's own rules say about a value that fits its JSON Schema (a pydantic validator is not in the schema)."""
    if isinstance(output_schema, dict):
        return misfit(value, output_schema)
    import pydantic

    try:
        if isinstance(output_schema, type) and issubclass(output_schema, msgspec.Struct):
            msgspec.convert(value, output_schema)
        else:
            pydantic.TypeAdapter(output_schema).validate_json(msgspec.json.encode(value))
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at `")
        return Misfit(place.rstrip("`") or "$", text)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        return Misfit(_path(first["loc"]), first["msg"])
    return None


def _references(schema: Any, place: str = "#", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Every `$ref` in a schema with the place of its schema."""
    if depth > MAX_DEPTH:
        raise OutputSchemaError(
            f"The output schema is nested deeper than {MAX_DEPTH} levels or contains itself; use $defs and $ref."
        )
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield place, schema["$ref"]
        for key, item in schema.items():
            if key not in ("const", "enum", "default", "examples"):
                yield from _references(item, f"{place}/{key}", depth + 1)
    elif isinstance(schema, list):
        for index, item in enumerate(schema):
            yield from _references(item, f"{place}/{index}", depth + 1)


def _validator(schema: dict[str, Any]) -> Any:
    """A validator with a registry of its own: jsonschema's default one fetches unknown references from the network."""
    from jsonschema.validators import Draft202012Validator, validator_for  # type: ignore[import-untyped, unused-ignore]
    from referencing import Registry

    return validator_for(schema, default=Draft202012Validator)(schema, registry=Registry())


def _check(schema: dict[str, Any]) -> None:
    from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped, unused-ignore]

    references = list(_references(schema))
    try:
        _validator(schema).check_schema(schema)
    except SchemaError as error:
        place = "/".join(["#", *map(str, error.absolute_path)])
        raise OutputSchemaError(
            f"The output schema is not valid JSON Schema at {place} ({error.message[:TEXT_LIMIT]}); correct it there."
        ) from None
    for place, target in references:
        resolve(schema, target, place)


def resolve(root: dict[str, Any], target: str, place: str) -> Any:
    """What `target` (`#`, `#/$defs/Name`) points at inside `root`. Raises `OutputSchemaError`."""
    if not target.startswith("#"):
        raise OutputSchemaError(
            f"The output schema refers to another document at {place} ({target[:80]}); copy it into $defs and refer to that."
        )
    found: Any = root
    for part in target[1:].split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and key in found:
            found = found[key]
        elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        else:
            raise OutputSchemaError(f"The output schema refers at {place} to {target[:80]}, which is not in it; add it to $defs.")
    return found


def _from_type(output_type: Any) -> dict[str, Any]:
    import pydantic

    try:
        if isinstance(output_type, type) and issubclass(output_type, msgspec.Struct):
            return msgspec.json.schema(output_type)
        if inspect.isroutine(output_type):
            raise TypeError("a function is no type")
        return pydantic.TypeAdapter(output_type).json_schema()
    except (pydantic.errors.PydanticUserError, TypeError, NameError) as error:
        name = getattr(output_type, "__name__", None) or repr(output_type)[:80]
        reason = str(error).splitlines()[0][:TEXT_LIMIT]
        raise OutputSchemaError(
            f"{name} cannot be written as a JSON Schema ({reason}); use a pydantic model, a msgspec Struct, a dataclass, a "
            f"TypedDict or a JSON Schema."
        ) from None


def _path(place: tuple[int | str, ...]) -> str:
    return "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)

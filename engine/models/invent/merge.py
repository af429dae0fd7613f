"""Two schemas as one that asks for both.

Stands apart because `allOf`, `$ref` with neighbours and the branches of `anyOf` all come down to this. Where two keywords cannot be
made one (two patterns), the first stays, and the check of the finished value decides.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from engine.models.invent.refusal import UnsatisfiableError

Schema = dict[str, Any]

_GREATER = ("minLength", "minItems", "minProperties", "minimum", "exclusiveMinimum", "minContains")
_SMALLER = ("maxLength", "maxItems", "maxProperties", "maximum", "exclusiveMaximum", "maxContains")


def merged(one: Schema, other: Schema, place: str) -> Schema:
    """What `one` and `other` ask for together. Raises `UnsatisfiableError` where they contradict each other."""
    both = dict(one)
    for key, theirs in other.items():
        both[key] = _together(key, both[key], theirs, place) if key in both else theirs
    return both


def _together(key: str, ours: Any, theirs: Any, place: str) -> Any:
    if key in _GREATER:
        return max(ours, theirs)
    if key in _SMALLER:
        return min(ours, theirs)
    rule = _RULES.get(key)
    return ours if rule is None else rule(ours, theirs, place)


def _types(ours: Any, theirs: Any, place: str) -> list[str]:
    first, second = _listed(ours), _listed(theirs)
    common = [name for name in first if name in second or (name == "integer" and "number" in second)]
    common += [name for name in second if name == "integer" and "number" in first and name not in common]
    if not common:
        raise UnsatisfiableError(place, f"nothing is {'/'.join(first)} and {'/'.join(second)} at once")
    return common


def _listed(kinds: Any) -> list[str]:
    return kinds if isinstance(kinds, list) else [kinds]


def _enums(ours: list[Any], theirs: list[Any], place: str) -> list[Any]:
    common = [item for item in ours if item in theirs]
    if not common:
        raise UnsatisfiableError(place, "no value is in both lists of `enum`")
    return common


def _consts(ours: Any, theirs: Any, place: str) -> Any:
    if ours != theirs:
        raise UnsatisfiableError(place, "two different values of `const` are asked for")
    return ours


def _union(ours: list[Any], theirs: list[Any], place: str) -> list[Any]:
    return [*ours, *(item for item in theirs if item not in ours)]


def _subschemas(ours: Schema, theirs: Schema, place: str) -> Schema:
    """`properties` and their like: each name has to fit what both say of it."""
    return {
        name: {"allOf": [ours[name], theirs[name]]} if name in ours and name in theirs else (ours | theirs)[name]
        for name in ours | theirs
    }


def _both(ours: Any, theirs: Any, place: str) -> Any:
    return ours if ours == theirs else {"allOf": [ours, theirs]}


def _branches(ours: list[Any], theirs: list[Any], place: str) -> list[Any]:
    return [{"allOf": [branch, {"anyOf": theirs}]} for branch in ours]


def _multiples(ours: float, theirs: float, place: str) -> float:
    return math.lcm(ours, theirs) if isinstance(ours, int) and isinstance(theirs, int) else max(ours, theirs)


def _neither(ours: Any, theirs: Any, place: str) -> Any:
    return {"anyOf": [ours, theirs]}


_RULES: dict[str, Callable[[Any, Any, str], Any]] = {
    "type": _types,
    "enum": _enums,
    "const": _consts,
    "required": _union,
    "allOf": _union,
    "properties": _subschemas,
    "patternProperties": _subschemas,
    "$defs": _subschemas,
    "items": _both,
    "additionalProperties": _both,
    "propertyNames": _both,
    "contains": _both,
    "anyOf": _branches,
    "oneOf": _branches,
    "multipleOf": _multiples,
    "not": _neither,
}

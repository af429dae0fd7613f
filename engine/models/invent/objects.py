"""The walk over a schema that makes a value for it.

Stands apart from the parts it is made of (texts, numbers, merging) because the limits are here: how deep, how many values, and when
to stop embellishing. What cannot be right by construction (`oneOf`, `not`, `if`, ...) is made and checked, a few times over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from engine.models import schemas
from engine.models.errors import OutputSchemaError
from engine.models.invent import scalars
from engine.models.invent.dice import Dice
from engine.models.invent.merge import Schema, merged
from engine.models.invent.refusal import ExhaustedError, UnsatisfiableError
from store import values

EFFORT = 20_000
"""Schemas visited for one value; what needs more is refused (0.3 s at worst)."""
PLAIN_DEPTH = 4
PLAIN_EFFORT = 2_000
"""From this depth or effort on optional properties are left out, arrays are short, and branches that end are taken first."""
MAX_DEPTH = 60
"""Deeper than any answer; a schema that requires itself is found here."""
VARIANTS = 6

_CHECKED = frozenset(
    {"oneOf", "not", "if", "enum", "const", "allOf", "multipleOf", "contains", "uniqueItems", "unevaluatedItems"}
    | {"dependentSchemas", "dependentRequired", "minProperties", "propertyNames", "patternProperties", "unevaluatedProperties"}
)
"""Keywords for which a value is made and then checked; the others are met by construction."""
_KIND_OF_KEYWORD = {
    "object": ("properties", "required", "additionalProperties", "patternProperties", "minProperties", "propertyNames"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


def invent(schema: Schema, seed: str) -> Any:
    """A value that fits `schema`, the same for the same seed. Raises `UnsatisfiableError` with the place in the schema."""
    walk = _Walk(schema, Dice(seed))
    value = walk.value(schema, "#", "", 0)
    misfit = schemas.misfit(value, schema)
    if misfit is not None:
        raise UnsatisfiableError(misfit.rule, f"no value was found that fits ({misfit.text})")
    return value


class _Walk:
    """One value in the making. `place` is the position in the schema, `name` the property the value stands in."""

    def __init__(self, root: Schema, dice: Dice) -> None:
        self.root = root
        self.dice = dice
        self.visited = 0

    def value(self, schema: Any, place: str, name: str, depth: int) -> Any:
        """A value for `schema`, in at most `VARIANTS` tries where it has keywords that only a finished value shows."""
        self._spend(place, depth)
        if schema is False:
            raise UnsatisfiableError(place, "nothing is allowed here")
        if schema is True:
            schema = {}
        if not _CHECKED & schema.keys():
            return self._one(schema, place, name, depth)
        reason = UnsatisfiableError(place, "no value was found that fits")
        for _ in range(VARIANTS):
            try:
                made = self._one(schema, place, name, depth)
            except ExhaustedError:
                raise
            except UnsatisfiableError as refusal:
                reason = refusal
                continue
            misfit = schemas.misfit(made, schema, self.root)
            if misfit is None:
                return made
            reason = UnsatisfiableError(place, f"no value was found that fits ({misfit.text})")
        raise reason

    def _spend(self, place: str, depth: int) -> None:
        self.visited += 1
        if self.visited > EFFORT:
            raise ExhaustedError(place, f"the schema is too large or too entangled (more than {EFFORT} values tried)")
        if depth > MAX_DEPTH:
            raise UnsatisfiableError(place, f"the schema requires more than {MAX_DEPTH} levels, or itself without end")

    def _one(self, schema: Schema, place: str, name: str, depth: int) -> Any:
        flat = self._flat(schema, place)
        branches = self._branches(flat, depth)
        if branches is None:
            return self._leaf(flat, place, name, depth)
        keyword, order = branches
        rest = {key: item for key, item in flat.items() if key not in (keyword, "if", "then", "else")}
        return self._first([partial(self._branch, branch, rest, place, name, depth) for branch in order], place, depth)

    def _branch(self, branch: Any, rest: Schema, place: str, name: str, depth: int) -> Any:
        return self._one(merged(rest, self._flat(branch, place), place), place, name, depth)

    def _plain(self, depth: int) -> bool:
        return depth >= PLAIN_DEPTH or self.visited > PLAIN_EFFORT

    def _first(self, attempts: Sequence[Callable[[], Any]], place: str, depth: int) -> Any:
        """What the first attempt that succeeds makes; otherwise the last one's refusal."""
        reason = UnsatisfiableError(place, "there is no branch to take")
        for attempt in attempts:
            self._spend(place, depth)
            try:
                return attempt()
            except ExhaustedError:
                raise
            except UnsatisfiableError as refusal:
                reason = refusal
        raise reason

    def _flat(self, schema: Any, place: str, seen: tuple[str, ...] = ()) -> Schema:
        """`schema` with its `$ref` followed and its `allOf` folded in."""
        if isinstance(schema, bool):
            return {} if schema else {"enum": []}
        flat = {key: item for key, item in schema.items() if key not in ("$ref", "allOf")}
        parts = list(schema.get("allOf", ()))
        if "$ref" in schema:
            target = schema["$ref"]
            if target in seen:
                raise UnsatisfiableError(place, f"{target} refers to itself and says nothing")
            seen = (*seen, target)
            try:
                parts.insert(0, schemas.resolve(self.root, target, place))
            except OutputSchemaError as error:
                raise UnsatisfiableError(place, str(error)) from None
        for part in parts:
            flat = merged(flat, self._flat(part, place, seen), place)
        return flat

    def _branches(self, flat: Schema, depth: int) -> tuple[str, list[Any]] | None:
        """The keyword that offers a choice, and its branches in the order to try them: null last, or the shortest first."""
        for keyword in ("anyOf", "oneOf"):
            if keyword in flat:
                order = self.dice.rotated(flat[keyword])
                return keyword, sorted(order, key=_weight if self._plain(depth) else _lateness)
        if "if" in flat:
            met = {"allOf": [flat["if"], flat.get("then", True)]}
            return "if", self.dice.rotated([met, flat.get("else", True)])
        return None

    def _leaf(self, flat: Schema, place: str, name: str, depth: int) -> Any:
        if "const" in flat:
            return flat["const"]
        if "enum" in flat:
            if not flat["enum"]:
                raise UnsatisfiableError(place, "nothing is allowed here")
            return self.dice.pick(flat["enum"])
        kinds = flat.get("type") or next((k for k, words in _KIND_OF_KEYWORD.items() if flat.keys() & set(words)), "string")
        if isinstance(kinds, str):
            return self._of_kind(kinds, flat, place, name, depth)
        order = self.dice.rotated(kinds)
        order.sort(key=_kind_weight if self._plain(depth) else "null".__eq__)
        return self._first([partial(self._of_kind, kind, flat, place, name, depth) for kind in order], place, depth)

    def _of_kind(self, kind: str, schema: Schema, place: str, name: str, depth: int) -> Any:
        match kind:
            case "object":
                return self._object(schema, place, depth)
            case "array":
                return self._array(schema, place, name, depth)
            case "string":
                if schema.get("contentMediaType") == "application/json":
                    return json.dumps(self.value(schema.get("contentSchema", True), f"{place}/contentSchema", name, depth + 1))
                return scalars.text(schema, name, place, self.dice)
            case "integer":
                return scalars.integer(schema, place, self.dice)
            case "number":
                return scalars.number(schema, place, self.dice)
            case "boolean":
                return self.dice.below(2) == 1
            case "null":
                return None
            case _:
                raise UnsatisfiableError(place, f"the type {kind!r} is not known")

    def _array(self, schema: Schema, place: str, name: str, depth: int) -> list[Any]:
        first = schema.get("prefixItems", [])
        least = max(int(schema.get("minItems", 0)), int(schema.get("minContains", 1)) if "contains" in schema else 0)
        most = int(schema.get("maxItems", max(least, len(first), 3)))
        rest = schema.get("items", "prefixItems" not in schema)
        length = least if self._plain(depth) else min(most, max(least, len(first), 1 + self.dice.below(3)))
        if most < least:
            raise UnsatisfiableError(place, f"at least {least} and at most {most} items are asked for")
        made: list[Any] = []
        while len(made) < length:
            index = len(made)
            item, at = (first[index], f"{place}/prefixItems/{index}") if index < len(first) else (rest, f"{place}/items")
            if "contains" in schema and index < int(schema.get("minContains", 1)):
                item, at = {"allOf": [item, schema["contains"]]}, f"{place}/contains"
            try:
                made.append(self._fresh(item, at, name, depth, made if schema.get("uniqueItems") else []))
            except UnsatisfiableError as refusal:
                if isinstance(refusal, ExhaustedError) or len(made) < least:
                    raise
                break
        return made

    def _fresh(self, schema: Any, place: str, name: str, depth: int, others: list[Any]) -> Any:
        """A value that is not yet among `others`."""
        taken = {values.encode(other) for other in others}
        for _ in range(50):
            made = self.value(schema, place, name, depth + 1)
            if values.encode(made) not in taken:
                return made
        raise UnsatisfiableError(place, f"no {len(others) + 1} different items were found")

    def _object(self, schema: Schema, place: str, depth: int) -> dict[str, Any]:
        known, required = schema.get("properties", {}), list(schema.get("required", []))
        most = schema.get("maxProperties", len(known) + len(required) + 1000)
        if len(set(required)) > most:
            raise UnsatisfiableError(place, f"{len(required)} properties are required and {most} allowed")
        made: dict[str, Any] = {}
        for key in required:
            made[key] = self._property(schema, key, place, depth)
        for key in known if not self._plain(depth) else ():
            if key in made or len(made) >= most:
                continue
            try:
                made[key] = self._property(schema, key, place, depth)
            except ExhaustedError:
                raise
            except UnsatisfiableError:
                continue  # optional, and this is how to leave it out
        self._add_dependents(schema, made, place, depth)
        self._add_further(schema, made, place, depth, most)
        return {key: made[key] for key in [*(k for k in known if k in made), *(k for k in made if k not in known)]}

    def _property(self, schema: Schema, key: str, place: str, depth: int) -> Any:
        parts = [schema["properties"][key]] if key in schema.get("properties", {}) else []
        at = f"{place}/properties/{key}"
        parts += [item for pattern, item in schema.get("patternProperties", {}).items() if re.search(pattern, key)]
        if not parts:
            parts, at = [schema.get("additionalProperties", True)], f"{place}/additionalProperties"
        return self.value(parts[0] if len(parts) == 1 else {"allOf": parts}, at, key, depth + 1)

    def _add_dependents(self, schema: Schema, made: dict[str, Any], place: str, depth: int) -> None:
        waiting = list(made)
        while waiting:
            for key in schema.get("dependentRequired", {}).get(waiting.pop(), []):
                if key not in made:
                    made[key] = self._property(schema, key, place, depth)
                    waiting.append(key)

    def _add_further(self, schema: Schema, made: dict[str, Any], place: str, depth: int, most: int) -> None:
        """Properties nobody named: as many as are asked for, and one for a mapping, so that it is not empty."""
        mapping = isinstance(schema.get("additionalProperties"), dict) or "patternProperties" in schema
        wanted = max(int(schema.get("minProperties", 0)), int(mapping and not made and not self._plain(depth)))
        for index in range(1, wanted * 20):
            if len(made) >= min(wanted, most):
                return
            key = self._key(schema, index, place, depth)
            if key in made:
                continue
            try:
                made[key] = self._property(schema, key, place, depth)
            except ExhaustedError:
                raise
            except UnsatisfiableError:
                if len(made) < int(schema.get("minProperties", 0)):
                    raise
                return

    def _key(self, schema: Schema, index: int, place: str, depth: int) -> str:
        patterns = list(schema.get("patternProperties", {}))
        if patterns:
            return scalars.text({"pattern": patterns[index % len(patterns)]}, "", f"{place}/patternProperties", self.dice)
        if "propertyNames" in schema:
            names = {"allOf": [{"type": "string"}, schema["propertyNames"]]}
            return str(self.value(names, f"{place}/propertyNames", "key", depth + 1))
        return f"key_{index}"


def _lateness(branch: Any) -> int:
    """null last; a text of any kind after numbers (pydantic writes Decimal as a number or any text, and refuses most texts)."""
    kind = branch.get("type") if isinstance(branch, dict) else None
    return 2 if kind == "null" else int(kind == "string" and len(branch) <= 2)


def _weight(branch: Any) -> int:
    """How soon a branch is likely to end: what is written out before what is referred to, scalars before containers."""
    if not isinstance(branch, dict) or "const" in branch or "enum" in branch:
        return 0
    if branch.get("$ref") or {"anyOf", "oneOf", "allOf"} & branch.keys():
        return 3
    kind = branch.get("type", "")
    return _kind_weight(kind) if isinstance(kind, str) else 0


def _kind_weight(kind: str) -> int:
    return {"array": 1, "object": 2}.get(kind, 0)

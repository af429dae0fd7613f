"""The published JSON Schema of pipeline files, for editors: made of the fields that reading goes by.

Stands apart because only who asks for it pays for it. It tells shapes; names, conditions and who waits for whom are for `validate`.
"""

from __future__ import annotations

import itertools
from typing import Any

from engine.definition import ExecutionMode
from engine.expressions.conditions import FIELDS
from engine.fields import BODIES, PIPELINE, STEP
from engine.kinds import object_schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def file_schema() -> dict[str, Any]:
    """The schema of a whole file."""
    return {
        "$schema": DIALECT,
        "title": "tagent-tui pipeline",
        "description": "A pipeline. Editors find it by the first line of a YAML file: # yaml-language-server: $schema=FILE",
        **object_schema(PIPELINE, "name", "steps"),
        "$defs": {"step": _step(), "nested": object_schema(PIPELINE, "steps"), "condition": _condition()},
    }


def _step() -> dict[str, Any]:
    """A step has one body: a goal, a function, a switch alone, or what it merges."""
    merges = {
        "properties": {"execution_mode": {"const": ExecutionMode.PARALLEL_MERGE.value}},
        "required": ["execution_mode"],
    }
    return {
        **object_schema(STEP, "name"),
        "anyOf": [*({"required": [body]} for body in BODIES), merges],
        "not": {"anyOf": [{"required": list(two)} for two in itertools.combinations(("goal", "run", "pipeline"), 2)]},
    }


def _condition() -> dict[str, Any]:
    """Text of the expression language, or a mapping with an operator and its fields."""
    text = {"type": "string", "minLength": 1}
    inner = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/condition"}}
    kinds: dict[str, dict[str, Any]] = {"left": {}, "right": {}, "step": {"type": "string"}, "conditions": inner}
    texts = ("matches", "step_result_contains")
    operators = []
    for operator, fields in FIELDS.items():
        properties = {field: text if field == "right" and operator in texts else kinds[field] for field in fields}
        if operator == "not":
            properties["conditions"] = {**inner, "maxItems": 1}
        properties = {"operator": {"const": operator}, **properties}
        operators.append({"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False})
    return {"anyOf": [text, {"type": "boolean"}, *operators]}

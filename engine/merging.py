"""How the outputs of parallel members become one: `list`, `dict`, `deep`. Pure.

Stands apart because a strategy is a function of values; a reducer of the user's and a model's summary are bodies like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import MergeError


def merged(strategy: str, outputs: Mapping[str, Any]) -> Any:
    """`outputs` by member, in the order of the dependencies; members without an output are not among them.

    `list` is their list, `dict` is by member, `deep` merges mappings: nested ones are merged, lists joined, and of two other values
    the later member's holds. Raises `MergeError` where `deep` finds something that is no mapping.
    """
    if strategy == "list":
        return list(outputs.values())
    if strategy == "dict":
        return dict(outputs)
    result: dict[str, Any] = {}
    for member, value in outputs.items():
        if not isinstance(value, Mapping):
            raise MergeError(f"the output of {member} is no mapping, so it cannot be merged deep; use merge='dict' or 'list'")
        result = _deep(result, value)
    return result


def _deep(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(one)
    for key, value in other.items():
        held = result.get(key)
        if isinstance(held, Mapping) and isinstance(value, Mapping):
            result[key] = _deep(held, value)
        elif isinstance(held, list) and isinstance(value, list):
            result[key] = [*held, *value]
        else:
            result[key] = value
    return result

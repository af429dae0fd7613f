"""The functions of the language: a table from name to what it takes and does. Nothing else can be called.

Stands apart as the list that grows; each function refuses what it cannot use, and whoever evaluates adds the place. What depends on
the order of a mapping's keys sorts them: a run that is read back has them in another order than the body made them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from engine.expressions.arithmetic import (
    RefusedError,
    Spend,
    bounded,
    calculate,
    compare,
    holds,
    kind,
    limited_items,
    limited_text,
)
from engine.expressions.patterns import PatternError, matched
from engine.expressions.tree import is_number

SPECIAL = frozenset({"exists", "default"})
"""Functions that ask about a path instead of a value."""
ASK = "ask_model"
STEP_QUESTIONS: dict[str, tuple[str, ...]] = {
    "step_succeeded": ("completed",),
    "step_completed": ("completed",),
    "step_failed": ("failed", "timed_out"),
    "step_skipped": ("skipped",),
}
"""Questions about a step, and the statuses that answer them with yes."""
_WHOLE = re.compile(r"[+-]?[0-9]{1,300}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,300}(?:\.[0-9]{0,300})?|\.[0-9]{1,300})(?:[eE][+-]?[0-9]{1,4})?")
_PLACES = 300


class Function(NamedTuple):
    """How many arguments a function takes, in words too, and what it does with them; `call` may spend work."""

    least: int
    most: int
    takes: str
    call: Callable[[list[Any], Spend], Any]


def as_text(value: Any) -> str:
    """A text as it is, anything else as compact JSON."""
    return value if isinstance(value, str) else to_json(value)


def to_json(value: Any) -> str:
    """A value as compact JSON, keys sorted; refuses what JSON has no form for."""
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=_plain)
    except (TypeError, ValueError) as error:
        raise RefusedError(f"the value cannot be written as JSON ({error})") from None
    limited_text(len(text))
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"it holds {kind(value)}")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise RefusedError(f"takes text, not {kind(value)}; write str(...)")
    return value


def _list(value: Any) -> list[Any] | tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise RefusedError(f"takes a list, not {kind(value)}")
    return value


def _mapping(value: Any) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise RefusedError(f"takes a mapping, not {kind(value)}")
    return value


def _number(value: Any) -> Any:
    if not is_number(value):
        raise RefusedError(f"takes a number, not {kind(value)}")
    return bounded(value)


def _length(value: Any) -> int:
    if isinstance(value, str | Mapping | list | tuple):
        return len(value)
    raise RefusedError(f"takes a text, a list or a mapping, not {kind(value)}")


def _cased(change: Callable[[str], str]) -> Callable[[list[Any], Spend], str]:
    def call(arguments: list[Any], spend: Spend) -> str:
        text = change(_text(arguments[0]))
        limited_text(len(text))
        return text

    return call


def _extreme(sign: str) -> Callable[[list[Any], Spend], Any]:
    """`min` and `max` of one list or of several values: the first that none precedes in the order `sign`."""

    def call(arguments: list[Any], spend: Spend) -> Any:
        items = _list(arguments[0]) if len(arguments) == 1 else arguments
        if not items:
            raise RefusedError("takes at least one value; the list is empty")
        best = items[0]
        for item in items:
            best = item if compare(sign, item, best, spend) else best
        return best

    return call


def _sum(arguments: list[Any], spend: Spend) -> Any:
    total: Any = 0
    for item in _list(arguments[0]):
        total = calculate("+", total, _number(item))
    return total


def _round(arguments: list[Any], spend: Spend) -> Any:
    places = arguments[1] if len(arguments) == 2 else None
    if places is not None and (not isinstance(places, int) or isinstance(places, bool) or abs(places) > _PLACES):
        raise RefusedError(f"takes a whole number of places up to {_PLACES}")
    return round(_number(arguments[0]), places)


def _int(arguments: list[Any], spend: Spend) -> int:
    value = arguments[0]
    if isinstance(value, str):
        if not _WHOLE.fullmatch(value.strip()):
            raise RefusedError(f"takes a whole number, not the text {value[:40]!r}")
        return int(value)
    return int(value) if isinstance(value, bool) else int(_number(value))


def _float(arguments: list[Any], spend: Spend) -> float:
    value = arguments[0]
    if isinstance(value, str):
        if not _DECIMAL.fullmatch(value.strip()):
            raise RefusedError(f"takes a number, not the text {value[:40]!r}")
        return float(bounded(float(value)))
    try:
        return float(value) if isinstance(value, bool) else float(_number(value))
    except OverflowError:
        raise RefusedError("the number is too large") from None


def _ends(index: int) -> Callable[[list[Any], Spend], Any]:
    def call(arguments: list[Any], spend: Spend) -> Any:
        value = arguments[0] if isinstance(arguments[0], str) else _list(arguments[0])
        if not value:
            raise RefusedError("takes what has at least one item; this is empty")
        return value[index]

    return call


def _join(arguments: list[Any], spend: Spend) -> str:
    separator = _text(arguments[1]) if len(arguments) == 2 else ""
    texts, length, items = [], 0, _list(arguments[0])
    spend(4 * len(items))  # writing an item as JSON takes five times as long as looking at it
    for item in items:
        texts.append(as_text(item))
        length += len(texts[-1]) + len(separator)
        limited_text(length)
    return separator.join(texts)


def _split(arguments: list[Any], spend: Spend) -> list[str]:
    text, separator = _text(arguments[0]), _text(arguments[1]) if len(arguments) == 2 else None
    if separator == "":
        raise RefusedError("takes a separator that is not empty")
    limited_items(len(text) // 2 if separator is None else text.count(separator) + 1)
    return text.split(separator)


def _matches(arguments: list[Any], spend: Spend) -> bool:
    try:
        return matched(_text(arguments[1]), _text(arguments[0]), spend)
    except PatternError as error:
        raise RefusedError(f"takes a pattern it knows: {error}") from None


def _sorted(mapping: Mapping[Any, Any]) -> list[Any]:
    limited_items(len(mapping))
    return sorted(mapping, key=as_text)


def _truths(values: Any, wanted: bool) -> bool:
    return any(bool(value) is wanted for value in _list(values))


def _simple(takes: str, count: int, call: Callable[..., Any]) -> Function:
    """A function of a fixed number of arguments that spends nothing of its own."""
    return Function(count, count, takes, lambda arguments, spend: call(*arguments))


def _elsewhere(arguments: list[Any], spend: Spend) -> Any:
    raise AssertionError("answered where paths are read")


FUNCTIONS: dict[str, Function] = {
    "exists": Function(1, 1, "one path", _elsewhere),
    "default": Function(2, 2, "a path and a value", _elsewhere),
    ASK: Function(1, 1, "one question", _elsewhere),
    **{name: Function(1, 1, "one step's name", _elsewhere) for name in STEP_QUESTIONS},
    "len": _simple("one value", 1, _length),
    "lower": Function(1, 1, "one text", _cased(str.lower)),
    "upper": Function(1, 1, "one text", _cased(str.upper)),
    "trim": Function(1, 1, "one text", _cased(str.strip)),
    "starts_with": _simple("a text and its beginning", 2, lambda text, start: _text(text).startswith(_text(start))),
    "ends_with": _simple("a text and its end", 2, lambda text, end: _text(text).endswith(_text(end))),
    "contains": Function(
        2, 2, "a list, text or mapping and what it should hold", lambda both, spend: holds(both[0], both[1], spend)
    ),
    "matches": Function(2, 2, "a text and a pattern", _matches),
    "min": Function(1, 100, "a list, or values", _extreme("<")),
    "max": Function(1, 100, "a list, or values", _extreme(">")),
    "sum": Function(1, 1, "one list", _sum),
    "abs": _simple("one number", 1, lambda number: abs(_number(number))),
    "round": Function(1, 2, "a number and perhaps its places", _round),
    "int": Function(1, 1, "one number or text", _int),
    "float": Function(1, 1, "one number or text", _float),
    "str": _simple("one value", 1, as_text),
    "keys": _simple("one mapping", 1, lambda mapping: _sorted(_mapping(mapping))),
    "values": _simple("one mapping", 1, lambda mapping: [mapping[key] for key in _sorted(_mapping(mapping))]),
    "any": _simple("one list", 1, lambda values: _truths(values, True)),
    "all": _simple("one list", 1, lambda values: not _truths(values, False)),
    "first": Function(1, 1, "one list or text", _ends(0)),
    "last": Function(1, 1, "one list or text", _ends(-1)),
    "join": Function(1, 2, "a list and perhaps a separator", _join),
    "split": Function(1, 2, "a text and perhaps a separator", _split),
    "to_json": _simple("one value", 1, to_json),
}

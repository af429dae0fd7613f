"""Operators on values: what they take, what they refuse, and how large their results may become.

Stands apart because this is where a small text could otherwise make a huge value (`9 * 9 * ...`, doubling of texts).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from engine.expressions.tree import MAX_BITS, MAX_ITEMS, MAX_TEXT, is_number

Spend: TypeAlias = Callable[[int], None]
"""Is told of work before it is done, and refuses it when there has been too much."""


class RefusedError(Exception):
    """A value does not fit what is asked of it; whoever evaluates adds the place."""


def kind(value: Any) -> str:
    """What a value is, as a sentence names it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if is_number(value):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, list | tuple):
        return "a list"
    return "a mapping" if isinstance(value, Mapping) else f"a value of type {type(value).__name__}"


def same(left: Any, right: Any, spend: Spend) -> bool:
    """Equality as JSON has it: numbers by value, `true` equal to `true` alone, lists and mappings item by item."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        spend(len(left))
        return len(left) == len(right) and all(same(one, other, spend) for one, other in zip(left, right, strict=True))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        spend(len(left))
        return len(left) == len(right) and all(key in right and same(value, right[key], spend) for key, value in left.items())
    return bool(left == right)


def holds(container: Any, item: Any, spend: Spend) -> bool:
    """Whether a list holds an item, a text a text, or a mapping a key."""
    if isinstance(container, str):
        if not isinstance(item, str):
            raise RefusedError(f"a text can hold text only, not {kind(item)}; write str(...)")
        return item in container
    if isinstance(container, list | tuple):
        spend(len(container))
        return any(same(item, held, spend) for held in container)
    if isinstance(container, Mapping):
        return isinstance(item, str | int) and not isinstance(item, bool) and item in container
    raise RefusedError(f"only a list, a text or a mapping can hold something, not {kind(container)}")


_ORDERS: dict[str, Callable[[Any, Any], bool]] = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def compare(sign: str, left: Any, right: Any, spend: Spend) -> bool:
    """One link of a comparison."""
    if isinstance(left, str) and isinstance(right, str):
        spend((len(left) + len(right)) // 100)
    if sign in ("==", "!="):
        return same(left, right, spend) is (sign == "==")
    if sign in ("in", "not in"):
        return holds(right, left, spend) is (sign == "in")
    if not (is_number(left) and is_number(right)) and not (isinstance(left, str) and isinstance(right, str)):
        raise RefusedError(f"{sign} orders two numbers or two texts, not {kind(left)} and {kind(right)}")
    return _ORDERS[sign](left, right)


_NUMERIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}


def calculate(sign: str, left: Any, right: Any) -> Any:
    """One link of arithmetic: numbers, and `+` of two texts or two lists."""
    if is_number(left) and is_number(right):
        if sign in ("/", "//", "%") and right == 0:
            raise RefusedError("this divides by zero; ask first, such as (a / b if b != 0 else 0)")
        try:
            return bounded(_NUMERIC[sign](bounded(left), bounded(right)))
        except OverflowError:
            raise RefusedError("the number becomes too large") from None
    if sign == "+":
        return _joined(left, right)
    raise RefusedError(f"{sign} takes two numbers, not {kind(left)} and {kind(right)}")


def bounded(number: Any) -> Any:
    """A number that may be calculated with; refuses what is too large and what is none (NaN)."""
    if isinstance(number, int) and number.bit_length() > MAX_BITS:
        raise RefusedError(f"the number is larger than 2^{MAX_BITS}")
    if isinstance(number, float) and not math.isfinite(number):
        raise RefusedError(f"the number is {number}, which cannot be calculated with")
    return number


def _joined(left: Any, right: Any) -> Any:
    if isinstance(left, str) and isinstance(right, str):
        limited_text(len(left) + len(right))
        return left + right
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        limited_items(len(left) + len(right))
        return [*left, *right]
    advice = "; write str(...)" if isinstance(left, str) or isinstance(right, str) else ""
    raise RefusedError(f"+ takes two numbers, two texts or two lists, not {kind(left)} and {kind(right)}{advice}")


def limited_text(length: int) -> None:
    """Refuses a text that would be too long."""
    if length > MAX_TEXT:
        raise RefusedError(f"the text would have {length} characters, more than {MAX_TEXT}")


def limited_items(count: int) -> None:
    """Refuses a list that would be too long."""
    if count > MAX_ITEMS:
        raise RefusedError(f"the list would have {count} items, more than {MAX_ITEMS}")

"""What differs between two values and between two texts, capped, with how much was left out. Pure.

Stands apart because it knows neither runs nor steps: outputs, prompts, inputs and params are all compared here. Swapping the two
sides gives the same differences the other way round.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from store import values
from store.errors import ValueEncodingError

CHANGES = 200
"""Changed places of a value that are told one by one."""

SHOWN = 200
"""Characters of a changed place's value that are told."""

LINES = 2_000
"""Lines of either text that are compared; the worst pair of that size found takes 0.7 s."""

ALIKE = 40_000
"""Pairs of equal lines above which lines that are everywhere, as blank ones, anchor nothing: such a pair of texts took 52 s."""

LINE = 4_000
"""Characters of a line that are kept; a longer one is still compared whole."""

LEAD = 200
"""Equal lines that are kept at the beginning; of more, the last ones before the first difference."""

CONTEXT = 3
"""Equal lines around a difference in the unified form."""


class Change(msgspec.Struct, frozen=True):
    """A place of a value: `kind` is `added`, `removed` or `changed`; `a` and `b` are JSON text, cut, None for nothing."""

    path: str
    kind: str
    a: str | None = None
    b: str | None = None


class ValueDiff(msgspec.Struct, frozen=True):
    """The places at which two values differ, and how many more there are."""

    changes: tuple[Change, ...] = ()
    left_out: int = 0

    def __bool__(self) -> bool:
        return bool(self.changes)


class TextLine(msgspec.Struct, frozen=True, gc=False):
    """A line: `sign` is a space, `-` (only in A) or `+` (only in B); `a` and `b` are its numbers from 1."""

    sign: str
    text: str
    a: int | None = None
    b: int | None = None


class TextDiff(msgspec.Struct, frozen=True):
    """Two texts line by line, removed lines before those added in their place.

    `skipped` equal lines stand before the first one here; `left_out` lines of the two came after and were not compared.
    """

    lines: tuple[TextLine, ...] = ()
    removed: int = 0
    added: int = 0
    skipped: int = 0
    left_out: int = 0

    def __bool__(self) -> bool:
        return bool(self.removed or self.added or self.left_out)


def value_diff(a: Any, b: Any, cap: int = CHANGES) -> ValueDiff:
    """Where two plain values differ; lists are aligned by what is equal at their beginning and end."""
    kept: list[Change] = []
    count = 0
    for change in _changes(a, b, ""):
        count += 1
        if count <= cap:
            kept.append(change)
    return ValueDiff(tuple(kept), max(0, count - cap))


def _changes(a: Any, b: Any, path: str) -> Iterator[Change]:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted({*a, *b}, key=lambda key: (str(key), str(type(key)))):
            place = _below(path, key)
            if key not in b:
                yield Change(place, "removed", a=_shown(a[key]))
            elif key not in a:
                yield Change(place, "added", b=_shown(b[key]))
            else:
                yield from _changes(a[key], b[key], place)
    elif isinstance(a, list) and isinstance(b, list):
        yield from _in_lists(a, b, path)
    elif _text(a) != _text(b):
        yield Change(path, "changed", _shown(a), _shown(b))


def _in_lists(a: list[Any], b: list[Any], path: str) -> Iterator[Change]:
    left, right = [_text(item) for item in a], [_text(item) for item in b]
    start = _equal_start(left, right)
    end = _equal_start(left[start:][::-1], right[start:][::-1])
    for index in range(start, max(len(a), len(b)) - end):
        place = f"{path}[{index}]"
        if index >= len(b) - end:
            yield Change(place, "removed", a=_shown(a[index]))
        elif index >= len(a) - end:
            yield Change(place, "added", b=_shown(b[index]))
        else:
            yield from _changes(a[index], b[index], place)


def _equal_start(a: Sequence[object], b: Sequence[object]) -> int:
    """How many items are equal at the beginning."""
    count = 0
    for one, other in zip(a, b, strict=False):
        if one != other:
            break
        count += 1
    return count


def _below(path: str, key: Any) -> str:
    if isinstance(key, str) and key.isidentifier():
        return f"{path}.{key}" if path else key
    return f"{path}[{_text(key).decode('utf-8', 'replace')}]"


def _text(value: Any) -> bytes:
    """A value as the text it is stored as: NaN is like NaN, and 1 is neither 1.0 nor true."""
    try:
        return values.encode(value)
    except ValueEncodingError:
        return repr(value).encode("utf-8", "replace")


def _shown(value: Any) -> str:
    text = _text(value).decode("utf-8", "replace")
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def readable(stored: bytes) -> str:
    """Stored JSON text as a person reads it: a string is itself, everything else indented."""
    try:
        if stored[:1] in (b'"', b"{"):
            value = values.decode(stored)
            if isinstance(value, str):
                return value
        return msgspec.json.format(stored, indent=2).decode("utf-8", "replace")
    except (ValueEncodingError, msgspec.DecodeError, RecursionError):
        return stored.decode("utf-8", "replace")


def spoken(message: Any) -> list[str]:
    """A message of a conversation with a model, as lines."""
    held: Mapping[str, Any] = message if isinstance(message, Mapping) else {"content": message}
    content, calls = held.get("content"), held.get("tool_calls")
    text = content if isinstance(content, str) else readable(values.encode(content)) if content is not None else ""
    return [f"[{held.get('role', '?')}]", f"{text}\n{readable(values.encode(calls))}" if calls else text, ""]


def text_diff(a: str, b: str, cap: int = LINES) -> TextDiff:
    """Two texts line by line."""
    left, right = _lines(a), _lines(b)
    if left == right:
        return TextDiff()
    same = _equal_start(left, right)
    skipped = max(0, same - CONTEXT) if same > LEAD else 0
    one, other = left[skipped : skipped + cap], right[skipped : skipped + cap]
    left_out = len(left) + len(right) - len(one) - len(other) - 2 * skipped
    if (len(other), other) < (len(one), one):  # a matcher prefers one side; which is which may not depend on the order
        blocks = [(i, j, size) for j, i, size in _matching(other, one)]
    else:
        blocks = _matching(one, other)
    lines: list[TextLine] = []
    at_a = at_b = 0
    for i, j, size in blocks:
        lines += [TextLine("-", one[k][:LINE], a=skipped + k + 1) for k in range(at_a, i)]
        lines += [TextLine("+", other[k][:LINE], b=skipped + k + 1) for k in range(at_b, j)]
        lines += [TextLine(" ", one[i + k][:LINE], skipped + i + k + 1, skipped + j + k + 1) for k in range(size)]
        at_a, at_b = i + size, j + size
    removed, added = (sum(line.sign == sign for line in lines) for sign in "-+")
    return TextDiff(tuple(lines), removed, added, skipped, left_out)


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n") if text else []


def _matching(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int, int]]:
    """Equal stretches (start in a, start in b, length), what is equal at the beginning and end taken off before the search."""
    start = _equal_start(a, b)
    end = _equal_start(a[start:][::-1], b[start:][::-1])
    inner_a, inner_b = a[start : len(a) - end], b[start : len(b) - end]
    matcher = difflib.SequenceMatcher(None, inner_a, inner_b, autojunk=_alike(inner_a, inner_b) > ALIKE)
    inner = [(start + block.a, start + block.b, block.size) for block in matcher.get_matching_blocks() if block.size]
    return [(0, 0, start), *inner, (len(a) - end, len(b) - end, end)]


def _alike(a: Sequence[str], b: Sequence[str]) -> int:
    """How many pairs of lines are equal, which is what a search looks at again and again."""
    counts = Counter(b)
    return sum(counts[line] for line in a)


def hunks(diff: TextDiff, context: int = CONTEXT) -> list[tuple[TextLine, ...]]:
    """The stretches of a text around its differences, for a unified form."""
    changed = [index for index, line in enumerate(diff.lines) if line.sign != " "]
    found: list[tuple[int, int]] = []
    for index in changed:
        first, last = max(0, index - context), min(len(diff.lines), index + context + 1)
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    return [diff.lines[first:last] for first, last in found]

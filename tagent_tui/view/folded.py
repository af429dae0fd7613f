"""A value as indented JSON that a person reads: what is short stands on one line, what is long is folded and counted.

Apart from `document.py` because the shell prints values by it too. The cost is that of the rows that are shown, not of the value.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from tagent_tui.numbers import events

MEMBERS = 50
"""Members of one list or object that are shown."""

CHARACTERS = 1_000
"""Characters of one text that are shown."""

ROWS = 2_000
"""Rows of one value that are shown."""

WIDTH = 58
"""Characters of a line into which a list or an object is put whole, and numbers are filled: the half of a terminal of 120."""


class Folded(NamedTuple):
    """The text, and whether anything is left out of it."""

    text: str
    cut: bool


def fold(value: Any, ellipsis: str = "…") -> Folded:
    """The value as text; a `str` stands in quotes like any other. Raises ValueError for a number too long to be written."""
    writer = _Writer(ellipsis)
    rows = list(islice(writer.rows(value, "", "", 0), ROWS + 1))
    if len(rows) > ROWS:
        writer.cut = True
        rows[ROWS:] = [f"{ellipsis} more"]
    return Folded("\n".join(rows), writer.cut)


def whole_text(value: Any) -> str:
    """All of the value as indented JSON, and one that is text as it is: for a pager, a pipe, a file."""
    return value if isinstance(value, str) else json.dumps(_writable(value), indent=2, ensure_ascii=False, default=repr)


def _writable(value: Any) -> Any:
    if isinstance(value, dict):
        return {_key(key): _writable(held) for key, held in value.items()}
    return [_writable(held) for held in value] if isinstance(value, list) else value


class _Writer:
    def __init__(self, ellipsis: str) -> None:
        self.ellipsis, self.cut = ellipsis, False

    def rows(self, value: Any, lead: str, end: str, depth: int) -> Iterator[str]:
        """The rows of a value: `lead` is its key, `end` what follows it."""
        pad = "  " * depth
        if not isinstance(value, dict | list) or not value:
            yield f"{pad}{lead}{self._scalar(value)}{end}"
            return
        line = _short(value) if depth or isinstance(value, list) else None
        if line is not None and len(pad) + len(lead) + len(line) < WIDTH:
            yield f"{pad}{lead}{line}{end}"
            return
        marks = "{}" if isinstance(value, dict) else "[]"
        yield f"{pad}{lead}{marks[0]}"
        yield from self._members(value, depth + 1)
        yield f"{pad}{marks[1]}{end}"

    def _members(self, value: dict[Any, Any] | list[Any], depth: int) -> Iterator[str]:
        shown = list(islice(value, MEMBERS))
        if isinstance(value, list) and all(isinstance(one, int | float) for one in shown):
            yield from _filled(shown, "  " * depth, more=len(value) > len(shown))
        else:
            for index, one in enumerate(shown, 1):
                end = "," if index < len(value) else ""
                if isinstance(value, dict):
                    yield from self.rows(value[one], f"{self._scalar(_key(one))}: ", end, depth)
                else:
                    yield from self.rows(one, "", end, depth)
        if len(value) > len(shown):
            self.cut = True
            yield f"{'  ' * depth}{self.ellipsis} {events(len(value) - len(shown))} more"

    def _scalar(self, value: Any) -> str:
        if isinstance(value, str) and len(value) > CHARACTERS:
            self.cut = True
            left = events(len(value) - CHARACTERS)
            return f"{_written(value[:CHARACTERS])} {self.ellipsis} {left} more characters"
        return _written(value)


def _filled(found: Sequence[Any], pad: str, *, more: bool) -> Iterator[str]:
    """Numbers in as few lines as they need."""
    line = ""
    for index, one in enumerate(found, 1):
        word = _written(one) + ("," if more or index < len(found) else "")
        if line and len(pad) + len(line) + 1 + len(word) > WIDTH:
            yield pad + line
            line = ""
        line += f" {word}" if line else word
    yield pad + line


def _short(value: dict[Any, Any] | list[Any]) -> str | None:
    """The value on one line, if it has few members and all of them are plain."""
    members: Iterable[Any] = value.values() if isinstance(value, dict) else value
    if len(value) * 3 > WIDTH or any(_long(one) for one in members):
        return None
    return _written({_key(key): one for key, one in value.items()} if isinstance(value, dict) else value)


def _long(member: Any) -> bool:
    return (isinstance(member, dict | list) and bool(member)) or (isinstance(member, str) and len(member) > WIDTH)


def _key(key: Any) -> str:
    """A key that JSON can write: a pair or another number is shown as Python writes it."""
    return key if isinstance(key, str) else repr(key)


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=repr)

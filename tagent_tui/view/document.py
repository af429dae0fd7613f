"""A text of several parts laid out in a width: headings, values, messages with who said them at their left.

Apart from the detail pane because layout is by value: parts in, rows out, once a width.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from store import values
from store.errors import ValueEncodingError
from tagent_tui.glyphs import UNICODE, Glyphs
from tagent_tui.numbers import size
from tagent_tui.rows import BLANK, Ink, Row, Seg, cells
from tagent_tui.text import TOTAL_CAP, Line, lines, wrap
from tagent_tui.view.folded import fold

STRING_CAP = 16 * 1024 * 1024
"""Bytes of JSON text up to which a string is decoded to show its beginning; of a longer one the JSON text is shown."""

DECODED_CAP = 4 * 1024 * 1024
"""The same for other values: 4 MiB of small objects are decoded in 90 ms, in which the screen cannot answer."""

LABEL = 8
"""Cells of the labels at the left of messages and fields."""


class Content(NamedTuple):
    """A value as text: at most `TOTAL_CAP` characters of it; `size` is what all of it has, in bytes of JSON."""

    text: str
    size: int
    cut: bool = False


class Para(NamedTuple):
    """Lines with a label before the first; the lines after it stand under its text. `keys` mutes the keys of JSON text."""

    lines: Sequence[Line]
    ink: Ink = Ink.TEXT
    label: Seg | None = None
    indent: int = 0
    keys: bool = False
    tail: Sequence[Seg] = ()


Part = Row | Para


def content_of(text: bytes) -> Content:
    """JSON text from the store as a person reads it: a string is itself, everything else indented JSON with what is long folded."""
    whole = len(text)
    if whole > (STRING_CAP if text[:1] == b'"' else DECODED_CAP):
        return Content(text[:TOTAL_CAP].decode("utf-8", "replace"), whole, cut=True)
    try:
        value = values.decode(text)
        shown, folded = (value, False) if isinstance(value, str) else fold(value)
    except (ValueEncodingError, ValueError, TypeError, RecursionError):
        shown, folded = text.decode("utf-8", "replace"), False
    return Content(shown[:TOTAL_CAP], whole, cut=folded or len(shown) > TOTAL_CAP)


def value_part(content: Content, *, label: Seg | None = None, indent: int = 0, glyphs: Glyphs = UNICODE) -> list[Part]:
    """A value, and below it how much more there is where not all of it is shown."""
    shown = lines(content.text.rstrip("\n"), glyphs=glyphs)
    parts: list[Part] = [Para(shown.lines, Ink.TEXT, label, indent, keys=content.text[:1] in "{[")]
    if content.cut or shown.cut:
        parts += [BLANK, more_row(content.size)]
    return parts


def more_row(whole: int) -> Row:
    """What is said below a value of which not all is shown."""
    return Row([Seg(f"a part of {size(whole)}  ", Ink.MUTED), Seg("v", Ink.STRONG, bold=True), Seg(" pager", Ink.MUTED)])


def text_part(text: str, ink: Ink = Ink.TEXT, *, label: Seg | None = None, indent: int = 0, glyphs: Glyphs = UNICODE) -> Para:
    """Foreign text, made safe here."""
    return Para(lines(text, glyphs=glyphs).lines, ink, label, indent)


def lay_out(parts: Iterable[Part], width: int) -> list[Row]:
    """The rows of all parts in `width` cells."""
    rows: list[Row] = []
    for part in parts:
        if isinstance(part, Row):
            rows.append(part)
        else:
            rows += _paragraph(part, width)
    return rows


_FOLD = re.compile(r"\s*…")
_KEY = re.compile(r'\s*"(?:[^"\\]|\\.)*": ')


def _paragraph(part: Para, width: int) -> list[Row]:
    label = [part.label] if part.label is not None else []
    indent = max(part.indent, cells(label) + 2 if label else 0)
    if width - indent < 8:
        indent = 0
    rows: list[Row] = []
    for line in part.lines or (Line(""),):
        for index, piece in enumerate(wrap(line, max(width - indent, 1)) or [Line("")]):
            start = _lead(label if not rows else [], indent)
            rows.append(Row([*start, *_segs(piece, part, first=index == 0)]))
    if part.tail:
        rows[-1] = Row([*rows[-1].left, *part.tail])
    return rows


def _lead(label: Sequence[Seg], indent: int) -> list[Seg]:
    if indent == 0 and not label:
        return []
    return [*label, Seg(" " * max(indent - cells(label), 1 if label else 0))]


def _segs(line: Line, part: Para, *, first: bool) -> list[Seg]:
    key = _KEY.match(line.text) if part.keys and first else None
    if key is None and part.keys and _FOLD.match(line.text):
        return line.segs(Ink.MUTED)
    if key is None:
        return line.segs(part.ink)
    at = key.end()
    return [*line.part(0, at).segs(Ink.MUTED), *line.part(at, len(line.text)).segs(part.ink)]


class Document:
    """Parts, and their rows for the width they were last asked for. A source of rows for a virtual list."""

    def __init__(self, parts: Sequence[Part] = ()) -> None:
        self.parts = parts
        self._rows: list[Row] = []
        self._width = -1
        self.layouts = 0

    def fit(self, width: int) -> None:
        """Lay out for this width, once."""
        if width != self._width:
            self._rows = lay_out(self.parts, width)
            self._width = width
            self.layouts += 1

    def count(self) -> int:
        """How many rows there are at the width last asked for."""
        return len(self._rows)

    def row(self, index: int, width: int) -> Row:
        """One row."""
        self.fit(width)
        return self._rows[index] if index < len(self._rows) else BLANK

    def text(self) -> str:
        """All of it as plain text, for the clipboard: safe, unwrapped."""
        out: list[str] = []
        for part in self.parts:
            if isinstance(part, Row):
                out.append("".join(seg.text for seg in (*part.left, *part.right)))
            else:
                label = f"{part.label.text}: " if part.label is not None else ""
                out += [(label if not index else "") + line.text for index, line in enumerate(part.lines)]
        return "\n".join(out)


def json_text(value: Any) -> str:
    """A small value on one line."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except (ValueError, TypeError, RecursionError):
        return repr(value)[:2000]

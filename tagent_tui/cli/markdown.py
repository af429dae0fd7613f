"""A Markdown report in a shell: headings bold, tables in columns, lines wrapped; as it is where no terminal is.

Stands apart because it is layout by value: the part of Markdown that our reports use, everything else stays the text it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rich.cells import cell_len

from tagent_tui.cli.output import Output, shown
from tagent_tui.glyphs import UNICODE, Glyphs
from tagent_tui.rows import Ink, Seg
from tagent_tui.text import Line, wrap

MEASURE = 100
"""Cells of a line of running text: longer ones are hard to read."""
GAP = "  "
NARROW = 10
"""Cells below which a column of text is not made narrower."""

_INLINE = re.compile(r"\\([!-/:-@\[-`{-~])|(`+)(.+?)\2(?!`)|\*\*(.+?)\*\*")
_CELLS = re.compile(r"(?<!\\)\|")
_ITEM = re.compile(r"(\s*(?:[-*]|\d+\.)\s+)(.*)")

Drawn = list[Seg]


def write(output: Output, text: str) -> None:
    """Print a Markdown text as a result."""
    if not output.out.terminal:
        output.text(text)
        return
    for line in draw(text, output.out.width - 1, output.out.glyphs):
        output.out.segs(line)


def draw(text: str, width: int, glyphs: Glyphs = UNICODE) -> Iterator[Drawn]:
    """The text's lines as pieces, each at most `width` cells wide."""
    table: list[str] = []
    for raw in text.removesuffix("\n").split("\n"):
        line = shown(raw, glyphs)
        if line.startswith("|"):
            table.append(line)
            continue
        if table:
            yield from _table(table, width)
            table = []
        yield from _block(line, min(width, MEASURE), glyphs)
    if table:
        yield from _table(table, width)


def _block(line: str, width: int, glyphs: Glyphs) -> Iterator[Drawn]:
    if line.startswith("#"):
        yield [Seg(inline(line.lstrip("#").strip()).text, Ink.STRONG, bold=True)]
    elif line.startswith(">"):
        for drawn in _block(line[1:].removeprefix(" "), width - 2, glyphs):
            yield [Seg(f"{glyphs.vertical} ", Ink.MUTED), *drawn]
    elif (item := _ITEM.match(line)) is not None:
        lead, words = item.groups()
        for index, part in enumerate(wrap(inline(words), max(width - len(lead), 1)) or [Line("")]):
            yield [Seg(lead if index == 0 else " " * len(lead), Ink.MUTED), *_segs(part)]
    else:
        for part in wrap(inline(line), width) or [Line("")]:
            yield _segs(part)


def inline(text: str) -> Line:
    """The text without its marks; the spans of the result are its bold parts."""
    pieces: list[str] = []
    spans: list[tuple[int, int]] = []
    length = at = 0

    def put(piece: str, bold: bool = False) -> None:
        nonlocal length
        if bold:
            spans.append((length, length + len(piece)))
        pieces.append(piece)
        length += len(piece)

    for found in _INLINE.finditer(text):
        put(text[at : found.start()])
        escaped, _, code, strong = found.groups()
        if strong is not None:
            put(inline(strong).text, bold=True)
        else:
            put(escaped if escaped is not None else _code(code))
        at = found.end()
    put(text[at:])
    return Line("".join(pieces), tuple(spans))


def _code(text: str) -> str:
    """Code keeps everything but the bar that a table had to escape, and the spaces that only held ticks apart."""
    text = text.replace("\\|", "|")
    return text[1:-1] if len(text) > 2 and text[0] == text[-1] == " " else text


def _segs(line: Line) -> Drawn:
    segs: Drawn = []
    at = 0
    for start, end in line.marks:
        segs += [Seg(line.text[at:start]), Seg(line.text[start:end], bold=True)]
        at = end
    return [*segs, Seg(line.text[at:])]


def _table(lines: Sequence[str], width: int) -> Iterator[Drawn]:
    rows = [[inline(cell.strip()) for cell in _CELLS.split(line.strip().removeprefix("|").removesuffix("|"))] for line in lines]
    right: list[bool] = []
    if len(rows) > 1 and all(set(cell.text) <= set("-: ") for cell in rows[1]):
        right = [cell.text.endswith(":") for cell in rows.pop(1)]
    count = max(len(row) for row in rows)
    rows = [[*row, *[Line("")] * (count - len(row))] for row in rows]
    right += [False] * (count - len(right))
    sizes = _sizes([max(cell_len(row[column].text) for row in rows) for column in range(count)], width)
    for index, row in enumerate(rows):
        yield from _table_row(row, sizes, right, head=index == 0)


def _sizes(natural: list[int], width: int) -> list[int]:
    """Column widths that fit: the widest column gives first."""
    sizes = list(natural)
    excess = sum(sizes) + len(GAP) * (len(sizes) - 1) - width
    while excess > 0:
        widest = max(range(len(sizes)), key=sizes.__getitem__)
        if sizes[widest] <= NARROW:
            break
        others = sorted(sizes)[-2] if len(sizes) > 1 else NARROW
        give = min(excess, max(1, sizes[widest] - max(others, NARROW)))
        sizes[widest] -= give
        excess -= give
    return sizes


def _table_row(row: Sequence[Line], sizes: Sequence[int], right: Sequence[bool], *, head: bool) -> Iterator[Drawn]:
    wrapped = [wrap(cell, size) if size else [] for cell, size in zip(row, sizes, strict=True)]
    for index in range(max(len(parts) for parts in wrapped) or 1):
        drawn: Drawn = []
        for parts, size, at_right in zip(wrapped, sizes, right, strict=True):
            part = parts[index] if index < len(parts) else Line("")
            fill = Seg(" " * (size - cell_len(part.text)))
            segs = [Seg(part.text, Ink.MUTED)] if head else _segs(part)
            drawn += [*([Seg(GAP)] if drawn else []), *([fill, *segs] if at_right else [*segs, fill])]
        yield drawn

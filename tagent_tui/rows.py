"""A row as a value: pieces of text, each with an ink, and how they share a width of cells.

Apart from the widgets so that what a row says is computed and tested without a terminal: `view.py` makes rows, a widget
only paints them. An ink names a meaning; which colour that is, `theme.py` decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum, auto
from typing import NamedTuple

from rich.cells import cell_len, get_character_cell_size

from tagent_tui.glyphs import UNICODE


class Ink(Enum):
    """What a piece of text means; colour follows from it."""

    TEXT = auto()
    STRONG = auto()
    MUTED = auto()
    ACCENT = auto()
    SUCCESS = auto()
    ERROR = auto()
    WARNING = auto()
    REPLAY = auto()
    GRAPH = auto()
    GRAPH_QUIET = auto()
    HAIRLINE = auto()
    GUIDE = auto()


class Tint(Enum):
    """What lies behind a piece or a whole row, where it is not the pane's own surface."""

    SURFACE = auto()
    PANE = auto()
    PANEL = auto()
    PANEL_QUIET = auto()
    REMOVED = auto()
    ADDED = auto()
    WAITING = auto()
    CHANGED = auto()


class Seg(NamedTuple):
    """A piece of one row. `reverse` swaps ink and ground: the mode chip, a bar that starts inside a cell."""

    text: str
    ink: Ink = Ink.TEXT
    bold: bool = False
    reverse: bool = False
    tint: Tint | None = None


class Row(NamedTuple):
    """One line of a pane: the right part keeps its place, the left part is cut with `…` where they would meet.

    `strong` holds the indices of the pieces of `left` that turn bold when the row is selected: the name. The first cell
    of a pane belongs to the focus mark and the last is its margin; a row is laid out in the cells between. `wants`: it wants
    somebody, and says so when it is selected.
    """

    left: Sequence[Seg]
    right: Sequence[Seg] = ()
    tint: Tint | None = None
    strong: tuple[int, ...] = ()
    wants: bool = False


BLANK = Row(())


def cells(segs: Iterable[Seg]) -> int:
    """The width of the pieces in terminal cells."""
    return sum(cell_len(seg.text) for seg in segs)


def fitting(text: str, width: int) -> int:
    """How many leading characters fit into `width` cells; marks stay with the character they stand on."""
    if width <= 0:
        return 0
    if text[: width + 1].isascii():
        return min(len(text), width)
    used = 0
    for index, char in enumerate(text):
        used += get_character_cell_size(char)
        if used > width:
            return index
    return len(text)


def clip(text: str, width: int, ellipsis: str = UNICODE.ellipsis) -> str:
    """The text in at most `width` cells, its end replaced by the ellipsis where it does not fit."""
    if len(text) <= width and (text.isascii() or cell_len(text) <= width):
        return text
    if cell_len(text) <= width:
        return text
    if width <= 0:
        return ""
    room = width - cell_len(ellipsis)
    if room < 0:
        return ""
    return text[: fitting(text, room)] + ellipsis


def clip_middle(text: str, width: int, ellipsis: str = UNICODE.ellipsis) -> str:
    """A path in at most `width` cells, cut in the middle so that its root and its file name both survive."""
    if cell_len(text) <= width:
        return text
    room = width - cell_len(ellipsis)
    if room <= 0:
        return clip(text, width, ellipsis)
    tail = room - room // 3
    end = text[::-1]
    return text[: fitting(text, room - tail)] + ellipsis + end[: fitting(end, tail)][::-1]


def pad(text: str, width: int) -> str:
    """The text followed by spaces up to `width` cells; longer text is left as it is."""
    return text + " " * (width - cell_len(text))


def rpad(text: str, width: int) -> str:
    """The text preceded by spaces up to `width` cells; longer text is left as it is."""
    return " " * (width - cell_len(text)) + text


def fit(segs: Iterable[Seg], width: int, ellipsis: str = UNICODE.ellipsis) -> list[Seg]:
    """The pieces in at most `width` cells; where they do not fit they end with a muted ellipsis."""
    kept: list[Seg] = []
    used = 0
    for seg in segs:
        size = cell_len(seg.text)
        if used + size <= width:
            kept.append(seg)
            used += size
            continue
        return _cut(kept, seg, width, used, ellipsis)
    return kept


def _cut(kept: list[Seg], seg: Seg, width: int, used: int, ellipsis: str) -> list[Seg]:
    """Put the ellipsis where the width ends, taking cells back from earlier pieces if it has no room of its own."""
    mark = cell_len(ellipsis)
    if width < mark:
        return []
    room = width - used - mark
    if room > 0:
        kept.append(seg._replace(text=seg.text[: fitting(seg.text, room)]))
    while room < 0 and kept:
        last = kept.pop()
        size = cell_len(last.text)
        if size + room > 0:
            kept.append(last._replace(text=last.text[: fitting(last.text, size + room)]))
            room = 0
        else:
            room += size
    kept.append(Seg(ellipsis, Ink.MUTED, tint=seg.tint))
    return kept


def column(segs: Iterable[Seg], width: int, ellipsis: str = UNICODE.ellipsis) -> list[Seg]:
    """The pieces in exactly `width` cells: cut or filled at the end."""
    kept = fit(segs, width, ellipsis)
    missing = width - cells(kept)
    if missing > 0:
        kept.append(Seg(" " * missing))
    return kept


def right_column(segs: Iterable[Seg], width: int, ellipsis: str = UNICODE.ellipsis) -> list[Seg]:
    """The pieces in exactly `width` cells: cut at the end or filled at the front."""
    kept = fit(segs, width, ellipsis)
    missing = width - cells(kept)
    if missing > 0:
        kept.insert(0, Seg(" " * missing))
    return kept


def beside(left: Iterable[Seg], right: Sequence[Seg], width: int, *, gap: int = 1, ellipsis: str = UNICODE.ellipsis) -> list[Seg]:
    """Left and right in exactly `width` cells: the left is cut first; the right only when it alone is too wide."""
    right = fit(right, width, ellipsis)
    taken = cells(right)
    room = max(0, width - taken - (gap if taken else 0))
    kept = fit(left, room, ellipsis)
    fill = width - taken - cells(kept)
    if fill > 0:
        kept.append(Seg(" " * fill))
    return [*kept, *right]

"""The one sanitiser of foreign text: what comes from a model, a tool, a file or a user passes here once, where rows are made.

Apart from everything else because a terminal obeys its input. Controls, bidi overrides, invisible and tag characters become
named tokens (`⟨ESC⟩`, `⟨U+202E⟩`) that a person can see; tabs expand, lines split, floods are capped. The result is plain
text with spans to mark; nothing in it is ever interpreted as markup.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from rich.cells import cell_len, get_character_cell_size

from tagent_tui.glyphs import UNICODE, Glyphs
from tagent_tui.numbers import events
from tagent_tui.rows import Ink, Seg, fitting

TOTAL_CAP = 64 * 1024
"""Characters of one text that are shown; the rest is counted, not drawn."""

LINE_CAP = 2_000
"""Cells of one line that are shown."""

LINES_CAP = 10_000
"""Lines of one text that are shown: 64 KB of newlines would otherwise be 65,536 rows."""

TAB = 4
MARKS_PER_BASE = 3
"""Combining marks kept on one character. Vietnamese and pointed Hebrew need three; a flood has hundreds."""

_C0 = (
    *("NUL", "SOH", "STX", "ETX", "EOT", "ENQ", "ACK", "BEL", "BS", "TAB", "LF", "VT", "FF", "CR", "SO", "SI"),
    *("DLE", "DC1", "DC2", "DC3", "DC4", "NAK", "SYN", "ETB", "CAN", "EM", "SUB", "ESC", "FS", "GS", "RS", "US"),
)

_BREAKS = re.compile("\r\n|[\n\r\u2028\u2029]")

_PLAIN = re.compile(r"[\x20-\x7e]*\Z")

_UNSEEN = frozenset(map(chr, (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, 0xFFFC)))
"""Characters that Unicode counts as letters, marks or symbols but that draw nothing."""


class Line(NamedTuple):
    """One line that is safe to draw. `marks` are (start, end) character spans to be shown in the warning colour."""

    text: str
    marks: tuple[tuple[int, int], ...] = ()

    def segs(self, ink: Ink = Ink.TEXT, *, bold: bool = False) -> list[Seg]:
        """The line as pieces of a row: its own text in `ink`, what was named in the warning colour."""
        if not self.marks:
            return [Seg(self.text, ink, bold)] if self.text else []
        pieces: list[Seg] = []
        at = 0
        for start, end in self.marks:
            if start > at:
                pieces.append(Seg(self.text[at:start], ink, bold))
            pieces.append(Seg(self.text[start:end], Ink.WARNING, bold))
            at = end
        if at < len(self.text):
            pieces.append(Seg(self.text[at:], ink, bold))
        return pieces

    def part(self, start: int, end: int) -> Line:
        """The characters from `start` to `end`, with the spans that fall into them."""
        marks = tuple((max(a, start) - start, min(b, end) - start) for a, b in self.marks if a < end and b > start)
        return Line(self.text[start:end], marks)


class Lines(NamedTuple):
    """A text split into safe lines, and how many of its characters were not looked at."""

    lines: list[Line]
    cut: int = 0

    def note(self) -> str:
        """What to say below a text that was cut; empty if it is whole."""
        return f"{events(self.cut)} more characters are not shown" if self.cut else ""


def is_plain(text: str) -> bool:
    """Whether every character is a printable ASCII one, so that the text can be drawn as it is."""
    return text.isascii() and text.isprintable()


def one_line(text: str, cap: int = LINE_CAP, glyphs: Glyphs = UNICODE) -> Line:
    """The text as a single line: line breaks are named like other controls, at most `cap` cells are kept."""
    if len(text) <= cap and is_plain(text):
        return Line(text)
    return _clean(text[: cap * 4], cap, glyphs, more=len(text) > cap * 4)


def first_line(text: str, cap: int = LINE_CAP, glyphs: Glyphs = UNICODE) -> Line:
    """The first line of a text that has anything in it; an ellipsis says that more follows."""
    shown = text[: cap * 4].lstrip()
    found = _BREAKS.search(shown)
    if found is None:
        return one_line(shown if len(text) <= cap * 4 else shown + text[cap * 4 : cap * 4 + 1], cap, glyphs)
    line = one_line(shown[: found.start()].rstrip(), cap, glyphs)
    if not shown[found.end() :].strip():
        return line
    return Line(f"{line.text} {glyphs.ellipsis}", line.marks)


def safe(text: str, cap: int = LINE_CAP, glyphs: Glyphs = UNICODE) -> str:
    """The text as one safe line without spans, for places that have one style: toasts, window titles, the shell."""
    return one_line(text, cap, glyphs).text


def lines(text: str, *, total: int = TOTAL_CAP, line_cap: int = LINE_CAP, glyphs: Glyphs = UNICODE) -> Lines:
    """The text split at line breaks into safe lines, at most `total` characters and `LINES_CAP` lines of it."""
    shown = text[:total]
    parts = _BREAKS.split(shown) if not _PLAIN.match(shown) else [shown]
    kept = parts[:LINES_CAP]
    unseen = sum(len(part) + 1 for part in parts[LINES_CAP:])
    made = [Line(part) if len(part) <= line_cap and is_plain(part) else _clean(part, line_cap, glyphs) for part in kept]
    return Lines(made, len(text) - len(shown) + unseen)


def wrap(line: Line, width: int) -> list[Line]:
    """The line broken at spaces into pieces of at most `width` cells; longer words break where they must."""
    if width <= 0:
        return []
    text = line.text
    if cell_len(text) <= width:
        return [line]
    out: list[Line] = []
    start = 0
    while start < len(text):
        end = start + max(1, fitting(text[start : start + width * 4], width))
        if end < len(text):
            space = text.rfind(" ", start + 1, end + 1)
            if space > start:
                out.append(line.part(start, space))
                start = space + 1
                continue
        out.append(line.part(start, end))
        start = end
    return out


def typed(text: str) -> str:
    """What of a text may stand in a line to type on: breaks and tabs are spaces, what would be named is left out.

    An input draws its value as it is, so an escape sequence that is pasted into it would reach the terminal.
    """
    if is_plain(text):
        return text
    return "".join(char for char in re.sub(r"[\t\n\r\u2028\u2029]+", " ", text) if _kind(char) in (_Kind.SHOWN, _Kind.MARK))


def typed_lines(text: str) -> str:
    """The same for a box of several lines: breaks and tabs stay."""
    if is_plain(text):
        return text
    return "".join(char for char in re.sub(r"\r\n?|[\u2028\u2029]", "\n", text) if char in "\n\t" or typed(char))


class Strange(NamedTuple):
    """What in a text a person would not see: how many characters are named instead of drawn, and which change the reading order."""

    hidden: int = 0
    reordering: tuple[str, ...] = ()


def strange(text: str) -> Strange:
    """What is named where the text is shown, counted; line breaks and tabs are what they look like."""
    if is_plain(text):
        return Strange()
    named = [char for char in text if char not in "\n\t" and _kind(char) is _Kind.NAMED]
    turning = dict.fromkeys(f"U+{ord(char):04X}" for char in named if unicodedata.bidirectional(char) in _TURNING)
    return Strange(len(named), tuple(turning))


_TURNING = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
"""Bidirectional classes of the characters that change in which order text is read."""


def token(char: str, glyphs: Glyphs = UNICODE) -> str:
    """The visible name of a character that must not reach the terminal."""
    code = ord(char)
    name = _C0[code] if code < 0x20 else "DEL" if code == 0x7F else f"U+{code:04X}"
    return f"<{name}>" if glyphs.ascii else f"⟨{name}⟩"


class _Draft:
    """A line while it is made: pieces, spans and the cells used so far."""

    def __init__(self, glyphs: Glyphs) -> None:
        self.glyphs = glyphs
        self.pieces: list[str] = []
        self.marks: list[tuple[int, int]] = []
        self.length = 0
        self.cells = 0

    def put(self, text: str, cells: int) -> None:
        self.pieces.append(text)
        self.length += len(text)
        self.cells += cells

    def name(self, text: str) -> None:
        start = self.length
        self.put(text, cell_len(text))
        if self.marks and self.marks[-1][1] == start:
            self.marks[-1] = (self.marks[-1][0], self.length)
        else:
            self.marks.append((start, self.length))


def _clean(text: str, cap: int, glyphs: Glyphs, *, more: bool = False) -> Line:
    """The slow path: character by character, up to `cap` cells."""
    draft = _Draft(glyphs)
    marks = 0
    for index, char in enumerate(text):
        if draft.cells >= cap:
            more = more or index < len(text)
            break
        if char == "\t":
            draft.put(" " * (TAB - draft.cells % TAB), TAB - draft.cells % TAB)
            continue
        kind = _kind(char)
        if kind is _Kind.MARK:
            marks += 1
            if marks <= MARKS_PER_BASE and draft.pieces:
                draft.put(char, 0)
            continue
        _close_marks(draft, marks)
        marks = 0
        if kind is _Kind.NAMED:
            draft.name(token(char, glyphs))
        elif kind is _Kind.SHOWN:
            draft.put(char, get_character_cell_size(char))
    _close_marks(draft, marks)
    if more:
        draft.put(" " + glyphs.ellipsis, 2)
    return Line("".join(draft.pieces), tuple(draft.marks))


def _close_marks(draft: _Draft, count: int) -> None:
    """Name the combining marks that were left out, so that a flood is seen as one."""
    extra = count - MARKS_PER_BASE
    if extra > 0:
        draft.name(f"<+{extra} marks>" if draft.glyphs.ascii else f"⟨+{extra} marks⟩")


class _Kind:
    SHOWN = 0
    NAMED = 1
    MARK = 2
    DROPPED = 3


def _kind(char: str) -> int:
    """How one character is drawn. Cc, Cf, Cs, Zl, Zp and unassigned ones are named, marks are counted, VS15/16 drop.

    The two presentation selectors only choose between text and emoji form, and terminals disagree about the width that
    results; the other selectors can carry hidden text and are named.
    """
    if " " <= char <= "~":
        return _Kind.SHOWN
    code = ord(char)
    if code in (0xFE0E, 0xFE0F):
        return _Kind.DROPPED
    if char in _UNSEEN or 0xFE00 <= code <= 0xFE0D or 0xE0000 <= code <= 0xE0FFF or 0x180B <= code <= 0x180F:
        return _Kind.NAMED
    category = unicodedata.category(char)
    if category in ("Mn", "Me"):
        return _Kind.MARK
    if category in ("Cc", "Cf", "Cs", "Cn", "Zl", "Zp"):
        return _Kind.NAMED
    return _Kind.SHOWN

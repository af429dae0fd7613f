"""The texts of one step in two runs: lines beside each other where there is room, else one below the other.

Apart from the table because these rows are wrapped: they are laid out once a width. All of it is foreign text, made safe here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import groupby, zip_longest

from engine.replay.difference import StepDiff, StepTexts
from engine.replay.texts import TextDiff, TextLine
from tagent_tui.glyphs import UNICODE, Glyphs
from tagent_tui.numbers import events, plural, size
from tagent_tui.rows import BLANK, Ink, Row, Seg, Tint, cells
from tagent_tui.text import Line, one_line, wrap
from tagent_tui.view.diffrows import divergence

WIDE = 90
"""Cells from which the two texts stand beside each other."""

NUMBER, SIGN = 3, 3
"""Cells of a line's number, at least, and of its sign with the spaces around it."""

WORDS_CAP = 400
"""Words of a line that are compared one by one."""

Pair = tuple[TextLine | None, TextLine | None]
Pieces = list[tuple[Line, Ink]]
Marked = tuple[Pieces, Pieces]


class Tab(Enum):
    """What is compared of a step."""

    OUTPUT = "Output"
    INPUT = "Input"
    PROMPT = "Prompt"
    EVENTS = "Events"


TABS = tuple(Tab)


def text_of(texts: StepTexts, tab: Tab) -> TextDiff:
    """The compared text of a tab; that of events has none."""
    return {Tab.OUTPUT: texts.output, Tab.INPUT: texts.input, Tab.PROMPT: texts.prompt}.get(tab, TextDiff())


def first_tab(step: StepDiff, texts: StepTexts) -> Tab:
    """The tab that says most of what differs: the first whose text does."""
    found = next((tab for tab in TABS if text_of(texts, tab)), None)
    return found or (Tab.EVENTS if step.events else Tab.OUTPUT)


def pairs(lines: Sequence[TextLine]) -> Iterator[Pair]:
    """Lines of both texts level with each other: removed ones beside those added in their place."""
    for same, group in groupby(lines, key=lambda line: line.sign == " "):
        found = list(group)
        if same:
            yield from ((line, line) for line in found)
        else:
            yield from zip_longest([one for one in found if one.sign == "-"], [one for one in found if one.sign == "+"])


def text_rows(diff: TextDiff, width: int, glyphs: Glyphs = UNICODE, *, words: bool = False) -> list[Row]:
    """A text's difference in `width` cells."""
    rows = [_note(f"{plural(diff.skipped, 'line')} before these are the same")] if diff.skipped else []
    digits = max(NUMBER, len(str(max((line.a or line.b or 0 for line in diff.lines), default=0))))
    lay = _beside if width >= WIDE else _below
    for pair in pairs(diff.lines):
        rows += lay(pair, width, digits, _marked(pair, glyphs, words=words), glyphs)
    if diff.left_out:
        rows.append(_note(f"{plural(diff.left_out, 'line')} more are not compared"))
    return rows


def _note(text: str) -> Row:
    return Row([Seg(text, Ink.MUTED)])


def _beside(pair: Pair, width: int, digits: int, marked: Marked, glyphs: Glyphs) -> list[Row]:
    half = (width - 3) // 2
    one = _cell(pair[0], pair[0].a if pair[0] else None, marked[0], half, digits)
    other = _cell(pair[1], pair[1].b if pair[1] else None, marked[1], width - 3 - half, digits)
    rows = []
    for index in range(max(len(one), len(other))):
        a = one[index] if index < len(one) else _filler(half, pair[0])
        b = other[index] if index < len(other) else _filler(width - 3 - half, pair[1])
        rows.append(Row([*a, Seg(f" {glyphs.vertical} ", Ink.HAIRLINE), *b]))
    return rows


def _below(pair: Pair, width: int, digits: int, marked: Marked, glyphs: Glyphs) -> list[Row]:
    del glyphs
    a, b = pair
    if a is not None and a is b:
        return [Row(segs) for segs in _cell(a, a.b, marked[0], width, digits)]
    rows = [Row(segs) for segs in _cell(a, a.a, marked[0], width, digits)] if a is not None else []
    return rows + ([Row(segs) for segs in _cell(b, b.b, marked[1], width, digits)] if b is not None else [])


_TINTS = {"-": Tint.REMOVED, "+": Tint.ADDED}
_INKS = {"-": Ink.ERROR, "+": Ink.SUCCESS}


def _cell(line: TextLine | None, number: int | None, pieces: Pieces, width: int, digits: int) -> list[list[Seg]]:
    """One text's line, wrapped; each row fills `width`. Nothing where the other text alone has a line here."""
    if line is None:
        return []
    tint = _TINTS.get(line.sign)
    room = max(width - digits - SIGN, 1)
    found = []
    for index, row in enumerate(_wrapped(pieces, room)):
        lead = [
            Seg(f"{number if not index else '':>{digits}}", Ink.MUTED, tint=tint),
            Seg(f" {line.sign if not index else ' '} ", _INKS.get(line.sign, Ink.MUTED), bold=True, tint=tint),
        ]
        segs = [*lead, *(seg._replace(tint=tint) for seg in row)]
        found.append([*segs, Seg(" " * max(0, width - cells(segs)), tint=tint)])
    return found


def _filler(width: int, line: TextLine | None) -> list[Seg]:
    """Where a text has no line: what fills it is a shade apart from an empty one, and below a wrapped line the line's own."""
    return [Seg(" " * width, tint=Tint.PANE if line is None else _TINTS.get(line.sign))]


def _wrapped(pieces: Pieces, room: int) -> list[list[Seg]]:
    """Pieces of one line, each with its ink, broken where the line breaks."""
    whole = Line("".join(line.text for line, _ in pieces))
    rows, at = [], 0
    ends: list[tuple[int, Line, Ink]] = []
    for line, ink in pieces:
        ends.append((at, line, ink))
        at += len(line.text)
    at = 0
    for part in wrap(whole, room) or [Line("")]:
        start = whole.text.find(part.text, at) if part.text else at
        end = start + len(part.text)
        at = end
        row: list[Seg] = []
        for begin, line, ink in ends:
            low, high = max(start - begin, 0), min(end - begin, len(line.text))
            if low < high:
                row += line.part(low, high).segs(ink, bold=ink is Ink.STRONG)
        rows.append(row)
    return rows


def _marked(pair: Pair, glyphs: Glyphs, *, words: bool) -> Marked:
    """Both lines as pieces with inks; with `words` those words are strong that only one of them has."""
    a, b = (one_line(line.text, glyphs=glyphs) if line is not None else Line("") for line in pair)
    if pair[0] is pair[1]:
        return [(a, Ink.MUTED)], [(b, Ink.MUTED)]
    if not words or pair[0] is None or pair[1] is None:
        return [(a, Ink.TEXT)], [(b, Ink.TEXT)]
    left, right = (_WORD.findall(line.text)[:WORDS_CAP] for line in (a, b))
    blocks = difflib.SequenceMatcher(None, left, right, autojunk=False).get_matching_blocks()
    return _strong(a, left, [(one.a, one.size) for one in blocks]), _strong(b, right, [(one.b, one.size) for one in blocks])


_WORD = re.compile(r"\w+|\s+|[^\w\s]")


def _strong(line: Line, tokens: Sequence[str], equal: Sequence[tuple[int, int]]) -> Pieces:
    found: Pieces = []
    word = at = 0
    for start, count in equal:
        for upto, ink in ((start, Ink.STRONG), (start + count, Ink.MUTED)):
            length = sum(len(token) for token in tokens[word:upto])
            if length:
                found.append((line.part(at, at + length), ink))
            word, at = max(word, upto), at + length
    if at < len(line.text):
        found.append((line.part(at, len(line.text)), Ink.STRONG))
    return found


def event_rows(step: StepDiff, glyphs: Glyphs = UNICODE) -> list[Row]:
    """The step's events that differ, and how many do not."""
    signs = {"missing": Seg("-", Ink.ERROR, bold=True), "extra": Seg("+", Ink.SUCCESS, bold=True)}
    rows = [
        Row([signs.get(one.what, Seg(glyphs.differs, Ink.WARNING)), Seg("  "), *divergence(one, glyphs, of_step=True)])
        for one in step.events
    ]
    rows += [_note(f"   and {plural(step.more, 'event')} more")] if step.more else []
    if step.equal:
        rows += [BLANK] if rows else []
        rows.append(_note(f"{plural(step.equal, 'event')} {'says' if step.equal == 1 else 'say'} the same in both runs"))
    return rows or [_note("no events that are compared")]


def tab_rows(step: StepDiff, texts: StepTexts, tab: Tab, width: int, glyphs: Glyphs = UNICODE, *, words: bool = False) -> list[Row]:
    """What a tab says of a step."""
    if tab is Tab.EVENTS:
        return [BLANK, *event_rows(step, glyphs)]
    diff = text_of(texts, tab)
    rows = text_rows(diff, width, glyphs, words=words)
    if tab is Tab.OUTPUT and texts.unread:
        rows.append(_note(f"{size(texts.unread)} more are not compared"))
    return [BLANK, *(rows or [_note(_nothing(step, tab))])]


def _nothing(step: StepDiff, tab: Tab) -> str:
    if tab is Tab.PROMPT and not any(one is not None and one.calls for one in (step.a, step.b)):
        return "no model was asked in either run"
    return f"the {tab.value.lower()} is the same in both runs"


def counted_segs(diff: TextDiff) -> list[Seg]:
    """`- 5  + 5 lines`."""
    if not diff:
        return []
    return [
        Seg(f"- {events(diff.removed)}", Ink.ERROR),
        Seg("  "),
        Seg(f"+ {events(diff.added)}", Ink.SUCCESS),
        Seg("  lines", Ink.MUTED),
    ]


def plain_text(step: StepDiff, texts: StepTexts, tab: Tab) -> str:
    """A tab as text for the clipboard and the pager: signs and lines, unwrapped; not made safe."""
    if tab is Tab.EVENTS:
        return "\n".join("".join(seg.text for seg in row.left) for row in event_rows(step))
    return "\n".join(f"{line.sign} {line.text}" for line in text_of(texts, tab).lines) or _nothing(step, tab)

"""What a fork would run again, as the command line's dry run tells it, and as rows: what, why, how much it was, what asks first.

Apart from the dialog because it is read from another process, perhaps of another version: what is not said there has a default, and
every name in it is foreign text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from tagent_tui.glyphs import UNICODE, Glyphs
from tagent_tui.numbers import UNKNOWN, duration, plural, run_cost, step_cost
from tagent_tui.rows import BLANK, Ink, Row, Seg, beside, column, right_column
from tagent_tui.shapes import rule
from tagent_tui.text import one_line, wrap
from tagent_tui.view.effects import effect_name

TWO_COLUMNS = 92
"""Cells from which what is reused stands beside what runs again."""

FIGURE = 9
NAMES = 400
"""Names of reused steps that are listed; a run of 10,000 says how many more there are."""


class Again(msgspec.Struct, frozen=True):
    """A step that would run: why, and what it used in the run that is forked; `known` is false where it never ran there."""

    step: str
    why: str = ""
    known: bool = True
    cost: float = 0.0
    unpriced: int = 0
    tokens: int = 0
    calls: int = 0
    seconds: float = 0.0
    asks: list[str] = []


class Foreseen(msgspec.Struct, frozen=True):
    """What a fork would do: `again` runs, `taken` comes to what it came to, `kept` is its past; `changes` are sentences."""

    again: list[Again] = []
    taken: list[str] = []
    kept: list[str] = []
    changes: list[str] = []


class Ground(NamedTuple):
    """What is known here of the run that is forked: its short id, its number of steps, and what each step cost."""

    run: str
    steps: int
    costs: Mapping[str, float] = {}


def foreseen_rows(found: Foreseen, ground: Ground, width: int, glyphs: Glyphs = UNICODE) -> list[Row]:
    """The whole of it in the order of doubt: what runs again at what price, what is free, what cannot be undone."""
    asks = _asks(found, glyphs)
    changes = _changes(found, width, glyphs)
    if width < TWO_COLUMNS:
        parts = [_again(found, ground, width, glyphs), _under(asks, width, glyphs), _reused(found, ground, width, glyphs), changes]
        return _stacked(parts)
    left_width = (width - 3) // 2
    right_width = width - 3 - left_width
    left, right = _again(found, ground, left_width, glyphs), _reused(found, ground, right_width, glyphs)
    rows = []
    for index in range(max(len(left), len(right))):
        one, other = (rows_[index] if index < len(rows_) else BLANK for rows_ in (left, right))
        cells = [*beside(one.left, one.right, left_width, ellipsis=glyphs.ellipsis), Seg("   ")]
        rows.append(Row([*cells, *beside(other.left, other.right, right_width, ellipsis=glyphs.ellipsis)]))
    return _stacked([rows, _under(asks, width, glyphs), changes])


def _stacked(parts: Iterable[Sequence[Row]]) -> list[Row]:
    rows: list[Row] = []
    for part in parts:
        if part:
            rows += [*([BLANK] if rows else []), *part]
    return rows


def _under(rows: Sequence[Row], width: int, glyphs: Glyphs) -> list[Row]:
    """The first row is a heading: a hairline below it."""
    return [rows[0], Row(rule(width, glyphs=glyphs)), *rows[1:]] if rows else []


def _figures(*texts: tuple[str, Ink, bool]) -> list[Seg]:
    return [seg for text, ink, bold in texts for seg in right_column([Seg(text, ink, bold)], FIGURE)]


def _again(found: Foreseen, ground: Ground, width: int, glyphs: Glyphs) -> list[Row]:
    many = len(found.again)
    of = f" of {ground.steps:,}" if ground.steps else ""
    count = "nothing" if not many else f"{many:,}{of} {'step' if many == 1 and not of else 'steps'}"
    head = Row([Seg("Would run again", Ink.STRONG, bold=True), Seg(f"  {count}", Ink.MUTED)])
    if not many:
        return _under([head], width, glyphs)
    name = min(max(len(one.step) for one in found.again) + 2, max(width // 3, 10))
    rows = [head._replace(right=_figures(("time", Ink.MUTED, False), ("cost", Ink.MUTED, False)))]
    for one in found.again:
        left = [Seg(f"{glyphs.ready} ", Ink.ACCENT), *column(one_line(one.step, 200, glyphs).segs(), name, glyphs.ellipsis)]
        left += one_line(one.why.removeprefix("it "), 200, glyphs).segs(Ink.MUTED)
        time = duration(one.seconds) if one.known else UNKNOWN
        cost = step_cost(one.cost) if one.cost else UNKNOWN
        rows.append(Row(left, _figures((time, Ink.TEXT, False), (cost, Ink.TEXT, False))))
    unknown = sum(not one.known for one in found.again)
    said = f"as in {ground.run} {glyphs.sep} {unknown:,} unknown" if unknown else f"at most, as it was in {ground.run}"
    spent, paid = sum(one.seconds for one in found.again), sum(one.cost for one in found.again)
    figures = _figures((duration(spent), Ink.STRONG, True), (step_cost(paid) if paid else UNKNOWN, Ink.STRONG, True))
    return [*_under(rows, width, glyphs), BLANK, Row([Seg(said, Ink.MUTED)], figures)]


def _reused(found: Foreseen, ground: Ground, width: int, glyphs: Glyphs) -> list[Row]:
    reused = [*found.kept, *found.taken]
    title = Seg("Reused", Ink.STRONG, bold=True)
    said = f"{plural(len(reused), 'step')}, nothing paid" if reused else "nothing"
    rows = [Row([title, Seg(f"  {said}", Ink.MUTED)], _figures(("saved", Ink.MUTED, False)) if reused else ())]
    rows = _under(rows, width, glyphs)
    if not reused:
        return rows
    for steps in (found.kept, found.taken):
        rows += _named(steps, sum(ground.costs.get(step, 0.0) for step in steps), width, glyphs)
    saved = sum(ground.costs.get(step, 0.0) for step in reused)
    said = f"{len(found.kept)} before the fork {glyphs.sep} {len(found.taken)} as recorded after it"
    return [*rows, BLANK, Row([Seg(said, Ink.MUTED)], _figures((run_cost(saved) if saved else UNKNOWN, Ink.STRONG, True)))]


def _named(steps: Sequence[str], cost: float, width: int, glyphs: Glyphs) -> list[Row]:
    """`✓ plan, search, pages`, as many lines as it takes; the cost of all at the end of the first."""
    if not steps:
        return []
    names = ", ".join(one_line(step, 60, glyphs).text for step in steps[:NAMES])
    more = f" and {len(steps) - NAMES:,} more" if len(steps) > NAMES else ""
    pieces = wrap(one_line(names + more, 100_000, glyphs), max(width - 2 - FIGURE - 1, 10))
    rows = [Row([Seg("  "), *piece.segs()]) for piece in pieces]
    first = Row([Seg(f"{glyphs.completed} ", Ink.SUCCESS), *pieces[0].segs()])
    return [first._replace(right=_figures((step_cost(cost) if cost else UNKNOWN, Ink.MUTED, False))), *rows[1:]]


def _asks(found: Foreseen, glyphs: Glyphs) -> list[Row]:
    rows = []
    for one in found.again:
        for effect in one.asks:
            kind, _, name = effect.partition(" ")
            left = [Seg(f"{glyphs.person} ", Ink.WARNING), *one_line(one.step, 80, glyphs).segs(), Seg("   ")]
            left += one_line(effect_name(kind, name), 200, glyphs).segs(Ink.MUTED)
            rows.append(Row(left, [Seg("asks before it is done again", Ink.WARNING)]))
    head = [Seg("Irreversible", Ink.WARNING, bold=True), Seg("  these ask first, whatever was approved before", Ink.MUTED)]
    return [Row(head), *rows] if rows else []


def _changes(found: Foreseen, width: int, glyphs: Glyphs) -> list[Row]:
    if not found.changes:
        return []
    rows = [Row([Seg("Definition", Ink.STRONG, bold=True), Seg("  what differs from the recorded one", Ink.MUTED)])]
    for sentence in found.changes:
        for index, piece in enumerate(wrap(one_line(sentence, 600, glyphs), max(width - 2, 10))):
            rows.append(Row([Seg(f"{glyphs.differs} " if not index else "  ", Ink.REPLAY), *piece.segs(Ink.MUTED)]))
    return _under(rows, width, glyphs)

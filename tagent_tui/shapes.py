"""What is drawn from marks: progress, small graphs, rules with titles, tab rows, rows of keys, the mode chip.

Pure, from values to pieces of a row, so that `view.py` uses the same shapes as the widgets and tests read them as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tagent_tui.glyphs import UNICODE, Glyphs
from tagent_tui.rows import Ink, Seg, beside, cells, fit


class Key(NamedTuple):
    """One entry of a footer: the key as it is written, and what it does in one word."""

    key: str
    word: str


HELP = Key("?", "help")


def chip(word: str, ink: Ink = Ink.ACCENT) -> Seg:
    """The mode in the first cells of the title bar, reversed: ` LIVE `."""
    return Seg(f" {word.upper()} ", ink, bold=True, reverse=True)


def progress(share: float | None, width: int, ink: Ink = Ink.ACCENT, glyphs: Glyphs = UNICODE) -> list[Seg]:
    """A bar of `width` cells in half-cell steps; anything begun shows, and only a share of 1 is full."""
    if width <= 0:
        return []
    part = 0.0 if share is None else min(max(share, 0.0), 1.0)
    halves = int(part * width * 2)
    if part > 0:
        halves = max(1, halves)
    whole, half = divmod(halves, 2)
    bar = glyphs.active * whole + (glyphs.half if half else "")
    rest = width - whole - half
    segs = [Seg(bar, ink)] if bar else []
    if rest:
        segs.append(Seg(glyphs.hairline * rest, Ink.HAIRLINE))
    return segs


def spark(values: Sequence[float], width: int, *, top: float | None = None, glyphs: Glyphs = UNICODE) -> str:
    """The last `width` values as bars of eighths, right-aligned; `top` is the value of a full bar (default: the largest)."""
    shown = list(values[-width:]) if width > 0 else []
    highest = top if top is not None else max(shown, default=0.0)
    steps = len(glyphs.levels)
    marks = []
    for value in shown:
        level = 0 if highest <= 0 else round(value / highest * steps)
        marks.append(glyphs.levels[min(max(level, 1), steps) - 1])
    return " " * (width - len(marks)) + "".join(marks)


def level(share: float, glyphs: Glyphs = UNICODE) -> str:
    """One cell filled from below by a share of 1; a space for nothing."""
    if share <= 0:
        return " "
    steps = len(glyphs.levels)
    return glyphs.levels[min(max(round(share * steps), 1), steps) - 1]


def rule(
    width: int,
    title: Sequence[Seg] = (),
    right: Sequence[Seg] = (),
    *,
    ink: Ink = Ink.HAIRLINE,
    glyphs: Glyphs = UNICODE,
) -> list[Seg]:
    """A line across `width` cells with a title in it, and perhaps something at its right end."""
    line = glyphs.hairline
    if not title and not right:
        return [Seg(line * max(width, 0), ink)]
    start = [Seg(line, ink), Seg(" "), *title, Seg(" ")] if title else []
    end = [Seg(" "), *right, Seg(" "), Seg(line * 2, ink)] if right else []
    room = width - cells(end)
    if room < cells(start):
        end, room = [], width
    start = fit(start, room, glyphs.ellipsis)
    return [*start, Seg(line * (room - cells(start)), ink), *end]


class Tab(NamedTuple):
    """One entry of a tab row: the key that opens it (or nothing) and its name."""

    key: str
    name: str


def tabs(
    entries: Sequence[Tab],
    active: int,
    width: int,
    right: Sequence[Seg] = (),
    *,
    focused: bool = True,
    glyphs: Glyphs = UNICODE,
) -> tuple[list[Seg], list[Seg]]:
    """Names and, below them, the hairline that turns `━` under the active one: two rows of `width` cells.

    What does not fit is dropped from the end, but never the active tab: then the names start with it.
    """
    widths = [len(tab.key) + bool(tab.key) + len(tab.name) for tab in entries]
    first = active if entries and sum(widths[: active + 1]) + 3 * active + 2 > width else 0
    names: list[Seg] = [Seg(" ")]
    start = length = 0
    for index in range(first, len(entries)):
        tab, used = entries[index], cells(names)
        if index > active and used + widths[index] + 4 > width:
            break
        if index > first:
            names.append(Seg("   "))
            used += 3
        if tab.key:
            names.append(Seg(tab.key + " ", Ink.MUTED))
        names.append(Seg(tab.name, Ink.STRONG if index == active else Ink.MUTED, bold=index == active))
        if index == active:
            start, length = used, min(widths[index], max(width - used, 0))
    if cells(names) + cells(right) + 2 > width:
        right = ()
    line = [
        Seg(glyphs.hairline * min(start, width), Ink.HAIRLINE),
        Seg(glyphs.active * length, Ink.ACCENT if focused else Ink.MUTED),
        Seg(glyphs.hairline * max(width - start - length, 0), Ink.HAIRLINE),
    ]
    tail = [*right, Seg(" ")] if right else []
    return beside(names, tail, width, ellipsis=glyphs.ellipsis), line


def key_row(keys: Sequence[Key], width: int, right: Sequence[Seg] = (), *, glyphs: Glyphs = UNICODE) -> list[Seg]:
    """The footer: bold key, muted word. What does not fit goes from the end, but the key for help and the right end stay."""
    tail = fit([*right, Seg(" ")], max(width - 1, 0), glyphs.ellipsis) if right else []
    room = width - 1 - (cells(tail) + 2 if tail else 1)
    keep = next((key for key in keys if key.word == HELP.word), None)
    wanted = [key for key in keys if key is not keep]
    reserved = _key_cells(keep) + 2 if keep is not None else 0
    shown: list[Key] = []
    used = 0
    for key in wanted:
        size = _key_cells(key) + (2 if shown else 0)
        if used + size + reserved > room:
            break
        shown.append(key)
        used += size
    if keep is not None:
        shown.append(keep)
    segs: list[Seg] = [Seg(" ")]
    for index, key in enumerate(shown):
        segs += [Seg("  ")] if index else []
        segs += [Seg(key.key, Ink.STRONG, bold=True), Seg(" " + key.word, Ink.MUTED)]
    return beside(segs, tail, width, ellipsis=glyphs.ellipsis)


def _key_cells(key: Key) -> int:
    return cells([Seg(key.key), Seg(key.word)]) + 1

"""The list of runs as lines: what is dropped first where a terminal is narrow.

Stands apart from the run list of the screens, whose rows have keys, bars and sparklines; the words and marks are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from store import RunRow
from store.state import RunStatus
from tagent_tui.cli.output import Stream
from tagent_tui.glyphs import Glyphs
from tagent_tui.numbers import age, duration, run_cost, tokens
from tagent_tui.rows import Ink, Seg, clip, pad, rpad
from tagent_tui.text import first_line, one_line
from tagent_tui.view.scene import run_mark

NAME_CELLS = 32
NOW_CELLS = 24
"""What the last column should have left before a figure is shown."""

Listed = tuple[RunRow, RunStatus]


class Column(NamedTuple):
    """A column of figures: its title and a text for each run."""

    title: str
    texts: list[str]

    @property
    def width(self) -> int:
        """The cells it takes."""
        return max(len(self.title), *(len(text) for text in self.texts))


def write_list(out: Stream, found: Sequence[Listed], now: float) -> None:
    """Write a head and a line for each run, newest first as given."""
    ids = max(len(row.id) for row, _ in found)
    names = [clip(one_line(row.pipeline, glyphs=out.glyphs).text, NAME_CELLS, out.glyphs.ellipsis) for row, _ in found]
    width = max(len("pipeline"), *(len(name) for name in names))
    words = max(len(status.word) for _, status in found)
    figures = fitting(columns(found, now), out.width - (2 + ids + 2 + width + 2 + words + NOW_CELLS))
    head = [f"  {pad('run', ids)}", pad("pipeline", width), pad("status", words), *(rpad(one.title, one.width) for one in figures)]
    out.line([Seg("  ".join([*head, "now"]), Ink.MUTED)])
    for index, (row, status) in enumerate(found):
        mark = run_mark(status, out.glyphs)
        told = "".join(f"  {rpad(one.texts[index], one.width)}" for one in figures)
        out.line(
            [
                Seg(f"{mark.glyph} ", mark.ink),
                Seg(f"{pad(row.id, ids)}  {pad(names[index], width)}  "),
                Seg(pad(mark.word, words), mark.ink if status is not RunStatus.COMPLETED else Ink.TEXT),
                Seg(f"{told}  "),
                Seg(said(row, status), Ink.MUTED),
            ]
        )


def child_segs(row: RunRow, glyphs: Glyphs) -> list[Seg]:
    """A child run below the step that called it."""
    mark = run_mark(RunStatus[row.shown().upper()], glyphs)
    name = one_line(row.pipeline, glyphs=glyphs).text
    return [Seg(f"    {mark.glyph} ", mark.ink), Seg(f"{row.id}  ", Ink.MUTED), Seg(f"{name}  "), Seg(mark.word, mark.ink)]


def columns(found: Sequence[Listed], now: float) -> list[Column]:
    """The figures, in the order they stand; columns that say nothing are left out."""
    made = [
        Column("steps", [f"{row.settled}/{row.steps}" for row, _ in found]),
        Column("age", [age(now - row.created) for row, _ in found]),
        Column("time", [duration((row.ended or (now if row.alive() else row.last_at)) - row.created) for row, _ in found]),
        Column("tokens", [tokens(row.tokens) if row.tokens else "" for row, _ in found]),
        Column("cost", [run_cost(None if row.unpriced else row.cost) if row.tokens else "" for row, _ in found]),
    ]
    return [column for column in made if any(column.texts)]


def fitting(figures: Sequence[Column], room: int) -> list[Column]:
    """The columns that fit, from the left."""
    kept: list[Column] = []
    for column in figures:
        room -= column.width + 2
        if room < 0:
            break
        kept.append(column)
    return kept


def said(row: RunRow, status: RunStatus) -> str:
    """The last column: what goes on, why it ended so, or what helps."""
    if status is RunStatus.WAITING and row.now:
        return first_line(row.now).text
    if status in (RunStatus.INTERRUPTED, RunStatus.PAUSED, RunStatus.WAITING):
        return f"tagent-tui resume {row.id}"
    words = first_line(row.now).text
    return " ".join(word for word in ("simulated" if row.simulated else "", words) if word)

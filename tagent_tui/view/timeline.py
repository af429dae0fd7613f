"""The timeline of a replay: how dense events lie over time, a rail with what matters, the playhead, and the events one by one.

Apart from the widget because it is geometry. The upper track is time, so that bursts stay visible; the lower is events, one cell
each with the playhead in the middle, so that one event forward is something to see.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from store.events import Event, Recorded
from tagent_tui.glyphs import UNICODE, Glyphs
from tagent_tui.numbers import duration, events, span
from tagent_tui.rows import Ink, Row, Seg
from tagent_tui.shapes import level, rule
from tagent_tui.view.clock import exact_time, time_of_day
from tagent_tui.view.describe import is_failure

FORK = "fork"
"""The type of a mark where another run was forked off this one: no event of this run says so."""

SHORT = 10.0
"""Seconds below which a run's times are told in parts of a second: whole ones would all be the same."""


class Mark(NamedTuple):
    """A mark on the rail: which event, when, of which type."""

    version: int
    at: float
    type: str


class Timeline(NamedTuple):
    """What a timeline is drawn from. `counts` are events in equal parts of the time from `start` to `end` (unix seconds)."""

    head: int
    start: float
    end: float
    counts: Sequence[int] = ()
    marks: Sequence[Mark] = ()

    def share(self, at: float) -> float:
        """Where a moment lies between start and end, from 0 to 1."""
        length = self.end - self.start
        return min(max((at - self.start) / length, 0.0), 1.0) if length > 0 else 0.0

    def cell(self, at: float, width: int) -> int:
        """The cell of a moment in a track of `width` cells."""
        return min(int(self.share(at) * width), width - 1)


class Playhead(NamedTuple):
    """The event shown: its version and its time."""

    version: int
    at: float


class _Sign(NamedTuple):
    """A kind of mark: the glyph's name, its ink, its word; the lower the rank, the more it matters where two meet."""

    glyph: str
    ink: Ink
    word: str
    rank: int


_SIGNS: Mapping[str, _Sign] = {
    "effect.in_doubt": _Sign("in_doubt", Ink.WARNING, "in doubt", 0),
    "run.failed": _Sign("failed", Ink.ERROR, "failure", 1),
    "step.failed": _Sign("failed", Ink.ERROR, "failure", 2),
    "step.refused": _Sign("failed", Ink.ERROR, "failure", 2),
    "approval.requested": _Sign("person", Ink.WARNING, "approval", 3),
    "budget.reached": _Sign("person", Ink.WARNING, "budget", 3),
    FORK: _Sign("fork", Ink.REPLAY, "fork", 3),
    "checkpoint.made": _Sign("checkpoint", Ink.STRONG, "checkpoint", 3),
    "edit.applied": _Sign("differs", Ink.REPLAY, "edit", 4),
    "run.forked": _Sign("fork", Ink.MUTED, "", 5),
    "run.attached": _Sign("interrupted", Ink.MUTED, "resume", 5),
}
"""The event types that have a mark on the rail; a driver's first arrival has none, and where the run itself was forked off its
parent is marked but not counted."""


def title_row(timeline: Timeline, head: Playhead, width: int, glyphs: Glyphs = UNICODE) -> list[Seg]:
    """The rule above: which event of how many, when, how far into the run; how many marks of each kind at its right end."""
    length = timeline.end - timeline.start
    said = duration if length < SHORT else span
    into, whole = said(head.at - timeline.start), said(length)
    title = [
        Seg(f"event {head.version:,}", Ink.ACCENT, bold=True),
        Seg(f" of {timeline.head:,}   ", Ink.MUTED),
        Seg(exact_time(head.at)),
        Seg(f"   {into} into {whole}", Ink.MUTED),
    ]
    right = _legend(timeline, glyphs, words=width >= 100)
    return rule(width, title, right, ink=Ink.ACCENT, glyphs=glyphs)


def _legend(timeline: Timeline, glyphs: Glyphs, *, words: bool) -> list[Seg]:
    counts: dict[tuple[str, Ink, str], int] = {}
    resumes = [mark for mark in timeline.marks if mark.type == "run.attached"][1:]
    for mark in [mark for mark in timeline.marks if mark.type != "run.attached"] + resumes:
        sign = _SIGNS.get(mark.type)
        if sign is not None and sign.word:
            key = (sign.glyph, sign.ink, sign.word)
            counts[key] = counts.get(key, 0) + 1
    segs: list[Seg] = []
    for (glyph, ink, word), count in counts.items():
        noun = f" {word}{'s' if count != 1 and word != 'in doubt' else ''}" if words else ""
        segs += [*([Seg("   ")] if segs else []), Seg(str(getattr(glyphs, glyph)), ink), Seg(f" {count:,}"), Seg(noun, Ink.MUTED)]
    return segs


def density_row(timeline: Timeline, head: Playhead, width: int, glyphs: Glyphs = UNICODE) -> list[Seg]:
    """How many events fall into each cell, past ones in the accent; the playhead is a bar of its own.

    Heights follow the square root, so that a burst does not flatten everything beside it.
    """
    counts = spread(timeline.counts, width)
    top = math.sqrt(max(counts, default=0.0))
    here = timeline.cell(head.at, width) if width else 0
    segs: list[Seg] = []
    for index, count in enumerate(counts):
        if index == here:
            segs.append(Seg(glyphs.focus, Ink.STRONG))
            continue
        past = Ink.ACCENT if index < here else Ink.GRAPH_QUIET
        segs.append(Seg(level(math.sqrt(count) / top, glyphs), past) if count > 0 else Seg(glyphs.levels[0], Ink.HAIRLINE))
    return merge(segs)


def spread(counts: Sequence[float], width: int) -> list[float]:
    """The same counts in `width` equal parts: parts are added up, or shared out where there are too few."""
    if width <= 0 or not counts:
        return [0.0] * max(width, 0)
    parts = len(counts)
    out: list[float] = []
    for index in range(width):
        low, high = index * parts / width, (index + 1) * parts / width
        first, last = int(low), min(math.ceil(high), parts)
        out.append(sum(counts[part] * (min(high, part + 1) - max(low, part)) for part in range(first, last)))
    return out


def merge(segs: Sequence[Seg]) -> list[Seg]:
    """Neighbours of one ink put together: fewer pieces to paint."""
    out: list[Seg] = []
    for seg in segs:
        if out and out[-1][1:] == seg[1:]:
            out[-1] = seg._replace(text=out[-1].text + seg.text)
        else:
            out.append(seg)
    return out


def rail_row(timeline: Timeline, head: Playhead, width: int, glyphs: Glyphs = UNICODE) -> list[Seg]:
    """The rail: the past heavy, the future thin, marks where they happened, the playhead above all."""
    here = timeline.cell(head.at, width) if width else 0
    line = [Seg(glyphs.active, Ink.ACCENT) if index < here else Seg(glyphs.hairline, Ink.HAIRLINE) for index in range(width)]
    ranks = [99] * width
    first_attach = next((mark.version for mark in timeline.marks if mark.type == "run.attached"), None)
    for mark in timeline.marks if width else ():
        sign = _SIGNS.get(mark.type)
        if sign is None or mark.version == first_attach:
            continue
        place = timeline.cell(mark.at, width)
        if sign.rank < ranks[place]:
            ranks[place] = sign.rank
            line[place] = Seg(str(getattr(glyphs, sign.glyph)), sign.ink)
    if width:
        line[here] = Seg(glyphs.running, Ink.STRONG)
    return merge(line)


def times_row(timeline: Timeline, head: Playhead, width: int, glyphs: Glyphs = UNICODE) -> list[Seg]:
    """Times of day under the rail, and the playhead's number in reverse where it stands; what it covers is left out."""
    chip = f" {head.version:,} "
    here = timeline.cell(head.at, width) if width else 0
    left = min(max(here - len(chip) // 2, 0), max(width - len(chip), 0))
    line = [" "] * width
    ticks = max(min(width // 24, 6), 1)
    taken = range(left - 1, left + len(chip) + 1)
    said = exact_time if timeline.end - timeline.start < SHORT else time_of_day
    for tick in range(ticks + 1):
        label = said(timeline.start + (timeline.end - timeline.start) * tick / ticks)
        start = min(max(round(width * tick / ticks) - (0 if tick == 0 else len(label) // 2), 0), width - len(label))
        if start < 0 or start in taken or start + len(label) in taken or taken.start in range(start, start + len(label)):
            continue
        line[start : start + len(label)] = label
    if len(chip) > width:
        return [Seg("".join(line), Ink.MUTED)]
    before, after = "".join(line[:left]), "".join(line[left + len(chip) :])
    return [Seg(before, Ink.MUTED), Seg(chip, Ink.ACCENT, bold=True, reverse=True), Seg(after, Ink.MUTED)]


TRACK_LABEL = "one by one"
_TRACKED = ("checkpoint.made", "edit.applied", "run.forked")
_LARGE = ("run.",)
_MEDIUM = ("step.", "artifact.", "signal.")


def track_cells(width: int) -> int:
    """How many events the lower track shows in a row of `width` cells; an odd number, so that the playhead is in the middle."""
    room = width - len(TRACK_LABEL) - 3 - 18 - 2
    return max(room - 1 + room % 2, 0)


def track_row(around: Mapping[int, Recorded], head: Playhead, last: int, width: int, glyphs: Glyphs = UNICODE) -> Row:
    """The events around the playhead, one cell each: bigger for steps and runs, marks for what is marked; right, the range."""
    size = track_cells(width)
    half = size // 2
    segs = [Seg(TRACK_LABEL, Ink.MUTED), Seg("   ")]
    for version in range(head.version - half, head.version + half + 1):
        mark = _track_mark(around.get(version), glyphs) if 1 <= version <= last else Seg(" ")
        if version == head.version:
            segs += _bracketed(mark, glyphs)
        elif version > head.version and mark.ink is Ink.TEXT:
            segs.append(mark._replace(ink=Ink.MUTED))
        else:
            segs.append(mark)
    low, high = max(head.version - half, 1), min(head.version + half, last)
    return Row(merge(segs), [Seg(f"{events(low)} {glyphs.dash} {events(high)}", Ink.MUTED)])


def _bracketed(mark: Seg, glyphs: Glyphs) -> list[Seg]:
    strong = mark._replace(ink=Ink.STRONG) if mark.ink is Ink.TEXT else mark
    return [Seg(glyphs.focus, Ink.ACCENT, reverse=not glyphs.ascii), strong, Seg(glyphs.focus, Ink.ACCENT)]


def _track_mark(recorded: Recorded | None, glyphs: Glyphs) -> Seg:
    if recorded is None:
        return Seg(glyphs.small, Ink.HAIRLINE)
    if is_failure(recorded) or recorded.event.type in _TRACKED:
        sign = _SIGNS[recorded.event.type]
        return Seg(str(getattr(glyphs, sign.glyph)), sign.ink)
    return Seg(_weight(recorded.event, glyphs))


def _weight(event: Event, glyphs: Glyphs) -> str:
    name = event.type
    return glyphs.large if name.startswith(_LARGE) else glyphs.medium if name.startswith(_MEDIUM) else glyphs.small

"""The waterfall: when each step ran on one time axis, in eighths of a cell, and what each cost.

Apart from the widget because it is geometry: spans of time to pieces of a row. Failed tries are red blocks with dotted waits
between them, the critical path has the accent, what waits for a person an amber dotted line.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from enum import Enum
from typing import NamedTuple

from store.state import RunState, StepState, StepStatus
from tagent_tui.glyphs import UNICODE, Glyphs
from tagent_tui.numbers import UNKNOWN, duration, span, step_cost, tokens
from tagent_tui.rows import Ink, Row, Seg, column, rpad
from tagent_tui.shapes import level
from tagent_tui.text import one_line
from tagent_tui.view.scene import Scene, step_span
from tagent_tui.view.steps import NAME_CAP, note

EIGHTHS = 8


class Kind(Enum):
    """What a bar stands for."""

    RUN = "run"
    CRITICAL = "critical"
    FAILED = "failed"
    WAIT = "wait"
    DOUBT = "doubt"


_INKS = {
    Kind.RUN: Ink.GRAPH,
    Kind.CRITICAL: Ink.ACCENT,
    Kind.FAILED: Ink.ERROR,
    Kind.WAIT: Ink.MUTED,
    Kind.DOUBT: Ink.WARNING,
}


class Bar(NamedTuple):
    """A span of time, in unix seconds."""

    start: float
    end: float
    kind: Kind


class Axis(NamedTuple):
    """The time shown, in unix seconds, over `width` cells; `zero` is what the labels count from."""

    start: float
    end: float
    width: int
    zero: float

    @property
    def seconds(self) -> float:
        """How long the time shown is; never 0."""
        return max(self.end - self.start, 1e-3)

    def eighth(self, at: float) -> int:
        """The place of a moment in eighths of a cell, inside the axis."""
        place = (at - self.start) / self.seconds * self.width * EIGHTHS
        return min(max(round(place), 0), self.width * EIGHTHS)


def axis(scene: Scene, width: int, *, zoom: int = 0, around: str | None = None) -> Axis:
    """The whole run, or 1/2, 1/4, … of it (`zoom` 1, 2, …) around the middle of a step."""
    state = scene.state
    start = state.created_at
    end = max(state.ended_at or scene.now, start + 1e-3)
    whole = end - start
    if zoom <= 0:
        return Axis(start, end, width, start)
    step = state.steps.get(around or "")
    spent = step_span(scene, step) if step is not None else None
    middle = (spent[0] + spent[1]) / 2 if spent else start + whole / 2
    part = whole / 2**zoom
    left = min(max(middle - part / 2, start), end - part)
    return Axis(left, left + part, width, start)


def bars(scene: Scene, name: str, *, critical: bool = False) -> list[Bar]:
    """When the step ran and waited: earlier tries, the waits after them, the latest try."""
    step = scene.state.steps[name]
    found: list[Bar] = []
    waited_from: float | None = None
    for one in step.tries:
        if waited_from is not None:
            found.append(Bar(waited_from, one.started_at, Kind.WAIT))
        found.append(Bar(one.started_at, one.ended_at, Kind.FAILED))
        waited_from = one.ended_at
    asked = step.approval
    if step.started_at is None:
        return [Bar(asked.requested_at, scene.now, Kind.DOUBT)] if asked is not None and scene.asks(name, step) else found
    if waited_from is not None:
        found.append(Bar(waited_from, step.started_at, Kind.WAIT))
    return found + _latest(scene, name, step, Kind.CRITICAL if critical else Kind.RUN)


def _latest(scene: Scene, name: str, step: StepState, kind: Kind) -> list[Bar]:
    start = step.started_at or 0.0
    end = step.ended_at if step.ended_at is not None else scene.now
    if step.status in (StepStatus.FAILED, StepStatus.TIMED_OUT):
        return [Bar(start, end, Kind.FAILED)]
    if step.status is StepStatus.WAITING:
        return [Bar(start, end, Kind.FAILED), Bar(end, max(end, step.due or scene.now), Kind.WAIT)]
    if step.status is StepStatus.IN_DOUBT:
        asked = (effect.requested_at for effect in scene.state.open.values() if effect.in_doubt and effect.step == name)
        since = min(asked, default=end)
        return [Bar(start, since, kind), Bar(since, scene.now, Kind.DOUBT)]
    flight = scene.flight.get(name)
    if flight is not None and scene.asks(name, step):
        return [Bar(start, flight.requested_at, kind), Bar(flight.requested_at, end, Kind.DOUBT)]
    return [Bar(start, end, kind)]


class _Cell(NamedTuple):
    text: str = " "
    ink: Ink = Ink.TEXT
    reverse: bool = False


_EMPTY = _Cell()


def paint(found: Iterable[Bar], on: Axis, glyphs: Glyphs = UNICODE) -> list[Seg]:
    """The bars as pieces of a row of exactly the axis' width. Anything that overlaps the axis shows, however short."""
    line = [_EMPTY] * on.width
    for bar in found:
        if bar.end < on.start or bar.start > on.end:
            continue
        first, last = on.eighth(bar.start), on.eighth(bar.end)
        if bar.kind in (Kind.WAIT, Kind.DOUBT):
            _dots(line, first, last, _INKS[bar.kind], glyphs)
        elif on.width:
            first = min(first, on.width * EIGHTHS - 1)
            _block(line, first, max(last, first + 1), _INKS[bar.kind], glyphs)
    return _merged(line)


def _dots(line: list[_Cell], first: int, last: int, ink: Ink, glyphs: Glyphs) -> None:
    for index in range(-(-first // EIGHTHS), last // EIGHTHS):
        if line[index] is _EMPTY:
            line[index] = _Cell(glyphs.dotted, ink)


def _block(line: list[_Cell], first: int, last: int, ink: Ink, glyphs: Glyphs) -> None:
    begin, end = first // EIGHTHS, (last - 1) // EIGHTHS
    full = _Cell(glyphs.eighths[-1], ink)
    for index in range(begin, end + 1):
        line[index] = full
    if glyphs.ascii:
        return
    head, tail = first % EIGHTHS, last % EIGHTHS
    if begin == end:
        line[begin] = _part(head, tail or EIGHTHS, ink, glyphs)
        return
    if head:
        line[begin] = _Cell(glyphs.eighths[head - 1], ink, True)
    if tail:
        line[end] = _Cell(glyphs.eighths[tail - 1], ink)


def _part(head: int, tail: int, ink: Ink, glyphs: Glyphs) -> _Cell:
    """A bar inside one cell: there are no marks for a middle, so it leans to the side it is nearer to."""
    if head == 0:
        return _Cell(glyphs.eighths[tail - 1], ink)
    if tail == EIGHTHS or head >= EIGHTHS - tail:
        return _Cell(glyphs.eighths[min(head, EIGHTHS - 1) - 1], ink, True)
    return _Cell(glyphs.eighths[max(tail - head, 1) - 1], ink)


def _merged(line: Sequence[_Cell]) -> list[Seg]:
    segs: list[Seg] = []
    for text, ink, reverse in line:
        if segs and segs[-1].ink is ink and segs[-1].reverse is reverse:
            segs[-1] = segs[-1]._replace(text=segs[-1].text + text)
        else:
            segs.append(Seg(text, ink, reverse=reverse))
    return segs


_TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800)
_LONG_TICKS = (3600, 7200, 4 * 3600, 6 * 3600, 12 * 3600, 86400, 2 * 86400, 7 * 86400, 30 * 86400, 365 * 86400)
TICK_ROOM = 11
"""Cells a tick with its label needs, with air."""


def tick_step(seconds: float, width: int) -> float:
    """The distance of the ticks: the smallest round one whose labels do not touch."""
    wanted = seconds / max(width / TICK_ROOM, 1)
    return next((step for step in (*_TICKS, *_LONG_TICKS) if step >= wanted), wanted)


def ticks(on: Axis, glyphs: Glyphs = UNICODE) -> list[Seg]:
    """The axis: a mark and its time at round distances from the start of the run, and a mark where the time shown ends."""
    step = tick_step(on.seconds, on.width)
    line = [" "] * on.width
    number = -(-(on.start - on.zero) // step)
    while on.width:
        at = on.zero + number * step
        place = int((at - on.start) / on.seconds * on.width)
        if place >= on.width:
            break
        label = glyphs.vertical + _tick_label(number * step, step)
        if place + len(label) <= on.width:
            line[place : place + len(label)] = label
        number += 1
    if on.width and line[-1] == " ":
        line[-1] = glyphs.vertical
    return _axis_segs("".join(line), glyphs)


def _tick_label(seconds: float, step: float) -> str:
    if step >= 1 or seconds == 0:
        return span(seconds)
    places = 1 if step >= 0.1 else 2 if step >= 0.01 else 3
    return f"{seconds:.{places}f} s" if seconds < 60 else duration(seconds)


def _axis_segs(text: str, glyphs: Glyphs) -> list[Seg]:
    segs: list[Seg] = []
    for index, part in enumerate(text.split(glyphs.vertical)):
        if index:
            segs.append(Seg(glyphs.vertical, Ink.GUIDE))
        if part:
            segs.append(Seg(part, Ink.MUTED))
    return segs


class Columns(NamedTuple):
    """How a waterfall row shares its width, in cells: the name, the axis, and the figures at its right end."""

    name: int
    axis: int
    figures: int

    @staticmethod
    def of(width: int) -> Columns:
        """For `width` cells inside the margins: a narrow pane drops the tokens, then the cost, then the time."""
        name = 23 if width >= 96 else 16 if width >= 60 else min(12, width // 3)
        figures = _TOKENS if width >= 96 else _COST if width >= 50 else _TIME if width >= 30 else 0
        return Columns(name, max(width - name - figures - 1, 0), figures)


_TIME, _COST, _TOKENS = 8, 18, 26


def header(on: Axis, columns: Columns, glyphs: Glyphs = UNICODE) -> Row:
    """The axis with the names of the columns."""
    names = rpad("time", 8) + rpad("cost", 10) + rpad("tokens", 8)
    return Row([Seg(" " * columns.name), *ticks(on, glyphs)], [Seg(names[: columns.figures], Ink.MUTED)])


def order(state: RunState, sort: str = "start") -> list[str]:
    """The steps as rows: by first start (what has not started last, as defined), by time or by cost, largest first."""
    names = list(state.steps)
    if sort == "time":
        return sorted(names, key=lambda name: -_spent(state.steps[name], state.last_at))
    if sort == "cost":
        return sorted(names, key=lambda name: (-state.steps[name].cost, -_tokens(state.steps[name])))
    return sorted(names, key=lambda name: (state.steps[name].first_started_at is None, state.steps[name].first_started_at or 0.0))


SORTS = ("start", "time", "cost")


def _spent(step: StepState, now: float) -> float:
    if step.first_started_at is None:
        return -1.0
    return (step.ended_at if step.ended_at is not None else now) - step.first_started_at


def _tokens(step: StepState) -> int:
    return step.prompt_tokens + step.completion_tokens


class Heat(NamedTuple):
    """What the bars before the cost figures are measured by: dollars, or tokens where nothing has a price."""

    cost: float
    tokens: int

    @staticmethod
    def of(state: RunState) -> Heat:
        """The largest of all steps."""
        costs = max((step.cost for step in state.steps.values()), default=0.0)
        return Heat(costs, max((_tokens(step) for step in state.steps.values()), default=0))

    def share(self, step: StepState) -> float:
        """The step's part of the largest, from 0 to 1."""
        return step.cost / self.cost if self.cost > 0 else _tokens(step) / self.tokens if self.tokens else 0.0


def waterfall_row(scene: Scene, name: str, on: Axis, columns: Columns, critical: Collection[str], heat: Heat) -> Row:
    """The row of one step."""
    step = scene.state.steps.get(name)
    if step is None:
        return Row(())
    quiet = step.first_started_at is None
    said = one_line(name, NAME_CAP, scene.glyphs).segs(Ink.MUTED if quiet else Ink.TEXT)
    named = column([scene.step_mark(name, step).seg(), Seg(" "), *said], max(columns.name - 1, 0), scene.glyphs.ellipsis)
    left = [*named, Seg(" ")] if columns.name else []
    strong = tuple(range(2, len(named)))
    if quiet:
        return Row([*left, *note(scene, name, step)], (), None, strong)
    left += paint(bars(scene, name, critical=name in critical), on, scene.glyphs)
    return Row(left, _figures(scene, step, columns, heat, name in critical), None, strong)


def _figures(scene: Scene, step: StepState, columns: Columns, heat: Heat, on_path: bool) -> list[Seg]:
    spent = step_span(scene, step)
    used = _tokens(step)
    segs = [Seg(rpad(duration(spent[1] - spent[0]) if spent else "", _TIME))] if columns.figures else []
    if columns.figures >= _COST:
        segs.append(Seg(f" {level(heat.share(step), scene.glyphs)} ", Ink.ACCENT if on_path else Ink.GRAPH))
        segs.append(Seg(rpad(step_cost(step.cost) if step.cost else UNKNOWN, 7), Ink.MUTED))
    if columns.figures >= _TOKENS:
        segs.append(Seg(rpad(tokens(used) if used else UNKNOWN, 8), Ink.MUTED))
    return segs

"""Small graphs of a run over time: CPU, memory, tokens a second, steps in flight.

Apart from the metrics pane because a plot is arithmetic: points in time to bars of eighths.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from store.state import RunState
from tagent_tui.glyphs import UNICODE, Glyphs
from tagent_tui.numbers import UNKNOWN, percent, rate, size
from tagent_tui.rows import BLANK, Ink, Row, Seg, beside, rpad
from tagent_tui.shapes import spark

HEIGHT = 3
"""Rows of a plot."""


class Reading(Protocol):
    """A sample of the driver's process: unix seconds, percent of one core, bytes."""

    @property
    def at(self) -> float:
        """When."""
        ...

    @property
    def cpu(self) -> float:
        """Percent of one core."""
        ...

    @property
    def rss(self) -> int:
        """Bytes."""
        ...


class Plot(NamedTuple):
    """One graph: its name, its figures as they are written, and one value a cell (None: nothing known there)."""

    name: str
    now: str
    most: str
    values: Sequence[float | None]


def over_time(points: Iterable[tuple[float, float]], start: float, end: float, cells: int) -> list[float | None]:
    """Points in time as one value a cell: the highest in it; a cell between two points keeps the earlier one."""
    out: list[float | None] = [None] * max(cells, 0)
    length = end - start
    if cells <= 0 or length <= 0:
        return out
    for at, value in points:
        if start <= at <= end:
            place = min(int((at - start) / length * cells), cells - 1)
            known = out[place]
            out[place] = value if known is None else max(known, value)
    last = max((index for index, value in enumerate(out) if value is not None), default=-1)
    held: float | None = None
    for index in range(last + 1):
        held = out[index] if out[index] is not None else held
        out[index] = held
    return out


def spans(state: RunState, now: float) -> list[tuple[float, float, int]]:
    """Each step's time from its first start to its end (or now), and the tokens it used."""
    found = []
    for step in state.steps.values():
        if step.first_started_at is not None:
            end = step.ended_at if step.ended_at is not None else now
            used = step.prompt_tokens + step.completion_tokens
            found.append((step.first_started_at, max(end, step.first_started_at), used))
    return found


def in_flight(found: Sequence[tuple[float, float, int]], start: float, end: float, cells: int) -> list[float | None]:
    """The most steps under way at once in each cell."""
    if cells <= 0 or end <= start:
        return [None] * max(cells, 0)
    moves = sorted([(began, 1) for began, _, _ in found] + [(ended, -1) for _, ended, _ in found])
    out = [0.0] * cells
    running, filled = 0, 0
    for at, by in moves:
        place = min(max(int((at - start) / (end - start) * cells), 0), cells - 1)
        for cell in range(filled, place + 1):
            out[cell] = max(out[cell], running)
        filled = place
        running += by
        out[place] = max(out[place], running)
    for cell in range(filled, cells):
        out[cell] = max(out[cell], running)
    return list(out)


def token_rate(found: Sequence[tuple[float, float, int]], start: float, end: float, cells: int) -> list[float | None]:
    """Tokens a second in each cell, a step's tokens shared out evenly over its time."""
    if cells <= 0 or end <= start:
        return [None] * max(cells, 0)
    length = (end - start) / cells
    out = [0.0] * cells
    for began, ended, used in found:
        if not used:
            continue
        first = min(max(int((began - start) / length), 0), cells - 1)
        last = min(max(int((ended - start) / length), first), cells - 1)
        lasted = max(ended - began, 1e-6)
        for cell in range(first, last + 1):
            overlap = min(ended, start + (cell + 1) * length) - max(began, start + cell * length)
            out[cell] += used * (max(overlap, 0.0) / lasted if first != last else 1.0) / length
    return list(out)


def plots(state: RunState, samples: Sequence[Reading], now: float, cells: int) -> list[Plot]:
    """The four graphs of a run, each `cells` wide."""
    start, end = state.created_at, max(state.ended_at if state.ended_at is not None else now, state.created_at + 1e-3)
    found = spans(state, now)
    cpu = over_time(((one.at, one.cpu) for one in samples), start, end, cells)
    rss = over_time(((one.at, float(one.rss)) for one in samples), start, end, cells)
    rates = token_rate(found, start, end, cells)
    flying = in_flight(found, start, end, cells)
    running = sum(1 for step in state.steps.values() if step.started_at is not None and step.ended_at is None)
    return [
        Plot("cpu", _cpu(samples[-1].cpu) if samples else UNKNOWN, _most(samples, "cpu"), cpu),
        Plot("memory", size(samples[-1].rss) if samples else UNKNOWN, _most(samples, "rss"), rss),
        Plot("tokens", rate(rates[-1]) if state.tokens and rates else UNKNOWN, _highest(rates) if state.tokens else "", rates),
        Plot("in flight", str(running), f"max {int(max((one or 0.0 for one in flying), default=0.0))}", flying),
    ]


def _cpu(share: float) -> str:
    return percent(share / 100)


def _most(samples: Sequence[Reading], name: str) -> str:
    if not samples:
        return ""
    if name == "cpu":
        return f"max {_cpu(max(one.cpu for one in samples))}"
    return f"max {size(max(one.rss for one in samples))}"


def _highest(values: Sequence[float | None]) -> str:
    return f"max {rate(max((one or 0.0 for one in values), default=0.0))}"


def block(values: Sequence[float | None], height: int, glyphs: Glyphs = UNICODE) -> list[str]:
    """The values as bars `height` rows high, from the top row down; the largest value fills them."""
    steps = len(glyphs.levels)
    top = max((one or 0.0 for one in values), default=0.0)
    rows = []
    for row in range(height - 1, -1, -1):
        marks = []
        for value in values:
            filled = 0 if value is None or top <= 0 else max(round(value / top * height * steps), 1)
            part = min(max(filled - row * steps, 0), steps)
            marks.append(glyphs.levels[part - 1] if part else " ")
        rows.append("".join(marks))
    return rows


def panel(found: Sequence[Plot], width: int, glyphs: Glyphs = UNICODE) -> list[Row]:
    """Four graphs side by side: name and figures above, bars below."""
    cells = plot_cells(width)
    head: list[Seg] = []
    bodies = [block(plot.values, HEIGHT, glyphs) for plot in found]
    for index, plot in enumerate(found):
        figures = [Seg(plot.now), Seg(f"  {plot.most}" if plot.most else "", Ink.MUTED)]
        head += [Seg("   ")] if index else []
        head += beside([Seg(plot.name, Ink.MUTED)], figures, cells)
    rows = [Row(head)]
    for line in range(HEIGHT):
        segs: list[Seg] = []
        for index, body in enumerate(bodies):
            segs += [Seg("   ")] if index else []
            segs.append(Seg(body[line], Ink.GRAPH))
        rows.append(Row(segs))
    return rows


def plot_cells(width: int) -> int:
    """The cells of each of four graphs side by side."""
    return max((width - 9) // 4, 1)


def small_panel(found: Sequence[Plot], width: int, glyphs: Glyphs = UNICODE) -> list[Row]:
    """The same in two rows of two, each one row high, for a narrow screen."""
    half = max((width - 3) // 2, 1)
    rows: list[Row] = []
    for pair in (found[:2], found[2:]):
        segs: list[Seg] = []
        for index, plot in enumerate(pair):
            cells = max(half - 10 - 10, 1)
            drawn = spark([one or 0.0 for one in plot.values[-cells:]], cells, glyphs=glyphs)
            segs += [Seg("   ")] if index else []
            segs += beside([Seg(f"{plot.name:<10}", Ink.MUTED), Seg(drawn, Ink.GRAPH)], [Seg(rpad(plot.now, 9))], half)
        rows += [Row(segs), BLANK]
    return rows[:-1]


def small_cells(width: int) -> int:
    """The cells of each graph of the small panel."""
    return max((width - 3) // 2 - 20, 1)

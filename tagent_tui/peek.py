"""The peek below the run list: the selected run's steps, its pace and its last events, as rows.

Apart from the list because it is about one run and reads its state; which ten steps of ten thousand are worth the room is
decided here, by value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from store.events import Recorded
from store.state import RunState, StepStatus
from tagent_tui import numbers
from tagent_tui.glyphs import Glyphs
from tagent_tui.rows import BLANK, Ink, Row, Seg, beside, cells, column, fit, pad
from tagent_tui.runlist import STATUS_INK, Entry, elapsed
from tagent_tui.shapes import spark
from tagent_tui.text import one_line
from tagent_tui.view.clock import time_of_day
from tagent_tui.view.describe import Around, say
from tagent_tui.view.families import roots
from tagent_tui.view.outline import NO_OUTLINE, Outline
from tagent_tui.view.scene import Scene, look
from tagent_tui.view.steps import step_row, unmarked

HEIGHT = 14
"""Rows of the peek below its rule."""

STEPS = 10
EVENTS = 6
GRAPH = 28
"""Cells of a graph: one for each of the last seconds."""

_WORTH = {
    StepStatus.IN_DOUBT: 0,
    StepStatus.RUNNING: 1,
    StepStatus.FAILED: 2,
    StepStatus.TIMED_OUT: 2,
    StepStatus.WAITING: 3,
    StepStatus.READY: 4,
    StepStatus.PENDING: 4,
    StepStatus.COMPLETED: 5,
    StepStatus.SKIPPED: 5,
    StepStatus.CANCELLED: 5,
}
"""Which steps come first when there is no room for all: what wants somebody, what runs, what failed."""


@dataclass(frozen=True)
class Peek:
    """What is known of the selected run. `state` is None until it was read; the series hold one value a second."""

    entry: Entry
    state: RunState | None = None
    outline: Outline = NO_OUTLINE
    alive: bool = False
    now: float = 0.0
    events: Sequence[Recorded] = ()
    pulse: Sequence[float] = ()
    costs: Sequence[float] = ()


def peek_rows(peek: Peek, width: int, glyphs: Glyphs) -> list[Row]:
    """The peek in `width` cells: a heading, then steps on the left and the pace and events on the right."""
    rows = [heading(peek, glyphs), BLANK]
    if peek.state is None:
        return rows
    scene = look(peek.state, peek.outline, alive=peek.alive, now=peek.now, glyphs=glyphs)
    if width < 90:
        return [*rows, *step_rows(scene, width, STEPS)]
    left_width = (width * 54) // 118
    right_width = width - left_width - 6
    left = step_rows(scene, left_width, STEPS)
    right = [*pace_rows(peek, right_width, glyphs), *event_rows(peek.events, peek.state, right_width, glyphs)]
    for index in range(max(len(left), len(right), STEPS)):
        at_left = beside(*_sides(left, index), left_width, ellipsis=glyphs.ellipsis)
        at_right = beside(*_sides(right, index), right_width, ellipsis=glyphs.ellipsis)
        rows.append(Row([*at_left, Seg("   "), Seg(glyphs.vertical, Ink.HAIRLINE), Seg("  "), *at_right]))
    return rows


def _sides(rows: Sequence[Row], index: int) -> tuple[Sequence[Seg], Sequence[Seg]]:
    return (rows[index].left, rows[index].right) if index < len(rows) else ((), ())


def heading(peek: Peek, glyphs: Glyphs) -> Row:
    """Status, name, id, when it started; on the right how it stands."""
    run, status = peek.entry.run, peek.entry.status
    ink = STATUS_INK.get(status, Ink.WARNING)
    mark = glyphs.person if status == "waiting" else glyphs.status(status)
    left = [Seg(mark, ink), Seg(" "), *one_line(run.pipeline, 200, glyphs).segs(Ink.STRONG, bold=True)]
    left += [Seg(f"  {run.id[:8]}   started {time_of_day(run.created)}", Ink.MUTED)]
    if run.parent is not None:
        left += [Seg(f"   {glyphs.fork} of {run.parent[:8]} at {run.parent_version}", Ink.MUTED)]
    if run.simulated:
        left += [Seg("   simulated model", Ink.MUTED)]
    word = Seg(status, ink if status in ("running", "failed", "waiting", "interrupted") else Ink.MUTED)
    right = [word, Seg("   "), Seg(numbers.duration(elapsed(run, status, peek.now)))]
    right += [Seg(f"   {numbers.events(run.head)}"), Seg(" events" if run.head != 1 else " event", Ink.MUTED)]
    return Row(left, right)


def step_rows(scene: Scene, width: int, room: int) -> list[Row]:
    """Up to `room` rows of steps in their order; where there are more, the settled and the pending are counted instead."""
    state = scene.state
    names = pick(state, room)
    rows = [unmarked(step_row(scene, name, width)) for name in names]
    left_out = state.total - len(names)
    if left_out:
        done = state.settled - sum(state.steps[name].status.settled for name in names)
        counts = ((done, "settled"), (left_out - done, "to go"))
        said = [f"{numbers.events(count)} {word}" for count, word in counts if count]
        rows.append(Row([Seg(f"{scene.glyphs.pending} " + f" {scene.glyphs.sep} ".join(said), Ink.MUTED)]))
    return rows


def pick(state: RunState, room: int) -> list[str]:
    """The names of the steps worth showing, in definition order; one row is kept for the count of the others."""
    if state.total <= room:
        return roots(state)
    ranked: list[list[str]] = [[] for _ in range(max(_WORTH.values()) + 1)]
    for name in roots(state):
        rank = ranked[_WORTH[state.steps[name].status]]
        if len(rank) < room:
            rank.append(name)
    found = [name for rank in ranked for name in rank][: room - 1]
    chosen = set(found)
    return [name for name in state.steps if name in chosen]


def pace_rows(peek: Peek, width: int, glyphs: Glyphs) -> list[Row]:
    """Events a second and cost of a live run; of another, what it did in all."""
    state = peek.state
    if state is None:
        return []
    if not peek.alive:
        calls = [Seg("model calls ", Ink.MUTED), Seg(numbers.events(state.calls)), Seg("   effects ", Ink.MUTED)]
        return [Row([*calls, Seg(numbers.events(state.effects))]), BLANK]
    graph = min(GRAPH, max(width - 24, 0))
    rate = sum(peek.pulse[-5:]) / max(len(peek.pulse[-5:]), 1)
    first = [Seg(pad("events / s", 13), Ink.MUTED), Seg(spark(peek.pulse, graph, glyphs=glyphs), Ink.GRAPH)]
    rows = [Row(first, [Seg(numbers.rate(rate))]), BLANK]
    if peek.costs and peek.costs[-1] > 0:
        spent = peek.costs[-1] - peek.costs[0]
        second = [
            Seg(pad("cost", 13), Ink.MUTED),
            Seg(spark([cost - peek.costs[0] for cost in peek.costs], graph, glyphs=glyphs), Ink.GRAPH),
        ]
        a_minute = spent / max(len(peek.costs) - 1, 1) * 60
        rows += [Row(second, [Seg(f"{numbers.run_cost(a_minute)} /m")]), BLANK]
    return rows


def event_rows(events: Sequence[Recorded], state: RunState | None, width: int, glyphs: Glyphs) -> list[Row]:
    """The last events, newest first: time, type, step, what it says."""
    rows = []
    shown = list(reversed(events))[:EVENTS]
    known = {recorded.version: recorded for recorded in events}
    around = Around(known.get, state.steps.get if state is not None else lambda name: None)
    types = max((cells([Seg(say(recorded).type)]) for recorded in shown), default=0)
    for recorded in shown:
        said = say(recorded, around)
        segs = [Seg(f"{time_of_day(recorded.at)}  ", Ink.MUTED), *column([Seg(said.type, said.ink)], types + 2)]
        if recorded.step:
            segs += one_line(recorded.step, 80, glyphs).segs(Ink.MUTED)
            segs.append(Seg("  "))
        rows.append(Row(fit([*segs, *said.text.segs(Ink.MUTED)], width, glyphs.ellipsis)))
    return rows

"""What one event changed: the state before and after it, as a table of what differs.

Apart because it compares two moments: states are folded in place, so what may change is remembered first, then compared.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import NamedTuple

from store.state import RunState, RunStatus, StepState, StepStatus
from tagent_tui.glyphs import UNICODE, Glyphs
from tagent_tui.numbers import UNKNOWN, events, size, step_cost
from tagent_tui.rows import Ink, Seg
from tagent_tui.text import one_line
from tagent_tui.view.clock import time_of_day
from tagent_tui.view.outline import Outline
from tagent_tui.view.scene import Mark, run_mark, step_mark

WORD_CAP = 60


class Change(NamedTuple):
    """One line of the table: what, how it was, how it is. The two sides are pieces of a row."""

    where: str
    before: tuple[Seg, ...]
    after: tuple[Seg, ...]


class Before(NamedTuple):
    """What is remembered of a state: its totals, and copies of the steps an event may touch."""

    run: dict[str, str]
    status: RunStatus
    steps: dict[str, StepState | None]


def remember(state: RunState, names: Iterable[str]) -> Before:
    """Copy what the next event may change; `names` are the steps it is about."""
    kept = {name: copy.copy(state.steps.get(name)) for name in names}
    return Before(_totals(state), state.status, kept)


def _totals(state: RunState) -> dict[str, str]:
    counts = state.counts
    return {
        "run.running": events(counts[StepStatus.RUNNING]),
        "run.settled": f"{state.settled:,} of {state.total:,}",
        "run.in flight": events(len(state.open)),
        "run.cost": step_cost(state.cost),
        "run.tokens": events(state.tokens),
        "run.failures": events(state.failures),
        "run.logs": events(state.logs),
        "run.artifacts": events(len(state.artifacts)),
        "run.drivers": events(state.attaches),
        "run.pausing": _yes(state.pausing),
        "run.cancelling": _yes(state.cancelling),
    }


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"


def status_changes(before: Before, state: RunState) -> dict[str, tuple[StepStatus, StepStatus]]:
    """The remembered steps whose status is another now."""
    found: dict[str, tuple[StepStatus, StepStatus]] = {}
    for name, old in before.steps.items():
        new = state.steps.get(name)
        if new is not None and (old.status if old is not None else StepStatus.PENDING) is not new.status:
            found[name] = (old.status if old is not None else StepStatus.PENDING, new.status)
    return found


def changes(before: Before, state: RunState, outline: Outline, glyphs: Glyphs = UNICODE) -> list[Change]:
    """The table: statuses first, then what else the steps have, then the run's totals."""
    found: list[Change] = []
    if before.status is not state.status:
        found.append(_statuses("run", run_mark(before.status, glyphs), run_mark(state.status, glyphs)))
    details: list[Change] = []
    for name, old in before.steps.items():
        new = state.steps.get(name)
        if new is None:
            continue
        shown = one_line(name, WORD_CAP, glyphs).text
        old = old or StepState()
        if old.status is not new.status:
            found.append(_statuses(shown, step_mark(old.status, glyphs), step_mark(new.status, glyphs)))
        details += _details(shown, old, new, outline.step(name).tries)
    totals = zip(before.run.items(), _totals(state).values(), strict=True)
    return [*found, *details, *(_figures(where, was, now) for (where, was), now in totals if was != now)]


def _statuses(where: str, before: Mark, after: Mark) -> Change:
    after_ink = after.ink if after.ink in (Ink.ERROR, Ink.WARNING) else Ink.TEXT
    return Change(
        where,
        (Seg(f"{before.glyph} {before.word}", Ink.MUTED),),
        (Seg(after.glyph, after.ink), Seg(f" {after.word}", after_ink)),
    )


def _figures(where: str, before: str, after: str) -> Change:
    return Change(where, (Seg(before, Ink.MUTED),), (Seg(after),))


def _details(name: str, old: StepState, new: StepState, allowed: int | None) -> list[Change]:
    pairs = [
        ("attempt", _attempt(old, allowed), _attempt(new, allowed)),
        ("retry due", time_of_day(old.due), time_of_day(new.due)),
        ("output", _output(old), _output(new)),
        ("effects", events(old.effects), events(new.effects)),
        ("model calls", events(old.calls), events(new.calls)),
        ("cost", step_cost(old.cost), step_cost(new.cost)),
        ("simulated", _yes(old.simulated), _yes(new.simulated)),
    ]
    return [_figures(f"{name}.{word}", was, now) for word, was, now in pairs if was != now]


def _attempt(step: StepState, allowed: int | None) -> str:
    made = step.attempt - step.first_attempt + 1
    if made <= 0:
        return UNKNOWN
    return str(made) if allowed is None else f"{made} of {max(allowed, made)}"


def _output(step: StepState) -> str:
    return UNKNOWN if step.output is None else size(step.output_size)

"""Two runs compared: where they part, what each step came to in either, and what that took. Pure: two sides in, a `RunDiff` out.

Stands apart from `loading.py`, which reads the sides from the store, so that every rule is tested on values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from engine.changes import Changes
from engine.replay.aligning import SAME, Alignment, History, Meant, Pair, align, requests_of
from engine.replay.difference import TOLD, Divergence, Figures, Moment, RunDiff, RunSide, StepDiff, Total, ran
from engine.replay.meaning import sentence
from engine.replay.texts import value_diff
from store.events import RunId
from store.state import RunState, StepState, StepStatus, owner_of


class Side(msgspec.Struct, frozen=True):
    """A run as it is compared. `history` begins after the shared past; `reused` are steps whose work was an ancestor's.

    `now` is the time up to which what is under way counts, while somebody drives it.
    """

    run: RunId
    state: RunState
    history: History
    status: str = ""
    reused: frozenset[str] = frozenset()
    params: Any = None
    settings: Any = None
    now: float = 0.0


def compare(a: Side, b: Side, *, shared: int = 0, definition: Changes | None = None) -> RunDiff:
    """What differs from A to B; `shared` events at the beginning of both are the same ones and are not among the histories."""
    alignment = align(a.history, b.history)
    teller = _Teller(a, b)
    left, right = _figures(a), _figures(b)
    pairs = _by_step(alignment)
    groups = {owner_of(name) for name, found in pairs.items() if any(pair.what != SAME for pair in found)}
    steps = tuple(
        teller.step(name, left.get(name), right.get(name), pairs.get(name, ()), below=name in groups)
        for name in _names(a.state, b.state)
    )
    reused = any(step.reused for step in steps)
    totals = [_total(side, found, steps, reused=reused) for side, found in ((a, left), (b, right))]
    return RunDiff(
        _side(a, totals[0]),
        _side(b, totals[1]),
        shared,
        teller.divergence(alignment.first) if alignment.first is not None else None,
        steps,
        reused,
        definition or Changes(),
        value_diff(a.params, b.params),
        value_diff(a.settings, b.settings),
    )


class _Teller:
    """Names events of the two sides; an outcome is named by its request, so those are known."""

    def __init__(self, a: Side, b: Side) -> None:
        self._requests = [
            {**side.history.requests, **requests_of((*side.history.earlier, *side.history.events))} for side in (a, b)
        ]

    def divergence(self, pair: Pair) -> Divergence:
        return Divergence(pair.what, self._moment(pair.a, 0), self._moment(pair.b, 1))

    def _moment(self, meant: Meant | None, side: int) -> Moment | None:
        if meant is None:
            return None
        event = meant.recorded
        return Moment(event.version, event.event.type, event.step, event.attempt, sentence(event, self._requests[side]))

    def step(self, name: str, a: Figures | None, b: Figures | None, pairs: Sequence[Pair], *, below: bool) -> StepDiff:
        differing = [pair for pair in pairs if pair.what != SAME]
        what = "changed" if differing or below else "same"
        if what == "changed" and ran(a) != ran(b):
            what = "a" if ran(a) else "b"
        told = tuple(self.divergence(pair) for pair in differing[:TOLD])
        return StepDiff(name, what, a, b, told, len(differing) - len(told), len(pairs) - len(differing))


def _by_step(alignment: Alignment) -> dict[str, list[Pair]]:
    found: dict[str, list[Pair]] = {}
    for pair in alignment.pairs:
        if pair.step is not None:
            found.setdefault(pair.step, []).append(pair)
    return found


def _side(side: Side, total: Total) -> RunSide:
    state = side.state
    return RunSide(
        side.run, state.pipeline, side.status or state.status.word, state.version, state.parent, state.parent_version, total
    )


def _names(a: RunState, b: RunState) -> list[str]:
    """All steps in A's order; what only B has stands after what it follows there, what belongs to a step below it."""
    after: dict[str | None, list[str]] = {}
    before: str | None = None
    for name in b.steps:
        if name in a.steps:
            before = name
        else:
            after.setdefault(before, []).append(name)
    found = after.pop(None, [])
    for name in a.steps:
        found += [name, *after.get(name, ())]
    below: dict[str | None, list[str]] = {}
    for name in found:
        below.setdefault(_owner(name, a, b), []).append(name)
    return [one for name in below.get(None, ()) for one in (name, *below.get(name, ()))]


def _owner(name: str, *states: RunState) -> str | None:
    owner = owner_of(name)
    return owner if any(owner in state.steps for state in states) else None


def _figures(side: Side) -> dict[str, Figures]:
    own = {name: _own(side, name, step) for name, step in side.state.steps.items()}
    for name in side.state.steps:
        owner = owner_of(name)
        if owner in own:
            own[owner] = _with(own[owner], own[name])
    return own


def _with(group: Figures, child: Figures) -> Figures:
    cost = None if group.cost is None or child.cost is None else group.cost + child.cost
    return msgspec.structs.replace(group, calls=group.calls + child.calls, tokens=group.tokens + child.tokens, cost=cost)


def _own(side: Side, name: str, step: StepState) -> Figures:
    seconds = None
    if step.first_started_at is not None and not step.edited:
        end = step.ended_at if step.ended_at is not None else max(side.now, side.state.last_at)
        seconds = max(0.0, end - step.first_started_at)
    return Figures(
        step.status.word,
        step.first_started_at is not None or step.reused or step.edited,
        step.reused or name in side.reused,
        step.attempt - step.first_attempt + 1 if step.attempt else 0,
        seconds,
        step.calls,
        step.prompt_tokens + step.completion_tokens,
        None if step.unpriced else step.cost,
        step.simulated,
        "edited" if step.edited else "" if step.status is StepStatus.COMPLETED else step.reason or "",
        step.items,
    )


def _total(side: Side, figures: Mapping[str, Figures], steps: Sequence[StepDiff], *, reused: bool) -> Total:
    state = side.state
    if not reused:
        end = state.ended_at or max(side.now, state.last_at)
        return Total(max(0.0, end - state.created_at), state.tokens, None if state.unpriced else state.cost)
    counted = [figures[one.step] for one in steps if one.step in figures and not one.reused and owner_of(one.step) not in figures]
    known = [one.cost for one in counted if one.cost is not None]
    return Total(
        sum(one.seconds or 0.0 for one in counted),
        sum(one.tokens for one in counted),
        sum(known) if len(known) == len(counted) else None,
    )

"""What touching the world leaves in the state: effects in flight, what was paid, breakers, child runs that rest.

The rules about state live here and in the files `projector.py` names. Stands apart by what it is about: effects and their outcomes.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from store.events import (
    ChildParked,
    ChildResumed,
    ChildSpent,
    EffectFailed,
    EffectInDoubt,
    EffectRequested,
    EffectResolved,
    EffectSucceeded,
    Event,
    Spent,
    Usage,
)
from store.moves import move, step_at
from store.state import Breaker, OpenEffect, RunState, StepState, StepStatus, breaker_key

RUNNING = StepStatus.RUNNING
IN_DOUBT = StepStatus.IN_DOUBT


BREAKERS_LIMIT = 64
"""Models and tools whose failures in a row are counted; the one that failed longest ago makes room."""


COUNTED = {
    "model": frozenset({"timeout", "model.timeout", "model.rate_limit", "model.unavailable"}),
    "tool": frozenset({"timeout", "error"}),
}
"""Failures by kind of effect that say something of whoever was asked; the others say something of the request."""


def effect_requested(state: RunState, version: int, at: float, path: str, attempt: int, event: EffectRequested) -> None:
    state.open[version] = OpenEffect(path, attempt, event.kind, event.name, event.safety.value, at)
    state.effects += 1
    step_at(state, path).effects += 1


def effect_succeeded(state: RunState, version: int, at: float, path: str, attempt: int, event: EffectSucceeded) -> None:
    effect = state.open.pop(event.request, None)
    if effect is not None and effect.kind in _KEPT:
        _keep(state, event.request, effect)
    if state.breakers and effect is not None and event.source is None:
        state.breakers = {name: held for name, held in state.breakers.items() if name != breaker_key(effect.kind, effect.name)}
    if event.simulated:
        state.simulated = step_at(state, path).simulated = True
    _pay(state, path, event)


_KEPT = frozenset({"memory", "offer"})
"""Kinds of effects that change what the run remembers of itself."""


def _keep(state: RunState, request: int, effect: OpenEffect) -> None:
    """New collections instead of changed ones: `history.py` goes back to the old."""
    if effect.kind == "offer":
        if effect.name not in state.roles:
            state.roles = [*state.roles, effect.name]
        return
    op, _, key = effect.name.partition(" ")
    if op == "put":
        state.memory = {**state.memory, key: request}
    elif op == "delete":
        state.memory = {held: version for held, version in state.memory.items() if held != key}


def effect_failed(state: RunState, version: int, at: float, path: str, attempt: int, event: EffectFailed) -> None:
    effect = state.open.pop(event.request, None)
    if effect is not None and event.source is None and event.failure.kind in COUNTED.get(effect.kind, ()):
        state.breakers = _counted(state.breakers, breaker_key(effect.kind, effect.name), at)
    _pay(state, path, event)


def _counted(breakers: dict[str, Breaker], key: str, at: float) -> dict[str, Breaker]:
    """One failure more; the first is the one that failed longest ago, and is forgotten when there are too many."""
    known = breakers.get(key)
    others = {name: held for name, held in breakers.items() if name != key}
    if known is None and len(others) >= BREAKERS_LIMIT:
        del others[next(iter(others))]
    return {**others, key: Breaker(known.failures + 1 if known is not None else 1, at)}


def _pay(state: RunState, path: str, event: EffectSucceeded | EffectFailed) -> None:
    """Add what an effect used to the run and the step."""
    if event.usage is not None or event.spent:
        for used in paid(event):
            _spend(state, step_at(state, path), used)


def paid(event: Event) -> tuple[Spent, ...]:
    """What an event says was used: a model call, or of a child run; what was taken from a recording was paid there."""
    if isinstance(event, ChildSpent):
        return event.spent
    if not isinstance(event, EffectSucceeded | EffectFailed) or event.source is not None:
        return ()
    return event.spent if event.usage is None else (spent(event.usage), *event.spent)


def summed(used: Iterable[Spent]) -> tuple[Spent, ...]:
    """The sums by model, in the order of first use."""
    sums: dict[str, Spent] = {}
    for one in used:
        known = sums.get(one.model, Spent(one.model))
        added = {name: getattr(known, name) + getattr(one, name) for name in Spent.__struct_fields__ if name != "model"}
        sums[one.model] = msgspec.structs.replace(known, **added)
    return tuple(sums.values())


def spent(usage: Usage) -> Spent:
    """One model call as what was spent on it."""
    priced = usage.cost is not None
    return Spent(usage.model, 1, usage.prompt_tokens, usage.completion_tokens, usage.cost or 0.0, 0 if priced else 1)


def _spend(state: RunState, step: StepState, used: Spent) -> None:
    for spender in (state, step):
        spender.calls += used.calls
        spender.prompt_tokens += used.prompt_tokens
        spender.completion_tokens += used.completion_tokens
        spender.cost += used.cost
        spender.unpriced += used.unpriced


def effect_in_doubt(state: RunState, version: int, at: float, path: str, attempt: int, event: EffectInDoubt) -> None:
    effect = state.open.get(event.request)
    if effect is not None:
        effect.in_doubt = True
    step = step_at(state, path)
    move(state, step, IN_DOUBT)
    step.reason = f"{effect.name} has no known outcome" if effect is not None else "an effect has no known outcome"


def effect_resolved(state: RunState, version: int, at: float, path: str, attempt: int, event: EffectResolved) -> None:
    state.open.pop(event.request, None)  # also of one to be issued again: that is a new request
    step = step_at(state, path)
    if not any(effect.in_doubt and effect.step == path for effect in state.open.values()):
        move(state, step, RUNNING)
        step.reason = None


def child_parked(state: RunState, version: int, at: float, path: str, attempt: int, event: ChildParked) -> None:
    effect = state.open.get(event.request)
    if effect is not None:
        effect.parked = event.reason


def child_resumed(state: RunState, version: int, at: float, path: str, attempt: int, event: ChildResumed) -> None:
    effect = state.open.get(event.request)
    if effect is not None:
        effect.parked = None


def child_spent(state: RunState, version: int, at: float, path: str, attempt: int, event: ChildSpent) -> None:
    effect = state.open.get(event.request)
    if effect is not None:
        effect.spent = summed((*effect.spent, *event.spent))
    for used in event.spent:
        _spend(state, step_at(state, path), used)

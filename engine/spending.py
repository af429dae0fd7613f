"""What a run used of each model: its own calls and those of its child runs, each counted once. Pure.

Stands apart because a caller's record of a child run and a run's result add up the same events.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from store.effect_rules import paid, summed
from store.events import Recorded, Spent

SPENDING = frozenset({"effect.succeeded", "effect.failed", "child.spent"})
"""The types of events that say what was used."""


def by_model(events: Iterable[Recorded]) -> tuple[Spent, ...]:
    """The sums by model, in the order of first use."""
    return summed(used for recorded in events for used in paid(recorded.event))


def uncounted(used: Iterable[Spent], counted: Sequence[Spent]) -> tuple[Spent, ...]:
    """What a child run used besides what its caller has counted, by model."""
    taken = [Spent(one.model, -one.calls, -one.prompt_tokens, -one.completion_tokens, -one.cost, -one.unpriced) for one in counted]
    return tuple(one for one in summed((*used, *taken)) if one.calls > 0)

"""What a run used of each model: its own calls and those of its child runs, each counted once. Pure.

Stands apart because a caller's record of a child run and a run's result add up the same events.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from store.events import Recorded, Spent
from store.projector import spent

SPENDING = frozenset({"effect.succeeded", "effect.failed"})
"""The types of events that say what was used."""


def by_model(events: Iterable[Recorded]) -> tuple[Spent, ...]:
    """The sums by model, in the order of first use; what was taken from a recording was paid there."""
    sums: dict[str, Spent] = {}
    for recorded in events:
        event = recorded.event
        if event.source is None:
            own = () if event.usage is None else (spent(event.usage),)
            for used in (*own, *event.spent):
                sums[used.model] = _sum(sums.get(used.model, Spent(used.model)), used)
    return tuple(sums.values())


def _sum(one: Spent, other: Spent) -> Spent:
    names = [name for name in Spent.__struct_fields__ if name != "model"]
    return msgspec.structs.replace(one, **{name: getattr(one, name) + getattr(other, name) for name in names})

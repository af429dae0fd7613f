"""Whether a model or tool that failed again and again is asked now, left alone, or tried once. Pure.

Stands apart because it is a question to the run's state: how often in a row something failed, and when last, is folded from the
recorded outcomes, so a driver that comes anew knows as much as the one that died.
"""

from __future__ import annotations

import msgspec

from engine.policies import BreakerPolicy
from store.state import RunState, breaker_key


class Closed(msgspec.Struct, frozen=True):
    """Asked as always."""


class Open(msgspec.Struct, frozen=True):
    """Left alone until `until` (unix seconds)."""

    until: float


class Trial(msgspec.Struct, frozen=True):
    """Half open: one call may find out whether it is well again. `since` is when it failed last, which tells trials apart."""

    since: float


def verdict(state: RunState, kind: str, name: str, now: float, policy: BreakerPolicy) -> Closed | Open | Trial:
    """What the recorded outcomes of `name` (a `model` or `tool`) say about asking it at `now`."""
    breaker = state.breakers.get(breaker_key(kind, name))
    if breaker is None or not policy.failures or breaker.failures < policy.failures:
        return Closed()
    until = breaker.failed_at + policy.seconds
    return Open(until) if now < until else Trial(breaker.failed_at)

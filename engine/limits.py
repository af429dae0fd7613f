"""The gate before a model or tool: its breaker, then a place where a limit is set, then its breaker again.

Stands apart from what is asked so that models and tools pass the same one. Waiting for a place is no part of the call: it is seen
as the step's latest line, and does not count in the call's time. What has no limit costs no commit.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator, Callable, Iterator

import msgspec

from engine.breakers import Open, Trial, verdict
from engine.errors import CircuitOpenError
from engine.failures import failure_of
from engine.policies import BreakerPolicy, Limits
from store.effect_rules import COUNTED
from store.limits import Slots
from store.state import RunState

Caller = tuple[str, int]
"""(step, attempt)"""


TRIAL_SECONDS = 1.0
"""How long those who are refused while one call tries wait until they ask again: it may be over by then."""


class _Claim(msgspec.Struct, frozen=True):
    """A trial under way: of which state of the breaker, and whose."""

    since: float
    caller: Caller


class Gate:
    """The gate of one run. `state` is the driver's own and is only looked at; `say` shows a step's latest line."""

    def __init__(
        self,
        state: RunState,
        policy: BreakerPolicy,
        limits: Limits,
        slots: Slots,
        *,
        now: Callable[[], float],
        say: Callable[[str, str, float], None],
    ) -> None:
        self._state, self._policy, self._limits, self._slots = state, policy, limits, slots
        self._now, self._say = now, say
        self._claims: dict[tuple[str, str], _Claim] = {}

    @contextlib.asynccontextmanager
    async def admitted(self, kind: str, name: str, caller: Caller) -> AsyncIterator[None]:
        """Let a call of a `model` or `tool` through for the length of the block. Raises `CircuitOpenError`."""
        self._refuse_open(kind, name)
        limit = self._limits.get(f"{kind}s", {}).get(name)
        if limit is None:
            with self._claimed(kind, name, caller):
                yield
            return
        waited = False

        def wait() -> None:
            nonlocal waited
            waited = True
            self._say(caller[0], f"waits for a slot of {name}", self._now())

        async with self._slots.held(f"{kind} {name}", limit.concurrent, limit.per_minute, wait):
            if waited:
                self._say(caller[0], f"asks {name}", self._now())
            with self._claimed(kind, name, caller):
                yield

    @contextlib.contextmanager
    def _claimed(self, kind: str, name: str, caller: Caller) -> Iterator[None]:
        """Half open, be the one that tries. The claim lasts until its outcome is folded, or until it comes to none."""
        trial = self._refuse_open(kind, name)
        if trial is None:
            yield
            return
        self._claims[kind, name] = _Claim(trial.since, caller)
        try:
            yield
        except BaseException as error:
            if not isinstance(error, Exception) or failure_of(error).kind not in COUNTED[kind]:  # nothing that will be folded
                self._claims.pop((kind, name), None)
            raise

    def _refuse_open(self, kind: str, name: str) -> Trial | None:
        now = self._now()
        found = verdict(self._state, kind, name, now, self._policy)
        if isinstance(found, Open):
            raise self._refusal(kind, name, found.until - now)
        if not isinstance(found, Trial):
            return None
        claim = self._claims.get((kind, name))
        if claim is not None and claim.since == found.since and self._under_way(kind, name, claim.caller):
            raise self._refusal(kind, name, min(TRIAL_SECONDS, self._policy.seconds), trying=True)
        return found

    def _under_way(self, kind: str, name: str, caller: Caller) -> bool:
        """A claim is worth nothing once its attempt's call has an outcome, or the attempt was closed without one."""
        calls = self._state.open.values()
        return any((call.kind, call.name, call.step, call.attempt) == (kind, name, *caller) for call in calls)

    def _refusal(self, kind: str, name: str, left: float, *, trying: bool = False) -> CircuitOpenError:
        when = "one call is finding out whether it is well again" if trying else f"it is tried again in {math.ceil(left)} s"
        text = f"The {kind} {name} failed {self._policy.failures} times in a row and is left alone; {when}."
        return CircuitOpenError(text, kind="circuit", retry_after=left)

"""The outputs that steps still to run need, as JSON text: in memory while needed, read from the log again after a crash.

Stands apart from the runtime because it is a cache: dropping all of it changes nothing.
"""

from __future__ import annotations

from engine.graph import Plan
from store import Log
from store.events import RunId
from store.state import RunState


class Outputs:
    """Outputs by step. `state` is the driver's own and is only looked at."""

    def __init__(self, log: Log, run: RunId, plan: Plan, state: RunState) -> None:
        self._log, self._run, self._plan, self._state = log, run, plan, state
        self._texts: dict[str, bytes] = {}
        self._users: dict[str, int] = {}

    def at_hand(self, name: str) -> bool:
        """Whether all that a step needs is in memory."""
        steps = self._state.steps
        return all(need in self._texts or steps[need].output is None for need in self._plan.needs[name])

    async def load(self, name: str) -> None:
        """Read what a step needs and is not in memory."""
        for need in self._plan.needs[name]:
            version = self._state.steps[need].output
            if need not in self._texts and version is not None:
                recorded = (await self._log.events(self._run, after=version - 1, upto=version))[0]
                self._texts[need] = await self._log.text(recorded.event.output)

    def of_needs(self, name: str) -> dict[str, bytes]:
        """The outputs of a step's dependencies."""
        return {need: self._texts[need] for need in self._plan.needs[name] if need in self._texts}

    def keep(self, name: str, text: bytes) -> None:
        """A step completed; its output is kept if somebody needs it, and it needs its own inputs no more."""
        if self._plan.dependants[name]:
            self._texts[name] = text
        for need in self._plan.needs[name]:
            if need in self._texts:
                self._users[need] = self._users.get(need, len(self._plan.dependants[need])) - 1
                if self._users[need] <= 0:
                    del self._texts[need], self._users[need]
